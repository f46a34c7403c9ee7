"""What one does on a lead's record: activities, the deal's stages, a call, the bin, two who are two."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from uuid import UUID

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from filiera.contacts import queries as contacts
from filiera.contacts.duplicates import commands as duplicates
from filiera.contacts.models import DuplicateSuggestion, LeadState
from filiera.identity.permissions import requires
from filiera.pipeline import commands as pipeline
from filiera.pipeline.models import Activity, Deal
from filiera.platform import formats
from filiera.platform.refusals import Invalid, Missing, Refused
from filiera.routing import commands as routing
from filiera.routing import gate
from filiera.routing.models import Process
from filiera.workspace import pages_duplicates
from filiera.workspace.pages import principal_of

FIRST_YEAR, LAST_YEAR = 2000, 2100


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
        pages_duplicates.told_apart(request, pair.contact_id, pair.other_id)
    return redirect("lead", contact.pk)


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
