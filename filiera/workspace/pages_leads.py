"""Leads: the list, the record, what one does on it, why an agent was chosen, and a lead typed by hand."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from filiera.capture.models import MarketingSource
from filiera.contacts import phones, tags
from filiera.contacts import queries as contacts
from filiera.contacts.duplicates import commands as duplicates
from filiera.contacts.models import Contact, ContactPhone, DuplicateSuggestion, LeadState
from filiera.identity.permissions import demand, requires
from filiera.journeys import manual
from filiera.pipeline import commands as pipeline
from filiera.pipeline import exporting, lead_conditions
from filiera.pipeline import queries as pipeline_queries
from filiera.pipeline.models import Activity, Deal
from filiera.platform import formats
from filiera.platform.refusals import Invalid, Missing, Refused
from filiera.routing import charts, gate
from filiera.routing import commands as routing
from filiera.routing import queries as routing_queries
from filiera.routing.models import Process
from filiera.workspace import (
    bulk_actions,
    calls,
    lead_list,
    lead_record,
    lead_rows,
    pages_tags,
    queries,
    saved_views,
    timeline,
)
from filiera.workspace.lead_list import Asked
from filiera.workspace.lead_rows import COLUMNS, Column, Painter
from filiera.workspace.models import SavedView
from filiera.workspace.pages import principal_of

FIRST_YEAR, LAST_YEAR = 2000, 2100
RECORDED_BY_HAND = ("nota", "chiamata", "visita", "preventivo", "email", "rifiuto")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a person that is edited in place."""

    name: str
    label: str
    value: str
    shown: str
    inputmode: str = ""
    longest: int = 100
    checked: bool = False
    is_number: bool = False
    assumed: str = ""
    invalid: bool = False
    first: bool = False


# The list


@require_GET
@requires("view_contacts")
def lead_index(request: HttpRequest) -> HttpResponse:
    """Show the leads the address asks for, fifty at a time."""
    principal, now = principal_of(request), timezone.now()
    me, asked = principal.user, Asked.read(request.GET)
    found = lead_list.page(asked, me=me, after=request.GET.get("dopo", ""), now=now, brand=principal.brand)
    choice = saved_views.choice_of(me)
    saved = saved_views.views_of(principal, choice)
    shown = [(one.view.name, one.asked) for one in saved if one.is_pinned or one.view.pk == asked.view]
    views = lead_list.views(asked, me=me, now=now, saved=shown)
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
@requires("export_data")
def export_list(request: HttpRequest) -> StreamingHttpResponse:
    """Take the leads the address asks for away as a file."""
    principal, asked = principal_of(request), Asked.read(request.GET)
    wanted = asked.wanted(me=principal.user, now=timezone.now())
    kind = "jsonl" if request.GET.get("formato") == "jsonl" else "csv"
    return exporting.download(principal, wanted, kind, asked=asked.address)


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
    return _record(request, contacts.contact_for(contact_id))


@require_GET
@requires("view_routing")
def why(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Explain a decision with names and arithmetic; over the record when its address is opened straight."""
    contact = contacts.contact_for(contact_id)
    context = _why(request, contact)
    if request.headers.get("X-Drawer"):
        return render(request, "workspace/why.html", context)
    under = reverse("lead", args=[contact.pk])
    return _record(request, contact, context | {"drawer": "workspace/why.html", "drawer_under": under})


def _record(request: HttpRequest, contact: Contact, more: dict[str, Any] | None = None) -> HttpResponse:
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
        "fields": _fields(contact, found.number),
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


def _why(request: HttpRequest, contact: Contact) -> dict[str, Any]:
    me, now = principal_of(request).user, timezone.now()
    decisions = routing_queries.decisions_of(contact.pk)
    wanted = _uuid(request.GET.get("decisione", ""))
    decision = next((one for one in decisions if one.pk == wanted), decisions[0] if decisions else None)
    title = _("Perché a me?")
    if decision is None:
        return {"contact": contact, "why": None, "title": _("Perché?")}
    explanation = routing_queries.explain(decision)
    chosen = next((line for line in explanation.candidates if line.is_chosen), None)
    mine = chosen is not None and str(chosen.user_id or "") == str(me.pk)
    if not mine:
        title = _("Perché a %(name)s?") % {"name": chosen.name} if chosen else _("Perché a nessuno?")
    return {
        "contact": contact,
        "now": now,
        "title": title,
        "why": explanation,
        "sentence": _why_sentence(explanation, chosen, mine, me.name),
        "by_credit": explanation.rule == "credit",
        "weights": sum(line.weight for line in explanation.candidates),
        "candidates": _candidates(explanation, me.pk),
        "excluded": [_excluded(line) for line in explanation.excluded],
        "attempts": [
            entry
            for entry in timeline.of(contact.pk)
            if entry.kind == "chiamate" and entry.look in {"live", "auto"} and not entry.link
        ],
        "short_id": str(decision.pk)[:13],
        "for_support": f"decision {decision.pk} rule {explanation.rule} v{explanation.version} "
        f"at {decision.created_at.isoformat()} replays {explanation.replays}",
    }


def _why_sentence(explanation: Any, chosen: Any, mine: bool, my_name: str) -> str:
    if chosen is None:
        return str(explanation.reason)
    free = len(explanation.candidates)
    who = _("te, %(name)s") % {"name": my_name.split()[0]} if mine else chosen.name
    if explanation.rule == "credit":
        words = ngettext(
            "Tocca a %(who)s: era l’unica persona libera.",
            "Tocca a %(who)s: il credito più alto tra i %(n)s agenti liberi.",
            free,
        )
    else:
        words = ngettext(
            "Tocca a %(who)s: di turno, e nessun altro era libero.",
            "Tocca a %(who)s: il primo di turno tra i %(n)s agenti liberi.",
            free,
        )
    return words % {"who": who, "n": free}


def _candidates(explanation: Any, me: UUID) -> list[dict[str, Any]]:
    lines = []
    for place, line in enumerate(explanation.candidates, 1):
        note = _("riceve il lead") if line.is_chosen else _("libero")
        if line.is_chosen and explanation.rule == "credit":
            note = _("riceve il lead, paga 1")
        lines.append(
            {
                "name": line.name,
                "mine": str(line.user_id or "") == str(me),
                "weight": line.weight,
                "credit_before": line.credit_before,
                "share": line.share,
                "credit": line.credit,
                "credit_after": line.credit_after,
                "is_chosen": line.is_chosen,
                "note": note,
                "place": place,
                "bar": charts.credit(float(line.credit)),
            }
        )
    return lines


def _excluded(line: Any) -> dict[str, Any]:
    looks = {
        "busy": ("live", "phone-call"),
        "at_capacity": ("live", "phone-call"),
        "out_of_hours": ("", "calendar-week"),
        "on_leave": ("", "calendar-week"),
        "daily_limit": ("warn", "alert-triangle"),
        "unknown_status": ("warn", "alert-triangle"),
        "outbound_off": ("warn", "alert-triangle"),
        "paused": ("", "player-pause"),
        "disabled": ("", "player-pause"),
    }
    tone, glyph = looks.get(line.reason, ("", "moon"))
    return {
        "name": line.name,
        "mine": False,
        "credit": line.credit,
        "sentence": line.sentence,
        "tone": tone,
        "icon": glyph,
    }


# What one does on a record


@require_POST
@requires("manage_activities")
def record_activity(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Save what was done, or plan what is to be done: a date ahead makes it a task (PIP-20)."""
    contact, now = contacts.contact_for(contact_id), timezone.now()
    kind = request.POST.get("tipo", "").lower()
    if kind not in Activity.Type.values:
        raise Invalid(_("Scegli il tipo dell’attività."), details={"tipo": [_("Tipo sconosciuto.")]})
    at = _moment(request.POST.get("data", ""))
    planned = at is not None and at > now
    note = request.POST.get("nota", "").replace("\x00", "").strip()[:10_000]
    before = contact.status
    try:
        pipeline.record_activity(
            contact_id=contact.pk,
            type=kind,
            now=now,
            user_id=principal_of(request).user.pk,
            note=note,
            status=Activity.Status.PLANNED if planned else Activity.Status.DONE,
            scheduled_at=at if planned else None,
            occurred_at=None if planned else (at or now),
            opening_said=request.POST.get("apertura") == "on",
        )
    except gate.OpeningNotSaid as refusal:
        messages.error(request, str(refusal))
        return redirect("lead", contact.pk)
    contact.refresh_from_db(fields=["status"])
    words = _("%(what)s in agenda per %(when)s.") if planned else _("%(what)s salvata.")
    text = words % {"what": Activity.Type(kind).label, "when": formats.moment(at, now) if at else ""}
    if contact.status != before:
        text += " " + _("Ora è %(state)s.") % {"state": LeadState(contact.status).label}
    messages.success(request, text)
    return redirect("lead", contact.pk)


@require_POST
@requires("manage_activities")
def finish_activity(request: HttpRequest, activity_id: UUID) -> HttpResponse:
    """Tick off what was planned, or take it away."""
    activity = Activity.objects.filter(pk=activity_id).first()
    if activity is None:
        raise Missing(_("Questa attività non c’è, o non è più qui."))
    now = timezone.now()
    if request.POST.get("stato") == "cancelled":
        pipeline.cancel_activity(activity_id=activity.pk, now=now)
        messages.success(request, _("Tolta da quello che c’è da fare."))
    else:
        try:
            pipeline.edit_activity(activity_id=activity.pk, changes={"status": Activity.Status.DONE}, now=now)
            messages.success(request, _("Fatta."))
        except gate.OpeningNotSaid:
            messages.error(
                request, _("È una promozione: salva la chiamata qui sotto, con l’avviso di apertura.")
            )
    return redirect("lead", activity.contact_id)


@require_POST
@requires("manage_deals")
def move(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Move the deal of a lead to a stage; a stale page is told so and nothing moves (PIP-30)."""
    contact = contacts.contact_for(contact_id)
    deal = Deal.objects.filter(contact=contact).order_by("-opened_at").first()
    stage_id = _uuid(request.POST.get("stage", ""))
    if deal is None or stage_id is None:
        raise Missing(_("Questa trattativa non c’è, o non è più qui."))
    version = request.POST.get("version", "")
    try:
        moved = pipeline.move_deal(
            deal_id=deal.pk,
            stage_id=stage_id,
            now=timezone.now(),
            user_id=principal_of(request).user.pk,
            version=int(version) if version.isdecimal() else None,
            lost_reason=request.POST.get("lost_reason", "").replace("\x00", "").strip()[:1000],
            amount=_amount(request.POST.get("amount", "")),
        )
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("lead", contact.pk)
    stage = moved.current_stage
    name = stage.name if stage else moved.get_status_display()
    messages.success(request, _("Spostata in %(stage)s.") % {"stage": name})
    return redirect("lead", contact.pk)


@require_POST
@requires("manage_deals")
def reopen(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Open a closed deal again, from today."""
    contact = contacts.contact_for(contact_id)
    deal = (
        Deal.objects.filter(contact=contact).exclude(status=Deal.Status.OPEN).order_by("-opened_at").first()
    )
    if deal is None:
        raise Missing(_("Questa trattativa non c’è, o non è più qui."))
    try:
        pipeline.reopen_deal(deal_id=deal.pk, now=timezone.now(), user_id=principal_of(request).user.pk)
        messages.success(request, _("Trattativa riaperta."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("lead", contact.pk)


@require_POST
@requires("edit_contacts")
def call(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Let the next agent's telephone ring for this lead."""
    contact = contacts.contact_for(contact_id)
    process = Process.objects.filter(contact=contact).order_by("-created_at").first()
    if process is None:
        raise Missing(_("Per questo lead non c’è una chiamata da far partire."))
    try:
        routing.retry_process(process_id=process.pk, now=timezone.now())
        messages.success(request, _("Fatto: squilla il primo agente libero."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("lead", contact.pk)


@require_POST
@requires("edit_contacts")
def delete(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Put a lead into the bin, with a way back (UI-56)."""
    contact = contacts.contact_for(contact_id)
    pipeline.delete_leads(contact_ids=[contact.pk], now=timezone.now(), user_id=principal_of(request).user.pk)
    undo = reverse("lead-restore", args=[contact.pk])
    text = _("%(name)s è nel cestino per 30 giorni.") % {"name": contact.full_name or _("Il lead")}
    messages.success(request, text, extra_tags=f"undo:{undo}")
    return redirect("lead-list")


@require_POST
@requires("edit_contacts")
def restore(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Take a lead out of the bin."""
    pipeline.restore_leads(
        contact_ids=[contact_id], now=timezone.now(), user_id=principal_of(request).user.pk
    )
    messages.success(request, _("Ripristinato."))
    return redirect("lead", contact_id)


@require_POST
@requires("edit_contacts")
def not_duplicate(request: HttpRequest, contact_id: UUID, suggestion_id: UUID) -> HttpResponse:
    """Remember that two people are two (UI-04)."""
    contact = contacts.contact_for(contact_id)
    either = Q(contact=contact) | Q(other=contact)
    pair = DuplicateSuggestion.objects.filter(either, pk=suggestion_id).first()
    if pair is not None:
        duplicates.dismiss(
            first_id=pair.contact_id,
            second_id=pair.other_id,
            now=timezone.now(),
            user_id=principal_of(request).user.pk,
        )
        messages.success(request, _("Non è un doppione: non verrà più segnalato."))
    return redirect("lead", contact.pk)


# Fields in place


@require_http_methods(["GET", "POST"])
@requires("edit_contacts")
def field(request: HttpRequest, contact_id: UUID, name: str) -> HttpResponse:
    """Show one field, its editor, or save it. The old value is compared, so that nobody overwrites unseen (UI-29)."""
    contact = contacts.contact_for(contact_id)
    number = _main_number(contact)
    one = _field(contact, number, name)
    if request.method == "GET":
        part = "_field.html" if "mostra" in request.GET else "_field_edit.html"
        return render(request, f"workspace/record/{part}", {"contact": contact, "field": one})
    tried = _tried(request, contact, one)
    if tried.refusal:
        if not request.headers.get("HX-Request"):
            messages.error(request, tried.refusal)
            return redirect("lead", contact.pk)
        context = {"contact": contact, "field": one, "tried": tried}
        return render(request, "workspace/record/_field_edit.html", context, status=422)
    if not request.headers.get("HX-Request"):
        return redirect("lead", contact.pk)
    contact.refresh_from_db()
    saved = _field(contact, _main_number(contact), name)
    return render(request, "workspace/record/_field.html", {"contact": contact, "field": saved})


@dataclass(frozen=True, slots=True)
class Tried:
    """A value that somebody typed: what is against it, and for a conflict what there was when they began (UI-29)."""

    typed: str
    refusal: str = ""
    original: str | None = None
    as_it_was: str = ""  # what sends the original, as JSON


def _tried(request: HttpRequest, contact: Contact, one: Field) -> Tried:
    """Save what was typed, unless it is wrong or the field became something else meanwhile."""
    typed = request.POST.get("value", "").replace("\x00", "").strip()
    was = request.POST.get("was", one.value)
    if one.value not in (was, typed):
        words = _("Nel frattempo è diventato “%(theirs)s”. Invio di nuovo per tenere il tuo.")
        values = json.dumps({"value": was, "was": one.value})
        return Tried(typed, words % {"theirs": one.value}, was, values)
    try:
        _save_field(request, contact, one.name, typed)
    except Refused as refused:
        told = " ".join(sentence for sentences in refused.details.values() for sentence in sentences)
        return Tried(typed, told or str(refused))
    return Tried(typed)


@require_POST
@requires("edit_contacts")
def check_field(request: HttpRequest, contact_id: UUID, name: str) -> HttpResponse:
    """Say what is wrong with a value as it is typed (UI-30)."""
    brand = principal_of(request).brand
    return _told(lead_record.number_problem(request.POST.get("value", ""), brand) if name == "phone" else "")


@require_POST
@requires("create_lead")
def check_number(request: HttpRequest) -> HttpResponse:
    """Say what is wrong with a number as it is typed into the form of a new lead."""
    return _told(lead_record.number_problem(request.POST.get("Telefono", ""), principal_of(request).brand))


@require_http_methods(["GET", "POST"])
@requires("edit_contacts")
def cell(request: HttpRequest, contact_id: UUID, name: str = "phone") -> HttpResponse:
    """Edit a value in the list: the cell becomes a field and comes back as a cell."""
    if name not in lead_rows.CELLS:
        raise Missing(_("Questo campo non c’è."))
    contact = contacts.contact_for(contact_id)
    one = _field(contact, _main_number(contact), name)
    tried = _tried(request, contact, one) if request.method == "POST" else None
    if (tried and not tried.refusal) or "mostra" in request.GET:
        [row] = lead_list.rows_of([contact.pk], me=principal_of(request).user.pk, now=timezone.now())
        return HttpResponse(lead_rows.CELLS[name](Painter([]), row))
    context = {"contact": contact, "field": one, "tried": tried}
    status = 422 if tried else 200
    return render(request, "workspace/leads/_cell_edit.html", context, status=status)


def _save_field(request: HttpRequest, contact: Contact, name: str, typed: str) -> None:
    """Write one field; a corrected number lets the call that could not be made go out."""
    value: Any = typed
    if name == "age":
        if typed and not typed.isdecimal():
            raise Invalid(_("L’età è un numero."))
        value = int(typed) if typed else None
    user = principal_of(request).user
    pipeline.edit_lead(contact_id=contact.pk, changes={name: value}, now=timezone.now(), user_id=user.pk)
    if name == "phone":
        _call_now_that_one_can(contact)


def _call_now_that_one_can(contact: Contact) -> None:
    process = Process.objects.filter(contact=contact).order_by("-created_at").first()
    number = _main_number(contact)
    if process is None or number is None or not number.is_valid:
        return
    if process.state == Process.State.DONE and process.error_code in calls.BAD_NUMBER:
        # The number is corrected all the same; the call button says why nobody is rung.
        with contextlib.suppress(gate.CallNotAllowed):
            routing.retry_process(process_id=process.pk, now=timezone.now(), number_e164=number.phone_e164)


def _told(sentence: str) -> HttpResponse:
    return HttpResponse(sentence, content_type="text/plain; charset=utf-8")


def _main_number(contact: Contact) -> ContactPhone | None:
    return (
        ContactPhone.objects.filter(contact=contact, is_active=True)
        .order_by("-is_primary", "created_at")
        .first()
    )


def _typed(number: ContactPhone | None) -> str:
    return (number.phone_e164 or number.phone_raw) if number else ""


def _fields(contact: Contact, number: ContactPhone | None) -> list[Field]:
    """Return the fields of a person in their order on the page."""
    shown = (phones.display(number.phone_e164) if number.phone_e164 else number.phone_raw) if number else ""
    return [
        Field(
            "phone",
            _("Telefono"),
            _typed(number),
            shown,
            inputmode="tel",
            longest=40,
            checked=True,
            is_number=True,
            assumed=(number.country_code or "") if number and number.assumed_country else "",
            invalid=number is not None and not number.is_valid,
            first=True,
        ),
        Field("email", _("E-mail"), contact.email or "", contact.email or "", inputmode="email", longest=255),
        Field("first_name", _("Nome"), contact.first_name, contact.first_name),
        Field("last_name", _("Cognome"), contact.last_name, contact.last_name),
        Field("company_name", _("Azienda"), contact.company_name, contact.company_name, longest=255),
        Field("city", _("Città"), contact.city, contact.city),
        Field("cap", _("CAP"), contact.cap, contact.cap, inputmode="numeric", longest=10, is_number=True),
        Field(
            "age",
            _("Età"),
            "" if contact.age is None else str(contact.age),
            "" if contact.age is None else str(contact.age),
            inputmode="numeric",
            longest=3,
            is_number=True,
        ),
    ]


def _field(contact: Contact, number: ContactPhone | None, name: str) -> Field:
    for one in _fields(contact, number):
        if one.name == name:
            return one
    raise Missing(_("Questo campo non c’è."))


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


def _moment(text: str) -> datetime | None:
    """Return a moment typed in the brand's zone, or None for nothing typed. Raises Invalid for what is no moment."""
    if not text:
        return None
    try:
        at = parse_datetime(text)
    except ValueError:
        at = None
    if at is None or not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise Invalid(
            _("La data non si legge: giorno, mese, anno e ora."), details={"data": [_("Data non valida.")]}
        )
    return timezone.make_aware(at) if timezone.is_naive(at) else at


def _amount(text: str) -> Decimal | None:
    """Return an amount typed the Italian or the English way. Raises Invalid for what is no amount."""
    plain = text.replace("€", "").replace(" ", "").strip()
    if not plain:
        return None
    if "," in plain:
        plain = plain.replace(".", "").replace(",", ".")
    try:
        amount = Decimal(plain)
    except InvalidOperation as error:
        raise Invalid(_("L’importo è un numero, per esempio 1.140,00.")) from error
    if not amount.is_finite() or not 0 <= amount < 100_000_000:
        raise Invalid(_("L’importo va da 0 a 99.999.999,99."))
    return amount.quantize(Decimal("0.01"))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
