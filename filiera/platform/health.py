"""Whether the house works, for a load balancer and for a person (PLT-06, PLT-07), and its metrics for Prometheus.

Answered before sessions and brands, which need the database: this is what must still speak when that is away. What
failed stands in the log alone.
"""

import ipaddress
import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import orjson
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

from filiera.platform import api, metrics
from filiera.platform.models import JobRun

log = logging.getLogger("filiera.health")

Next = Callable[[HttpRequest], HttpResponse]
HEALTH_PATHS = ("/health", "/api/v1/health")
WORKER_SILENCE = timedelta(seconds=60)  # six signs of life missed


class Doors:
    """Answer the addresses of health and metrics, and pass on everything else."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        view = health if request.path in HEALTH_PATHS else exposition if request.path == "/metrics" else None
        if view is None:
            return self.get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        request.route = request.path  # type: ignore[attr-defined]
        response = view(request)
        response["Content-Length"] = str(len(response.content))
        response["Cache-Control"] = "no-store"
        return response


def health(request: HttpRequest) -> HttpResponse:
    """Answer the state of each part; 503 only when the database does not answer."""
    body, status = state(datetime.now(UTC))
    if request.path != "/health":
        body = api.ok(request, body)
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/json")


def state(now: datetime) -> tuple[dict[str, object], int]:
    """Return what health says at `now`, and its HTTP status."""
    checks = {"database": _check("database", _ask_database), "redis": "disabled"}
    # Without the database the queue cannot be asked, and asking would wait for the same connection again.
    checks["queue"] = _check("queue", lambda: _ask_queue(now)) if checks["database"] == "ok" else "error"
    body: dict[str, object] = {
        "status": "degraded" if "error" in checks.values() else "healthy",
        "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "version": settings.VERSION,
        "checks": checks,
        "queue": "database",
    }
    return body, 503 if checks["database"] == "error" else 200


def exposition(request: HttpRequest) -> HttpResponse:
    """Answer the metrics to this machine and its network, or to who has the token; to others it is not there."""
    if not may_read_metrics(request):
        return api.failure(request, code="NOT_FOUND", message="Not found", status=404)
    return HttpResponse(metrics.exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")


def may_read_metrics(request: HttpRequest) -> bool:
    """Return whether the peer is internal and asks for itself, or carries `FILIERA_METRICS_TOKEN`."""
    token = settings.METRICS_TOKEN
    if token:
        return secrets.compare_digest(request.headers.get("Authorization", ""), f"Bearer {token}")
    if "X-Forwarded-For" in request.headers:  # through a proxy anybody comes from an internal address
        return False
    try:
        peer = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return peer.is_private or peer.is_loopback


def _check(name: str, ask: Callable[[], bool]) -> str:
    try:
        return "ok" if ask() else "error"
    except Exception:
        log.exception("the check of %s failed", name)
        return "error"


def _ask_database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("select 1")
        return bool(cursor.fetchone())


def _ask_queue(now: datetime) -> bool:
    """Return whether a worker gave a sign of life lately: leads are taken in and jobs run."""
    return JobRun.objects.filter(
        name__startswith="worker ", status="alive", finished_at__gt=now - WORKER_SILENCE
    ).exists()
