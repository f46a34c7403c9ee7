"""Conditions on leads that people put together: a table of fields, and the SQL of each way to compare them.

Within a group one of the conditions must hold, and every group must; or the other way round (`LeadFilter.any_group`).
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from filiera.contacts import tags
from filiera.contacts.models import LeadState

LONGEST: Final = 100
MOST: Final = 20
"""Conditions of one filter; what an address says beyond them is left out."""

ME, TEAM, NOBODY = "io", "team", "nessuno"
Sql = tuple[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: `how` is a key of HOW that the field's kind allows; `value` as it is typed."""

    field: str
    how: str
    value: str = ""


Group = tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks and when: what "io", "il mio team" and "questa settimana" mean."""

    me: UUID
    team: Collection[UUID]
    now: datetime

    @property
    def today(self) -> date:
        """Return the day in the zone of the brand."""
        return timezone.localtime(self.now).date()


@dataclass(frozen=True, slots=True)
class Field:
    """What a condition is about: `kind` says how it is compared and typed, `sql` reads it from `contact`."""

    key: str
    label: str | Promise
    kind: str
    sql: str


_AMOUNT = (
    "(select deal.amount from pipeline_deal deal where deal.contact_id = contact.id"
    " order by deal.status = 'open' desc, deal.opened_at desc, deal.id desc limit 1)"
)
_NEXT = (
    "(select activity.scheduled_at from pipeline_activity activity where activity.contact_id = contact.id"
    " and activity.status = 'planned' order by activity.scheduled_at, activity.id limit 1)"
)
FIELDS: Final[dict[str, Field]] = {
    field.key: field
    for field in (
        Field("stato", _("Stato"), "state", "contact.status"),
        Field("titolare", _("Titolare"), "person", "contact.assigned_user_id"),
        Field("fonte", _("Fonte"), "source", "contact.marketing_source_id"),
        Field("etichetta", _("Etichetta"), "tag", "contact.id"),
        Field("arrivato", _("Arrivato"), "moment", "contact.last_lead_at"),
        Field("creato", _("Primo contatto"), "moment", "contact.created_at"),
        Field("prossima", _("Prossima attività"), "moment", _NEXT),
        Field("valore", _("Valore"), "number", _AMOUNT),
        Field("richieste", _("Richieste"), "number", "contact.lead_count"),
        Field("nome", _("Nome"), "text", "contact.first_name"),
        Field("cognome", _("Cognome"), "text", "contact.last_name"),
        Field("azienda", _("Azienda"), "text", "contact.company_name"),
        Field("citta", _("Città"), "text", "contact.city"),
        Field("cap", _("CAP"), "text", "contact.cap"),
        Field("email", _("E-mail"), "text", "contact.email"),
        Field("note", _("Note"), "text", "contact.notes"),
    )
}
HOW: Final[dict[str, str | Promise]] = {
    "e": _("è"),
    "non": _("non è"),
    "contiene": _("contiene"),
    "inizia": _("comincia con"),
    "almeno": _("almeno"),
    "massimo": _("al massimo"),
    "oggi": _("oggi"),
    "ieri": _("ieri"),
    "settimana": _("questa settimana"),
    "settimana-scorsa": _("la settimana scorsa"),
    "mese": _("questo mese"),
    "mese-scorso": _("il mese scorso"),
    "ultimi": _("negli ultimi giorni:"),
    "prima": _("più di giorni fa:"),
    "prossimi": _("nei prossimi giorni:"),
    "scaduta": _("nel passato"),
    "dal": _("dal"),
    "al": _("fino al"),
    "vuoto": _("è vuoto"),
    "pieno": _("non è vuoto"),
}
_EITHER = ("vuoto", "pieno")
_PERIODS = ("oggi", "ieri", "settimana", "settimana-scorsa", "mese", "mese-scorso", "scaduta")
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "state": ("e", "non"),
    "person": ("e", "non"),
    "source": ("e", "non", *_EITHER),
    "tag": ("e", "non"),
    "number": ("almeno", "massimo", "e", *_EITHER),
    "text": ("contiene", "inizia", "e", "non", *_EITHER),
    "moment": (*_PERIODS, "ultimi", "prossimi", "prima", "dal", "al", *_EITHER),
}
_GROUPED: Final = re.compile(r"\d{1,3}(\.\d{3})+")
WITHOUT_VALUE: Final = frozenset({*_EITHER, *_PERIODS})


def read(field: str, how: str, value: str) -> Condition | None:
    """Return the condition that an address names, or None for one that means nothing."""
    value = value.replace("\x00", "").strip()[:LONGEST]
    if field not in FIELDS or how not in KINDS[FIELDS[field].kind]:
        return None
    if how in WITHOUT_VALUE:
        return Condition(field, how)
    return Condition(field, how, value) if _VALID[_type_of(field, how)](value) else None


def sql_of(groups: Sequence[Group], *, any_group: bool, reader: Reader) -> Sql:
    """Return the SQL on `contact` for these groups and its values; nothing for none."""
    inner, outer = (" and ", " or ") if any_group else (" or ", " and ")
    parts, values = [], []
    for group in groups:
        told = [_sql(condition, reader) for condition in group]
        parts.append(f"({inner.join(one for one, _values in told)})")
        values += [value for _one, given in told for value in given]
    return (f"({outer.join(parts)})" if parts else "", values)


def _sql(condition: Condition, reader: Reader) -> Sql:
    field = FIELDS[condition.field]
    if condition.how in _EITHER:
        absent = f"coalesce({field.sql}, '') = ''" if field.kind == "text" else f"{field.sql} is null"
        return (absent if condition.how == "vuoto" else f"not ({absent})"), []
    return _COMPARED[field.kind](field.sql, condition, reader)


def _same(column: str, condition: Condition, _reader: Reader) -> Sql:
    value: Any = UUID(condition.value) if condition.field == "fonte" else condition.value
    return (f"{column} = %s" if condition.how == "e" else f"{column} is distinct from %s"), [value]


def _person(column: str, condition: Condition, reader: Reader) -> Sql:
    if condition.value == NOBODY:
        return (f"{column} is null" if condition.how == "e" else f"{column} is not null"), []
    named = {ME: [reader.me], TEAM: sorted(reader.team)}
    people = named[condition.value] if condition.value in named else [UUID(condition.value)]
    within = f"coalesce({column} = any(%s::uuid[]), false)"
    return (within if condition.how == "e" else f"not {within}"), [people]


def _tag(column: str, condition: Condition, _reader: Reader) -> Sql:
    """Hold for who carries the tag or one below it; a tag that is gone is carried by nobody."""
    carried = (
        "select carried.contact_id from contacts_contacttag carried where carried.tag_id = any(%s::uuid[])"
    )
    within = f"{column} in ({carried})"
    return (within if condition.how == "e" else f"not {within}"), [sorted(tags.named(condition.value))]


def _text(column: str, condition: Condition, _reader: Reader) -> Sql:
    wanted = condition.value.lower()
    told = f"lower(coalesce({column}, ''))"
    return {
        "contiene": (f"position(%s in {told}) > 0", [wanted]),
        "inizia": (f"starts_with({told}, %s)", [wanted]),
        "e": (f"{told} = %s", [wanted]),
        "non": (f"{told} <> %s", [wanted]),
    }[condition.how]


def _number(column: str, condition: Condition, _reader: Reader) -> Sql:
    comparison = {"almeno": ">=", "massimo": "<=", "e": "="}[condition.how]
    return f"{column} {comparison} %s", [_decimal(condition.value)]


def _moment(column: str, condition: Condition, reader: Reader) -> Sql:
    starts, ends = bounds(condition, reader)
    parts = ([(f"{column} >= %s", starts)] if starts else []) + ([(f"{column} < %s", ends)] if ends else [])
    return f"({' and '.join(one for one, _at in parts)})", [at for _one, at in parts]


_COMPARED: Final[dict[str, Callable[[str, Condition, Reader], Sql]]] = {
    "state": _same,
    "source": _same,
    "person": _person,
    "tag": _tag,
    "text": _text,
    "number": _number,
    "moment": _moment,
}


def bounds(condition: Condition, reader: Reader) -> tuple[datetime | None, datetime | None]:
    """Return from when until when a condition on a moment holds, half open, in days of the brand's zone."""
    today, how = reader.today, condition.how
    monday, first = today - timedelta(days=today.weekday()), today.replace(day=1)
    last_month = (first - timedelta(days=1)).replace(day=1)
    day = timedelta(days=1)
    if how in ("dal", "al"):
        chosen = date.fromisoformat(condition.value)
        return (_midnight(chosen), None) if how == "dal" else (None, _midnight(chosen + day))
    if how == "scaduta":
        return None, reader.now
    if how in ("ultimi", "prima", "prossimi"):
        days = timedelta(days=int(condition.value))
        return {
            "ultimi": (_midnight(today - days), None),
            "prima": (None, _midnight(today - days)),
            "prossimi": (_midnight(today), _midnight(today + days + day)),
        }[how]
    starts, ends = {
        "oggi": (today, today + day),
        "ieri": (today - day, today),
        "settimana": (monday, monday + 7 * day),
        "settimana-scorsa": (monday - 7 * day, monday),
        "mese": (first, (first + 31 * day).replace(day=1)),
        "mese-scorso": (last_month, first),
    }[how]
    return _midnight(starts), _midnight(ends)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, timezone.get_current_timezone())


def _type_of(field: str, how: str) -> str:
    kind = FIELDS[field].kind
    if kind == "moment":
        return "day" if how in ("dal", "al") else "days"
    return kind


def _is_uuid(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False


def _is_day(text: str) -> bool:
    try:
        return 1970 <= date.fromisoformat(text).year <= 2100
    except ValueError:
        return False


def _decimal(text: str) -> Decimal:
    """Return a number typed the Italian way (`1.140,50`, `1.000`) or the English one."""
    is_italian = "," in text or _GROUPED.fullmatch(text)
    return Decimal(text.replace(".", "").replace(",", ".") if is_italian else text)


def _is_number(text: str) -> bool:
    try:
        return abs(_decimal(text)) < 10**10
    except InvalidOperation:
        return False


_VALID: Final[dict[str, Callable[[str], bool]]] = {
    "state": lambda value: value in LeadState.values,
    "person": lambda value: value in (ME, TEAM, NOBODY) or _is_uuid(value),
    "source": _is_uuid,
    "tag": _is_uuid,
    "text": bool,
    "number": _is_number,
    "days": lambda value: value.isdecimal() and value.isascii() and 0 < int(value) <= 3650,
    "day": _is_day,
}
