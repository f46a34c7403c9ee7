"""What surrounds every page: brand, menu with counters, availability, the person's own choices. Read when shown."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from filiera.identity.models import Brand, User
from filiera.identity.permissions import Principal
from filiera.routing.models import Agent
from filiera.workspace import queries

THEMES = ("auto", "light", "dark")
NEEDS = {
    "leads": "view_contacts",
    "board": "manage_deals",
    "agents": "view_routing",
    "figures": "view_routing",
    "sources": "manage_intake",
    "inbound": "manage_intake",
    "people": "manage_users",
    "brands": "system_settings",
    "system": "system_settings",
    "api-keys": "system_settings",
    "privacy": "system_settings",
}
"""What a page of the menu demands; it stands only there for who may open it."""
MOST_COUNTED = 99
"""Counters in the menu stop here: beyond it the number no longer changes what a person does."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A brand in the band, with the number that ring there."""

    id: UUID
    name: str
    accent: str
    initial: str
    ringing: int


@dataclass(frozen=True, slots=True)
class Item:
    """A page in the menu. `key` is the letter after g; `page` is what the page calls itself."""

    page: str
    href: str
    label: str
    icon: str
    key: str
    count: str = ""
    tone: str = ""
    count_label: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One position of the availability switch."""

    value: str
    icon: str
    label: str
    hint: str
    on: bool


@dataclass(frozen=True, slots=True)
class Availability:
    """How routing sees the person who is looking, and what they may switch to (UI-49)."""

    icon: str
    tone: str
    label: str
    hint: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class KeyGroup:
    """A part of the list of shortcuts: each row is its keys and what they do."""

    title: str
    rows: tuple[tuple[tuple[str, ...], str], ...]


class Shell:
    """The surroundings of one answer. Nothing is read before a template asks for it."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal
        self.now: datetime = timezone.now()

    @property
    def brand(self) -> Brand:
        return self.principal.brand

    @property
    def me(self) -> User:
        return self.principal.user

    @property
    def initial(self) -> str:
        return self.brand.name[:1].upper()

    @property
    def accent(self) -> str:
        return self.brand.accent

    @property
    def zone(self) -> str:
        return self.brand.timezone

    @property
    def zone_name(self) -> str:
        """Return the city people set their clock by."""
        city = self.brand.timezone.rpartition("/")[2].replace("_", " ")
        return _("Roma") if city == "Rome" else city

    @property
    def theme(self) -> str:
        """Return light or dark for the first paint; a page that follows the system starts light."""
        return "dark" if self.me.theme == "dark" else "light"

    @property
    def theme_choice(self) -> str:
        return self.me.theme

    @property
    def keys(self) -> bool:
        return self.me.shortcuts_on

    @property
    def themes(self) -> list[tuple[str, str, str]]:
        """Return value, word and icon of each look."""
        return [
            ("auto", _("Come il sistema"), "device-desktop"),
            ("light", _("Chiaro"), "sun"),
            ("dark", _("Scuro"), "moon"),
        ]

    @cached_property
    def around(self) -> queries.Around:
        return queries.around(self.me.id, most=MOST_COUNTED + 1)

    @property
    def ringing(self) -> int:
        return self.around.ringing.get(self.brand.id, 0)

    @property
    def may_create(self) -> bool:
        return self.principal.may("create_lead")

    @property
    def may_connect(self) -> bool:
        return self.principal.may(NEEDS["sources"])

    @property
    def may_read(self) -> bool:
        return self.principal.may(NEEDS["leads"])

    @property
    def may_deal(self) -> bool:
        return self.principal.may(NEEDS["board"])

    @property
    def unread(self) -> int:
        return self.around.unread

    @property
    def unread_counted(self) -> str:
        """Return the number on the bell, nothing for none."""
        return _counted(self.unread)

    @property
    def brands(self) -> list[Tile]:
        return [
            Tile(
                id=brand.id,
                name=brand.name,
                accent=brand.accent,
                initial=brand.name[:1].upper(),
                ringing=self.around.ringing.get(brand.id, 0),
            )
            for brand in self.principal.brands
        ]

    @cached_property
    def menu(self) -> list[list[Item]]:
        """Return the pages that one may open, in their groups, with what rings and what must be recovered."""
        may = self.principal.may
        groups = [
            [
                replace(
                    _item("today", _("Oggi"), "sun", "o"),
                    count=_counted(self.ringing),
                    tone="live",
                    count_label=_("che squillano:"),
                ),
                _item("leads", _("Lead"), "users", "l"),
                _item("board", _("Bacheca"), "layout-kanban", "b"),
            ],
            [
                _item("agents", _("Agenti"), "headset", "a"),
                _item("figures", _("Cifre"), "chart-bar", "c"),
            ],
            [
                _item("sources", _("Fonti"), "plug-connected", "f"),
                replace(
                    _item("inbound", _("Ingressi"), "inbox", "i"),
                    count=_counted(self.around.to_recover),
                    tone="bad",
                    count_label=_("da recuperare:"),
                ),
                _item("people", _("Utenti"), "shield-check", "u"),
                _item("brands", _("Marchi"), "building-store", "m"),
                _item("system", _("Sistema"), "server", "s"),
                *(
                    [_item("audit", _("Registro"), "history", "r")]
                    if self.principal.may("system_settings")
                    else []
                ),
                _item("api-keys", _("Chiavi"), "key", "k"),
                _item("privacy", _("Privacy"), "fingerprint", "p"),
            ],
        ]
        open_to_me = [
            [item for item in group if item.page not in NEEDS or may(NEEDS[item.page])] for group in groups
        ]
        return [group for group in open_to_me if group]

    @cached_property
    def availability(self) -> Availability | None:
        """Return the switch of who is an agent of this brand; the others have none."""
        agent = self.around.agent
        return availability_of(agent) if agent else None

    @property
    def keys_dialog(self) -> SafeString:
        """Return the list of shortcuts, which is the same for all who may do the same."""
        pages = tuple((item.key, item.page) for group in self.menu for item in group)
        return _keys_dialog(get_language() or "", pages, self.may_create, self)

    @property
    def key_list(self) -> list[KeyGroup]:
        enter, esc, ctrl = _("Invio"), "Esc", "Ctrl"
        return [
            KeyGroup(
                _("Ovunque"),
                (
                    ((ctrl, "K"), _("cerca e agisci")),
                    (("/",), _("cerca")),
                    (("?",), _("queste scorciatoie")),
                    *([(("C",), _("nuovo lead"))] if self.may_create else []),
                    (("N",), _("mostra i nuovi arrivi")),
                    (("Z",), _("annulla l’ultima cosa")),
                    (("Alt", "1…9"), _("cambia marchio")),
                    ((esc,), _("chiudi")),
                    ((ctrl, enter), _("salva")),
                ),
            ),
            KeyGroup(
                _("Vai a"),
                (
                    *((("G", item.key.upper()), item.label) for group in self.menu for item in group),
                    (("G", "N"), _("Notifiche")),
                ),
            ),
            KeyGroup(
                _("Negli elenchi"),
                (
                    (("J", "K"), _("scorri")),
                    ((enter,), _("apri")),
                    (("P",), _("guarda accanto all’elenco")),
                    (("X",), _("seleziona")),
                    (("E",), _("modifica")),
                    (("F",), _("aggiungi un filtro")),
                ),
            ),
            KeyGroup(
                _("Su una scheda"),
                (
                    (("T",), _("chiama")),
                    (("M",), _("scrivi un’e-mail")),
                    (("W",), _("WhatsApp")),
                    (("A",), _("nuova attività")),
                    (("S",), _("assegna")),
                    (("E",), _("modifica i dati")),
                    (("J", "K"), _("scheda seguente, precedente")),
                ),
            ),
            KeyGroup(
                _("In bacheca"),
                (
                    (("M",), _("sposta in una colonna")),
                    (("P",), _("guarda accanto alla bacheca")),
                    (("←", "→"), _("colonna prima, colonna dopo")),
                ),
            ),
        ]


_dialogs: dict[tuple[str, tuple[tuple[str, str], ...], bool], SafeString] = {}


def _keys_dialog(
    language: str, pages: tuple[tuple[str, str], ...], may_create: bool, shell: Shell
) -> SafeString:
    key = (language, pages, may_create)
    if key not in _dialogs:
        _dialogs[key] = render_to_string("workspace/_keys.html", {"groups": shell.key_list})
    return _dialogs[key]


def context(request: HttpRequest) -> dict[str, Any]:
    """Return the shell of a signed-in person, and nothing for a guest."""
    principal: Principal | None = getattr(request, "principal", None)
    return {"shell": Shell(principal)} if principal else {}


def availability_of(agent: Agent) -> Availability:
    """Return what routing reads of an agent, in words: what the provider says and whether Filiera may ring them."""
    states = {
        Agent.Status.ONLINE: (
            "circle-check",
            "ok",
            _("Disponibile"),
            _("Ricevi chiamate"),
        ),
        Agent.Status.BUSY: (
            "headset",
            "live",
            _("In chiamata"),
            _("Il prossimo lead va ad altri"),
        ),
        Agent.Status.OFFLINE: (
            "moon",
            "off",
            _("Non collegato"),
            _("Accedi al centralino"),
        ),
    }
    glyph, tone, label, hint = states[Agent.Status(agent.last_status)]
    if not agent.is_enabled:
        glyph, tone, label, hint = (
            "player-pause",
            "off",
            _("In pausa"),
            _("Non ricevi lead"),
        )
    elif agent.provider_status == "paused":
        glyph, tone, label, hint = (
            "player-pause",
            "off",
            _("In pausa"),
            _("Lo dice il centralino"),
        )
    return Availability(
        icon=glyph,
        tone=tone,
        label=label,
        hint=hint,
        choices=(
            Choice(
                "on",
                "circle-check",
                _("Disponibile"),
                _("Ricevo i lead"),
                agent.is_enabled,
            ),
            Choice(
                "off",
                "player-pause",
                _("In pausa"),
                _("Non passatemi lead"),
                not agent.is_enabled,
            ),
        ),
    )


def _item(page: str, label: str, glyph: str, key: str) -> Item:
    address = "lead-list" if page == "leads" else page
    return Item(page=page, href=reverse(address), label=label, icon=glyph, key=key)


def _counted(count: int) -> str:
    if not count:
        return ""
    return f"{MOST_COUNTED}+" if count > MOST_COUNTED else str(count)
