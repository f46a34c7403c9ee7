"""The simulators under test, and a receiver for the webhooks that they send."""

from collections.abc import Iterator
from typing import Any, ClassVar

import httpx
import pytest

from filiera.simulators.base import Simulator, endpoint
from filiera.simulators.cloudtalk import CloudTalk
from filiera.simulators.gohighlevel import GoHighLevel
from filiera.simulators.http import Answer, Request, json_answer, text_answer
from filiera.simulators.mailbox import Mailbox
from filiera.simulators.meta import Meta
from filiera.simulators.testing import (
    Running,
    running,
    start_cloudtalk,
    start_gohighlevel,
    start_mailbox,
    start_meta,
)

VANZI = {"id": "493933", "name": "Teodora Vanzi", "extension": 1001}
GOZZI = {"id": "493934", "name": "Rosalba Gozzi", "extension": 1002}


class Receiver(Simulator):
    """Stands where Filiera would: takes webhooks, and answers Meta's handshake."""

    name: ClassVar[str] = "receiver"
    title: ClassVar[str] = "Receiver"

    @endpoint("POST", r"/.*", "hook")
    def hook(self, request: Request) -> Answer:
        return json_answer({"success": True})

    @endpoint("GET", r"/.*", "handshake")
    def handshake(self, request: Request) -> Answer:
        right = request.query.get("hub.verify_token") == "right-token"
        return text_answer(request.query.get("hub.challenge", "") if right else "no", 200 if right else 403)


@pytest.fixture
def receiver() -> Iterator[Running[Receiver]]:
    with running(Receiver()) as receiver:
        yield receiver


@pytest.fixture
def cloudtalk(receiver: Running[Receiver]) -> Iterator[Running[CloudTalk]]:
    """A company of two agents on line, a hundred times faster than life, where everybody picks up."""
    account = {
        "name": "Vegliasì",
        "webhook_url": f"{receiver.base_url}/hook",
        "webhook_token": "static-token",
        "agents": [VANZI, GOZZI],
    }
    with start_cloudtalk(
        accounts=[account],
        time_scale=100,
        pickup_probability=1,
        customer_pickup_probability=1,
        talk_min_s=12,
        talk_max_s=20,
    ) as cloudtalk:
        yield cloudtalk


@pytest.fixture
def api(cloudtalk: Running[CloudTalk]) -> Iterator[httpx.Client]:
    """A client of that company's key pair."""
    with httpx.Client(
        base_url=cloudtalk.api_url,
        auth=("sim-key-id", "sim-key-secret"),
        headers={"Accept": "application/json"},
        trust_env=False,
    ) as client:
        yield client


@pytest.fixture
def gohighlevel() -> Iterator[Running[GoHighLevel]]:
    with start_gohighlevel() as gohighlevel:
        yield gohighlevel


@pytest.fixture
def meta() -> Iterator[Running[Meta]]:
    with start_meta() as meta:
        yield meta


@pytest.fixture
def mailbox() -> Iterator[Running[Mailbox]]:
    with start_mailbox() as mailbox:
        yield mailbox


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


def hooks(receiver: Running[Receiver], event: str | None = None) -> list[dict[str, Any]]:
    """Return the bodies that reached the receiver, of one event or of all."""
    bodies = [entry["body"] for entry in receiver.received("/hook")]
    return [body for body in bodies if event is None or body.get("event") == event]
