"""The record of who did what, over the API (identity.md 3): for who administers the brand."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Field, Query, Router, Schema

from filiera.identity import audit, audit_search
from filiera.identity.models import AuditEntry
from filiera.identity.permissions import demand
from filiera.platform.api import MOST_PER_PAGE, Moment, meta

router = Router(tags=["identity"])
VIEW = "system_settings"


class Filters(Schema):
    actor_user_id: UUID | None = None
    entity_type: str = Field("", max_length=50, pattern=r"^\w*$")
    entity_id: UUID | None = None
    action: str = Field("", max_length=100, pattern=r"^\w*$")
    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")


class Wanted(Filters):
    cursor: str = Field("", max_length=80)
    per_page: int = Field(audit_search.PER_PAGE, ge=1, le=MOST_PER_PAGE)


class Export(Filters):
    format: str = Field("json", max_length=10, description="csv, or anything else for json")


@router.get("/admin/audit")
def list_audit(request: HttpRequest, wanted: Query[Wanted]) -> Any:
    """Who changed what, the latest first; `next_cursor` goes into `cursor`. `from` is included, `to` is not."""
    demand(request, VIEW)
    lines, following = audit_search.page(_wanted(wanted), before=wanted.cursor, limit=wanted.per_page)
    return {
        "success": True,
        "data": [audit_search.shape(line) for line in lines],
        "pagination": {"per_page": wanted.per_page, "next_cursor": following or None},
        "meta": meta(request),
    }


@router.get("/admin/audit/export")
def export_audit(request: HttpRequest, wanted: Query[Export]) -> HttpResponse:
    """Take up to 20 000 lines away as a file, the latest ones; that this was done is a line itself."""
    return download(request, _wanted(wanted), "csv" if wanted.format == "csv" else "json")


def download(request: HttpRequest, wanted: audit_search.Wanted, kind: str) -> HttpResponse:
    """Return the wanted lines as a file that names who took it, and record that it was taken."""
    principal = demand(request, VIEW)
    now = timezone.now()
    lines, _more = audit_search.page(wanted, limit=audit_search.MOST_EXPORTED)
    by = principal.user.email
    if kind == "csv":
        answer = HttpResponse(
            audit_search.as_csv(lines, by=by, at=now), content_type="text/csv; charset=utf-8"
        )
    else:
        answer = HttpResponse(audit_search.as_json(lines, by=by, at=now), content_type="application/json")
    name = f"{principal.brand.slug}-registro-{timezone.localtime(now):%Y%m%d-%H%M}.{kind}"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "no-store"
    audit.record(
        AuditEntry.Action.EXPORT,
        entity_type="audit_log",
        detail={"entries": len(lines), "format": kind, "filters": _told(wanted)},
    )
    return answer


def _wanted(filters: Filters) -> audit_search.Wanted:
    return audit_search.Wanted(
        person=filters.actor_user_id,
        entity=filters.entity_type,
        subject=filters.entity_id,
        action=filters.action,
        since=_aware(filters.since),
        until=_aware(filters.until),
    )


def _aware(given: datetime | None) -> datetime | None:
    """Return a moment in time; without an offset it is of the brand's zone."""
    if given is None or timezone.is_aware(given):
        return given
    try:
        return timezone.make_aware(given)
    except OverflowError:
        return None


def _told(wanted: audit_search.Wanted) -> dict[str, str]:
    values = {name: getattr(wanted, name) for name in wanted.__slots__}
    return {name: str(value) for name, value in values.items() if value}
