"""Reading the record of who did what: one brand's lines, newest first, narrowed and page by page."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db.models import OuterRef, Q, QuerySet, Subquery

from filiera.identity.models import AuditEntry, User, UserRole

PER_PAGE = 50
MOST_EXPORTED = 20_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = (
    *("id", "created_at", "actor", "actor_user_id", "action", "entity_type", "entity_id"),
    *("before", "after", "ip_address", "user_agent", "request_id", "exported_by", "exported_at"),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: by whom, about what, of which kind, from one moment on and before another."""

    person: UUID | None = None
    entity: str = ""
    subject: UUID | None = None
    action: str = ""
    since: datetime | None = None
    until: datetime | None = None


def page(wanted: Wanted, *, before: str = "", limit: int = PER_PAGE) -> tuple[list[AuditEntry], str]:
    """Return the lines that come after the cursor `before`, and the cursor of what follows, "" at the end."""
    rows = list(_after(_matching(wanted), before)[: limit + 1])
    return rows[:limit], _cursor(rows[limit - 1]) if len(rows) > limit else ""


def entry(entry_id: UUID) -> AuditEntry | None:
    """Return one line of the open brand."""
    return _told().filter(pk=entry_id).first()


def people() -> list[User]:
    """Return who works in the open brand, by name."""
    return list(User.objects.filter(pk__in=UserRole.objects.values("user_id")).order_by("name", "id"))


def names_of(ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return the names of people by their id."""
    return dict(User.objects.filter(pk__in=set(ids)).values_list("id", "name"))


def shape(line: AuditEntry) -> dict[str, Any]:
    """Return a line as the API tells it (identity.md 3)."""
    return {
        "id": str(line.id),
        "brand_id": str(line.brand_id) if line.brand_id else None,
        "actor_user_id": str(line.actor_user_id) if line.actor_user_id else None,
        "actor": {"kind": line.actor_kind, "name": _actor_name(line), "db_role": line.db_role},
        "action": line.action,
        "entity_type": line.entity_type,
        "entity_id": str(line.entity_id) if line.entity_id else None,
        "changes": {"before": line.before, "after": line.after},
        "ip_address": line.ip_address,
        "user_agent": line.user_agent,
        "request_id": line.request_id,
        "created_at": line.created_at,
        "masked_at": line.masked_at,
    }


def as_json(lines: Sequence[AuditEntry], *, by: str, at: datetime) -> bytes:
    """Return lines as one JSON document that names who took it and when."""
    document = {"exported_by": by, "exported_at": at, "entries": [shape(line) for line in lines]}
    return orjson.dumps(document, default=str)


def as_csv(lines: Sequence[AuditEntry], *, by: str, at: datetime) -> str:
    """Return lines as CSV, each naming who took it; what a spreadsheet would run as a formula stays text (Q-34)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for line in lines:
        values = (
            *(line.id, line.created_at.isoformat(), _actor_name(line) or line.db_role, line.actor_user_id),
            *(line.action, line.entity_type, line.entity_id, _json(line.before), _json(line.after)),
            *(line.ip_address, line.user_agent, line.request_id, by, at.isoformat()),
        )
        writer.writerow([_cell(value) for value in values])
    return out.getvalue()


def _matching(wanted: Wanted) -> QuerySet[AuditEntry]:
    found = _told()
    if wanted.person:
        found = found.filter(actor_user_id=wanted.person)
    if wanted.entity:
        found = found.filter(entity_type=wanted.entity)
    if wanted.subject:
        found = found.filter(entity_id=wanted.subject)
    if wanted.action:
        found = found.filter(action=wanted.action)
    if wanted.since:
        found = found.filter(created_at__gte=wanted.since)
    if wanted.until:
        found = found.filter(created_at__lt=wanted.until)
    return found


def _told() -> QuerySet[AuditEntry]:
    seals = ("salt", "origin_salt", "before_digest", "after_digest", "origin_digest", "seal")
    person = User.objects.filter(pk=OuterRef("actor_user_id"))
    lines = AuditEntry.objects.annotate(person_name=Subquery(person.values("name")[:1]))
    return lines.defer(*seals).order_by("-created_at", "-id")


def _actor_name(line: AuditEntry) -> str:
    """Return who did it: a person as they are called today, since the record keeps their id alone, or a key."""
    return line.actor_name or getattr(line, "person_name", None) or ""


def _after(lines: QuerySet[AuditEntry], cursor: str) -> QuerySet[AuditEntry]:
    micros, _point, last = cursor.partition(".")
    try:
        at, entry_id = _EPOCH + timedelta(microseconds=int(micros)), UUID(last)
    except (ValueError, OverflowError):
        return lines
    # The first condition is the one that an index can begin at.
    return lines.filter(created_at__lte=at).filter(Q(created_at__lt=at) | Q(id__lt=entry_id))


def _cursor(line: AuditEntry) -> str:
    return f"{(line.created_at - _EPOCH) // timedelta(microseconds=1)}.{line.id}"


def _json(value: Any) -> str:
    return "" if value is None else orjson.dumps(value, default=str).decode()


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
