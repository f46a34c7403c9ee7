"""Reads of the intake in the open brand scope, and the one door to each of its rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from filiera.capture import queue
from filiera.capture.models import Source, Submission
from filiera.platform.refusals import Missing

# A request's text may be long: lists are read without it.
LONG = ("body", "headers", "retrieved")


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of many."""

    rows: Sequence[Submission]
    total: int
    page: int
    per_page: int


def sources() -> QuerySet[Source]:
    """Return the brand's sources, the active ones first."""
    return Source.objects.select_related("marketing_source").order_by("-is_active", "name")


def source_for(source_id: UUID) -> Source:
    """Return a source of the brand. Raises Missing, across brands too."""
    source = sources().filter(id=source_id).first()
    if source is None:
        raise Missing(_("Questa fonte non c’è."))
    return source


def submission_for(submission_id: UUID) -> Submission:
    """Return a request of the brand with its source. Raises Missing, across brands too."""
    submission = Submission.objects.select_related("source").filter(id=submission_id).first()
    if submission is None:
        raise Missing(_("Questa richiesta non c’è."))
    return submission


def inbound(
    *,
    page: int,
    per_page: int,
    source_id: UUID | None = None,
    status: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page:
    """Return the inbound log, the latest first (CAP-73)."""
    found = Submission.objects.all()
    if source_id:
        found = found.filter(source_id=source_id)
    if status:
        found = found.filter(status=status)
    if since:
        found = found.filter(received_at__gte=since)
    if until:
        found = found.filter(received_at__lt=until)
    return _page(found.order_by("-received_at", "-id"), page, per_page)


def dead(*, page: int, per_page: int) -> Page:
    """Return the dead letters, the latest first (CAP-50)."""
    return _page(
        Submission.objects.filter(status=Submission.Status.DEAD).order_by("-received_at", "-id"),
        page,
        per_page,
    )


def queue_figures(now: datetime) -> queue.Figures:
    """Return the figures of the lead queue at a moment (CAP-53)."""
    return queue.figures(now)


# Lead events live in a later room and point back to the submission: it says here how they are found (PLT-44).
_lead_events: list[Callable[[Sequence[UUID]], Mapping[UUID, UUID]]] = []


def find_lead_events_with(read: Callable[[Sequence[UUID]], Mapping[UUID, UUID]]) -> None:
    """Let a later room tell the (first) lead event of submissions, by the submissions' ids."""
    _lead_events[:] = [read]


def lead_events_of(submission_ids: Sequence[UUID]) -> Mapping[UUID, UUID]:
    """Return the lead event of each submission that has one."""
    return _lead_events[0](submission_ids) if _lead_events and submission_ids else {}


def _page(found: QuerySet[Submission], page: int, per_page: int) -> Page:
    start = (page - 1) * per_page
    rows = found.select_related("source").defer(*LONG)[start : start + per_page]
    return Page(list(rows), found.count(), page, per_page)
