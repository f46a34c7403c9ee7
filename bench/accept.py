"""Q-1 and Q-2: how many leads are accepted durably per second, and how long one waits for its answer."""

from collections.abc import Iterator
from itertools import repeat

from bench import leads, load
from bench.figures import Figure, verify
from bench.house import WEB_PROCESSES, House, Machine, say, wait_until_answers
from filiera.platform import ports

STORED = "select count(*) from capture_submission where status = 'queued'"
WARM_UP_S = 1.0
NOOP_POST = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
)


def q1(machine: Machine, seconds: float) -> list[Figure]:
    """Measure the accept path, a POST that does nothing on the same server, and a plain view on the same database."""
    house = machine.house()
    facts = house.furnish()
    body = leads.lead(1)
    noop = _baseline(house, "noop", repeat(NOOP_POST % (len(body), body)), seconds)
    house.start_web()
    load.closed(house.port, leads.webhook_posts(facts), seconds=WARM_UP_S)
    before = house.count(STORED)
    ours = load.closed(house.port, leads.webhook_posts(facts, first=1_000_000), seconds=seconds)
    say(f"Q-1 accepted: {ours}")
    verified = verify(house.count(STORED) - before, ours.accepted, "rows")
    house.stop()
    house.run("-m", "bench.baselines.plain", BENCH_DATABASE_URL=house.urls.owner)
    plain = _baseline(house, "plain", leads.plain_posts(), seconds / 2)
    verify(house.count("select count(*) from bench_plainlead"), plain.accepted, "plain rows")
    what = f"leads accepted durably, 64 connections, {WEB_PROCESSES} web processes"
    return [
        Figure(
            "Q-1", f"{what}, to a no-op POST", ours.per_second, "leads/s", "≥ 0.38", verified, noop.per_second
        ),
        Figure(
            "Q-1", f"{what}, to a plain view", ours.per_second, "leads/s", "≥ 10", verified, plain.per_second
        ),
        Figure("Q-1", f"{what}", ours.per_second, "leads/s", "≥ 8 000", verified),
        Figure("Q-1", "p99 of the answer under that load", ours.ms(0.99), "ms", "≤ 60", verified),
    ]


def q2(machine: Machine, seconds: float) -> list[Figure]:
    """Measure how long a lead waits for its answer at 200 a second, counted from when it was due."""
    house = machine.house()
    facts = house.furnish()
    house.start_web()
    load.closed(house.port, leads.webhook_posts(facts), seconds=WARM_UP_S, connections=8)
    before = house.count(STORED)
    calm = load.open_loop(
        house.port, leads.webhook_posts(facts, first=1_000_000), per_second=200, seconds=seconds
    )
    house.stop()
    say(f"Q-2: {calm}")
    verified = verify(house.count(STORED) - before, calm.accepted, "rows")
    return [
        Figure("Q-2", "accept latency at 200/s, p50", calm.ms(0.5), "ms", "≤ 6", verified),
        Figure("Q-2", "accept latency at 200/s, p99", calm.ms(0.99), "ms", "≤ 30", verified),
    ]


def _baseline(house: House, name: str, requests: Iterator[bytes], seconds: float) -> load.Measured:
    port = ports.free()
    url = house.urls.owner
    server = house.start(
        name, "-m", "bench.baselines.serve", name, str(port), BENCH_DATABASE_URL=url, BENCH_PORT=str(port)
    )
    wait_until_answers(
        f"http://127.0.0.1:{port}/{'api/ready' if name == 'plain' else ''}", server, house.log_of(name)
    )
    measured = load.closed(port, requests, seconds=seconds)
    house.stop()
    say(f"{name}: {measured}")
    return measured
