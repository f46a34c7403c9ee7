"""The thread of a person: what happened, newest first, told by the rooms it happened in.

Each room registers a reader at start; so an earlier room shows what later ones know without importing them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """One knot of the thread.

    `kind` is noun.past for filters and scripts (`lead.received`, `deal.moved`, `activity.done`); `icon` a Tabler
    outline name; `title` a finished sentence in the reader's language and `detail` what was written beside it. `actor`
    is the person's name ("" for the house). A thing done by a rule has `is_human` False and names the `rule`. `link`
    leads to what it is about ("" for nowhere); `data` holds the figures behind the sentence, for scripts.
    """

    at: datetime
    kind: str
    icon: str
    title: str
    detail: str = ""
    actor: str = ""
    is_human: bool = False
    rule: str = ""
    link: str = ""
    subject_id: UUID | None = None
    contact_id: UUID | None = None
    data: dict[str, Any] | None = None


Reader = Callable[[Sequence[UUID], int], list[TimelineItem]]
"""(contact ids, how many at most) → the newest items of these people, a fixed number of statements."""

_readers: dict[str, Reader] = {}


def register(room: str, reader: Reader) -> None:
    """Let a room tell its part; registering again replaces it."""
    _readers[room] = reader


def read(contact_ids: Sequence[UUID], *, limit: int = 50, rooms: Sequence[str] = ()) -> list[TimelineItem]:
    """Return the newest `limit` items of these people, from all rooms or those named, newest first."""
    items = [
        item
        for room, reader in _readers.items()
        if not rooms or room in rooms
        for item in reader(contact_ids, limit)
    ]
    items.sort(key=lambda item: item.at, reverse=True)
    return items[:limit]
