"""What is read of a request, by the web process itself: too large and too slow are let go of, and hold no thread."""

import asyncio
from typing import Any

from filiera.platform import bodies
from filiera.platform.bodies import Bodies

FILE = "/leads/importa/file"


def told(
    *messages: dict[str, Any], path: str = "/api/v1/tags", headers: dict[str, str] | None = None
) -> tuple[list[bytes], list[Any]]:
    """Send a request in these messages, an empty one never comes; return what was read and said."""
    read: list[bytes] = []
    sent: list[Any] = []
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        message = waiting.pop(0)
        if not message:
            await asyncio.sleep(60)
        return message

    async def send(message: Any) -> None:
        sent.append(message.get("status") or message["body"])

    async def application(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            read.append(message.get("body", b""))
            if not message.get("more_body"):
                break

    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
    }
    asyncio.run(Bodies(application, files={FILE})(scope, receive, send))
    return read, sent


def part(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_request_is_handed_over_whole() -> None:
    assert told(part(b"ab"), part(b"c", more=False)) == ([b"abc"], [])


def test_what_says_it_is_too_large_is_not_read_and_what_is_no_more_than_that(monkeypatch: Any) -> None:
    gigabyte = {"content-length": "1000000000"}
    read, sent = told({}, headers=gigabyte)
    assert (read, sent[0], b"PAYLOAD_TOO_LARGE" in sent[1]) == ([], 413, True)
    read, sent = told({}, headers=gigabyte, path=FILE)
    assert (read, sent[0], sent[1].decode()) == ([], 413, "È troppo grande: non l’abbiamo letto.")
    monkeypatch.setattr(bodies, "LARGEST", 3)
    assert told(part(b"ab"), part(b"cd"), {})[1][0] == 413


def test_who_sends_slowly_is_let_go_of(monkeypatch: Any) -> None:
    monkeypatch.setattr(bodies, "SLOWEST_S", 0.01)
    monkeypatch.setattr(bodies, "SLOWEST_FILE_S", 0.01)
    assert told(part(b"a"), {})[1][0] == 408
    assert told(part(b"a"), {}, path=FILE) == ([b"a", b""], [])


def test_who_hangs_up_is_told_nothing() -> None:
    assert told(part(b"a"), {"type": "http.disconnect"}) == ([], [])


def test_files_take_turns() -> None:
    at_once: list[int] = []
    now = 0

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal now
        now += 1
        at_once.append(now)
        await asyncio.sleep(0.001)
        now -= 1

    async def all_of_them() -> None:
        bodied = Bodies(application, files={FILE})
        scope: Any = {"type": "http", "method": "POST", "path": FILE, "headers": []}
        await asyncio.gather(*(bodied(scope, None, None) for _one in range(5)))

    asyncio.run(all_of_them())
    assert (len(at_once), max(at_once)) == (5, bodies.FILES_AT_ONCE)
