"""Ask for the brand's due calls to be placed, in the transaction that made them due."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from procrastinate.exceptions import AlreadyEnqueued

from filiera.platform.jobs import app

PLACE_CALLS = "routing.place_calls"


def place_calls_soon(brand_id: UUID) -> None:
    """Enqueue the placing of this brand's calls; one waiting job stands for any number of wishes."""
    try:
        with transaction.atomic():
            app.configure_task(PLACE_CALLS, queueing_lock=f"calls:{brand_id}").defer(brand_id=str(brand_id))
    except AlreadyEnqueued:
        pass  # the job that waits will see these rows too
