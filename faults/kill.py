"""Q-20: web, worker and database are killed at random under load; what was acknowledged is processed exactly once."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg

from bench.house import answers, say
from faults.living import Living, living
from faults.senders import Senders
from faults.verdict import Verdict

BACK_LIMIT_S = 90.0
SETTLE_LIMIT_S = 180.0
CALL = "calls/create"


def run(
    kills: int = 100, *, seed: int = 20, per_second: float = 40.0, settle_limit_s: float = SETTLE_LIMIT_S
) -> Verdict:
    """Kill `kills` times, let everything settle, and judge what the database and the provider saw.

    Settled means that no lead waits and no phone may be ringing. A conversation whose end the provider never told
    stays open until it is asked for it, minutes later: that is not waited for.
    """
    chance = random.Random(seed)
    verdict = Verdict("Q-20", f"{kills} kills of web, worker and database under load")
    with living() as house:
        senders = Senders(house.port, house.facts, per_second=per_second)
        senders.start()
        time.sleep(1.5)
        done: Counter[str] = Counter()
        longest_s = 0.0
        for number in range(kills):
            # The provider may also do what it was asked and hang up before saying so.
            house.set_knobs(next_responses=[{"endpoint": CALL, "drop": True, "happens": True}])
            done[_kill_one(house, chance)] += 1
            time.sleep(chance.uniform(0.05, 0.6))
            longest_s = max(longest_s, _wait_until_back(house))
            if number % 10 == 9:
                say(f"{number + 1} kills, {len(senders.acknowledged)} leads acknowledged")
            time.sleep(chance.uniform(0.0, 0.8))
        senders.stop()
        settled_s = _settle(house, settle_limit_s)
        verdict.facts |= {
            "kills": dict(done),
            "sent": senders.sent,
            "acknowledged": len(senders.acknowledged),
            "answers": senders.statuses,
            "longest_absence_s": round(longest_s, 1),
            "settled_s": round(settled_s, 1),
        }
        judge(verdict, house, senders.acknowledged)
    return verdict


def judge(verdict: Verdict, house: Living, acknowledged: set[str]) -> None:
    """Check what the database and the provider's log hold, once nothing moves any more."""
    _judge_leads(verdict, house, acknowledged)
    _judge_calls(verdict, house)


def _judge_leads(verdict: Verdict, house: Living, acknowledged: set[str]) -> None:
    stored = dict(house.rows("select request_id, count(*) from capture_submission group by 1"))
    lost = acknowledged - stored.keys()
    verdict.check("every acknowledged request is stored", not lost, lost=sorted(lost)[:10])
    twice = [request_id for request_id, count in stored.items() if count > 1]
    verdict.check("no request is stored twice", not twice, twice=twice[:10])
    waiting = house.rows(
        "select request_id, queue_state, attempts, last_error from capture_submission"
        " where queue_state in ('ready', 'leased')"
    )
    verdict.check("nothing stands in the queue", not waiting, waiting=waiting[:10], count=len(waiting))
    nameless = house.rows(
        "select request_id from capture_submission where queue_state = 'dead' and dead_reason = '' and last_error = ''"
    )
    verdict.check("every dead letter says why", not nameless, dead=nameless[:10])
    verdict.facts["dead_letters"] = house.number(
        "select count(*) from capture_submission where queue_state = 'dead'"
    )
    events = house.rows(
        "select s.request_id, count(e.id) from capture_submission s"
        " left join pipeline_leadevent e on e.submission_id = s.id"
        " where s.queue_state <> 'dead' group by 1 having count(e.id) <> 1"
    )
    verdict.check("one lead event for each lead", not events, not_one=events[:10], count=len(events))
    for name, query in _WHOLE.items():
        found = house.number(query)
        verdict.check(name, found == 0, count=found)
    verdict.facts["lead_events"] = house.number("select count(*) from pipeline_leadevent")


_WHOLE = {
    "one person for each number": "select count(*) from (select phone_e164 from contacts_contactphone"
    " group by brand_id, phone_e164 having count(distinct contact_id) > 1) as twice",
    "one open deal for each person": "select count(*) from (select contact_id from pipeline_deal"
    " where status = 'open' group by 1 having count(*) > 1) as twice",
    "no lead without its deal": "select count(*) from pipeline_leadevent where deal_id is null and not is_test",
    "no open deal without its stay in a stage": "select count(*) from pipeline_deal d where d.status = 'open'"
    " and not exists (select from pipeline_stagehistory h where h.deal_id = d.id and h.exited_at is null)",
    "one decision for each lead": "select count(*) from pipeline_leadevent e where not e.is_test and 1 <>"
    " (select count(*) from routing_decision d where d.lead_event_id = e.id and d.process_id is null)",
}


def _judge_calls(verdict: Verdict, house: Living) -> None:
    uncalled = house.number(
        "select count(*) from pipeline_leadevent e join capture_submission s on s.id = e.submission_id"
        " join capture_source o on o.id = s.source_id and o.auto_call"
        " where (select count(*) from routing_process p where p.lead_event_id = e.id) <> 1"
    )
    verdict.check("one process for each lead that is to be called", uncalled == 0, count=uncalled)
    live_twice = house.number(
        "select count(*) from (select process_id from routing_callattempt where ended_at is null"
        " and state in ('requested', 'accepted', 'unknown', 'ringing', 'answered')"
        " group by 1 having count(*) > 1) as twice"
    )
    verdict.check("no process has two live attempts", live_twice == 0, count=live_twice)
    violations = house.simulator("violations")
    verdict.check("the provider never saw two live calls for a number", not violations, seen=violations[:5])
    attempts: Counter[tuple[str, str]] = Counter(
        {
            (number, agent): count
            for number, agent, count in house.rows(
                "select t.number_e164, a.provider_agent_id, count(*) from routing_callattempt t"
                " join routing_agent a on a.id = t.agent_id group by 1, 2"
            )
        }
    )
    requested: Counter[tuple[str, str]] = Counter(
        (str(entry["body"]["callee_number"]), str(entry["body"]["agent_id"]))
        for entry in house.simulator("log")
        if CALL in entry["path"]
    )
    again = {key: count for key, count in requested.items() if count > attempts[key]}
    verdict.check("no attempt was requested twice", not again, again=list(again.items())[:10])
    verdict.facts |= {"attempts": attempts.total(), "call_requests": requested.total()}
    standing = house.rows(
        "select p.number, p.state, p.final_status, p.due_at from routing_process p where p.state = 'calling'"
        " and not exists (select from routing_callattempt t where t.process_id = p.id"
        # Over, but the provider is still asked whose silence it was.
        " and (t.ended_at is null or t.check_at is not null))"
        # One that the worker has just taken has a lease there, and comes back with it.
        " and (p.due_at is null or p.due_at < now() - interval '1 minute')"
    )
    verdict.check("no process stands still", not standing, standing=standing[:10], count=len(standing))


def _kill_one(house: Living, chance: random.Random) -> str:
    """Kill one of the house's processes and return its name; one that is just being restarted is skipped."""
    targets: dict[str, Callable[[], list[int]]] = {
        "web process": lambda: _children(_supervised(house, "web")),
        "web server": lambda: _supervised(house, "web"),
        "worker": lambda: _supervised(house, "worker"),
        "phones or jobs": lambda: _children(_supervised(house, "worker")),
        "database": lambda: _postmaster(house),
        "database session": lambda: _children(_postmaster(house)),
    }
    names = list(targets)
    chance.shuffle(names)
    for name in names:
        if pids := targets[name]():
            try:
                os.kill(chance.choice(pids), signal.SIGKILL)
            except ProcessLookupError:
                continue
            return name
    return "nobody"


def _supervised(house: Living, command: str) -> list[int]:
    return [pid for pid in _children([house.up.pid]) if _command(pid).endswith(f"filiera.cli {command}")]


def _postmaster(house: Living) -> list[int]:
    try:
        with psycopg.connect(house.urls.admin, connect_timeout=3) as connection:
            row = connection.execute("show data_directory").fetchone()
        return [int((Path(row[0]) / "postmaster.pid").read_text().split()[0])] if row else []
    except (psycopg.Error, OSError, ValueError, IndexError):
        return []


def _children(parents: list[int]) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) in parents and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""


def _wait_until_back(house: Living) -> float:
    """Return the seconds until the house answers and has a worker again. Raises TimeoutError."""
    started = time.monotonic()
    while not (answers(f"http://127.0.0.1:{house.port}/health") and _supervised(house, "worker")):
        if time.monotonic() - started > BACK_LIMIT_S:
            raise TimeoutError("the house did not come back by itself")
        time.sleep(0.1)
    return time.monotonic() - started


def _settle(house: Living, limit_s: float = SETTLE_LIMIT_S) -> float:
    """Wait until no lead is queued and no phone rings, at most `limit_s`, and return how long that took."""
    house.set_knobs(next_responses=[], error_rates={}, lose_events=0.0)
    started = time.monotonic()
    while time.monotonic() - started < limit_s:
        if not house.number(
            "select (select count(*) from capture_submission where queue_state in ('ready', 'leased'))"
            " + (select count(*) from routing_callattempt"
            " where state in ('requested', 'accepted', 'unknown', 'ringing'))"
        ):
            break
        time.sleep(0.5)
    return time.monotonic() - started
