"""What every request has: an id, a measure, a log line, and headers that keep browsers strict."""

import logging
import re
import time
from collections.abc import Callable
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from filiera.platform import logs, metrics
from filiera.platform.ids import new_id

log = logging.getLogger("filiera.request")

Next = Callable[[HttpRequest], HttpResponse]
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,255}")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)


class RequestContext:
    """Give the request its id (taken from X-Request-ID when printable), log it once, count it by route."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.META["REMOTE_ADDR"] = _address_of(request)
        given = request.headers.get("X-Request-ID", "")
        request.request_id = given if _PRINTABLE.fullmatch(given) else f"req-{new_id()}"  # type: ignore[attr-defined]
        started = time.perf_counter()
        with logs.bound(request_id=request.request_id):  # type: ignore[attr-defined]
            response = self.get_response(request)
            elapsed_s = time.perf_counter() - started
            route = _route(request)
            metrics.observe_request(request.method or "", route, response.status_code, elapsed_s)
            log.info(
                "%s %s %s",
                request.method,
                route,
                response.status_code,
                extra={"duration_ms": round(elapsed_s * 1000, 1)},
            )
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        return response


class SecurityHeaders:
    """Add the headers of PLT-13 and a policy without inline script or style."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.setdefault("X-Frame-Options", settings.X_FRAME_OPTIONS)
        response.setdefault("X-Content-Type-Options", "nosniff")
        response.setdefault("X-XSS-Protection", "1; mode=block")
        response.setdefault("Referrer-Policy", "same-origin")
        if settings.SECURE_COOKIES:
            response.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
        return response


def _address_of(request: HttpRequest) -> str:
    """Return who asks: the peer, or whom our own proxy names last. Nobody else's word counts."""
    peer = str(request.META.get("REMOTE_ADDR") or "")
    if peer not in settings.TRUSTED_PROXIES:
        return peer
    named = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    try:
        return str(ip_address(named))
    except ValueError:
        return peer


def _route(request: HttpRequest) -> str:
    """Return the route's template, never the raw path: labels of metrics must stay few."""
    if (route := getattr(request, "route", None)) is not None:
        return str(route)
    match = request.resolver_match
    return f"/{match.route}" if match else "unmatched"
