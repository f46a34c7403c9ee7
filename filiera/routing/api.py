"""Monitoring and administration of routing over HTTP (routing.md 3.2, 3.3)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema, Status

from filiera.identity.permissions import EXPORT, demand
from filiera.platform.api import historic_failure, ok
from filiera.platform.refusals import Invalid, Refused
from filiera.routing import commands, queries, tracking
from filiera.routing.commands.agents import agent_of
from filiera.routing.models import Agent, Process

router = Router(tags=["routing"])

VIEW, MANAGE = "view_routing", "manage_routing"


# Monitoring, under both addresses with the same body


def stats(request: HttpRequest) -> tuple[int, dict[str, Any]]:
    """Today's figures."""
    return 200, queries.stats(now=timezone.now())


def analytics(request: HttpRequest) -> tuple[int, dict[str, Any]]:
    """The figures of a period: startDate and endDate, both included; today when none is given."""
    today = timezone.now().astimezone(ZoneInfo(demand(request, VIEW).brand.timezone)).date()
    start = _date(request.GET.get("startDate"), "startDate")
    end = _date(request.GET.get("endDate"), "endDate")
    return 200, queries.analytics(start=start or end or today, end=end or max(start or today, today))


def recent_processes(request: HttpRequest) -> tuple[int, dict[str, Any]]:
    """The latest processes, newest first; limit 1 to 200, 20 unless given."""
    text = request.GET.get("limit", "20")
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise Invalid(_("Se ne leggono da 1 a 200."), details={"limit": [_("Da 1 a 200.")]})
    return 200, queries.recent_processes(int(text))


def health(request: HttpRequest) -> tuple[int, dict[str, Any]]:
    """Whether calls can be made: 503 when the provider cannot be reached."""
    return queries.health(now=timezone.now())


Monitor = Callable[[HttpRequest], tuple[int, dict[str, Any]]]


def historic(monitor: Monitor) -> Callable[[HttpRequest], HttpResponse]:
    """Serve a monitoring read at its historic address: same body, errors in the shape of platform.md 3.3."""

    @login_not_required
    def view(request: HttpRequest) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            return historic_failure(code="METHOD_NOT_ALLOWED", message=_("Si può solo leggere."), status=405)
        if getattr(request, "principal", None) is None:
            return historic_failure(code="UNAUTHENTICATED", message=_("Serve l’accesso."), status=401)
        try:
            demand(request, VIEW)
            status, body = monitor(request)
        except Refused as refusal:
            return historic_failure(
                code=refusal.code, message=str(refusal), status=refusal.status, details=refusal.details
            )
        return HttpResponse(orjson.dumps(body), status=status, content_type="application/json")

    return view


@router.get("/stats")
def get_stats(request: HttpRequest) -> Any:
    """Today's figures."""
    demand(request, VIEW)
    return stats(request)[1]


@router.get("/analytics")
def get_analytics(request: HttpRequest, startDate: str = "", endDate: str = "") -> Any:
    """The figures of a period, both days included; today when none is given."""
    demand(request, VIEW)
    return analytics(request)[1]


@router.get("/recent-processes")
def get_recent_processes(request: HttpRequest, limit: str = "20") -> Any:
    """The latest processes, newest first."""
    demand(request, VIEW)
    return recent_processes(request)[1]


@router.get("/health", response={200: dict[str, Any], 503: dict[str, Any]})
def get_health(request: HttpRequest) -> Any:
    """Whether calls can be made."""
    demand(request, VIEW)
    return Status(*health(request))


# Administration


class NewAgent(Schema):
    provider_agent_id: str
    name: str
    extension: int | None = None
    user_id: UUID | None = None
    is_enabled: bool = True
    on_leave_until: date | None = None
    sort_order: int | None = None
    weight: int = 1
    skills: list[str] = []
    schedule: dict[str, Any] | None = None
    max_concurrent_calls: int = 1


class AgentChanges(Schema):
    name: str | None = None
    extension: int | None = None
    user_id: UUID | None = None
    is_enabled: bool | None = None
    on_leave_until: date | None = None
    sort_order: int | None = None
    weight: int | None = None
    skills: list[str] | None = None
    schedule: dict[str, Any] | None = None
    max_concurrent_calls: int | None = None


class Export(Schema):
    first: str = Field("", alias="from")
    last: str = Field("", alias="to")
    format: Literal["jsonl", "csv"] = "jsonl"


class CleanUp(Schema):
    days: int = tracking.RETENTION_DAYS


class Policy(Schema):
    policy: str


@router.get("/agents")
def list_agents(request: HttpRequest) -> Any:
    """All agents in the order of the sequence."""
    demand(request, VIEW)
    agents = Agent.objects.order_by("sort_order", "provider_agent_id")
    return ok(request, [_agent(agent) for agent in agents])


@router.post("/agents", response={201: dict[str, Any]})
def create_agent(request: HttpRequest, body: NewAgent) -> Any:
    """Add an agent."""
    demand(request, MANAGE)
    fields = body.dict()
    if fields["sort_order"] is None:
        del fields["sort_order"]
    return Status(201, ok(request, _agent(commands.create_agent(**fields))))


@router.get("/agents/{uuid:agent_id}")
def get_agent(request: HttpRequest, agent_id: UUID) -> Any:
    """One agent."""
    demand(request, VIEW)
    return ok(request, _agent(agent_of(agent_id)))


@router.patch("/agents/{uuid:agent_id}")
def change_agent(request: HttpRequest, agent_id: UUID, body: AgentChanges) -> Any:
    """Change the fields that are sent."""
    demand(request, MANAGE)
    return ok(
        request, _agent(commands.update_agent(agent_id=agent_id, changes=body.dict(exclude_unset=True)))
    )


@router.delete("/agents/{uuid:agent_id}")
def delete_agent(request: HttpRequest, agent_id: UUID) -> Any:
    """Remove an agent who never had a lead."""
    demand(request, MANAGE)
    commands.delete_agent(agent_id=agent_id)
    return ok(request, {"id": agent_id})


@router.post("/agents/sync", response={202: dict[str, Any]})
def sync_agents(request: HttpRequest) -> Any:
    """Have the provider's list read by a job; new agents are added."""
    demand(request, MANAGE)
    commands.request_agents_sync()
    return Status(202, ok(request, {"requested": True}))


@router.post("/reset")
def reset(request: HttpRequest) -> Any:
    """Start the turn again from the first agent."""
    principal = demand(request, MANAGE)
    turn = commands.reset_state(user=principal.user, now=timezone.now())
    return ok(request, {"resetAt": turn.reset_at and tracking.iso(turn.reset_at)})


@router.post("/policy")
def set_policy(request: HttpRequest, body: Policy) -> Any:
    """Choose the rule: round_robin or credit."""
    principal = demand(request, MANAGE)
    turn = commands.set_policy(policy=body.policy, user=principal.user, now=timezone.now())
    return ok(request, {"policy": turn.policy, "version": turn.rule_version})


@router.get("/export")
def export(request: HttpRequest, wanted: Query[Export]) -> HttpResponse:
    """The records of a period, `from` and `to` included, as JSON lines or CSV; today when none is given."""
    principal = demand(request, EXPORT)
    today = timezone.now().astimezone(ZoneInfo(principal.brand.timezone)).date()
    start = _date(wanted.first, "from") or today
    records = queries.export(start=start, end=_date(wanted.last, "to") or max(today, start))
    if wanted.format == "csv":
        answer = HttpResponse(_csv(records), content_type="text/csv; charset=utf-8")
    else:
        lines = b"".join(orjson.dumps(record) + b"\n" for record in records)
        answer = HttpResponse(lines, content_type="application/x-ndjson")
    answer["Content-Disposition"] = f'attachment; filename="lead-distribution-{start}.{wanted.format}"'
    return answer


@router.post("/processes/{process_id}/retry")
def retry(request: HttpRequest, process_id: str) -> Any:
    """Start a process again, by its id or its `lead_…` number."""
    demand(request, MANAGE)
    process = commands.retry_process(process_id=_process_id(process_id), now=timezone.now())
    return ok(request, {"processId": process.number, "state": process.state})


@router.post("/cleanup")
def clean_up(request: HttpRequest, body: CleanUp) -> Any:
    """Remove the brand's log files of more than so many days ago."""
    demand(request, MANAGE)
    if not 1 <= body.days <= 3650:
        raise Invalid(_("I giorni vanno da 1 a 3650."), details={"days": [_("Da 1 a 3650.")]})
    removed = tracking.clean_up(days=body.days, today=datetime.now(UTC).date())
    return ok(request, {"removed": removed})


def _process_id(text: str) -> UUID:
    found = Process.objects.filter(number=text.replace("\x00", "")).values_list("id", flat=True).first()
    if found is not None:
        return found
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)  # of nobody: the command answers that it is not there


def _date(text: str | None, field: str) -> date | None:
    if not text:
        return None
    try:
        if len(text) != 10:
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid(
            _("Una data si scrive 2026-10-16."), details={field: [_("Si scrive 2026-10-16.")]}
        ) from None


def _agent(agent: Agent) -> dict[str, Any]:
    return {
        "id": agent.id,
        "provider": agent.provider,
        "provider_agent_id": agent.provider_agent_id,
        "name": agent.name,
        "extension": agent.extension,
        "user_id": agent.user_id,
        "is_enabled": agent.is_enabled,
        "on_leave_until": agent.on_leave_until,
        "sort_order": agent.sort_order,
        "weight": agent.weight,
        "skills": agent.skills,
        "schedule": agent.schedule,
        "max_concurrent_calls": agent.max_concurrent_calls,
        "status": agent.last_status,
        "provider_status": agent.provider_status,
        "status_outbound": agent.status_outbound,
        "is_daily_limit_ok": agent.is_daily_limit_ok,
        "last_status_at": agent.last_status_at and tracking.iso(agent.last_status_at),
    }


_CSV_COLUMNS = (
    "timestamp", "processId", "success", "finalStatus", "processingTime", "leadId", "leadName", "leadPhone",
    "agentId", "agentName", "contactId", "error",
)  # fmt: skip


def _csv(records: list[dict[str, Any]]) -> str:
    """Return the records as CSV; a cell that a spreadsheet would run as a formula is kept as text (Q-34)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_CSV_COLUMNS)
    for record in records:
        agent, contact = record["steps"]["agentDistribution"], record["steps"]["contactCreation"]
        row = (
            record["timestamp"],
            record["processId"],
            record["success"],
            record["finalStatus"],
            record["processingTime"],
            record["lead"]["id"],
            record["lead"]["name"],
            record["lead"]["phone"],
            agent.get("selectedAgentId", ""),
            agent.get("selectedAgentName", ""),
            contact.get("contactId", ""),
            record.get("error", ""),
        )
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: Any) -> Any:
    # A phone number begins with + too: it is quoted like a formula, which spreadsheets show as the plain number.
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
