"""Secrets of a brand: encrypted where they lie, clear only in the hands of the client that needs them.

AES-256-GCM with a random nonce, the version of the master key kept beside, and the row's id and brand as context: a
ciphertext copied to another row or brand does not decrypt (CNN-28). What is read often is remembered for five minutes
in this process (`vault_cache`), and forgotten by every process the moment a key of the brand changes.
"""

import os
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from cryptography.exceptions import InvalidTag
from django.db import connection, transaction
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from filiera.identity import master_keys, vault_cache
from filiera.identity.master_keys import VaultLocked
from filiera.identity.models import User, VaultKey, VaultVersion
from filiera.platform import brand_scope
from filiera.platform.ids import new_id
from filiera.platform.refusals import Invalid, Missing

__all__ = ["VaultLocked"]

Binary = bytes | memoryview
USED_EVERY = timedelta(minutes=1)
LONGEST_SECRET = 10_000
_SHORTEST_SHOWN = 12  # of a shorter secret nothing is shown: four characters would be a third of it
_MARK = b"fv"
_NONCE = 12
# Held while something is sealed, and alone while the next version is made: nobody seals with the one before it.
_SEALING_LOCK = 7_305_118_021
_SERVICE = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,49}")
_PREFIX = re.compile(r"[A-Za-z]{2,7}[._-]")


class NoSuchKey(LookupError):
    """The brand has no active key of this service."""


# ── bytes ──


def seal(secret: str, *, context: str) -> bytes:
    """Return a secret as bytes that say which master key opens them, bound to `context`."""
    version = _version_to_seal_with()
    nonce, ciphertext = encrypt(version, secret, context)
    return _MARK + version.to_bytes(2, "big") + nonce + ciphertext


def unseal(sealed: bytes, *, context: str) -> str:
    """Return the clear secret. Raises VaultLocked when key or context are not those it was sealed with."""
    sealed = bytes(sealed)
    if sealed.startswith(_MARK):
        start = len(_MARK) + 2
        try:
            version = int.from_bytes(sealed[2:start], "big")
            return decrypt(version, sealed[start : start + _NONCE], sealed[start + _NONCE :], context=context)
        except VaultLocked:
            pass  # a nonce from before the mark may begin like it
    return decrypt(1, sealed[:_NONCE], sealed[_NONCE:], context=context)


def reseal(sealed: bytes, *, context: str, version: int) -> bytes | None:
    """Return a sealed secret under another version, None when it is that version's already. Raises VaultLocked."""
    mark = _MARK + version.to_bytes(2, "big")
    if bytes(sealed).startswith(mark):
        return None
    nonce, ciphertext = encrypt(version, unseal(sealed, context=context), context)
    return mark + nonce + ciphertext


def decrypt(version: int, nonce: Binary, ciphertext: Binary, *, context: str) -> str:
    """Return the clear secret of a row that keeps version, nonce and ciphertext apart. Raises VaultLocked."""
    if not version >= 1:
        raise VaultLocked(f"there is no version {version}")
    try:
        return master_keys.cipher(version).decrypt(bytes(nonce), bytes(ciphertext), context.encode()).decode()
    except (InvalidTag, ValueError) as error:
        raise VaultLocked("the master key or the context of this secret is another one") from error


def context_of(brand_id: UUID, key_id: UUID) -> str:
    """Return what a key's ciphertext is bound to: its own row and brand."""
    return f"{brand_id}:{key_id}"


# ── keys ──


@transaction.atomic
def store(
    *,
    service: str,
    secret: str,
    label: str = "",
    permissions: Sequence[str] = (),
    user: User | None = None,
) -> VaultKey:
    """Encrypt and keep a secret of the current brand."""
    brand_id, key_id = brand_scope.current(), new_id()
    version = _version_to_seal_with()
    nonce, ciphertext = encrypt(version, secret, context_of(brand_id, key_id))
    vault_cache.forget(brand_id)
    return VaultKey.objects.create(
        id=key_id,
        brand_id=brand_id,
        service=service,
        label=label,
        nonce=nonce,
        ciphertext=ciphertext,
        key_version=version,
        permissions=list(permissions),
        user=user,
        **_shown(secret),
    )


@transaction.atomic
def replace(*, key_id: UUID, secret: str, now: datetime) -> VaultKey:
    """Put another secret in a key's place: whoever reads the key has the new one from the commit on. Raises Missing."""
    key = key_for(key_id, lock=True)
    key.key_version = _version_to_seal_with()
    key.nonce, key.ciphertext = encrypt(key.key_version, secret, context_of(key.brand_id, key.id))
    key.replaced_at = now
    for name, value in _shown(secret).items():
        setattr(key, name, value)
    key.save(update_fields=["key_version", "nonce", "ciphertext", "replaced_at", "last4", "prefix"])
    vault_cache.forget(key.brand_id)
    return key


@transaction.atomic
def switch(*, key_id: UUID, is_active: bool) -> VaultKey:
    """Disable a key, at once and for every process, or let it be used again. Raises Missing."""
    key = key_for(key_id, lock=True)
    key.is_active = is_active
    key.save(update_fields=["is_active"])
    vault_cache.forget(key.brand_id)
    return key


def key_for(key_id: UUID, *, lock: bool = False) -> VaultKey:
    """Return a key of the current brand. Raises Missing, for another brand's as for none."""
    keys = VaultKey.objects.select_for_update(of=("self",)) if lock else VaultKey.objects.all()
    key = keys.filter(id=key_id).first()
    if key is None:
        raise Missing(_("Questa chiave non c’è."))
    return key


def read(*, service: str, secret: str) -> tuple[str, str]:
    """Return service and secret as they are kept. Raises Invalid with the field at fault."""
    service, secret = service.strip().lower(), secret.strip()
    details = {}
    if not _SERVICE.fullmatch(service):
        details["service"] = [_("Scrivi il nome del servizio: lettere, cifre, punti e trattini.")]
    if not secret or len(secret) > LONGEST_SECRET or not secret.isprintable():
        details["key"] = [_("Incolla la chiave così come la dà il servizio.")]
    if details:
        raise Invalid(_("Alcuni campi non vanno bene."), details=details)
    return service, secret


def get(service: str) -> str:
    """Return the newest active secret of a service in the current brand: from memory, else read and remembered.

    Raises NoSuchKey, or VaultLocked when it does not open.
    """
    brand_id = brand_scope.current()
    memory = vault_cache.of(brand_id, service)
    if memory.secret is not None:
        return memory.secret
    key = VaultKey.objects.filter(service=service, is_active=True).order_by("-created_at").first()
    if key is None:
        raise NoSuchKey(service)
    secret = reveal(key)
    memory.keep(secret)
    return secret


def reveal(key: VaultKey) -> str:
    """Return the clear secret of an active key. Raises VaultLocked when it is disabled or does not open.

    That it was used is noted at most once a minute.
    """
    if not key.is_active:
        raise VaultLocked("this key is disabled")
    secret = decrypt(key.key_version, key.nonce, key.ciphertext, context=context_of(key.brand_id, key.id))
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at <= now - USED_EVERY:
        due = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - USED_EVERY)
        VaultKey.objects.filter(due, id=key.id).update(last_used_at=now)
        key.last_used_at = now
    return secret


def masked(key: VaultKey) -> str:
    """Return all that is ever shown of a key: `pat.••••wxyz`."""
    return f"{key.prefix}••••{key.last4}"


# ── versions ──


def current_version() -> int:
    """Return the version of the master key that new secrets are sealed with."""
    return VaultVersion.objects.aggregate(newest=Max("version"))["newest"] or 1


def next_version(*, now: datetime) -> int:
    """Make the next master key the current one. Its key must be there; nobody seals with the old one afterwards.

    Raises VaultLocked when this process has no such key.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", [_SEALING_LOCK])
        version = current_version() + 1
        VaultVersion.objects.create(
            version=version, fingerprint=master_keys.fingerprint(version), made_at=now
        )
    return version


def _version_to_seal_with() -> int:
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock_shared(%s)", [_SEALING_LOCK])
    newest = VaultVersion.objects.order_by("-version").first()
    if newest is None:
        return 1
    if newest.fingerprint != master_keys.fingerprint(newest.version):
        raise VaultLocked(f"{master_keys.name_of(newest.version)} is not the key the others use")
    return newest.version


def encrypt(version: int, secret: str, context: str) -> tuple[bytes, bytes]:
    nonce = os.urandom(_NONCE)
    return nonce, master_keys.cipher(version).encrypt(nonce, secret.encode(), context.encode())


def _shown(secret: str) -> dict[str, str]:
    """Return what of a secret may be shown: how it begins when that only names its kind, and its end."""
    if len(secret) < _SHORTEST_SHOWN:
        return {"prefix": "", "last4": ""}
    kind = _PREFIX.match(secret)
    return {"prefix": kind[0] if kind else "", "last4": secret[-4:]}
