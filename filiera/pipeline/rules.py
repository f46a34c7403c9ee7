"""What an activity does to a lead, what counts as contact, and how long a deal stood where: pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from uuid import UUID

# The values of LeadState and Activity.Type; no model is imported, so that the rules stay tables.
FORWARD = ("nuovo", "in_contatto", "caldo", "attesa_ordine", "chiuso_vinto")
"""The order in which a lead moves (PIP-17). Perso stands outside: it is reached from anywhere but the end."""

MERGE_ORDER = ("nuovo", "in_contatto", "caldo", "attesa_ordine", "perso", "chiuso_vinto")
"""Which state wins when people are merged: the one furthest to the right (pipeline.md 4)."""

WON, LOST = "chiuso_vinto", "perso"

DEFAULT_RULES: Mapping[str, str] = {
    "chiamata": "in_contatto",
    "visita": "caldo",
    "preventivo": "attesa_ordine",
    "ordine": "chiuso_vinto",
    "rifiuto": "perso",
}
"""Activity type → lead state (PIP-16), until a brand edits its own."""

FIRE_WHEN_PLANNED = frozenset({"visita", "preventivo"})
"""Types whose rule acts already when they are planned (pipeline.md 4)."""

SHORTEST_CONVERSATION_S = 20
"""An answered call shorter than this is no contact (PIP-35, kpis.md 3)."""

NOT_A_CONVERSATION = frozenset({"voicemail", "machine", "wrong_person", "wrong_number", "no_answer", "busy"})
"""Outcomes of a call in which the person was not spoken to, however long it lasted (kpis.md 3)."""


def state_after(
    *,
    current: str,
    activity_type: str,
    activity_status: str = "done",
    rules: Mapping[str, str] = DEFAULT_RULES,
    allow_regression: bool = False,
) -> str | None:
    """Return the state a lead goes to because of an activity, or None when it stays.

    Forward only, except for Rifiuto, which leads to Perso from anywhere but Chiuso / Vinto; with
    `allow_regression` every rule acts as written. A lost lead who orders after all is won; nothing else a
    rule does brings one back. Source: PIP-16, PIP-17.
    """
    if activity_status == "cancelled":
        return None
    if activity_status == "planned" and activity_type not in FIRE_WHEN_PLANNED:
        return None
    target = rules.get(activity_type)
    if target is None or target == current:
        return None
    if allow_regression:
        return target
    if target == LOST:
        return None if current == WON else target
    if current == LOST:
        return target if target == WON else None
    return target if FORWARD.index(target) > FORWARD.index(current) else None


def most_advanced(states: Iterable[str]) -> str:
    """Return the state that a merged person keeps."""
    return max(states, key=MERGE_ORDER.index)


@dataclass(frozen=True, slots=True)
class Exchange:
    """The facts of an activity that decide whether two people spoke."""

    type: str
    origin: str  # human, automatic
    direction: str  # incoming, outgoing
    outcome: str
    talking_seconds: int | None


def is_two_way(exchange: Exchange) -> bool:
    """Say whether an activity is two-way contact: an answered call of at least 20 s with a human outcome, or a reply.

    Automatic answers, delivery receipts, machines and wrong persons are not. Source: PIP-35, kpis.md 3.
    """
    if exchange.origin != "human":
        return False
    if exchange.type == "chiamata":
        long_enough = (exchange.talking_seconds or 0) >= SHORTEST_CONVERSATION_S
        return long_enough and exchange.outcome != "" and exchange.outcome not in NOT_A_CONVERSATION
    return exchange.type == "email" and exchange.direction == "incoming"


@dataclass(frozen=True, slots=True)
class Stay:
    """One stay of a deal in a stage, [entered, exited); `exited_at` None while it lasts."""

    stage_id: UUID
    entered_at: datetime
    exited_at: datetime | None

    def lasted(self, now: datetime) -> timedelta:
        return (self.exited_at or now) - self.entered_at


def gaps(stays: Sequence[Stay]) -> list[tuple[datetime, datetime]]:
    """Return where two neighbouring stays of one deal do not touch: between them, or over each other.

    An empty list is what must hold while a deal moves from stage to stage; taking a deal off the board or
    closing it leaves a gap on purpose.
    """
    in_order = sorted(stays, key=lambda stay: (stay.entered_at, stay.exited_at is None, stay.exited_at))
    return [
        (before.exited_at or after.entered_at, after.entered_at)
        for before, after in pairwise(in_order)
        if before.exited_at != after.entered_at
    ]


def total_by_stage(stays: Iterable[Stay], now: datetime) -> dict[UUID, timedelta]:
    """Return the whole time a deal spent in each stage, returns included (kpis.md 9)."""
    totals: dict[UUID, timedelta] = {}
    for stay in stays:
        totals[stay.stage_id] = totals.get(stay.stage_id, timedelta()) + stay.lasted(now)
    return totals


def is_paused(waiting_until: date | None, today: date) -> bool:
    """Say whether the ageing clock of a deal stands still: the customer asked to wait (PIP-34)."""
    return waiting_until is not None and waiting_until > today


def over_limit(
    *,
    entered_at: datetime,
    now: datetime,
    age_limit_days: int | None,
    waiting_until: date | None,
    zone: tzinfo,
) -> bool:
    """Say whether a deal has stood in its stage longer than the stage allows, unless it is paused.

    While it was waiting the clock stood still, so the limit counts from the end of the wait, when that is later.
    """
    if age_limit_days is None or is_paused(waiting_until, now.astimezone(zone).date()):
        return False
    since = entered_at
    if waiting_until is not None:
        since = max(since, datetime.combine(waiting_until, time.min, zone))
    return now - since > timedelta(days=age_limit_days)
