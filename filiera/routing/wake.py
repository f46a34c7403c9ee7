"""Ask for a brand's waiting work to be done, in the transaction that made it."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from procrastinate.exceptions import AlreadyEnqueued

from filiera.platform.jobs import app

PLACE_CALLS = "routing.place_calls"
HANDLE_EVENTS = "routing.handle_events"


def place_calls_soon(brand_id: UUID) -> None:
    """Enqueue the placing of this brand's calls; one waiting job stands for any number of wishes."""
    _once(PLACE_CALLS, f"calls:{brand_id}", brand_id)


def handle_events_soon(brand_id: UUID) -> None:
    """Enqueue the reading of the provider's events that wait; one waiting job stands for all of them."""
    _once(HANDLE_EVENTS, f"events:{brand_id}", brand_id)


def _once(task: str, lock: str, brand_id: UUID) -> None:
    try:
        with transaction.atomic():
            app.configure_task(task, queueing_lock=lock).defer(brand_id=str(brand_id))
    except AlreadyEnqueued:
        pass  # the job that waits will see these rows too
