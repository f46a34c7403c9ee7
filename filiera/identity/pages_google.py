"""To Google and back: the two addresses that a browser visits when it signs in there."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET

from filiera.identity import google, google_accounts, pages, sessions
from filiera.platform import brand_scope
from filiera.platform.refusals import Missing, Refused

TICKET = "google-step"


def begin(request: HttpRequest) -> HttpResponse:
    """Send the browser to Google. Raises Missing where Google is not set up."""
    _demand_google()
    try:
        asked = google_accounts.ask(onward=pages.page_asked_for(request), now=timezone.now())
    except Refused as refusal:
        return _at_the_door(request, {"refusal": str(refusal), "by_other": "yes"}, refusal.status)
    answer = HttpResponseRedirect(asked.address)
    answer["Cache-Control"] = "no-store"
    answer.set_cookie(
        TICKET,
        asked.ticket,
        max_age=int(google_accounts.STEP_LIVES.total_seconds()),
        path=reverse("google-back"),
        secure=settings.SECURE_COOKIES,
        httponly=True,
        samesite="Lax",  # Google's page leads back here, which a stricter cookie would not see
    )
    return answer


@login_not_required
@sensitive_variables("told")
@require_GET
def back(request: HttpRequest) -> HttpResponse:
    """Let in who Google vouches for, or say at the door why not."""
    now = timezone.now()
    told = {name: request.GET.get(name, "")[:2048] for name in ("state", "code", "error")}
    ticket = request.COOKIES.get(TICKET, "")
    try:
        _demand_google()
        if told["error"] or not told["code"]:
            google_accounts.went_back(state=told["state"], ticket=ticket, now=now)
            raise google_accounts.NotBelieved(_("Da Google non è stato scelto nessun account."))
        person = google_accounts.sign_in(
            state=told["state"],
            ticket=ticket,
            code=told["code"],
            ip_address=sessions.address_of(request),
            now=now,
        )
    except Refused as refusal:
        answer = _at_the_door(request, {"refusal": str(refusal), "by_other": "yes"}, refusal.status)
    else:
        answer = _let_in(request, person)
    answer["Cache-Control"] = "no-store"
    answer.delete_cookie(TICKET, path=reverse("google-back"), samesite="Lax")
    return answer


def _let_in(request: HttpRequest, person: google_accounts.CameBack) -> HttpResponse:
    if person.code_step:
        asked = {"next": person.onward, "step": person.code_step}
        return _at_the_door(request, asked, page="identity/code.html")
    with brand_scope.use(None):
        return pages.inside(request, person.user, person.onward)


def _at_the_door(
    request: HttpRequest,
    context: dict[str, str],
    status: int = 200,
    *,
    page: str = "identity/sign_in.html",
) -> HttpResponse:
    """Show a page of the door, as to somebody who is not inside."""
    request.user, request.principal = AnonymousUser(), None  # type: ignore[attr-defined]
    with brand_scope.use(None):
        return pages.door(request, context, status, page=page)


def _demand_google() -> None:
    if not google.is_configured():
        raise Missing(_("Qui non si entra con Google."))
