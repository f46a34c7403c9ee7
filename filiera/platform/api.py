"""The envelopes of the versioned API (platform.md 3.1) and how a refusal becomes one."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil
from typing import Annotated, Any

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.renderers import BaseRenderer
from pydantic import AfterValidator

from filiera.platform import outages
from filiera.platform.refusals import Moved, Refused

log = logging.getLogger("filiera.api")

PER_PAGE, MOST_PER_PAGE = 20, 100


def _in_utc(moment: datetime) -> datetime:
    """Return a moment with a zone in UTC: the server refuses zones of 16 hours and more. Raises ValueError."""
    try:
        return moment if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("outside the calendar") from error


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A moment in a request; one written without a zone stays without."""


class OrjsonRenderer(BaseRenderer):
    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        """Return the body. Decimals become strings, so that money never becomes a float."""
        return orjson.dumps(data, default=str)


def meta(request: HttpRequest) -> dict[str, str]:
    """Return the moment and the request's id (PLT-02)."""
    return {
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "request_id": getattr(request, "request_id", ""),
    }


def ok(request: HttpRequest, data: Any) -> dict[str, Any]:
    """Return the success envelope around `data`."""
    return {"success": True, "data": data, "meta": meta(request)}


def paginated(
    request: HttpRequest, rows: Sequence[Any], *, total: int, page: int, per_page: int
) -> dict[str, Any]:
    """Return one page in its envelope. `rows` are those of this page only."""
    pages = ceil(total / per_page) if total else 0
    return {
        "success": True,
        "data": list(rows),
        "pagination": {
            "total": total,
            "page": page,
            "per_page": per_page,
            "total_pages": pages,
            "has_next": page < pages,
            "has_prev": page > 1,
        },
        "meta": meta(request),
    }


def failure(
    request: HttpRequest, *, code: str, message: str, status: int, details: dict[str, list[str]] | None = None
) -> HttpResponse:
    """Return the error envelope with its status."""
    error: dict[str, Any] = {"code": code, "message": message}
    if details:
        error["details"] = details
    body = {"success": False, "error": error, "meta": meta(request)}
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/json")


def unavailable(request: HttpRequest) -> HttpResponse:
    """Answer a program 503 and when to ask again, while the database is away. Nothing of the request was kept."""
    response = failure(
        request,
        code="SERVICE_UNAVAILABLE",
        message=_("In questo momento non riusciamo a rispondere. Riprova tra poco."),
        status=503,
    )
    response["Retry-After"] = str(outages.RETRY_AFTER_S)
    return response


def moved(request: HttpRequest, refusal: Moved, **more: Any) -> HttpResponse:
    """Lead a program to the row that lives on: 301, or 308 where the request must be sent again as it is."""
    body = {"success": True, "data": {"id": str(refusal.was), "mergedInto": str(refusal.now_is)}, **more}
    response = HttpResponse(
        orjson.dumps(body),
        status=301 if request.method in ("GET", "HEAD") else 308,
        content_type="application/json",
    )
    response["Location"] = refusal.address(request.get_full_path())
    return response


def historic_failure(
    *, code: str, message: str, status: int, details: dict[str, list[str]] | None = None
) -> HttpResponse:
    """Return the error shape of the paths older than the envelope (platform.md 3.3)."""
    body: dict[str, Any] = {"success": False, "error": message, "code": code}
    if details:
        body["details"] = details
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/json")


def answer_refusals(api: NinjaAPI) -> None:
    """Make `api` answer refusals, bad input and missing rights in the envelope."""

    @api.exception_handler(Moved)
    def elsewhere(request: HttpRequest, refusal: Moved) -> HttpResponse:
        return moved(request, refusal, meta=meta(request))

    @api.exception_handler(Refused)
    def refused(request: HttpRequest, refusal: Refused) -> HttpResponse:
        return failure(
            request, code=refusal.code, message=str(refusal), status=refusal.status, details=refusal.details
        )

    @api.exception_handler(ValidationError)
    def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
        details: dict[str, list[str]] = {}
        for fault in error.errors:
            details.setdefault(".".join(str(part) for part in fault["loc"][1:]), []).append(fault["msg"])
        return failure(
            request,
            code="VALIDATION_ERROR",
            message=_("Alcuni campi non vanno bene."),
            status=400,
            details=details,
        )

    @api.exception_handler(Exception)
    def fault(request: HttpRequest, error: Exception) -> HttpResponse:
        if outages.database_is_away(error):
            log.warning("the database is away: %s", error)
            return unavailable(request)
        log.error("%s %s failed", request.method, request.path, exc_info=error)
        return failure(
            request,
            code="INTERNAL_ERROR",
            message=_(
                "Qualcosa si è inceppato da noi. Riprova; se succede ancora, dicci il numero di richiesta."
            ),
            status=500,
            details={"exception": [repr(error)]} if settings.DEBUG else None,
        )

    @api.exception_handler(HttpError)
    def http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
        code = {401: "UNAUTHENTICATED", 403: "FORBIDDEN", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}
        return failure(
            request,
            code=code.get(error.status_code, "VALIDATION_ERROR"),
            message=str(error),
            status=400 if error.status_code == 422 else error.status_code,
        )
