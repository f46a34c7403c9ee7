"""From the cells of a row to what it says about a person, and what is wrong with it: pure functions."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from datetime import UTC, date, datetime, time
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from filiera.capture.leads import IncomingLead
from filiera.contacts import phones, rules
from filiera.contacts.importing import fields
from filiera.contacts.importing.files import Options
from filiera.contacts.models import LeadState
from filiera.contacts.rules import folded

LONGEST_NOTES: Final = 10_000
FIRST_YEAR: Final = 1990
_LONGEST: Final = {
    **dict.fromkeys(("first_name", "last_name", "city"), 100),
    **dict.fromkeys(("email", "company_name"), 255),
    **dict.fromkeys((fields.PHONE, fields.PHONE_2), 60),
    **dict.fromkeys(fields.EXTERNAL, 100),
    "full_name": 201,
    "cap": 10,
}
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?[eE]\+?\d+")
_DATE = re.compile(r"(\d{1,4})[/.\-](\d{1,2})[/.\-](\d{1,4})(?:[ T]+(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?.*)?")
_SAID_FOR: Final = {
    "nuovo": ("new", "open", "lead"),
    "in_contatto": ("contacted", "connected", "in progress", "attempted to contact"),
    "caldo": ("hot", "qualified"),
    "chiuso_vinto": ("chiuso / vinto", "vinto", "won", "customer", "cliente"),
    "perso": ("lost", "unqualified"),
}
STATES: Final = {
    **{value: value for value in LeadState.values},
    **{value.replace("_", " "): value for value in LeadState.values},
    **{word: value for value, words in _SAID_FOR.items() for word in words},
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one cell; a grave one keeps the row out, otherwise the rest of the row is taken."""

    field: str
    code: str
    told: Mapping[str, Any] = attribute(default_factory=dict)
    is_grave: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """All that says how the rows of a file are taken: columns, policies, and what names mean in this brand."""

    run_id: UUID
    brand_id: UUID
    columns: tuple[tuple[int, str], ...]
    titles: tuple[str, ...]
    options: Options
    match: str
    policies: Mapping[str, str]
    default_source: UUID | None
    default_country: str
    timezone: str
    sources: Mapping[str, UUID]
    owners: Mapping[str, UUID]
    now: datetime

    def may(self, name: str, policy: str) -> bool:
        """Say whether a field of a known person is handled by this policy."""
        return self.policies.get(name, fields.FILL) == policy


@dataclass(slots=True)
class Row:
    """A row: where it stood, what it says in the words of intake, and what intake has no word for."""

    number: int
    cells: list[str]
    lead: IncomingLead
    phone_2: str = ""
    status: str = ""
    owner_id: UUID | None = None
    arrived_at: datetime | None = None
    external_ids: dict[str, str] = attribute(default_factory=dict)
    faults: list[Fault] = attribute(default_factory=list)

    @property
    def is_out(self) -> bool:
        return any(fault.is_grave for fault in self.faults)


def read(number: int, cells: list[str], plan: Plan) -> Row:
    """Return what a row says. Texts too long are cut and told; a row by which nobody can be reached is out."""
    faults: list[Fault] = []
    said: dict[str, str] = {}
    notes: list[str] = []
    for place, name in plan.columns:
        value = rules.present(cells[place]) if place < len(cells) else ""
        if not value:
            continue
        if name == fields.NOTE:
            notes.append(f"{plan.titles[place]}: {value}")
            continue
        most = _LONGEST.get(name, LONGEST_NOTES)
        if len(value) > most:
            faults.append(Fault(name, "too_long", {"most": most}, is_grave=False))
            value = value[:most]
        said[name] = value
    phone, phone_2 = (_number(said, name, plan, faults) for name in (fields.PHONE, fields.PHONE_2))
    if phone_2 and not phones.normalise(phone, plan.default_country).is_valid:
        phone, phone_2 = phone_2, phone  # the one that can be dialled is the main one
    email = _email(said, faults)
    if not email and not phones.normalise(phone, plan.default_country).is_valid:
        wrong = [fault for fault in faults if fault.field in (fields.PHONE, fields.PHONE_2, fields.EMAIL)]
        for fault in wrong:
            faults[faults.index(fault)] = Fault(fault.field, fault.code, fault.told)
        if not wrong:
            faults.append(Fault("", "unreachable"))
    first, last = _names(said)
    arrived_at = _moment(said, plan, faults)
    if joined := "\n".join(part for part in (said.get(fields.NOTES, ""), *notes) if part):
        said[fields.NOTES] = joined[:LONGEST_NOTES]
    row = Row(
        number,
        cells,
        _lead(plan, said, first, last, email, phone, _age(said, plan, faults), _source(said, plan, faults)),
        phone_2,
        _status(said, faults),
        _owner(said, plan, faults),
        arrived_at,
        {name: said[name] for name in fields.EXTERNAL if name in said},
        faults,
    )
    row.lead.custom["row"] = row
    return row


def _lead(
    plan: Plan,
    said: Mapping[str, str],
    first: str,
    last: str,
    email: str,
    phone: str,
    age: int | None,
    source_id: UUID | None,
) -> IncomingLead:
    return IncomingLead(
        submission_id=plan.run_id,
        source_id=plan.run_id,
        source_name="import",
        brand_id=plan.brand_id,
        marketing_source_id=source_id or plan.default_source,
        auto_call=False,
        received_at=plan.now,
        occurred_at=plan.now,
        first_name=first,
        last_name=last,
        email=email,
        phone=phone,
        city=said.get("city", ""),
        cap=said.get("cap", ""),
        company=said.get("company_name", ""),
        service_code="",
        package_code="",
        wants_contract=False,
        wants_brochure=False,
        age=age,
        external_id="",
        notes=said.get(fields.NOTES, ""),
        custom={},
        is_test=False,
        default_country=plan.default_country,
        is_own_act=False,
    )


def _number(said: Mapping[str, str], name: str, plan: Plan, faults: list[Fault]) -> str:
    """Return a number as typed; one that spreadsheets have spoilt is "", one that cannot be dialled stays as it is."""
    typed = said.get(name, "").removeprefix("'")
    if not typed:
        return ""
    if _SCIENTIFIC.fullmatch(typed):
        faults.append(Fault(name, "scientific", {"value": typed}, is_grave=False))
        return ""
    number = phones.normalise(typed, plan.default_country)
    if not number.is_valid:
        faults.append(Fault(name, "phone", {"value": typed, "country": plan.default_country}, is_grave=False))
    return typed


def _email(said: Mapping[str, str], faults: list[Fault]) -> str:
    typed = said.get(fields.EMAIL, "")
    if typed and rules.email_key(typed) is None:
        faults.append(Fault(fields.EMAIL, "email", {"value": typed[:100]}, is_grave=False))
        return ""
    return typed


def _names(said: Mapping[str, str]) -> tuple[str, str]:
    first, last = said.get("first_name", ""), said.get("last_name", "")
    if not first and not last and (whole := said.get(fields.FULL_NAME)):
        first, last = rules.split_at_first_space(whole)
    return first[: rules.LONGEST_NAME], last[: rules.LONGEST_NAME]


def _age(said: Mapping[str, str], plan: Plan, faults: list[Fault]) -> int | None:
    typed = said.get("age", "")
    if not typed:
        return None
    whole, _sign, decimals = typed.partition(plan.options.decimal)
    if whole.isdecimal() and not decimals.strip("0") and 0 <= int(whole[:6]) <= 120:
        return int(whole)
    faults.append(Fault("age", "age", {"value": typed[:40]}, is_grave=False))
    return None


def _status(said: Mapping[str, str], faults: list[Fault]) -> str:
    typed = said.get(fields.STATUS, "")
    found = STATES.get(folded(typed), "")
    if typed and not found:
        faults.append(Fault(fields.STATUS, "status", {"value": typed[:60]}, is_grave=False))
    return found


def _source(said: Mapping[str, str], plan: Plan, faults: list[Fault]) -> UUID | None:
    typed = said.get(fields.SOURCE, "")
    found = plan.sources.get(folded(typed))
    if typed and found is None:
        faults.append(Fault(fields.SOURCE, "source", {"value": typed[:60]}, is_grave=False))
    return found


def _owner(said: Mapping[str, str], plan: Plan, faults: list[Fault]) -> UUID | None:
    typed = said.get(fields.OWNER, "")
    found = plan.owners.get(folded(typed))
    if typed and found is None:
        faults.append(Fault(fields.OWNER, "owner", {"value": typed[:60]}, is_grave=False))
    return found


def _moment(said: Mapping[str, str], plan: Plan, faults: list[Fault]) -> datetime | None:
    typed = said.get(fields.ARRIVED, "")
    if not typed:
        return None
    at = moment(typed, plan.options.date_order, plan.timezone)
    if at is None or at.year < FIRST_YEAR or at > plan.now:
        faults.append(Fault(fields.ARRIVED, "date", {"value": typed[:40]}, is_grave=False))
        return None
    return at


def moment(typed: str, order: str, zone: str) -> datetime | None:
    """Return the moment of a date, with or without a time, in UTC; None when it is none.

    A year of four digits in front settles the order, whatever `order` says; one of two digits is of this century.
    """
    found = _DATE.fullmatch(typed.strip())
    if found is None:
        return None
    first, second, third = found[1], found[2], found[3]
    parts = {"y": first, "m": second, "d": third}
    if len(first) != 4:
        parts = dict(zip("dmy" if order == "ymd" else order, (first, second, third), strict=True))
    year = int(parts["y"]) + (2000 if len(parts["y"]) == 2 else 0)
    try:
        clock = time(int(found[4] or 0), int(found[5] or 0), int(found[6] or 0))
        return datetime.combine(
            date(year, int(parts["m"]), int(parts["d"])), clock, ZoneInfo(zone)
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def keys_of(row: Row, match: str) -> list[str]:
    """Return the number and the address by which a row is recognised, as `match` says."""
    found: list[str] = []
    if match != fields.MATCH_EMAIL:
        number = phones.normalise(row.lead.phone, row.lead.default_country)
        found += [number.e164] if number.is_valid else []
    if match != fields.MATCH_PHONE and (address := rules.email_key(row.lead.email)):
        found.append(address)
    return found


def all_keys(found: Iterable[Row]) -> set[str]:
    """Return every number and address that these rows name."""
    keys: set[str | None] = set()
    for row in found:
        keys |= {
            phones.normalise(text, row.lead.default_country).e164 for text in (row.lead.phone, row.phone_2)
        }
        keys.add(rules.email_key(row.lead.email))
    return {key for key in keys if key}


def samples(rows: Iterable[tuple[int, Sequence[str]]], columns: int, *, most: int = 3) -> list[list[str]]:
    """Return some different values of each column, for who says what it is."""
    found: list[list[str]] = [[] for _column in range(columns)]
    for _number, cells in rows:
        for values, cell in zip(found, cells, strict=False):
            if cell and len(values) < most and cell not in values:
                values.append(cell[:60])
    return found
