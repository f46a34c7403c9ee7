"""Reads of routing: the agents now, why somebody got a lead, what became of calls, and the monitoring of 3.2."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection as database
from django.db.models import Avg, Count, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import ExtractHour, TruncDate
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from filiera.capture.models import Source
from filiera.contacts.models import Contact
from filiera.identity.models import Brand
from filiera.pipeline.models import LeadEvent
from filiera.platform import brand_scope, formats, limiter
from filiera.platform.models import EndpointHealth
from filiera.platform.refusals import Invalid
from filiera.routing import alerts, codes, rules, team, tracking
from filiera.routing.commands import turn
from filiera.routing.models import Agent, Alert, CallAttempt, Connection, Decision, Process, RoutingState
from filiera.routing.rules import Ask, Excluded, Rule, State

LONGEST_PERIOD_DAYS: Final = 366
MOST_RECENT: Final = 200

# The agents now


@dataclass(frozen=True, slots=True)
class AgentLine:
    """An agent with why they cannot be chosen now ("" when they can), today's share and what they may expect."""

    agent: Agent
    user_name: str
    excluded: str
    why: str
    live: CallAttempt | None
    assigned_today: int
    expected_today: float
    credit: Fraction


@dataclass(frozen=True, slots=True)
class AgentsBoard:
    agents: list[AgentLine]
    next_agent: Agent | None
    state: RoutingState
    policy: str
    rule_version: int
    polled_at: datetime | None
    requests_used: int
    requests_limit: int
    is_dry_run: bool
    connection: Connection | None
    circuit_state: str


def agents_board(*, now: datetime) -> AgentsBoard:
    """Return all agents of the brand as they stand, who is next, and how the provider is doing."""
    brand = _brand()
    zone = ZoneInfo(brand.timezone)
    standing = RoutingState.objects.filter(brand_id=brand.id).first() or RoutingState(
        brand_id=brand.id, updated_at=now
    )
    state = turn.read(standing)
    agents = {str(agent.id): agent for agent in Agent.objects.select_related("user")}
    candidates = team.candidates()
    ask = Ask(now.astimezone(zone))
    choice = rules.decide(ask, candidates, state, rule=Rule(standing.policy), version=standing.rule_version)
    reasons = {candidate.id: reason for candidate, reason in choice.excluded}
    under_way = {
        str(attempt.agent_id): attempt
        for attempt in CallAttempt.objects.filter(state__in=CallAttempt.LIVE, ended_at__isnull=True).order_by(
            "requested_at"
        )
    }
    start = datetime.combine(now.astimezone(zone).date(), time(), zone)
    assigned, expected = _shares(start, now)
    connection = Connection.objects.select_related("circuit").first()
    circuit = connection.circuit if connection else None
    return AgentsBoard(
        agents=[
            AgentLine(
                agent=agents[c.id],
                user_name=agents[c.id].user.name if agents[c.id].user else "",  # type: ignore[union-attr]
                excluded=reasons[c.id].value if c.id in reasons else "",
                why=str(rules.SENTENCES[reasons[c.id]]) if c.id in reasons else "",
                live=under_way.get(c.id),
                assigned_today=assigned.get(c.id, 0),
                expected_today=expected.get(c.id, 0.0),
                credit=state.credit(c.id),
            )
            for c in candidates
        ],
        next_agent=agents[choice.agent.id] if choice.agent else None,
        state=standing,
        policy=standing.policy,
        rule_version=standing.rule_version,
        polled_at=connection.agents_polled_at if connection else None,
        requests_used=limiter.used(connection.account, now=now) if connection else 0,
        requests_limit=connection.requests_per_minute if connection else 0,
        is_dry_run=settings.ROUTING_DRY_RUN or bool(connection and connection.is_dry_run),
        connection=connection,
        circuit_state=circuit.state if circuit else "",
    )


def _shares(start: datetime, end: datetime) -> tuple[dict[str, int], dict[str, float]]:
    """Return leads had and leads expected per agent: the expected share is that of whoever was free, by weight."""
    agent_ids = list(Agent.objects.values_list("id", flat=True))
    if not agent_ids:
        return {}, {}
    with database.cursor() as cursor:
        cursor.execute(
            """
            with decided as (
                select id, agent_id, rule, candidates from routing_decision
                 where brand_id = %s and agent_id = any(%s) and created_at >= %s and created_at < %s
            ), free as (
                select d.id, d.agent_id, c->>'id' as candidate,
                       case when d.rule = 'credit' then (c->>'weight')::float else 1.0 end as weight
                  from decided d, jsonb_array_elements(d.candidates) c
                 where c->>'why' is null
            )
            select candidate, sum(weight / total), count(*) filter (where candidate = agent_id::text)
              from (select *, sum(weight) over (partition by id) as total from free) shared
             group by candidate
            """,
            [brand_scope.current(), agent_ids, start, end],
        )
        rows = cursor.fetchall()
    return {row[0]: row[2] for row in rows}, {row[0]: row[1] for row in rows}


# Why somebody got a lead


@dataclass(frozen=True, slots=True)
class CandidateLine:
    """A free agent in a decision: under the credit rule, credit = before + share, and the chosen one then pays 1."""

    agent_id: UUID
    name: str
    user_id: UUID | None
    weight: int
    credit_before: Fraction
    share: Fraction
    credit: Fraction
    credit_after: Fraction
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class ExcludedLine:
    agent_id: UUID
    name: str
    credit: Fraction
    reason: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Explanation:
    decision: Decision
    agent: Agent | None
    rule: str
    rule_name: str
    version: int
    reason: str
    candidates: list[CandidateLine]
    excluded: list[ExcludedLine]
    replays: bool


def decisions_of(contact_id: UUID) -> list[Decision]:
    """Return the decisions about a person, newest first."""
    return list(Decision.objects.filter(contact_id=contact_id).order_by("-created_at", "-sequence")[:50])


def explain(decision: Decision) -> Explanation:
    """Return a decision with names, arithmetic and reasons, and whether a replay gives the same agent."""
    agents = {str(agent.id): agent for agent in Agent.objects.all()}
    before, after = State.from_json(decision.state_before), State.from_json(decision.state_after)
    chosen = str(decision.agent_id) if decision.agent_id else ""
    free = [item for item in decision.candidates if not item.get("why")]
    total = sum(item["weight"] for item in free)
    is_credit = decision.rule == Rule.CREDIT
    lines = [
        CandidateLine(
            agent_id=UUID(item["id"]),
            name=_name(agents, item["id"]),
            user_id=agents[item["id"]].user_id if item["id"] in agents else None,
            weight=item["weight"],
            credit_before=before.credit(item["id"]),
            share=Fraction(item["weight"], total) if is_credit else Fraction(0),
            credit=before.credit(item["id"]) + (Fraction(item["weight"], total) if is_credit else 0),
            credit_after=after.credit(item["id"]),
            is_chosen=item["id"] == chosen,
        )
        for item in free
    ]
    again = rules.replay(
        candidates=decision.candidates, state_before=decision.state_before, rule=decision.rule
    )
    if is_credit:
        lines.sort(key=lambda line: -line.credit)  # stable: the sequence decides ties, as in the rule
    return Explanation(
        decision=decision,
        agent=agents.get(chosen),
        rule=decision.rule,
        rule_name=rule_name(decision.rule),
        version=decision.rule_version,
        reason=_reason(lines, is_credit=is_credit),
        candidates=lines,
        excluded=[
            ExcludedLine(
                agent_id=UUID(item["id"]),
                name=_name(agents, item["id"]),
                credit=before.credit(item["id"]),
                reason=item["why"],
                sentence=str(rules.SENTENCES[Excluded(item["why"])]),
            )
            for item in decision.candidates
            if item.get("why")
        ],
        replays=(again.agent.id if again.agent else "") == chosen
        and again.state_after.as_json() == after.as_json(),
    )


def rule_name(rule: str) -> str:
    """Return a rule's name in the reader's language."""
    return {Rule.ROUND_ROBIN.value: _("A turno"), Rule.CREDIT.value: _("Credito pesato")}.get(rule, rule)


def _name(agents: dict[str, Agent], agent_id: str) -> str:
    agent = agents.get(agent_id)
    return agent.name if agent else _("Agente tolto")


def _reason(free: Sequence[CandidateLine], *, is_credit: bool) -> str:
    chosen = next((line for line in free if line.is_chosen), None)
    if chosen is None:
        return _("Nessun agente era libero.")
    if len(free) == 1:
        return _("Era l’unico agente libero.")
    if is_credit:
        return ngettext(
            "Credito più alto, %(credit)s, tra %(n)s agente libero.",
            "Credito più alto, %(credit)s, tra %(n)s agenti liberi.",
            len(free),
        ) % {"credit": formats.signed(chosen.credit), "n": len(free)}
    return ngettext("Di turno tra %(n)s agente libero.", "Di turno tra %(n)s agenti liberi.", len(free)) % {
        "n": len(free)
    }


# What happens to a lead's call


@dataclass(frozen=True, slots=True)
class CallNow:
    """A phone that rings, or a conversation. `ring_seconds_left` is None once somebody has picked up."""

    attempt: CallAttempt
    process: Process
    agent: Agent
    contact: Contact
    seconds: int
    ring_seconds_left: int | None
    state: str


@dataclass(frozen=True, slots=True)
class CallWaiting:
    """A lead that waits for its call, or for a person to make it, and why."""

    process: Process
    contact: Contact
    agent: Agent | None
    reason: str
    due_at: datetime | None


def calls_now(*, now: datetime) -> list[CallNow]:
    """Return the calls under way, the longest first."""
    attempts = (
        CallAttempt.objects.filter(state__in=CallAttempt.LIVE, ended_at__isnull=True)
        .select_related("process", "agent", "process__contact")
        .order_by("requested_at")
    )
    return [
        CallNow(
            attempt=attempt,
            process=attempt.process,
            agent=attempt.agent,
            contact=attempt.process.contact,
            seconds=_seconds(now - (attempt.agent_answered_at or attempt.requested_at)),
            ring_seconds_left=None
            if attempt.state == CallAttempt.State.ANSWERED
            else max(0, int(settings.ROUTING_RING_S) - _seconds(now - attempt.requested_at)),
            state=attempt.state,
        )
        for attempt in attempts
    ]


def calls_waiting(*, now: datetime) -> list[CallWaiting]:
    """Return the leads whose call has not begun yet, those that go first first."""
    waiting = (
        Process.objects.exclude(state=Process.State.DONE)
        .exclude(Exists(_live_attempts()))
        .select_related("contact", "agent")
        .order_by("due_at", "id")[:500]
    )
    reasons = reasons_to_wait(waiting)
    return [
        CallWaiting(process, process.contact, process.agent, reasons[process.id], process.due_at)
        for process in waiting
    ]


def reasons_to_wait(processes: Iterable[Process]) -> dict[UUID, str]:
    """Return why each of these calls has not begun yet, in words, by the id of its process."""
    connection = Connection.objects.select_related("circuit").first()
    return {process.id: _why_waiting(process, connection) for process in processes}


def calls_failed(*, since: datetime) -> list[CallWaiting]:
    """Return the leads that no agent reached by phone and that a person has to call, newest first."""
    failed = (
        Process.objects.filter(state=Process.State.DONE, created_at__gte=since)
        .filter(Q(success=False) | Q(error_code__in=[codes.NOT_PICKED_UP, codes.NOT_CONFIRMED]))
        .exclude(error_code=codes.NOT_ALLOWED)
        .select_related("contact", "agent")
        .order_by("-created_at", "-id")[:500]
    )
    return [
        CallWaiting(process, process.contact, process.agent, f"{error_sentence(process.error_code)}.", None)
        for process in failed
    ]


def _live_attempts() -> QuerySet[CallAttempt]:
    return CallAttempt.objects.filter(
        process=OuterRef("pk"), state__in=CallAttempt.LIVE, ended_at__isnull=True
    )


def _why_waiting(process: Process, connection: Connection | None) -> str:
    if connection is not None and not connection.is_enabled:
        return (
            f"{_(connection.disabled_reason)}."
            if connection.disabled_reason
            else _("Il centralino è spento.")
        )
    circuit = connection.circuit if connection else None
    if circuit is not None and circuit.state != EndpointHealth.State.CLOSED:
        return _("Il centralino non risponde: riproviamo da soli.")
    if process.error_code:
        return f"{error_sentence(process.error_code)}."
    return _("Nessun centralino è collegato.") if connection is None else _("Sta per partire.")


def _seconds(span: timedelta) -> int:
    return max(0, int(span.total_seconds()))


def process_for(*, submission_id: UUID) -> Process | None:
    """Return the call process of a submission's first lead; for a lead that came again, the one it already had."""
    processes = Process.objects.select_related("agent")
    events = list(
        LeadEvent.objects.filter(submission_id=submission_id)
        .order_by("received_at", "id")
        .values_list("id", "contact_id")
    )
    if not events:
        return None
    own = processes.filter(lead_event_id__in=[event_id for event_id, _contact_id in events])
    under_way = processes.filter(contact_id=events[0][1]).exclude(state=Process.State.DONE)
    return own.order_by("created_at").first() or under_way.order_by("-created_at").first()


def processes_of(contact_id: UUID) -> list[Process]:
    """Return a person's call processes, newest first."""
    return list(
        Process.objects.filter(contact_id=contact_id).select_related("agent").order_by("-created_at")[:50]
    )


def attempts_of(process_ids: Sequence[UUID]) -> list[CallAttempt]:
    """Return the call attempts of these processes, oldest first."""
    return list(
        CallAttempt.objects.filter(process_id__in=process_ids)
        .select_related("agent")
        .order_by("requested_at", "id")
    )


def error_sentence(code: str) -> str:
    """Return what a code means, for a person."""
    return codes.sentence(code)


def next_step_sentence(process: Process) -> str:
    """Return what happens next with a lead's call, for a person."""
    if process.state == Process.State.CALLING:
        return _("Stiamo chiamando.")
    if process.state == Process.State.WAITING:
        when = process.due_at.astimezone(ZoneInfo(_brand().timezone)) if process.due_at else None
        return (
            _("Riproviamo da soli alle %(when)s.") % {"when": f"{when:%H:%M}"}
            if when
            else _("Riproviamo da soli.")
        )
    if process.success and process.error_code not in (codes.NOT_PICKED_UP, codes.NOT_CONFIRMED):
        return ""
    if process.error_code in (codes.INVALID_PHONE, codes.MISSING_PHONE):
        return _("Correggi il numero e la chiamata parte.")
    if process.error_code == codes.NOT_ALLOWED:
        return ""
    return _("Tocca a una persona: chiama tu, o riprova.")


def process_answer(process: Process | None) -> tuple[int, dict[str, Any]]:
    """Return HTTP status and body of routing.md 3.1 for what is known now; None: no call was asked for."""
    if process is None:
        return 200, {
            "success": True,
            "message": "Lead ricevuto",
            "processId": None,
            "callInitiated": False,
            "steps": {"contactCreated": False, "agentSelected": False, "callStarted": False},
        }
    steps = {
        "contactCreated": bool(process.steps.get("contactCreation", {}).get("success")),
        "agentSelected": bool(process.steps.get("agentDistribution", {}).get("success")),
        "callStarted": process.success is True,
    }
    if process.success is True and process.agent is not None:
        return 200, {
            "success": True,
            "message": "Lead processato con successo - Chiamata iniziata",
            "processId": process.number,
            "selectedAgent": {
                "id": tracking.outward_id(process.agent.provider_agent_id),
                "name": process.agent.name,
                "extension": process.agent.extension,
            },
            "callInitiated": True,
            "steps": steps,
        }
    if process.answered_at is None:
        return 202, {
            "success": True,
            "message": "Lead ricevuto - Chiamata in preparazione",
            "processId": process.number,
            "callInitiated": False,
            "steps": steps,
        }
    code = process.final_status
    available = 0
    if code != codes.NO_AGENTS_AVAILABLE:
        available = Agent.objects.filter(is_enabled=True, last_status=rules.Status.ONLINE).count()
    return codes.HTTP_STATUS.get(code, 500), {
        "success": False,
        "message": f"Lead-to-Call fallito: {codes.MEANINGS.get(code, code)}",
        "error": code,
        "availableAgents": available,
        "steps": steps,
        "processId": process.number,
        "leadId": process.lead.get("id", ""),
    }


# Monitoring (routing.md 3.2)


def stats(*, now: datetime) -> dict[str, Any]:
    """Return today's figures, today in the brand's zone."""
    zone = ZoneInfo(_brand().timezone)
    today = now.astimezone(zone).date()
    settled = _between(today, today, zone).filter(success__isnull=False)
    figures = tracking.summary(settled)
    average = settled.aggregate(ms=Avg("processing_time_ms"))["ms"]
    agents = list(Agent.objects.filter(is_enabled=True))
    last = Process.objects.order_by("-created_at", "-id").values_list("created_at", flat=True).first()
    counts = [
        figures["agentStats"].get(agent.provider_agent_id, {}).get("totalAssigned", 0) for agent in agents
    ]
    return {
        "success": True,
        "stats": {
            "date": str(today),
            **{
                name: figures[name]
                for name in ("totalProcesses", "successfulCalls", "failedCalls", "successRate")
            },
            "averageProcessingTime": round(average or 0),
            "errorsByType": figures["errorsByType"],
            "agentStats": figures["agentStats"],
            "agents": {
                "total": len(agents),
                **{
                    status.value: sum(agent.last_status == status for agent in agents)
                    for status in (rules.Status.ONLINE, rules.Status.BUSY, rules.Status.OFFLINE)
                },
            },
            "distributionBalance": {
                "min": min(counts, default=0),
                "max": max(counts, default=0),
                "stddev": round(statistics.pstdev(counts), 2) if counts else 0.0,
            },
            "lastProcessAt": tracking.iso(last) if last else None,
        },
    }


def analytics(*, start: date, end: date) -> dict[str, Any]:
    """Return the figures of a period, both days included. Raises Invalid for a reversed or too long one."""
    if start > end:
        raise Invalid(
            _("Il periodo finisce prima di cominciare."), details={"startDate": [_("È dopo endDate.")]}
        )
    if (end - start).days >= LONGEST_PERIOD_DAYS:
        raise Invalid(_("Un periodo dura al massimo 366 giorni."), details={"endDate": [_("Più vicina.")]})
    zone = ZoneInfo(_brand().timezone)
    settled = _between(start, end, zone).filter(success__isnull=False)
    figures = tracking.summary(settled)
    average = settled.aggregate(ms=Avg("processing_time_ms"))["ms"]
    by_day: dict[date, dict[str, Any]] = {
        row["day"]: dict(row)
        for row in settled.order_by()
        .annotate(day=TruncDate("created_at", tzinfo=zone))
        .values("day")
        .annotate(number=Count("id"), good=Count("id", filter=Q(success=True)), ms=Avg("processing_time_ms"))
    }
    by_hour = dict(
        settled.order_by()
        .annotate(hour=ExtractHour("created_at", tzinfo=zone))
        .values_list("hour")
        .annotate(number=Count("id"))
    )
    nothing: dict[str, Any] = {"number": 0, "good": 0, "ms": None}
    days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
    rows: list[tuple[date, dict[str, Any]]] = [(day, by_day.get(day, nothing)) for day in days]
    return {
        "success": True,
        "period": {"startDate": str(start), "endDate": str(end)},
        "summary": {
            **{
                name: figures[name]
                for name in ("totalProcesses", "successfulCalls", "failedCalls", "successRate")
            },
            "averageProcessingTime": round(average or 0),
        },
        "daily": [
            {
                "date": str(day),
                "totalProcesses": row["number"],
                "successfulCalls": row["good"],
                "failedCalls": row["number"] - row["good"],
                "successRate": tracking.percent(row["good"], row["number"]),
            }
            for day, row in rows
        ],
        "hourly": {str(hour): by_hour.get(hour, 0) for hour in range(24)},
        "agents": [
            {
                "id": tracking.outward_id(provider_id),
                **counts,
                "successRate": tracking.percent(counts["successfulCalls"], counts["totalAssigned"]),
            }
            for provider_id, counts in figures["agentStats"].items()
        ],
        "errorsByType": figures["errorsByType"],
        "trend": [
            {
                "date": str(day),
                "successRate": tracking.percent(row["good"], row["number"]),
                "averageProcessingTime": round(row["ms"] or 0),
            }
            for day, row in rows
        ],
    }


def recent_processes(limit: int = 20) -> dict[str, Any]:
    """Return the latest processes whose outcome is known, newest first. Raises Invalid outside 1 to 200."""
    if not 1 <= limit <= MOST_RECENT:
        raise Invalid(_("Se ne leggono da 1 a 200."), details={"limit": [_("Da 1 a 200.")]})
    latest = Process.objects.filter(success__isnull=False).order_by("-created_at", "-id")[:limit]
    records = [tracking.record(process) for process in latest]
    return {"success": True, "count": len(records), "processes": records}


def health(*, now: datetime) -> tuple[int, dict[str, Any]]:
    """Return 200 or 503 and the prerequisites of ROU-39. An unreachable provider is unhealthy, no agent degraded."""
    connection = Connection.objects.select_related("circuit").first()
    is_configured = connection is not None and connection.is_enabled and connection.vault_key_id is not None
    circuit = connection.circuit if connection else None
    is_reachable = circuit is None or circuit.state == EndpointHealth.State.CLOSED
    available = Agent.objects.filter(is_enabled=True, last_status=rules.Status.ONLINE).count()
    has_webhook = Source.objects.filter(is_active=True, auto_call=True).exists()
    can_write = os.access(settings.FILIERA_HOME, os.W_OK)
    status = "healthy"
    if not (available and has_webhook and can_write):
        status = "degraded"
    if not (is_configured and is_reachable):
        status = "unhealthy"
    return 503 if status == "unhealthy" else 200, {
        "status": status,
        "timestamp": tracking.iso(now),
        "services": {
            "agentDistribution": "ok",
            "callProvider": "ok" if is_configured and is_reachable else "error",
            "trackingLogger": "ok" if can_write else "error",
        },
        "agentsAvailable": available,
        "webhookConfigured": has_webhook,
    }


@dataclass(frozen=True, slots=True)
class AgentShare:
    """What an agent had in a period: leads, the leads their weight and hours promised, and calls that began."""

    agent_id: UUID
    name: str
    assigned: int
    expected: float
    succeeded: int


@dataclass(frozen=True, slots=True)
class Figures:
    """A period as the page "Cifre" tells it. Waits are from arrival to the accepted call; hours are of the brand."""

    analytics: dict[str, Any]
    total: int
    started: int
    answered: int
    excluded: int
    wait_median_s: float | None
    wait_p90_s: float | None
    wait_median_before_s: float | None
    no_agent_minutes: int
    hours_good: list[int]
    hours_bad: list[int]
    agents: list[AgentShare]


def figures(*, start: date, end: date, now: datetime) -> Figures:
    """Return the figures of a period, both days included, in the brand's zone. Raises Invalid as `analytics`.

    `wait_median_before_s` is of as many days before; `excluded` are leads for which no call was asked.
    """
    found = analytics(start=start, end=end)
    zone = ZoneInfo(_brand().timezone)
    first, last = _bounds(start, end, zone)
    settled = _between(start, end, zone).filter(success__isnull=False)
    talked = CallAttempt.objects.filter(process=OuterRef("pk"), talking_seconds__gt=0)
    median, p90 = _waits(first, last)
    good, bad = [0] * 24, [0] * 24
    by_hour = settled.order_by().annotate(hour=ExtractHour("created_at", tzinfo=zone))
    for hour, success, number in by_hour.values_list("hour", "success").annotate(number=Count("id")):
        (good if success else bad)[hour] += number
    leads = LeadEvent.objects.filter(received_at__gte=first, received_at__lt=last).count()
    called_for = Process.objects.filter(received_at__gte=first, received_at__lt=last).count()
    return Figures(
        analytics=found,
        total=found["summary"]["totalProcesses"],
        started=found["summary"]["successfulCalls"],
        answered=settled.filter(success=True).filter(Exists(talked)).count(),
        excluded=max(0, leads - called_for),
        wait_median_s=median,
        wait_p90_s=p90,
        wait_median_before_s=_waits(first - (last - first), first)[0],
        no_agent_minutes=_minutes_without_agent(first, last, now),
        hours_good=good,
        hours_bad=bad,
        agents=_agent_shares(first, last, settled),
    )


def _agent_shares(first: datetime, last: datetime, settled: QuerySet[Process]) -> list[AgentShare]:
    assigned, expected = _shares(first, last)
    succeeded = dict(
        settled.filter(success=True).order_by().values_list("agent_id").annotate(number=Count("id"))
    )
    return [
        AgentShare(
            agent_id=agent.id,
            name=agent.name,
            assigned=assigned.get(str(agent.id), 0),
            expected=expected.get(str(agent.id), 0.0),
            succeeded=succeeded.get(agent.id, 0),
        )
        for agent in Agent.objects.order_by("sort_order", "provider_agent_id")
        if agent.is_enabled or assigned.get(str(agent.id))
    ]


def _waits(first: datetime, last: datetime) -> tuple[float | None, float | None]:
    """Return median and ninetieth percentile, in seconds, from arrival to the accepted call."""
    with database.cursor() as cursor:
        cursor.execute(
            "select percentile_cont(array[0.5, 0.9]) within group (order by processing_time_ms)"
            " from routing_process where brand_id = %s and created_at >= %s and created_at < %s and success",
            [brand_scope.current(), first, last],
        )
        found = cursor.fetchone()[0] or [None, None]
    median, p90 = (value / 1000 if value is not None else None for value in found)
    return median, p90


def _minutes_without_agent(first: datetime, last: datetime, now: datetime) -> int:
    """Sum the times that the alert "no agent" was open, with the five minutes before it opened."""
    spans = Alert.objects.filter(condition=alerts.NO_AGENT, opened_at__lt=last).filter(
        Q(cleared_at__isnull=True) | Q(cleared_at__gt=first)
    )
    seconds = 0.0
    for alert in spans:
        begin = max(alert.opened_at - alerts.NO_AGENT_FOR, first)
        end = min(alert.cleared_at or now, last)
        seconds += max(0.0, (end - begin).total_seconds())
    return round(seconds / 60)


def alerts_open() -> list[Alert]:
    """Return the conditions that hold now, oldest first."""
    return list(Alert.objects.filter(cleared_at__isnull=True).order_by("opened_at"))


def alert_sentence(alert: Alert) -> str:
    """Return an alert in words."""
    return alerts.sentence(alert)


def export(*, start: date, end: date) -> list[dict[str, Any]]:
    """Return the records of a period in the shape of routing.md 4.4, oldest first. Raises Invalid as `analytics`."""
    if start > end or (end - start).days >= LONGEST_PERIOD_DAYS:
        raise Invalid(_("Serve un periodo che cominci prima di finire, di al massimo 366 giorni."))
    zone = ZoneInfo(_brand().timezone)
    settled = _between(start, end, zone).filter(success__isnull=False).order_by("created_at", "id")
    return [tracking.record(process) for process in settled.iterator(chunk_size=2000)]


def _bounds(start: date, end: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the first instant of `start` and the first after `end`, in the brand's zone."""
    return datetime.combine(start, time(), zone), datetime.combine(end + timedelta(days=1), time(), zone)


def _between(start: date, end: date, zone: ZoneInfo) -> QuerySet[Process]:
    first, last = _bounds(start, end, zone)
    return Process.objects.filter(created_at__gte=first, created_at__lt=last)


def _brand() -> Brand:
    return Brand.objects.get(id=brand_scope.current())
