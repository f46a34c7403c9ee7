"""Random people with rows of every kind that points to them, in the open brand scope."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from django.db import connection

from filiera.contacts import rules, suppressions, tags
from filiera.contacts.merging import references
from filiera.contacts.merging.references import Fate
from filiera.contacts.models import (
    Consent,
    Contact,
    ContactPhone,
    ContactTag,
    DuplicateSuggestion,
    LeadState,
    Tag,
)
from filiera.pipeline.models import Activity, Deal, DealClosing, LeadEvent, Stage, StageHistory
from filiera.routing.models import Agent, CallAttempt, Decision, Process
from tests.leads import NOW, source, submission

RECORDS = frozenset({"audit_log", "audit_chain", "platform_event", "contacts_merge"})
"""What tells that a merge and its undo happened, and so differs after them."""


@dataclass
class World:
    """What random rows are made of, made once for a brand."""

    stages: list[Stage]
    agents: list[Agent]
    stranger: Contact
    submissions: list[Any]
    tags: list[Tag]
    number: int = 0

    @classmethod
    def made(cls) -> "World":
        of = source()
        return cls(
            stages=list(Stage.objects.order_by("order_index")),
            agents=[Agent.objects.create(name=f"Agente {n}", provider_agent_id=f"a{n}") for n in range(2)],
            stranger=_person(Random(0), 0),
            submissions=[submission(of) for _ in range(4)],
            tags=[tags.create(name=f"Etichetta {n}", now=NOW) for n in range(4)],
        )

    def next(self) -> int:
        self.number += 1
        return self.number


def graph(world: World, random: Random, *, people: int) -> list[Contact]:
    """Return people who share some numbers and addresses, each with rows of every room."""
    found = [_person(random, n) for n in range(people)]
    earlier = [_person(random, 9) for _ in range(random.randrange(2))]
    for one in earlier:
        Contact.objects.filter(id=one.id).update(merged_into_id=random.choice(found).id, deleted_at=NOW)
    _phones(random, found)
    for one in found:
        deals = _deals(world, random, one)
        _rows(world, random, one, deals)
        _consents(world, random, one)
        for tag in random.sample(world.tags, random.randrange(4)):
            ContactTag.objects.create(contact=one, tag=tag, created_at=_moment(random))
    _suggestions(random, [*found, world.stranger])
    return found


def _moment(random: Random) -> datetime:
    return NOW - timedelta(seconds=random.randrange(10_000_000))


def _person(random: Random, n: int) -> Contact:
    first = random.choice(["", "Adele", "Àda", "Bruno"])
    last = random.choice(["", "Brunetti", "D’Angelo"])
    name_key, surname_key = rules.name_keys(first, last)
    email = random.choice([None, "uno@posta.example", f"n{n}@Posta.example"])
    is_restricted = random.random() < 0.1
    at = _moment(random)
    return Contact.objects.create(
        first_name=first,
        last_name=last,
        name_key=name_key,
        surname_key=surname_key,
        email=email,
        email_norm=rules.email_key(email) if email else None,
        city=random.choice(["", "Bari"]),
        cap=random.choice(["", "70100"]),
        company_name=random.choice(["", "Luce Srl"]),
        age=random.choice([None, 44]),
        status=random.choice(LeadState.values),
        notes=random.choice(["", "Richiama\nalle 9", "100 % sicuro: «sì»"]),
        external_ids=random.choice([{}, {"ghl": f"x{n}"}, {"hubspot": "7"}]),
        last_lead_at=at,
        lead_count=random.randrange(4),
        created_at=at,
        updated_at=at,
        restricted_at=at if is_restricted else None,
        restricted_reason="Lo ha chiesto" if is_restricted else "",
    )


def _phones(random: Random, people: list[Contact]) -> None:
    has_key: set[str] = set()
    for person in people:
        digits = random.sample([f"351000{n:04d}" for n in range(5)], random.randrange(4))
        for place, norm in enumerate(digits):
            is_active = random.random() < 0.8
            is_key = is_active and norm not in has_key
            has_key |= {norm} if is_key else set()
            ContactPhone.objects.create(
                contact=person,
                phone_raw=f"0039 {norm}",
                phone_norm=norm,
                country_code=random.choice(["IT", "IT", None]),
                assumed_country=random.random() < 0.5,
                phone_e164=f"+39{norm}",
                is_match_key=is_key and is_active,
                is_primary=place == 0,
                is_active=is_active,
                created_at=_moment(random),
            )


def _deals(world: World, random: Random, person: Contact) -> list[Deal]:
    deals = []
    for n in range(random.randrange(3)):
        is_open = n == 0 and random.random() < 0.7
        opened = _moment(random)
        status = "open" if is_open else random.choice(["won", "lost"])
        deal = Deal.objects.create(
            contact=person,
            status=status,
            current_stage=random.choice([*world.stages, None]),
            title="FAMILY",
            amount=random.choice([None, "1200.50", "99.90"]),
            stage_entered_at=opened,
            opened_at=opened,
            closed_at=None if is_open else opened + timedelta(days=1),
            version=random.randrange(1, 9),
            created_at=opened,
            updated_at=opened,
        )
        for past in (True, not is_open):
            StageHistory.objects.create(
                deal=deal,
                stage=random.choice(world.stages),
                entered_at=opened,
                exited_at=opened if past else None,
                changed_by="intake",
                change_reason="created",
                created_at=opened,
            )
        if not is_open:
            DealClosing.objects.create(
                deal=deal, status=status, closed_at=deal.closed_at, closed_by="user", amount=deal.amount
            )
        deals.append(deal)
    return deals


def _rows(world: World, random: Random, person: Contact, deals: list[Deal]) -> None:
    for _ in range(random.randrange(3)):
        at, deal = _moment(random), random.choice([*deals, None])
        times = {"created_at": at, "updated_at": at}
        event = LeadEvent.objects.create(
            contact=person,
            deal=deal,
            source="landing",
            external_id=f"e{world.next()}",
            occurred_at=at,
            received_at=at,
            payload={"peso": 1.25, "nome": "Adele"},
            **times,
        )
        Activity.objects.create(contact=person, deal=deal, type="nota", note="ciao", **times)
        process = Process.objects.create(
            number=f"P{world.next()}",
            contact=person,
            lead_event=event,
            state="done",
            day_of_week=1,
            hour_of_day=9,
            received_at=at,
            created_at=at,
        )
        decision = Decision.objects.create(
            sequence=world.next(),
            process=process,
            contact=person,
            lead_event=event,
            rule="credit",
            rule_version=1,
            candidates=[],
            state_before={},
            state_after={},
            agent=random.choice(world.agents),
            reason="turn",
            created_at=at,
        )
        CallAttempt.objects.create(
            process=process,
            decision=decision,
            agent=world.agents[0],
            number_e164="+393510000001",
            state="missed",
            requested_at=at,
            ended_at=at,
        )


def _consents(world: World, random: Random, person: Contact) -> None:
    for n in range(random.randrange(3)):
        at = _moment(random)
        Consent.objects.create(
            contact=person,
            submission=random.choice([*world.submissions, None]),
            purpose="marketing",
            channel=random.choice(["call", "email"]),
            given=random.random() < 0.6,
            by_person=random.random() < 0.5,
            text="Acconsento",
            text_version=f"box {n}",
            collected_by="landing",
            at=at,
            created_at=at,
        )
    if random.random() < 0.2 and person.email_norm:
        suppressions.add([person.email_norm], reason="opposed", now=_moment(random))


def _suggestions(random: Random, people: list[Contact]) -> None:
    pairs = [(a, b) for a in people for b in people if a.id < b.id]
    for first, second in random.sample(pairs, min(len(pairs), random.randrange(5))):
        DuplicateSuggestion.objects.create(
            contact=first,
            other=second,
            reason="phone_and_email",
            created_at=_moment(random),
            dismissed_at=random.choice([None, NOW]),
        )


def digest() -> dict[str, str]:
    """Return a fingerprint of each table of the open brand, but of the records of what happened."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'brand_id'"
            " where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace order by 1"
        )
        tables = [name for (name,) in cursor.fetchall() if name not in RECORDS]
        columns = ", ".join(
            f"(select md5(string_agg(t::text, '|' order by t::text)) from {table} t)" for table in tables
        )
        cursor.execute(f"select {columns}")
        return dict(zip(tables, cursor.fetchone(), strict=True))


def references_to(ids: list[UUID]) -> dict[str, int]:
    """Return how many rows point to these people, by column, where a merge leaves none."""
    found = {}
    with connection.cursor() as cursor:
        for one in references.found():
            if references.fate_of(one) is not Fate.STAYS:
                cursor.execute(f"select count(*) from {one.table} where {one.column} = any(%s)", [ids])
                if count := cursor.fetchone()[0]:
                    found[f"{one.table}.{one.column}"] = count
    return found
