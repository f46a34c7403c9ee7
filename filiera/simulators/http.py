"""A small HTTP/1.1 server on asyncio, and a client that posts, for simulators only.

Hand-written because a simulator has to do what no framework lets an application do: hang up without an
answer, answer bytes that are not HTTP, or take a request and stay silent. And because it shares the machine
with what is measured against it: posting an event this way takes a tenth of what a full client takes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 12 * 1024 * 1024


class BadRequest(Exception):
    """What arrived is not HTTP; `status` says in which way."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str  # as sent: path and query
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "")

    def json(self) -> Any:
        """Return the body as JSON. Raises ValueError when it is not."""
        return orjson.loads(self.body)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def is_form(self) -> bool:
        return self.header("content-type").startswith("application/x-www-form-urlencoded")


@dataclass(slots=True)
class Answer:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Silence:
    """Close the connection without an answer, or first write `raw`, which need not be HTTP."""

    raw: bytes = b""


Handler = Callable[[Request], Awaitable[Answer | Silence]]


def json_answer(value: Any, status: int = 200, **headers: str) -> Answer:
    body = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    return Answer(status, body, headers={name.replace("_", "-"): text for name, text in headers.items()})


def text_answer(text: str, status: int = 200, content_type: str = "text/plain; charset=utf-8") -> Answer:
    return Answer(status, text.encode(), content_type)


def redirect(location: str) -> Answer:
    return Answer(303, headers={"Location": location})


class HttpServer:
    """Serves one handler on loopback until stopped."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> int:
        """Listen on 127.0.0.1 and return the port; for 0 the system chooses. Raises OSError."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", port, limit=MAX_HEAD_BYTES, backlog=1024
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0)  # who was let in a moment ago begins, and so can be ended
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await asyncio.sleep(0)  # their sockets are closed a turn of the loop later

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._serve_one(reader, writer):
                    pass
        except asyncio.CancelledError:
            writer.transport.abort()  # stopping: nobody waits for who does not read
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; True when the connection stays open for another."""
        try:
            request = await _read_request(reader, writer)
        except BadRequest as refused:
            writer.write(_head(Answer(refused.status), keep=False))
            await writer.drain()
            return False
        if request is None:
            return False
        answer = await self._handler(request)
        if isinstance(answer, Silence):
            writer.write(answer.raw)
            await writer.drain()
            return False
        keep = request.header("connection").lower() != "close"
        body = b"" if request.method == "HEAD" else answer.body
        writer.write(_head(answer, keep=keep) + body)
        await writer.drain()
        return keep


class Poster:
    """Posts to servers on this machine over connections that it keeps."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int], list[_Connection]] = {}

    async def post(
        self, url: str, body: bytes, headers: dict[str, str], *, timeout_s: float = 10.0
    ) -> tuple[int, bytes]:
        """Return status and body of the answer. Raises OSError, TimeoutError, or BadRequest for no HTTP."""
        parts = urlsplit(url)
        address = (parts.hostname or "", parts.port or 80)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [
            f"POST {target} HTTP/1.1",
            f"Host: {parts.netloc}",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        async with asyncio.timeout(timeout_s):
            connection = await self._connection(address)
            try:
                connection.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
                status, answer, keep = await _read_answer(connection.reader)
            except asyncio.IncompleteReadError as cut:
                connection.writer.close()
                raise ConnectionResetError("the connection ended within the answer") from cut
            except BaseException:
                connection.writer.close()
                raise
        if keep:
            self._idle.setdefault(address, []).append(connection)
        else:
            connection.writer.close()
        return status, answer

    def close(self) -> None:
        """Let the kept connections go."""
        for connections in self._idle.values():
            for connection in connections:
                connection.writer.close()
        self._idle.clear()

    async def _connection(self, address: tuple[str, int]) -> _Connection:
        idle = self._idle.get(address, [])
        while idle:
            connection = idle.pop()
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            connection.writer.close()
        return _Connection(*await asyncio.open_connection(*address, limit=MAX_HEAD_BYTES))


class _Connection(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Return status, body, and whether the connection may be used again."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        version, code = first.split(" ")[:2]
        headers = {name.strip().lower(): value.strip() for name, value in (li.split(":", 1) for li in lines)}
        status = int(code)
    except (ValueError, asyncio.LimitOverrunError):
        raise BadRequest(400) from None
    keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    if status in (204, 304):
        return status, b"", keep
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return status, await _read_chunks(reader), keep
    if "content-length" in headers:
        return status, await _read_exactly(reader, headers["content-length"]), keep
    return status, await reader.read(MAX_BODY_BYTES), False


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise BadRequest(431) from None
    except asyncio.IncompleteReadError:
        return None  # the other side closed between two requests
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    try:
        method, target, version = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, value in (li.split(":", 1) for li in lines)}
    except ValueError:
        raise BadRequest(400) from None
    if version == "HTTP/1.0":
        headers["connection"] = "close"
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = await _read_chunks(reader)
    else:
        body = await _read_exactly(reader, headers.get("content-length", "0"))
    url = urlsplit(target)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Request(method, target, unquote(url.path), query, headers, body)


async def _read_exactly(reader: asyncio.StreamReader, length: str) -> bytes:
    if not length.isascii() or not length.isdigit():
        raise BadRequest(400)
    if int(length) > MAX_BODY_BYTES:
        raise BadRequest(413)
    return await reader.readexactly(int(length))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        try:
            size = int((await reader.readline()).split(b";")[0], 16)
        except ValueError:
            raise BadRequest(400) from None
        if size < 0 or len(body) + size > MAX_BODY_BYTES:
            raise BadRequest(413)
        if size == 0:
            while (await reader.readline()).strip():  # trailers
                pass
            return bytes(body)
        body += await reader.readexactly(size)
        await reader.readexactly(2)


def _head(answer: Answer, *, keep: bool) -> bytes:
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [
        f"HTTP/1.1 {answer.status} {phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        f"Connection: {'keep-alive' if keep else 'close'}",
        "Cache-Control: no-store",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
