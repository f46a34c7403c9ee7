"""Jobs of routing."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Final
from uuid import UUID

from django.db import connection
from django.utils import timezone
from procrastinate import RetryStrategy

from filiera.identity.models import Brand
from filiera.platform import brand_scope
from filiera.platform.jobs import app, task
from filiera.routing import alerts, hooks, placing, tracking, wake

LIST_IDLE: Final = timedelta(seconds=30)
LIST_WHILE_WAITING: Final = timedelta(seconds=10)


@task(name=wake.PLACE_CALLS)
def place_calls(*, brand_id: str) -> None:
    """Place the brand's due calls. What fails half way is found again by its moment, not by repeating this job."""
    placing.place_calls(UUID(brand_id))


@task(name="routing.sync_agents", retry=RetryStrategy(max_attempts=4, wait=20))
def sync_agents(*, brand_id: str) -> None:
    """Read the provider's list of agents and add the new ones."""
    placing.sync_agents(UUID(brand_id))


@task(name=wake.HANDLE_EVENTS, retry=RetryStrategy(max_attempts=6, wait=1, exponential_wait=2))
def handle_events(*, brand_id: str) -> None:
    """Apply the provider's events that wait, to the calls and agents they are about."""
    hooks.handle_waiting(UUID(brand_id), now=timezone.now)


@app.periodic(cron="*/5 * * * * *")
@task(name="routing.tick", queueing_lock="routing.tick")
def tick(timestamp: int) -> None:
    """Wake the brands whose calls are due, also those that a crash left behind."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            "select brand_id from routing_due_brands(%s, %s, %s) as brand_id",
            [now, now - LIST_WHILE_WAITING, now - LIST_IDLE],
        )
        brands = [row[0] for row in cursor.fetchall()]
    for brand_id in brands:
        wake.place_calls_soon(brand_id)


@app.periodic(cron="* * * * *")
@task(name="routing.watch", queueing_lock="routing.watch")
def watch(timestamp: int) -> None:
    """Evaluate every brand's alerts and write the day's figures."""
    now = timezone.now()
    for brand_id in _brands():
        with brand_scope.use(brand_id):
            alerts.evaluate(now=now)
            tracking.write_metrics(now.astimezone(UTC).date(), now=now)


@app.periodic(cron="10 0 * * *")
@task(name="routing.tidy", queueing_lock="routing.tidy")
def tidy(timestamp: int) -> None:
    """Make yesterday's files whole, pack the daily archive, and remove what is past its time."""
    now = timezone.now()
    today = now.astimezone(UTC).date()
    for brand in list(Brand.objects.filter(is_active=True)):
        with brand_scope.use(brand.id):
            tracking.rebuild(today - timedelta(days=1), now=now)
            tracking.archive(now=now)
            days = brand.settings.get("routing", {}).get("log_retention_days", tracking.RETENTION_DAYS)
            tracking.clean_up(days=int(days), today=today)


def _brands() -> list[UUID]:
    return list(Brand.objects.filter(is_active=True).values_list("id", flat=True))
