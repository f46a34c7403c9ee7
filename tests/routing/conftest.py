"""A brand with three agents at a telephone exchange that is simulated on a real socket."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest
from django.utils import timezone

from filiera.simulators.testing import Running, start_cloudtalk
from tests.leads import incoming, source, take_in

TOKEN = "gettone-delle-prove"
PEOPLE = {"101": "Alice Arcari", "102": "Bruno Bassi", "103": "Carla Corti"}


@pytest.fixture
def pbx() -> Iterator[Running[Any]]:
    """The exchange, a hundred times faster than life: an agent's 20 s of ringing are 0.2 s."""
    agents = [{"id": key, "name": name, "extension": f"10{key[-1]}"} for key, name in PEOPLE.items()]
    with start_cloudtalk(
        agents=agents, time_scale=100, pickup_min_s=1, pickup_max_s=1, talk_min_s=4, talk_max_s=4
    ) as running:
        yield running


@dataclass
class Calling:
    """Vegliasì with its agents, and the few things a test does with it."""

    brand: Any
    connection: Any
    pbx: Running[Any]
    posted: list[bytes] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1000, 9999)))

    def scope(self) -> Any:
        from filiera.platform import brand_scope

        return brand_scope.use(self.brand.id)

    def agent(self, provider_id: str) -> Any:
        from filiera.routing.models import Agent

        with self.scope():
            return Agent.objects.get(provider_agent_id=provider_id)

    def set_agent(self, provider_id: str, **facts: Any) -> None:
        from filiera.routing.models import Agent

        with self.scope():
            Agent.objects.filter(provider_agent_id=provider_id).update(**facts)

    def all_offline(self) -> None:
        self.move(*PEOPLE, to="offline")

    def move(self, *provider_ids: str, to: str) -> None:
        """Give agents another status, at the exchange and in what we know of it."""
        from filiera.routing import outcomes
        from filiera.routing.models import Agent

        def there() -> None:
            for account in self.pbx.simulator.accounts.values():
                for agent in account.agents.values():
                    if agent.id in provider_ids:
                        agent.status = to

        self.pbx.do(there)
        with self.scope():
            for agent in Agent.objects.filter(provider_agent_id__in=provider_ids):
                outcomes.set_status(agent, to, at=timezone.now())

    def lead(self, **fields: Any) -> Any:
        """Let one lead come in, up to the request for its call; returns the assignment."""
        return self.leads(1, **fields)[0]

    def leads(self, count: int, **fields: Any) -> list[Any]:
        from filiera.routing import commands

        now = timezone.now()
        with self.scope():
            batch = []
            for _ in range(count):
                number = next(self.numbers)
                given = {
                    "phone": f"+39 351 000 {number}",
                    "email": f"lead{number}@posta.example",
                    "first_name": "Mario",
                    "last_name": "Rossi",
                    "received_at": now,
                } | fields
                batch.append(incoming(**given))
            assigned = commands.assign(take_in(*batch, now=now), now=now)
            commands.request_calls(assigned, now=now)
        return assigned

    def place(self) -> None:
        """Place what is due now, as the job does."""
        from filiera.routing import placing

        placing.place_calls(self.brand.id)

    def place_until(self, what: Callable[[], Any], timeout_s: float = 8.0) -> Any:
        """Place again and again, as the tick does, until `what()` is true; returns it."""
        ends_at = time.monotonic() + timeout_s
        while True:
            self.place()
            if value := what():
                return value
            assert time.monotonic() < ends_at, "still not so"
            time.sleep(0.02)

    def process(self, index: int = 0) -> Any:
        from filiera.routing.models import Process

        with self.scope():
            return list(Process.objects.select_related("agent").order_by("created_at", "id"))[index]

    def attempts(self) -> list[Any]:
        from filiera.routing.models import CallAttempt

        with self.scope():
            return list(CallAttempt.objects.select_related("agent").order_by("requested_at", "id"))

    def rung(self) -> list[tuple[str, str]]:
        """What the exchange was asked to call, oldest first."""
        return [
            (str(entry["body"]["agent_id"]), entry["body"]["callee_number"])
            for entry in self.pbx.received("calls/create")
        ]

    def events(self, *kinds: str) -> list[Any]:
        from filiera.platform.models import Event

        with self.scope():
            found = list(Event.objects.order_by("at", "id"))
        return [event for event in found if not kinds or event.kind in kinds]

    def make_due(self) -> None:
        """Let the time come that everything waits for."""
        from filiera.routing.models import CallAttempt, Process

        now = timezone.now()
        with self.scope():
            Process.objects.filter(due_at__gt=now).update(due_at=now)
            CallAttempt.objects.filter(check_at__gt=now).update(check_at=now)

    def answer(self) -> tuple[int, dict[str, Any]]:
        """What the sender of the only lead is answered now."""
        from filiera.routing import queries

        with self.scope():
            return queries.process_answer(self.process())

    # The exchange's events: caught as they were posted, delivered when and as often as the test likes

    def wait_for_events(self, *kinds: str) -> None:
        """Wait until each of these kinds has been posted as many times as it is named."""
        ends_at = time.monotonic() + 5
        while True:
            posted = [orjson.loads(body)["event"] for body in self.posted]
            if all(posted.count(kind) >= kinds.count(kind) for kind in kinds):
                return
            assert time.monotonic() < ends_at, f"only {posted}"
            time.sleep(0.005)

    def body(self, kind: str) -> bytes:
        return next(body for body in self.posted if orjson.loads(body)["event"] == kind)

    def deliver(self, *bodies: bytes, handle: bool = True) -> None:
        """Keep events as our door does, and read them as the worker does. The door: test_event_door.py."""
        from filiera.platform.models import Received
        from filiera.routing import hooks, webhooks

        now = timezone.now()
        with self.scope():
            for body in bodies:
                kept = webhooks.kept({"content-type": "application/json"}, body, now=now)
                Received.objects.bulk_create(
                    [
                        Received(
                            provider=hooks.PROVIDER,
                            **kept._replace(headers=orjson.loads(kept.headers))._asdict(),
                        )
                    ],
                    ignore_conflicts=True,
                )
        if handle:
            hooks.handle_waiting(self.brand.id, now=timezone.now)


@pytest.fixture
def calling(
    vegliasi: Any, pbx: Running[Any], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Calling]:
    """Vegliasì, connected to the exchange, with its three agents on line."""
    settings.ALLOW_PRIVATE_PROVIDERS = True
    settings.ROUTING_RING_S, settings.ROUTING_RING_MARGIN_S = 0.8, 0.2
    from filiera.routing import placing

    monkeypatch.setattr(placing, "POLL_EVERY_S", 1.0)
    yield from _calling(vegliasi, pbx)


def _calling(brand: Any, pbx: Running[Any]) -> Iterator[Calling]:
    from filiera.identity import vault
    from filiera.platform import brand_scope, circuit
    from filiera.routing.models import Agent, Connection

    posted: list[bytes] = []

    class Catcher(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Catcher)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    pbx.set_knobs(webhook_url=f"http://127.0.0.1:{server.server_port}/", webhook_token=TOKEN)
    account = "cloudtalk:sim-key-id"
    with brand_scope.use(brand.id):
        source(auto_call=True)
        connection = Connection.objects.create(
            account=account,
            base_url=pbx.api_url,
            analytics_url=f"{pbx.base_url}/analytics/api",
            vault_key=vault.store(service="cloudtalk", secret="sim-key-id:sim-key-secret"),
            webhook_token_hash=hashlib.sha256(TOKEN.encode()).hexdigest(),
            circuit=circuit.ensure(account),
        )
        at = timezone.now() - timedelta(minutes=1)
        for place, (key, name) in enumerate(PEOPLE.items()):
            Agent.objects.create(
                provider_agent_id=key,
                name=name,
                extension=1001 + place,
                sort_order=place,
                provider_status="online",
                last_status="online",
                last_status_at=at,
            )
    try:
        yield Calling(brand, connection, pbx, posted)
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def now() -> datetime:
    return timezone.now()
