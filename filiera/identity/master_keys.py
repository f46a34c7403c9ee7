"""The master keys of the vault, by version: from the environment, else kept in the home. Never in the database.

Version 1 is ENCRYPTION_MASTER_KEY, else the installation's secret key; each rotation adds FILIERA_VAULT_KEY_2, _3, …
What the database knows of a key is a fingerprint, so that a process that was given another one notices.
"""

import hashlib
import hmac
import os
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from filiera.platform import home

FIRST_KEY = "ENCRYPTION_MASTER_KEY"
_found: dict[tuple[str, str], str] = {}


class VaultLocked(Exception):
    """The stored secret does not open with this installation's master key, or is not to be opened."""


def name_of(version: int) -> str:
    """Return the name of a version's key, in the environment and in the home."""
    return FIRST_KEY if version == 1 else f"FILIERA_VAULT_KEY_{version}"


def material(version: int) -> str:
    """Return a version's key as it is kept. Raises VaultLocked when this process has none."""
    name = name_of(version)
    if given := os.environ.get(name):
        return given
    if version == 1:
        return str(settings.SECRET_KEY)
    place = (str(settings.FILIERA_HOME), name)
    if place not in _found:
        kept = home.kept_secret(settings.FILIERA_HOME, name)
        if kept is None:
            raise VaultLocked(f"{name} is neither in the environment nor in the home")
        _found[place] = kept
    return _found[place]


def cipher(version: int) -> AESGCM:
    """Return the cipher of a version. Raises VaultLocked."""
    return _cipher(material(version))


def fingerprint(version: int) -> str:
    """Return what tells a version's key from another one without telling anything else of it. Raises VaultLocked."""
    return hmac.new(_derived(material(version)), b"filiera vault fingerprint", hashlib.sha256).hexdigest()[
        :16
    ]


def comes_from_environment(version: int) -> bool:
    """Say whether this installation is given its keys: then it must be given the next one too."""
    names = (FIRST_KEY, "FILIERA_SECRET_KEY") if version == 1 else (name_of(version),)
    return any(os.environ.get(name) for name in names)


def make(version: int) -> None:
    """Make a version's key in the home, unless it is there or in the environment already."""
    home.secret(settings.FILIERA_HOME, name_of(version))


@lru_cache(maxsize=16)
def _cipher(master: str) -> AESGCM:
    return AESGCM(_derived(master))


@lru_cache(maxsize=16)
def _derived(master: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"filiera vault").derive(master.encode())
