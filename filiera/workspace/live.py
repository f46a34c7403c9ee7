"""The event stream of the workspace: GET /live tells a signed-in person's pages which topics changed.

One connection of each web process listens on the PostgreSQL channel `filiera_live`, whose payload is
`<brand id>:<topic>`. A stream carries the topics of one brand and no data: the page reads again what it shows,
under row security. Bursts are gathered, so that a thousand leads are a few events. Who looks at a record
(`<brand id>:looking:<line>`) is stored nowhere: the line goes on to those who may see people.
"""

import asyncio
import contextlib
import logging
from http.cookies import CookieError, SimpleCookie
from typing import Any
from uuid import UUID

import asyncpg
from asgiref.sync import sync_to_async
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from django.db import connection
from django.utils import timezone

from filiera.identity import sessions

log = logging.getLogger("filiera.live")

CHANNEL = "filiera_live"
GATHER_S = 0.2
HEARTBEAT_S = 20.0
RECHECK_EVERY = 3  # heartbeats between two looks at the session: a sign-out ends the stream within a minute
RETRY_MS = 3000
MOST_STREAMS = 1000
ABOUT_PEOPLE = frozenset({"looking"})

Door = tuple[UUID, bool]  # the brand in use, and whether its people may be seen


class Stream:
    """One open page: the topics that changed since it was last told, and whether it must end."""

    def __init__(self, *, sees_people: bool) -> None:
        self.sees_people = sees_people
        self.topics: set[str] = set()
        self.changed = asyncio.Event()
        self.ended = False

    def tell(self, told: str) -> None:
        if self.sees_people or told.partition(":")[0] not in ABOUT_PEOPLE:
            self.topics.add(told)
            self.changed.set()

    def end(self) -> None:
        self.ended = True
        self.changed.set()

    def take(self) -> list[str]:
        topics = sorted(self.topics)
        self.topics.clear()
        self.changed.clear()
        return topics


class Hub:
    """The streams of this process by brand, fed by one listening connection, opened with the first stream."""

    def __init__(self) -> None:
        self.streams: dict[UUID, set[Stream]] = {}
        self.listener: asyncpg.Connection[Any] | None = None
        self.lock = asyncio.Lock()

    async def join(self, brand_id: UUID, *, sees_people: bool) -> Stream:
        """Return a new stream of the brand. Raises OSError or PostgresError when the database cannot be heard."""
        async with self.lock:
            if self.listener is None or self.listener.is_closed():
                self.listener = await self._listen()
        stream = Stream(sees_people=sees_people)
        self.streams.setdefault(brand_id, set()).add(stream)
        return stream

    def leave(self, brand_id: UUID, stream: Stream) -> None:
        members = self.streams.get(brand_id, set())
        members.discard(stream)
        if not members:
            self.streams.pop(brand_id, None)

    @property
    def size(self) -> int:
        return sum(len(members) for members in self.streams.values())

    def hear(self, payload: str) -> None:
        """Tell a brand's streams the topic of a notification; what is not `<brand id>:<topic>` is dropped."""
        brand, _colon, topic = payload.partition(":")
        with contextlib.suppress(ValueError):
            for stream in self.streams.get(UUID(brand), ()):
                stream.tell(topic)

    async def _listen(self) -> "asyncpg.Connection[Any]":
        listener = await asyncpg.connect(**_database())
        listener.add_termination_listener(self._lost)
        await listener.add_listener(CHANNEL, lambda _conn, _pid, _channel, payload: self.hear(str(payload)))
        return listener

    def _lost(self, _connection: Any) -> None:
        """End every stream: browsers come back by themselves and read all again, so nothing is missed."""
        log.warning("the listening connection is lost")
        for members in self.streams.values():
            for stream in members:
                stream.end()


_hub = Hub()


async def application(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answer GET /live with the stream of the brand in use; 401 without a session."""
    if scope["type"] != "http":
        return
    if scope["method"] != "GET":
        await _refuse(send, 405)
        return
    door = await sync_to_async(_door_of)(_token(scope))
    if door is None or _hub.size >= MOST_STREAMS:
        await _refuse(send, 401 if door is None else 503)
        return
    brand_id, sees_people = door
    try:
        stream = await _hub.join(brand_id, sees_people=sees_people)
    except (OSError, asyncpg.PostgresError):
        log.warning("the stream cannot be opened", exc_info=True)
        await _refuse(send, 503)
        return
    gone = asyncio.create_task(_wait_until_gone(receive))
    try:
        await _tell(scope, send, stream, gone, door)
    finally:
        gone.cancel()
        _hub.leave(brand_id, stream)


async def _tell(
    scope: Scope,
    send: ASGISendCallable,
    stream: Stream,
    gone: "asyncio.Task[None]",
    door: Door,
) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"text/event-stream"),
                (b"cache-control", b"no-store"),
                (b"x-accel-buffering", b"no"),
                (b"x-content-type-options", b"nosniff"),
            ],
            "trailers": False,
        }
    )
    await _write(send, f"retry: {RETRY_MS}\n\n")
    quiet = 0
    while not stream.ended and not gone.done():
        changed = asyncio.create_task(stream.changed.wait())
        await asyncio.wait({changed, gone}, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()
        if gone.done() or stream.ended:
            break
        if not stream.changed.is_set():
            quiet += 1
            if quiet % RECHECK_EVERY == 0 and await sync_to_async(_door_of)(_token(scope)) != door:
                break
            await _write(send, ": still here\n\n")
            continue
        await asyncio.sleep(GATHER_S)
        await _write(
            send,
            "".join(
                f"event: {topic}\ndata: {line or topic}\n\n"
                for topic, _colon, line in (told.partition(":") for told in stream.take())
            ),
        )
    if not gone.done():
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _write(send: ASGISendCallable, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _wait_until_gone(receive: ASGIReceiveCallable) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(send: ASGISendCallable, status: int) -> None:
    headers = [(b"content-length", b"0"), (b"cache-control", b"no-store")]
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": headers,
            "trailers": False,
        }
    )
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _token(scope: Scope) -> str:
    """Return the token in the cookie that signs in, or nothing."""
    assert scope["type"] == "http"
    for name, value in scope["headers"]:
        if name == b"cookie":
            with contextlib.suppress(CookieError):
                cookie = SimpleCookie(value.decode("latin-1"))
                if sessions.COOKIE in cookie:
                    return cookie[sessions.COOKIE].value
    return ""


def _door_of(token: str) -> Door | None:
    """Return the brand in use of a living session and what may be heard there, by the same look as any request's."""
    if not token:
        return None
    try:
        found = sessions.look_up(token, now=timezone.now())
        principal = found.principal if found else None
        return (principal.brand_id, principal.may("view_contacts")) if principal else None
    finally:
        connection.close()  # back to the pool: this thread belongs to no request


def _database() -> dict[str, Any]:
    """Return asyncpg's arguments for the database that Django uses, also in a test."""
    chosen = connection.settings_dict
    return {
        "host": chosen["HOST"] or None,
        "port": int(chosen["PORT"]) if chosen["PORT"] else None,
        "user": chosen["USER"] or None,
        "password": chosen["PASSWORD"] or None,
        "database": chosen["NAME"],
        "timeout": 5,
    }
