"""Give every lead of a batch its agent, with a decision that can be explained and replayed (ROU-71)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from django.db import transaction
from django.db.models import Max

from filiera.identity.models import Brand
from filiera.pipeline import commands as pipeline
from filiera.pipeline.commands import Lead, Ownership
from filiera.platform import brand_scope, bulk, events
from filiera.platform.ids import new_id
from filiera.routing import rules, team
from filiera.routing.commands import turn
from filiera.routing.models import Decision
from filiera.routing.rules import Ask, Candidate, Choice, Rule


@dataclass(frozen=True, slots=True)
class Assigned:
    """A lead with the decision about it; `agent` is None when nobody could get it."""

    lead: Lead
    decision_id: UUID
    sequence: int
    agent: Candidate | None
    skills: frozenset[str]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a decision is about: a lead at its arrival, or a process that needs another agent."""

    contact_id: UUID
    lead_event_id: UUID | None
    process_id: UUID | None = None


@transaction.atomic
def assign(
    leads: Sequence[Lead], *, now: datetime, write_leads: Callable[[], None] = lambda: None
) -> list[Assigned]:
    """Choose an agent for each new lead, in order, and record why. Returns the new leads only.

    Nobody is chosen for a person whose processing is restricted: a colleague decides (GD-29). A lead event that had
    come before keeps its first decision. The deal and the contact get the agent's user as owner where they have none.
    `write_leads` writes people and deals that are not written yet: it is called after the choice, so that their owner
    is in the row from the start. A fixed number of statements, whatever the size of the batch.
    """
    fresh = [lead for lead in leads if lead.is_new_event and lead.contact.restricted_at is None]
    if not fresh:
        write_leads()
        return []
    zone = ZoneInfo(Brand.objects.values_list("timezone", flat=True).get(id=brand_scope.current()))
    standing = turn.locked(now)
    candidates = team.candidates()
    local = now.astimezone(zone)
    asks = _asks(fresh, candidates, local)
    choices = rules.decide_many(
        asks,
        candidates,
        turn.read(standing),
        rule=Rule(standing.policy),
        version=standing.rule_version,
    )
    handed_over = _hand_over(fresh, choices)
    write_leads()
    pipeline.give_owners(handed_over, now=now)
    subjects = [Subject(lead.contact.id, lead.event.id) for lead in fresh]
    recorded = record_choices(choices, subjects, now=now)
    if choices[-1].state_after != choices[0].state_before:
        turn.write(standing, choices[-1].state_after, now=now)
    assigned = [
        Assigned(lead, decision_id, sequence, choice.agent, ask.skills)
        for lead, choice, ask, (decision_id, sequence) in zip(fresh, choices, asks, recorded, strict=True)
    ]
    events.record_all(
        [
            (
                "lead.assigned",
                item.lead.event.id,
                {
                    "contact_id": str(item.lead.contact.id),
                    "decision_id": str(item.decision_id),
                    "agent_id": item.agent.id,
                },
            )
            for item in assigned
            if item.agent is not None
        ],
        at=now,
    )
    return assigned


def record_choices(
    choices: Sequence[Choice], subjects: Sequence[Subject], *, now: datetime
) -> list[tuple[UUID, int]]:
    """Write one decision row per choice, in one statement; returns their ids and sequence numbers.

    The caller holds the lock of the brand's turn, so the sequence has no gaps and no races.
    """
    brand_id = brand_scope.current()
    last: int = Decision.objects.aggregate(last=Max("sequence"))["last"] or 0
    pools: dict[int, orjson.Fragment] = {}
    before = _fragment(choices[0].state_before.as_json())
    rows: list[tuple[Any, ...]] = []
    for sequence, (choice, subject) in enumerate(zip(choices, subjects, strict=True), start=last + 1):
        pool = pools.get(id(choice.pool))
        if pool is None:
            pool = pools[id(choice.pool)] = _fragment(rules.record_pool(choice.pool))
        after = _fragment(choice.state_after.as_json()) if choice.agent is not None else before
        rows.append(
            (
                new_id(),
                brand_id,
                sequence,
                subject.process_id,
                subject.contact_id,
                subject.lead_event_id,
                choice.rule.value,
                choice.version,
                pool,
                before,
                after,
                choice.agent.id if choice.agent is not None else None,
                rules.reason_for(choice),
                now,
            )
        )
        before = after
    bulk.insert(
        Decision,
        [
            "id",
            "brand_id",
            "sequence",
            "process_id",
            "contact_id",
            "lead_event_id",
            "rule",
            "rule_version",
            "candidates",
            "state_before",
            "state_after",
            "agent_id",
            "reason",
            "created_at",
        ],
        rows,
    )
    return [(row[0], row[2]) for row in rows]


def _asks(leads: Sequence[Lead], candidates: Sequence[Candidate], local: datetime) -> list[Ask]:
    taught = rules.taught_skills(candidates)
    plain = Ask(at=local)
    if not taught:
        return [plain] * len(leads)
    by_skills: dict[frozenset[str], Ask] = {frozenset(): plain}
    asks = []
    for lead in leads:
        skills = rules.wanted_skills(_wishes(lead), taught)
        asks.append(by_skills.setdefault(skills, Ask(at=local, skills=skills)))
    return asks


def _wishes(lead: Lead) -> Iterable[str]:
    """What a lead would like its agent to know: the service it asks about, and its language."""
    custom = lead.incoming.custom
    wishes = (lead.incoming.service_code, custom.get("lingua"), custom.get("language"))
    return (wish for wish in wishes if isinstance(wish, str) and wish)


def _hand_over(leads: Sequence[Lead], choices: Sequence[Choice]) -> list[Ownership]:
    """Make the agents' users owners of deals and people that have none: an owner whom a person chose stays.

    Returns those that stand in rows already written.
    """
    written = []
    for lead, choice in zip(leads, choices, strict=True):
        deal, person, agent = lead.deal, lead.contact, choice.agent
        if agent is None or not agent.user_id or deal.owner_user_id is not None:
            continue
        deal.owner_user_id = person.assigned_user_id = UUID(agent.user_id)
        if not (deal._state.adding and person._state.adding):
            written.append(Ownership(deal.id, person.id, deal.owner_user_id))
    return written


def _fragment(value: Any) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(value))
