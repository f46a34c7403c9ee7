"""What stands beside a record: people who share something with this one, who became them, the files they came from."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from filiera.contacts import queries as contacts
from filiera.contacts import relatives
from filiera.contacts.relatives import Tie
from filiera.identity.permissions import requires
from filiera.workspace.pages import principal_of


@require_GET
@requires("view_contacts")
def show(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Answer the part of a record that is read apart, so that the record itself does not wait for it."""
    contact = contacts.contact_for(contact_id)
    words = {
        Tie.NUMBER: _("stesso telefono"),
        Tie.ADDRESS: _("stessa e-mail"),
        Tie.COMPANY: _("stessa azienda"),
    }
    context = {
        "contact": contact,
        "now": timezone.now(),
        "relatives": [
            (one.person, ", ".join(words[tie] for tie in one.ties)) for one in relatives.of(contact)
        ],
        "merged": relatives.merged_into(contact),
        "files": relatives.files_of(contact),
        "may_import": principal_of(request).may("manage_intake"),
    }
    return render(request, "workspace/record/_relatives.html", context)


urlpatterns = [path("leads/<uuid:contact_id>/collegati", show, name="lead-relatives")]
