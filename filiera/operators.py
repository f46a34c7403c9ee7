"""What an operator sets up from the command line before the workspace can do the rest."""

import getpass
import os
import secrets
import sys
from pathlib import Path

import django
import orjson

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "filiera.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.db import transaction  # noqa: E402
from django.utils import timezone, translation  # noqa: E402

from filiera.contacts import erasure, portability  # noqa: E402
from filiera.contacts import queries as contacts  # noqa: E402
from filiera.identity import audit, rotation  # noqa: E402
from filiera.identity.master_keys import VaultLocked  # noqa: E402
from filiera.identity.models import Brand, Role, User  # noqa: E402
from filiera.journeys import openings, retention  # noqa: E402
from filiera.platform import actor, brand_scope, console  # noqa: E402
from filiera.platform import home as homes  # noqa: E402
from filiera.platform.console import gettext as _  # noqa: E402
from filiera.platform.console import say  # noqa: E402
from filiera.platform.refusals import Refused  # noqa: E402
from filiera.routing import calling, register  # noqa: E402


def _operator(command: str) -> actor.Actor:
    return actor.Actor(actor.COMMAND, f"filiera {command} ({getpass.getuser()})")


def open_brand(*, name: str, slug: str, owner_email: str, owner_name: str, over_all: bool = False) -> int:
    """Create a brand and its administrator, or with `over_all` of the whole installation.

    A password is made and shown once. Returns the exit code.
    """
    password = secrets.token_urlsafe(12)
    try:
        with transaction.atomic(), actor.acting(_operator("brand")):
            brand = openings.open_brand(name=name, slug=slug)
            known = User.objects.filter(email=owner_email.strip().lower()).exists()
            openings.give_role(
                brand=brand,
                email=owner_email,
                name=owner_name,
                role=Role.SUPER_ADMIN if over_all else Role.ADMIN,
                password="" if known else password,
            )
    except Refused as refusal:
        say(str(refusal))
        return 1
    say(_("Il marchio %(brand)s è pronto.") % {"brand": brand.name})
    if known:
        say(_("%(email)s lo amministra, con la password che ha già.") % {"email": owner_email})
    else:
        say(
            _("Entra con %(email)s e la password %(password)s") % {"email": owner_email, "password": password}
        )
        say(_("Scrivila adesso: non la mostreremo più."))
    return 0


def rotate_vault() -> int:
    """Give the vault another master key and encrypt everything anew, while the house works. Returns the exit code."""
    try:
        for step in rotation.rotate(now=timezone.now()):
            say(
                _("Versione %(version)s: %(renewed)s segreti cifrati di nuovo.")
                % {"version": step.version, "renewed": step.renewed}
            )
    except (Refused, VaultLocked) as trouble:
        say(str(trouble))
        return 1
    if step.locked:
        say(
            _("%(locked)s segreti non si aprono con nessuna chiave che abbiamo: restano come sono.")
            % {"locked": step.locked}
        )
        return 1
    say(_("Fatto. Le chiavi di prima servono ancora per i backup di prima: non buttarle."))
    return 0


def connect_cloudtalk(*, slug: str, base_url: str) -> int:
    """Ask for the account's key pair (or read it from two lines of standard input) and connect the brand."""
    brand = Brand.objects.filter(slug=slug).first()
    if brand is None:
        say(_("Non c’è un marchio «%(slug)s».") % {"slug": slug})
        return 1
    if sys.stdin.isatty():
        key_id, secret = input("Access key ID: "), getpass.getpass("Access key secret: ")
    else:
        key_id, secret = (sys.stdin.readline() for _line in range(2))
    with transaction.atomic(), actor.acting(_operator("telephony")):
        made = openings.connect_cloudtalk(
            brand=brand,
            key_id=key_id.strip(),
            key_secret=secret.strip(),
            base_url=base_url or openings.CLOUDTALK_URL,
        )
    say(_("Collegato. In CloudTalk, manda gli eventi delle chiamate a:"))
    say(f"  {settings.BASE_URL}/api/v1/webhooks/cloudtalk/{made.connection.id}")
    say(f"  Authorization: Bearer {made.token}")
    say(_("Copia il gettone adesso: non lo mostreremo più."))
    return 0


def export_person(*, slug: str, person: str, file: Path | None) -> int:
    """Write the ZIP of what is held about a person, readable by its owner alone. Returns the exit code."""
    brand = _brand(slug)
    if brand is None:
        return 1
    with (
        translation.override(console.language()),
        actor.acting(_operator("gdpr export")),
        brand_scope.use(brand.id),
    ):
        try:
            contact = contacts.the_one(person)
            content = portability.archive(contact.id, now=timezone.now())
        except Refused as refusal:
            say(str(refusal))
            return 1
    file = file or Path(f"filiera-{slug}-{contact.id}.zip")
    homes.write_private(file, content)
    print(file)
    return 0


def erase_person(*, slug: str, person: str, is_sure: bool) -> int:
    """Erase a person after a look at what goes, and print the manifest as JSON. Returns the exit code."""
    brand = _brand(slug)
    if brand is None:
        return 1
    with (
        translation.override(console.language()),
        actor.acting(_operator("gdpr erase")),
        brand_scope.use(brand.id),
    ):
        try:
            contact = contacts.the_one(person)
            for place in erasure.preview(contact):
                say(f"  {place.found:6}  {place.title}")
            if not is_sure and input(_("Scrivi SÌ per cancellare per sempre: ")).strip().upper() not in (
                "SÌ",
                "SI",
            ):
                return 1
            done = erasure.erase(contact_id=contact.id, now=timezone.now())
        except Refused as refusal:
            say(str(refusal))
            return 1
    print(orjson.dumps(done.manifest, option=orjson.OPT_INDENT_2).decode())
    return 0


def show_retention(*, slug: str) -> int:
    """Print the terms of a brand and what went by them, as JSON. Returns the exit code."""
    brand = _brand(slug)
    if brand is None:
        return 1
    with brand_scope.use(brand.id):
        print(orjson.dumps(retention.report(), option=orjson.OPT_INDENT_2).decode())
    return 0


def list_numbers_to_check(*, slug: str) -> int:
    """Print the numbers that the opposition register has to be asked about, one a line. Returns the exit code."""
    brand = _brand(slug)
    if brand is None:
        return 1
    with actor.acting(_operator("register list")), brand_scope.use(brand.id):
        numbers = register.numbers_to_check(now=timezone.now())
        audit.record(
            "EXPORT",
            entity_type="brands",
            entity_id=brand.id,
            detail={"what": "register", "numbers": len(numbers)},
        )
    for number in numbers:
        print(number)
    return 0


def take_register_check(*, slug: str, file: Path, checked: str) -> int:
    """Read the result of a check against the opposition register. Returns the exit code."""
    brand = _brand(slug)
    if brand is None:
        return 1
    now = timezone.now()
    with translation.override(console.language()), actor.acting(_operator("register import")):
        try:
            with brand_scope.use(brand.id):
                at = calling.moment(checked, now=now)
                check = register.take(file.read_bytes(), checked_at=at, user_id=None, now=now)
        except (Refused, OSError) as refusal:
            say(str(refusal))
            for sentences in getattr(refusal, "details", {}).values():
                for sentence in sentences:
                    say(f"  {sentence}")
            return 1
    say(
        _("Letti %(numbers)s numeri, %(listed)s iscritti al Registro.")
        % {"numbers": check.numbers, "listed": check.listed}
    )
    return 0


def erase_again(folder: Path) -> int:
    """Erase who was erased before a restore, as the log beside the backups says; returns how many."""
    again = erasure.apply_again(folder, now=timezone.now())
    if again:
        say(_("Cancellate di nuovo %(people)s persone.") % {"people": again})
    return again


def _brand(slug: str) -> Brand | None:
    brand = Brand.objects.filter(slug=slug).first()
    if brand is None:
        say(_("Non c’è un marchio «%(slug)s».") % {"slug": slug})
    return brand
