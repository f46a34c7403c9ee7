"""The rights of a person, exercised on their record."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from filiera.contacts import consents, erasure, portability
from filiera.contacts import queries as contacts
from filiera.contacts.models import Erasure, Suppression
from filiera.identity.permissions import requires
from filiera.workspace.pages import principal_of


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
