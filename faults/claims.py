"""Q-23: 200 leads claimed at once by 4 workers while agents come and go: each assigned once, fairly, none stuck."""

import random
import threading
import time
from collections import Counter
from itertools import pairwise
from typing import Any

import psycopg

from bench import draining, leads, load
from bench.house import House, machine, say
from faults.verdict import Verdict
from filiera.routing import rules

LEADS = 200
WORKERS = 4
BATCH = 7
ROUNDS = 6
AGENTS = 9


def run(rounds: int = ROUNDS) -> Verdict:
    """Drain `rounds` times 200 leads with 4 processes at once, by both rules, and judge the decisions by replay."""
    verdict = Verdict("Q-23", f"{rounds} × {LEADS} leads claimed at once by {WORKERS} workers")
    with machine() as ground:
        house = ground.house()
        facts = house.furnish(agents=AGENTS, concurrent=1000)
        house.start_web()
        claimed: Counter[str] = Counter()
        for number in range(rounds):
            policy = "round_robin" if number % 2 == 0 else "credit"
            _use(house, facts, policy)
            calm = number >= rounds - 2  # the last round of each rule with everybody there
            claimed += _round(house, facts, number, restless=not calm)
            if calm:
                _judge_even(verdict, house, number, policy)
        house.stop()
        _judge(verdict, house, rounds * LEADS, claimed)
    return verdict


def _round(house: House, facts: dict[str, Any], number: int, *, restless: bool) -> Counter[str]:
    """Accept 200 leads while no worker runs, then let all of them at it at once; returns what each claimed."""
    posts = leads.webhook_posts(facts, first=number * LEADS)
    accepted = load.closed(house.port, (next(posts) for _ in range(LEADS)), seconds=60)
    say(f"round {number + 1}: {accepted.accepted} leads wait")
    stopping = threading.Event()
    crowd = threading.Thread(target=_come_and_go, args=(house, facts, stopping, number))
    try:
        _seconds, claimed = draining.drain(
            house, processes=WORKERS, batch=BATCH, meanwhile=crowd.start if restless else lambda: None
        )
    finally:
        stopping.set()
    if restless:
        crowd.join()
    house.execute("update routing_agent set last_status = 'online', provider_status = 'online'")
    return Counter({f"worker {place}": count for place, count in enumerate(claimed)})


def _come_and_go(house: House, facts: dict[str, Any], stopping: threading.Event, seed: int) -> None:
    """Switch agents on and off line as their provider would tell it, some hundred times a second."""
    chance = random.Random(seed)
    with psycopg.connect(house.urls.owner, autocommit=True) as connection:
        while not stopping.is_set():
            status = "online" if chance.random() < 0.6 else "offline"
            connection.execute(
                "update routing_agent set last_status = %s, provider_status = %s, last_status_at = now()"
                " where provider_agent_id = %s",
                [status, status, chance.choice(facts["provider_agent_ids"])],
            )
            time.sleep(0.002)


def _use(house: House, facts: dict[str, Any], policy: str) -> None:
    """Choose by another rule from now on."""
    house.execute(
        "insert into routing_routingstate (brand_id, policy, rule_version, credits, total_assigned, updated_at)"
        f" values ('{facts['brand_id']}', '{policy}', 1, '{{}}', 0, now())"
        " on conflict (brand_id) do update set policy = excluded.policy,"
        " rule_version = routing_routingstate.rule_version + 1"
    )


def _decisions(house: House) -> list[dict[str, Any]]:
    with psycopg.connect(house.urls.platform) as connection:
        cursor = connection.execute(
            "select sequence, agent_id::text, candidates, state_before, state_after, rule, lead_event_id,"
            " created_at from routing_decision where process_id is null order by sequence"
        )
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def _judge(verdict: Verdict, house: House, expected: int, claimed: Counter[str]) -> None:
    decisions = _decisions(house)
    verdict.facts |= {"claimed": dict(claimed), "decisions": len(decisions)}
    verdict.check("each lead was claimed by one worker", claimed.total() == expected, claimed=claimed.total())
    verdict.check("several workers had a part", len([n for n in claimed.values() if n]) > 1)
    once = Counter(decision["lead_event_id"] for decision in decisions)
    verdict.check("no lead is assigned twice", max(once.values(), default=0) == 1)
    verdict.check("each lead has its decision", len(once) == expected, decided=len(once))
    stuck = house.count("select count(*) from capture_submission where queue_state <> 'done'")
    verdict.check("no lead is stuck", stuck == 0, stuck=stuck)
    gaps = [a["sequence"] for a, b in pairwise(decisions) if b["sequence"] != a["sequence"] + 1]
    verdict.check("decisions stand in one line", not gaps, gaps=gaps[:5])
    torn = [
        later["sequence"]
        for earlier, later in pairwise(decisions)
        if earlier["rule"] == later["rule"] and earlier["state_after"] != later["state_before"]
    ]
    verdict.check("each decision begins where the one before ended", not torn, torn=torn[:5])
    wrong, unsettled, absent = [], [], []
    for decision in decisions:
        choice = rules.replay(
            candidates=decision["candidates"], state_before=decision["state_before"], rule=decision["rule"]
        )
        if (choice.agent.id if choice.agent else None) != decision["agent_id"]:
            wrong.append(decision["sequence"])
        if decision["rule"] == "credit" and sum(choice.state_after.credits.values()):
            unsettled.append(decision["sequence"])
        if any(item["id"] == decision["agent_id"] and "why" in item for item in decision["candidates"]):
            absent.append(decision["sequence"])
    verdict.check("a replay gives the same agents", not wrong, wrong=wrong[:5])
    verdict.check("credits sum to nothing after every lead", not unsettled, unsettled=unsettled[:5])
    verdict.check("nobody got a lead who was not there", not absent, absent=absent[:5])
    pools = {tuple(sorted(c["id"] for c in d["candidates"] if "why" not in c)) for d in decisions}
    verdict.facts["different_pools"] = len(pools)
    verdict.facts["without_agent"] = sum(1 for d in decisions if d["agent_id"] is None)


def _judge_even(verdict: Verdict, house: House, number: int, policy: str) -> None:
    """With everybody there, the leads of a round are shared evenly: 200 by 9 is 22 or 23 each (ROU-10).

    By credits an agent may still be owed, or owe, what the restless rounds before left: their own bound says how much.
    """
    last = _decisions(house)[-LEADS:]
    shares = Counter(decision["agent_id"] for decision in last)
    spread = max(shares.values()) - min(shares.values())
    bound = 1 if policy == "round_robin" else 2 + _owed(last[0]["state_before"])
    is_even = len(shares) == AGENTS and spread <= bound
    verdict.check(f"round {number + 1} by {policy} is shared evenly", is_even, shares=shares)


def _owed(state: dict[str, Any]) -> float:
    standing = rules.State.from_json(state)
    owed = [float(standing.credit(agent)) for agent in standing.credits]
    return max(owed, default=0.0) - min(owed, default=0.0)
