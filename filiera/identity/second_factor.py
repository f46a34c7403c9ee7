"""The second factor: a code from the person's telephone, and recovery codes for the day it is lost (IDN-22, IDN-23).

A passkey is one too (`passkeys.py`); what is common to both is here.

The rows are allauth's. What allauth leaves to a cache of each process is kept in the row, under a lock: which steps
were used, so that a code is good once in the whole house. Recovery codes are kept as hashes, not as a seed.
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from filiera.identity import audit, permissions, totp, vault
from filiera.identity.models import User
from filiera.platform.refusals import Invalid, Refused

TOLERANCE = (-1, 0, 1)
RECOVERY_CODES, RECOVERY_LENGTH = 10, 10
_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # none that is read as another
_PENDING = "pending"
_A_PASSKEY = Q(type=Authenticator.Type.WEBAUTHN)


class AlreadyOn(Refused):
    code = "MFA_ALREADY_ENABLED"


class WrongCode(Invalid):
    """A code that is not, or no longer, right."""


class Required(Refused):
    """The person's roles ask for a second factor (IDN-43)."""

    code = "MFA_REQUIRED"
    status = 403


@dataclass(frozen=True, slots=True)
class Setup:
    """What a telephone needs to make codes: the secret as text, as address and as a picture to point it at."""

    secret: str
    url: str
    svg: str


def is_on(user: User) -> bool:
    """Say whether the person signs in with a second factor: an app that makes codes, or a passkey."""
    return bool(Authenticator.objects.filter(_on() | _A_PASSKEY, user=user).exists())


def makes_codes(user: User) -> bool:
    """Say whether the person has an app that makes codes."""
    return bool(Authenticator.objects.filter(_on(), user=user).exists())


def is_required_of(roles: Iterable[str]) -> bool:
    """Say whether these roles, over all brands, need a second factor: who may do everything, or take data out."""
    return permissions.takes_data_out(permissions.of_roles(roles))


@transaction.atomic
def set_up(user: User) -> Setup:
    """Begin: return a secret that counts once a code of it was shown. The one of an earlier beginning is kept."""
    row = _row(user)
    if row is None:
        row = _written(user, totp.new_secret(), pending=True)
    elif not row.data.get(_PENDING):
        raise AlreadyOn(_("La verifica in due passaggi è già attiva."))
    secret = _secret_of(row)
    url = get_adapter().build_totp_url(user, secret)
    return Setup(secret, url, _svg(url))


@transaction.atomic
def enable(user: User, *, code: str, now: datetime) -> list[str]:
    """Turn the second factor on with a first code; return the recovery codes, in clear for the only time."""
    row = _row(user)
    if row is None:
        raise WrongCode(_("Comincia dall’inizio: il codice non è di questa configurazione."))
    if not row.data.get(_PENDING):
        raise AlreadyOn(_("La verifica in due passaggi è già attiva."))
    if not _take_step(row, code, now):
        raise _wrong()
    del row.data[_PENDING]
    row.save(update_fields=["data"])
    audit.secured(user, "MFA_ENABLED")
    return new_recovery_codes(user)


@transaction.atomic
def turn_on(user: User, *, secret: str) -> list[str]:
    """Turn the second factor on with a known secret, without a code: for who opens accounts by command."""
    Authenticator.objects.filter(user=user).delete()
    _written(user, secret, pending=False)
    return new_recovery_codes(user)


@transaction.atomic
def disable(user: User, *, code: str, is_required: bool, now: datetime) -> None:
    """Turn the app off with a code; passkeys stay. Raises Required for the last factor of who must have one."""
    if is_required and not Authenticator.objects.filter(_A_PASSKEY, user=user).exists():
        raise _required()
    if not verify(user, code=code, now=now):
        raise _wrong()
    Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).delete()
    audit.secured(user, "MFA_DISABLED")
    settle(user, is_required=is_required)


def settle(user: User, *, is_required: bool) -> None:
    """Let the recovery codes go with the last factor. Raises Required where the person's roles ask for one."""
    if is_on(user):
        return
    if is_required:
        raise _required()
    Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).delete()


@transaction.atomic
def renew_recovery_codes(user: User, *, code: str, now: datetime) -> list[str]:
    """Return new recovery codes; the old ones are void."""
    if not verify(user, code=code, now=now):
        raise _wrong()
    audit.secured(user, "RECOVERY_CODES_RENEWED")
    return new_recovery_codes(user)


@transaction.atomic
def verify(user: User, *, code: str, now: datetime) -> bool:
    """Say whether a code is right: of the telephone, each step once, or a recovery code, each once."""
    row = _row(user)
    given = "".join(code.split()).replace("-", "").lower()
    if len(given) == RECOVERY_LENGTH:
        return _take_recovery_code(user, given)
    if row is None or row.data.get(_PENDING):
        return False
    return _take_step(row, given, now)


def new_recovery_codes(user: User) -> list[str]:
    """Return ten codes that take the place of those before, in clear for the only time."""
    codes = [
        "".join(secrets.choice(_LETTERS) for _letter in range(RECOVERY_LENGTH)) for _ in range(RECOVERY_CODES)
    ]
    Authenticator.objects.update_or_create(
        user=user,
        type=Authenticator.Type.RECOVERY_CODES,
        defaults={"data": {"hashes": [_hash(user, code) for code in codes]}},
    )
    return codes


def recovery_codes_left(user: User) -> int:
    """Return how many recovery codes are still good."""
    row = Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).first()
    return len(row.data["hashes"]) if row else 0


def context_of(row: Authenticator) -> str:
    """Return what a sealed secret is bound to: its person."""
    return _context(row.user_id)


def _on() -> Q:
    return Q(type=Authenticator.Type.TOTP) & ~Q(data__has_key=_PENDING)


def _row(user: User) -> Authenticator | None:
    rows = Authenticator.objects.select_for_update().filter(user=user, type=Authenticator.Type.TOTP)
    return rows.first()


def _written(user: User, secret: str, *, pending: bool) -> Authenticator:
    data: dict[str, Any] = {
        "secret": b64encode(vault.seal(secret, context=_context(user.pk))).decode(),
        "used_steps": [],
    }
    if pending:
        data[_PENDING] = True
    return Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data=data)


def _secret_of(row: Authenticator) -> str:
    return vault.unseal(b64decode(row.data["secret"]), context=context_of(row))


def _context(user_id: UUID) -> str:
    return f"second factor:{user_id}"


def _take_step(row: Authenticator, code: str, now: datetime) -> bool:
    """Say whether this is the code of a step around `now` that was not used yet, and note it as used."""
    present = totp.step_at(now.timestamp())
    secret, used = _secret_of(row), row.data["used_steps"]
    for step in (present + shift for shift in TOLERANCE):
        if hmac.compare_digest(totp.code_at(secret, step).encode(), code.encode()):
            if step in used:
                return False
            row.data["used_steps"] = [*(old for old in used if old >= present - 2), step]
            row.last_used_at = now
            row.save(update_fields=["data", "last_used_at"])
            return True
    return False


def _take_recovery_code(user: User, code: str) -> bool:
    rows = Authenticator.objects.select_for_update().filter(user=user, type=Authenticator.Type.RECOVERY_CODES)
    row = rows.first()
    wanted = _hash(user, code)
    if row is None or wanted not in row.data["hashes"]:
        return False
    row.data["hashes"].remove(wanted)
    row.save(update_fields=["data"])
    audit.secured(user, "RECOVERY_CODE_USED")
    return True


def _hash(user: User, code: str) -> str:
    """Return what is kept of a recovery code; without the installation's key a copy of the rows gives none away."""
    key = hmac.new(settings.SECRET_KEY.encode(), b"filiera recovery codes", hashlib.sha256).digest()
    return hmac.new(key, f"{user.pk}:{code}".encode(), hashlib.sha256).hexdigest()


def _svg(url: str) -> str:
    """Return the code to point a telephone at, drawn without style or script: it stands in our page."""
    import qrcode
    from qrcode.image.svg import SvgPathImage

    image = qrcode.make(url, image_factory=SvgPathImage, border=2)
    drawn = str(image.to_string(encoding="unicode"))
    return drawn[drawn.index("<svg") :]


def _required() -> Required:
    return Required(_("Il tuo ruolo chiede la verifica in due passaggi: non si può spegnere."))


def _wrong() -> WrongCode:
    sentence = _("Il codice non è giusto, o è già stato usato. Aspetta il prossimo.")
    return WrongCode(sentence, details={"code": [sentence]})
