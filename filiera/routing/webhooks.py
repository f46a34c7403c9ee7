"""The door for the telephony provider's events: kept raw, answered after the commit, read by the worker (ROU-68).

An ASGI application in the event loop, in front of Django and without its ORM, as the doors of leads: a call makes five
events, and a provider's connections must not wait for each other. The events that are at the door together are
committed together.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import orjson
from django.conf import settings

from filiera.capture.accept import Reply, send_reply
from filiera.capture.group_commit import Unavailable, connect
from filiera.platform import metrics
from filiera.platform.bodies import HungUp, headers_of, read_body
from filiera.platform.ids import new_id
from filiera.platform.outages import CONNECTION_LOST, RETRY_AFTER_S
from filiera.routing import hooks

log = logging.getLogger("filiera.routing")

PREFIX: Final = "/api/v1/webhooks/cloudtalk/"
LARGEST_BODY: Final = 64 * 1024
MOST_WAITING: Final = 2_000
TOGETHER_S: Final = 0.05  # what comes within it shares a commit; a provider waits for seconds
TIMEOUT_S: Final = 2.0
FRESH_FOR_S: Final = 0.5  # a new token takes effect within a second in every process
MOST_CONNECTIONS: Final = 1_000
_KEPT_HEADERS: Final = ("content-type", "user-agent")
_ROUTE: Final = PREFIX + "<uuid:connection_id>"
_KEEP: Final = "select routing_keep_events($1, $2, $3, $4, $5, $6)"


class Owner(NamedTuple):
    """Whose events come in through a connection, and the hash of the token that proves it."""

    brand_id: UUID
    token_hash: str


class Kept(NamedTuple):
    """An event as it is stored."""

    id: UUID
    external_id: str
    headers: str
    body: bytes
    received_at: datetime


class EventDoor:
    """POST /api/v1/webhooks/cloudtalk/{connection}, for one web process."""

    @cached_property
    def inbox(self) -> Inbox:
        return Inbox(settings.DATABASE_URLS.app)

    def handles(self, path: str) -> bool:
        """Tell whether a path is this door's."""
        return path.startswith(PREFIX)

    async def close(self) -> None:
        """Commit what waits, and let the connection go."""
        await self.inbox.close()

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """Take one event; 200 also for one that came before. Never raises: what goes wrong is told as 500 or 503."""
        started = time.perf_counter()
        try:
            reply = await self._answer(scope, receive)
        except HungUp:
            return
        except Unavailable as trouble:
            log.warning("an event could not be kept: %s", trouble)
            retry = (b"retry-after", str(RETRY_AFTER_S).encode())
            reply = _failure(503, "SERVICE_UNAVAILABLE", "Try again", retry)
        except asyncpg.DataError:
            reply = _failure(400, "VALIDATION_ERROR", "The database refuses this content")
        except Exception:
            log.exception("the door of events failed")
            reply = _failure(500, "INTERNAL_ERROR", "Internal error")
        metrics.observe_request(scope["method"], _ROUTE, reply.status, time.perf_counter() - started)
        await send_reply(send, reply)

    async def _answer(self, scope: Mapping[str, Any], receive: Any) -> Reply:
        connection_id = _uuid(scope["path"].removeprefix(PREFIX))
        if connection_id is None:
            return _failure(404, "NOT_FOUND", "Not found")
        if scope["method"] != "POST":
            return _failure(405, "METHOD_NOT_ALLOWED", "POST", (b"allow", b"POST"))
        headers = headers_of(scope)
        owner = await self.inbox.owner_of(connection_id)
        if owner is None or not is_proven(owner, headers.get("authorization", "")):
            return _failure(401, "UNAUTHENTICATED", "Bearer token", (b"www-authenticate", b"Bearer"))
        body = await read_body(receive, headers, LARGEST_BODY)
        if body is None:
            return _failure(413, "PAYLOAD_TOO_LARGE", "64 kB")
        await self.inbox.keep(owner.brand_id, kept(headers, body, now=datetime.now(UTC)))
        return Reply(200, b'{"success":true}', (_JSON,))


def is_proven(owner: Owner, authorization: str) -> bool:
    """Tell whether a request shows the connection's token."""
    scheme, _space, token = authorization.partition(" ")
    given = hashlib.sha256(token.strip().encode("latin-1", "replace")).hexdigest()
    return hmac.compare_digest(given, owner.token_hash or "-") and scheme.lower() == "bearer"


def kept(headers: Mapping[str, str], body: bytes, *, now: datetime) -> Kept:
    """Return an event as it is stored: raw, under the id that makes a repetition of it the same."""
    few = {name: headers[name].replace("\0", "")[:1000] for name in _KEPT_HEADERS if name in headers}
    external_id = hooks.external_id(body, hooks.parse(body), now=now)[:255]
    return Kept(new_id(), external_id, orjson.dumps(few).decode(), body, now)


class _Waiting(NamedTuple):
    brand_id: UUID
    event: Kept
    done: asyncio.Future[None]


class Inbox:
    """Keeps events in the database, those of a moment with one commit. Used inside one event loop only."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._database: asyncpg.Connection | None = None
        self._one_at_a_time = asyncio.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._owners: OrderedDict[UUID, tuple[float, Owner | None]] = OrderedDict()

    async def owner_of(self, connection_id: UUID) -> Owner | None:
        """Return whose connection this is, as of half a second ago at most. Raises Unavailable."""
        known = self._owners.get(connection_id)
        if known is not None and time.monotonic() <= known[0]:
            return known[1]
        fresh_until = time.monotonic() + FRESH_FOR_S
        async with self._asking() as database:
            row = await database.fetchrow(
                "select brand_id, webhook_token_hash from routing_connection_of($1)", connection_id
            )
        owner = Owner(UUID(int=row["brand_id"].int), row["webhook_token_hash"]) if row else None
        self._owners[connection_id] = (fresh_until, owner)
        self._owners.move_to_end(connection_id)
        while len(self._owners) > MOST_CONNECTIONS:
            self._owners.popitem(last=False)
        return owner

    async def keep(self, brand_id: UUID, event: Kept) -> None:
        """Return once the event is committed, or was before. Raises Unavailable, asyncpg.DataError."""
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable("too much is waiting")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(brand_id, event, done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await done

    async def close(self) -> None:
        """Commit what waits, then let the connection go."""
        if self._flushing is not None:
            await asyncio.wait([self._flushing], timeout=TIMEOUT_S)
        self._drop()

    async def _flush(self) -> None:
        """Commit until nothing waits: each time all that came in a moment, or during the commit before."""
        while self._waiting:
            await asyncio.sleep(TOGETHER_S)
            batch: dict[UUID, list[_Waiting]] = {}
            while self._waiting:
                waiting = self._waiting.popleft()
                batch.setdefault(waiting.brand_id, []).append(waiting)
            for brand_id, events in batch.items():
                await self._keep_all(brand_id, events)

    async def _keep_all(self, brand_id: UUID, waiting: list[_Waiting]) -> None:
        """Store events of one brand and tell who waits for it; one that the database refuses is isolated."""
        trouble: Exception | None = None
        try:
            await self._store(brand_id, [one.event for one in waiting])
        except asyncpg.DataError as refused:
            if len(waiting) > 1:
                for one in waiting:
                    await self._keep_all(brand_id, [one])
                return
            trouble = refused
        except Exception as fault:  # told to each of them
            trouble = fault
        for one in waiting:
            if one.done.done():  # its sender hung up
                continue
            if trouble is None:
                one.done.set_result(None)
            else:
                one.done.set_exception(trouble)

    async def _store(self, brand_id: UUID, events: list[Kept]) -> None:
        columns: Any = zip(*events, strict=True)
        async with self._asking() as database:
            await database.execute(_KEEP, brand_id, *map(list, columns))

    @contextlib.asynccontextmanager
    async def _asking(self) -> Any:
        """Give the connection to one question at a time. Raises Unavailable, whatever the database's trouble is."""
        async with self._one_at_a_time:
            try:
                if self._database is None or self._database.is_closed():
                    self._database = await connect(self._dsn, timeout_s=TIMEOUT_S)
                yield self._database
            except asyncpg.DataError:
                raise
            except CONNECTION_LOST as trouble:
                self._drop()
                raise Unavailable(type(trouble).__name__) from trouble

    def _drop(self) -> None:
        if self._database is not None:
            self._database.terminate()
            self._database = None


_JSON: Final = (b"content-type", b"application/json")


def _failure(status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> Reply:
    error = {"success": False, "error": {"code": code, "message": message}}
    return Reply(status, orjson.dumps(error), (_JSON, *headers))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
