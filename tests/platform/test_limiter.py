"""The budget of requests to a provider's account: CNN-29, CNN-30, ROU-69."""

from __future__ import annotations

import subprocess
import sys
from bisect import bisect_left
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.platform import limiter
from filiera.platform.models import RequestBudget

NOW = datetime(2026, 10, 13, 8, 0, tzinfo=UTC)


def most_in_a_minute(instants_ms: list[int]) -> int:
    """The largest number of instants in any 60 seconds, both ends included."""
    ordered = sorted(instants_ms)
    return max((n + 1 - bisect_left(ordered, end - 60_000) for n, end in enumerate(ordered)), default=0)


@settings(max_examples=200, deadline=None)
@given(
    limit=st.integers(1, 60),
    arrivals=st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 30)), min_size=1, max_size=80),
)
def test_no_minute_ever_holds_more_than_the_limit(limit: int, arrivals: list[tuple[int, int]]) -> None:
    grants: limiter.Grants = []
    at_ms, granted_at = 0, []
    for gap_ms, many in arrivals:
        at_ms += gap_ms
        reservation, grants = limiter.plan(grants, limit=limit, many=many, at_ms=at_ms)
        granted_at += [at_ms] * reservation.granted
        assert (reservation.wait_s == 0) is (reservation.granted == many)
        if reservation.wait_s:  # exactly then, and not before, another one may go
            later = at_ms + round(reservation.wait_s * 1000)
            assert limiter.plan(grants, limit=limit, many=1, at_ms=later - 1)[0].granted == 0
            assert limiter.plan(grants, limit=limit, many=1, at_ms=later)[0].granted == 1
    assert most_in_a_minute(granted_at) <= limit


def test_seventy_leads_in_a_minute_never_exceed_fifty_requests() -> None:
    grants: limiter.Grants = []
    waiting = [round(n * 60_000 / 70) for n in range(70)]
    left_at: list[int] = []
    while waiting:
        at_ms = waiting.pop(0)
        reservation, grants = limiter.plan(grants, limit=50, many=1, at_ms=at_ms)
        if reservation.granted:
            left_at.append(at_ms)
        else:
            waiting = sorted([*waiting, at_ms + round(reservation.wait_s * 1000)])
    assert len(left_at) == 70
    assert most_in_a_minute(left_at) == 50
    assert max(left_at) < 125_000


def test_clocks_that_run_behind_do_not_find_room_in_the_past() -> None:
    _reservation, grants = limiter.plan([], limit=2, many=2, at_ms=100_000)
    assert limiter.plan(grants, limit=2, many=1, at_ms=30_000)[0].granted == 0


def test_a_limit_that_was_lowered_waits_for_the_surplus_to_leave() -> None:
    grants = [[n * 1000, 1] for n in range(10)]
    reservation, _grants = limiter.plan(grants, limit=4, many=1, at_ms=9_000)
    assert reservation == limiter.Reservation(0, 6 + 61 - 9)


def test_the_budget_is_kept_and_told(db: None) -> None:
    assert limiter.reserve("an account", limit=50, now=NOW, many=45) == limiter.Reservation(45, 0)
    assert limiter.reserve("an account", limit=50, now=NOW, many=10) == limiter.Reservation(5, 61)
    assert limiter.reserve("another", limit=50, now=NOW, many=10).granted == 10
    assert limiter.used("an account", now=NOW + timedelta(seconds=59)) == 50
    assert limiter.used("an account", now=NOW + timedelta(seconds=60)) == 0


def test_a_429_stops_everybody_until_the_reset(db: None) -> None:
    limiter.block("an account", until=NOW + timedelta(seconds=20))
    limiter.block("an account", until=NOW + timedelta(seconds=5))  # an older answer that came late
    assert limiter.reserve("an account", limit=50, now=NOW) == limiter.Reservation(0, 20)
    assert limiter.reserve("an account", limit=50, now=NOW + timedelta(seconds=20)).granted == 1


@pytest.mark.django_db(transaction=True)
def test_it_refuses_to_hold_its_lock_in_somebody_elses_transaction() -> None:
    from django.db import transaction

    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        limiter.reserve("an account", limit=50, now=NOW)


TAKE = """
import django; django.setup()
from django.utils import timezone
from filiera.platform import limiter
print(sum(limiter.reserve("shared", limit=50, now=timezone.now()).granted for _ in range(35)))
"""


@pytest.mark.django_db(transaction=True)
def test_two_processes_share_one_budget() -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", TAKE], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    granted = [int(worker.communicate(timeout=60)[0].splitlines()[-1]) for worker in workers]
    assert sum(granted) == 50
    assert sum(count for _at, count in RequestBudget.objects.get(pk="shared").granted_at) == 50
