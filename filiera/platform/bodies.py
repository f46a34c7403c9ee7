"""How much of a request is read, and who waits for it: the event loop, so that a slow sender holds no thread."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final

import orjson
from django.utils.translation import gettext as _

LARGEST: Final = 12_000_000
"""Bytes of a request; forms, API and the checks of the opposition register (10 MB) fit in."""
LARGEST_FILE: Final = 210_000_000
"""Bytes of a request that brings a list of people (200 MB of CSV); it is read as it comes, a few at a time."""
FILES_AT_ONCE: Final = 2
SLOWEST_S: Final = 60
SLOWEST_FILE_S: Final = 600
"""What has not come by then is let go of."""
_BODILESS = ("GET", "HEAD", "OPTIONS")

Scope = Mapping[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]


class HungUp(Exception):
    """The client went away before its request was there."""


class Bodies:
    """Hand over a request once all of it is here. What is too large gets 413, what is too slow 408.

    `files` are the paths that take whole files: those are handed over at once, two at a time.
    """

    def __init__(self, application: Application, *, files: Collection[str]) -> None:
        self.application = application
        self.files = files
        self.turn = asyncio.Semaphore(FILES_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] in _BODILESS:
            return await self.application(scope, receive, send)
        if scope["path"] in self.files:
            if _announced(headers_of(scope)) > LARGEST_FILE:
                return await _refuse(scope, send, 413)
            async with self.turn:
                return await self.application(scope, _until(SLOWEST_FILE_S, receive), send)
        try:
            async with asyncio.timeout(SLOWEST_S):
                body = await read_body(receive, headers_of(scope), LARGEST)
        except TimeoutError:
            return await _refuse(scope, send, 408)
        except HungUp:
            return None
        if body is None:
            return await _refuse(scope, send, 413)

        async def read() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        return await self.application(scope, read, send)


def _until(seconds: float, receive: Any) -> Callable[[], Awaitable[Any]]:
    end = asyncio.get_running_loop().time() + seconds

    async def read() -> Any:
        try:
            async with asyncio.timeout_at(end):
                return await receive()
        except TimeoutError:
            return {"type": "http.disconnect"}

    return read


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers as text; ASGI gives their names in lower case. Of a repeated one the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def read_body(receive: Any, headers: Mapping[str, str], limit: int) -> bytes | None:
    """Return the body, None when it is larger than `limit` bytes; not more than that is ever held. Raises HungUp."""
    if _announced(headers) > limit:
        return None
    message = await receive()
    if message["type"] == "http.disconnect":
        raise HungUp
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body if len(body) <= limit else None
    parts, size = [body], len(body)
    while message.get("more_body") and size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    return b"".join(parts) if size <= limit else None


def _announced(headers: Mapping[str, str]) -> int:
    announced = headers.get("content-length", "")
    return int(announced[:15]) if announced.isascii() and announced.isdigit() else 0


async def _refuse(scope: Scope, send: Any, status: int) -> None:
    code, sentence = {
        408: ("REQUEST_TIMEOUT", _("La richiesta è arrivata a metà: riprova.")),
        413: ("PAYLOAD_TOO_LARGE", _("È troppo grande: non l’abbiamo letto.")),
    }[status]
    kind, body = b"text/plain; charset=utf-8", sentence.encode()
    if scope["path"].startswith("/api/"):
        told = {"success": False, "error": {"code": code, "message": sentence}}
        kind, body = b"application/json", orjson.dumps(told)
    headers = [(b"content-type", kind), (b"x-content-type-options", b"nosniff"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
