"""Tags: the tree that people keep, and the tags on a record."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from filiera.contacts import queries as contacts
from filiera.contacts import tags
from filiera.contacts.models import Tag
from filiera.identity.permissions import demand, requires
from filiera.platform import formats
from filiera.platform.refusals import Missing, Refused
from filiera.workspace.pages import principal_of


@require_http_methods(["GET", "POST"])
def index(request: HttpRequest) -> HttpResponse:
    """Show the tree, and make a tag in it."""
    principal = demand(request, "view_contacts" if request.method == "GET" else "edit_contacts")
    typed: dict[str, str] = {}
    refusal: Refused | None = None
    if request.method == "POST":
        typed = {name: request.POST.get(name, "") for name in ("nome", "colore", "sotto")}
        try:
            tag = tags.create(
                name=typed["nome"], color=typed["colore"], parent_id=_id(typed["sotto"]), now=timezone.now()
            )
        except Refused as refused:
            refusal = refused
        else:
            messages.success(request, _("“%(name)s” c’è.") % {"name": tag.name})
            return redirect("tags")
    counts = tags.counts()
    context = {
        "page": "leads",
        "page_title": _("Etichette"),
        "branches": [(one, counts.get(one.tag.id, 0)) for one in tags.tree()],
        "colors": Tag.Color.choices,
        "may_edit": principal.may("edit_contacts"),
        "typed": typed,
        "refusal": refusal,
        "faults": refusal.details if refusal else {},
    }
    return render(request, "workspace/tags.html", context, status=refusal.status if refusal else 200)


@require_POST
@requires("edit_contacts")
def edit(request: HttpRequest, tag_id: UUID) -> HttpResponse:
    """Rename, recolour or move a tag."""
    changes = {
        "name": request.POST.get("nome", ""),
        "color": request.POST.get("colore", ""),
        "parent_id": _id(request.POST.get("sotto", "")),
    }

    def change() -> str:
        return _("“%(name)s” è cambiata.") % {"name": tags.edit(tag_id=tag_id, changes=changes).name}

    return _answer(request, change)


@require_POST
@requires("edit_contacts")
def delete(request: HttpRequest, tag_id: UUID) -> HttpResponse:
    """Delete a tag, with those below it when the form says so."""
    cascade = request.POST.get("anche_sotto") == "on"

    def remove() -> str:
        number = tags.delete(tag_id=tag_id, cascade=cascade)
        words = ngettext("%(n)s etichetta eliminata.", "%(n)s etichette eliminate.", number)
        return words % {"n": formats.number(number)}

    return _answer(request, remove)


@require_POST
@requires("edit_contacts")
def on_record(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Put a tag on a person, or take one off."""
    contact = contacts.contact_for(contact_id)
    tag_id = _id(request.POST.get("tag", ""))
    if tag_id is None:
        messages.info(request, _("Scegli un’etichetta."))
        return redirect("lead", contact.pk)
    if request.POST.get("togli"):
        tags.unassign(tag_id=tag_id, entity_type="contact", entity_ids=[contact.pk])
    else:
        tags.assign(
            tag_id=tag_id,
            entity_type="contact",
            entity_ids=[contact.pk],
            now=timezone.now(),
            user_id=principal_of(request).user.pk,
        )
    return redirect("lead", contact.pk)


def of_record(contact_id: UUID) -> dict[str, Any]:
    """Return the tags of a person, and those they may still get."""
    own = tags.of_person(contact_id)
    has = {tag.id for tag in own}
    return {"own": own, "others": [one for one in tags.tree() if one.tag.id not in has]}


def _answer(request: HttpRequest, act: Callable[[], str]) -> HttpResponse:
    try:
        messages.success(request, act())
    except Missing:
        raise
    except Refused as refusal:
        more = " ".join(sentence for sentences in refusal.details.values() for sentence in sentences)
        messages.error(request, f"{refusal} {more}".strip())
    return redirect("tags")


def _id(text: str) -> UUID | None:
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise Missing(_("Questa etichetta non c’è, o non c’è più.")) from error


urlpatterns = [
    path("etichette", index, name="tags"),
    path("etichette/<uuid:tag_id>", edit, name="tag"),
    path("etichette/<uuid:tag_id>/elimina", delete, name="tag-delete"),
    path("leads/<uuid:contact_id>/etichette", on_record, name="lead-tags"),
]
