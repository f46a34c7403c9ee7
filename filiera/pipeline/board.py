"""The board: open deals by stage, newest in the stage first, a bounded number per column and the rest on scroll."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone
from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from filiera.contacts.models import LeadState
from filiera.pipeline import rules
from filiera.pipeline.models import Activity, Stage
from filiera.platform import formats

PER_COLUMN = 10
"""Cards of a column in the page itself: what a tall screen shows. The rest comes as one scrolls."""

PER_SCROLL = 30
MOST_COUNTED = 10_000
"""Columns are counted exactly up to here (UI-24)."""

_NEAR_LIMIT = 0.9
_ICONS = {
    Activity.Type.CHIAMATA: "phone",
    Activity.Type.VISITA: "map-pin",
    Activity.Type.PREVENTIVO: "file-invoice",
    Activity.Type.ORDINE: "shopping-cart",
    Activity.Type.RIFIUTO: "x",
    Activity.Type.EMAIL: "mail",
    Activity.Type.NOTA: "note",
}
_PRIORITIES = {
    "alta": "alta",
    "high": "alta",
    "media": "media",
    "medium": "media",
    "bassa": "bassa",
    "low": "bassa",
}
_DONE = {LeadState.CHIUSO_VINTO: "won", LeadState.PERSO: "lost"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which deals the board shows. `owner` is a user's id, `nobody` the deals of none."""

    owner: UUID | None = None
    nobody: bool = False
    marketing_source: UUID | None = None
    opened_from: datetime | None = None

    def conditions(self) -> tuple[str, list[Any]]:
        """Return SQL on `d` (deal) and `c` (contact), and its values."""
        parts: list[tuple[str, list[Any]]] = []
        if self.owner:
            parts.append(("coalesce(d.owner_user_id, c.assigned_user_id) = %s", [self.owner]))
        if self.nobody:
            parts.append(("coalesce(d.owner_user_id, c.assigned_user_id) is null", []))
        if self.marketing_source:
            parts.append(("c.marketing_source_id = %s", [self.marketing_source]))
        if self.opened_from:
            parts.append(("d.opened_at >= %s", [self.opened_from]))
        sql = "".join(f" and {condition}" for condition, _values in parts)
        return sql, [value for _condition, values in parts for value in values]


@dataclass(frozen=True, slots=True)
class Note:
    """The line of a card that says what is next. `level` is a class: is-live, is-bad, is-warn, is-none or none."""

    level: str
    icon: str
    text: str


@dataclass(frozen=True, slots=True)
class Age:
    """How long a deal has stood in its stage, against what the stage allows."""

    level: str
    icon: str
    text: str
    limit_text: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One deal on the board."""

    id: UUID
    version: int
    contact_id: UUID
    stage_id: UUID
    name: str
    amount: Decimal | None
    currency: str
    wish: str
    source: str
    owner: str
    is_mine: bool
    priority: str
    next: Note
    age: Age
    look: str
    entered_at: datetime

    @property
    def amount_typed(self) -> str:
        """Return the amount as one types it, for the field that asks it."""
        return "" if self.amount is None else str(self.amount).replace(".", ",")

    @property
    def move_words(self) -> str:
        return _("Sposta %(name)s") % {"name": self.name}

    @property
    def priority_icon(self) -> str:
        return f"p-{self.priority}"

    @property
    def priority_text(self) -> str:
        """Return the priority in words, for who does not see three bars."""
        return {"alta": _("Priorità alta"), "media": _("Priorità media"), "bassa": _("Priorità bassa")}[
            self.priority
        ]


@dataclass(frozen=True, slots=True)
class Column:
    """A stage with its deals. A done one (won, lost) shows the month's count and takes drops, no cards."""

    stage: Stage
    count: int
    total: Decimal
    is_done: bool
    cards: Sequence[Card] = field(default_factory=list)
    shown_before: int = 0
    more_url: str = ""

    @property
    def code(self) -> str:
        return self.stage.lead_state or ""

    @property
    def weighted(self) -> Decimal | None:
        """Return the total times the stage's probability, or None when the stage has none."""
        if self.stage.probability is None:
            return None
        return (self.total * self.stage.probability / 100).quantize(Decimal(1))

    @property
    def count_text(self) -> str:
        return f"{formats.number(MOST_COUNTED)}+" if self.count > MOST_COUNTED else formats.number(self.count)

    @property
    def shown(self) -> int:
        """Return how many cards the page has once these are in it."""
        return self.shown_before + len(self.cards)

    @property
    def remaining(self) -> int:
        return max(self.count - self.shown, 0)

    @property
    def remaining_text(self) -> str:
        return (
            f"{formats.number(MOST_COUNTED)}+"
            if self.count > MOST_COUNTED
            else formats.number(self.remaining)
        )


_notes: list[Callable[[Sequence[UUID], UUID], dict[UUID, Note]]] = []


def also_note(read: Callable[[Sequence[UUID], UUID], dict[UUID, Note]]) -> None:
    """Let a later room say what is going on with people right now: contact ids and who looks in, notes out."""
    _notes.append(read)


def columns(wanted: Wanted, *, me: UUID, now: datetime, per_column: int = PER_COLUMN) -> list[Column]:
    """Return the columns of the open brand in order, with their first cards."""
    stages = list(Stage.objects.filter(is_active=True).order_by("order_index", "name"))
    open_stages = [stage for stage in stages if stage.lead_state not in _DONE]
    cards = _cards([stage.id for stage in open_stages], wanted, me=me, now=now, limit=per_column)
    by_stage: dict[UUID, list[Card]] = {}
    for card in cards:
        by_stage.setdefault(card.stage_id, []).append(card)
    return [replace(head, cards=by_stage.get(head.stage.id, [])) for head in heads(stages, wanted, now=now)]


def heads(stages: Sequence[Stage], wanted: Wanted, *, now: datetime) -> list[Column]:
    """Return the columns of these stages without cards: how many deals, and how much they are worth."""
    open_ids = [stage.id for stage in stages if stage.lead_state not in _DONE]
    counted = _count_open(open_ids, wanted) | _count_closed(stages, wanted, now=now)
    return [
        Column(stage, *counted.get(stage.id, (0, Decimal(0))), is_done=stage.lead_state in _DONE)
        for stage in stages
    ]


def more(
    stage: Stage, wanted: Wanted, *, after: str, me: UUID, now: datetime, limit: int = PER_SCROLL
) -> tuple[list[Card], bool]:
    """Return the cards of a stage that follow the cursor `after`, and whether more follow them."""
    cards = _cards([stage.id], wanted, me=me, now=now, limit=limit + 1, after=_read_cursor(after))
    return cards[:limit], len(cards) > limit


def cards_of(deal_ids: Sequence[UUID], *, me: UUID, now: datetime) -> list[Card]:
    """Return these deals as cards, those that are open and in a stage."""
    return _cards([], Wanted(), me=me, now=now, limit=len(deal_ids), only=deal_ids)


def cursor_of(card: Card) -> str:
    """Return the place of a card in its column, as text for an address."""
    return f"{card.entered_at.isoformat()}_{card.id}"


def _read_cursor(text: str) -> tuple[datetime, UUID] | None:
    moment, _underscore, deal_id = text.partition("_")
    try:
        return datetime.fromisoformat(moment), UUID(deal_id)
    except ValueError:
        return None


def _count_open(stage_ids: Sequence[UUID], wanted: Wanted) -> dict[UUID, tuple[int, Decimal]]:
    condition, values = wanted.conditions()
    # Without a filter the deals alone are read, from the index of the board.
    join = " join contacts_contact c on c.id = d.contact_id" if condition else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            select s.id, n.count, n.total
            from unnest(%s::uuid[]) s(id)
            cross join lateral (
                select count(*) as count, coalesce(sum(amount), 0) as total from (
                    select d.amount from pipeline_deal d{join}
                    where d.current_stage_id = s.id and d.status = 'open'{condition}
                    limit {MOST_COUNTED + 1}
                ) counted
            ) n
            """,
            [list(stage_ids), *values],
        )
        return {stage_id: (count, total) for stage_id, count, total in cursor.fetchall()}


def _count_closed(
    stages: Sequence[Stage], wanted: Wanted, *, now: datetime
) -> dict[UUID, tuple[int, Decimal]]:
    """Return the deals won and lost since the first of the month, in the brand's zone; void ones count for neither."""
    done = {_DONE[LeadState(stage.lead_state)]: stage.id for stage in stages if stage.lead_state in _DONE}
    if not done:
        return {}
    here = timezone.localtime(now)
    month = datetime.combine(here.date().replace(day=1), time(), here.tzinfo)
    condition, values = wanted.conditions()
    join = " join contacts_contact c on c.id = d.contact_id" if condition else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            select d.status, count(*), coalesce(sum(d.amount) filter (where d.status = 'won'), 0)
            from pipeline_deal d{join}
            where d.status = any(%s) and d.closed_at >= %s and not d.is_void{condition}
            group by d.status
            """,
            [list(done), month, *values],
        )
        return {done[status]: (count, total) for status, count, total in cursor.fetchall()}


def _cards(
    stage_ids: Sequence[UUID],
    wanted: Wanted,
    *,
    me: UUID,
    now: datetime,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
    only: Sequence[UUID] | None = None,
) -> list[Card]:
    """Read the cards of some stages, or of some deals, with one statement whatever their number."""
    condition, values = wanted.conditions()
    place = " and (d.stage_entered_at, d.id) < (%s, %s)" if after else ""
    if only is None:
        chosen = f"""
            from unnest(%s::uuid[]) with ordinality s(id, place)
            cross join lateral (
                select d.* from pipeline_deal d join contacts_contact c on c.id = d.contact_id
                where d.current_stage_id = s.id and d.status = 'open'{condition}{place}
                order by d.stage_entered_at desc, d.id desc limit %s
            ) d
        """
        given = [list(stage_ids), *values, *(after or ()), limit]
    else:
        chosen = """
            from unnest(%s::uuid[]) with ordinality s(id, place)
            join pipeline_deal d on d.id = s.id and d.status = 'open'
        """
        given = [list(only)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            select d.id, d.version, d.contact_id, d.current_stage_id, d.amount, d.currency, d.waiting_until,
                   d.stage_entered_at, stage.age_limit_days, c.first_name, c.last_name, c.company_name, c.email,
                   coalesce(d.owner_user_id, c.assigned_user_id), owner.name,
                   e.requested_service, e.requested_package, e.ai_priority, coalesce(m.name, e.source, ''), a.type,
                   a.scheduled_at, d.title
            {chosen}
            join pipeline_stage stage on stage.id = d.current_stage_id
            join contacts_contact c on c.id = d.contact_id
            left join identity_user owner on owner.id = coalesce(d.owner_user_id, c.assigned_user_id)
            -- Events have no index by deal, only by contact.
            left join lateral (
                select requested_service, requested_package, ai_priority, source, marketing_source_id
                from pipeline_leadevent where contact_id = d.contact_id and deal_id = d.id
                order by received_at desc limit 1
            ) e on true
            left join capture_marketingsource m on m.id = coalesce(e.marketing_source_id, c.marketing_source_id)
            left join lateral (
                select type, scheduled_at from pipeline_activity
                where deal_id = d.id and status = 'planned' order by scheduled_at nulls last limit 1
            ) a on true
            order by s.place, d.stage_entered_at desc, d.id desc
            """,
            given,
        )
        rows = cursor.fetchall()
    live = _live_notes([row[2] for row in rows], me)
    return [_card(row, live.get(row[2]), me=me, now=now) for row in rows]


def _live_notes(contact_ids: Sequence[UUID], me: UUID) -> dict[UUID, Note]:
    found: dict[UUID, Note] = {}
    for read in _notes if contact_ids else ():
        found |= read(contact_ids, me)
    return found


def _card(row: Sequence[Any], live: Note | None, *, me: UUID, now: datetime) -> Card:
    (deal_id, version, contact_id, stage_id, amount, currency, waiting_until, entered_at, age_limit_days) = (
        row[:9]
    )
    (
        first,
        last,
        company,
        email,
        owner_id,
        owner,
        service,
        package,
        priority,
        source,
        kind,
        scheduled_at,
        title,
    ) = row[9:]
    entered = entered_at or now
    paused = rules.is_paused(waiting_until, timezone.localtime(now).date())
    age = _age(entered, now, age_limit_days, waiting_until)
    looks = {"is-bad": "is-old", "is-warn": "is-stale"}
    return Card(
        id=deal_id,
        version=version,
        contact_id=contact_id,
        stage_id=stage_id,
        name=f"{first} {last}".strip() or company or email or _("Senza nome"),
        amount=amount,
        currency=currency,
        wish=" · ".join(filter(None, (service, package))) or title,
        source=source,
        owner=owner or "",
        is_mine=owner_id == me,
        priority=_PRIORITIES.get((priority or "").lower(), ""),
        next=live or _next(kind, scheduled_at, waiting_until if paused else None, now),
        age=age,
        look="is-wait" if paused else looks.get(age.level, ""),
        entered_at=entered,
    )


def _next(kind: str | None, scheduled_at: datetime | None, waiting_until: date | None, now: datetime) -> Note:
    if waiting_until:
        return Note(
            "", "player-pause", _("Aspetta fino al %(day)s") % {"day": formats.day_month(waiting_until)}
        )
    if kind is None:
        return Note("is-none", "circle-dashed", _("Nessuna attività"))
    what, icon = Activity.Type(kind).label, _ICONS[Activity.Type(kind)]
    if scheduled_at is None:
        return Note("is-warn", icon, _("%(what)s, da fare") % {"what": what})
    if scheduled_at < now:
        late = timezone.localtime(scheduled_at)
        today = timezone.localtime(now).date()
        yesterday = late.date() == today - timedelta(days=1)
        when = (
            date_format(late, "G:i")
            if late.date() == today
            else _("ieri")
            if yesterday
            else date_format(late, "j/n")
        )
        return Note("is-bad", "alert-circle", _("%(what)s, scaduta %(when)s") % {"what": what, "when": when})
    return Note("", icon, _("%(what)s, %(when)s") % {"what": what, "when": formats.moment(scheduled_at, now)})


def _age(entered_at: datetime, now: datetime, limit_days: int | None, waiting_until: date | None) -> Age:
    if rules.is_paused(waiting_until, timezone.localtime(now).date()):
        return Age("", "", _("in pausa"))
    stood_s = (now - entered_at).total_seconds()
    if limit_days is None:
        return Age("", "", formats.span(stood_s))
    days = int(stood_s // 86400)
    limit_text = ngettext(
        "Limite dello stato: %(n)s giorno", "Limite dello stato: %(n)s giorni", limit_days
    ) % {"n": limit_days}
    of = _("%(days)s g su %(limit)s") % {"days": days, "limit": limit_days}
    over = rules.over_limit(
        entered_at=entered_at,
        now=now,
        age_limit_days=limit_days,
        waiting_until=waiting_until,
        zone=timezone.get_current_timezone(),
    )
    if over and days > limit_days:
        return Age("is-bad", "alert-triangle", of, limit_text)
    if over or days >= limit_days * _NEAR_LIMIT:
        return Age("is-warn", "hourglass", of, limit_text)
    return Age("", "", formats.span(stood_s), limit_text)


def stage_ids_of(deal_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Return where open deals stand now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select id, current_stage_id from pipeline_deal where id = any(%s) and status = 'open'",
            [list(deal_ids)],
        )
        return dict(cursor.fetchall())
