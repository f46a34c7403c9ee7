"""The pages of imports: the list of them, and one page for each that always shows the step it stands at."""

import re
from datetime import date
from typing import Any, BinaryIO, cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from filiera.capture.models import MarketingSource
from filiera.contacts import consent_rules
from filiera.contacts.importing import commands, faults, fields, files, rows, running, undoing
from filiera.contacts.importing.commands import Origin
from filiera.contacts.importing.files import Options
from filiera.contacts.models import Consent, ImportedContact, ImportFault, ImportRun
from filiera.identity import audit
from filiera.identity.models import AuditEntry
from filiera.identity.permissions import demand, requires
from filiera.platform.refusals import Invalid, Refused

Status = ImportRun.Status
MOST_LISTED = 50
MOST_FAULTS = 100
MANAGE = "manage_intake"
STEPS = ("lettura", "colonne", "origine", "prova")


@require_GET
@requires(MANAGE)
def index(request: HttpRequest) -> HttpResponse:
    """Show the imports of the brand, the latest first, and take a new file."""
    return _index(request)


@require_POST
@requires(MANAGE)
def upload(request: HttpRequest) -> HttpResponse:
    """Take a file in and go on to how it is read."""
    sent = request.FILES.get("file")
    try:
        if sent is None:
            raise Invalid(_("Scegli un file: CSV o foglio .xlsx."))
        run = commands.take_file(
            cast("BinaryIO", sent),
            name=sent.name or "",
            user_id=demand(request, MANAGE).user.pk,
            now=timezone.now(),
        )
    except Invalid as refusal:
        return _index(request, refusal)
    return redirect("import", run.pk)


def _index(request: HttpRequest, refusal: Refused | None = None) -> HttpResponse:
    runs = ImportRun.objects.select_related("created_by").order_by("-created_at")[:MOST_LISTED]
    context = {
        "page": "leads",
        "page_title": _("Importa"),
        "runs": runs,
        "now": timezone.now(),
        "refusal": refusal,
        "oldest_undo": timezone.now() - undoing.TERM,
    }
    return render(request, "contacts/imports.html", context, status=refusal.status if refusal else 200)


@require_GET
@requires(MANAGE)
def show(request: HttpRequest, import_id: UUID) -> HttpResponse:
    """Show an import at the step it stands at, or at an earlier one that is asked for."""
    return _page(request, commands.run_for(import_id))


@require_POST
@requires(MANAGE)
def read_again(request: HttpRequest, import_id: UUID) -> HttpResponse:
    """Read the file another way."""
    asked = request.POST
    options = Options(
        encoding=asked.get("encoding", ""),
        delimiter={"tab": "\t"}.get(asked.get("delimiter", ""), asked.get("delimiter", "")),
        has_header=asked.get("has_header") == "on",
        date_order=asked.get("date_order", ""),
        decimal=asked.get("decimal", ""),
    )
    try:
        commands.set_options(run_id=import_id, options=options, now=timezone.now())
    except Invalid as refusal:
        return _page(request, commands.run_for(import_id), step="lettura", refusal=refusal)
    return _to(import_id, "lettura" if "rileggi" in asked else "colonne")


@require_POST
@requires(MANAGE)
def set_columns(request: HttpRequest, import_id: UUID) -> HttpResponse:
    """Keep what each column is, and what may change of who is known."""
    asked = request.POST
    run = commands.run_for(import_id)
    source = asked.get("source", "")
    mapping = {str(place): asked.get(f"column-{place}", "") for place in range(len(run.headers))}
    try:
        commands.set_columns(
            run_id=import_id,
            mapping=mapping,
            match=asked.get("match", ""),
            policies={name: asked.get(f"policy-{name}", "") for name in fields.FIELDS},
            source_id=_uuid(source),
            now=timezone.now(),
        )
    except Invalid as refusal:
        run.mapping = mapping
        return _page(request, run, step="colonne", refusal=refusal)
    return _to(import_id, "origine")


@require_POST
@requires(MANAGE)
def set_origin(request: HttpRequest, import_id: UUID) -> HttpResponse:
    """Keep where the list comes from, and try the whole file."""
    asked = request.POST
    has_consent = asked.get("consent") == "yes"
    origin = Origin(
        basis=asked.get("basis", ""),
        collected_by=asked.get("collected_by", ""),
        collected_on=_date(asked.get("collected_on", "")),
        text=asked.get("text", "") if has_consent else "",
        proof=asked.get("proof", "") if has_consent else "",
        is_sample_checked=asked.get("sample") == "on",
    )
    try:
        if asked.get("consent") not in ("yes", "no"):
            raise Invalid(
                _("Mancano risposte sull’origine dei contatti."),
                details={"consent": [_("Dì se hanno dato un consenso alle promozioni.")]},
            )
        if has_consent and not origin.text.strip():
            raise Invalid(
                _("Mancano risposte sull’origine dei contatti."),
                details={"text": [_("Servono le parole esatte che hanno letto o sentito.")]},
            )
        commands.set_origin(run_id=import_id, origin=origin, now=timezone.now())
        commands.start_check(run_id=import_id, now=timezone.now())
    except Invalid as refusal:
        run = commands.run_for(import_id)
        typed = {
            name: asked.get(name, "") for name in ("basis", "collected_by", "collected_on", "text", "proof")
        }
        run.origin = {
            **typed,
            "consent": asked.get("consent", ""),
            "is_sample_checked": origin.is_sample_checked,
        }
        return _page(request, run, step="origine", refusal=refusal)
    return redirect("import", import_id)


@require_POST
@requires(MANAGE)
def check_again(request: HttpRequest, import_id: UUID) -> HttpResponse:
    """Try the whole file once more."""
    return _do(request, import_id, lambda: commands.start_check(run_id=import_id, now=timezone.now()))


@require_POST
@requires(MANAGE)
def start(request: HttpRequest, import_id: UUID) -> HttpResponse:
    """Bring the people in."""
    return _do(request, import_id, lambda: commands.start(run_id=import_id, now=timezone.now()))


@require_POST
@requires(MANAGE)
def stop(request: HttpRequest, import_id: UUID) -> HttpResponse:
    """Stop a trial or an import where it stands."""
    return _do(request, import_id, lambda: commands.stop(run_id=import_id, now=timezone.now()))


@require_POST
@requires(MANAGE)
def undo(request: HttpRequest, import_id: UUID) -> HttpResponse:
    """Take an import back."""
    user_id = demand(request, MANAGE).user.pk
    return _do(
        request, import_id, lambda: commands.start_undo(run_id=import_id, user_id=user_id, now=timezone.now())
    )


@require_POST
@requires(MANAGE)
def discard(request: HttpRequest, import_id: UUID) -> HttpResponse:
    """Throw a file away that was not brought in."""
    commands.discard(run_id=import_id)
    messages.success(request, _("File tolto: non è entrato nessuno."))
    return redirect("imports")


@require_GET
@requires(MANAGE)
def to_mend(request: HttpRequest, import_id: UUID) -> HttpResponse:
    """Hand out the rows to be mended, as they came, with what is wrong; that it was done is on record."""
    run = commands.run_for(import_id)
    audit.record(AuditEntry.Action.EXPORT, entity_type="imports", entity_id=run.pk, detail={"what": "faults"})
    stem = re.sub(r"[^\w.-]+", "-", run.file_name.rpartition(".")[0] or run.file_name, flags=re.ASCII).strip(
        "-"
    )
    return HttpResponse(
        "".join(faults.file_of(run)),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{stem[:80] or "import"}-da-correggere.csv"',
            "Cache-Control": "no-store",
        },
    )


def _do(request: HttpRequest, run_id: UUID, verb: Any) -> HttpResponse:
    try:
        verb()
    except Invalid as refusal:
        return _page(request, commands.run_for(run_id), refusal=refusal)
    return redirect("import", run_id)


def _to(run_id: UUID, step: str) -> HttpResponse:
    answer = redirect("import", run_id)
    answer["Location"] += f"?passo={step}"
    return answer


def _page(
    request: HttpRequest, run: ImportRun, *, step: str = "", refusal: Refused | None = None
) -> HttpResponse:
    step = step or _step(run, request.GET.get("passo", ""))
    context: dict[str, Any] = {
        "page": "leads",
        "page_title": run.file_name,
        "run": run,
        "step": step,
        "steps": _steps(run, step),
        "now": timezone.now(),
        "refusal": refusal,
        "wrong": [one for several in refusal.details.values() for one in several] if refusal else [],
        "share": min(100, 100 * run.cursor // max(run.rows_total or 1, 1)),
        **_SHOWS.get(step, _outcome)(run),
    }
    return render(request, "contacts/import.html", context, status=refusal.status if refusal else 200)


def _step(run: ImportRun, asked: str) -> str:
    if run.status not in commands.PREPARING:
        return "corso" if run.status in ImportRun.AT_WORK else "esito"
    if asked in STEPS[:3]:
        return asked
    if run.status == Status.CHECKED:
        return "prova"
    if not run.origin.get("collected_by"):
        return "lettura" if not asked else "origine"
    return "prova"


def _steps(run: ImportRun, current: str) -> list[dict[str, Any]]:
    """Return the way of an import: name, words, whether it is done, and whether one can go back to it."""
    words = {
        "lettura": _("Come si legge"),
        "colonne": _("Colonne"),
        "origine": _("Da dove vengono"),
        "prova": _("Prova"),
        "corso": _("Importazione"),
        "esito": _("Esito"),
    }
    names = list(words)
    place = names.index("prova" if run.status == Status.CHECKING else current)
    is_open = run.status in commands.PREPARING
    return [
        {
            "name": name,
            "label": label,
            "is_current": names.index(name) == place,
            "is_done": names.index(name) < place,
            "can_open": is_open and name in STEPS[:3],
        }
        for name, label in words.items()
    ]


def _reading(run: ImportRun) -> dict[str, Any]:
    head = []
    options = Options(**run.options)
    for number, cells in files.rows(running.pieces_of(run.brand_id, run.id), options):
        head.append({"number": number, "cells": (cells + [""] * len(run.headers))[: len(run.headers)]})
        if len(head) == 5:
            break
    return {
        "head": head,
        "options": options,
        "delimiters": [
            (";", _("punto e virgola")),
            (",", _("virgola")),
            ("tab", _("tabulazione")),
            ("|", _("barra")),
        ],
        "delimiter": "tab" if options.delimiter == "\t" else options.delimiter,
        "encodings": [("utf-8", "UTF-8"), ("cp1252", "Windows-1252")],
        "date_orders": [
            ("dmy", _("giorno, mese, anno: 31/12/2026")),
            ("mdy", _("mese, giorno, anno: 12/31/2026")),
            ("ymd", _("anno, mese, giorno: 2026-12-31")),
        ],
        "decimals": [(",", _("virgola: 1.140,50")), (".", _("punto: 1,140.50"))],
    }


def _columns(run: ImportRun) -> dict[str, Any]:
    sample = []
    for one in files.rows(running.pieces_of(run.brand_id, run.id), Options(**run.options)):
        sample.append(one)
        if len(sample) == files.SAMPLE_ROWS:
            break
    values = rows.samples(sample, len(run.headers))
    chosen = {place: name for place, name in run.mapping.items() if name}
    policies = run.rules.get("policies", {})
    return {
        "columns": [
            {
                "place": place,
                "title": title,
                "samples": values[place],
                "field": chosen.get(str(place), ""),
                "policies": _policies(chosen.get(str(place), ""), policies),
            }
            for place, title in enumerate(run.headers)
        ],
        "fields": list(fields.FIELDS.values()),
        "ignored": [title for place, title in enumerate(run.headers) if str(place) not in chosen],
        "matches": [
            (fields.MATCH_BOTH, _("telefono, e se manca e-mail (come per i lead)")),
            (fields.MATCH_PHONE, _("solo il telefono")),
            (fields.MATCH_EMAIL, _("solo l’e-mail")),
        ],
        "match": run.rules.get("match", fields.MATCH_BOTH),
        "sources": MarketingSource.objects.filter(is_active=True).order_by("name"),
        "source": run.rules.get("source", ""),
    }


def _policies(name: str, chosen: dict[str, str]) -> list[dict[str, Any]]:
    words = {
        fields.FILL: _("riempi se è vuoto"),
        fields.OVERWRITE: _("sostituisci"),
        fields.NEVER: _("lascia com’è"),
    }
    field = fields.FIELDS.get(name)
    allowed = field.policies if field else ()
    return [
        {"value": policy, "label": words[policy], "is_on": chosen.get(name, allowed[0]) == policy}
        for policy in allowed
    ]


def _origin(run: ImportRun) -> dict[str, Any]:
    origin = run.origin
    answered = bool(origin.get("collected_by"))
    consent = origin.get("consent", ("yes" if origin.get("text") else "no") if answered else "")
    return {"origin": origin, "consent": consent, "permits": _permits(run), "today": timezone.localdate()}


def _permits(run: ImportRun) -> list[str]:
    """Return what the words permit, in words; [] when they permit nothing."""
    said = commands.permitted(run.origin)
    return [
        str(Consent.Purpose(one.purpose).label)
        + (f" ({Consent.Channel(one.channel).label})" if one.channel else "")
        for one in said
        if one.purpose not in (consent_rules.NOTICE, consent_rules.BUNDLED)
    ]


def _outcome(run: ImportRun) -> dict[str, Any]:
    found = ImportFault.objects.filter(run_id=run.id).order_by("-is_grave", "row_number", "id")
    kept = (
        ImportedContact.objects.filter(run_id=run.id)
        .exclude(undo__in=(ImportedContact.Undo.NOT, ImportedContact.Undo.DONE))
        .select_related("contact")
        .order_by("row_number")
    )
    grants = running.grants_of(run) if run.origin.get("collected_on") else []
    return {
        "faults": [
            {"fault": one, "where": faults.label(one), "words": faults.sentence(one)}
            for one in found[:MOST_FAULTS]
        ],
        "has_more_faults": found.count() > MOST_FAULTS,
        "has_file": found.exclude(code="repeated").exists(),
        "can_undo": run.status in commands.ENDED
        and run.started_at is not None
        and timezone.now() - run.started_at < undoing.TERM,
        "kept": [
            {"who": one.contact, "why": one.get_undo_display(), "fields": [_named(name) for name in one.kept]}
            for one in kept[:MOST_FAULTS]
        ]
        if run.status in (Status.UNDONE, Status.UNDOING)
        else [],
        "permits": _permits(run) if grants else [],
        "asks_consent": bool(run.origin.get("text")),
        "good": sum(run.counts.get(name, 0) for name in ("created", "updated", "unchanged", "repeated")),
    }


def _named(name: str) -> str:
    field = {"marketing_source_id": fields.SOURCE, "assigned_user_id": fields.OWNER}.get(name, name)
    return str(fields.FIELDS[field].label) if field in fields.FIELDS else name


_SHOWS = {"lettura": _reading, "colonne": _columns, "origine": _origin}


def _date(typed: str) -> date | None:
    try:
        return parse_date(typed)
    except ValueError:
        return None


def _uuid(typed: str) -> UUID | None:
    try:
        return UUID(typed) if typed else None
    except ValueError:
        return None


urlpatterns = [
    path("leads/importa", index, name="imports"),
    path("leads/importa/file", upload, name="import-upload"),
    path("leads/importa/<uuid:import_id>", show, name="import"),
    path("leads/importa/<uuid:import_id>/lettura", read_again, name="import-read"),
    path("leads/importa/<uuid:import_id>/colonne", set_columns, name="import-columns"),
    path("leads/importa/<uuid:import_id>/origine", set_origin, name="import-origin"),
    path("leads/importa/<uuid:import_id>/prova", check_again, name="import-check"),
    path("leads/importa/<uuid:import_id>/avvia", start, name="import-start"),
    path("leads/importa/<uuid:import_id>/ferma", stop, name="import-stop"),
    path("leads/importa/<uuid:import_id>/annulla", undo, name="import-undo"),
    path("leads/importa/<uuid:import_id>/togli", discard, name="import-discard"),
    path("leads/importa/<uuid:import_id>/da-correggere", to_mend, name="import-faults"),
]
