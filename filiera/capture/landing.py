"""The public form of a brand: a page of its own, for whoever has the address."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.http import require_safe

from filiera.capture.models import Source
from filiera.identity.models import Brand
from filiera.platform import brand_scope

REQUIRED = ("nome", "cognome", "email", "telefono", "servizio", "pacchetto")
_LONGEST_CODE = 80


@dataclass(frozen=True, slots=True)
class Page:
    """What a landing page shows, with what the brand left out filled in."""

    brand: Brand
    source: Source
    services: list[str]
    packages: list[str]
    introduction: str
    steps: list[dict[str, str]]
    phone: str
    privacy_url: str
    # The words of the box for promotions; "" shows none.
    marketing_text: str

    @property
    def storage_key(self) -> str:
        """Return the key of the browser's queue (CAP-13)."""
        return f"{self.brand.slug}_lead_queue"


@login_not_required
@require_safe
def form(request: HttpRequest, source_name: str) -> HttpResponse:
    """Show the form. After a send without JavaScript, `manca` names the fields that were missing."""
    missing = {name for name in request.GET.get("manca", "").split(",") if name in REQUIRED}
    return _render(request, source_name, {"missing": missing})


@login_not_required
@require_safe
def received(request: HttpRequest, source_name: str) -> HttpResponse:
    """Confirm a form that was sent without JavaScript (CAP-90)."""
    return _render(request, source_name, {"code": request.GET.get("codice", "")[:_LONGEST_CODE] or "LEAD"})


def _render(request: HttpRequest, source_name: str, context: dict[str, Any]) -> HttpResponse:
    """Render in Italian whoever asks: these texts are part of the contract (CAP-09, CAP-12)."""
    with translation.override("it"), brand_scope.use(_brand_of(source_name)):
        page = _page(source_name)
        return render(request, "capture/landing.html", {"page": page, **context})


def _brand_of(source_name: str) -> str:
    """Return the brand of an active public source; it is looked for before any brand is known. Raises Http404."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select brand_id from capture_find_source(%s) where name = %s and auth_mode = 'public'",
            [source_name, source_name],
        )
        row = cursor.fetchone()
    if row is None:
        raise Http404(source_name)
    return str(row[0])


def _page(source_name: str) -> Page:
    source = Source.objects.get(name=source_name)
    said = source.form
    return Page(
        brand=Brand.objects.get(id=source.brand_id),
        source=source,
        services=said.get("services") or ["FAMILY", "PRO", "PREMIUM"],
        packages=said.get("packages") or ["BASE", "AVANZATO"],
        introduction=said.get("introduction", ""),
        steps=said.get("steps") or [],
        phone=said.get("phone", ""),
        privacy_url=said.get("privacy_url", ""),
        marketing_text=said.get("marketing_text", ""),
    )
