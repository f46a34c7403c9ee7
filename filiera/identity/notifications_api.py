"""One's own notifications over HTTP (identity.md 3)."""

from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Query, Router, Schema

from filiera.identity import notifications
from filiera.identity.models import Notification
from filiera.identity.permissions import in_person
from filiera.platform.api import MOST_PER_PAGE, PER_PAGE, ok, paginated

router = Router(tags=["notifications"])


class Wanted(Schema):
    unread: bool = False
    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    per_page: Annotated[int, Field(ge=1, le=MOST_PER_PAGE)] = PER_PAGE


@router.get("/notifications")
def list_notifications(request: HttpRequest, wanted: Query[Wanted]) -> Any:
    """Return what one was told in the brand in use, the newest first."""
    found = notifications.of(in_person(request).user, unread=wanted.unread)
    start = (wanted.page - 1) * wanted.per_page
    rows = [_told(one) for one in found[start : start + wanted.per_page]]
    return paginated(request, rows, total=found.count(), page=wanted.page, per_page=wanted.per_page)


@router.post("/notifications/read-all")
def read_all(request: HttpRequest) -> Any:
    """Mark all as read and return how many that were."""
    count = notifications.mark_all(user=in_person(request).user, now=timezone.now())
    return ok(request, {"read": count})


@router.post("/notifications/{uuid:notification_id}/read")
def read(request: HttpRequest, notification_id: UUID) -> Any:
    """Mark one as read and return it."""
    user = in_person(request).user
    return ok(
        request,
        _told(
            notifications.mark(user=user, notification_id=notification_id, is_read=True, now=timezone.now())
        ),
    )


def _told(one: Notification) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "type": one.type,
        "title": one.title,
        "message": one.message,
        "action_url": one.action_url or None,
        "is_read": one.is_read,
        "read_at": one.read_at,
        "created_at": one.created_at,
    }
