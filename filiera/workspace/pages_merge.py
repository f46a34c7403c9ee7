"""Merge leads: choose side by side, see what moves and what closes, and take a merge back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from filiera.contacts import merging, phones
from filiera.contacts import queries as contacts
from filiera.contacts.models import Contact, Merge
from filiera.identity.permissions import requires
from filiera.platform import formats, holdings
from filiera.platform.refusals import Missing, Refused
from filiera.workspace.pages import principal_of

PER_PAGE: Final = 50
LABELS: Final = {
    "first_name": gettext_lazy("Nome"),
    "last_name": gettext_lazy("Cognome"),
    "email": gettext_lazy("E-mail"),
    "company_name": gettext_lazy("Azienda"),
    "city": gettext_lazy("Città"),
    "cap": gettext_lazy("CAP"),
    "age": gettext_lazy("Età"),
    "marketing_source_id": gettext_lazy("Provenienza"),
    "assigned_user_id": gettext_lazy("Di chi è"),
}
STAYED: Final = LABELS | {
    "status": gettext_lazy("Stato"),
    "notes": gettext_lazy("Note"),
    "people": gettext_lazy("Anagrafica"),
    "phones": gettext_lazy("Numeri di telefono"),
    "suggestions": gettext_lazy("Possibili doppioni"),
    "deal": gettext_lazy("Una trattativa chiusa dall’unione"),
}


@dataclass(frozen=True, slots=True)
class Option:
    """The value of one person in a row; `is_choice` where it may be chosen."""

    contact_id: UUID
    text: str
    is_choice: bool = False
    is_chosen: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the comparison: a field, or how much of something each person has."""

    name: str
    label: str
    options: Sequence[Option]
    is_figure: bool = False


@require_http_methods(["GET", "POST"])
@requires("edit_contacts")
def merge(request: HttpRequest) -> HttpResponse:
    """Compare the people that the address names, and make one of them when the form is sent."""
    people = merging.chosen_people(_ids(request))
    given = request.POST if request.method == "POST" else None
    survivor_id = _one_of(people, given.get("resta", "")) if given else None
    chosen = _chosen(people, given) if given else {}
    if given is None:
        return _compare(request, merging.plan(people), chosen)
    try:
        record = merging.merge(
            contact_ids=[one.id for one in people],
            survivor_id=survivor_id,
            chosen=chosen,
            now=timezone.now(),
            user_id=principal_of(request).user.pk,
        )
    except merging.MergedMeanwhile as refusal:
        messages.error(request, str(refusal))
        return redirect("lead-list")
    name = contacts.contact_for(record.survivor_id).full_name or _("Senza nome")
    words = ngettext(
        "%(name)s: due schede ora sono una.", "%(name)s: %(n)s schede ora sono una.", len(people) - 1
    )
    undo = reverse("merge-undo", args=[record.pk])
    messages.success(
        request, words % {"name": name, "n": formats.number(len(people))}, extra_tags=f"undo:{undo}"
    )
    return redirect("lead", record.survivor_id)


@require_GET
@requires("view_contacts")
def past(request: HttpRequest) -> HttpResponse:
    """List the merges that were, newest first, with the way back where there is one."""
    now, page = timezone.now(), _page(request)
    rows, total = merging.past(offset=(page - 1) * PER_PAGE, limit=PER_PAGE)
    context = {
        "page": "leads",
        "page_title": _("Schede unite"),
        "now": now,
        "merges": [_past(row, now) for row in rows],
        "following": page + 1 if page * PER_PAGE < total else None,
        "may_edit": principal_of(request).may("edit_contacts"),
    }
    return render(request, "workspace/merges.html", context)


@require_POST
@requires("edit_contacts")
def undo(request: HttpRequest, merge_id: UUID) -> HttpResponse:
    """Take a merge back, and say what stays as somebody edited it since."""
    try:
        done = merging.undo(merge_id=merge_id, now=timezone.now(), user_id=principal_of(request).user.pk)
    except Missing:
        raise
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("merges")
    back = len(done.record.merged_ids) + 1
    text = _("Annullata: le %(n)s schede sono di nuovo come prima.") % {"n": formats.number(back)}
    if done.kept:
        text = _("Annullata. Quello che è stato cambiato dopo resta, ed è elencato qui.")
    messages.success(request, text)
    return redirect("merges") if done.kept else redirect("lead", done.record.survivor_id)


def _compare(request: HttpRequest, plan: merging.Plan, chosen: Mapping[str, UUID]) -> HttpResponse:
    context = {
        "page": "leads",
        "page_title": _("Unisci le schede"),
        "now": timezone.now(),
        "plan": plan,
        "lines": [*_lines(plan, chosen), *_figures(plan)],
        "warnings": merging.warnings(plan),
        "count": formats.number(len(plan.people)),
    }
    return render(request, "workspace/merge.html", context)


def _lines(plan: merging.Plan, chosen: Mapping[str, UUID]) -> Iterable[Line]:
    numbers = contacts.phones_of(plan.ids)
    yield Line(
        "",
        _("Telefono"),
        [
            Option(
                one.id,
                ", ".join(phones.display(n.phone_e164) or n.phone_raw for n in numbers.get(one.id, [])),
            )
            for one in plan.people
        ],
    )
    yield Line("", _("Stato"), [Option(one.id, one.get_status_display()) for one in plan.people])
    for name, label in LABELS.items():
        texts = {one.id: _text(one, name) for one in plan.people}
        is_open = len({text for text in texts.values() if text}) > 1
        kept = chosen.get(name) or _owner(plan, name)
        if any(texts.values()):
            yield Line(
                name,
                str(label),
                [
                    Option(one, text, is_choice=is_open and bool(text), is_chosen=one == kept)
                    for one, text in texts.items()
                ],
            )


def _owner(plan: merging.Plan, name: str) -> UUID:
    """Return whose value the rule keeps."""
    value = plan.changes.get(name, getattr(plan.survivor, name))
    order = [plan.survivor, *plan.losers]
    return next(one.id for one in order if getattr(one, name) == value)


def _text(contact: Contact, name: str) -> str:
    if name == "marketing_source_id":
        return contact.marketing_source.name if contact.marketing_source else ""
    if name == "assigned_user_id":
        return contact.assigned_user.name if contact.assigned_user else ""
    value = getattr(contact, name)
    return "" if value is None else str(value)


def _figures(plan: merging.Plan) -> Iterable[Line]:
    titles = {one.table: one.title for one in holdings.all_of_them()}
    for table, counts in merging.counts(plan.ids).items():
        options = [Option(one, formats.number(counts.get(one, 0))) for one in plan.ids]
        yield Line("", _(titles.get(table, table)), options, is_figure=True)


def _past(record: Merge, now: datetime) -> dict[str, Any]:
    until = merging.undoable_until(record)
    return {
        "record": record,
        "count": len(record.merged_ids) + 1,
        "until": until,
        "is_open": record.undone_at is None and now <= until,
        "kept": [_stayed(one) for one in record.kept],
    }


def _stayed(one: Mapping[str, Any]) -> str:
    """Return in words what an undo left as somebody had edited it."""
    titles = {holding.table: holding.title for holding in holdings.all_of_them()}
    about = str(STAYED.get(one["about"]) or _(titles.get(one["about"], one["about"])))
    columns = ", ".join(str(STAYED[name]) for name in one["columns"] if name in STAYED)
    return f"{about}: {columns}" if columns else about


def _ids(request: HttpRequest) -> list[UUID]:
    texts = [part for text in request.GET.getlist("ids") for part in text.split(",") if part.strip()]
    try:
        return list(dict.fromkeys(UUID(text.strip()) for text in texts))
    except ValueError as error:
        raise Missing(_("Queste schede non ci sono.")) from error


def _one_of(people: Sequence[Contact], text: str) -> UUID | None:
    return next((one.id for one in people if str(one.id) == text), None)


def _chosen(people: Sequence[Contact], given: Any) -> dict[str, UUID]:
    wanted = {name: _one_of(people, given.get(f"da_{name}", "")) for name in merging.CHOOSABLE}
    return {name: owner for name, owner in wanted.items() if owner is not None}


def _page(request: HttpRequest) -> int:
    text = request.GET.get("pagina", "1")
    return max(1, int(text)) if text.isascii() and text.isdecimal() and len(text) < 5 else 1


urlpatterns = [
    path("leads/unisci", merge, name="lead-merge"),
    path("leads/unioni", past, name="merges"),
    path("leads/unioni/<uuid:merge_id>/annulla", undo, name="merge-undo"),
]
