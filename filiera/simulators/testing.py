"""Simulators for tests: each runs in a thread of its own on a port that the system chooses.

with start_cloudtalk(agents=[{"id": "99", "name": "Teodora Vanzi"}], time_scale=200) as cloudtalk:
    cloudtalk.set_knobs(next_responses=[{"endpoint": "calls/create", "status": 500, "happens": True}])
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Generic, TypeVar

from filiera.simulators.base import Simulator
from filiera.simulators.cloudtalk import CloudTalk
from filiera.simulators.gohighlevel import GoHighLevel
from filiera.simulators.google import Google
from filiera.simulators.knobs import Json
from filiera.simulators.mailbox import Mailbox
from filiera.simulators.meta import Meta

S = TypeVar("S", bound=Simulator)
T = TypeVar("T")


class Running(Generic[S]):
    """A simulator at work in another thread: read it at any time, change it through here."""

    def __init__(self, simulator: S, loop: asyncio.AbstractEventLoop) -> None:
        self.simulator = simulator
        self._loop = loop

    @property
    def base_url(self) -> str:
        return self.simulator.base_url

    @property
    def api_url(self) -> str:
        return self.simulator.base_url + self.simulator.api_path

    def do(self, work: Callable[[], T]) -> T:
        """Run `work` in the simulator's own thread and return its result."""

        async def there() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(there(), self._loop).result(10)

    def set_knobs(self, **values: Any) -> None:
        """Change some knobs. Raises BadKnobs."""
        self.do(lambda: self.simulator.set_knobs(values))

    def reset(self) -> None:
        asyncio.run_coroutine_threadsafe(self.simulator.reset(), self._loop).result(10)

    @property
    def log(self) -> list[Json]:
        """What it received, oldest first, as `log_url` tells it."""
        return self.do(lambda: [asdict(entry) for entry in self.simulator.log])

    def received(self, path_part: str) -> list[Json]:
        return [entry for entry in self.log if path_part in entry["path"]]

    @property
    def deliveries(self) -> list[Json]:
        return self.do(lambda: [asdict(delivery) for delivery in self.simulator.deliveries])

    @property
    def violations(self) -> list[Json]:
        return self.do(lambda: list(self.simulator.violations))

    def wait_for(self, what: Callable[[], T], timeout_s: float = 5.0) -> T:
        """Return the first true value of `what`, asking every few milliseconds. Raises TimeoutError."""
        ends_at = time.monotonic() + timeout_s
        while not (value := what()):
            if time.monotonic() > ends_at:
                raise TimeoutError(f"still not so after {timeout_s} s")
            time.sleep(0.005)
        return value


@contextmanager
def running(simulator: S) -> Iterator[Running[S]]:
    """Serve `simulator` from a thread of its own while the block runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=simulator.name, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(simulator.start(), loop).result(10)
    try:
        yield Running(simulator, loop)
    finally:
        asyncio.run_coroutine_threadsafe(simulator.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def start_cloudtalk(
    *, agents: list[Json] | None = None, accounts: list[Json] | None = None, **knobs: Any
) -> Iterator[Running[CloudTalk]]:
    """Serve a CloudTalk of one account with these agents, or of these accounts.

    Its key pair is ("sim-key-id", "sim-key-secret") unless the account names another.
    """
    loaded = accounts if accounts is not None else [{"agents": agents or []}]
    with running(CloudTalk(accounts=loaded, **{"seed": 1, **knobs})) as cloudtalk:
        yield cloudtalk


@contextmanager
def start_gohighlevel(**knobs: Any) -> Iterator[Running[GoHighLevel]]:
    """Serve a GoHighLevel; its token is "pit-sim-0001" unless a knob says otherwise."""
    with running(GoHighLevel(**{"seed": 1, **knobs})) as gohighlevel:
        yield gohighlevel


@contextmanager
def start_meta(**knobs: Any) -> Iterator[Running[Meta]]:
    """Serve a Graph API; page token and app secret are the knobs `access_token` and `app_secret`."""
    with running(Meta(**{"seed": 1, **knobs})) as meta:
        yield meta


@contextmanager
def start_google(**knobs: Any) -> Iterator[Running[Google]]:
    """Serve a Google; client and secret are the knobs `client_id` and `client_secret`, whom one may be `accounts`."""
    with running(Google(**{"seed": 1, **knobs})) as google:
        yield google


@contextmanager
def start_mailbox(**knobs: Any) -> Iterator[Running[Mailbox]]:
    """Serve a mailbox; `simulator.smtp_port` takes messages, `simulator.mails` holds them."""
    with running(Mailbox(**{"seed": 1, **knobs})) as mailbox:
        yield mailbox
