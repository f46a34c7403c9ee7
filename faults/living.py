"""A whole house to break: `filiera up` in a home of its own, and a telephony provider that misbehaves."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
import psycopg

from bench.furnish_keys import CLOUDTALK_KEY, WEBHOOK_TOKEN
from bench.house import ROOT, end, get_json, send_json, wait_until_answers
from filiera.platform import database, ports

MISBEHAVIOUR = {
    "time_scale": 20.0,
    "talk_min_s": 4.0,
    "talk_max_s": 20.0,
    "wrap_up_s": 1.0,
    "rate_limit_per_min": 1_000_000,
    "duplicate_events": 0.1,
    "reorder_events": 0.1,
    "reorder_delay_s": 20.0,
    "lose_events": 0.03,
    "error_rates": {"calls/create": {"500": 0.03, "409": 0.03}},
    "log_limit": 200_000,
}
"""Knobs of the simulated provider: twenty times as fast as life, and none of it reliable."""


KEPT = ROOT / "faults" / "output"
"""What the houses said, for whoever asks why a check failed."""


@dataclass(slots=True)
class Living:
    """The running house. `facts` is what `bench.furnish` made, `cloudtalk` the provider's address."""

    home: Path
    urls: database.Dsns
    env: dict[str, str]
    port: int
    facts: dict[str, Any]
    cloudtalk: str
    up: "subprocess.Popen[bytes]"
    logs: Path
    _connection: "psycopg.Connection[Any] | None" = field(default=None)

    def rows(self, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Ask the database past row security; raises psycopg.Error while it is away."""
        with psycopg.connect(self.urls.platform, connect_timeout=5) as connection:
            return connection.execute(query, parameters).fetchall()  # type: ignore[call-overload, no-any-return]

    def number(self, query: str, parameters: Any = None) -> int:
        return int(self.rows(query, parameters)[0][0])

    def simulator(self, what: str) -> Any:
        """Return a control page of the provider: log, violations, counters, knobs."""
        return get_json(f"{self.cloudtalk}/_sim/{what}")

    def set_knobs(self, **knobs: Any) -> None:
        send_json(f"{self.cloudtalk}/_sim/knobs", knobs)


@contextmanager
def living(*, agents: int = 12, knobs: dict[str, Any] | None = None, **env: str) -> Iterator[Living]:
    """Start everything on free ports and take all of it away at the end."""
    home = Path(tempfile.mkdtemp(prefix="filiera-faults-"))
    port, provider_port = ports.free(), ports.free()
    cloudtalk = f"http://127.0.0.1:{provider_port}"
    callers = ("FILIERA_", "DATABASE_URL")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(callers)} | {
        "FILIERA_HOME": str(home),
        "FILIERA_PORT": str(port),
        "FILIERA_WEB_PROCESSES": "2",
        "FILIERA_ALLOW_PRIVATE_PROVIDERS": "1",
        "FILIERA_QUEUE_LEASE_S": "5",
        "FILIERA_QUEUE_RETRY_DELAY_S": "1",
        "FILIERA_ROUTING_RING_S": "2",
        "FILIERA_ROUTING_RING_MARGIN_S": "1",
        "DJANGO_SETTINGS_MODULE": "filiera.settings",
        "PYTHONPATH": str(ROOT),
        **env,
    }
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        stack.callback(database.destroy, home)
        KEPT.mkdir(exist_ok=True)
        logs = KEPT / f"house-{home.name}.log"
        up = _start(stack, ours, logs, "faults.impatient")
        wait_until_answers(f"http://127.0.0.1:{port}/health", up, logs)
        options = {
            "agents": agents,
            "cloudtalk": f"{cloudtalk}/api",
            "analytics": f"{cloudtalk}/analytics/api",
            "requests_per_minute": 1_000_000,
        }
        facts = orjson.loads(
            subprocess.run(
                [sys.executable, "-m", "bench.furnish", orjson.dumps(options).decode()],
                cwd=ROOT,
                env=ours,
                stdout=subprocess.PIPE,
                check=True,
            ).stdout
        )
        config = home / "simulators.json"
        config.write_bytes(
            orjson.dumps(
                {"cloudtalk": {"accounts": [_account(facts, port)], "knobs": MISBEHAVIOUR | (knobs or {})}}
            )
        )
        arguments = ("--config", str(config), "--cloudtalk-port", str(provider_port))
        simulators = _start(stack, ours, home / "simulators.log", "filiera.simulators", *arguments)
        wait_until_answers(f"{cloudtalk}/_sim/knobs", simulators, home / "simulators.log")
        yield Living(home, _urls(home, ours), ours, port, facts, cloudtalk, up, logs)


def _urls(home: Path, env: dict[str, str]) -> database.Dsns:
    """Return how to connect to the house's own database, whatever database the caller's environment names."""
    with mock.patch.dict(os.environ, env, clear=True):
        return database.dsns(home)


def _start(stack: ExitStack, env: dict[str, str], log: Path, *module: str) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
    stack.callback(end, process)
    return process


def _account(facts: dict[str, Any], port: int) -> dict[str, Any]:
    key_id, secret = CLOUDTALK_KEY
    return {
        "key_id": key_id,
        "key_secret": secret,
        "webhook_url": f"http://127.0.0.1:{port}/api/v1/webhooks/cloudtalk/{facts['connection_id']}",
        "webhook_token": WEBHOOK_TOKEN,
        "agents": [{"id": agent, "name": f"Agente {agent}"} for agent in facts["provider_agent_ids"]],
    }
