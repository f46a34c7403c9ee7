"""What happens next: the map. Read this first.

An event recorded by an earlier room continues with one step. Events that happened together continue together: a step
takes any number of them.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from uuid import UUID

from filiera.journeys import calls, notices
from filiera.platform.models import Event

Step = Callable[..., None]

# In this order: a call that was answered and has ended is written before it is completed.
NEXT: dict[str, Step] = {
    "call.answered": calls.record_calls,
    "call.ended": calls.complete_calls,
    "call.failed": calls.ask_for_callbacks,
    "calls.exhausted": calls.ask_for_callbacks,
    "deal.owner_changed": notices.of_new_owners,
    "alert.opened": notices.of_alerts,
}


def take(event_ids: Collection[UUID], *, now: datetime) -> None:
    """Run the steps that follow these events and mark them handled; of one that is handled already, nothing.

    All or nothing, in the open transaction. Raises what a step raises.
    """
    waiting = Event.objects.select_for_update().filter(id__in=event_ids, handled_at=None).order_by("id")
    by_kind: dict[str, list[Event]] = {}
    for event in waiting:
        by_kind.setdefault(event.kind, []).append(event)
    for kind, step in NEXT.items():
        if kind in by_kind:
            step(by_kind[kind], now=now)
    taken = [event.id for events in by_kind.values() for event in events]
    Event.objects.filter(id__in=taken).update(handled_at=now, last_error="")
