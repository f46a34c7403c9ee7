"""Wake the worker for a brand's calls, in the transaction that made the work.

No job is kept: the rows themselves say what waits (`due_at`, `check_at`, `handled_at`). A wake-up tells the worker to
look at once when the transaction commits, and what nobody woke it for it finds by looking.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import connection

from filiera.identity.models import Brand

CALLS: Final = "filiera_calls"
EVENTS: Final = "filiera_events"

LIST_IDLE: Final = timedelta(seconds=30)
LIST_WHILE_WAITING: Final = timedelta(seconds=10)


def place_calls_soon(brand_id: UUID) -> None:
    """Let the brand's due calls be placed once the open transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_notify(%s, %s)", [CALLS, str(brand_id)])


def brands_with_calls(now: datetime) -> list[UUID]:
    """Return the brands whose calls, checks or list of agents are due, also those that a crash left behind."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select brand_id from routing_due_brands(%s, %s, %s) as brand_id",
            [now, now - LIST_WHILE_WAITING, now - LIST_IDLE],
        )
        return [row[0] for row in cursor.fetchall()]


def brands() -> list[UUID]:
    """Return the brands at work."""
    return list(Brand.objects.filter(is_active=True).values_list("id", flat=True))
