"""The circuit breaker: every row of connect.md 4.6, and one probe at a time (CNN-06 … CNN-09)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from django.db import connections

from filiera.platform import circuit
from filiera.platform.models import EndpointHealth

NOW = datetime(2026, 10, 13, 8, 0, tzinfo=UTC)
FIVE = timedelta(minutes=5)


def health(**fields: object) -> EndpointHealth:
    return EndpointHealth.objects.create(circuit="x", **fields)


def fail(times: int, at: datetime = NOW) -> EndpointHealth:
    for _ in range(times):
        found = circuit.record("x", success=False, now=at)
    return found


def test_no_row_is_closed_and_gets_one_on_check_or_record(db: None) -> None:
    assert circuit.admit("x", now=NOW)
    assert EndpointHealth.objects.get().state == "closed"
    assert circuit.record("y", success=False, now=NOW).failure_count == 1


def test_a_success_in_closed_forgets_the_failures(db: None) -> None:
    assert fail(4).failure_count == 4
    found = circuit.record("x", success=True, now=NOW)
    assert (found.state, found.failure_count, found.last_success_at) == ("closed", 0, NOW)


def test_the_fifth_failure_opens_for_five_minutes(db: None) -> None:
    assert fail(4).state == "closed"
    found = fail(1)
    assert (found.state, found.failure_count, found.open_until) == ("open", 5, NOW + FIVE)
    assert found.last_failure_at == NOW


def test_open_admits_nobody_before_its_time_and_then_one_probe(db: None) -> None:
    fail(5)
    assert not circuit.admit("x", now=NOW + FIVE - timedelta(microseconds=1))
    assert circuit.admit("x", now=NOW + FIVE)
    found = EndpointHealth.objects.get()
    assert (found.state, found.success_count) == ("half_open", 0)
    assert not circuit.admit("x", now=NOW + FIVE)


def test_what_left_before_it_opened_does_not_close_it_nor_open_it_longer(db: None) -> None:
    fail(5)
    assert circuit.record("x", success=True, now=NOW).state == "open"
    found = circuit.record("x", success=False, now=NOW + timedelta(minutes=1))
    assert (found.state, found.failure_count, found.open_until) == ("open", 5, NOW + FIVE)


def test_the_third_success_in_half_open_closes(db: None) -> None:
    health(state="half_open", failure_count=5)
    for expected in (("half_open", 1, 5), ("half_open", 2, 5), ("closed", 3, 0)):
        assert circuit.admit("x", now=NOW)
        found = circuit.record("x", success=True, now=NOW)
        assert (found.state, found.success_count, found.failure_count) == expected


def test_a_failure_in_half_open_opens_at_once(db: None) -> None:
    health(state="half_open", failure_count=5, success_count=2)
    found = circuit.record("x", success=False, now=NOW)
    assert (found.state, found.failure_count, found.open_until) == ("open", 6, NOW + FIVE)


def test_a_probe_that_was_not_used_or_whose_process_died_makes_room(db: None) -> None:
    health(state="half_open")
    assert circuit.admit("x", now=NOW)
    circuit.release("x")
    assert circuit.admit("x", now=NOW)
    assert not circuit.admit("x", now=NOW + timedelta(seconds=59))
    assert circuit.admit("x", now=NOW + timedelta(seconds=60))


@pytest.mark.django_db(transaction=True)
def test_fifty_parallel_checks_at_the_end_of_the_open_time_admit_one() -> None:
    fail(5)
    together = Barrier(8)

    def ask(times: int) -> int:
        together.wait()
        try:
            return sum(circuit.admit("x", now=NOW + FIVE) for _ in range(times))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, [7, 7, 6, 6, 6, 6, 6, 6])) == 1
