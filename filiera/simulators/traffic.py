"""A steady stream of varied, invented leads through every door of the demo.

    python -m filiera.simulators.traffic demo.json --per-minute 12

Reads from demo.json which sources there are and how each is used; waits for the file while the house starts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from filiera.platform import supervisor
from filiera.simulators import enquiries
from filiera.simulators.enquiries import Crowd, Enquiry
from filiera.simulators.knobs import Json, loopback_url

PER_MINUTE = 12.0
REPEATED = 0.04  # how often a sender delivers the same thing twice
AGENTS_MOVE_EVERY_S = 45
LOOK_FOR_FACTS_EVERY_S = 0.5
WEIGHTS = {"landing": 5.0, "webhook": 2.0}  # the other kinds weigh 1
THROUGH_SIMULATORS = ("ghl", "gohighlevel", "meta")


@dataclass(frozen=True, slots=True)
class Door:
    """A source of a brand, as demo.json tells it."""

    name: str
    kind: str
    url: str
    key: str
    headers: dict[str, str]

    @property
    def ghl_shape(self) -> str:
        """How GoHighLevel writes here: a workflow's token stands in the address, an app signs, the rest has a key."""
        if self.key and self.key in self.url:
            return "workflow"
        return "ledger" if self.headers else "marketplace"


def doors(facts: Json) -> list[Door]:
    """Return the sources that traffic can come through. Raises ValueError when one is on another machine."""
    found = [
        Door(
            source["name"],
            source["kind"],
            loopback_url(source["url"]),
            source["api_key"],
            source["request_headers"],
        )
        for brand in facts["brands"]
        for source in brand["sources"]
    ]
    return [door for door in found if door.kind in enquiries.WRITERS or door.kind in THROUGH_SIMULATORS]


class Traffic:
    """Sends enquiries and counts the answers."""

    def __init__(self, facts: Json, chance: random.Random, http: httpx.AsyncClient) -> None:
        self._doors = doors(facts)
        self._simulators = facts.get("simulators", {})
        self._chance, self._http = chance, http
        self._crowd = Crowd(chance)
        self.answers: Counter[str] = Counter()

    async def let_agents_move(self) -> None:
        """Ask the simulated exchange to let idle agents come and go."""
        if exchange := self._simulators.get("cloudtalk"):
            with contextlib.suppress(httpx.HTTPError):
                await self._http.put(exchange["knobs_url"], json={"drift_every_s": AGENTS_MOVE_EVERY_S})

    async def send_one(self) -> None:
        """Send one enquiry through a door chosen by weight, now and then twice, and say what was answered."""
        chance = self._chance
        weights = [WEIGHTS.get(door.kind, 1.0) for door in self._doors]
        door = chance.choices(self._doors, weights)[0]
        enquiry = self._crowd.next(datetime.now(UTC))
        times = 2 if chance.random() < REPEATED else 1
        try:
            for status in await self._send(door, enquiry, times):
                self._say(door, enquiry, status)
        except httpx.HTTPError as trouble:
            self._say(door, enquiry, type(trouble).__name__)

    async def _send(self, door: Door, enquiry: Enquiry, times: int) -> list[str]:
        if door.kind == "meta":
            asked: Json = {"url": door.url, "lead": enquiries.lead(enquiry), "repeat": times}
            return [str(sent["status"]) for sent in (await self._through("meta", asked))["deliveries"]]
        if door.kind in THROUGH_SIMULATORS:
            asked = {"url": door.url, "shape": door.ghl_shape, "headers": door.headers, "repeat": times}
            asked["contact"] = enquiries.contact(enquiry)
            return [str(sent["status"]) for sent in await self._through("gohighlevel", asked)]
        sending = enquiries.say(door.kind, enquiry, door.key)
        assert sending is not None  # `doors` keeps kinds that can be said
        headers = sending.headers | door.headers
        answers = [
            await self._http.post(door.url, content=sending.body, headers=headers) for _ in range(times)
        ]
        return [str(answer.status_code) for answer in answers]

    async def _through(self, simulator: str, asked: Json) -> Any:
        answer = await self._http.post(f"{self._simulators[simulator]['base_url']}/_sim/send", json=asked)
        answer.raise_for_status()
        return answer.json()

    def _say(self, door: Door, enquiry: Enquiry, outcome: str) -> None:
        self.answers[outcome] += 1
        print(f"{enquiry.at:%H:%M:%S} {door.name:<28} {enquiry.person.name:<28} {outcome}", flush=True)


async def stream(facts: Json, *, per_minute: float, seed: int | None, count: int | None) -> Counter[str]:
    """Send leads at about this rate, `count` of them or without end; return how often each answer came."""
    chance = random.Random(seed)
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as http:
        traffic = Traffic(facts, chance, http)
        await traffic.let_agents_move()
        async with asyncio.TaskGroup() as under_way:
            async for _ in arrivals(chance, per_minute, count):
                under_way.create_task(traffic.send_one())
        return traffic.answers


async def arrivals(chance: random.Random, per_minute: float, count: int | None) -> AsyncIterator[int]:
    """Yield at random instants, independent of each other, as visitors arrive."""
    number = 0
    while count is None or number < count:
        await asyncio.sleep(chance.expovariate(per_minute / 60))
        yield number
        number += 1


async def run(options: argparse.Namespace) -> None:
    """Stream until told to stop."""
    task = asyncio.current_task()
    assert task is not None
    for wanted in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(wanted, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        while not options.facts.exists():  # it appears when everything answers
            await asyncio.sleep(LOOK_FOR_FACTS_EVERY_S)
        facts = json.loads(options.facts.read_text())
        await stream(facts, per_minute=options.per_minute, seed=options.seed, count=options.count)


def main(arguments: list[str] | None = None) -> int:
    supervisor.end_with_supervisor()
    parser = argparse.ArgumentParser(prog="python -m filiera.simulators.traffic")
    parser.add_argument("facts", type=Path, help="demo.json")
    parser.add_argument("--per-minute", type=float, default=PER_MINUTE)
    parser.add_argument("--count", type=int, help="stop after so many")
    parser.add_argument("--seed", type=int, help="the same seed gives the same people")
    asyncio.run(run(parser.parse_args(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
