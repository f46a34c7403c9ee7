"""What becomes of calls and choices of agents when people are merged: they go with their person."""

from collections.abc import Sequence
from uuid import UUID

from filiera.contacts.merging import references
from filiera.contacts.merging.references import Fate, Room
from filiera.routing.models import Process


def register() -> None:
    """Say what becomes of what points to people here. A call that is under way ends under the survivor's name."""
    for table in ("routing_process", "routing_decision"):
        references.say(table, "contact_id", Fate.MOVES)
    references.room("routing", Room(lock=_lock))


def _lock(ids: Sequence[UUID]) -> None:
    """Lock the calls of people, as placing does before it touches a person."""
    list(
        Process.objects.select_for_update(no_key=True).filter(contact_id__in=ids).order_by("id").values("id")
    )
