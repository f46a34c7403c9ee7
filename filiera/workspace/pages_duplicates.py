"""Doppioni: who may be one person, by the score with its reasons and by the rule, kept apart; people decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from filiera.contacts import phones
from filiera.contacts import queries as contacts
from filiera.contacts.duplicates import commands, queries, reasons, rule
from filiera.contacts.duplicates.queries import Group
from filiera.contacts.models import Contact, DuplicateScan, DuplicateSuggestion
from filiera.identity.permissions import requires
from filiera.platform.refusals import Missing
from filiera.workspace.pages import principal_of

PER_PAGE: Final = 20
VIEWS: Final = ("link", "review", "regola")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two people side by side with their numbers, and what speaks for one person and for two."""

    people: Sequence[tuple[Contact, str]]
    for_one: Sequence[str]
    for_two: Sequence[str]

    @property
    def first(self) -> Contact:
        return self.people[0][0]

    @property
    def second(self) -> Contact:
        return self.people[1][0]


@require_GET
@requires("view_contacts")
def show(request: HttpRequest) -> HttpResponse:
    """Show one of the three views, page by page."""
    view = request.GET.get("vista", "link")
    if view not in VIEWS:
        raise Missing(_("Questa vista non c’è."))
    page = _page(request)
    offset = (page - 1) * PER_PAGE
    pairs, groups = [], []
    if view == "regola":
        groups = queries.by_rule(offset=offset, limit=PER_PAGE + 1)
    else:
        pairs = queries.by_score(view, offset=offset, limit=PER_PAGE + 1)
    shown = [
        *pairs[:PER_PAGE],
        *(pair for group in groups[:PER_PAGE] for pair in group.pairs[: rule.STRONGEST]),
    ]
    numbers = _numbers([person for pair in shown for person in (pair.contact, pair.other)])
    counts = queries.how_many()
    context = _scan(queries.latest()) | {
        "page_title": _("Doppioni"),
        "view": view,
        "views": [
            ("link", _("Quasi certi"), counts["link"]),
            ("review", _("Da guardare"), counts["review"]),
            ("regola", _("Per la regola"), None),
        ],
        "pairs": [_pair(pair, numbers) for pair in pairs[:PER_PAGE]],
        "groups": [_group(group, numbers) for group in groups[:PER_PAGE]],
        "following": page + 1 if max(len(pairs), len(groups)) > PER_PAGE else None,
        "may_edit": principal_of(request).may("edit_contacts"),
    }
    return render(request, "workspace/duplicates.html", context)


@require_GET
@requires("view_contacts")
def progress(request: HttpRequest) -> HttpResponse:
    """Return how far the search is, asked again and again while it runs; at its end the page is read anew."""
    scan = queries.latest()
    answer = render(request, "workspace/duplicates/_scan.html", _scan(scan))
    if scan is None or scan.finished_at is not None:
        answer["HX-Refresh"] = "true"
    return answer


@require_POST
@requires("edit_contacts")
def start(request: HttpRequest) -> HttpResponse:
    """Look for duplicates among everybody."""
    commands.start(now=timezone.now(), user_id=principal_of(request).user.pk)
    return redirect("duplicates")


@require_POST
@requires("edit_contacts")
def stop(request: HttpRequest, scan_id: UUID) -> HttpResponse:
    """Stop a search; what was found before stays."""
    commands.stop(scan_id=scan_id, now=timezone.now())
    messages.success(request, _("Ricerca fermata: restano i doppioni trovati prima."))
    return redirect("duplicates")


@require_POST
@requires("edit_contacts")
def judge(request: HttpRequest, first_id: UUID, second_id: UUID) -> HttpResponse:
    """Remember that two people are two, or with `ripensaci` ask again."""
    if "ripensaci" in request.POST or "ripensaci" in request.GET:
        commands.take_back(first_id=first_id, second_id=second_id)
        messages.success(request, _("Di nuovo tra i possibili doppioni."))
    else:
        commands.dismiss(
            first_id=first_id, second_id=second_id, now=timezone.now(), user_id=principal_of(request).user.pk
        )
        told_apart(request, first_id, second_id)
    view = request.POST.get("vista", "")
    return redirect(f"{reverse('duplicates')}?vista={view if view in VIEWS else 'link'}")


def told_apart(request: HttpRequest, first_id: UUID, second_id: UUID) -> None:
    """Say that two will not be brought up again, with the way back."""
    undo = f"{reverse('duplicates-judge', args=[first_id, second_id])}?ripensaci=1"
    messages.success(request, _("Non è un doppione: non verrà più segnalato."), extra_tags=f"undo:{undo}")


def _scan(scan: DuplicateScan | None) -> dict[str, Any]:
    is_dead = (
        scan is not None
        and scan.finished_at is None
        and scan.status == DuplicateScan.Status.RUNNING
        and timezone.now() - scan.heard_at > commands.SILENT_AFTER
    )
    return {
        "scan": scan,
        "is_running": scan is not None and scan.finished_at is None and not is_dead,
        "is_dead": is_dead or (scan is not None and scan.status == DuplicateScan.Status.FAILED),
        "percent": round(100 * scan.share) if scan else 0,
        "now": timezone.now(),
    }


def _pair(pair: DuplicateSuggestion, numbers: Mapping[UUID, str]) -> Pair:
    return Pair(_people(pair, numbers), reasons.in_words(pair), reasons.against(pair))


def _people(pair: DuplicateSuggestion, numbers: Mapping[UUID, str]) -> list[tuple[Contact, str]]:
    people = sorted((pair.contact, pair.other), key=lambda person: (person.created_at, person.id))
    return [(person, numbers.get(person.id, "")) for person in people]


def _group(group: Group, numbers: Mapping[UUID, str]) -> dict[str, Any]:
    return {
        "crowd": group.crowd,
        "pairs": [
            Pair(_people(pair, numbers), reasons.by_rule(pair.rule, pair.similarity), ())
            for pair in group.pairs[: rule.STRONGEST]
        ],
        "ids": ",".join(str(person.id) for person in group.people),
        "count": len(group.people),
    }


def _numbers(people: Sequence[Contact]) -> dict[UUID, str]:
    found = contacts.phones_of([person.id for person in people])
    return {
        contact_id: ", ".join(phones.display(number.phone_e164) or number.phone_raw for number in numbers)
        for contact_id, numbers in found.items()
    }


def _page(request: HttpRequest) -> int:
    text = request.GET.get("pagina", "1")
    return max(1, int(text)) if text.isascii() and text.isdecimal() and len(text) < 5 else 1


urlpatterns = [
    path("leads/doppioni", show, name="duplicates"),
    path("leads/doppioni/a-che-punto", progress, name="duplicates-progress"),
    path("leads/doppioni/cerca", start, name="duplicates-start"),
    path("leads/doppioni/<uuid:scan_id>/ferma", stop, name="duplicates-stop"),
    path("leads/doppioni/<uuid:first_id>/<uuid:second_id>", judge, name="duplicates-judge"),
]
