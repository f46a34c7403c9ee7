"""Jobs of the journeys."""

from uuid import UUID

from django.utils import timezone
from procrastinate import RetryStrategy

from filiera.journeys import steps
from filiera.platform import brand_scope
from filiera.platform.jobs import task
from filiera.platform.models import Event

_RETRY = RetryStrategy(max_attempts=8, wait=2, exponential_wait=3)


@task(name="journeys.take_step", retry=_RETRY)
def take_step(*, brand_id: str, event_id: str) -> None:
    """Run the step of one event. What fails keeps its reason, is tried again, and stands on the system page."""
    try:
        with brand_scope.use(brand_id):
            steps.take(Event.objects.get(id=UUID(event_id)), now=timezone.now())
    except Exception as fault:
        with brand_scope.use(brand_id):
            Event.objects.filter(id=UUID(event_id)).update(
                last_error=f"{type(fault).__name__}: {fault}"[:2000]
            )
        raise


def defer_step(event: Event) -> None:
    """Enqueue the step of an event in the transaction that recorded it."""
    take_step.defer(brand_id=str(event.brand_id), event_id=str(event.id))
