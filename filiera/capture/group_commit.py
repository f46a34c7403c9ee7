"""Concurrent requests share a commit: durability costs each of them a fraction of a flush (decision 3).

Whatever has queued up since the last flush goes with the next one. Under load the next one waits a moment for the
senders whom the last one answered: what a flush costs besides its rows is then shared by all of them, which doubles
what a core accepts. One statement stores a whole batch (the function capture_accept); a request is answered only after
that statement has committed and its commit is on disk.

Those are two steps. The statement commits without waiting for the disk, so that the locks it took (the token buckets
of its sources, the queue of NOTIFY) are free at once for the other processes; then an empty transaction that does wait
carries everything before it to the disk, together with what other processes wait for.
"""

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from filiera.platform import outages

log = logging.getLogger("filiera.capture")

CROWD = 8  # a flush of fewer is no load, and its followers wait for nobody
GATHER_S = 0.010
MOST_PER_FLUSH = 500
MOST_BYTES_PER_FLUSH = 8 * 1024 * 1024
MOST_WAITING = 4_000
MOST_BYTES_WAITING = 64 * 1024 * 1024
TIMEOUT_S = 5.0  # of a flush: a sender gives up after 10 s, and must have heard from us before
TOUCHED_FOR = timedelta(minutes=1)  # how exact "last used" of a source is

_STATEMENT = "select * from capture_accept({})".format(", ".join(f"${number}" for number in range(1, 20)))

# The journal is written in order: once this commit is on disk, so is every earlier one.
_ON_DISK = (
    "begin; set local synchronous_commit to on; select pg_logical_emit_message(true, 'filiera', ''); commit"
)


class Unavailable(Exception):
    """Nothing was stored for sure: the database is away, full or slow, or too much is waiting already."""


class Unstorable(Exception):
    """The database refuses the content of this one request."""


class Entry(NamedTuple):
    """One request on its way to the database, in the order of the function's arrays; without an id, a token only."""

    id: UUID | None
    source_id: UUID
    request_id: str
    own_id: bool
    lead_id: str
    path: str
    headers: str
    body: bytes
    body_hash: str
    status: str
    response: str
    reason: str
    address: str | None
    dedupe_key: str
    dedupe_window_s: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an entry: `stored`, or one of the exceptions that capture_accept tells."""

    what: str
    submission_id: UUID | None = None
    http_status: int = 0
    response: str | None = None
    wait_s: int = 0


_STORED = Outcome("stored")


class GroupCommit:
    """The flusher of one process: a second one would find smaller batches. Used inside its event loop only."""

    def __init__(self, dsn: str, *, max_retries: int) -> None:
        self._dsn = dsn
        self._max_retries = max_retries
        self._waiting: deque[tuple[Entry, asyncio.Future[Outcome]]] = deque()
        self._bytes_waiting = 0
        self._arrived = asyncio.Event()
        self._enough = 1  # as many as the flusher waits for
        self._flusher: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection | None = None
        self._closing = False
        self._touched: set[UUID] = set()
        self._touch_again_at = datetime.now(UTC) + TOUCHED_FOR

    async def accept(self, entry: Entry) -> Outcome:
        """Return what became of an entry, after the commit. Raises Unavailable or Unstorable."""
        size = len(entry.body)
        if (
            self._closing
            or len(self._waiting) >= MOST_WAITING
            or self._bytes_waiting + size > MOST_BYTES_WAITING
        ):
            raise Unavailable("too much is waiting")
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_for_ever())
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, done))
        self._bytes_waiting += size
        if len(self._waiting) >= self._enough:
            self._arrived.set()
        return await done

    async def close(self) -> None:
        """Flush what waits, then let the connections go."""
        self._closing = True
        self._arrived.set()
        if self._flusher is not None:
            await asyncio.wait([self._flusher], timeout=TIMEOUT_S)
            self._flusher.cancel()
        self._drop()

    async def _flush_for_ever(self) -> None:
        answered = 0
        while True:
            if answered >= CROWD:
                await self._arrival_of(len(self._waiting) + answered, limit_s=GATHER_S)
            await self._arrival_of(1)
            if not self._waiting:
                return
            batch = self._take()
            answered = len(batch)
            try:
                await self._flush(batch)
            except Exception as trouble:
                if not isinstance(trouble, outages.CONNECTION_LOST):
                    log.exception("Errore producer")
                else:
                    log.warning("the batch could not be stored: %s", type(trouble).__name__)
                self._drop()
                # What came behind would wait as long for the same answer.
                while self._waiting:
                    batch += self._take()
                for _entry, done in batch:
                    if not done.done():
                        done.set_exception(Unavailable(type(trouble).__name__))

    async def _arrival_of(self, many: int, *, limit_s: float | None = None) -> None:
        """Wait until `many` wait, or the limit, or the end."""
        self._enough = min(many, MOST_PER_FLUSH)
        if len(self._waiting) >= self._enough or self._closing:
            return
        self._arrived.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._arrived.wait()

    def _take(self) -> list[tuple[Entry, asyncio.Future[Outcome]]]:
        batch: list[tuple[Entry, asyncio.Future[Outcome]]] = []
        size = 0
        while self._waiting and len(batch) < MOST_PER_FLUSH:
            length = len(self._waiting[0][0].body)
            if batch and size + length > MOST_BYTES_PER_FLUSH:
                break
            batch.append(self._waiting.popleft())
            size += length
        self._bytes_waiting -= size
        return batch

    async def _flush(self, batch: list[tuple[Entry, asyncio.Future[Outcome]]]) -> None:
        """Store a batch and wake who waits for it; a content that the database refuses is isolated."""
        try:
            outcomes = await self._store([entry for entry, _done in batch])
        except (
            asyncpg.DataError,
            asyncpg.ProgramLimitExceededError,
            asyncpg.UntranslatableCharacterError,
        ) as no:
            if len(batch) == 1:
                log.warning("a request was refused by the database: %s", type(no).__name__)
                if not batch[0][1].done():
                    batch[0][1].set_exception(Unstorable(type(no).__name__))
                return
            for pair in batch:
                await self._flush([pair])
            return
        for place, (_entry, done) in enumerate(batch, 1):
            if not done.done():
                done.set_result(outcomes.get(place, _STORED))

    async def _store(self, entries: list[Entry]) -> dict[int, Outcome]:
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = self._connection = await connect(self._dsn, synchronous_commit="off")
        now = datetime.now(UTC)
        sources = {entry.source_id for entry in entries}
        touch = not self._touched.issuperset(sources) or now >= self._touch_again_at
        columns: Any = zip(*entries, strict=True)
        rows = await connection.fetch(_STATEMENT, now, self._max_retries, list(sources), touch, *columns)
        await connection.execute(_ON_DISK)
        if touch:
            if now >= self._touch_again_at:
                self._touched, self._touch_again_at = set(), now + TOUCHED_FOR
            self._touched |= sources
        return {
            row["place"]: Outcome(
                row["outcome"],
                row["submission_id"],
                row["http_status"] or 0,
                row["response"],
                row["wait_s"] or 0,
            )
            for row in rows
        }

    def _drop(self) -> None:
        """Forget the connection: nobody knows its state."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.terminate()


async def connect(dsn: str, *, timeout_s: float = TIMEOUT_S, **settings: str) -> asyncpg.Connection:
    """Return a connection of the runtime role on which no statement waits longer than `timeout_s`."""
    return await asyncpg.connect(
        dsn,
        timeout=min(timeout_s, 3.0),
        command_timeout=timeout_s,
        # The server gives up first, so that what was answered with "try later" is not stored after all.
        server_settings={
            "application_name": "filiera-accept",
            "app.actor_kind": "machine",
            "statement_timeout": str(int(timeout_s * 900)),
            **settings,
        },
    )
