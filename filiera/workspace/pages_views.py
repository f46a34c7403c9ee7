"""Lists with a name and the columns of a list: saving, changing, pinning, deleting (UI-20, UI-21)."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from filiera.identity.permissions import requires
from filiera.platform.refusals import Invalid
from filiera.workspace import saved_views
from filiera.workspace.pages import back, principal_of


@require_POST
@requires("view_contacts")
def save(request: HttpRequest) -> HttpResponse:
    """Keep the list of an address under a name, and open it."""
    try:
        view = saved_views.save_as(
            principal_of(request),
            name=request.POST.get("name", ""),
            query=_query(request),
            audience=request.POST.get("audience", ""),
            opens_for=request.POST.get("opens_for", ""),
            now=timezone.now(),
        )
    except Invalid as refusal:
        messages.error(request, str(refusal))
        return back(request)
    messages.success(request, _("Vista “%(name)s” salvata.") % {"name": view.name})
    return redirect(f"{reverse('lead-list')}?{view.query}{'&' if view.query else ''}vista={view.pk}")


@require_POST
@requires("view_contacts")
def change(request: HttpRequest, view_id: UUID) -> HttpResponse:
    """Let a view mean the list that one looks at now."""
    view = saved_views.change(principal_of(request), view_id, query=_query(request), now=timezone.now())
    messages.success(request, _("Vista “%(name)s” salvata.") % {"name": view.name})
    return redirect(f"{reverse('lead-list')}?{view.query}{'&' if view.query else ''}vista={view.pk}")


@require_POST
@requires("view_contacts")
def pin(request: HttpRequest, view_id: UUID) -> HttpResponse:
    """Let a view stand beside the ready-made ones, or no longer."""
    principal = principal_of(request)
    view = saved_views.visible(principal, view_id)
    saved_views.pin(principal.user, view.pk, is_pinned=request.POST.get("pin") == "si", now=timezone.now())
    return back(request)


@require_POST
@requires("view_contacts")
def delete(request: HttpRequest, view_id: UUID) -> HttpResponse:
    """Delete a view; the leads in it stay as they are."""
    view = saved_views.delete(principal_of(request), view_id)
    messages.success(request, _("Vista “%(name)s” eliminata.") % {"name": view.name})
    return redirect("lead-list")


@require_POST
@requires("view_contacts")
def columns(request: HttpRequest) -> HttpResponse:
    """Keep which columns one looks at, in which order, and how close the rows stand."""
    places = {key: _place(request.POST.get(f"posto-{key}", "")) for key in request.POST.getlist("colonna")}
    chosen = [] if "solite" in request.POST else sorted(places, key=lambda key: places[key])
    saved_views.choose(
        principal_of(request).user,
        columns=chosen,
        is_dense=request.POST.get("righe") == "strette",
        now=timezone.now(),
    )
    return back(request)


def _query(request: HttpRequest) -> str:
    return request.POST.get("query", "").removeprefix("?")


def _place(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 999


urlpatterns: list[URLPattern] = [
    path("leads/viste", save, name="view-save"),
    path("leads/viste/<uuid:view_id>", change, name="view-change"),
    path("leads/viste/<uuid:view_id>/fissa", pin, name="view-pin"),
    path("leads/viste/<uuid:view_id>/elimina", delete, name="view-delete"),
    path("leads/colonne", columns, name="list-columns"),
]
