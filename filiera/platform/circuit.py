"""The circuit breaker around an endpoint outside: transitions of connect.md 4.6, under the row's lock (CNN-09)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from filiera.platform.models import EndpointHealth

FAILURE_THRESHOLD: Final = 5
SUCCESS_THRESHOLD: Final = 3
OPEN_FOR: Final = timedelta(minutes=5)
# Half open admits one probe at a time; one that never reports (its process died) is forgotten after this.
PROBE_LEASE: Final = timedelta(seconds=60)

State = EndpointHealth.State


def ensure(circuit: str) -> EndpointHealth:
    """Return the circuit's row, made closed when missing, so that another row may point to it."""
    return EndpointHealth.objects.get_or_create(circuit=circuit)[0]


def admit(circuit: str, *, now: datetime) -> bool:
    """Tell whether a request may go. In half open at most one says yes until its result is recorded."""
    with transaction.atomic(durable=True):
        health = _locked(circuit)
        if health.state == State.CLOSED:
            return True
        if health.state == State.OPEN:
            if health.open_until is not None and now < health.open_until:
                return False
            health.state, health.success_count = State.HALF_OPEN, 0
        elif health.probe_until is not None and now < health.probe_until:
            return False
        health.probe_until = now + PROBE_LEASE
        health.save()
    return True


def release(circuit: str) -> None:
    """Give an admission back: no request was made with it, so the next one may be the probe."""
    with transaction.atomic(durable=True):
        EndpointHealth.objects.filter(circuit=circuit).update(probe_until=None)


def record(circuit: str, *, success: bool, now: datetime) -> EndpointHealth:
    """Record the result of a request and return the circuit as it then stands."""
    with transaction.atomic(durable=True):
        health = _locked(circuit)
        if success:
            _succeed(health)
            health.last_success_at = now
        else:
            _fail(health, now)
            health.last_failure_at = now
        health.save()
    return health


def _succeed(health: EndpointHealth) -> None:
    if health.state == State.CLOSED:
        health.failure_count = 0
    elif health.state == State.HALF_OPEN:
        health.probe_until = None
        health.success_count += 1
        if health.success_count >= SUCCESS_THRESHOLD:
            health.state, health.failure_count, health.open_until = State.CLOSED, 0, None
    # Open: an answer to a request that left before it opened changes nothing.


def _fail(health: EndpointHealth, now: datetime) -> None:
    if health.state == State.OPEN:
        return
    health.failure_count += 1
    health.probe_until = None
    if health.state == State.HALF_OPEN or health.failure_count >= FAILURE_THRESHOLD:
        health.state, health.open_until = State.OPEN, now + OPEN_FOR


def _locked(circuit: str) -> EndpointHealth:
    health = EndpointHealth.objects.select_for_update().filter(circuit=circuit).first()
    if health is None:
        EndpointHealth.objects.bulk_create([EndpointHealth(circuit=circuit)], ignore_conflicts=True)
        health = EndpointHealth.objects.select_for_update().get(circuit=circuit)
    return health
