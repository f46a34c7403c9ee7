"""What happens next: the map. Read this first.

An event recorded by an earlier room continues with one step, run as a job of its own.
"""

from collections.abc import Callable
from datetime import datetime

from filiera.journeys import calls
from filiera.platform.models import Event

Step = Callable[..., None]

NEXT: dict[str, Step] = {
    "call.answered": calls.record_call,
    "call.ended": calls.complete_call,
    "call.failed": calls.ask_for_a_callback,
    "calls.exhausted": calls.ask_for_a_callback,
}


def take(event: Event, *, now: datetime) -> None:
    """Run the step that follows an event and mark it handled; a second run finds it handled and does nothing."""
    locked = Event.objects.select_for_update().get(id=event.id)
    if locked.handled_at is None:
        NEXT[locked.kind](locked, now=now)
        locked.handled_at, locked.last_error = now, ""
        locked.save(update_fields=["handled_at", "last_error"])
