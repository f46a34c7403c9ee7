"""Figures of identity for Prometheus."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg

from filiera.platform.metrics import Gauge, at_scrape

ACTIVE_FOR = timedelta(minutes=15)


@at_scrape
def _people_at_work(connection: psycopg.Connection, now: datetime) -> Iterator[Gauge]:
    row = connection.execute(
        "select count(distinct user_id) from identity_session where last_seen_at > %s and revoked_at is null",
        [now - ACTIVE_FOR],
    ).fetchone()
    yield Gauge("active_users", "Currently active users", row[0] if row else 0)
