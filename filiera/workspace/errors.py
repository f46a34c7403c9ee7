"""Pages that say what happened, what is safe and what to do (UI-45). Programs get the envelope instead."""

import logging
import sys
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _

from filiera.platform import api, outages
from filiera.platform.refusals import Moved, Refused

Next = Callable[[HttpRequest], HttpResponse]
FOR_PROGRAMS = ("/api/", "/webhook")
log = logging.getLogger("filiera.workspace")


@login_not_required
def missing(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Answer 404, also for what is forbidden: the two look the same (UI-46)."""
    if request.path.startswith(FOR_PROGRAMS):
        return api.failure(
            request, code="NOT_FOUND", message=_("Non c’è niente a questo indirizzo."), status=404
        )
    return _page(request, "workspace/missing.html", {}, status=404)


@login_not_required
def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 to a form without its token: usually a page left open across a sign-out."""
    return _page(request, "workspace/forged.html", {}, status=403)


@login_not_required
def fault(request: HttpRequest) -> HttpResponse:
    """Answer 500, or 503 with Retry-After while the database is away (Q-21); programs get the envelope."""
    away = outages.database_is_away(sys.exc_info()[1])
    if request.path.startswith(FOR_PROGRAMS):
        if away:
            return api.unavailable(request)
        message = _("Qualcosa si è inceppato. Riprova tra poco; il codice della richiesta è in meta.")
        return api.failure(request, code="INTERNAL_ERROR", message=message, status=500)
    if away:
        log.warning("the database is away")
        return _bare(request, status=503)
    try:
        return _page(request, "workspace/fault.html", {"at": timezone.now()}, status=500)
    except Exception:  # the shell reads rows: what broke the page may break it too
        log.exception("the shell cannot be shown")
        return _bare(request, status=500)


def _bare(request: HttpRequest, *, status: int) -> HttpResponse:
    """Render the fault page without reading anything."""
    context = {"at": timezone.now(), "request_id": _request_id(request)}
    answer = HttpResponse(render_to_string("workspace/fault_bare.html", context), status=status)
    if status == 503:
        answer["Retry-After"] = str(outages.RETRY_AFTER_S)
    return answer


def _page(request: HttpRequest, template: str, context: dict[str, Any], *, status: int) -> HttpResponse:
    """Render an error with the shell for who is signed in, without it for a guest or a fragment."""
    inside = getattr(request, "principal", None) is not None
    context |= {
        "request_id": _request_id(request),
        "layout": "workspace/base.html" if inside else "workspace/bare.html",
        "page_title": _("Filiera"),
    }
    return render(request, template, context, status=status)


def _lead_on(request: HttpRequest, exception: Moved) -> HttpResponse:
    """Lead an old link to whom the person lives on in; what was sent to the old record is not done unasked."""
    if request.method in ("GET", "HEAD"):
        return HttpResponsePermanentRedirect(exception.address(request.get_full_path()))
    messages.info(request, _("Questa scheda è stata unita a un’altra: eccola. Guarda, e riprova da qui."))
    return redirect("lead", exception.now_is)


def _request_id(request: HttpRequest) -> str:
    return str(getattr(request, "request_id", ""))


class RefusalPages:
    """Turn a refusal that a page let fly into a page: what is forbidden looks missing, the rest says its sentence."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer for a Refused; anything else stays a fault, and the API writes its own envelope."""
        if not isinstance(exception, Refused) or request.path.startswith(FOR_PROGRAMS):
            return None
        if isinstance(exception, Moved):
            return _lead_on(request, exception)
        if exception.status in {403, 404}:
            return missing(request)
        return _page(
            request,
            "workspace/refused.html",
            {"sentence": str(exception)},
            status=exception.status,
        )
