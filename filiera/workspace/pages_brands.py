"""The brands one works in, their settings, another brand, and the view over all of them."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from filiera.identity.models import Brand
from filiera.identity.permissions import Principal, demand_in_person
from filiera.journeys import openings
from filiera.platform.refusals import Missing, Refused
from filiera.workspace import all_brands
from filiera.workspace.forms_brands import BrandForm

SETTINGS, OPEN, LOOK = "system_settings", "manage_brands", "view_all_brands"
SHORTEST = 2


@require_http_methods(["GET", "POST"])
def show_all(request: HttpRequest) -> HttpResponse:
    """Show the brands one works in; who administers the installation opens another one here."""
    if request.method == "GET":
        principal = demand_in_person(request, SETTINGS)
        return _list(request, principal, BrandForm(None))
    principal, form = demand_in_person(request, OPEN), BrandForm(request.POST)
    if form.is_valid():
        changes = form.changes()
        try:
            brand = openings.open_for(
                principal, name=changes.pop("name"), slug=form.cleaned_data["slug"], settings=changes
            )
        except Refused as refusal:
            _blame(form, refusal)
        else:
            text = _("%(name)s è aperto: scegli il suo quadrato nella fascia e collega la prima fonte.")
            messages.success(request, text % {"name": brand.name})
            return redirect("brands")
    return _list(request, principal, form, status=400)


@require_http_methods(["GET", "POST"])
def change(request: HttpRequest, brand_id: UUID) -> HttpResponse:
    """Show and save the settings of the brand in use; another one is chosen in the band first."""
    principal = demand_in_person(request, SETTINGS)
    if brand_id != principal.brand_id:
        raise Missing(_("Questo marchio non c’è, o non è quello in uso."))
    form = BrandForm(request.POST if request.method == "POST" else None, brand=principal.brand)
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            openings.change_brand(brand_id=brand_id, changes=form.changes())
            messages.success(request, _("Marchio salvato."))
            return redirect("brands")
    context = {"page": "brands", "page_title": principal.brand.name, "form": form, "brand": principal.brand}
    return render(request, "workspace/brand.html", context, status=status)


@require_GET
def look(request: HttpRequest) -> HttpResponse:
    """Show all brands, to who administers the installation; each look is in the record of each brand."""
    principal = demand_in_person(request, LOOK)
    text = request.GET.get("q", "").replace("\x00", "").strip()[:100]
    searched = text if len(text) >= SHORTEST else ""
    context = {
        "page": "brands",
        "page_title": _("Tutti i marchi"),
        "looks": all_brands.look(searched, now=timezone.now()),
        "text": text,
        "searched": searched,
        "mine": {brand.id for brand in principal.brands},
    }
    return render(request, "workspace/all_brands.html", context)


def _list(request: HttpRequest, principal: Principal, form: BrandForm, *, status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {
        "page": "brands",
        "page_title": _("Marchi"),
        "brands": [(brand, brand.id == principal.brand_id, _hours(brand)) for brand in principal.brands],
        "may_open": principal.may(OPEN),
        "may_look": principal.may(LOOK),
        "form": form,
    }
    return render(request, "workspace/brands.html", context, status=status)


def _hours(brand: Brand) -> str:
    """Return in a word when a brand works."""
    week = brand.settings.get("working_hours")
    if week is None:
        return _("a qualsiasi ora")
    return _("lun–ven, 9–18") if week == openings.WORKING_WEEK else _("orari propri")


def _blame(form: BrandForm, refusal: Refused) -> None:
    for field, sentences in refusal.details.items():
        form.add_error(field if field in form.fields else None, list(sentences))
    if not refusal.details:
        form.add_error(None, str(refusal))
    form.mark_errors()


urlpatterns: list[URLPattern] = [
    path("marchi", show_all, name="brands"),
    path("marchi/tutti", look, name="all-brands"),
    path("marchi/<uuid:brand_id>", change, name="brand"),
]
