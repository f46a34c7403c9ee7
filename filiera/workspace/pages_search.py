"""The command palette: people by number, e-mail or name; pages and actions by their words."""

from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from filiera.contacts.rules import folded
from filiera.identity.permissions import Principal
from filiera.pipeline import queries as pipeline
from filiera.pipeline.queries import LeadFilter, ListedLead
from filiera.workspace import lead_list
from filiera.workspace.lead_list import Asked, Row
from filiera.workspace.pages import principal_of
from filiera.workspace.shell import Shell

MOST = 8
SHORTEST = 2


@dataclass(frozen=True, slots=True)
class Person:
    """A person found, with the found part marked."""

    row: Row
    name: SafeString


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do or a page to open: an address, or the dialog or form of the page that does it."""

    label: str
    hint: str
    icon: str
    key: str = ""
    href: str = ""
    opens: str = ""
    submits: str = ""


@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Answer the palette. Without a text: who came last, and where one can go."""
    principal, now = principal_of(request), timezone.now()
    text = request.GET.get("q", "").replace("\x00", "").strip()[:100]
    people: list[Person] = []
    seen: list[ListedLead] = []
    if principal.may("view_contacts"):
        # A single letter would find everybody: until the second, who was seen or came last is the better guess.
        seen = pipeline.listed(_seen(request)) if len(text) < SHORTEST else []
        if not (found := seen):
            wanted = LeadFilter(text=text if len(text) >= SHORTEST else "")
            found, _after = pipeline.listed_page(wanted, limit=MOST)
        rows = lead_list.with_calls(found, me=principal.user.pk, now=now, brand=principal.brand)
        people = [Person(row, marked(row.lead.full_name, text)) for row in rows]
    context = {
        "text": text,
        "people": people,
        "people_are": _("Persone") if len(text) >= SHORTEST else _("Visti di recente") if seen else "",
        "actions": [
            one
            for one in [*_here(principal, request.GET.get("scheda", "")), *_actions(principal)]
            if _means(one.label, text)
        ],
        "pages": [one for one in _pages(Shell(principal)) if _means(one.label, text)],
    }
    return render(request, "workspace/_palette_list.html", context)


def marked(name: str, text: str) -> SafeString:
    """Return a name with the found beginning marked, as it is written and without regard to accents."""
    wanted = folded(text)
    words = name.split(" ")
    for start in range(len(words)):
        rest = " ".join(words[start:])
        if wanted and folded(rest).startswith(wanted):
            before = " ".join(words[:start]) + (" " if start else "")
            return format_html("{}<mark>{}</mark>{}", before, rest[: len(wanted)], rest[len(wanted) :])
    return conditional_escape(name)


def _means(label: str, text: str) -> bool:
    return all(word in folded(label) for word in folded(text).split())


def _actions(principal: Principal) -> list[Action]:
    """Return what one can do from anywhere: nothing that would then be refused."""
    new = _("Nuovo lead in %(name)s") % {"name": principal.brand.name}
    mine = Action(_("I miei da chiamare"), _("apre l’elenco filtrato"), "phone", href=_mine())
    return [
        *(
            [Action(new, "", "plus", key="C", href=reverse("lead-new"))]
            if principal.may("create_lead")
            else []
        ),
        *([mine] if principal.may("view_contacts") else []),
        Action(_("Scorciatoie"), _("tutti i tasti"), "keyboard", key="?", opens="keys"),
        Action(_("Esci"), "", "logout", submits="sign-out"),
    ]


def _here(principal: Principal, name: str) -> list[Action]:
    """Return what one can do with the record that is open, by the dialogs of its page."""
    name = name.replace("\x00", "").strip()[:200]
    if not name:
        return []
    offers = (
        ("edit_contacts", _("Assegna a…"), "user-plus", "S", "assign"),
        ("manage_activities", _("Registra una chiamata o un’attività"), "phone", "A", "activity"),
        ("manage_deals", _("Sposta di stato"), "arrow-right", "", "move"),
    )
    return [
        Action(label, name, glyph, key=key, opens=dialog)
        for permission, label, glyph, key, dialog in offers
        if principal.may(permission)
    ]


def _seen(request: HttpRequest) -> list[UUID]:
    """Return the records that this browser opened last, as it remembers them."""
    found = []
    for text in request.GET.get("recenti", "").split(",")[:MOST]:
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return found


def _mine() -> str:
    return reverse("lead-list") + Asked(owner="io", states=("nuovo", "in_contatto")).address


def _pages(shell: Shell) -> list[Action]:
    return [
        Action(item.label, "", item.icon, key=f"G {item.key.upper()}", href=item.href)
        for group in shell.menu
        for item in group
    ] + [Action(_("Notifiche"), "", "bell", key="G N", href=reverse("notifications"))]
