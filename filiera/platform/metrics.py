"""Prometheus metrics of the house."""

from prometheus_client import Counter, Histogram

_requests = Counter("http_requests_total", "Total HTTP requests", ["method", "endpoint", "status"])
_duration = Histogram("http_request_duration_seconds", "HTTP request duration", ["method", "endpoint"])


def observe_request(method: str, endpoint: str, status: int, elapsed_s: float) -> None:
    """Count one request by its route template."""
    _requests.labels(method, endpoint, str(status)).inc()
    _duration.labels(method, endpoint).observe(elapsed_s)
