"""Checks against the public opposition register (RPO): which numbers to send, and what came back (GD-09, GD-10).

The register is asked outside, by a file; its answer is read here. Numbers are kept as keyed hashes, so that a check
outlives the person's rows without naming anybody. What cannot be read refuses the whole file: a wrong reading must not
open a call.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from filiera.contacts import phones, suppressions
from filiera.contacts.rules import folded
from filiera.platform import brand_scope, bulk, events
from filiera.platform.ids import new_id
from filiera.platform.refusals import Invalid, Refused
from filiera.routing.call_rules import ITALY, REGISTER_CHECK_HOLDS, ROME
from filiera.routing.models import RegisterCheck, RegisterResult

LARGEST_FILE: Final = 10_000_000
MOST_NUMBERS: Final = 300_000
CHECK_AGAIN_AFTER: Final = timedelta(days=10)
"""A number is sent again before its check ends, so that calls do not stop meanwhile."""
OLDEST_CHECK: Final = timedelta(days=365)
_SET: Final = 5_000
_FAULTS_TOLD: Final = 5
_LISTED: Final = frozenset(
    {"iscritto", "iscritta", "presente", "registrato", "opposto", "listed", "si", "1", "true", "yes"}
)
_FREE: Final = frozenset(
    {"non iscritto", "non iscritta", "non presente", "non registrato", "assente", "libero", "contattabile"}
    | {"not listed", "no", "0", "false"}
)


class SameFile(Refused):
    """This very file was read before."""


@dataclass(frozen=True, slots=True)
class Line:
    """What the file says about one number; `since` when it was registered, where the file tells."""

    number: str
    is_listed: bool
    since: datetime | None


def read(content: bytes) -> list[Line]:
    """Return the lines of a result file: number, outcome, and the date of registration if it is there.

    Columns are divided by a semicolon, a comma or a tab; a first line of titles is passed over. Raises Invalid with the
    first lines that cannot be read.
    """
    if len(content) > LARGEST_FILE:
        raise Invalid(_("Il file è troppo grande: al massimo 10 MB."))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines: dict[str, Line] = {}
    faults: list[str] = []
    for place, cells in enumerate(_rows(text), start=1):
        try:
            one = _line(cells)
        except ValueError as fault:
            if place > 1:  # the first may be titles
                faults.append(_("Riga %(n)s: %(why)s") % {"n": place, "why": fault})
            continue
        before = lines.get(one.number)
        lines[one.number] = one if before is None or one.is_listed else before
    if faults:
        raise Invalid(
            _("Il file non si legge tutto, e non ho registrato niente."),
            details={"file": faults[:_FAULTS_TOLD]},
        )
    if not lines:
        raise Invalid(_("Nel file non c’è nessun numero con il suo esito."))
    if len(lines) > MOST_NUMBERS:
        raise Invalid(_("Troppi numeri in un file: al massimo 300.000."))
    return list(lines.values())


@transaction.atomic
def take(content: bytes, *, checked_at: datetime, user_id: UUID | None, now: datetime) -> RegisterCheck:
    """Keep what the register said at `checked_at`. Raises Invalid, SameFile."""
    if not now - OLDEST_CHECK <= checked_at <= now:
        raise Invalid(
            _("Quando è stata fatta la verifica?"),
            details={"checked_at": [_("La data è passata, e da meno di un anno.")]},
        )
    lines = read(content)
    file_hash = hashlib.sha256(content).hexdigest()
    if RegisterCheck.objects.filter(file_hash=file_hash).exists():
        raise SameFile(_("Questo file è già stato letto: non cambia niente."))
    check = RegisterCheck.objects.create(
        checked_at=checked_at,
        file_hash=file_hash,
        numbers=len(lines),
        listed=sum(line.is_listed for line in lines),
        imported_by_id=user_id,
        created_at=now,
    )
    for start in range(0, len(lines), _SET):
        _keep(check, lines[start : start + _SET])
    events.record(
        kind="register.checked",
        subject_id=check.id,
        at=now,
        data={"numbers": check.numbers, "listed": check.listed, "file_hash": file_hash},
    )
    return check


def numbers_to_check(*, now: datetime) -> list[str]:
    """Return the Italian numbers of people who permitted promotional calls and whose check is missing or ends soon."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select distinct p.phone_e164 from (
                select distinct on (contact_id) contact_id, given from contacts_consent
                where purpose = 'marketing' and channel = 'call' order by contact_id, at desc, id desc) latest
            join contacts_contact person on person.id = latest.contact_id
            join contacts_contactphone p on p.contact_id = latest.contact_id and p.is_active
            where latest.given and person.deleted_at is null and person.restricted_at is null
              and starts_with(p.phone_e164, %s) order by 1
            """,
            [ITALY],
        )
        numbers = [row[0] for row in cursor.fetchall()]
    by_hash = {suppressions.hash_of(number): number for number in numbers}
    fresh = RegisterResult.objects.filter(
        number_hash__in=list(by_hash), checked_at__gt=now - min(CHECK_AGAIN_AFTER, REGISTER_CHECK_HOLDS)
    ).values_list("number_hash", flat=True)
    checked = set(fresh)
    return [number for key, number in by_hash.items() if key not in checked]


def _rows(text: str) -> Iterator[list[str]]:
    divider = max(";\t,", key=text[:2_000].count)
    for cells in csv.reader(io.StringIO(text.replace("\0", "")), delimiter=divider):
        if any(cell.strip() for cell in cells):
            yield [cell.strip() for cell in cells]


def _line(cells: list[str]) -> Line:
    phone = phones.normalise(cells[0])
    if not phone.is_valid:
        raise ValueError(_("non è un numero"))
    outcome = folded(cells[1]) if len(cells) > 1 else ""
    if outcome not in _LISTED | _FREE:
        raise ValueError(_("l’esito non è «iscritto» né «non iscritto»"))
    return Line(phone.e164, outcome in _LISTED, _moment(cells[2]) if len(cells) > 2 and cells[2] else None)


def _moment(text: str) -> datetime:
    day, _slash, rest = text.partition("/")
    if rest:
        month, _slash, year = rest.partition("/")
        text = f"{year}-{month.zfill(2)}-{day.zfill(2)}"
    try:
        date = parse_date(text)
        at = datetime(date.year, date.month, date.day, tzinfo=ROME) if date else parse_datetime(text)
    except ValueError:
        at = None
    if at is None:
        raise ValueError(_("la data non si legge"))
    return (at if at.tzinfo else at.replace(tzinfo=ROME)).astimezone(UTC)


def _keep(check: RegisterCheck, lines: list[Line]) -> None:
    """Write these results; a number that was listed at its last check too was so since then."""
    by_hash = {suppressions.hash_of(line.number): line for line in lines}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select wanted.hash, latest.is_listed, latest.listed_since from unnest(%s::text[]) wanted(hash)
            cross join lateral (select is_listed, listed_since from routing_registerresult r
                                where r.number_hash = wanted.hash and r.checked_at <= %s
                                order by r.checked_at desc limit 1) latest
            """,
            [list(by_hash), check.checked_at],
        )
        before = {key: since for key, is_listed, since in cursor.fetchall() if is_listed}
    brand_id = brand_scope.current()
    bulk.insert(
        RegisterResult,
        ("id", "brand_id", "check_of_id", "number_hash", "is_listed", "listed_since", "checked_at"),
        [
            (
                new_id(),
                brand_id,
                check.id,
                key,
                line.is_listed,
                (line.since or before.get(key) or check.checked_at) if line.is_listed else None,
                check.checked_at,
            )
            for key, line in by_hash.items()
        ],
    )
