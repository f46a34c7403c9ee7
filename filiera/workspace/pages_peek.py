"""A lead beside the list it stands in: who, what next, what happened last."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from filiera.contacts import queries as contacts
from filiera.identity.permissions import requires
from filiera.pipeline import queries as pipeline
from filiera.workspace import lead_record, pages_fields
from filiera.workspace.lead_list import Asked
from filiera.workspace.pages import principal_of

MOST_ENTRIES = 6
FIELDS = ("phone", "email", "company_name", "city")


@require_GET
@requires("view_contacts")
def peek(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Answer what a drawer shows of a lead; a browser is led to the list with that drawer open (UI-08).

    The query is the list's own, for who stands before and after; `da` says that the page is another one.
    """
    contact = contacts.contact_for(contact_id)
    asked = Asked.read(request.GET)
    if not request.headers.get("X-Drawer"):
        more = "&" if asked.is_filtered else ""
        return redirect(f"{reverse('lead-list')}{asked.address}{more}accanto={contact.pk}")
    principal, now = principal_of(request), timezone.now()
    found = lead_record.read(contact, brand=principal.brand, me=principal.user, now=now)
    before = after = None
    if "da" not in request.GET:
        before, after = pipeline.neighbours(asked.wanted(me=principal.user, now=now), contact)
    context = {
        "contact": contact,
        "record": found,
        "asked": asked,
        "before": before,
        "after": after,
        "now": now,
        "fields": [one for one in pages_fields.fields_of(contact, found.number) if one.name in FIELDS],
        "entries": found.entries[:MOST_ENTRIES],
        "may_edit": principal.may("edit_contacts"),
    }
    return render(request, "workspace/peek.html", context)


urlpatterns = [path("leads/<uuid:contact_id>/accanto", peek, name="lead-peek")]
