"""Operator endpoints of the intake (capture.md 3.7), permission manage_intake."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema, Status

from filiera.capture import commands, queries, queue
from filiera.capture.models import Source, Submission
from filiera.identity.permissions import demand
from filiera.platform.api import MOST_PER_PAGE, PER_PAGE, Moment, ok, paginated
from filiera.platform.refusals import Invalid

router = Router(tags=["capture"])

MANAGE = "manage_intake"
MOST_PAGES = 1_000_000

Found = Literal["accepted", "queued", "processed", "duplicate", "rejected", "failed", "dead", "discarded"]


class SourceFields(Schema):
    label: str | None = Field(None, max_length=100)
    auth_mode: Literal["api_key", "path_token", "body_key", "signature", "public"] | None = None
    rate_limit_per_min: int | None = None
    mapping: dict[str, str] | None = None
    required_fields: list[str] | None = None
    allowed_origins: list[str] | None = None
    marketing_source_id: UUID | None = None
    auto_call: bool | None = None
    form: dict[str, Any] | None = None
    signing_secret: str = Field("", max_length=10_000)
    access_token: str = Field("", max_length=10_000)


class NewSource(SourceFields):
    name: str
    kind: str


class SourceChanges(SourceFields):
    is_active: bool | None = None


class Paging(Schema):
    page: int = Field(1, ge=1, le=MOST_PAGES)
    per_page: int = Field(PER_PAGE, ge=1, le=MOST_PER_PAGE)


class Wanted(Paging):
    source: UUID | None = None
    status: Found | None = None
    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")


# Sources


@router.get("/sources")
def list_sources(request: HttpRequest) -> Any:
    """All sources, the active ones first."""
    demand(request, MANAGE)
    return ok(request, [_source(source) for source in queries.sources()])


@router.post("/sources", response={201: dict[str, Any]})
def create_source(request: HttpRequest, body: NewSource) -> Any:
    """Make a source. Its clear key is in this answer and nowhere else."""
    principal = demand(request, MANAGE)
    given = {name: value for name, value in body.dict().items() if value is not None}
    source, key = commands.create_source(**given, actor=principal.user, now=timezone.now())
    return Status(201, ok(request, {**_source(source), "api_key": key or None}))


@router.get("/sources/{uuid:source_id}")
def get_source(request: HttpRequest, source_id: UUID) -> Any:
    """One source."""
    demand(request, MANAGE)
    return ok(request, _source(queries.source_for(source_id)))


@router.patch("/sources/{uuid:source_id}")
def change_source(request: HttpRequest, source_id: UUID, body: SourceChanges) -> Any:
    """Change the fields that are sent."""
    principal = demand(request, MANAGE)
    changes = body.dict(exclude_unset=True)
    nulls = [name for name, value in changes.items() if value is None and name != "marketing_source_id"]
    if nulls:
        raise Invalid(
            _("Alcuni campi non vanno bene."), details={name: [_("Non può essere vuoto.")] for name in nulls}
        )
    source = commands.change_source(source_id=source_id, actor=principal.user, now=timezone.now(), **changes)
    return ok(request, _source(source))


@router.delete("/sources/{uuid:source_id}")
def delete_source(request: HttpRequest, source_id: UUID) -> Any:
    """Remove a source that never received anything."""
    principal = demand(request, MANAGE)
    commands.delete_source(source_id=source_id, actor=principal.user, now=timezone.now())
    return ok(request, {"id": str(source_id)})


@router.post("/sources/{uuid:source_id}/rotate-key")
def rotate_key(request: HttpRequest, source_id: UUID) -> Any:
    """Give the source a new key, told in this answer only; the old one stops within a second."""
    principal = demand(request, MANAGE)
    source, key = commands.rotate_key(source_id=source_id, actor=principal.user, now=timezone.now())
    return ok(request, {**_source(source), "api_key": key})


# Queue and dead letters


@router.get("/queue")
def get_queue(request: HttpRequest) -> Any:
    """The figures of the lead queue."""
    demand(request, MANAGE)
    figures = queries.queue_figures(timezone.now())
    return ok(
        request,
        {
            "depth": figures.depth,
            "inflight": figures.inflight,
            "delayed": figures.delayed,
            "dead": figures.dead,
            "oldest_age_seconds": round(figures.oldest_age_seconds, 3),
            "processed_last_minute": figures.processed_last_minute,
            "backend": figures.backend,
        },
    )


@router.get("/queue/dead")
def list_dead(request: HttpRequest, wanted: Query[Paging]) -> Any:
    """Dead letters, the latest first."""
    demand(request, MANAGE)
    return _paginated(request, queries.dead(page=wanted.page, per_page=wanted.per_page))


@router.post("/queue/dead/requeue-all")
def requeue_all(request: HttpRequest) -> Any:
    """Give every dead letter back to the queue."""
    principal = demand(request, MANAGE)
    return ok(request, {"requeued": commands.requeue_all(actor=principal.user, now=timezone.now())})


@router.post("/queue/dead/{uuid:submission_id}/requeue")
def requeue(request: HttpRequest, submission_id: UUID) -> Any:
    """Give one dead letter back to the queue with its attempts at zero."""
    principal = demand(request, MANAGE)
    commands.requeue(submission_id=submission_id, actor=principal.user, now=timezone.now())
    return ok(request, _told(queries.submission_for(submission_id)))


@router.delete("/queue/dead/{uuid:submission_id}")
def discard(request: HttpRequest, submission_id: UUID) -> Any:
    """Set a dead letter aside for good; who did it is kept."""
    principal = demand(request, MANAGE)
    commands.discard(submission_id=submission_id, actor=principal.user, now=timezone.now())
    return ok(request, {"id": str(submission_id)})


# Inbound log


@router.get("/requests")
def list_requests(request: HttpRequest, wanted: Query[Wanted]) -> Any:
    """Everything that came, the latest first; `from` is included, `to` is not."""
    demand(request, MANAGE)
    page = queries.inbound(
        page=wanted.page,
        per_page=wanted.per_page,
        source_id=wanted.source,
        status=wanted.status or "",
        since=_moment(wanted.since),
        until=_moment(wanted.until),
    )
    return _paginated(request, page)


@router.get("/requests/{uuid:submission_id}")
def get_request(request: HttpRequest, submission_id: UUID) -> Any:
    """One request with its text."""
    demand(request, MANAGE)
    submission = queries.submission_for(submission_id)
    return ok(
        request,
        {
            **_told(submission),
            "headers": submission.headers,
            "content_type": submission.content_type,
            "body": bytes(submission.body).decode("utf-8", "replace"),
            "retrieved": submission.retrieved,
            "response": submission.response,
            "message": queue.message(submission),
        },
    )


@router.post("/requests/{uuid:submission_id}/replay", response={201: dict[str, Any]})
def replay(request: HttpRequest, submission_id: UUID) -> Any:
    """Make a new request of a stored one, by the mapping as it is now."""
    principal = demand(request, MANAGE)
    again = commands.replay(submission_id=submission_id, actor=principal.user, now=timezone.now())
    return Status(201, ok(request, _told(again)))


def _moment(given: datetime | None) -> datetime | None:
    """Return a moment in time; without an offset it is of the brand's zone."""
    return timezone.make_aware(given) if given is not None and timezone.is_naive(given) else given


def _paginated(request: HttpRequest, page: queries.Page) -> Any:
    found = queries.lead_events_of([row.id for row in page.rows])
    rows = [_told(row, found) for row in page.rows]
    return paginated(request, rows, total=page.total, page=page.page, per_page=page.per_page)


def _source(source: Source) -> dict[str, Any]:
    return {
        "id": str(source.id),
        "name": source.name,
        "label": source.label,
        "kind": source.kind,
        "auth_mode": source.auth_mode,
        "api_key_last4": source.api_key_last4,
        "rate_limit_per_min": source.rate_limit_per_min,
        "mapping": source.mapping,
        "required_fields": source.required_fields,
        "allowed_origins": source.allowed_origins,
        "marketing_source_id": str(source.marketing_source_id) if source.marketing_source_id else None,
        "auto_call": source.auto_call,
        "is_active": source.is_active,
        "form": source.form,
        "created_at": source.created_at,
        "updated_at": source.updated_at,
        "last_used_at": source.last_used_at,
    }


def _told(submission: Submission, lead_events: Any = None) -> dict[str, Any]:
    found = queries.lead_events_of([submission.id]) if lead_events is None else lead_events
    lead_event_id = found.get(submission.id)
    return {
        "id": str(submission.id),
        "lead_id": submission.lead_id,
        "source": submission.source.name,
        "source_id": str(submission.source_id),
        "request_id": submission.request_id,
        "method": submission.method,
        "path": submission.path,
        "status": submission.status,
        "http_status": submission.http_status,
        "error_code": submission.error_code or None,
        "attempts": submission.attempts,
        "max_retries": submission.max_retries,
        "last_error": submission.last_error or None,
        "dead_reason": submission.dead_reason or None,
        "lead_event_id": str(lead_event_id) if lead_event_id else None,
        "ip_address": submission.ip_address,
        "user_agent": submission.user_agent,
        "received_at": submission.received_at,
        "processed_at": submission.processed_at,
        "dead_at": submission.dead_at,
        "replayed_from_id": str(submission.replayed_from_id) if submission.replayed_from_id else None,
    }
