"""Figures of the intake (CAP-94)."""

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache

import psycopg
from prometheus_client import Counter

from filiera.platform.metrics import Gauge, at_scrape

_received = Counter("leads_received_total", "Requests at the intake doors", ["source", "result"])
_processed = Counter("lead_queue_processed_total", "Deliveries of the lead queue", ["result"])


@lru_cache(maxsize=1024)
def _counter(source: str, result: str) -> Counter:
    return _received.labels(source, result)


def count(source: str, result: str) -> None:
    """Count one request by its source, "" when it is none of ours, and what became of it."""
    _counter(source, result).inc()


def count_processed(result: str, deliveries: int = 1) -> None:
    """Count deliveries of the queue: success, retry or dead."""
    _processed.labels(result).inc(deliveries)


_WAITING = """
select count(*) filter (where queue_state = 'ready'),
       count(*) filter (where queue_state = 'leased'),
       (select count(*) from capture_submission where status = 'dead'),
       coalesce(extract(epoch from %s - min(received_at)), 0)::double precision
from capture_submission where queue_state in ('ready', 'leased')
"""


@at_scrape
def _queue(connection: psycopg.Connection, now: datetime) -> Iterator[Gauge]:
    row = connection.execute(_WAITING, [now]).fetchone() or (0, 0, 0, 0.0)
    yield Gauge("lead_queue_depth", "Submissions that wait", row[0])
    yield Gauge("lead_queue_inflight", "Submissions under a lease", row[1])
    yield Gauge("lead_queue_dead", "Submissions in the dead letter queue", row[2])
    yield Gauge("lead_queue_oldest_age_seconds", "Age of the oldest submission that waits", row[3])
