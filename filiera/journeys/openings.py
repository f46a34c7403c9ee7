"""Opening a brand: what must be there before its first lead comes."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from filiera.identity import vault
from filiera.identity.models import Brand, Role, User, UserRole, VaultKey
from filiera.identity.permissions import Principal
from filiera.pipeline import commands as pipeline
from filiera.platform import brand_scope, circuit
from filiera.platform.refusals import Forbidden, Invalid, Refused
from filiera.routing import calendar, rules
from filiera.routing.models import Connection

CLOUDTALK = "cloudtalk"
CLOUDTALK_URL = "https://my.cloudtalk.io/api"
CLOUDTALK_ANALYTICS_URL = "https://analytics-api.cloudtalk.io/api"
WORKING_WEEK = {day: [["09:00", "18:00"]] for day in rules.DAYS[:5]}


class BrandTaken(Refused):
    code = "SLUG_TAKEN"


@dataclass(frozen=True, slots=True)
class Connected:
    """A telephony connection and the token for its events, which is shown this once."""

    connection: Connection
    token: str


@transaction.atomic
def open_for(
    principal: Principal, *, name: str, slug: str = "", settings: Mapping[str, Any] | None = None
) -> Brand:
    """Open another brand for a person who administers the installation, and let them into it.

    `settings` are those of `change_brand`; working hours are Monday to Friday from 9 to 18 unless they are among them.
    Raises Forbidden, Invalid, BrandTaken.
    """
    if not principal.may("manage_brands"):
        raise Forbidden(_("Un marchio lo apre solo chi amministra tutto."))
    given = {"working_hours": WORKING_WEEK, **(settings or {}), "name": name}
    _refuse_wrong(given)
    brand = open_brand(name=name, slug=slug)
    _write(brand, given)
    with brand_scope.use(brand.id):
        UserRole.objects.create(user=principal.user, role=Role.SUPER_ADMIN, granted_by=principal.user)
    return brand


@transaction.atomic
def change_brand(*, brand_id: UUID, changes: Mapping[str, Any]) -> Brand:
    """Change name, tagline, accent, timezone, working_hours (as `routing.rules.read_hours` reads them, None for any) or
    holidays (as `routing.calendar` keeps them).

    Raises Invalid with a sentence at each field that is wrong.
    """
    _refuse_wrong(changes)
    brand = Brand.objects.select_for_update(no_key=True).get(pk=brand_id)
    _write(brand, changes)
    return brand


def _write(brand: Brand, changes: Mapping[str, Any]) -> None:
    changes = dict(changes)
    if "working_hours" in changes:
        brand.settings["working_hours"] = changes.pop("working_hours")
    if "holidays" in changes:
        brand.settings["holidays"] = calendar.kept(changes.pop("holidays") or {})
    for name, value in changes.items():
        setattr(brand, name, value.strip())
    brand.save(update_fields=["settings", *changes])


def _refuse_wrong(given: Mapping[str, Any]) -> None:
    wrong: dict[str, list[str]] = {}
    for name, longest in (("name", 255), ("tagline", 100)):
        text = given.get(name, "x")
        if len(text) > longest:
            wrong[name] = [_("Troppo lungo: al massimo %(letters)s lettere.") % {"letters": longest}]
        elif not text.strip() and name == "name":
            wrong[name] = [_("Scrivi come si chiama il marchio.")]
    if given.get("accent", Brand.Accent.LAGUNA) not in Brand.Accent.values:
        wrong["accent"] = [
            _("Questo colore non è offerto: sceglilo tra %(colours)s.") % {"colours": _colours()}
        ]
    if given.get("timezone", "Europe/Rome") not in available_timezones():
        wrong["timezone"] = [_("Questo fuso non c’è. Scrivilo come Europe/Rome.")]
    try:
        rules.read_hours(given.get("working_hours"))
    except (ValueError, TypeError, AttributeError):
        wrong["working_hours"] = [
            _("Orari così: lunedì [[“09:00”, “13:00”], [“14:00”, “18:00”]], senza accavallarli.")
        ]
    try:
        calendar.kept(given.get("holidays") or {})
    except Invalid as refusal:
        wrong["holidays"] = [str(refusal)]
    if wrong:
        raise Invalid(_("Alcuni campi non vanno bene."), details=wrong)


def _colours() -> str:
    return ", ".join(Brand.Accent.values)


def open_brand(*, name: str, slug: str = "", accent: str = "", tagline: str = "") -> Brand:
    """Create a brand with its stages and rules. Raises Invalid without a usable name, BrandTaken for a known one."""
    slug = slugify(slug or name)[:100]
    if not slug:
        raise Invalid(_("Il marchio ha bisogno di un nome."), details={"name": [_("Campo obbligatorio")]})
    brand, is_new = Brand.objects.get_or_create(
        slug=slug,
        defaults={"name": name.strip(), "accent": accent or Brand.Accent.LAGUNA, "tagline": tagline},
    )
    if not is_new:
        raise BrandTaken(
            _("C’è già un marchio con questo nome breve: %(slug)s.") % {"slug": slug},
            details={"slug": [_("È già preso: scegline un altro.")]},
        )
    with brand_scope.use(brand.id):
        pipeline.set_up_brand()
    return brand


def give_role(*, brand: Brand, email: str, name: str, role: str = Role.ADMIN, password: str = "") -> User:
    """Give a person a role in a brand, creating the account when the e-mail is new; `password` is set when given."""
    email = email.strip().lower()
    user = User.objects.filter(email=email).first() or User(email=email, name=name.strip() or email)
    if password:
        user.set_password(password)
    elif user._state.adding:
        user.set_unusable_password()
    user.save()
    with brand_scope.use(brand.id):
        UserRole.objects.get_or_create(user=user, role=role, brand_id=brand.id)
    return user


def connect_cloudtalk(
    *,
    brand: Brand,
    key_id: str,
    key_secret: str,
    base_url: str = CLOUDTALK_URL,
    analytics_url: str = CLOUDTALK_ANALYTICS_URL,
    token: str = "",
) -> Connected:
    """Connect a brand to its CloudTalk account, or replace the keys of the connection it has.

    The keys go to the vault; of the token only a hash is kept. One account has one budget of requests and one circuit
    breaker, however many brands use it.
    """
    account = f"{CLOUDTALK}:{key_id}"
    token = token or secrets.token_urlsafe(32)
    with brand_scope.use(brand.id):
        VaultKey.objects.filter(service=CLOUDTALK).update(is_active=False)
        key = vault.store(service=CLOUDTALK, secret=f"{key_id}:{key_secret}", label="CloudTalk")
        connection, _is_new = Connection.objects.update_or_create(
            brand_id=brand.id,
            provider=CLOUDTALK,
            defaults={
                "account": account,
                "base_url": base_url,
                "analytics_url": analytics_url,
                "vault_key": key,
                "circuit": circuit.ensure(account),
                "webhook_token_hash": hashlib.sha256(token.encode()).hexdigest(),
                "is_enabled": True,
                "disabled_reason": "",
            },
        )
    return Connected(connection, token)
