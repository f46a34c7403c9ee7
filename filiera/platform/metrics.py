"""Prometheus metrics of the house (PLT-05, PLT-09), over all its processes.

Counters and histograms are kept by each process in the folder that `PROMETHEUS_MULTIPROC_DIR` names and added up when
asked for. What is true of the database and not of a process (the length of a queue, people at work) is read at that
moment, through `at_scrape`, so that it is counted once.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg
from django.conf import settings
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

_requests = Counter("http_requests_total", "Total HTTP requests", ["method", "endpoint", "status"])
_duration = Histogram("http_request_duration_seconds", "HTTP request duration", ["method", "endpoint"])
_api_latency = Histogram("api_latency_seconds", "Latency of an API operation", ["endpoint", "cached"])
_api_errors = Counter("api_errors_total", "Answers of 500 and above of an API operation", ["endpoint"])


class Gauge(NamedTuple):
    """A figure that is read when it is asked for."""

    name: str
    help: str
    value: float
    labels: dict[str, str] = {}


# Each gets a connection that reads across brands, and the moment.
Reader = Callable[[psycopg.Connection, datetime], Iterable[Gauge]]
_readers: list[Reader] = []


def at_scrape(reader: Reader) -> Reader:
    """Register `reader` for the figures of its room; usable as a decorator."""
    _readers.append(reader)
    return reader


def observe_request(
    method: str, endpoint: str, status: int, elapsed_s: float, *, cached: bool = False
) -> None:
    """Count one request by its route template, never its path: labels must stay few."""
    _requests.labels(method, endpoint, str(status)).inc()
    _duration.labels(method, endpoint).observe(elapsed_s)
    if endpoint.startswith("/api/"):
        _api_latency.labels(endpoint, "true" if cached else "false").observe(elapsed_s)
        if status >= 500:
            _api_errors.labels(endpoint).inc()


def exposition() -> bytes:
    """Return everything in Prometheus's text format."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no types there
    else:
        registry = REGISTRY
    at_rest = CollectorRegistry()
    at_rest.register(_FromDatabase())
    return generate_latest(registry) + generate_latest(at_rest)


class _FromDatabase(Collector):
    def collect(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for gauge in _read_gauges():
            family = families.get(gauge.name)
            if family is None:
                family = families[gauge.name] = GaugeMetricFamily(
                    gauge.name, gauge.help, labels=list(gauge.labels)
                )
            family.add_metric(list(gauge.labels.values()), gauge.value)
        yield from families.values()


def _read_gauges() -> list[Gauge]:
    now = datetime.now(UTC)
    try:
        with psycopg.connect(
            settings.DATABASE_URLS.platform, autocommit=True, connect_timeout=3
        ) as connection:
            connection.execute("set statement_timeout = '3s'")
            return [gauge for reader in _readers for gauge in reader(connection, now)]
    except psycopg.OperationalError:  # what the processes counted is still worth telling
        return []


@at_scrape
def _circuits(connection: psycopg.Connection, now: datetime) -> Iterator[Gauge]:
    states = {"closed": 0, "half_open": 1, "open": 2}
    for circuit, state in connection.execute("select circuit, state from platform_endpointhealth"):
        yield Gauge("circuit_state", "0 closed, 1 half open, 2 open", states[state], {"endpoint": circuit})
