"""The rights of a person, exercised on their record."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from filiera.contacts import consents
from filiera.contacts import queries as contacts
from filiera.contacts.models import Suppression
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
