"""The fields of a person edited in place, on the record and in the list."""

import contextlib
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from filiera.contacts import phones
from filiera.contacts import queries as contacts
from filiera.contacts.models import Contact, ContactPhone
from filiera.identity.permissions import requires
from filiera.pipeline import commands as pipeline
from filiera.platform.refusals import Invalid, Missing, Refused
from filiera.routing import commands as routing
from filiera.routing import gate
from filiera.routing.models import Process
from filiera.workspace import (
    calls,
    lead_list,
    lead_record,
    lead_rows,
)
from filiera.workspace.lead_rows import Painter
from filiera.workspace.pages import principal_of


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a person that is edited in place."""

    name: str
    label: str
    value: str
    shown: str
    inputmode: str = ""
    longest: int = 100
    checked: bool = False
    is_number: bool = False
    assumed: str = ""
    invalid: bool = False
    first: bool = False


@require_http_methods(["GET", "POST"])
@requires("edit_contacts")
def field(request: HttpRequest, contact_id: UUID, name: str) -> HttpResponse:
    """Show one field, its editor, or save it. The old value is compared, so that nobody overwrites unseen (UI-29)."""
    contact = contacts.contact_for(contact_id)
    number = _main_number(contact)
    one = field_of(contact, number, name)
    if request.method == "GET":
        part = "_field.html" if "mostra" in request.GET else "_field_edit.html"
        return render(request, f"workspace/record/{part}", {"contact": contact, "field": one})
    tried = _tried(request, contact, one)
    if tried.refusal:
        if not request.headers.get("HX-Request"):
            messages.error(request, tried.refusal)
            return redirect("lead", contact.pk)
        context = {"contact": contact, "field": one, "tried": tried}
        return render(request, "workspace/record/_field_edit.html", context, status=422)
    if not request.headers.get("HX-Request"):
        return redirect("lead", contact.pk)
    contact.refresh_from_db()
    saved = field_of(contact, _main_number(contact), name)
    return render(request, "workspace/record/_field.html", {"contact": contact, "field": saved})


@dataclass(frozen=True, slots=True)
class Tried:
    """A value that somebody typed: what is against it, and for a conflict what there was when they began (UI-29)."""

    typed: str
    refusal: str = ""
    original: str | None = None
    as_it_was: str = ""  # what sends the original, as JSON


def _tried(request: HttpRequest, contact: Contact, one: Field) -> Tried:
    """Save what was typed, unless it is wrong or the field became something else meanwhile."""
    typed = request.POST.get("value", "").replace("\x00", "").strip()
    was = request.POST.get("was", one.value)
    if one.value not in (was, typed):
        words = _("Nel frattempo è diventato “%(theirs)s”. Invio di nuovo per tenere il tuo.")
        values = json.dumps({"value": was, "was": one.value})
        return Tried(typed, words % {"theirs": one.value}, was, values)
    try:
        _save_field(request, contact, one.name, typed)
    except Refused as refused:
        told = " ".join(sentence for sentences in refused.details.values() for sentence in sentences)
        return Tried(typed, told or str(refused))
    return Tried(typed)


@require_POST
@requires("edit_contacts")
def check_field(request: HttpRequest, contact_id: UUID, name: str) -> HttpResponse:
    """Say what is wrong with a value as it is typed (UI-30)."""
    brand = principal_of(request).brand
    return _told(lead_record.number_problem(request.POST.get("value", ""), brand) if name == "phone" else "")


@require_POST
@requires("create_lead")
def check_number(request: HttpRequest) -> HttpResponse:
    """Say what is wrong with a number as it is typed into the form of a new lead."""
    return _told(lead_record.number_problem(request.POST.get("Telefono", ""), principal_of(request).brand))


@require_http_methods(["GET", "POST"])
@requires("edit_contacts")
def cell(request: HttpRequest, contact_id: UUID, name: str = "phone") -> HttpResponse:
    """Edit a value in the list: the cell becomes a field and comes back as a cell."""
    if name not in lead_rows.CELLS:
        raise Missing(_("Questo campo non c’è."))
    contact = contacts.contact_for(contact_id)
    one = field_of(contact, _main_number(contact), name)
    tried = _tried(request, contact, one) if request.method == "POST" else None
    if (tried and not tried.refusal) or "mostra" in request.GET:
        [row] = lead_list.rows_of([contact.pk], me=principal_of(request).user.pk, now=timezone.now())
        return HttpResponse(lead_rows.CELLS[name](Painter([]), row))
    context = {"contact": contact, "field": one, "tried": tried}
    status = 422 if tried else 200
    return render(request, "workspace/leads/_cell_edit.html", context, status=status)


def _save_field(request: HttpRequest, contact: Contact, name: str, typed: str) -> None:
    """Write one field; a corrected number lets the call that could not be made go out."""
    value: Any = typed
    if name == "age":
        if typed and not typed.isdecimal():
            raise Invalid(_("L’età è un numero."))
        value = int(typed) if typed else None
    user = principal_of(request).user
    pipeline.edit_lead(contact_id=contact.pk, changes={name: value}, now=timezone.now(), user_id=user.pk)
    if name == "phone":
        _call_now_that_one_can(contact)


def _call_now_that_one_can(contact: Contact) -> None:
    process = Process.objects.filter(contact=contact).order_by("-created_at").first()
    number = _main_number(contact)
    if process is None or number is None or not number.is_valid:
        return
    if process.state == Process.State.DONE and process.error_code in calls.BAD_NUMBER:
        # The number is corrected all the same; the call button says why nobody is rung.
        with contextlib.suppress(gate.CallNotAllowed):
            routing.retry_process(process_id=process.pk, now=timezone.now(), number_e164=number.phone_e164)


def _told(sentence: str) -> HttpResponse:
    return HttpResponse(sentence, content_type="text/plain; charset=utf-8")


def _main_number(contact: Contact) -> ContactPhone | None:
    return (
        ContactPhone.objects.filter(contact=contact, is_active=True)
        .order_by("-is_primary", "created_at")
        .first()
    )


def _typed(number: ContactPhone | None) -> str:
    return (number.phone_e164 or number.phone_raw) if number else ""


def fields_of(contact: Contact, number: ContactPhone | None) -> list[Field]:
    """Return the fields of a person in their order on the page."""
    shown = (phones.display(number.phone_e164) if number.phone_e164 else number.phone_raw) if number else ""
    return [
        Field(
            "phone",
            _("Telefono"),
            _typed(number),
            shown,
            inputmode="tel",
            longest=40,
            checked=True,
            is_number=True,
            assumed=(number.country_code or "") if number and number.assumed_country else "",
            invalid=number is not None and not number.is_valid,
            first=True,
        ),
        Field("email", _("E-mail"), contact.email or "", contact.email or "", inputmode="email", longest=255),
        Field("first_name", _("Nome"), contact.first_name, contact.first_name),
        Field("last_name", _("Cognome"), contact.last_name, contact.last_name),
        Field("company_name", _("Azienda"), contact.company_name, contact.company_name, longest=255),
        Field("city", _("Città"), contact.city, contact.city),
        Field("cap", _("CAP"), contact.cap, contact.cap, inputmode="numeric", longest=10, is_number=True),
        Field(
            "age",
            _("Età"),
            "" if contact.age is None else str(contact.age),
            "" if contact.age is None else str(contact.age),
            inputmode="numeric",
            longest=3,
            is_number=True,
        ),
    ]


def field_of(contact: Contact, number: ContactPhone | None, name: str) -> Field:
    for one in fields_of(contact, number):
        if one.name == name:
            return one
    raise Missing(_("Questo campo non c’è."))
