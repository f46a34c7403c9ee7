"""What Oggi shows: what rings, who waits, who just arrived, what is to be fixed, and the day in four figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from filiera.capture.models import Submission
from filiera.pipeline.models import Activity, LeadEvent
from filiera.platform import formats
from filiera.routing import gate
from filiera.routing import queries as routing
from filiera.routing.models import CallAttempt, Process
from filiera.workspace import calls
from filiera.workspace.calls import FIRST_CONTACT_S, Outcome

ARRIVALS = 12
ROWS = 8
FIX_FOR_DAYS = 7
"""A number that could not be called stays on the page for a week."""


@dataclass(frozen=True, slots=True)
class Ring:
    """A telephone that rings this second. `before` names who was rung before and did not pick up."""

    attempt: CallAttempt
    name: str
    number: str
    event: LeadEvent | None
    mine: bool
    turn: int
    ends_at: datetime
    before: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Arrival:
    """A lead of today and how its call went."""

    event: LeadEvent
    outcome: Outcome | None
    returns: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """A person nobody has called yet, why, and until when the promise holds."""

    process: Process
    reason: str
    retry_at: datetime | None
    due_at: datetime
    late: bool


@dataclass(frozen=True, slots=True)
class Callback:
    """A call a person has to make."""

    activity: Activity
    overdue: bool
    mine: bool
    # What the call gate says: whether one may ring, on which basis, or why not.
    may: bool
    why: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that stands still until a person acts: a number, or the requests of a source."""

    icon: str
    name: str
    reason: str
    contact_id: UUID | None = None
    source_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """The day so far. Every count has its denominator; `median_wait_s` is None while nobody was called."""

    arrived: int
    called_in_time: int
    callable: int
    answered: int
    called: int
    median_wait_s: float | None


@dataclass(frozen=True, slots=True)
class Today:
    """The whole page."""

    headline: str
    aside: str
    rings: Sequence[Ring]
    arrivals: Sequence[Arrival]
    waits: Sequence[Wait]
    callbacks: Sequence[Callback]
    troubles: Sequence[Trouble]
    figures: Figures

    @property
    def overdue(self) -> int:
        return sum(callback.overdue for callback in self.callbacks)


def today(*, me: UUID, everyone: bool, now: datetime) -> Today:
    """Read the page for one person, in a fixed number of statements; `everyone` shows all that must be called back."""
    start = start_of_day(now)
    rings = ringing(me=me)
    waits = waiting(now=now)
    callbacks = to_call_back(me=me, everyone=everyone, now=now)
    troubles = to_fix(now=now)
    figures = figures_since(start)
    return Today(
        headline=_headline(rings, figures),
        aside=_aside(waits, callbacks, troubles),
        rings=rings,
        arrivals=arrivals(since=start, me=me, now=now),
        waits=waits,
        callbacks=callbacks,
        troubles=troubles,
        figures=figures,
    )


def ringing(*, me: UUID) -> list[Ring]:
    """Return the telephones that ring now, one's own first."""
    live = list(
        CallAttempt.objects.filter(state__in=calls.RINGING, ended_at__isnull=True)
        .select_related("agent", "process__contact", "process__lead_event__marketing_source")
        .order_by("requested_at")[: ROWS * 2]
    )
    tried: dict[UUID, list[CallAttempt]] = {}
    for attempt in (
        CallAttempt.objects.filter(process__in=[attempt.process_id for attempt in live])
        .select_related("agent")
        .order_by("requested_at")
    ):
        tried.setdefault(attempt.process_id, []).append(attempt)
    rings = [_ring(attempt, tried.get(attempt.process_id, [attempt]), me) for attempt in live]
    return sorted(rings, key=lambda ring: not ring.mine)


def arrivals(*, since: datetime, me: UUID, now: datetime) -> list[Arrival]:
    """Return the latest leads of the day with the outcome of their call."""
    events = list(
        LeadEvent.objects.filter(received_at__gte=since, archived=False)
        .select_related("contact", "marketing_source", "deal")
        .order_by("-received_at", "-id")[:ARRIVALS]
    )
    processes = {
        process.lead_event_id: process
        for process in Process.objects.filter(lead_event__in=[event.pk for event in events]).select_related(
            "agent"
        )
    }
    attempts = calls.latest_attempts(processes.values())
    return [
        Arrival(
            event=event,
            outcome=_outcome(processes.get(event.pk), attempts, me, now),
            returns=event.contact.created_at < event.created_at - timedelta(seconds=1),
        )
        for event in events
    ]


def waiting(*, now: datetime) -> list[Wait]:
    """Return who waits for a call, the most late first."""
    processes = (
        Process.objects.exclude(state=Process.State.DONE)
        .select_related("contact", "lead_event")
        .order_by("created_at")[: ROWS * 4]
    )
    rows = list(processes)
    attempts = calls.latest_attempts(rows)
    reasons = routing.reasons_to_wait(rows)
    waits = [
        _wait(process, attempts.get(process.pk), reasons[process.pk], now)
        for process in rows
        if not _is_on_the_line(attempts.get(process.pk))
    ]
    return waits[:ROWS]


def to_call_back(*, me: UUID, everyone: bool, now: datetime) -> list[Callback]:
    """Return the planned calls up to the end of the day, of one person and of nobody, by their hour."""
    end = start_of_day(now) + timedelta(days=1)
    planned = list(
        Activity.objects.filter(type=Activity.Type.CHIAMATA, status=Activity.Status.PLANNED)
        .filter(Q(scheduled_at__lt=end) | Q(scheduled_at__isnull=True))
        .filter(Q() if everyone else Q(user=me) | Q(user__isnull=True))
        .select_related("contact")
        .order_by("scheduled_at", "created_at")[:ROWS]
    )
    if not planned:
        return []
    verdicts = gate.verdicts({activity.contact_id for activity in planned}, now=now)
    return [
        Callback(
            activity=activity,
            overdue=activity.scheduled_at is not None and activity.scheduled_at < now,
            mine=activity.user_id == me,
            may=verdict.may,
            why=gate.sentence(verdict, now),
        )
        for activity in planned
        for verdict in [verdicts[activity.contact_id]]
    ]


def to_fix(*, now: datetime) -> list[Trouble]:
    """Return what stands still until a person acts: numbers nobody can call, requests nobody could read."""
    return [*_bad_numbers(now), *_unread_requests()]


def figures_since(start: datetime) -> Figures:
    """Return the day in figures; tests and archived leads are left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with day as (
                select e.id, e.received_at, p.id as process_id
                  from pipeline_leadevent e
                  left join routing_process p on p.brand_id = e.brand_id and p.lead_event_id = e.id
                 where e.received_at >= %(start)s and not e.archived and not e.is_test
            ), called as (
                select d.id, d.received_at, min(a.requested_at) as first_at,
                       bool_or(a.state = 'answered' and a.talking_seconds is distinct from 0) as answered
                  from day d join routing_callattempt a on a.process_id = d.process_id
                 group by d.id, d.received_at
            )
            select (select count(*) from day),
                   (select count(*) from day where process_id is not null),
                   count(*) filter (where first_at <= received_at + make_interval(secs => %(promise_s)s)),
                   count(*) filter (where answered),
                   count(*),
                   extract(epoch from percentile_cont(0.5) within group (order by first_at - received_at))
              from called
            """,
            {"start": start, "promise_s": FIRST_CONTACT_S},
        )
        arrived, callable_, in_time, answered, called, median = cursor.fetchone()
    return Figures(
        arrived=arrived,
        called_in_time=in_time,
        callable=callable_,
        answered=answered,
        called=called,
        median_wait_s=None if median is None else float(median),
    )


def _ring(attempt: CallAttempt, tries: Sequence[CallAttempt], me: UUID) -> Ring:
    process = attempt.process
    turn = next((n for n, one in enumerate(tries, 1) if one.pk == attempt.pk), 1)
    missed = [one.agent.name for one in tries[: turn - 1]]
    arrived_at = process.lead_event.received_at if process.lead_event else process.created_at
    return Ring(
        attempt=attempt,
        name=process.contact.full_name,
        number=attempt.number_e164,
        event=process.lead_event,
        mine=attempt.agent.user_id == me,
        turn=turn,
        ends_at=calls.rings_until(attempt),
        before=missed[-1] if missed else "",
        due_at=arrived_at + timedelta(seconds=FIRST_CONTACT_S),
    )


def _outcome(
    process: Process | None, attempts: dict[UUID, CallAttempt], me: UUID, now: datetime
) -> Outcome | None:
    return calls.outcome(process, attempts.get(process.pk) if process else None, me=me, now=now)


def _is_on_the_line(attempt: CallAttempt | None) -> bool:
    """Say whether a telephone rings or two people speak: then nobody waits."""
    return (
        attempt is not None
        and attempt.ended_at is None
        and attempt.state in (*calls.RINGING, CallAttempt.State.ANSWERED, CallAttempt.State.REQUESTED)
    )


def _wait(process: Process, attempt: CallAttempt | None, reason: str, now: datetime) -> Wait:
    arrived_at = process.lead_event.received_at if process.lead_event else process.created_at
    due_at = arrived_at + timedelta(seconds=FIRST_CONTACT_S)
    if attempt and attempt.state == CallAttempt.State.UNKNOWN and attempt.ended_at is None:
        reason = _("Il centralino tace: verifico prima di richiamare.")
    retry_at = process.due_at if process.due_at and process.due_at > now else None
    return Wait(process=process, reason=reason, retry_at=retry_at, due_at=due_at, late=due_at < now)


def _bad_numbers(now: datetime) -> list[Trouble]:
    processes = (
        Process.objects.filter(
            state=Process.State.DONE,
            error_code__in=calls.BAD_NUMBER,
            created_at__gte=now - timedelta(days=FIX_FOR_DAYS),
        )
        .select_related("contact")
        .order_by("-created_at")[: ROWS * 2]
    )
    rows = list(processes)
    latest = calls.latest_processes({process.contact_id for process in rows})
    return [
        Trouble(
            icon="phone-x",
            name=process.contact.full_name,
            reason=_bad_number(process.lead.get("phone") or process.number_e164),
            contact_id=process.contact_id,
        )
        for process in rows
        if latest[process.contact_id].pk == process.pk
    ][:ROWS]


def _bad_number(number: str) -> str:
    if not number:
        return _("Manca il numero. Aggiungilo e la chiamata parte.")
    return _("Il numero %(number)s non si può chiamare. Correggilo e la chiamata parte.") % {"number": number}


def _unread_requests() -> list[Trouble]:
    waiting = (
        Submission.objects.filter(status__in=[Submission.Status.DEAD, Submission.Status.REJECTED])
        .values("source_id", "source__name", "source__label")
        .annotate(n=Count("pk"))
        .order_by("-n")[:ROWS]
    )
    return [
        Trouble(
            icon="inbox",
            name=_("Fonte %(name)s") % {"name": row["source__label"] or row["source__name"]},
            reason=ngettext(
                "%(n)s richiesta che non sappiamo leggere: salvata, da rimappare.",
                "%(n)s richieste che non sappiamo leggere: salvate, da rimappare.",
                row["n"],
            )
            % {"n": formats.number(row["n"])},
            source_id=row["source_id"],
        )
        for row in waiting
    ]


def _headline(rings: Sequence[Ring], figures: Figures) -> str:
    if rings:
        ringing = ngettext("Squilla un telefono.", "Squillano %(n)s telefoni.", len(rings))
        told = ringing % {"n": _in_words(len(rings))}
        return told[0].upper() + told[1:]
    if not figures.arrived:
        return _("Oggi non è ancora arrivato nessuno.")
    return _("Nessun telefono squilla.")


def _aside(waits: Sequence[Wait], callbacks: Sequence[Callback], troubles: Sequence[Trouble]) -> str:
    """Say the one thing that is wrong or next."""
    late = sum(wait.late for wait in waits)
    overdue = sum(callback.overdue for callback in callbacks)
    if late:
        words = ngettext("Una richiesta aspetta da troppo.", "%(n)s richieste aspettano da troppo.", late)
        return words % {"n": _in_words(late, first=True)}
    if waits:
        words = ngettext(
            "Una richiesta aspetta un agente.", "%(n)s richieste aspettano un agente.", len(waits)
        )
        return words % {"n": _in_words(len(waits), first=True)}
    if overdue:
        words = ngettext("Una persona è da richiamare.", "%(n)s persone sono da richiamare.", overdue)
        return words % {"n": _in_words(overdue, first=True)}
    if troubles:
        words = ngettext("Una cosa è da sistemare.", "%(n)s cose sono da sistemare.", len(troubles))
        return words % {"n": _in_words(len(troubles), first=True)}
    return _("Nessuno aspetta.")


def _in_words(n: int, *, first: bool = False) -> str:
    """Return a small number as a word, as one says it; `first` opens a sentence."""
    words = [
        "",
        "",
        _("due"),
        _("tre"),
        _("quattro"),
        _("cinque"),
        _("sei"),
        _("sette"),
        _("otto"),
        _("nove"),
    ]
    text = words[n] if 2 <= n < len(words) else formats.number(n)
    return text.capitalize() if first else text


def start_of_day(now: datetime) -> datetime:
    """Return the midnight that began the day, in the zone of the brand."""
    local = timezone.localtime(now)
    return datetime.combine(local.date(), time.min, local.tzinfo)
