"""IDN-39: how long signing in takes, with the password hash as shipped (bcrypt, cost 12), beside that hash alone."""

import http.client
import time
from itertools import cycle

import orjson

from bench.figures import Figure, percentile, verify
from bench.house import House, Machine, say

PEOPLE = 40
PASSWORD = "tre-gatti-viola"
WARM_UP = 3
LEAST = 20
BARE = "-m", "bench.sign_in_alone"
SIGNED_IN = "select count(*) from identity_loginattempt where success"
SESSIONS = "select count(*) from identity_session where kind = 'api'"


def idn39(machine: Machine, seconds: float) -> list[Figure]:
    """Sign in one person after the other over the API, and check one password alone between each and the next.

    Both see the same machine that way. All of signing in counts: limits, lock, look-up, hash, session, record, tokens.
    """
    house = machine.house()
    # The limits do their work and let through: an address may try as often as it likes, an e-mail ten times a minute.
    house.env["FILIERA_SIGN_IN_LIMIT_PER_MIN"] = "1000000"
    facts = house.furnish(agents=PEOPLE, password=PASSWORD)
    house.start_web()
    alone = house.start("alone", *BARE, facts["password_hash"], PASSWORD, BENCH_TALKS="1")
    assert alone.stdin
    assert alone.stdout
    ours: list[float] = []
    bare: list[float] = []
    ends_at = time.monotonic() + seconds
    for number, email in enumerate(cycle(facts["agent_emails"])):
        if len(ours) >= LEAST and time.monotonic() > ends_at:
            break
        milliseconds = _sign_in(house, email)
        alone.stdin.write(b"\n")
        alone.stdin.flush()
        told = float(alone.stdout.readline())
        if number >= WARM_UP:
            ours.append(milliseconds)
            bare.append(told)
    house.stop()
    tries = len(ours) + WARM_UP
    verify(house.count(SESSIONS), tries, "sessions")
    verified = verify(house.count(SIGNED_IN), tries, "sign-ins")
    say(f"IDN-39: p50 {percentile(ours, 0.5):.0f} ms, bare p50 {percentile(bare, 0.5):.0f} ms")
    return [
        Figure(
            "IDN-39",
            f"sign-in over the API, {len(ours)} times, p95",
            percentile(ours, 0.95),
            "ms",
            "≤ 500",
            verified,
        ),
        Figure(
            "IDN-39",
            "sign-in to one check of a bcrypt hash of cost 12, p50",
            percentile(ours, 0.5),
            "ms",
            "≤ 1.25",
            verified,
            percentile(bare, 0.5),
        ),
    ]


class NotLetIn(RuntimeError):
    """A sign-in was refused: its time says nothing."""


def _sign_in(house: House, email: str) -> float:
    """Return the milliseconds of one sign-in on a connection of its own, as a program comes."""
    body = orjson.dumps({"email": email, "password": PASSWORD})
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=60)
    started = time.perf_counter()
    connection.request("POST", "/api/v1/auth/login", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    told = answer.read()
    milliseconds = (time.perf_counter() - started) * 1000
    connection.close()
    if answer.status != 200:
        raise NotLetIn(f"{answer.status} {told[:200].decode()}")
    return milliseconds
