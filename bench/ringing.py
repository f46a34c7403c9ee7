"""Q-4: how long from a lead's acceptance until the request for its call is at the provider."""

import time
from datetime import datetime

import orjson
import psycopg

from bench import leads, load
from bench.figures import Figure, percentile, verify
from bench.furnish_keys import CLOUDTALK_KEY, WEBHOOK_TOKEN
from bench.house import House, Machine, get_json, say, wait_until_answers
from filiera.platform import ports

PER_SECOND = 50
AGENTS = 50
PATIENCE_S = 30.0
NO_BUDGET = 1_000_000
CALL = "calls/create"
KNOBS = {"rate_limit_per_min": NO_BUDGET, "stay_online": True, "log_limit": 200_000}
"""Phones ring and people talk as long as in life, and the provider tells its events meanwhile."""

ACCEPTED = (
    "select t.number_e164, s.received_at from routing_callattempt t join routing_process p on p.id = t.process_id"
    " join capture_submission s on s.id = p.submission_id"
)


def q4(machine: Machine, seconds: float) -> list[Figure]:
    """Send 50 leads a second to a source that calls, and compare their arrival with the provider's own log.

    Counted from `received_at`, which is before the commit, to the provider's clock, which is after the network.
    """
    house = machine.house()
    provider = _provider(house)
    house.start("worker", "-m", "filiera.cli", "worker")
    house.start_web()
    time.sleep(3.0)
    calling = house.facts | {"source": house.facts["calling_source"]}
    warm = load.open_loop(house.port, leads.webhook_posts(calling), per_second=10, seconds=1)
    calm = load.open_loop(
        house.port, leads.webhook_posts(calling, first=1_000_000), per_second=PER_SECOND, seconds=seconds
    )
    expected = warm.accepted + calm.accepted
    requested = _requested(provider, expected)
    house.stop()
    verified = verify(len(requested), expected, "calls at the provider")
    with psycopg.connect(house.urls.platform) as connection:
        accepted: dict[str, datetime] = dict(connection.execute(ACCEPTED).fetchall())
    verify(len(accepted), expected, "attempts")
    first = f"+39{leads.phone(1_000_000)}"
    waits_ms = [
        (at - accepted[number]).total_seconds() * 1000 for number, at in requested.items() if number >= first
    ]
    p50, p99 = percentile(waits_ms, 0.5), percentile(waits_ms, 0.99)
    say(f"Q-4: p50 {p50:.0f} ms, p99 {p99:.0f} ms over {len(waits_ms)} calls")
    what = f"accepted to call request at the provider, {PER_SECOND} leads/s for {seconds:.0f} s"
    return [
        Figure("Q-4", f"{what}, p50", p50, "ms", "≤ 150", verified),
        Figure("Q-4", f"{what}, p99", p99, "ms", "≤ 1 000", verified),
    ]


def _provider(house: House) -> str:
    """Start the simulated provider and furnish the house with an account there; return its address."""
    port, house.port = ports.free(), ports.free()
    url = f"http://127.0.0.1:{port}"
    facts = house.furnish(
        agents=AGENTS,
        concurrent=1000,
        cloudtalk=f"{url}/api",
        analytics=f"{url}/analytics/api",
        requests_per_minute=NO_BUDGET,
    )
    key_id, secret = CLOUDTALK_KEY
    account = {
        "key_id": key_id,
        "key_secret": secret,
        "webhook_url": f"http://127.0.0.1:{house.port}/api/v1/webhooks/cloudtalk/{facts['connection_id']}",
        "webhook_token": WEBHOOK_TOKEN,
        "agents": [{"id": agent, "name": f"Agente {agent}"} for agent in facts["provider_agent_ids"]],
    }
    config = house.home / "simulators.json"
    config.write_bytes(orjson.dumps({"cloudtalk": {"accounts": [account], "knobs": KNOBS}}))
    simulators = house.start(
        "simulators", "-m", "filiera.simulators", "--config", str(config), "--cloudtalk-port", str(port)
    )
    wait_until_answers(f"{url}/_sim/knobs", simulators, house.log_of("simulators"))
    return url


def _requested(provider: str, expected: int) -> dict[str, datetime]:
    """Return when each number's call request reached the provider, once all are there or patience ends."""
    ends_at = time.monotonic() + PATIENCE_S
    while True:
        found = {
            str(entry["body"]["callee_number"]): datetime.fromisoformat(entry["at"])
            for entry in reversed(get_json(f"{provider}/_sim/log"))
            if CALL in entry["path"]
        }
        if len(found) >= expected or time.monotonic() > ends_at:
            return found
        time.sleep(0.5)
