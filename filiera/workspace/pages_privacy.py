"""The rules of a brand about people: its calls, the opposition register, its numbers, how long it keeps what."""

from datetime import date
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from filiera.capture import commands as capture
from filiera.capture.adapters.reading import CONSENT, known_field
from filiera.capture.models import Source
from filiera.contacts import consent_rules
from filiera.contacts.models import Consent, RetentionPolicy
from filiera.identity import audit
from filiera.identity.permissions import requires
from filiera.journeys import retention
from filiera.platform.refusals import Invalid, Missing, Refused
from filiera.routing import calling, register
from filiera.routing.call_rules import BrandRules
from filiera.routing.models import Connection, OutboundNumber, RegisterCheck
from filiera.workspace.pages import principal_of

MOST_CHECKS = 12
MOST_CLOSED = 3
LONGEST_BOX = 180


@require_GET
@requires("system_settings")
def show(request: HttpRequest) -> HttpResponse:
    """Show the rules in force and what they rest on."""
    return _page(request)


@require_POST
@requires("system_settings")
def save_calls(request: HttpRequest) -> HttpResponse:
    """Save whether the brand calls on request only (GD-14)."""
    calling.set_rules(is_request_only=request.POST.get("solo_richieste") == "on")
    messages.success(request, _("Salvato: vale dalla prossima chiamata."))
    return redirect("privacy")


@require_POST
@requires("system_settings")
def take_check(request: HttpRequest) -> HttpResponse:
    """Read the result of a check against the opposition register (GD-10)."""
    sent, now = request.FILES.get("file"), timezone.now()
    try:
        if sent is None:
            raise Invalid(_("Scegli il file con gli esiti."), details={"file": [_("Serve il file.")]})
        if (sent.size or 0) > register.LARGEST_FILE:
            raise Invalid(_("Il file è troppo grande: al massimo 10 MB."))
        check = register.take(
            sent.read(),
            checked_at=calling.moment(request.POST.get("verifica", ""), now=now),
            user_id=principal_of(request).user.pk,
            now=now,
        )
    except Refused as refusal:
        return _page(request, refusal=refusal)
    words = _("Letti %(numbers)s numeri, %(listed)s iscritti al Registro.")
    messages.success(request, words % {"numbers": check.numbers, "listed": check.listed})
    return redirect("privacy")


@require_POST
@requires("system_settings")
def numbers_to_check(request: HttpRequest) -> HttpResponse:
    """Hand out the numbers that the register has to be asked about; that it was made is on record."""
    numbers = register.numbers_to_check(now=timezone.now())
    brand = principal_of(request).brand
    audit.record(
        "EXPORT",
        entity_type="brands",
        entity_id=brand.id,
        detail={"what": "register", "numbers": len(numbers)},
    )
    return HttpResponse(
        "".join(f"{number}\r\n" for number in numbers),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="da-verificare-{brand.slug}.csv"',
            "Cache-Control": "no-store",
        },
    )


@require_POST
@requires("system_settings")
def add_number(request: HttpRequest) -> HttpResponse:
    """Keep a number that people see when we ring, and whether it is in the ROC register (GD-12)."""
    try:
        calling.keep_number(
            typed=request.POST.get("numero", ""),
            label=request.POST.get("nome", ""),
            is_in_roc=request.POST.get("roc") == "on",
            roc_date=_date(request.POST.get("data_roc", "")),
            default_country=principal_of(request).brand.default_country,
        )
    except Invalid as refusal:
        return _page(request, refusal=refusal)
    messages.success(request, _("Numero salvato."))
    return redirect("privacy")


@require_POST
@requires("system_settings")
def remove_number(request: HttpRequest, number_id: UUID) -> HttpResponse:
    """Take away a number we ring from no more."""
    calling.remove_number(number_id)
    messages.success(request, _("Numero tolto."))
    return redirect("privacy")


@require_POST
@requires("system_settings")
def state_origin(request: HttpRequest) -> HttpResponse:
    """Keep what the exchange's provider says about where calls begin (GD-13)."""
    try:
        calling.state_origin(
            note=request.POST.get("nota", ""), user_id=principal_of(request).user.pk, now=timezone.now()
        )
    except Refused as refusal:
        return _page(request, refusal=refusal)
    messages.success(request, _("Annotato."))
    return redirect("privacy")


@require_POST
@requires("system_settings")
def set_box(request: HttpRequest, source_id: UUID) -> HttpResponse:
    """Set the words of the box for promotions on a public form, or take it away (GD-03)."""
    source = Source.objects.filter(pk=source_id, kind="landing").first()
    if source is None:
        raise Missing(_("Questa fonte non c’è."))
    text = " ".join(request.POST.get("testo", "").replace("\x00", "").split())[:LONGEST_BOX]
    if text and not _promotions(text):
        return _page(
            request,
            refusal=Invalid(
                _("La casella deve dire «acconsento», parlare solo di promozioni e nominare un canale.")
            ),
        )
    capture.change_source(
        source_id=source.pk,
        form={**source.form, "marketing_text": text},
        actor=principal_of(request).user,
        now=timezone.now(),
    )
    messages.success(request, _("Salvato: il modulo è già così."))
    return redirect("privacy")


@require_POST
@requires("system_settings")
def set_list(request: HttpRequest) -> HttpResponse:
    """Say that a source brings in a list that was bought, and on which proof (GD-07)."""
    source = next((one for one in _doors() if str(one.pk) == request.POST.get("fonte_lista", "")), None)
    try:
        if source is None:
            raise Invalid(_("Scegli la fonte da cui entra la lista."))
        capture.set_bought_list(
            source_id=source.pk,
            supplier=request.POST.get("fornitore", ""),
            bought_on=_date(request.POST.get("comprata", "")),
            proof=request.POST.get("prova", ""),
            is_sample_checked=request.POST.get("campione") == "on",
            actor=principal_of(request).user,
            now=timezone.now(),
        )
    except Invalid as refusal:
        return _page(request, refusal=refusal)
    messages.success(request, _("Annotato: da questa lista non squilla niente da solo."))
    return redirect("privacy")


def _doors() -> list[Source]:
    """Return the doors by which a list may come: not our own forms, not what people type."""
    return list(Source.objects.exclude(kind__in=("landing", "manual")).order_by("name"))


def _promotions(text: str) -> list[str]:
    """Return the channels by which a box permits promotions, [] when the intake would not take it for that."""
    said = consent_rules.read(text, True)
    if known_field(text) != CONSENT or any(one.purpose != consent_rules.MARKETING for one in said):
        return []
    return [str(Consent.Channel(one.channel).label) for one in said]


@require_POST
@requires("system_settings")
def set_term(request: HttpRequest) -> HttpResponse:
    """Keep a class of data longer or shorter than by default, for a reason; or go back to the default (GD-31)."""
    months = request.POST.get("mesi", "").strip()
    try:
        retention.set_term(
            data_class=request.POST.get("classe", ""),
            months=int(months) if months.isdecimal() and len(months) < 6 else 0,
            reason=request.POST.get("motivo", ""),
            owner=principal_of(request).user.name,
            is_default=request.POST.get("come") == "default",
        )
    except Invalid as refusal:
        return _page(request, refusal=refusal)
    messages.success(request, _("Salvato: vale da stanotte."))
    return redirect("privacy")


def _page(request: HttpRequest, *, refusal: Refused | None = None) -> HttpResponse:
    now, brand = timezone.now(), principal_of(request).brand
    own = {one.data_class: one for one in RetentionPolicy.objects.all()}
    rules = BrandRules.of(brand.settings, brand.timezone)
    context: dict[str, Any] = {
        "page": "privacy",
        "page_title": _("Privacy"),
        "now": now,
        "refusal": str(refusal) if refusal else "",
        "faults": [one for sentences in refusal.details.values() for one in sentences] if refusal else [],
        "brand_id": brand.pk,
        "is_request_only": rules.is_request_only,
        "next_closed": rules.calendar.next_closed(timezone.localdate(), most=MOST_CLOSED),
        "checks": RegisterCheck.objects.select_related("imported_by").order_by("-checked_at")[:MOST_CHECKS],
        "to_check": len(register.numbers_to_check(now=now)),
        "landings": [
            {"source": source, "text": text, "read": _promotions(text) if text else []}
            for source in Source.objects.filter(kind="landing", is_active=True).order_by("name")
            for text in [source.form.get("marketing_text", "")]
        ],
        "doors": _doors(),
        "lists": [one for one in _doors() if one.bought_list],
        "numbers": OutboundNumber.objects.order_by("number_e164"),
        "connection": Connection.objects.select_related("origin_checked_by").first(),
        "terms": [
            {
                "value": one.value,
                "label": one.label,
                "months": months,
                "default": retention.DEFAULT_MONTHS[one.value],
                "own": own.get(one.value),
            }
            for one in RetentionPolicy.DataClass
            for months in [own[one].months if one in own else retention.DEFAULT_MONTHS[one.value]]
        ],
    }
    return render(request, "workspace/privacy_rules.html", context, status=refusal.status if refusal else 200)


def _date(typed: str) -> date | None:
    try:
        return parse_date(typed)
    except ValueError:
        return None


urlpatterns = [
    path("privacy", show, name="privacy"),
    path("privacy/chiamate", save_calls, name="privacy-calls"),
    path("privacy/registro-opposizioni", take_check, name="privacy-check"),
    path("privacy/registro-opposizioni/numeri", numbers_to_check, name="privacy-numbers-to-check"),
    path("privacy/numeri", add_number, name="privacy-number"),
    path("privacy/numeri/<uuid:number_id>", remove_number, name="privacy-number-remove"),
    path("privacy/moduli/<uuid:source_id>", set_box, name="privacy-box"),
    path("privacy/liste", set_list, name="privacy-list"),
    path("privacy/centralino", state_origin, name="privacy-origin"),
    path("privacy/conservazione", set_term, name="privacy-term"),
]
