"""Many leads at once: what would happen, how far it is, stopping it and taking it back (UI-25 to UI-27)."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from filiera.identity.permissions import demand, requires
from filiera.pipeline import queries as pipeline
from filiera.platform import formats
from filiera.platform.refusals import Invalid
from filiera.workspace import bulk, bulk_actions
from filiera.workspace.bulk_actions import Action
from filiera.workspace.lead_list import Asked
from filiera.workspace.models import BulkRow, BulkRun
from filiera.workspace.pages import back, principal_of
from filiera.workspace.tasks import carry_out

AT_ONCE = 50
"""Leads that a deed without surprises changes while one waits; more go to the background."""


@require_POST
@requires("edit_contacts")
def begin(request: HttpRequest) -> HttpResponse:
    """Say what a deed would do; a small one that leaves nobody out and can be taken back is done at once."""
    action, ids, now = _asked_for(request), _chosen(request), timezone.now()
    if not ids:
        messages.info(request, _("Scegli a chi assegnare, e almeno un lead."))
        return back(request)
    try:
        options = action.checked(request.POST.dict())
    except Invalid as refusal:
        messages.info(request, str(refusal))
        return back(request)
    seen = bulk.preview(action, ids, options=options, now=now)
    is_small = len(ids) <= AT_ONCE and not seen.skipped and not request.POST.get("tutti")
    if is_small and not action.is_dangerous:
        run = bulk.plan(action, ids, options=options, user_id=principal_of(request).user.pk, now=now)
        bulk.carry_out(run.pk, brand_id=run.brand_id)
        run.refresh_from_db()
        _told(request, action, run)
        return back(request)
    context = {
        "page": "leads",
        "page_title": action.label,
        "action": action,
        "preview": seen,
        "options": options,
        "chosen": [] if request.POST.get("tutti") else ids,
        "all_of": request.POST.get("tutti", ""),
        "next": request.POST.get("next", reverse("lead-list")),
        "is_more": len(ids) == bulk.MOST,
        "most": bulk.MOST,
    }
    return render(request, "workspace/leads/bulk_preview.html", context)


@require_POST
@requires("edit_contacts")
def start(request: HttpRequest) -> HttpResponse:
    """Carry out what was previewed, in the background."""
    action, ids, now = _asked_for(request), _chosen(request), timezone.now()
    if not ids:
        raise Invalid(_("Scegli almeno un lead."))
    user = principal_of(request).user
    options = action.checked(request.POST.dict())
    run = bulk.plan(action, ids, options=options, user_id=user.pk, now=now)
    carry_out.defer(brand_id=str(run.brand_id), run_id=str(run.pk), user_id=str(user.pk))
    return redirect("bulk-run", run.pk)


@require_GET
@requires("view_contacts")
def show(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Show how far a deed is, and what came of it."""
    run, now = bulk.run_for(run_id), timezone.now()
    action, counts = bulk_actions.action_of(run.action), bulk.counts_of(run)
    context = {
        "page": "leads",
        "page_title": action.label,
        "now": now,
        "run": run,
        "words": action.words(run.options),
        "counts": counts,
        "left_alone": [] if run.is_under_way else bulk.left_alone(run),
        "may_undo": bulk.may_undo(run, now=now) and counts[BulkRow.Outcome.DONE] > 0,
        "until": run.finished_at + bulk.UNDO_FOR if run.finished_at else None,
    }
    return render(request, "workspace/leads/bulk_run.html", context)


@require_POST
@requires("edit_contacts")
def stop(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Stop a deed where it stands."""
    bulk.cancel(run_id, now=timezone.now())
    return redirect("bulk-run", run_id)


@require_POST
@requires("edit_contacts")
def undo(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Take a deed back: a small one at once, as the toast promises, a large one in the background."""
    run = bulk.run_for(run_id)
    demand(request, bulk_actions.action_of(run.action).permission)
    run, user = bulk.begin_undo(run_id, now=timezone.now()), principal_of(request).user
    if run.total <= AT_ONCE:
        bulk.carry_out(run.pk, brand_id=run.brand_id)
    else:
        carry_out.defer(brand_id=str(run.brand_id), run_id=str(run.pk), user_id=str(user.pk))
    return redirect("bulk-run", run_id)


def _asked_for(request: HttpRequest) -> Action:
    action = bulk_actions.action_of(request.POST.get("azione") or "assegna")
    demand(request, action.permission)
    return action


def _chosen(request: HttpRequest) -> list[UUID]:
    """Return the leads of the form: those ticked, or all that the list of an address finds."""
    if everybody := request.POST.get("tutti", ""):
        wanted = Asked.read(QueryDict(everybody.removeprefix("?"))).wanted(
            me=principal_of(request).user, now=timezone.now()
        )
        return pipeline.ids_of(wanted, most=bulk.MOST)
    return ticked(request)


def ticked(request: HttpRequest) -> list[UUID]:
    """Return the leads that are ticked in a form, each once."""
    found = (_uuid(text) for text in request.POST.getlist("lead")[: bulk.MOST])
    return list(dict.fromkeys(one for one in found if one is not None))


def _told(request: HttpRequest, action: Action, run: BulkRun) -> None:
    """Say what was done, with its way back."""
    counts = bulk.counts_of(run)
    done = counts[BulkRow.Outcome.DONE]
    words = ngettext("%(what)s: %(n)s lead.", "%(what)s: %(n)s lead.", done)
    text = words % {"what": action.words(run.options), "n": formats.number(done)}
    if failed := counts[BulkRow.Outcome.FAILED]:
        text += " " + _("%(n)s non sono cambiati.") % {"n": formats.number(failed)}
    messages.success(request, text, extra_tags=f"undo:{reverse('bulk-undo', args=[run.pk])}")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


urlpatterns: list[URLPattern] = [
    path("leads/massa", begin, name="bulk"),
    path("leads/massa/avvia", start, name="bulk-start"),
    path("leads/massa/<uuid:run_id>", show, name="bulk-run"),
    path("leads/massa/<uuid:run_id>/ferma", stop, name="bulk-stop"),
    path("leads/massa/<uuid:run_id>/annulla", undo, name="bulk-undo"),
]
