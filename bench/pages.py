"""Q-6: the pages of a working day beside a million contacts, signed in, nothing cached."""

import http.client
import random
import time
from collections.abc import Callable
from typing import Any

import psycopg

from bench.big import big_house
from bench.figures import Figure, percentile
from bench.house import ROOT, House, Machine, say

WARM_UP = 5
PAUSE_S = 0.005
EXPLAINED = ROOT / "bench" / "output" / "explain"
Addresses = Callable[[], str]


class PageRefused(RuntimeError):
    """A page did not answer 200: its time says nothing."""


def q6(machine: Machine, seconds: float) -> list[Figure]:
    """Ask for list, board, search and record, a different one each time, and count from request to last byte.

    That is the server's time and the network of one machine on top. The plan of each statement is kept beside.
    """
    house = big_house(machine)
    house.start_web()
    try:
        addresses = addresses_of(house)
        times = {name: _time_of(house, address, seconds) for name, address in addresses.items()}
    finally:
        house.stop()
    house.run(
        "-m",
        "bench.explain",
        house.json(house.facts | {"folder": str(EXPLAINED), "pages": _samples(addresses)}),
    )
    verified = f"{house.count(_CONTACTS.format(**house.facts))} contacts"
    return [
        Figure(
            "Q-6",
            f"{name}, {len(milliseconds)} requests, p95",
            percentile(milliseconds, 0.95),
            "ms",
            "≤ 150" if name.startswith("search") else "≤ 60",
            verified,
        )
        for name, milliseconds in times.items()
    ]


_CONTACTS = "select count(*) from contacts_contact where brand_id = '{brand_id}'"


def addresses_of(house: House) -> dict[str, Addresses]:
    """Return for each kind of page a function that makes up the next address to ask for."""
    chance = random.Random(6)
    people = _people(house)
    sources, owners = house.facts["marketing_source_ids"], house.facts["agent_user_ids"]
    filters = [
        "",
        "?stato=nuovo",
        "?stato=caldo",
        "?stato=perso",
        "?arrivato=30",
        "?prossima=nessuna",
        *(f"?fonte={source}" for source in sources),
        *(f"?titolare={owner}" for owner in owners),
        *(f"?stato=in_contatto&titolare={owner}" for owner in owners),
    ]
    return {
        "list": lambda: f"/leads{chance.choice(filters)}",
        "board": lambda: "/board",
        "record": lambda: f"/leads/{chance.choice(people)[0]}",
        "search by part of a number": lambda: f"/leads?q={chance.choice(people)[1][:7]}",
        "search by the start of a name": lambda: f"/leads?q={chance.choice(people)[2][:9].replace(' ', '+')}",
    }


def _people(house: House) -> list[tuple[Any, str, str]]:
    with psycopg.connect(house.urls.platform) as connection:
        return connection.execute(
            "select c.id, p.phone_norm, c.surname_key from contacts_contact c"
            " join contacts_contactphone p on p.contact_id = c.id and p.brand_id = c.brand_id"
            " where c.brand_id = %s order by md5(c.id::text) limit 400",
            [house.facts["brand_id"]],
        ).fetchall()


def _time_of(house: House, address: Addresses, seconds: float) -> list[float]:
    """Return the milliseconds of each request, one after the other on a kept connection. Raises PageRefused."""
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=60)
    cookie = {"Cookie": f"auth-token={house.facts['session']}", "Cache-Control": "no-cache"}
    milliseconds: list[float] = []
    ends_at = time.monotonic() + seconds
    number = 0
    while time.monotonic() < ends_at or len(milliseconds) < 20:
        path = address()
        started = time.perf_counter()
        connection.request("GET", path, headers=cookie)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise PageRefused(f"{path} answered {answer.status} {answer.headers.get('Location', '')}")
        number += 1
        if number > WARM_UP:
            milliseconds.append((time.perf_counter() - started) * 1000)
        time.sleep(PAUSE_S)
    connection.close()
    say(
        f"Q-6 {path}: p50 {percentile(milliseconds, 0.5):.1f} ms, p95 {percentile(milliseconds, 0.95):.1f} ms"
    )
    return milliseconds


def _samples(addresses: dict[str, Addresses]) -> dict[str, list[str]]:
    return {name: sorted({address() for _ in range(12)}) for name, address in addresses.items()}
