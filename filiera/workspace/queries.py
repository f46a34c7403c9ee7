"""Reads that several rooms share on one page. Each is a fixed number of statements on leading-brand indexes."""

from uuid import UUID

from django.db import connection

from filiera.capture.models import Submission
from filiera.pipeline.models import LeadEvent


def ringing_by_brand(user_id: UUID) -> dict[UUID, int]:
    """Return how many telephones ring now in each brand where the person works.

    The other brands' rows are out of sight, so one function of the schema's owner counts them.
    """
    with connection.cursor() as cursor:
        cursor.execute("select brand_id, ringing from workspace_ringing_for(%s)", [user_id])
        return dict(cursor.fetchall())


def submissions_to_recover(*, limit: int) -> int:
    """Return how many requests wait for a person to recover them, counted up to `limit`."""
    waiting = Submission.objects.filter(status__in=[Submission.Status.DEAD, Submission.Status.REJECTED])
    return len(waiting.values_list("pk", flat=True)[:limit])


def has_any_lead() -> bool:
    """Say whether the brand ever had a lead: until then pages explain how the first one comes."""
    return LeadEvent.objects.exists()
