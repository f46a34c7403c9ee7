"""Leads: the list, the record, and a lead typed by hand."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from filiera.capture.models import MarketingSource
from filiera.contacts import queries as contacts
from filiera.contacts import tags
from filiera.contacts.models import Contact, LeadState
from filiera.identity.permissions import demand, requires
from filiera.journeys import manual
from filiera.pipeline import exporting, lead_conditions
from filiera.pipeline import queries as pipeline_queries
from filiera.pipeline.models import Activity, Deal
from filiera.pipeline.queries import LeadFilter
from filiera.platform import formats, live
from filiera.platform.refusals import Refused
from filiera.routing import charts
from filiera.routing import queries as routing_queries
from filiera.workspace import (
    bulk_actions,
    lead_list,
    lead_record,
    lead_rows,
    pages_bulk,
    pages_fields,
    pages_tags,
    queries,
    saved_views,
    timeline,
)
from filiera.workspace.lead_list import Asked
from filiera.workspace.lead_rows import COLUMNS, Column, Painter
from filiera.workspace.models import SavedView
from filiera.workspace.pages import back, principal_of

RECORDED_BY_HAND = ("nota", "chiamata", "visita", "preventivo", "email", "rifiuto")


# The list


@require_GET
@requires("view_contacts")
def lead_index(request: HttpRequest) -> HttpResponse:
    """Show the leads the address asks for, fifty at a time."""
    principal, now = principal_of(request), timezone.now()
    me, asked = principal.user, Asked.read(request.GET)
    choice = saved_views.choice_of(me)
    saved = saved_views.views_of(principal, choice)
    if not request.GET and (first := saved_views.opened_first(principal, saved)):
        asked = first.asked
    after = request.GET.get("dopo", "")
    found = lead_list.page(asked, me=me, after=after, now=now, brand=principal.brand)
    shown = [(one.view.name, one.asked) for one in saved if one.is_pinned or one.view.pk == asked.view]
    whole = None if after or found.after else found
    views = lead_list.views(asked, me=me, now=now, saved=shown, whole=whole)
    sources = lead_list.sources()
    known = bulk_actions.Known(lead_list.colleagues(), tags.tree())
    columns = lead_rows.columns(saved_views.columns_of(choice))
    painter = Painter(columns, came_from=asked.address if asked.is_filtered else "")
    context = {
        "page": "leads",
        "page_title": _("Lead"),
        "now": now,
        "asked": asked,
        "list": found,
        "columns": columns,
        "rows": [painter.row(row) for row in found.rows],
        "count": next(view.count for view in views if view.is_current),
        "chips": lead_list.chips(asked, sources),
        "views": views,
        "without_one": [] if found.rows else lead_list.without_one(asked, sources, me=me, now=now),
        "may_import": principal_of(request).may("manage_intake"),
        "may_export": principal_of(request).may("export_data"),
        "first_use": not found.rows and not asked.is_filtered and not queries.has_any_lead(),
        "states": LeadState.choices,
        "arrivals": lead_list.arrivals(),
        "sources": sources,
        "tags": known.tags,
        "colleagues": known.colleagues,
        "is_dense": choice.is_dense,
        "every_column": _every_column(columns),
        "saved": saved,
        "current": next((one for one in saved if one.view.pk == asked.view), None),
        "audiences": [
            choice
            for choice in SavedView.Audience.choices
            if choice[0] != SavedView.Audience.BRAND or principal.may("system_settings")
        ],
        "opens_for": [(role, role.label) for role in saved_views.OPENS_FOR]
        if principal.may("system_settings")
        else [],
        "fields": lead_conditions.FIELDS.values(),
        "ways": _ways(),
        "conditions": [(place, one) for place, group in enumerate(asked.groups, 1) for one in group],
        "may_merge": reverse("lead-merge") if principal.may("edit_contacts") else "",
        "actions": [
            (one, one.choices(known)) for one in bulk_actions.all_of_them() if principal.may(one.permission)
        ],
    }
    return render(request, "workspace/leads.html", context)


@require_GET
@requires("view_contacts")
def count_list(request: HttpRequest) -> HttpResponse:
    """Say how many leads the address asks for, where that is long to count."""
    [count] = lead_list.counted([Asked.read(request.GET)], me=principal_of(request).user, now=timezone.now())
    return HttpResponse(count, content_type="text/plain; charset=utf-8")


@require_http_methods(["GET", "POST"])
@requires("export_data")
def export_list(request: HttpRequest) -> HttpResponseBase:
    """Take the leads the address asks for away as a file, or with a form those ticked in the list."""
    principal = principal_of(request)
    everybody, ticked = request.POST.get("tutti", ""), pages_bulk.ticked(request)
    if request.method == "POST" and not everybody and not ticked:
        messages.info(request, _("Scegli almeno un lead."))
        return back(request)
    asked = Asked.read(QueryDict(everybody.removeprefix("?")) if everybody else request.GET)
    wanted = asked.wanted(me=principal.user, now=timezone.now())
    said = asked.address
    if ticked and not everybody:
        wanted, said = LeadFilter(ids=tuple(ticked)), ",".join(str(one) for one in ticked)
    kind = "jsonl" if request.GET.get("formato") == "jsonl" else "csv"
    return exporting.download(principal, wanted, kind, asked=said)


def _every_column(shown: Sequence[Column]) -> list[tuple[Column, int]]:
    """Return the columns as the dialog lists them: those shown with their places, then the others with 0."""
    places = {column.key: place for place, column in enumerate(shown, 1)}
    rest = [column for key, column in COLUMNS.items() if key not in places]
    return [(column, places[column.key]) for column in shown] + [(column, 0) for column in rest]


def _ways() -> list[tuple[str, Any, str, bool]]:
    """Return each way to compare: its key, its words, the kinds that have it, and whether it takes a value."""
    return [
        (
            key,
            words,
            " ".join(kind for kind, keys in lead_conditions.KINDS.items() if key in keys),
            key not in lead_conditions.WITHOUT_VALUE,
        )
        for key, words in lead_conditions.HOW.items()
    ]


# The record


@require_GET
@requires("view_contacts")
def record(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Show one lead: who they are, what happened, what to do next."""
    return record_page(request, contacts.contact_for(contact_id))


@require_POST
@requires("view_contacts")
def looking(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Tell whoever has the same record open that one looks at it, or leaves (UI-57). Nothing is stored."""
    contact, me = contacts.contact_for(contact_id), principal_of(request).user
    told = {
        "lead": str(contact.pk),
        "tab": request.POST.get("tab", "")[:40],
        "who": str(me.pk),
        "name": me.name[:100],
        "leaves": "leaves" in request.POST,
        "asks": "asks" in request.POST,
    }
    live.pass_on("looking", json.dumps(told))
    return HttpResponse(status=204)


def record_page(request: HttpRequest, contact: Contact, more: dict[str, Any] | None = None) -> HttpResponse:
    principal, now = principal_of(request), timezone.now()
    found = lead_record.read(contact, brand=principal.brand, me=principal.user, now=now)
    asked = Asked.read(request.GET)
    wanted = asked.wanted(me=principal.user, now=now)
    before, after = pipeline_queries.neighbours(wanted, contact)
    only = request.GET.get("mostra", "")
    context = {
        "page": "leads",
        "page_title": contact.full_name or _("Senza nome"),
        "now": now,
        "today": timezone.localtime(now).date(),
        "contact": contact,
        "record": found,
        "entries": timeline.shown(found.entries, only),
        "filters": _filters(request, found, only),
        "asked": asked,
        "list_name": _("Lead filtrati") if asked.is_filtered else _("Tutti i lead"),
        "before": before,
        "after": after,
        "place": pipeline_queries.place_of(wanted, contact) if asked.is_filtered else None,
        "fields": pages_fields.fields_of(contact, found.number),
        "fixing": "phone" if request.GET.get("correggi") == "telefono" else "",
        "other_numbers": found.numbers[1:],
        "activity_types": _activity_types(),
        "colleagues": lead_list.colleagues(),
        "can_ring": found.call.state == "allowed" and found.outcome is not None,
        "may_privacy": principal.may("system_settings"),
        "weighted": _weighted(found.deal),
        "tags": pages_tags.of_record(contact.pk),
        "may_edit": principal.may("edit_contacts"),
        "why": _why_in_short(found, principal.user.pk),
    }
    return render(request, "workspace/record.html", context | (more or {}))


def _filters(request: HttpRequest, found: lead_record.Record, only: str) -> list[dict[str, Any]]:
    counts = timeline.counts(found.entries)
    labels = [
        ("", _("Tutto"), 0),
        ("chiamate", _("Chiamate"), counts["chiamate"]),
        ("moduli", _("Moduli"), counts["moduli"]),
        ("stato", _("Stato"), counts["stato"]),
        ("note", _("Note"), counts["note"]),
        ("persone", _("Solo persone"), 0),
    ]
    query = request.GET.copy()
    filters = []
    for value, label, count in labels:
        query["mostra"] = value
        if not value:
            del query["mostra"]
        filters.append(
            {"label": label, "count": count, "address": f"?{query.urlencode()}", "is_current": value == only}
        )
    return filters


def _weighted(deal: Deal | None) -> dict[str, Any] | None:
    """Return the share and the value of a deal by the probability of its stage, while it is open."""
    if deal is None or deal.status != Deal.Status.OPEN or not deal.amount or deal.current_stage is None:
        return None
    probability = deal.current_stage.probability
    if probability is None:
        return None
    return {
        "share": f"{formats.number(probability)}\N{NO-BREAK SPACE}%",
        "value": deal.amount * probability / 100,
    }


def _why_in_short(found: lead_record.Record, me: UUID) -> dict[str, Any] | None:
    if found.decision is None:
        return None
    explanation = routing_queries.explain(found.decision)
    bars = []
    if explanation.rule == "credit":
        for line in explanation.candidates[:4]:
            bar = charts.credit(float(line.credit))
            first = line.name.split()[0] if line.name else ""
            bars.append(
                {
                    "name": first,
                    "x": bar.x,
                    "width": bar.width,
                    "chosen": line.is_chosen,
                    "credit": line.credit,
                }
            )
    return {"reason": explanation.reason, "bars": bars}


# A lead by hand


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Take in a lead that a person types: Nome, Telefono, Provenienza (CAP-79)."""
    principal = demand(request, "create_lead")
    typed = {
        name: request.POST.get(name, "").replace("\x00", "").strip()
        for name in ("Nome", "Telefono", "Provenienza")
    }
    details: dict[str, list[str]] = {}
    refusal = ""
    if request.method == "POST":
        try:
            lead = manual.create_lead(
                name=typed["Nome"],
                phone=typed["Telefono"],
                provenance=typed["Provenienza"],
                actor=principal.user,
                now=timezone.now(),
            )
        except Refused as refused:
            refusal, details = str(refused), refused.details
        else:
            messages.success(request, _("Lead creato."))
            return redirect("lead", lead.contact.pk)
    sources = MarketingSource.objects.filter(is_active=True).order_by("name").values_list("name", flat=True)
    context = {
        "page": "leads",
        "page_title": _("Nuovo lead"),
        "refusal": refusal if not details else "",
        "fields": [
            {
                "name": name,
                "label": label,
                "value": typed[name],
                "errors": details.get(name, []),
                "inputmode": mode,
                "longest": longest,
                "choices": list(sources) if name == "Provenienza" else None,
            }
            for name, label, mode, longest in (
                ("Nome", _("Nome"), "", 200),
                ("Telefono", _("Telefono"), "tel", 40),
                ("Provenienza", _("Provenienza"), "", 100),
            )
        ],
    }
    return render(request, "workspace/lead_new.html", context, status=400 if refusal else 200)


def _activity_types() -> list[tuple[str, str]]:
    return [(value, str(Activity.Type(value).label)) for value in RECORDED_BY_HAND]
