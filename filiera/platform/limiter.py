"""How many requests may still go to a provider's account: one budget for all processes (CNN-29, CNN-30, ROU-69).

A sliding window, not a bucket: a full bucket of 50 that refills at 50 a minute would let 100 through in one minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import transaction

from filiera.platform.models import RequestBudget

WINDOW_S: Final = 60
# A request leaves a moment after it was granted. Without this second the last of one minute and the first
# of the next could reach the provider closer together than they were granted.
MARGIN_S: Final = 1

Grants = list[list[int]]
"""Instants in milliseconds with how many requests were granted at each, oldest first."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """How many requests may leave now, and the seconds until another one may (0 when all were granted)."""

    granted: int
    wait_s: float


def plan(
    grants: Sequence[Sequence[int]], *, limit: int, many: int, at_ms: int, window_s: int = WINDOW_S
) -> tuple[Reservation, Grants]:
    """Decide a reservation and return it with the grants to keep: the rule of the window, pure."""
    span_ms = (window_s + MARGIN_S) * 1000
    # Clocks of several machines differ; time never runs backwards here.
    at_ms = max([at_ms, *(instant for instant, _count in grants[-1:])])
    recent = [[instant, count] for instant, count in grants if instant > at_ms - span_ms]
    used = sum(count for _instant, count in recent)
    granted = max(0, min(many, limit - used))
    if granted:
        if recent and recent[-1][0] == at_ms:
            recent[-1][1] += granted
        else:
            recent.append([at_ms, granted])
    if granted == many:
        return Reservation(granted, 0.0), recent
    free_at = recent[0][0] + span_ms if recent else at_ms + span_ms
    # With a limit that was lowered, more than the oldest has to leave first.
    surplus = sum(count for _instant, count in recent) - limit
    for instant, count in recent:
        free_at = instant + span_ms
        surplus -= count
        if surplus < 0:
            break
    return Reservation(granted, (free_at - at_ms) / 1000), recent


def reserve(
    account: str, *, limit: int, now: datetime, many: int = 1, window_s: int = WINDOW_S
) -> Reservation:
    """Take up to `many` requests out of the account's budget of `limit` in any `window_s` seconds.

    Its own short transaction, so that the answer is shared at once and no lock is held while the world is asked:
    raises RuntimeError inside an open one.
    """
    with transaction.atomic(durable=True):
        budget = _locked(account)
        if budget.blocked_until is not None and budget.blocked_until > now:
            return Reservation(0, (budget.blocked_until - now).total_seconds())
        reservation, budget.granted_at = plan(
            budget.granted_at,
            limit=limit,
            many=many,
            at_ms=int(now.timestamp() * 1000),
            window_s=window_s,
        )
        if reservation.granted:
            budget.save(update_fields=["granted_at"])
    return reservation


def block(account: str, *, until: datetime) -> None:
    """Let nothing through before `until`: the provider said so with a 429."""
    with transaction.atomic(durable=True):
        budget = _locked(account)
        if budget.blocked_until is None or budget.blocked_until < until:
            budget.blocked_until = until
            budget.save(update_fields=["blocked_until"])


def used(account: str, *, now: datetime) -> int:
    """Return how many requests were granted in the last 60 seconds."""
    budget = RequestBudget.objects.filter(pk=account).first()
    since = (now - timedelta(seconds=WINDOW_S)).astimezone(UTC).timestamp() * 1000
    return sum(count for instant, count in budget.granted_at if instant > since) if budget else 0


def _locked(account: str) -> RequestBudget:
    budget = RequestBudget.objects.select_for_update().filter(pk=account).first()
    if budget is None:
        RequestBudget.objects.bulk_create([RequestBudget(account=account)], ignore_conflicts=True)
        budget = RequestBudget.objects.select_for_update().get(pk=account)
    return budget
