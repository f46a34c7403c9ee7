"""The page of who did what: lines of the record, one in full, and the file to take away."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET

from filiera.identity import audit_api, audit_search
from filiera.identity.models import AuditEntry
from filiera.identity.permissions import demand
from filiera.platform import actor
from filiera.platform.refusals import Missing

_FILTERS = ("person", "entity", "subject", "action", "since", "until")
_ICONS = {
    "CREATE": ("ok", "plus"),
    "UPDATE": ("", "pencil"),
    "DELETE": ("bad", "trash"),
    "LOGIN": ("", "login"),
    "LOGOUT": ("", "logout"),
    "MASK": ("hold", "shield-lock"),
    "RETENTION": ("", "trash"),
    "LOGIN_FAILED": ("warn", "alert-triangle"),
    "EXPORT": ("hold", "download"),
    "ERASE": ("bad", "trash"),
    **dict.fromkeys(("MFA_DISABLED", "PASSKEY_REMOVED", "RECOVERY_CODE_USED"), ("warn", "shield-lock")),
    **dict.fromkeys(("MFA_ENABLED", "PASSKEY_ADDED", "RECOVERY_CODES_RENEWED"), ("", "shield-lock")),
    "PASSWORD_RESET": ("", "shield-lock"),
    **dict.fromkeys(("EMAIL_VERIFIED", "GOOGLE_LINKED", "ACCOUNT_REOPENED"), ("", "login")),
}
_NAMING = (("first_name", "last_name"), ("name",), ("label",), ("title",), ("number",), ("email",), ("role",))
_LONGEST = 300
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:.*[+]\d\d:\d\d$")


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is on, and the address without it."""

    field: str
    value: str
    without: str


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a line, before and after in words."""

    field: str
    name: str
    before: str
    after: str


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """Show the lines that the address asks for, and one of them in full."""
    demand(request, audit_api.VIEW)
    query, now = request.GET, timezone.now()
    wanted = _wanted(query)
    lines, older = audit_search.page(wanted, before=query.get("before", ""))
    people = {str(one.id): one.name for one in audit_search.people()}
    one = _one(query)
    ids = [line.actor_user_id for line in (*lines, *([one] if one else ())) if line.actor_user_id]
    names = {**people, **{str(key): name for key, name in audit_search.names_of(ids).items()}}
    context = {
        "page": "audit",
        "page_title": _("Registro"),
        "now": now,
        "rows": [_row(line, query, names, now) for line in lines],
        "one": _detail(one, query, names) if one else None,
        "close_href": f"?{_with(query, id='')}",
        "older_href": f"?{_with(query, before=older, id='')}" if older else "",
        "chips": _chips(query, names),
        "asked": {name: query.get(name, "") for name in _FILTERS},
        "people": [Choice(key, name) for key, name in people.items()],
        "entities": sorted((Choice(*pair) for pair in entities().items()), key=lambda choice: choice.label),
        "actions": [Choice(str(code), str(label)) for code, label in AuditEntry.Action.choices],
        "foot": ngettext("%(n)s voce", "%(n)s voci", len(lines)) % {"n": len(lines)},
        "exports": [
            Choice(kind.upper(), f"{reverse('audit-export')}?{_with(query, id='', before='', format=kind)}")
            for kind in ("csv", "json")
        ],
    }
    return render(request, "identity/audit.html", context)


@require_GET
def export(request: HttpRequest) -> HttpResponse:
    """Return what the page shows, and what comes after it, as a file."""
    kind = "csv" if request.GET.get("format") == "csv" else "json"
    return audit_api.download(request, _wanted(request.GET), kind)


def entities() -> dict[str, str]:
    """Return what lines are about, in the words of the workspace."""
    return {
        "access_keys": _("Chiavi della nostra API"),
        "activities": _("Attività"),
        "agents": _("Agenti"),
        "api_keys": _("Chiavi dei servizi"),
        "audit_log": _("Registro"),
        "brands": _("Marchi"),
        "contact_phones": _("Numeri di telefono"),
        "contacts": _("Contatti"),
        "deal_closings": _("Chiusure"),
        "deals": _("Trattative"),
        "duplicate_suggestions": _("Possibili doppioni"),
        "leads": _("Lead"),
        "marketing_sources": _("Provenienze"),
        "routing_processes": _("Chiamate da fare"),
        "routing_states": _("Turno"),
        "site_settings": _("Impostazioni"),
        "sources": _("Fonti"),
        "stage_history": _("Passaggi di fase"),
        "stage_versions": _("Versioni delle fasi"),
        "stages": _("Fasi"),
        "state_rules": _("Regole degli stati"),
        "submissions": _("Ingressi"),
        "telephony_connections": _("Centralino"),
        "user_profiles": _("Profili"),
        "user_roles": _("Ruoli"),
        "users": _("Persone"),
    }


def fields() -> dict[str, str]:
    """Return the fields people know, in words; others go by the name of their column."""
    return {
        "amount": _("Importo"),
        "assigned_user_id": _("Assegnato a"),
        "cap": _("CAP"),
        "city": _("Città"),
        "company_name": _("Azienda"),
        "current_stage_id": _("Fase"),
        "deleted_at": _("Eliminato il"),
        "email": _("E-mail"),
        "first_name": _("Nome"),
        "is_active": _("Attivo"),
        "is_enabled": _("Abilitato"),
        "label": _("Etichetta"),
        "language": _("Lingua"),
        "last_name": _("Cognome"),
        "lost_reason": _("Motivo della perdita"),
        "mapping": _("Mappatura"),
        "name": _("Nome"),
        "note": _("Nota"),
        "notes": _("Note"),
        "owner_user_id": _("Di chi è"),
        "password": _("Password"),
        "phone_raw": _("Numero"),
        "reason": _("Motivo"),
        "role": _("Ruolo"),
        "scheduled_at": _("Quando"),
        "status": _("Stato"),
        "theme": _("Aspetto"),
        "title": _("Titolo"),
        "type": _("Tipo"),
        "user_id": _("Persona"),
    }


def _row(line: AuditEntry, query: QueryDict, names: Mapping[str, str], now: datetime) -> dict[str, Any]:
    tone, icon = _ICONS.get(line.action, ("", "pencil"))
    means, means_label = _means(line)
    return {
        "id": line.id,
        "at": line.created_at,
        "is_today": timezone.localdate(line.created_at) == timezone.localdate(now),
        "who": _who_short(line, names),
        "action": _action(line),
        "means": means,
        "means_label": means_label,
        "address": line.ip_address or "",
        "tone": tone,
        "icon": icon,
        "entity": entities().get(line.entity_type, line.entity_type),
        "what": _summary(line),
        "href": f"?{_with(query, id=str(line.id))}",
        "is_open": query.get("id", "") == str(line.id),
    }


def _detail(line: AuditEntry, query: QueryDict, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "line": line,
        "who": _who(line, names),
        "action": _action(line),
        "entity": entities().get(line.entity_type, line.entity_type),
        "changes": _changes(line, names),
        "is_update": line.before is not None and line.after is not None,
        "history_href": f"?{urlencode({'subject': str(line.entity_id)})}" if line.entity_id else "",
    }


def _who(line: AuditEntry, names: Mapping[str, str]) -> str:
    """Return who acted, in words."""
    name = names.get(str(line.actor_user_id), line.actor_name) if line.actor_user_id else line.actor_name
    told = {
        actor.PERSON: name,
        actor.PROGRAM: _("%(name)s, con una chiave API") % {"name": name}
        if line.actor_user_id
        else _("Nessun accesso"),
        actor.JOB: _("Lavoro %(name)s") % {"name": name},
        actor.COMMAND: _("Comando %(name)s") % {"name": name},
        actor.MACHINE: _("Filiera, da sola"),
    }
    return told.get(line.actor_kind) or _("SQL a mano, ruolo %(role)s") % {"role": line.db_role}


def _who_short(line: AuditEntry, names: Mapping[str, str]) -> str:
    """Return who acted in a word or two; the icon beside it says how."""
    if line.actor_user_id:
        return names.get(str(line.actor_user_id), line.actor_name)
    if line.actor_kind in (actor.JOB, actor.COMMAND):
        return line.actor_name.rpartition(".")[2]
    return _("SQL a mano") if line.actor_kind == "sql" else _who(line, names)


def _means(line: AuditEntry) -> tuple[str, str]:
    """Return the icon of how it was done, and its word."""
    return {
        actor.PERSON: ("user", _("Una persona")),
        actor.PROGRAM: ("webhook", _("Un programma")),
        actor.JOB: ("server", _("Un lavoro")),
        actor.COMMAND: ("code", _("Un comando")),
        actor.MACHINE: ("server", _("Filiera, da sola")),
    }.get(line.actor_kind, ("database", _("SQL a mano")))


def _action(line: AuditEntry) -> str:
    labels = dict(AuditEntry.Action.choices)
    return (
        str(labels.get(AuditEntry.Action(line.action), line.action)) if line.action in labels else line.action
    )


def _summary(line: AuditEntry) -> str:
    """Return the fields that changed, or what the row called itself."""
    values = line.after or line.before or {}
    if line.before is not None and line.after is not None:
        known = fields()
        return ", ".join(known.get(name, name) for name in list(values)[:4]) + (
            "…" if len(values) > 4 else ""
        )
    for naming in _NAMING:
        if words := " ".join(str(values[name]) for name in naming if values.get(name)):
            return words[:80]
    return ""


def _changes(line: AuditEntry, names: Mapping[str, str]) -> list[Change]:
    before, after, known = line.before or {}, line.after or {}, fields()
    # What a new or deleted row did not say tells nothing; what people know comes first.
    changes = [
        Change(known.get(name, name), name, _words(before.get(name), names), _words(after.get(name), names))
        for name in {**before, **after}
        if name not in ("id", "brand_id")
    ]
    told = [change for change in changes if change.before or change.after]
    return sorted(told, key=lambda change: change.name not in known)


def _words(value: Any, names: Mapping[str, str]) -> str:
    if value is None or value in ("", [], {}):
        return ""
    if isinstance(value, bool):
        return _("sì") if value else _("no")
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()[:_LONGEST]
    if isinstance(value, str) and _MOMENT.match(value) and (at := _moment(value)):
        return date_format(timezone.localtime(at), "j/n/Y, H:i:s")
    return names.get(str(value), str(value))[:_LONGEST]


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _chips(query: QueryDict, names: Mapping[str, str]) -> list[Chip]:
    labels = dict(AuditEntry.Action.choices)
    words = {
        "person": (_("Chi"), names.get(query.get("person", ""), "")),
        "entity": (_("Che cosa"), entities().get(query.get("entity", ""), query.get("entity", ""))),
        "subject": (_("Solo"), query.get("subject", "")[:8] if _uuid(query.get("subject", "")) else ""),
        "action": (_("Azione"), str(dict(labels).get(query.get("action", ""), ""))),
        "since": (_("Dal"), query.get("since", "") if _day(query.get("since", "")) else ""),
        "until": (_("Al"), query.get("until", "") if _day(query.get("until", "")) else ""),
    }
    return [
        Chip(field, value, f"?{_with(query, **{name: ''}, before='')}")
        for name, (field, value) in words.items()
        if value
    ]


def _wanted(query: QueryDict) -> audit_search.Wanted:
    since, until = _day(query.get("since", "")), _day(query.get("until", ""))
    return audit_search.Wanted(
        person=_uuid(query.get("person", "")),
        entity=query.get("entity", "").replace("\x00", "")[:50],
        subject=_uuid(query.get("subject", "")),
        action=query.get("action", "").replace("\x00", "")[:100],
        since=_midnight(since) if since else None,
        until=_midnight(until + timedelta(days=1)) if until else None,
    )


def _one(query: QueryDict) -> AuditEntry | None:
    if not query.get("id"):
        return None
    entry_id = _uuid(query.get("id", ""))
    found = audit_search.entry(entry_id) if entry_id else None
    if found is None:
        raise Missing(_("Questa voce non c’è."))
    return found


def _with(query: QueryDict, **changes: str) -> str:
    """Return the query of this page with some values changed; "" takes one away."""
    kept = {name: query[name] for name in (*_FILTERS, "before", "id") if query.get(name)}
    return urlencode({name: value for name, value in (kept | changes).items() if value})


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1970 <= day.year < 9000 else None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), timezone.get_current_timezone())
