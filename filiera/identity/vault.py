"""Secrets of a brand: encrypted where they lie, clear only in the hands of the client that needs them.

AES-256-GCM with a random nonce, the key's version kept beside, and the row's id and brand as context: a ciphertext
copied to another row or brand does not decrypt (CNN-28).
"""

import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from filiera.identity.models import User, VaultKey
from filiera.platform import brand_scope
from filiera.platform.ids import new_id

KEY_VERSION = 1


class VaultLocked(Exception):
    """The stored secret does not open with this installation's master key."""


def seal(secret: str, *, context: str) -> bytes:
    """Return nonce and ciphertext of a secret, bound to `context`."""
    nonce = os.urandom(12)
    return nonce + _cipher().encrypt(nonce, secret.encode(), context.encode())


def unseal(sealed: bytes, *, context: str) -> str:
    """Return the clear secret. Raises VaultLocked when key or context are not those it was sealed with."""
    try:
        return _cipher().decrypt(bytes(sealed[:12]), bytes(sealed[12:]), context.encode()).decode()
    except InvalidTag as error:
        raise VaultLocked("the master key or the context of this secret is another one") from error


def store(*, service: str, secret: str, label: str = "", user: User | None = None) -> VaultKey:
    """Encrypt and keep a secret of the current brand."""
    brand_id, key_id = brand_scope.current(), new_id()
    sealed = seal(secret, context=context_of(brand_id, key_id))
    return VaultKey.objects.create(
        id=key_id,
        brand_id=brand_id,
        service=service,
        label=label,
        nonce=sealed[:12],
        ciphertext=sealed[12:],
        key_version=KEY_VERSION,
        last4=secret[-4:],
        user=user,
    )


def reveal(key: VaultKey) -> str:
    """Return the clear secret of an active key. Raises VaultLocked when it is disabled or does not open."""
    if not key.is_active:
        raise VaultLocked("this key is disabled")
    return unseal(bytes(key.nonce) + bytes(key.ciphertext), context=context_of(key.brand_id, key.id))


def context_of(brand_id: UUID, key_id: UUID) -> str:
    """Return what a key's ciphertext is bound to: its own row and brand."""
    return f"{brand_id}:{key_id}"


def _cipher() -> AESGCM:
    master = os.environ.get("ENCRYPTION_MASTER_KEY", settings.SECRET_KEY).encode()
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=b"filiera vault").derive(master))
