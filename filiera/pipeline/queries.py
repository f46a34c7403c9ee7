"""Reads of leads, deals and what is to be done, each a fixed number of statements on brand-leading indexes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import Q

from filiera.contacts import queries as contacts
from filiera.contacts import tags
from filiera.contacts.duplicates import queries as duplicates
from filiera.contacts.duplicates import reasons
from filiera.contacts.models import Contact, ContactPhone, LeadState, Tag
from filiera.pipeline import lead_conditions
from filiera.pipeline.commands import DealMissing
from filiera.pipeline.lead_conditions import Group, Reader
from filiera.pipeline.models import Activity, Deal, LeadEvent, Stage, StageHistory, StateRule
from filiera.platform import bulk
from filiera.platform.prepared import Prepared

MOST_COUNTED = 10_000
"""Lists are counted exactly up to here; beyond, "more than" (UI-24)."""

_MOST_BRANCHES = 48


@dataclass(frozen=True, slots=True)
class LeadFilter:
    """Which leads a list shows. Empty means any; several values of one field mean any of them.

    `owner_ids` may hold None for leads of nobody. `arrived_from` and `arrived_to` bound the last arrival, half open.
    `to_call_by` keeps those with a planned call of that user, or of nobody. `groups` are conditions put together by a
    person, who is the `reader` (`lead_conditions`).
    """

    states: tuple[str, ...] = ()
    marketing_source_ids: tuple[UUID, ...] = ()
    owner_ids: tuple[UUID | None, ...] = ()
    arrived_from: datetime | None = None
    arrived_to: datetime | None = None
    text: str = ""
    only_returning: bool = False
    without_next_activity: bool = False
    to_call_by: UUID | None = None
    groups: tuple[Group, ...] = ()
    any_group: bool = False
    reader: Reader | None = None
    # Of people; with those below them, as `contacts.tags.with_below` says.
    tag_ids: tuple[UUID, ...] = ()
    # These people and no others, when not None.
    ids: tuple[UUID, ...] | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list ordered by last arrival: the row it stands at."""

    last_lead_at: datetime
    contact_id: UUID

    def __str__(self) -> str:
        return f"{self.last_lead_at.isoformat()}_{self.contact_id}"

    @classmethod
    def read(cls, text: str) -> "Cursor | None":
        """Return the place an address names, or None when it names none."""
        moment, _, contact_id = text.partition("_")
        try:
            at = datetime.fromisoformat(moment)
            # In UTC: offsets that Python takes and the server does not would reach it otherwise.
            return cls(at.astimezone(UTC), UUID(contact_id)) if at.tzinfo else None
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True, slots=True)
class LeadRow:
    """A lead as people see it: the person, their main number, last request, current deal and what comes next."""

    contact: Contact
    phone: ContactPhone | None
    event: LeadEvent | None
    deal: Deal | None
    next_activity: Activity | None

    @property
    def is_returning(self) -> bool:
        return self.contact.lead_count > 1

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.contact.last_lead_at, self.contact.id)


@dataclass(frozen=True, slots=True)
class ListedLead:
    """What one line of a list shows of a lead: columns in place of the five models of `LeadRow`."""

    contact_id: UUID
    first_name: str
    last_name: str
    company_name: str
    email: str | None
    city: str
    status: str
    owner_id: UUID | None
    owner: str | None
    source: str | None
    last_lead_at: datetime
    lead_count: int
    phone_raw: str | None
    phone_e164: str | None
    phone_country: str | None
    phone_country_is_assumed: bool | None
    phone_is_valid: bool | None
    service: str | None
    package: str | None
    amount: Decimal | None
    next_type: str | None
    next_at: datetime | None

    @property
    def full_name(self) -> str:
        """Return the name as people say it, or the best that stands for it, as `Contact.full_name` does."""
        return f"{self.first_name} {self.last_name}".strip() or self.company_name or self.email or ""

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.last_lead_at, self.contact_id)


@dataclass(frozen=True, slots=True)
class LeadPage:
    """Some rows of a list. `next` and `previous` are None at its ends."""

    rows: list[LeadRow]
    next: Cursor | None
    previous: Cursor | None


def lead_page(
    wanted: LeadFilter, *, limit: int = 50, after: Cursor | None = None, before: Cursor | None = None
) -> LeadPage:
    """Return the leads that follow `after`, or precede `before`, latest arrival first. Six statements."""
    ids = _lead_ids(wanted, limit=limit + 1, after=after, before=before)
    has_more = len(ids) > limit
    ids = ids[:limit]
    if before is not None:
        ids.reverse()
    rows = lead_rows(ids)
    first, last = (rows[0].cursor, rows[-1].cursor) if rows else (None, None)
    if before is not None:
        return LeadPage(rows, next=last, previous=first if has_more else None)
    return LeadPage(rows, next=last if has_more else None, previous=first if after else None)


def lead_page_at(wanted: LeadFilter, *, offset: int, limit: int) -> list[LeadRow]:
    """Return `limit` leads from `offset` on, for interfaces with page numbers; keyset paging is faster far down."""
    return lead_rows(_lead_ids(wanted, limit=limit, offset=offset))


def listed_page(
    wanted: LeadFilter, *, limit: int, after: Cursor | None = None
) -> tuple[list[ListedLead], Cursor | None]:
    """Return the lines that follow `after`, latest arrival first, and the place to go on from. Two statements."""
    ids = _lead_ids(wanted, limit=limit + 1, after=after)
    rows = listed(ids[:limit])
    return rows, rows[-1].cursor if rows and len(ids) > limit else None


def listed(contact_ids: Sequence[UUID]) -> list[ListedLead]:
    """Return the lines of these leads in the order given; those in the bin or of another brand are left out."""
    if not contact_ids:
        return []
    with connection.cursor() as cursor:
        # One look at an index for each lead and table: a plain join may read all of the brand instead.
        cursor.execute(
            """
            select contact.id, contact.first_name, contact.last_name, contact.company_name, contact.email, contact.city,
                   contact.status, owner.id, owner.name, source.name, contact.last_lead_at, contact.lead_count,
                   phone.phone_raw, phone.phone_e164, phone.country_code, phone.assumed_country, phone.is_valid,
                   event.requested_service, event.requested_package, deal.amount, activity.type, activity.scheduled_at
            from unnest(%s::uuid[]) with ordinality wanted(id, place)
            cross join lateral (
                select * from contacts_contact where id = wanted.id and deleted_at is null limit 1
            ) contact
            left join identity_user owner on owner.id = contact.assigned_user_id
            left join capture_marketingsource source on source.id = contact.marketing_source_id
            left join lateral (
                select * from contacts_contactphone where contact_id = contact.id and is_primary limit 1
            ) phone on true
            left join lateral (
                select requested_service, requested_package from pipeline_leadevent where contact_id = contact.id
                order by received_at desc, id desc limit 1
            ) event on true
            left join lateral (
                select amount from pipeline_deal where contact_id = contact.id
                order by status = 'open' desc, opened_at desc, id desc limit 1
            ) deal on true
            left join lateral (
                select type, scheduled_at from pipeline_activity where contact_id = contact.id and status = 'planned'
                order by scheduled_at, id limit 1
            ) activity on true
            order by wanted.place
            """,
            [bulk.uuids(contact_ids)],
        )
        return [ListedLead(*row) for row in cursor.fetchall()]


def ids_of(wanted: LeadFilter, *, most: int) -> list[UUID]:
    """Return who is in a list, in its order, `most` at most."""
    return _lead_ids(wanted, limit=most)


def count_leads(wanted: LeadFilter, *, most: int = MOST_COUNTED) -> int:
    """Return how many leads a list has, exact up to `most`; `most` + 1 stands for "more than that"."""
    return count_lists([wanted], most=most)[0]


def count_lists(lists: Iterable[LeadFilter], *, most: int = MOST_COUNTED) -> list[int]:
    """Return how many leads each of these lists has, as `count_leads` does, in one statement."""
    counts: list[str] = []
    values: list[Any] = []
    for wanted in lists:
        people, where, given = _conditions(wanted, is_count=True)
        counts.append(f"(select count(*) from (select 1 from {people} where {where} limit %s) counted)")
        values += [*given, most + 1]
    with connection.cursor() as cursor:
        cursor.execute(f"select {', '.join(counts)}", values)
        return list(cursor.fetchone())


def neighbours(wanted: LeadFilter, contact: Contact) -> tuple[UUID | None, UUID | None]:
    """Return who stands before and after a person in a list, for the arrows of the record (UI-06)."""
    here = Cursor(contact.last_lead_at, contact.id)
    before, values_before = _ids_in_order(wanted, limit=1, before=here)
    after, values_after = _ids_in_order(wanted, limit=1, after=here)
    with connection.cursor() as cursor:
        cursor.execute(f"select ({before}), ({after})", [*values_before, *values_after])
        found: tuple[UUID | None, UUID | None] = cursor.fetchone()
    return found


def place_of(wanted: LeadFilter, contact: Contact, *, most: int = 1_000) -> int | None:
    """Return the place of a person in a list, from 1, or None beyond `most`."""
    people, where, values = _conditions(wanted)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            select count(*) from (
                select 1 from {people}
                where {where} and (contact.last_lead_at, contact.id) > (%s, %s) limit %s
            ) counted
            """,
            [*values, contact.last_lead_at, contact.id, most],
        )
        (count,) = cursor.fetchone()
    return int(count) + 1 if count < most else None


def lead_rows(contact_ids: Sequence[UUID]) -> list[LeadRow]:
    """Return these leads in the order given; those in the bin or of another brand are left out. Five statements."""
    if not contact_ids:
        return []
    people = {
        contact.id: contact
        for contact in Contact.objects.filter(id__in=contact_ids, deleted_at=None).select_related(
            "assigned_user", "marketing_source"
        )
    }
    numbers = contacts.main_phones(contact_ids)
    events = last_events(contact_ids)
    deals = current_deals(contact_ids)
    following = next_activities(contact_ids)
    return [
        LeadRow(
            people[contact_id],
            numbers.get(contact_id),
            events.get(contact_id),
            deals.get(contact_id),
            following.get(contact_id),
        )
        for contact_id in contact_ids
        if contact_id in people
    ]


def last_events(contact_ids: Sequence[UUID]) -> dict[UUID, LeadEvent]:
    """Return the last lead event of each of these people."""
    rows = LeadEvent.objects.filter(contact_id__in=contact_ids).select_related("marketing_source")
    return {
        event.contact_id: event
        for event in rows.order_by("contact_id", "-received_at", "-id").distinct("contact_id")
    }


def current_deals(contact_ids: Sequence[UUID]) -> dict[UUID, Deal]:
    """Return the open deal of each of these people, else their last one."""
    rows = Deal.objects.filter(contact_id__in=contact_ids).select_related("current_stage", "owner_user")
    deals: dict[UUID, Deal] = {}
    for deal in rows.order_by("contact_id", "opened_at", "id"):
        known = deals.get(deal.contact_id)
        if known is None or known.status != Deal.Status.OPEN:
            deals[deal.contact_id] = deal
    return deals


def worked_with(contact_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these people have a lead event, a deal or an activity."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select wanted.id from unnest(%s::uuid[]) wanted(id)
            where exists (select from pipeline_leadevent where contact_id = wanted.id)
               or exists (select from pipeline_deal where contact_id = wanted.id)
               or exists (select from pipeline_activity where contact_id = wanted.id)
            """,
            [list(contact_ids)],
        )
        return {row[0] for row in cursor.fetchall()}


def next_activities(contact_ids: Sequence[UUID]) -> dict[UUID, Activity]:
    """Return what is to be done next about each of these people: the planned activity that is due first."""
    rows = Activity.objects.filter(contact_id__in=contact_ids, status=Activity.Status.PLANNED)
    return {
        activity.contact_id: activity
        for activity in rows.select_related("user")
        .order_by("contact_id", "scheduled_at", "id")
        .distinct("contact_id")
    }


def _lead_ids(
    wanted: LeadFilter,
    *,
    limit: int,
    after: Cursor | None = None,
    before: Cursor | None = None,
    offset: int = 0,
) -> list[UUID]:
    """Return the ids of a list, in order."""
    statement, values = _ids_in_order(wanted, limit=limit, after=after, before=before, offset=offset)
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return [row[0] for row in cursor.fetchall()]


def _ids_in_order(
    wanted: LeadFilter,
    *,
    limit: int,
    after: Cursor | None = None,
    before: Cursor | None = None,
    offset: int = 0,
) -> tuple[str, list[Any]]:
    """Return the statement for the ids of a list, in order, and its values.

    A field with several values is asked value by value and merged: each branch then reads an index in its order
    and stops at the limit, which `in (…)` would keep the planner from doing.
    """
    direction, comparison, place = "desc", "<", after
    if before is not None:
        direction, comparison, place = "asc", ">", before
    branches = _branches(wanted)
    bound = " and (contact.last_lead_at, contact.id) " + comparison + " (%s, %s)" if place else ""
    order = f"order by last_lead_at {direction}, id {direction}"
    parts: list[str] = []
    values: list[Any] = []
    for branch in branches:
        people, where, given = _conditions(branch)
        parts.append(
            f"(select contact.last_lead_at, contact.id from {people} where {where}{bound} {order} limit %s)"
        )
        values += [*given, *([place.last_lead_at, place.contact_id] if place else []), limit + offset]
    statement = f"select id from ({' union all '.join(parts)}) lead {order} limit %s offset %s"
    return statement, [*values, limit, offset]


def _branches(wanted: LeadFilter) -> list[LeadFilter]:
    """Split a filter into filters with one value a field, unless they would be too many.

    A source or an owner is asked for state by state, because their indexes have the state before the time.
    Who is found by a text is few already.
    """
    if wanted.text.strip() or wanted.ids is not None:
        return [wanted]
    states: list[tuple[str, ...]] = [(state,) for state in wanted.states] or [()]
    if not wanted.states and (wanted.marketing_source_ids or wanted.owner_ids):
        states = [(state,) for state in LeadState.values]
    sources: list[tuple[UUID, ...]] = [(source_id,) for source_id in wanted.marketing_source_ids] or [()]
    owners: list[tuple[UUID | None, ...]] = [(owner_id,) for owner_id in wanted.owner_ids] or [()]
    if len(states) * len(sources) * len(owners) > _MOST_BRANCHES:
        return [wanted]
    return [
        replace(wanted, states=state, marketing_source_ids=source, owner_ids=owner)
        for state, source, owner in product(states, sources, owners)
    ]


# One look for each of the few rows of a page, and not an anti join over all activities of the brand. Who counts looks
# at ten thousand and more, and is better off with all planned activities in memory at once.
_NOTHING_PLANNED: Final = {
    False: "(select true from pipeline_activity activity"
    " where activity.contact_id = contact.id and activity.status = 'planned' limit 1) is null",
    True: "contact.id not in (select activity.contact_id from pipeline_activity activity"
    " where activity.status = 'planned')",
}


def _conditions(wanted: LeadFilter, *, is_count: bool = False) -> tuple[str, str, list[Any]]:
    """Return where a filter looks for `contact`, its conditions, and the values of both, in SQL."""
    people = "contacts_contact contact"
    values: list[Any] = []
    named = contacts.find(wanted.text) if wanted.text.strip() else wanted.ids
    if named is not None:
        # One look at an index for each who was found: `id = any(…)` has the planner read all of the brand instead.
        people = (
            "unnest(%s::uuid[]) found(id) "
            "cross join lateral (select * from contacts_contact where id = found.id limit 1) contact"
        )
        values.append(bulk.uuids(named))
    parts = ["contact.deleted_at is null"]
    for column, chosen in (
        ("contact.status", wanted.states),
        ("contact.marketing_source_id", wanted.marketing_source_ids),
        ("contact.assigned_user_id", wanted.owner_ids),
    ):
        condition, given = _one_of(column, chosen)
        parts += [condition] if condition else []
        values += given
    if wanted.arrived_from is not None:
        parts.append("contact.last_lead_at >= %s")
        values.append(wanted.arrived_from)
    if wanted.arrived_to is not None:
        parts.append("contact.last_lead_at < %s")
        values.append(wanted.arrived_to)
    if wanted.only_returning:
        parts.append("contact.lead_count > 1")
    if wanted.without_next_activity:
        parts.append(_NOTHING_PLANNED[is_count])
    if wanted.to_call_by is not None:
        parts.append(
            "exists (select from pipeline_activity activity where activity.contact_id = contact.id "
            "and activity.status = 'planned' and activity.type = 'chiamata' "
            "and (activity.user_id = %s or activity.user_id is null))"
        )
        values.append(wanted.to_call_by)
    if wanted.groups and wanted.reader is not None:
        condition, given = lead_conditions.sql_of(
            wanted.groups, any_group=wanted.any_group, reader=wanted.reader
        )
        parts.append(condition)
        values += given
    if wanted.tag_ids:
        carried, given = _one_of("carried.tag_id", wanted.tag_ids)
        parts.append(
            f"contact.id in (select carried.contact_id from contacts_contacttag carried where {carried})"
        )
        values += given
    return people, " and ".join(parts), values


def _one_of(column: str, chosen: Sequence[Any]) -> tuple[str, list[Any]]:
    given = [value for value in chosen if value is not None]
    parts = []
    if len(given) == 1:
        parts.append(f"{column} = %s")
    elif given:
        parts.append(f"{column} in ({', '.join(['%s'] * len(given))})")
    if len(given) != len(chosen):
        parts.append(f"{column} is null")
    return (f"({' or '.join(parts)})" if parts else "", given)


# One lead


@dataclass(frozen=True, slots=True)
class Suggested:
    """Somebody who may be the same person, and the suggestion that says so (CON-35)."""

    suggestion_id: UUID
    contact: Contact
    reasons: Sequence[str] = ()
    against: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class LeadRecord:
    """All that the record of a lead shows of contacts and pipeline; the thread is `contacts.timeline.read`."""

    contact: Contact
    phones: list[ContactPhone]
    deals: list[Deal]
    events: list[LeadEvent]
    tasks: list[Activity]
    suggestions: list[Suggested]
    tags: list[Tag] = field(default_factory=list)

    @property
    def deal(self) -> Deal | None:
        """Return the open deal, else the last one."""
        return next((deal for deal in self.deals if deal.status == Deal.Status.OPEN), None) or (
            self.deals[0] if self.deals else None
        )


_MOST_EVENTS = 20
_DEALS = Prepared(
    lambda one: (
        Deal.objects.filter(contact_id=one)
        .select_related("current_stage", "owner_user")
        .order_by("-opened_at", "-id")
    )
)
_EVENTS = Prepared(
    lambda one: (
        LeadEvent.objects.filter(contact_id=one)
        .select_related("marketing_source")
        .order_by("-received_at", "-id")[:_MOST_EVENTS]
    )
)
_TASKS = Prepared(
    lambda one: (
        Activity.objects.filter(contact_id=one, status=Activity.Status.PLANNED)
        .select_related("user")
        .order_by("scheduled_at", "id")
    )
)
_SUGGESTIONS = Prepared(lambda one: duplicates.of_person(one)[:20])
_STAGES = Prepared(lambda _one: Stage.objects.filter(is_active=True).order_by("order_index", "id"))
_STAYS = Prepared(lambda one: StageHistory.objects.filter(deal_id=one))


def lead_record(contact_id: UUID) -> LeadRecord:
    """Return one lead. Eight statements at most. Raises ContactMissing, also across brands."""
    found = record_of(contacts.contact_for(contact_id))
    return replace(found, tags=tags.of_person(contact_id))


def record_of(contact: Contact) -> LeadRecord:
    """Return all that is shown of a person who was read already."""
    return LeadRecord(
        contact=contact,
        phones=contacts.numbers_of(contact.id),
        deals=_DEALS(contact.id),
        events=_EVENTS(contact.id),
        tasks=_TASKS(contact.id),
        suggestions=_suggested(contact.id),
    )


def _suggested(contact_id: UUID) -> list[Suggested]:
    """Return who may be the same person, the most likely first, and why."""
    return [
        Suggested(
            pair.id,
            pair.other if pair.contact_id == contact_id else pair.contact,
            reasons.in_words(pair),
            reasons.against(pair),
        )
        for pair in _SUGGESTIONS(contact_id)
    ]


def latest_events(*, limit: int = 50, since: datetime | None = None) -> list[LeadEvent]:
    """Return what came in last, newest first, each with person and deal."""
    rows = LeadEvent.objects.select_related("contact", "deal", "deal__current_stage", "marketing_source")
    if since is not None:
        rows = rows.filter(received_at__gte=since)
    return list(rows.order_by("-received_at", "-id")[:limit])


# Deals


def deal_for(deal_id: UUID) -> Deal:
    """Return a deal of the open brand. Raises DealMissing, also for one of another brand."""
    deal = Deal.objects.select_related("contact", "current_stage", "owner_user").filter(id=deal_id).first()
    if deal is None:
        raise DealMissing
    return deal


@dataclass(frozen=True, slots=True)
class DealFilter:
    """Which deals a list shows; empty means any."""

    stage_id: UUID | None = None
    status: str = ""
    owner_id: UUID | None = None
    text: str = ""


def deals_at(wanted: DealFilter, *, offset: int, limit: int) -> tuple[list[Deal], int]:
    """Return some deals, last opened first (won or lost ones last closed first), and how many there are.

    The number is exact up to MOST_COUNTED.
    """
    rows = Deal.objects.all()
    if wanted.stage_id is not None:
        rows = rows.filter(current_stage_id=wanted.stage_id)
    if wanted.status:
        rows = rows.filter(status=wanted.status)
    if wanted.owner_id is not None:
        rows = rows.filter(owner_user_id=wanted.owner_id)
    if wanted.text.strip():
        rows = rows.filter(contact_id__in=contacts.find(wanted.text))
    count = rows[: MOST_COUNTED + 1].count()
    # Ids grow with time, so their order is that of opening, and has its index already.
    order = ["-closed_at", "-id"] if wanted.status in (Deal.Status.WON, Deal.Status.LOST) else ["-id"]
    page = rows.select_related("contact", "current_stage", "owner_user").order_by(*order)
    return list(page[offset : offset + limit]), count


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stay of a deal in a stage, with how long it lasted; a stay that lasts is measured up to now."""

    stay: StageHistory
    seconds: int


def deal_history(deal_id: UUID, *, now: datetime) -> list[Stretch]:
    """Return the stays of a deal, oldest first (PIP-10). Raises DealMissing."""
    deal_for(deal_id)
    rows = StageHistory.objects.filter(deal_id=deal_id).select_related("stage", "changed_by_user")
    return [
        Stretch(stay, int(((stay.exited_at or now) - stay.entered_at).total_seconds()))
        for stay in rows.order_by("entered_at", "id")
    ]


def stages(*, with_inactive: bool = False) -> list[Stage]:
    """Return the stages of the open brand in their order."""
    return list(Stage.objects.order_by("order_index", "id")) if with_inactive else _STAGES()


def stays_of(deal_id: UUID) -> list[StageHistory]:
    """Return the stays of a deal in its stages."""
    return _STAYS(deal_id)


def state_rules() -> dict[str, str]:
    """Return activity type → lead state of the open brand."""
    return dict(StateRule.objects.values_list("activity_type", "lead_state"))


@dataclass(frozen=True, slots=True)
class BoardStage:
    """A stage of the board: its first deals, how many there are and what they are worth together."""

    stage: Stage
    deals: list[Deal]
    count: int
    total_amount: Any


def board(*, per_stage: int = 100) -> list[BoardStage]:
    """Return the open deals by stage, newest in the stage first, with the totals of each. Four statements.

    Count and total are exact up to MOST_COUNTED deals of a stage.
    """
    columns = stages()
    totals, ids = _board_figures([stage.id for stage in columns], per_stage)
    rows = Deal.objects.filter(id__in=ids).select_related("contact", "owner_user", "current_stage")
    by_stage: dict[UUID, list[Deal]] = {}
    for deal in rows.order_by("-stage_entered_at", "-id"):
        if deal.current_stage_id is not None:
            by_stage.setdefault(deal.current_stage_id, []).append(deal)
    return [BoardStage(stage, by_stage.get(stage.id, []), *totals.get(stage.id, (0, 0))) for stage in columns]


def _board_figures(
    stage_ids: Sequence[UUID], per_stage: int
) -> tuple[Mapping[UUID, tuple[int, Any]], list[UUID]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select stage.id, figures.count, figures.total
            from unnest(%s::uuid[]) stage(id) cross join lateral (
                select count(*) as count, coalesce(sum(amount), 0) as total from (
                    select amount from pipeline_deal
                    where current_stage_id = stage.id and status = 'open' limit %s
                ) counted
            ) figures
            """,
            [list(stage_ids), MOST_COUNTED + 1],
        )
        totals = {stage_id: (count, total) for stage_id, count, total in cursor.fetchall()}
        cursor.execute(
            """
            select card.id from unnest(%s::uuid[]) stage(id) cross join lateral (
                select id from pipeline_deal where current_stage_id = stage.id and status = 'open'
                order by stage_entered_at desc, id desc limit %s
            ) card
            """,
            [list(stage_ids), per_stage],
        )
        return totals, [row[0] for row in cursor.fetchall()]


# Activities


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """Which activities a list shows; the period is half open and measured by when they are or were due."""

    contact_id: UUID | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    kinds: tuple[str, ...] = field(default_factory=tuple)


def activities(wanted: ActivityFilter, *, limit: int = 200) -> list[Activity]:
    """Return activities, newest first; the cancelled ones are left out."""
    rows = Activity.objects.exclude(status=Activity.Status.CANCELLED).select_related("contact", "user")
    if wanted.contact_id is not None:
        rows = rows.filter(contact_id=wanted.contact_id)
    if wanted.starts_at is not None:
        rows = rows.filter(created_at__gte=wanted.starts_at)
    if wanted.ends_at is not None:
        rows = rows.filter(created_at__lt=wanted.ends_at)
    if wanted.kinds:
        rows = rows.filter(type__in=wanted.kinds)
    return list(rows.order_by("-created_at", "-id")[:limit])


def tasks_due(
    *, until: datetime, user_ids: Iterable[UUID | None] | None = None, limit: int = 100
) -> list[Activity]:
    """Return planned work due before `until`, the earliest first; of these users (None: of nobody), or of all."""
    rows = Activity.objects.filter(status=Activity.Status.PLANNED, scheduled_at__lt=until)
    if user_ids is not None:
        wanted = set(user_ids)
        chosen = Q(user_id__in=wanted - {None})
        rows = rows.filter(chosen | Q(user_id=None) if None in wanted else chosen)
    return list(rows.select_related("contact", "deal", "user").order_by("scheduled_at", "id")[:limit])


def first_event_of(submission_ids: Sequence[UUID]) -> Mapping[UUID, UUID]:
    """Return the first lead event of each of these submissions that has one, in one statement."""
    events = LeadEvent.objects.filter(submission_id__in=submission_ids).order_by("-id")
    return {submission_id: event_id for event_id, submission_id in events.values_list("id", "submission_id")}
