"""Pages that say what happened, what is safe and what to do (UI-45). Programs get the envelope instead."""

import logging
from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _

from filiera.platform.refusals import Refused

Next = Callable[[HttpRequest], HttpResponse]
log = logging.getLogger("filiera.workspace")


@login_not_required
def missing(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Answer 404, also for what is forbidden: the two look the same (UI-46)."""
    return _page(request, "workspace/missing.html", {}, status=404)


@login_not_required
def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 to a form without its token: usually a page left open across a sign-out."""
    return _page(request, "workspace/forged.html", {}, status=403)


@login_not_required
def fault(request: HttpRequest) -> HttpResponse:
    """Answer 500. The shell reads the database, which may be what failed: then the page goes without it."""
    context = {"at": timezone.now()}
    try:
        return _page(request, "workspace/fault.html", context, status=500)
    except Exception:
        log.exception("the shell cannot be shown")
        body = render_to_string(
            "workspace/fault_bare.html",
            {**context, "request_id": _request_id(request)},
            request=None,
        )
        return HttpResponse(body, status=500)


def _page(
    request: HttpRequest, template: str, context: dict[str, Any], *, status: int
) -> HttpResponse:
    """Render an error with the shell for who is signed in, without it for a guest or a fragment."""
    inside = getattr(request, "principal", None) is not None
    context |= {
        "request_id": _request_id(request),
        "layout": "workspace/base.html" if inside else "workspace/bare.html",
        "page_title": _("Filiera"),
    }
    return render(request, template, context, status=status)


def _request_id(request: HttpRequest) -> str:
    return str(getattr(request, "request_id", ""))


class RefusalPages:
    """Turn a refusal that a page let fly into a page: what is forbidden looks missing, the rest says its sentence."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> HttpResponse | None:
        """Answer for a Refused; anything else stays a fault, and the API writes its own envelope."""
        if not isinstance(exception, Refused) or request.path.startswith(
            ("/api/", "/webhook")
        ):
            return None
        if exception.status in {403, 404}:
            return missing(request)
        return _page(
            request,
            "workspace/refused.html",
            {"sentence": str(exception)},
            status=exception.status,
        )
