"""Oggi: the page people keep open all day."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from filiera.routing.models import Agent
from filiera.workspace import queries
from filiera.workspace.pages import principal_of
from filiera.workspace.today import today as read_today


@require_GET
def today(request: HttpRequest) -> HttpResponse:
    """Show what rings, who waits, who just arrived and what is to be fixed; to who sees no contacts, nothing of it."""
    principal, now = principal_of(request), timezone.now()
    if not principal.may("view_contacts"):
        return render(request, "workspace/idle.html", {"page": "today", "page_title": _("Oggi")})
    me = principal.user
    works_the_phone = Agent.objects.filter(user=me).exists()
    context = {
        "page": "today",
        "page_title": _("Oggi"),
        "now": now,
        "today": read_today(me=me.id, everyone=not works_the_phone, now=now),
        "ring_s": settings.ROUTING_RING_S,
        "first_use": not queries.has_any_lead(),
    }
    return render(request, "workspace/today.html", context)
