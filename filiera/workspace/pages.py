"""The small addresses of the shell: first page, brand, the person's own choices, availability."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from filiera.identity import sessions
from filiera.identity.permissions import Principal
from filiera.platform.refusals import Forbidden
from filiera.routing import commands as routing
from filiera.routing.models import Agent
from filiera.workspace.errors import missing

THEMES = frozenset({"auto", "light", "dark"})


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    return redirect("today")


@require_POST
def select_brand(request: HttpRequest) -> HttpResponse:
    """Work in another of one's brands from here on. What belongs to the old one is left behind: Oggi opens."""
    principal = principal_of(request)
    wanted = request.POST.get("brand", "")
    for brand in principal.brands:
        if str(brand.id) == wanted:
            sessions.work_in(request.auth_session, brand)  # type: ignore[attr-defined]
            return redirect("today")
    return missing(request)


@require_POST
def save_preferences(request: HttpRequest) -> HttpResponse:
    """Keep the look, the language and whether the keys are on; each form sends one of them."""
    user = principal_of(request).user
    if (theme := request.POST.get("theme", "")) in THEMES:
        user.theme = theme
    if (language := request.POST.get("language", "")) in dict(settings.LANGUAGES):
        user.language = language
    if (keys := request.POST.get("keys", "")) in {"on", "off"}:
        user.shortcuts_on = keys == "on"
    user.save(update_fields=["theme", "language", "shortcuts_on", "updated_at"])
    return back(request)


@require_POST
def switch_availability(request: HttpRequest) -> HttpResponse:
    """Receive leads, or not for now. Who is not an agent of this brand has no such switch."""
    principal = principal_of(request)
    agent = Agent.objects.filter(user=principal.user).order_by("sort_order").first()
    state = request.POST.get("state", "")
    if agent is None or state not in {"on", "off"}:
        return missing(request)
    routing.set_agent_enabled(agent_id=agent.pk, is_enabled=state == "on")
    messages.success(
        request, _("Ricevi lead.") if state == "on" else _("Sei in pausa: i lead vanno agli altri.")
    )
    return back(request)


def principal_of(request: HttpRequest) -> Principal:
    """Return who acts. Raises Forbidden for a person without a role in any brand."""
    principal: Principal | None = getattr(request, "principal", None)
    if principal is None:
        raise Forbidden(
            _("Questa pagina non c’è, o non è per te. Chiedi l’accesso a chi amministra il marchio.")
        )
    return principal


def back(request: HttpRequest) -> HttpResponse:
    """Return to the page the form stood on, when it is one of ours."""
    target = request.POST.get("next", "")
    ours = target.startswith("/") and url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return HttpResponseRedirect(target) if ours else redirect("today")
