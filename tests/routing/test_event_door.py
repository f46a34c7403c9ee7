"""The door of the provider's events: who comes in, what is kept, and that nothing falls over (ROU-68)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from filiera.platform import brand_scope
from tests.capture.conftest import Answer, Doors, committed, make_brand
from tests.routing.conftest import TOKEN

__all__ = ["committed", "make_brand"]

EVENT = b'{"event":"call.started","call_uuid":"u-1","external_number":393510001000}'


class EventDoors(Doors):
    """The door of one connection."""

    address: str = ""

    def deliver(self, body: bytes = EVENT, *, token: str = TOKEN, path: str = "", **headers: str) -> Answer:
        return self.run(self.sent(body, token=token, path=path, **headers))

    async def sent(self, body: bytes, *, token: str = TOKEN, path: str = "", **headers: str) -> Answer:
        sent = {"Authorization": f"Bearer {token}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return await self.send("POST", path or self.address, body, headers=sent)


@pytest.fixture
def make_door(make_brand: Callable[..., Any]) -> Iterator[Callable[[Any], EventDoors]]:
    """Commit a brand's connection, and return its door, in an event loop of its own."""
    from filiera.routing.models import Connection
    from filiera.routing.webhooks import PREFIX, EventDoor

    loop, door = asyncio.new_event_loop(), EventDoor()

    def make(brand: Any) -> EventDoors:
        with brand_scope.use(brand.id):
            connection = Connection.objects.create(
                account=f"cloudtalk:{brand.slug}",
                base_url="https://cloudtalk.example",
                webhook_token_hash=hashlib.sha256(TOKEN.encode()).hexdigest(),
            )
        doors = EventDoors(door, loop)
        doors.address = f"{PREFIX}{connection.id}"
        return doors

    yield make
    loop.run_until_complete(door.close())
    loop.close()


@pytest.fixture
def brand(make_brand: Callable[..., Any]) -> Any:
    return make_brand()


@pytest.fixture
def door(make_door: Callable[[Any], EventDoors], brand: Any) -> EventDoors:
    return make_door(brand)


def kept(brand: Any) -> list[Any]:
    from filiera.platform.models import Received

    with brand_scope.use(brand.id):
        return list(Received.objects.order_by("received_at", "id"))


def test_an_event_is_kept_raw_under_its_own_id_and_once(door: EventDoors, brand: Any) -> None:
    answers = [door.deliver(), door.deliver()]
    assert [(answer.status, answer.json) for answer in answers] == [(200, {"success": True})] * 2
    (received,) = kept(brand)
    assert (received.provider, received.external_id) == ("cloudtalk", "call.started:u-1")
    assert bytes(received.body) == EVENT
    assert received.headers == {"content-type": "application/json"}


def test_events_of_a_moment_are_each_kept_for_their_brand(
    door: EventDoors, brand: Any, make_brand: Callable[..., Any], make_door: Callable[[Any], EventDoors]
) -> None:
    other_brand = make_brand("quadranorma", "Quadranorma")
    other = make_door(other_brand)

    async def all_at_once() -> list[Answer]:
        bodies = [b'{"event":"call.ended","call_id":%d}' % number for number in range(40)]
        return await asyncio.gather(
            *(door.sent(body) for body in bodies), *(other.sent(body) for body in bodies[:10])
        )

    assert {answer.status for answer in door.run(all_at_once())} == {200}
    assert (len(kept(brand)), len(kept(other_brand))) == (40, 10)


def test_another_token_another_connection_and_none_are_refused_alike(door: EventDoors, brand: Any) -> None:
    from filiera.routing.webhooks import PREFIX

    refused = [
        door.deliver(token="another"),
        door.deliver(token=""),
        door.deliver(token="è"),
        door.deliver(path=f"{PREFIX}{uuid4()}"),
    ]
    assert {(answer.status, answer.body) for answer in refused} == {(401, refused[0].body)}
    assert door.deliver(path=f"{PREFIX}nessuno").status == 404
    assert door.run(door.send("GET", door.address)).status == 405
    assert kept(brand) == []


def test_a_new_token_counts_once_the_old_one_is_not_fresh_any_more(
    door: EventDoors, brand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filiera.routing import webhooks
    from filiera.routing.models import Connection

    monkeypatch.setattr(webhooks, "FRESH_FOR_S", 0.0)
    assert door.deliver().status == 200
    with brand_scope.use(brand.id):
        Connection.objects.update(webhook_token_hash=hashlib.sha256(b"nuovo").hexdigest())
    assert door.deliver().status == 401
    assert door.deliver(token="nuovo").status == 200


@pytest.mark.parametrize("length", ["abc", "-1", "", "1e3", "9" * 5000, "²"])
def test_a_length_that_is_no_number_is_no_fault(door: EventDoors, length: str) -> None:
    assert door.deliver(content_length=length).status in {200, 413}


def test_a_body_that_is_too_large_is_refused_announced_or_not(door: EventDoors, brand: Any) -> None:
    assert door.deliver(content_length="70000").status == 413
    assert door.deliver(b" " * (64 * 1024 + 1)).status == 413
    assert door.deliver(b" " * (64 * 1024)).status == 200
    assert len(kept(brand)) == 1


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"not json", b"[1,2]", b"\x00\xff", b"null", b"[" * 60_000, b'{"event":{"a":[]}}'),
        b'{"event":"a\\u0000b","call_uuid":"\\u0000"}',
        b'{"event":"call.ended","call_id":"\\u0000x","external_number":"\\u0000","agent_id":{"\\u0000":1}}',
        b'{"event":"' + b"x" * 5000 + b'","call_uuid":"' + b"y" * 5000 + b'"}',
    ],
)
def test_rubbish_is_kept_and_harms_nothing(door: EventDoors, brand: Any, body: bytes) -> None:
    from django.utils import timezone

    from filiera.routing import hooks

    answer = door.deliver(body, user_agent="\xff\x00" * 600)
    assert answer.status == 200
    assert [bytes(received.body) for received in kept(brand)] == [body]
    assert hooks.handle_waiting(brand.id, now=timezone.now) == 1
    assert kept(brand)[0].handled_at is not None


def test_while_the_database_is_away_the_sender_is_told_to_come_again(door: EventDoors, settings: Any) -> None:
    settings.DATABASE_URLS = replace(settings.DATABASE_URLS, app="postgresql://nobody@127.0.0.1:9/none")
    answer = door.deliver()
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
