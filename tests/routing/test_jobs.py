"""The jobs of routing: one waiting per brand, woken by the tick, one per event of the provider."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from filiera.platform.models import Received
from filiera.routing import tasks, tracking, wake
from filiera.routing.models import Alert, Connection, DailyMetrics, Process


def waiting_jobs() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("select task_name from procrastinate_jobs where status = 'todo' order by id")
        return [row[0] for row in cursor.fetchall()]


def test_any_number_of_leads_gives_one_waiting_job_and_the_job_places_them_all(
    calling: Any, run_jobs: Any
) -> None:
    calling.leads(2)
    calling.lead()
    assert waiting_jobs().count(wake.PLACE_CALLS) == 1
    run_jobs()
    assert len(calling.rung()) == 3


def test_an_event_is_kept_raw_answered_and_read_by_a_job(calling: Any, run_jobs: Any) -> None:
    calling.lead()
    run_jobs()
    calling.wait_for_events("call.answered")
    body = calling.body("call.answered")
    assert calling.deliver(body, body, jobs=False) == 200
    with calling.scope():
        received = Received.objects.get()
        assert (bytes(received.body), received.provider, received.handled_at) == (body, "cloudtalk", None)
    assert calling.attempts()[0].state == "accepted"
    run_jobs()
    assert calling.attempts()[0].state == "answered"
    with calling.scope():
        assert Received.objects.get().handled_at is not None


def test_the_tick_wakes_only_the_brands_that_have_something_due(calling: Any, quadranorma: Any) -> None:
    now = timezone.now()
    with calling.scope():
        Connection.objects.update(agents_polled_at=now)
    with connection.cursor() as cursor:
        cursor.execute("delete from procrastinate_jobs")
    tasks.tick(timestamp=0)
    assert waiting_jobs() == []
    calling.lead()
    with connection.cursor() as cursor:
        cursor.execute("delete from procrastinate_jobs")  # as a crash would have it
    tasks.tick(timestamp=0)
    assert waiting_jobs() == [wake.PLACE_CALLS]


def test_the_tick_asks_for_the_agents_every_30_seconds_and_every_10_while_a_lead_waits(calling: Any) -> None:
    def due(polled_s: int) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("delete from procrastinate_jobs")
        with calling.scope():
            Connection.objects.update(agents_polled_at=timezone.now() - timedelta(seconds=polled_s))
        tasks.tick(timestamp=0)
        return waiting_jobs() == [wake.PLACE_CALLS]

    assert [due(9), due(11), due(31)] == [False, False, True]
    calling.lead()
    with calling.scope():
        Process.objects.update(due_at=timezone.now() + timedelta(minutes=5))
    assert [due(9), due(11)] == [False, True]


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
