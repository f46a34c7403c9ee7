"""Passkeys: a key pair of a person's device in place of password and code, and as a second factor (decision 023).

The rows are allauth's (`mfa_authenticator`, type webauthn, with what the browser said when the key was made), the
protocol is python-fido2's. A passkey always asks its device for a finger, a face or a PIN: what the person has and what
they are or know, so that it counts as both factors. A challenge is a row, good once and for five minutes.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from filiera.identity import audit, second_factor
from filiera.identity.models import PasskeyStep, User
from filiera.platform.refusals import Invalid, Missing, Refused

STEP_LIVES = timedelta(minutes=5)
MOST = 20
LONGEST_NAME = 60
LONGEST_ANSWER = 20_000
_VERIFIED = UserVerificationRequirement.REQUIRED

T = TypeVar("T")


class NotRecognised(Refused):
    """What came is no answer of a passkey that is known here to a challenge that still waits."""

    code = "INVALID_CREDENTIALS"
    status = 401


class NotPossible(Refused):
    """Browsers bind passkeys to a name, and this installation is reached by a number or without encryption."""

    code = "PASSKEYS_NOT_POSSIBLE"
    status = 409


class TooMany(Refused):
    code = "TOO_MANY_PASSKEYS"


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey as its owner knows it."""

    id: int
    name: str
    created_at: datetime
    last_used_at: datetime | None


def are_possible() -> bool:
    """Say whether browsers allow passkeys at the address of this installation: a name, over TLS or on this machine."""
    parts = urlsplit(settings.BASE_URL)
    host = parts.hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return bool(host) and (parts.scheme == "https" or host == "localhost" or host.endswith(".localhost"))
    return False


def of(user: User) -> list[Passkey]:
    """Return a person's passkeys, the oldest first."""
    return [
        Passkey(row.pk, row.data["name"], row.created_at, row.last_used_at)
        for row in _rows(user).order_by("created_at", "pk")
    ]


def one_of(user: User, passkey_id: int) -> Passkey:
    """Return one of a person's passkeys. Raises Missing."""
    row = _row(user, passkey_id)
    return Passkey(row.pk, row.data["name"], row.created_at, row.last_used_at)


@transaction.atomic
def options_to_add(user: User, *, now: datetime) -> dict[str, Any]:
    """Return what a browser needs to make a passkey of this person. Raises NotPossible, TooMany."""
    server = _server()
    known = _credentials(_rows(user))
    if len(known) >= MOST:
        raise TooMany(_("Hai già %(most)d passkey: prima togline una.") % {"most": MOST})
    options, _state = server.register_begin(
        user=PublicKeyCredentialUserEntity(name=user.email, id=user.pk.bytes, display_name=user.name),
        credentials=known,
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=_VERIFIED,
        challenge=_new_challenge(user, PasskeyStep.Purpose.ADD, now),
        extensions={"credProps": True},
    )
    return dict(options["publicKey"])


@transaction.atomic
def add(user: User, *, name: str, answer: str, now: datetime) -> list[str]:
    """Keep the passkey that a browser made; return recovery codes when it is the person's first second factor.

    Raises NotRecognised, Invalid without a name, NotPossible.
    """
    name = _named(name)
    credential = _believed(lambda: RegistrationResponse.from_dict(_json(answer)))
    challenge = credential.response.client_data.challenge
    _use_up(challenge, PasskeyStep.Purpose.ADD, user, now)
    _believed(lambda: _server().register_complete(_waiting(challenge), credential))
    is_first = not second_factor.is_on(user)
    Authenticator.objects.create(
        user=user,
        type=Authenticator.Type.WEBAUTHN,
        data={"name": name, "credential": orjson.loads(answer), "counter": 0},
        created_at=now,
    )
    audit.secured(user, "PASSKEY_ADDED")
    return second_factor.new_recovery_codes(user) if is_first else []


def options_to_use(user: User | None, *, now: datetime) -> dict[str, Any]:
    """Return what a browser needs to let a passkey answer: one of `user`, or of whoever chooses theirs.

    Raises NotPossible.
    """
    options, _state = _server().authenticate_begin(
        credentials=_credentials(_rows(user)) if user else None,
        user_verification=_VERIFIED,
        challenge=_new_challenge(user, PasskeyStep.Purpose.USE, now),
    )
    return dict(options["publicKey"])


def whose(answer: str, *, user: User | None, now: datetime) -> User:
    """Return the person whose passkey answered, who is `user` where one is given. Raises NotRecognised, NotPossible.

    The challenge is used up, right or wrong: run in the transaction of the try, which is kept with it.
    """
    credential = _believed(lambda: AuthenticationResponse.from_dict(_json(answer)))
    challenge = credential.response.client_data.challenge
    _use_up(challenge, PasskeyStep.Purpose.USE, user, now)
    person = user or _owner(credential.response.user_handle)
    rows = list(_rows(person).select_for_update())
    found = _believed(
        lambda: _server().authenticate_complete(_waiting(challenge), _credentials(rows), credential)
    )
    row = next(row for row in rows if _credential(row).credential_id == found.credential_id)
    _note_use(row, credential.response.authenticator_data.counter, now)
    return person


@transaction.atomic
def rename(user: User, passkey_id: int, *, name: str) -> None:
    """Call a passkey by another name. Raises Missing, Invalid."""
    row = _row(user, passkey_id)
    row.data["name"] = _named(name)
    row.save(update_fields=["data"])


@transaction.atomic
def remove(user: User, passkey_id: int, *, is_required: bool) -> None:
    """Take a passkey away. Raises Missing, second_factor.Required for the last factor of who must have one."""
    row = _row(user, passkey_id)
    row.delete()
    audit.secured(user, "PASSKEY_REMOVED")
    second_factor.settle(user, is_required=is_required)


def tidy(now: datetime) -> int:
    """Delete challenges that nobody answered; return how many."""
    return PasskeyStep.objects.filter(created_at__lt=now - STEP_LIVES).delete()[0]


def _server() -> Fido2Server:
    if not are_possible():
        raise NotPossible(
            _(
                "A questo indirizzo le passkey non funzionano: servono un nome e una connessione cifrata (https)."
            )
        )
    parts = urlsplit(settings.BASE_URL)
    ours = f"{parts.scheme}://{parts.netloc}"
    rp = PublicKeyCredentialRpEntity(name="Filiera", id=parts.hostname)
    return Fido2Server(rp, verify_origin=lambda origin: bool(origin == ours))


def _rows(user: User) -> Any:
    return Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN)


def _row(user: User, passkey_id: int) -> Authenticator:
    row = _rows(user).select_for_update().filter(pk=passkey_id).first()
    if row is None:
        raise Missing(_("Questa passkey non c’è più."))
    return row


def _credential(row: Authenticator) -> AttestedCredentialData:
    made = RegistrationResponse.from_dict(row.data["credential"])
    key: AttestedCredentialData = made.response.attestation_object.auth_data.credential_data
    return key


def _credentials(rows: Iterable[Authenticator]) -> list[AttestedCredentialData]:
    return [_credential(row) for row in rows]


def _named(name: str) -> str:
    name = " ".join(name.split())[:LONGEST_NAME]
    if not name:
        sentence = _("Dai un nome alla passkey, per riconoscerla.")
        raise Invalid(sentence, details={"name": [sentence]})
    return name


def _new_challenge(user: User | None, purpose: str, now: datetime) -> bytes:
    challenge = secrets.token_bytes(32)
    PasskeyStep.objects.create(challenge_hash=_hash(challenge), purpose=purpose, user=user, created_at=now)
    return challenge


def _use_up(challenge: bytes, purpose: str, user: User | None, now: datetime) -> None:
    """Delete the step of a challenge. Raises NotRecognised when none waits for this person, or it is too old."""
    waiting = PasskeyStep.objects.filter(challenge_hash=_hash(challenge), purpose=purpose, user=user)
    if not waiting.filter(created_at__gt=now - STEP_LIVES).delete()[0]:
        raise _not_recognised()


def _waiting(challenge: bytes) -> Mapping[str, Any]:
    """Return the state of python-fido2: that the challenge is ours was found in its row."""
    return {"challenge": websafe_encode(challenge), "user_verification": _VERIFIED}


def _owner(user_handle: bytes | None) -> User:
    try:
        user = User.objects.filter(pk=UUID(bytes=user_handle)).first()
    except (TypeError, ValueError) as error:
        raise _not_recognised() from error
    if user is None:
        raise _not_recognised()
    return user


def _note_use(row: Authenticator, counter: int, now: datetime) -> None:
    """Note when a passkey was used. Raises NotRecognised for a counter that went back: a copy of the key is about."""
    if counter and counter <= row.data.get("counter", 0):
        raise _not_recognised()
    row.data["counter"] = counter
    row.last_used_at = now
    row.save(update_fields=["data", "last_used_at"])


def _json(answer: str) -> Mapping[str, Any]:
    told = orjson.loads(answer)
    if not isinstance(told, dict):
        raise ValueError("no object")
    return told


def _believed(step: Callable[[], T]) -> T:
    """Return what a step of the protocol gives; whatever it trips over is no answer of a passkey."""
    try:
        return step()
    except Refused:
        raise
    except (
        Exception
    ) as error:  # the library raises what its parsers raise: ValueError, struct.error, IndexError …
        raise _not_recognised() from error


def _not_recognised() -> NotRecognised:
    return NotRecognised(_("Questa passkey non è stata riconosciuta. Riprova, o entra con la password."))


def _hash(challenge: bytes) -> str:
    return hashlib.sha256(challenge).hexdigest()
