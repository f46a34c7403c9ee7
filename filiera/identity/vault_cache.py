"""Secrets as this process remembers them, for five minutes at most and only while it hears of changes (CNN-27, CNN-28).

The database itself tells of every change of a key when it commits (the trigger `identity_vault_changed`); one
connection of each process listens, from the first secret that is read. While it does not, nothing is remembered.
"""

import logging
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

import psycopg
from django.db import connections, transaction

log = logging.getLogger("filiera.vault")

KEPT_FOR_S: Final = 300.0
CHANNEL: Final = "filiera_vault"
# A connection that died without a word is noticed within the seconds of both together.
ASKED_EVERY_S: Final = 10.0
UNANSWERED_MS: Final = 5_000
RECONNECT_S: Final = 1.0

_Name = tuple[UUID, str]


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a service's secret: None, and then the way to keep it."""

    name: _Name
    secret: str | None
    changes: int

    def keep(self, secret: str) -> None:
        """Remember the secret once the open transaction commits, unless a key of the brand changed meanwhile."""
        transaction.on_commit(partial(_ears.keep, self, secret))


def of(brand_id: UUID, service: str) -> Memory:
    """Return what this process remembers, and start to listen when it does not yet."""
    return _ears.recall((brand_id, service))


def forget(brand_id: UUID | None = None) -> None:
    """Forget a brand's secrets in this process, or all. The others hear of it from the database."""
    _ears.forget(brand_id)


class _Ears:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[_Name, tuple[float, str]] = {}
        self._changes = 0
        self._hears = False
        self._thread: threading.Thread | None = None

    def recall(self, name: _Name) -> Memory:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._listen, name="vault", daemon=True)
                self._thread.start()
            kept_until, secret = self._kept.get(name, (0.0, ""))
            known = self._hears and time.monotonic() < kept_until
            return Memory(name, secret if known else None, self._changes)

    def keep(self, memory: Memory, secret: str) -> None:
        with self._lock:
            if self._hears and memory.changes == self._changes:
                self._kept[memory.name] = (time.monotonic() + KEPT_FOR_S, secret)

    def forget(self, brand_id: UUID | None) -> None:
        with self._lock:
            self._changes += 1
            if brand_id is None:
                self._kept.clear()
            for name in [name for name in self._kept if name[0] == brand_id]:
                del self._kept[name]

    @property
    def hears(self) -> bool:
        return self._hears

    def _listen(self) -> None:
        while True:
            try:
                self._listen_once()
            except (psycopg.Error, OSError) as trouble:
                log.debug("nobody tells of changed keys, so none is remembered: %s", trouble)
            finally:
                self._hears = False
                self.forget(None)
            time.sleep(RECONNECT_S)

    def _listen_once(self) -> None:
        with psycopg.connect(**_database(), autocommit=True) as connection:
            connection.execute(f"listen {CHANNEL}")
            self.forget(None)
            self._hears = True
            while True:
                for notice in connection.notifies(timeout=ASKED_EVERY_S, stop_after=1):
                    self.forget(UUID(notice.payload) if notice.payload else None)
                connection.execute("select 1")


def _database() -> dict[str, Any]:
    given = connections["default"].get_connection_params()
    known = {name: given[name] for name in ("dbname", "user", "password", "host", "port") if given.get(name)}
    return {**known, "connect_timeout": 5, "tcp_user_timeout": UNANSWERED_MS, "keepalives_idle": 5}


_ears = _Ears()
