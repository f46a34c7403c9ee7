"""The rights of a person, exercised on their record."""

from datetime import datetime
from uuid import UUID

import orjson
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from filiera.contacts import consents, erasure, portability, restriction
from filiera.contacts import queries as contacts
from filiera.contacts.models import Consent, Contact, Erasure, Suppression
from filiera.identity import audit
from filiera.identity.permissions import requires
from filiera.platform.refusals import Invalid
from filiera.routing import gate
from filiera.workspace import lead_record
from filiera.workspace.pages import principal_of

MOST_SHOWN = 200


@require_POST
@requires("edit_contacts")
def oppose(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Block promotional calls at once, as the person asked. Only an act of their own ends it (GD-16)."""
    contact = contacts.contact_for(contact_id)
    consents.withdraw(
        contact,
        text=_("Ha chiesto a voce di non essere più chiamata per promozioni."),
        collected_by=principal_of(request).user.name,
        now=timezone.now(),
        channel="call",
        reason=Suppression.Reason.OPPOSED,
    )
    messages.success(request, _("Registrato: da adesso niente chiamate promozionali."))
    return redirect("lead", contact.pk)


@require_GET
@requires("view_contacts")
def privacy(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Show what a person permitted, with every proof, whether they may be rung, and whether they are left alone."""
    return _privacy(request, contacts.contact_for(contact_id))


@require_POST
@requires("edit_contacts")
def record_consent(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Keep a permission that a colleague collected, with its evidence (GD-02)."""
    contact, now = contacts.contact_for(contact_id), timezone.now()
    typed = {name: request.POST.get(name, "") for name in ("scopo", "canale", "testo", "come", "quando")}
    try:
        consents.record(
            contact,
            purpose=typed["scopo"],
            channel=typed["canale"],
            text=typed["testo"],
            given_at=_moment(typed["quando"], now),
            collected_by=typed["come"],
            language=get_language() or "",
            user_name=principal_of(request).user.name,
            now=now,
        )
    except Invalid as refusal:
        return _privacy(request, contact, typed=typed, refusal=refusal)
    messages.success(request, _("Consenso registrato, con la sua prova."))
    return redirect("lead-privacy", contact.pk)


@require_POST
@requires("edit_contacts")
def withdraw_consent(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Take permissions back as the person asked, on one channel or on all (GD-06)."""
    contact = contacts.contact_for(contact_id)
    channel = request.POST.get("canale", "")
    if channel not in (*(one for one in Consent.Channel.values if one), Suppression.ANY):
        raise Invalid(_("Scegli il canale."), details={"canale": [_("Scegli il canale.")]})
    consents.take_back(
        contact,
        channel=channel,
        reason=Suppression.Reason.WITHDRAWN,
        user_name=principal_of(request).user.name,
        now=timezone.now(),
    )
    messages.success(request, _("Revocato, da adesso e in ogni coda."))
    return redirect("lead-privacy", contact.pk)


@require_POST
@requires("system_settings")
def evidence(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Hand out the proofs of a person's permissions as JSON; that it was made is on record (GD-02)."""
    contact, now = contacts.contact_for(contact_id), timezone.now()
    audit.record("EXPORT", entity_type="contacts", entity_id=contact.id, detail={"what": "consents"})
    return HttpResponse(
        orjson.dumps(consents.evidence_of(contact, now=now), option=orjson.OPT_INDENT_2),
        content_type="application/json",
        headers={
            "Content-Disposition": f'attachment; filename="consensi-{contact_id}.json"',
            "Cache-Control": "no-store",
        },
    )


@require_POST
@requires("edit_contacts")
def restrict(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Let nothing happen by itself about a person any more, for a reason (GD-29)."""
    contact = contacts.contact_for(contact_id)
    typed = {"motivo": request.POST.get("motivo", "")}
    try:
        restriction.restrict(
            contact_id=contact.pk,
            reason=typed["motivo"],
            user_id=principal_of(request).user.pk,
            now=timezone.now(),
        )
    except Invalid as refusal:
        return _privacy(request, contact, typed=typed, refusal=refusal)
    messages.success(request, _("Fatto: da adesso non parte niente da solo."))
    return redirect("lead-privacy", contact.pk)


@require_POST
@requires("system_settings")
def lift_restriction(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Let things take their course again."""
    restriction.lift(contact_id=contact_id, user_id=principal_of(request).user.pk, now=timezone.now())
    messages.success(request, _("Tolta: tutto riprende come prima."))
    return redirect("lead-privacy", contact_id)


def _privacy(
    request: HttpRequest,
    contact: Contact,
    *,
    typed: dict[str, str] | None = None,
    refusal: Invalid | None = None,
) -> HttpResponse:
    principal, now = principal_of(request), timezone.now()
    found = consents.permissions_of(contact)
    verdict = gate.verdict_of(contact.pk, now=now, brand=principal.brand)
    context = {
        "page": "leads",
        "page_title": _("Privacy di %(name)s") % {"name": contact.full_name or _("chi non ha nome")},
        "now": now,
        "contact": contact,
        "call": gate.sentence(verdict, now),
        "may_call": verdict.may,
        "permissions": [
            {"one": one, "why": lead_record.why_of(one, now)} for one in found.rows if one.consent
        ],
        "blocks": found.blocks,
        "history": Consent.objects.filter(contact_id=contact.pk).order_by("-at", "-id")[:MOST_SHOWN],
        "purposes": [(value, Consent.Purpose(value).label) for value in consents.PERMITTING],
        "channels": [(value, label) for value, label in Consent.Channel.choices if value],
        "typed": typed or {},
        "refusal": str(refusal) if refusal else "",
        "faults": refusal.details if refusal else {},
        "may_administer": principal.may("system_settings"),
        "may_edit": principal.may("edit_contacts"),
    }
    return render(request, "workspace/privacy.html", context, status=400 if refusal else 200)


def _moment(typed: str, now: datetime) -> datetime:
    """Return a moment typed in the brand's zone; nothing, or what is none, is now."""
    try:
        at = parse_datetime(typed) if typed else None
    except ValueError:
        at = None
    if at is None:
        return now
    return timezone.make_aware(at) if timezone.is_naive(at) else at


@require_POST
@requires("system_settings")
def export(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Hand out the copy of everything that is held about a person; that it was made is on record (GD-25)."""
    content = portability.archive(contact_id, now=timezone.now(), user_id=principal_of(request).user.pk)
    return HttpResponse(
        content,
        content_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="filiera-{contact_id}.zip"',
            "Cache-Control": "no-store",
        },
    )


@require_http_methods(["GET", "POST"])
@requires("system_settings")
def erase(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Show what an erasure touches, erase when it is confirmed, and show the manifest afterwards (GD-26)."""
    contact = contacts.contact_for(contact_id, with_deleted=True)
    done = Erasure.objects.filter(contact=contact).order_by("-at").first()
    refusal = ""
    if request.method == "POST" and done is None:
        if request.POST.get("conferma", "").strip().upper() in ("CANCELLA", "ERASE"):
            done = erasure.erase(
                contact_id=contact_id, now=timezone.now(), user_id=principal_of(request).user.pk
            )
        else:
            refusal = _("Scrivi CANCELLA per confermare.")
    context = {
        "page": "leads",
        "page_title": _("Cancellazione di una persona"),
        "contact": contact,
        "done": done,
        "places": done.manifest.get("places", []) if done else erasure.preview(contact),
        "refusal": refusal,
        "results": {
            "masked": _("oscurati"),
            "removed": _("tolti"),
            "kept": _("restano, senza identità"),
            "suppressed": _("impronte"),
            "elsewhere": _("fuori da qui"),
        },
    }
    return render(request, "workspace/erase.html", context, status=422 if refusal else 200)
