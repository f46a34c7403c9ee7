"""What wakes the worker for calls, what it finds without being woken, and the jobs of routing."""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import UTC, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.utils import timezone

from filiera.platform import brand_scope
from filiera.platform.models import Received
from filiera.routing import desk, placing, tasks, tracking, wake
from filiera.routing.line import Bell
from filiera.routing.models import Alert, Connection, DailyMetrics, Process
from tests.capture.conftest import committed, make_brand

__all__ = ["committed", "make_brand"]


def heard(ears: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    return [(notice.channel, notice.payload) for notice in ears.notifies(timeout=0.2)]


def test_any_number_of_leads_wakes_the_worker_once_they_are_committed(
    committed: None, make_brand: Any, settings: Any
) -> None:
    brand = make_brand()
    with psycopg.connect(settings.DATABASE_URLS.app, autocommit=True) as ears:
        ears.execute("listen filiera_calls")
        with brand_scope.use(brand.id):
            wake.place_calls_soon(brand.id)
            wake.place_calls_soon(brand.id)
            assert heard(ears) == []
        assert heard(ears) == [(wake.CALLS, str(brand.id))]


def test_an_event_is_kept_raw_and_read_later(calling: Any) -> None:
    calling.lead()
    calling.place()
    calling.wait_for_events("call.answered")
    body = calling.body("call.answered")
    calling.deliver(body, body, handle=False)
    with calling.scope():
        received = Received.objects.get()
        assert (bytes(received.body), received.provider, received.handled_at) == (body, "cloudtalk", None)
    assert calling.attempts()[0].state == "accepted"
    calling.deliver()
    assert calling.attempts()[0].state == "answered"
    with calling.scope():
        assert Received.objects.get().handled_at is not None


def test_only_brands_that_have_something_due_are_found(calling: Any, quadranorma: Any) -> None:
    now = timezone.now()
    with calling.scope():
        Connection.objects.update(agents_polled_at=now)
    assert wake.brands_with_calls(now) == []
    calling.lead()  # nobody was woken for it, as a crash would have it
    assert wake.brands_with_calls(timezone.now()) == [calling.brand.id]


def test_the_agents_are_asked_for_every_30_seconds_and_every_10_while_a_lead_waits(calling: Any) -> None:
    def due(polled_s: int) -> bool:
        now = timezone.now()
        with calling.scope():
            Connection.objects.update(agents_polled_at=now - timedelta(seconds=polled_s))
        return wake.brands_with_calls(now) == [calling.brand.id]

    assert [due(9), due(11), due(31)] == [False, False, True]
    calling.lead()
    with calling.scope():
        Process.objects.update(due_at=timezone.now() + timedelta(minutes=5))
    assert [due(9), due(11)] == [False, True]


def test_a_bell_starts_one_thread_for_a_brand_and_its_end_waits_for_what_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ringing while the rows are looked at brings another look, never a second thread."""
    looks: list[UUID] = []
    at_the_rows, go_on = threading.Event(), threading.Event()

    def look(brand_id: UUID, *, bell: Bell, linger_s: float) -> None:
        looks.append(brand_id)
        at_the_rows.set()
        assert go_on.wait(5)

    monkeypatch.setattr(placing, "place_calls", look)
    monkeypatch.setattr(desk.jobs, "own_connection", contextlib.nullcontext)
    phones, brand_id = desk.CallDesk(), UUID(int=1)
    phones.ring([brand_id])
    assert at_the_rows.wait(5)
    phones.ring([brand_id, brand_id])
    go_on.set()
    ends_at = time.monotonic() + 5
    while len(looks) < 2 and time.monotonic() < ends_at:
        time.sleep(0.005)
    phones.close()
    assert looks == [brand_id, brand_id]


def test_the_minute_writes_the_figures_and_the_day_makes_files_whole(calling: Any, tmp_path: Any) -> None:
    calling.lead(phone="12")
    tasks.watch(timestamp=0)
    with calling.scope():
        assert DailyMetrics.objects.get().content["failedCalls"] == 1
        assert Alert.objects.get().condition == "not_called"
        yesterday = timezone.now() - timedelta(days=1)
        Process.objects.update(created_at=yesterday)
    tasks.tidy(timestamp=0)
    day = yesterday.astimezone(UTC).date()
    assert (tracking.logs_folder("vegliasi") / f"lead-distribution-{day}.jsonl").read_text().count("\n") == 1
    assert list((tmp_path / "brands/vegliasi").glob("lead-system-backup-*.tar.gz"))
