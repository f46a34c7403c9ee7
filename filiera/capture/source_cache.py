"""The sources as this process knows them, never older than half a second.

A changed or revoked key takes effect within a second in every process, and the database is asked at most twice a
second for each source, whatever the traffic.
"""

import asyncio
import time
from collections import OrderedDict
from uuid import UUID

import asyncpg
import orjson

from filiera.capture import group_commit
from filiera.capture.adapters import usable_mapping
from filiera.capture.intake import KnownSource, adapter_of, required_of
from filiera.identity import vault
from filiera.platform import outages

FRESH_FOR_S = 0.5
MOST_NAMES = 2_000
TIMEOUT_S = 2.0
_STATEMENT = "select * from capture_find_source($1)"


class SourceCache:
    """Sources by the name, host or origin they are asked for under."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._known: OrderedDict[str, tuple[float, KnownSource | None]] = OrderedDict()
        self._reading: dict[str, asyncio.Task[KnownSource | None]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._connection: asyncpg.Connection | None = None
        self._failed_at = 0.0

    def fresh(self, name: str) -> KnownSource | bool | None:
        """Return what is known and fresh without waiting; False when it has to be read."""
        known = self._known.get(name)
        return False if known is None or time.monotonic() > known[0] else known[1]

    async def find(self, name: str) -> KnownSource | None:
        """Return an active source, None when there is none. Raises group_commit.Unavailable.

        Requests that ask at the same time share one look.
        """
        known = self._known.get(name)
        if known is not None and time.monotonic() <= known[0]:
            return known[1]
        reading = self._reading.get(name)
        if reading is None:
            reading = self._reading[name] = asyncio.create_task(self._read(name))
            reading.add_done_callback(lambda _done: self._reading.pop(name, None))
        return await asyncio.shield(reading)

    async def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.terminate()

    async def _read(self, name: str) -> KnownSource | None:
        asked_at = time.monotonic()
        try:
            async with self._one_at_a_time:
                if (
                    self._failed_at > asked_at
                ):  # while this name waited for its turn: it would wait as long again
                    raise group_commit.Unavailable("the database is away")
                if self._connection is None or self._connection.is_closed():
                    self._connection = await group_commit.connect(self._dsn, timeout_s=TIMEOUT_S)
                # Counted from before the look: what changes while we look is seen half a second later at most.
                fresh_until = time.monotonic() + FRESH_FOR_S
                row = await self._connection.fetchrow(_STATEMENT, name)
        except outages.CONNECTION_LOST as trouble:
            self._failed_at = time.monotonic()
            if self._connection is not None:
                self._connection.terminate()
                self._connection = None
            raise group_commit.Unavailable(type(trouble).__name__) from trouble
        source = None if row is None else _source(row)
        self._known[name] = (fresh_until, source)
        self._known.move_to_end(name)
        while len(self._known) > MOST_NAMES:
            self._known.popitem(last=False)
        return source


def _source(row: asyncpg.Record) -> KnownSource:
    adapter = adapter_of(row["kind"])
    return KnownSource(
        id=UUID(int=row["id"].int),
        brand_id=UUID(int=row["brand_id"].int),
        name=row["name"],
        kind=row["kind"],
        auth_mode=row["auth_mode"],
        api_key_hash=row["api_key_hash"] or "",
        signing_secret=_clear(row["signing_secret"], row["id"]) or adapter.public_key,
        mapping=usable_mapping(orjson.loads(row["mapping"])),
        required=required_of(row["kind"], row["required_fields"]),
        allowed_origins=frozenset(row["allowed_origins"]),
    )


def signing_context(source_id: UUID | str) -> str:
    """Return what a signing secret is bound to when it is sealed."""
    return f"source:{source_id}"


def _clear(sealed: bytes | None, source_id: UUID) -> bytes:
    if not sealed:
        return b""
    try:
        return vault.unseal(bytes(sealed), context=signing_context(source_id)).encode()
    except vault.VaultLocked:
        return b""  # no signature verifies with it: the requests are refused, and the doctor says why
