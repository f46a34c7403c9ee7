"""Who gets a lead: eligibility, round robin and the credit rule, as pure functions.

Nothing here reads a row, a clock or the network: the same candidates, ask and state always give the same choice,
so the recorded decisions can be replayed. Arithmetic is exact (integers over one common denominator).

Sources: routing.md 4.1 (round robin), 4.9 (credit rule), ROU-66 (the provider's words).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from math import gcd, lcm
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

MAX_TRIES: Final = 3  # ROU-13: the first agent and two more
MAX_WEIGHT: Final = 1000
RETRY_DELAYS_S: Final = (60, 300, 900)  # ROU-49
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Status(StrEnum):
    """An agent's availability in the three words of ROU-03."""

    ONLINE = "online"
    OFFLINE = "offline"
    BUSY = "busy"


class Rule(StrEnum):
    ROUND_ROBIN = "round_robin"
    CREDIT = "credit"


class Excluded(StrEnum):
    """Why a candidate could not get the lead."""

    DISABLED = "disabled"
    ON_LEAVE = "on_leave"
    OUT_OF_HOURS = "out_of_hours"
    OFFLINE = "offline"
    PAUSED = "paused"
    UNKNOWN_STATUS = "unknown_status"
    OUTBOUND_OFF = "outbound_off"
    DAILY_LIMIT = "daily_limit"
    BUSY = "busy"
    AT_CAPACITY = "at_capacity"
    MISSING_SKILL = "missing_skill"
    ALREADY_TRIED = "already_tried"


SENTENCES: Final[dict[Excluded, Promise]] = {
    Excluded.DISABLED: _("Non riceve lead: è spento qui in Filiera"),
    Excluded.ON_LEAVE: _("Oggi è assente"),
    Excluded.OUT_OF_HOURS: _("Fuori orario"),
    Excluded.OFFLINE: _("Non è collegato al centralino"),
    Excluded.PAUSED: _("È in pausa"),
    Excluded.UNKNOWN_STATUS: _("Il centralino dà uno stato che non conosciamo"),
    Excluded.OUTBOUND_OFF: _("Il centralino non gli permette di chiamare"),
    Excluded.DAILY_LIMIT: _("Limite di chiamate raggiunto"),
    Excluded.BUSY: _("È in chiamata"),
    Excluded.AT_CAPACITY: _("Ha già tutte le chiamate che può tenere"),
    Excluded.MISSING_SKILL: _("Non segue questo tipo di richiesta"),
    Excluded.ALREADY_TRIED: _("Già provato per questo lead"),
}

ALL_BUSY: Final = "all_busy"
NOBODY_AVAILABLE: Final = "nobody_available"
# A lead that finds some of these waits for somebody to get free, not for somebody to come to work.
BUSY_REASONS: Final = frozenset({Excluded.BUSY, Excluded.AT_CAPACITY})

Hours = tuple[tuple[tuple[int, int], ...], ...]
"""Seven days from Monday; each day's openings as minutes from midnight, end not included."""


def own_status(provider_status: str, *, status_outbound: bool, is_daily_limit_ok: bool) -> Status:
    """Return our word for the provider's one (ROU-66): an unknown word is never available."""
    if provider_status == "online" and status_outbound and is_daily_limit_ok:
        return Status.ONLINE
    return Status.BUSY if provider_status == "calling" else Status.OFFLINE


def _minutes(text: str) -> int:
    hours, _colon, minutes = text.partition(":")
    if not (len(text) == 5 and hours.isdecimal() and minutes.isdecimal()):
        raise ValueError(f"{text!r} is not an hour like 09:30")
    value = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or value > 24 * 60:
        raise ValueError(f"{text!r} is not an hour between 00:00 and 24:00")
    return value


def read_hours(schedule: Mapping[str, Any] | None) -> Hours | None:
    """Read `{"mon": [["09:00", "13:00"], …], …}`; None (at any hour) stays None. Raises ValueError.

    A day that is not named is closed; `["00:00", "24:00"]` is the whole day.
    """
    if schedule is None:
        return None
    if unknown := set(schedule) - set(DAYS):
        raise ValueError(f"not a day: {', '.join(sorted(unknown))}")
    week = []
    for day in DAYS:
        openings = sorted((_minutes(start), _minutes(end)) for start, end in schedule.get(day) or ())
        if any(start >= end for start, end in openings):
            raise ValueError(f"{day}: an opening ends before it starts")
        if any(before[1] > after[0] for before, after in pairwise(openings)):
            raise ValueError(f"{day}: two openings overlap")
        week.append(tuple(openings))
    return tuple(week)


def is_open(hours: Hours | None, local: datetime) -> bool:
    """Tell whether `local`, a moment in the brand's zone, lies inside `hours`."""
    if hours is None:
        return True
    minute = local.hour * 60 + local.minute
    return any(start <= minute < end for start, end in hours[local.weekday()])


def next_open(hours: Hours | None, at: datetime, zone: tzinfo) -> datetime | None:
    """Return the first moment from `at` on that lies inside `hours`; None when they never open."""
    local = at.astimezone(zone)
    if is_open(hours, local):
        return at
    assert hours is not None
    for ahead in range(8):
        day = local.date() + timedelta(days=ahead)
        for start, _end in hours[day.weekday()]:
            opening = datetime.combine(day, time(start // 60 % 24, start % 60), zone)
            if opening > at:
                return opening.astimezone(at.tzinfo)
    return None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An agent as the rules see it, at one moment."""

    id: str
    name: str
    sort_order: int
    provider_agent_id: str
    user_id: str | None = None  # carried along, never looked at
    is_enabled: bool = True
    provider_status: str = "online"
    status_outbound: bool = True
    is_daily_limit_ok: bool = True
    weight: int = 1
    skills: frozenset[str] = frozenset()
    hours: Hours | None = None
    on_leave_until: date | None = None  # the last day away
    live_calls: int = 0
    max_concurrent_calls: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.weight <= MAX_WEIGHT:
            raise ValueError(f"weight {self.weight} is outside 1-{MAX_WEIGHT}")

    @property
    def position(self) -> tuple[int, str]:
        """The place in the sequence (ROU-47)."""
        return (self.sort_order, self.provider_agent_id)

    @property
    def status(self) -> Status:
        return own_status(
            self.provider_status,
            status_outbound=self.status_outbound,
            is_daily_limit_ok=self.is_daily_limit_ok,
        )


@dataclass(frozen=True, slots=True)
class Ask:
    """What one lead needs. `at` is the moment in the brand's zone; `tried` are agents this process already rang."""

    at: datetime
    skills: frozenset[str] = frozenset()
    tried: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class State:
    """Where the distribution stands: the last agent for round robin, the credits for the credit rule.

    A credit is `credits[agent] / denominator`. `last_sort_order` outlives the last agent's row.
    """

    last: str | None = None
    last_sort_order: int | None = None
    total: int = 0
    denominator: int = 1
    credits: Mapping[str, int] = field(default_factory=dict)

    def credit(self, agent_id: str) -> Fraction:
        return Fraction(self.credits.get(agent_id, 0), self.denominator)

    def credits_json(self) -> dict[str, Any]:
        """The credits as kept in a row: `{}`, or `{"d": denominator, "c": {agent: numerator}}`.

        Numbers are text: a long history of changing pools may pass the 53 bits of a JSON number.
        """
        if not self.credits:
            return {}
        return {"d": str(self.denominator), "c": {agent: str(n) for agent, n in self.credits.items()}}

    def as_json(self) -> dict[str, Any]:
        """The compact form kept beside a decision."""
        return {
            "last": self.last,
            "sort": self.last_sort_order,
            "n": self.total,
            "credits": self.credits_json(),
        }

    @classmethod
    def from_json(cls, compact: Mapping[str, Any]) -> State:
        kept = compact.get("credits") or {}
        return cls(
            last=compact.get("last"),
            last_sort_order=compact.get("sort"),
            total=compact.get("n", 0),
            denominator=int(kept.get("d", 1)),
            credits={agent: int(numerator) for agent, numerator in kept.get("c", {}).items()},
        )


@dataclass(frozen=True, slots=True)
class Pool:
    """The candidates of one ask, sorted into those who may get it and those who may not. Shared by like asks."""

    sequence: tuple[Candidate, ...]
    eligible: tuple[Candidate, ...]
    excluded: tuple[tuple[Candidate, Excluded], ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision. `agent` is None when nobody was eligible: then the state has not moved."""

    agent: Candidate | None
    pool: Pool
    state_before: State
    state_after: State
    rule: Rule
    version: int

    @property
    def excluded(self) -> tuple[tuple[Candidate, Excluded], ...]:
        return self.pool.excluded


def why_not(candidate: Candidate, ask: Ask) -> Excluded | None:
    """Return the first reason that keeps `candidate` from the lead, or None: lasting reasons come first."""
    if not candidate.is_enabled:
        return Excluded.DISABLED
    if candidate.on_leave_until is not None and ask.at.date() <= candidate.on_leave_until:
        return Excluded.ON_LEAVE
    if not is_open(candidate.hours, ask.at):
        return Excluded.OUT_OF_HOURS
    if ask.skills - candidate.skills:
        return Excluded.MISSING_SKILL
    if candidate.id in ask.tried:
        return Excluded.ALREADY_TRIED
    match candidate.provider_status:
        case "online":
            if not candidate.status_outbound:
                return Excluded.OUTBOUND_OFF
            if not candidate.is_daily_limit_ok:
                return Excluded.DAILY_LIMIT
        case "calling":
            return Excluded.BUSY
        case "paused":
            return Excluded.PAUSED
        case "offline":
            return Excluded.OFFLINE
        case _:
            return Excluded.UNKNOWN_STATUS
    if candidate.live_calls >= candidate.max_concurrent_calls:
        return Excluded.AT_CAPACITY
    return None


def taught_skills(candidates: Iterable[Candidate]) -> frozenset[str]:
    """Return every skill that some enabled agent has."""
    return frozenset[str]().union(*(c.skills for c in candidates if c.is_enabled))


def wanted_skills(wishes: Iterable[str], taught: frozenset[str]) -> frozenset[str]:
    """Return those of a lead's wishes that bind: a skill that no enabled agent has must not strand the lead."""
    return frozenset(wish.strip().lower() for wish in wishes) & taught


def form_pool(ask: Ask, candidates: Iterable[Candidate]) -> Pool:
    """Sort the candidates into the sequence of ROU-47 and apply `why_not` to each."""
    sequence = tuple(sorted(candidates, key=lambda c: c.position))
    eligible, excluded = [], []
    for candidate in sequence:
        reason = why_not(candidate, ask)
        if reason is None:
            eligible.append(candidate)
        else:
            excluded.append((candidate, reason))
    return Pool(sequence, tuple(eligible), tuple(excluded))


def _next_in_turn(pool: Pool, state: State) -> tuple[Candidate, State]:
    """Routing.md 4.1: walk the full sequence from just after the last agent and take the first eligible one."""
    last = next((c.position for c in pool.sequence if c.id == state.last), None)
    if last is not None:
        index = bisect_right(pool.eligible, last, key=lambda c: c.position)
    elif state.last_sort_order is not None:  # the last agent is gone
        index = bisect_right(pool.eligible, state.last_sort_order, key=lambda c: c.sort_order)
    else:
        index = 0
    agent = pool.eligible[index % len(pool.eligible)]
    return agent, State(agent.id, agent.sort_order, state.total + 1, state.denominator, state.credits)


def _highest_credit(pool: Pool, state: State) -> tuple[Candidate, State]:
    """Routing.md 4.9: each eligible agent earns weight ÷ sum, the largest credit gets the lead and pays 1."""
    total = sum(c.weight for c in pool.eligible)
    unit = lcm(state.denominator, total)
    scale, share = unit // state.denominator, unit // total
    owned = {agent: numerator * scale for agent, numerator in state.credits.items()}
    agent = pool.eligible[0]
    largest: int | None = None
    for candidate in pool.eligible:
        credit = owned[candidate.id] = owned.get(candidate.id, 0) + candidate.weight * share
        if largest is None or credit > largest:  # the first of the sequence keeps a tie
            agent, largest = candidate, credit
    owned[agent.id] -= unit
    common = gcd(unit, *owned.values())
    if common > 1:
        unit //= common
        owned = {key: numerator // common for key, numerator in owned.items()}
    return agent, State(agent.id, agent.sort_order, state.total + 1, unit, owned)


def _choose(pool: Pool, state: State, rule: Rule, version: int) -> Choice:
    if not pool.eligible:
        return Choice(None, pool, state, state, rule, version)
    agent, after = (_next_in_turn if rule is Rule.ROUND_ROBIN else _highest_credit)(pool, state)
    return Choice(agent, pool, state, after, rule, version)


def decide(
    ask: Ask,
    candidates: Iterable[Candidate],
    state: State,
    *,
    rule: Rule = Rule.ROUND_ROBIN,
    version: int = 1,
) -> Choice:
    """Choose the agent of one lead and return the choice with the state before and after it."""
    return _choose(form_pool(ask, candidates), state, rule, version)


def decide_many(
    asks: Sequence[Ask],
    candidates: Sequence[Candidate],
    state: State,
    *,
    rule: Rule = Rule.ROUND_ROBIN,
    version: int = 1,
) -> list[Choice]:
    """Choose for each ask in turn, exactly as repeated `decide` would; like asks share one `Pool`."""
    pools: dict[Ask, Pool] = {}
    choices = []
    for ask in asks:
        pool = pools.get(ask)
        if pool is None:
            pool = pools[ask] = form_pool(ask, candidates)
        choice = _choose(pool, state, rule, version)
        state = choice.state_after
        choices.append(choice)
    return choices


def record_pool(pool: Pool) -> list[dict[str, Any]]:
    """The candidates of a decision as they are kept in its row, in sequence order; only the excluded have a `why`."""
    reasons = {candidate.id: reason for candidate, reason in pool.excluded}
    recorded = []
    for c in pool.sequence:
        item: dict[str, Any] = {
            "id": c.id,
            "sort": c.sort_order,
            "weight": c.weight,
            "word": c.provider_status,
        }
        if c.id in reasons:
            item["why"] = reasons[c.id]
        recorded.append(item)
    return recorded


def replay(*, candidates: Sequence[Mapping[str, Any]], state_before: Mapping[str, Any], rule: str) -> Choice:
    """Decide again from a decision's row: who was eligible is what the row says, the choice is made anew."""
    sequence = tuple(
        Candidate(
            id=item["id"],
            name="",
            sort_order=item["sort"],
            provider_agent_id=f"{place:06}",  # they were recorded in sequence order
            provider_status=item["word"],
            weight=item["weight"],
        )
        for place, item in enumerate(candidates)
    )
    reasons = [item.get("why") for item in candidates]
    pool = Pool(
        sequence,
        tuple(c for c, why in zip(sequence, reasons, strict=True) if why is None),
        tuple((c, Excluded(why)) for c, why in zip(sequence, reasons, strict=True) if why is not None),
    )
    return _choose(pool, State.from_json(state_before), Rule(rule), 1)


def reason_for(choice: Choice) -> str:
    """The code of a decision: the rule that chose, or why nobody could be chosen."""
    if choice.agent is not None:
        return choice.rule.value
    reasons = {reason for _candidate, reason in choice.excluded}
    return ALL_BUSY if reasons & BUSY_REASONS else NOBODY_AVAILABLE
