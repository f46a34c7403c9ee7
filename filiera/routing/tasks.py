"""Jobs of routing."""

from __future__ import annotations

from datetime import UTC, timedelta
from uuid import UUID

from django.utils import timezone
from procrastinate import RetryStrategy

from filiera.identity.models import Brand
from filiera.platform import brand_scope
from filiera.platform.jobs import app, task
from filiera.routing import alerts, placing, tracking, wake


@task(name="routing.sync_agents", retry=RetryStrategy(max_attempts=4, wait=20))
def sync_agents(*, brand_id: str) -> None:
    """Read the provider's list of agents and add the new ones."""
    placing.sync_agents(UUID(brand_id))


@app.periodic(cron="* * * * *")
@task(name="routing.watch", queueing_lock="routing.watch")
def watch(timestamp: int) -> None:
    """Evaluate every brand's alerts and write the day's figures."""
    now = timezone.now()
    for brand_id in wake.brands():
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
