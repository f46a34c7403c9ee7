"""Sources that are really committed, and the intake doors in front of them.

The doors have connections of their own, so what they read must be committed; afterwards every table is emptied.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from filiera.capture import rules
from filiera.platform import brand_scope


@dataclass(slots=True)
class Answer:
    """What a door answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Doors:
    """The intake doors as a sender sees them, without a server in between."""

    path: Any
    loop: asyncio.AbstractEventLoop
    keys: dict[str, str] = field(default_factory=dict)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        """Send one POST; `body` is JSON unless it is bytes. `key` goes into X-API-Key."""
        return self.run(self.send("POST", path, body, **options))

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str = "",
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
        client: str = "203.0.113.9",
    ) -> Answer:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        path, _mark, query = path.partition("?")
        sent = {"content-type": content_type, "host": "filiera.example", **(headers or {})}
        if key:
            sent["x-api-key"] = key
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
            "client": (client, 1),
        }
        chunks = [raw[start : start + 65_536] for start in range(0, len(raw), 65_536)] or [b""]
        messages = [
            {"type": "http.request", "body": chunk, "more_body": place < len(chunks)}
            for place, chunk in enumerate(chunks, 1)
        ]
        answered: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        async def send(message: dict[str, Any]) -> None:
            answered.append(message)

        await self.path(scope, receive, send)
        start, end = answered
        names = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], names, end["body"])


@pytest.fixture
def committed(django_db_blocker: Any, django_db_setup: None) -> Iterator[None]:
    """Let a test commit; empty the database afterwards."""
    from django.conf import settings
    from django.db import connection

    with django_db_blocker.unblock():
        yield
        connection.close()
    with psycopg.connect(settings.DATABASE_URLS.owner, autocommit=True) as owner:
        owner.execute("truncate identity_brand, identity_user, procrastinate_jobs cascade")


@pytest.fixture
def make_brand(committed: None) -> Callable[..., Any]:
    """Commit a brand."""
    from filiera.identity.models import Brand

    def make(slug: str = "vegliasi", name: str = "Vegliasì", **fields: Any) -> Any:
        return Brand.objects.create(slug=slug, name=name, **fields)

    return make


@pytest.fixture
def brand(make_brand: Callable[..., Any]) -> Any:
    return make_brand()


@pytest.fixture
def make_source(committed: None) -> Callable[..., Any]:
    """Commit a source; its clear key is `source.clear_key`."""
    from filiera.capture.models import Source

    def make(brand: Any, name: str, kind: str = "webhook", **fields: Any) -> Any:
        fields.setdefault("auth_mode", "public" if kind == "landing" else "api_key")
        fields.setdefault("rate_limit_per_min", 10_000)
        key = rules.new_key()
        with brand_scope.use(brand.id):
            source = Source.objects.create(name=name, kind=kind, api_key_hash=rules.key_hash(key), **fields)
        source.clear_key = key
        return source

    return make


@pytest.fixture
def doors(committed: None) -> Iterator[Doors]:
    """The accept path, in an event loop of its own."""
    from filiera.capture.accept import AcceptPath

    loop = asyncio.new_event_loop()
    path = AcceptPath()
    yield Doors(path, loop)
    loop.run_until_complete(path.close())
    loop.close()


@pytest.fixture
def submissions(committed: None) -> Callable[[Any], list[Any]]:
    """Return a brand's submissions, oldest first."""
    from filiera.capture.models import Submission

    def read(brand: Any) -> list[Any]:
        with brand_scope.use(brand.id):
            return list(Submission.objects.select_related("source").order_by("received_at", "id"))

    return read
