"""The data folder of one installation: its secrets, its embedded database, its backups.

Imported before Django's settings exist, so it depends on the standard library alone.
"""

import fcntl
import json
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MODE_FOLDER = 0o700
MODE_SECRET = 0o600


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret and whether this very call made it, which is the one moment to show it."""

    value: str
    is_new: bool


def folder() -> Path:
    """Return the data folder, absolute: `FILIERA_HOME`, else `.filiera` here; made for its owner alone."""
    path = Path(os.environ.get("FILIERA_HOME") or ".filiera").expanduser().absolute()
    path.mkdir(mode=MODE_FOLDER, parents=True, exist_ok=True)
    return path


def subfolder(home: Path, name: str) -> Path:
    """Return a folder inside the home, made for its owner alone."""
    path = home / name
    path.mkdir(mode=MODE_FOLDER, exist_ok=True)
    return path


def secret_key(home: Path) -> str:
    """Return the key that signs sessions and encrypts the vault: `FILIERA_SECRET_KEY`, else made once and kept."""
    return secret(home, "FILIERA_SECRET_KEY").value


def backup_key(home: Path) -> Secret:
    """Return the 256-bit key of the backups, base64: `FILIERA_BACKUP_KEY`, else made at first use and kept."""
    return secret(home, "FILIERA_BACKUP_KEY")


def secret(home: Path, name: str) -> Secret:
    """Return the secret called `name` from the environment, else from the home, where it is made when missing."""
    if given := os.environ.get(name):
        return Secret(given, is_new=False)
    with locked(home / ".secrets.lock"):
        kept = _read(home)
        if name in kept:
            return Secret(kept[name], is_new=False)
        made = urlsafe_b64encode(secrets.token_bytes(32)).decode()
        _write(home, kept | {name: made})
        return Secret(made, is_new=True)


def keep_secret(home: Path, name: str, value: str) -> None:
    """Put `value` among the kept secrets, replacing an earlier one (a restore brings its keys along)."""
    with locked(home / ".secrets.lock"):
        _write(home, _read(home) | {name: value})


def kept_secret(home: Path, name: str) -> str | None:
    """Return the secret that the home itself keeps, whatever the environment says."""
    return _read(home).get(name)


def kept_secrets(home: Path, prefix: str) -> dict[str, str]:
    """Return the secrets that the home itself keeps under names that begin with `prefix`."""
    return {name: value for name, value in _read(home).items() if name.startswith(prefix)}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` alone among all processes of this machine; it falls with the process."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE_SECRET)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write_private(path: Path, content: bytes) -> None:
    """Replace `path` in one step with a file that only its owner reads; a crash leaves the old or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE_SECRET)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _read(home: Path) -> dict[str, str]:
    try:
        kept: dict[str, str] = json.loads((home / "secrets.json").read_text())
    except FileNotFoundError:
        return {}
    return kept


def _write(home: Path, kept: dict[str, str]) -> None:
    write_private(home / "secrets.json", json.dumps(kept, indent=1, sort_keys=True).encode())
