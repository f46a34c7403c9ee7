"""The demo as a newcomer starts it: the real command, on a home of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

START_LIMIT_S = 120.0
STOP_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo and what it says of itself."""

    home: Path
    facts: dict[str, Any]

    def brand(self, slug: str) -> dict[str, Any]:
        return next(brand for brand in self.facts["brands"] if brand["slug"] == slug)

    def source(self, slug: str, kind: str, *, containing: str = "") -> dict[str, Any]:
        return next(
            source
            for source in self.brand(slug)["sources"]
            if source["kind"] == kind and containing in source["name"]
        )

    def agent_ids(self, slug: str) -> set[str]:
        return {agent["provider_agent_id"] for agent in self.facts["agents"] if agent["brand"] == slug}

    def user(self, slug: str, role: str) -> dict[str, str]:
        return next(user for user in self.facts["users"] if user["brand"] == slug and user["role"] == role)

    def calls(self) -> list[dict[str, Any]]:
        """Return the call requests that the exchange received, oldest first."""
        log = httpx.get(self.facts["simulators"]["cloudtalk"]["log_url"]).json()
        return [entry for entry in log if entry["path"].endswith("/calls/create.json")]

    def call_to(self, number: str, *, within_s: float) -> dict[str, Any]:
        """Return the request for a call to `number`, waiting for it. Raises AssertionError when none comes."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            for entry in self.calls():
                asked = entry["body"] if isinstance(entry["body"], dict) else json.loads(entry["body"])
                if asked["callee_number"] == number:
                    return asked
            time.sleep(0.05)
        raise AssertionError(f"no call to {number} within {within_s} s; asked: {self.calls()}")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Start `filiera demo` in a folder whose name has a space, and stop it as Ctrl-C does."""
    home = tmp_path_factory.mktemp("casa di prova") / "dati"
    with running_demo(home) as running:
        yield running


@contextmanager
def running_demo(home: Path) -> Iterator[Demo]:
    """Run the demo on a home until the block ends. Raises AssertionError when it does not start or stop cleanly."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FILIERA_", "DATABASE_"))}
    environment |= {"FILIERA_HOME": str(home), "FILIERA_PORT": str(_free_port())}
    process = subprocess.Popen(
        [sys.executable, "-m", "filiera.cli", "demo"], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        facts = home / "demo.json"
        until = time.monotonic() + START_LIMIT_S
        while not facts.exists():
            assert process.poll() is None, f"the demo ended: {process.stderr and process.stderr.read()}"
            assert time.monotonic() < until, "the demo did not start in time"
            time.sleep(0.1)
        time.sleep(0.1)
        yield Demo(home, json.loads(facts.read_text()))
    finally:
        process.send_signal(signal.SIGINT)
        try:
            _out, said = process.communicate(timeout=STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 0, said


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
