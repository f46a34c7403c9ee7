"""What happened, written where it happened (the outbox). Rooms above say which kinds continue, and how."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from filiera.platform import brand_scope, bulk, instances
from filiera.platform.ids import new_id
from filiera.platform.models import Event

# kind → defer(events): filled at start by journeys, which knows what happens next.
_continuations: dict[str, Callable[[Sequence[Event]], None]] = {}


def continue_with(kind: str, defer: Callable[[Sequence[Event]], None]) -> None:
    """Let `defer` enqueue the steps that follow events of this kind, in the transaction that records them."""
    _continuations[kind] = defer


def record(*, kind: str, subject_id: UUID, at: datetime, data: dict[str, Any] | None = None) -> Event:
    """Write one event in the open brand scope and enqueue what follows it."""
    return record_all([(kind, subject_id, data or {})], at=at)[0]


def record_all(
    happened: Sequence[tuple[str, UUID, dict[str, Any]]], *, at: datetime | Sequence[datetime]
) -> list[Event]:
    """Write events, given as (kind, subject id, data), with one statement and enqueue what follows.

    `at` is when they happened: one moment for all of them, or one for each.
    """
    brand_id = brand_scope.current()
    moments = [at] * len(happened) if isinstance(at, datetime) else at
    written = [
        instances.made(
            Event,
            {
                "id": new_id(),
                "brand_id": brand_id,
                "kind": kind,
                "subject_id": subject_id,
                "at": moment,
                "data": data,
                # An event that nothing follows is handled by having been written.
                "handled_at": None if kind in _continuations else moment,
            },
        )
        for (kind, subject_id, data), moment in zip(happened, moments, strict=True)
    ]
    columns = ("id", "brand_id", "kind", "subject_id", "at", "data", "handled_at", "last_error")
    bulk.insert(Event, columns, [[getattr(event, name) for name in columns] for event in written])
    continued: dict[Callable[[Sequence[Event]], None], list[Event]] = {}
    for event in written:
        if event.kind in _continuations:
            continued.setdefault(_continuations[event.kind], []).append(event)
    for defer, events in continued.items():
        defer(events)
    return written
