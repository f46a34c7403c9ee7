"""The lead queue on the submission table: claim under a lease, acknowledge, retry, dead letters (CAP-40 to CAP-56).

Taking does not remove: what a dead worker held comes back when its lease lapses. Acknowledging belongs into the
transaction that processed, so that a submission is processed exactly once: who lost the lease loses the transaction.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.conf import settings
from django.db import connection
from django.db.models import Count, Min, Q, QuerySet

from filiera.capture import metrics
from filiera.capture.models import Submission
from filiera.platform import brand_scope, bulk, instances, live

log = logging.getLogger("filiera.capture.queue")

BACKEND = "database"
MOST_BYTES = 32 * 1024 * 1024
MOST_LAPSES = 10  # of a submission's lease: a worker may be killed, but not by the same submission for ever


_CLAIMED = (
    *("id", "brand_id", "source_id", "lead_id", "content_type", "body"),
    *("status", "error_code", "attempts", "max_retries"),
)


class LeaseLost(Exception):
    """Another worker has taken the submission meanwhile: what was done for it here must roll back."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The queue of one brand at a moment (CAP-53)."""

    depth: int
    inflight: int
    delayed: int
    dead: int
    oldest_age_seconds: float
    processed_last_minute: int
    backend: str = BACKEND


def claim(limit: int, *, now: datetime, worker: str, lookup: bool = False) -> list[Submission]:
    """Return up to `limit` submissions of all brands that are due, the oldest first, leased to `worker`.

    With `lookup`, those whose data has to be fetched from the sender first. A batch holds at most 32 MiB of bodies.
    Only what processing looks at is read now, and moments by Python itself: Django's way takes 40 µs more for each.
    """
    lease = {
        "queue_state": Submission.Queue.LEASED.value,
        "leased_by": worker,
        "leased_until": now + timedelta(seconds=settings.QUEUE_LEASE_S),
    }
    # The scope of no brand tells the database who acts: taking is the machine's step, not a change to record.
    with brand_scope.use(None), connection.cursor() as cursor:
        cursor.execute(
            f"select {', '.join(_CLAIMED)}, received_at::text, retrieved::text"
            " from capture_claim(%s, %s, %s, %s, %s, %s, %s)",
            [limit, worker, now, settings.QUEUE_LEASE_S, lookup, MOST_BYTES, MOST_LAPSES],
        )
        return [
            instances.partly_read(
                Submission,
                dict(zip(_CLAIMED, values, strict=True))
                | lease
                | {
                    "received_at": datetime.fromisoformat(received_at),
                    "retrieved": orjson.loads(retrieved) if retrieved else None,
                },
            )
            for *values, received_at, retrieved in cursor.fetchall()
        ]


def finish(submissions: Sequence[Submission], *, now: datetime) -> None:
    """Acknowledge submissions of the open brand scope, with one statement for each way they ended.

    Those that leads.read could not read are rejected. Raises LeaseLost; the transaction must roll back then.
    """
    rejected = [one for one in submissions if one.status == Submission.Status.REJECTED]
    processed = [one for one in submissions if one.status != Submission.Status.REJECTED]
    _end(processed, now, status="processed")
    for code in {one.error_code for one in rejected}:
        _end([one for one in rejected if one.error_code == code], now, status="rejected", error_code=code)
    metrics.count_processed("success", len(processed))
    for submission in processed:
        log.debug("Lead %s processato con successo", submission.lead_id)


def fail(submission: Submission, *, error: str, now: datetime, delay_s: float) -> None:
    """Give a submission of the open brand scope back after a failed delivery, or put it among the dead (CAP-46).

    It is due again after `delay_s`, and never within the pass that failed it. One whose lease was lost is left to who
    has it now.
    """
    if submission.attempts >= submission.max_retries:
        give_up(submission, reason="FAILED", error=error, now=now)
        return
    attempts = submission.attempts + 1
    if held([submission]).update(
        queue_state=Submission.Queue.READY,
        attempts=attempts,
        last_error=_storable(error),
        visible_at=now + timedelta(seconds=max(delay_s, 0.001)),
        leased_by="",
        leased_until=None,
    ):
        metrics.count_processed("retry")
        log.warning("Lead %s rimesso in coda (tentativo %s)", submission.lead_id, attempts)


def give_up(submission: Submission, *, reason: str, error: str, now: datetime) -> None:
    """Put a submission of the open brand scope among the dead letters, where a person decides (CAP-50)."""
    if held([submission]).update(
        queue_state=Submission.Queue.DEAD,
        status=Submission.Status.DEAD,
        last_error=_storable(error),
        dead_reason=reason,
        dead_at=now,
        processed_at=now,
        leased_by="",
        leased_until=None,
    ):
        metrics.count_processed("dead")
        live.announce("inbound")
        log.error("Lead %s spostato in DLQ", submission.lead_id)


def seconds_to_next(now: datetime, at_most_s: float, *, lookup: bool = False) -> float:
    """Return how long until a submission is due, retries and lapsing leases included; `at_most_s` if none is."""
    with connection.cursor() as cursor:
        cursor.execute("select capture_next_due(%s)", [lookup])
        [due] = cursor.fetchone()
    return at_most_s if due is None else min(max((due - now).total_seconds(), 0.0), at_most_s)


def figures(now: datetime) -> Figures:
    """Return the queue's figures for the open brand scope."""
    ready = Q(queue_state=Submission.Queue.READY)
    waiting = Submission.objects.filter(queue_state__in=["ready", "leased"]).aggregate(
        depth=Count("id", filter=ready & Q(visible_at__lte=now)),
        delayed=Count("id", filter=ready & Q(visible_at__gt=now)),
        inflight=Count("id", filter=Q(queue_state=Submission.Queue.LEASED)),
        oldest=Min("received_at"),
    )
    oldest = waiting.pop("oldest")
    return Figures(
        **waiting,
        dead=Submission.objects.filter(status=Submission.Status.DEAD).count(),
        oldest_age_seconds=max((now - oldest).total_seconds(), 0.0) if oldest else 0.0,
        processed_last_minute=Submission.objects.filter(
            received_at__gt=now - timedelta(days=1),
            processed_at__gt=now - timedelta(minutes=1),
            status="processed",
        ).count(),
    )


def message(submission: Submission) -> dict[str, Any]:
    """Return a submission as a queue message (CAP-40)."""
    return {
        "id": submission.lead_id,
        "data": bytes(submission.body).decode("utf-8", "replace"),
        "timestamp": submission.received_at.isoformat(),
        "attempts": submission.attempts,
    }


def held(submissions: Sequence[Submission]) -> "QuerySet[Submission]":
    """Return the rows of these submissions that are still leased the way they were claimed."""
    first = submissions[0]
    return Submission.objects.filter(
        id__in=[one.id for one in submissions],
        queue_state=Submission.Queue.LEASED,
        leased_by=first.leased_by,
        leased_until=first.leased_until,
    )


def _end(submissions: Sequence[Submission], now: datetime, *, status: str, error_code: str = "") -> None:
    if not submissions:
        return
    first = submissions[0]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            update capture_submission
            set queue_state = 'done', processed_at = %s, leased_by = '', leased_until = null,
                status = %s, error_code = %s, last_error = case when %s = 'processed' then '' else last_error end
            where id = any(%s::uuid[]) and queue_state = 'leased' and leased_by = %s and leased_until = %s
            """,
            [
                *(now, status, error_code, status),
                bulk.uuids(one.id for one in submissions),
                *(first.leased_by, first.leased_until),
            ],
        )
        ended = cursor.rowcount
    if ended != len(submissions):
        raise LeaseLost(
            f"{len(submissions) - ended} of {len(submissions)} submissions are somebody else's now"
        )


def _storable(error: str) -> str:
    return error.replace("\0", "")[:2000]
