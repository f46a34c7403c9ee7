"""Jobs of the journeys."""

import logging
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from django.db import OperationalError
from django.utils import timezone
from procrastinate import RetryStrategy

from filiera.identity import notifications
from filiera.identity.models import Brand
from filiera.journeys import notices, retention, steps
from filiera.platform import brand_scope
from filiera.platform.jobs import STEPS, app, task
from filiera.platform.models import Event

log = logging.getLogger("filiera.journeys")

STEPS_A_JOB: Final = 100
ALONE_AFTER_S: Final = 2
_RETRY = RetryStrategy(max_attempts=8, wait=2, exponential_wait=3)


@task(name="journeys.take_step", queue=STEPS, retry=_RETRY, is_machine=True)
def take_step(*, brand_id: str, event_id: str) -> None:
    """Run the step of one event. What fails keeps its reason, is tried again, and stands on the system page."""
    try:
        with brand_scope.use(brand_id):
            steps.take([UUID(event_id)], now=timezone.now())
    except Exception as fault:
        with brand_scope.use(brand_id):
            Event.objects.filter(id=UUID(event_id)).update(
                last_error=f"{type(fault).__name__}: {fault}"[:2000]
            )
        raise


@task(name="journeys.take_steps", queue=STEPS, retry=_RETRY, is_machine=True)
def take_steps(*, brand_id: str, event_ids: list[str]) -> None:
    """Run the steps of events that happened together in one transaction, or else in halves.

    One that fails goes on alone, with its reason and tries of its own.
    """
    try:
        with brand_scope.use(brand_id):
            steps.take([UUID(event_id) for event_id in event_ids], now=timezone.now())
    except OperationalError:
        raise  # the database: all of them again, which finds those handled that were
    except Exception:
        if len(event_ids) > 1:
            half = len(event_ids) // 2
            take_steps(brand_id=brand_id, event_ids=event_ids[:half])
            take_steps(brand_id=brand_id, event_ids=event_ids[half:])
            return
        log.exception("the step of event %s", event_ids[0])
        take_step.configure(schedule_in={"seconds": ALONE_AFTER_S}).defer(
            brand_id=brand_id, event_id=event_ids[0]
        )


def defer_steps(events: Sequence[Event]) -> None:
    """Enqueue the steps of events in the transaction that recorded them, a few in each job."""
    for start in range(0, len(events), STEPS_A_JOB):
        together = events[start : start + STEPS_A_JOB]
        take_steps.defer(brand_id=str(together[0].brand_id), event_ids=[str(event.id) for event in together])


@app.periodic(cron="27 2 * * *")
@task(name="journeys.let_go", queueing_lock="journeys.let_go")
def let_go(timestamp: int) -> None:
    """Let go, in every brand, what was kept long enough, before the night's backup is made."""
    for brand_id in Brand.objects.order_by("created_at").values_list("id", flat=True):
        retention.run(brand_id, now=timezone.now())
        with brand_scope.use(brand_id):
            notifications.forget(now=timezone.now())


@app.periodic(cron="* * * * *")
@task(name="journeys.remind", queueing_lock="journeys.remind", is_machine=True)
def remind(timestamp: int) -> None:
    """Tell people what fell due and what they put off until now, and write to who wants it by e-mail."""
    for brand_id in Brand.objects.filter(is_active=True).order_by("created_at").values_list("id", flat=True):
        with brand_scope.use(brand_id):
            notices.of_due(now=timezone.now())
            notifications.wake(now=timezone.now())
            notifications.write_letters(now=timezone.now())
