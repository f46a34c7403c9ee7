"""The two passes over a file: the trial, which writes nothing about people, and the import itself.

Rows are taken in sets, each in its own transaction that moves the cursor too. So whoever is killed midway goes on where
the last commit was, and the result is that of a run without a break.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection
from django.utils import timezone
from django.utils.dateparse import parse_date

from filiera.capture.models import MarketingSource
from filiera.contacts import consent_rules
from filiera.contacts.importing import fields, files, undoing
from filiera.contacts.importing.arrivals import Arrivals, Grant
from filiera.contacts.importing.files import Options
from filiera.contacts.importing.progress import Overtaken, Status, at_work
from filiera.contacts.importing.rows import Plan, Row, read
from filiera.contacts.models import ImportFault, ImportPiece, ImportRun
from filiera.contacts.rules import folded
from filiera.identity.models import Brand, User, UserRole
from filiera.platform import brand_scope, bulk, events, live
from filiera.platform.ids import new_id
from filiera.platform.refusals import Invalid

log = logging.getLogger("filiera.contacts.importing")

SET: Final = 2_000
STILL_AFTER: Final = timedelta(seconds=45)
"""Who has not moved for so long was killed: somebody else goes on."""


def work(brand_id: UUID, run_id: UUID) -> None:
    """Do what an import waits for, to its end. A file that cannot be read is told on its page."""
    with brand_scope.use(brand_id):
        run = ImportRun.objects.get(id=run_id)
    passes: dict[str, Callable[[UUID, UUID], None]] = {
        Status.CHECKING: check,
        Status.RUNNING: bring_in,
        Status.UNDOING: undoing.undo,
    }
    if run.status not in passes:
        return
    try:
        passes[run.status](brand_id, run_id)
    except Overtaken:
        log.info("the import %s is in other hands, or was stopped", run_id)
    except Invalid as refusal:
        with brand_scope.use(brand_id):
            back = Status.DRAFT if run.status == Status.CHECKING else Status.STOPPED
            ImportRun.objects.filter(id=run_id).update(
                status=back, trouble=str(refusal), moved_at=timezone.now()
            )
            live.announce("imports")


def check(brand_id: UUID, run_id: UUID) -> None:
    """Go through the whole file as the import would, and keep what would become of it and what is wrong."""
    with brand_scope.use(brand_id):
        with at_work(run_id, Status.CHECKING) as run:
            run.cursor, run.counts = 0, {}
            ImportFault.objects.filter(run_id=run_id).delete()
        plan = plan_of(run)
    seen: dict[str, int] = {}
    touched: dict[UUID, int] = {}
    for cells in _sets(brand_id, run, after=0):
        with brand_scope.use(brand_id), at_work(run_id, Status.CHECKING) as run:
            arrivals = Arrivals(_read(cells, plan), plan, writes=False, now=plan.now, touched=touched)
            _count(run, arrivals, arrivals.outcomes(seen))
            for row, person in zip(arrivals.taken, arrivals.people, strict=True):
                if person.was_known:
                    touched.setdefault(person.id, row.number)
            run.cursor = cells[-1][0]
    with brand_scope.use(brand_id), at_work(run_id, Status.CHECKING) as run:
        run.status, run.rows_total, run.trouble = Status.CHECKED, run.cursor, ""
        goes_on = run.rules.get("goes_on")
    if goes_on:
        from filiera.contacts.importing import commands  # which asks this one

        with brand_scope.use(brand_id):
            commands.start(run_id=run_id, now=timezone.now())


def bring_in(brand_id: UUID, run_id: UUID) -> None:
    """Bring the people of the file in, from where the cursor stands, and let go of the file at the end."""
    with brand_scope.use(brand_id):
        with at_work(run_id, Status.RUNNING) as run:
            pass
        plan, grants = plan_of(run), grants_of(run)
    for cells in _sets(brand_id, run, after=run.cursor):
        with brand_scope.use(brand_id), at_work(run_id, Status.RUNNING, cursor=run.cursor) as run:
            arrivals = Arrivals(_read(cells, plan), plan, writes=True, now=timezone.now())
            _count(run, arrivals, arrivals.outcomes())
            arrivals.save(grants)
            run.cursor = cells[-1][0]
    with brand_scope.use(brand_id), at_work(run_id, Status.RUNNING, cursor=run.cursor) as run:
        finish(run, Status.DONE, now=timezone.now())


def finish(run: ImportRun, status: str, *, now: datetime) -> None:
    """Close an import: the file goes, what was done stays."""
    run.status, run.finished_at, run.rows_total = status, now, run.cursor
    ImportPiece.objects.filter(run_id=run.id).delete()
    by = str(run.created_by_id) if run.created_by_id else None
    events.record(
        kind="import.finished",
        subject_id=run.id,
        at=now,
        data={**run.counts, "status": status, "user_id": by},
    )
    live.announce("leads")


def _read(cells: list[tuple[int, list[str]]], plan: Plan) -> list[Row]:
    return [read(number, one, plan) for number, one in cells]


def _count(run: ImportRun, arrivals: Arrivals, outcomes: "Counter[str]") -> None:
    """Add what became of a set to the figures, and keep its faults with the rows they are about."""
    faulty = [row for row in arrivals.rows if row.faults]
    warned = sum(not row.is_out and any(one.code != "repeated" for one in row.faults) for row in faulty)
    counts = Counter(run.counts)
    counts.update({**outcomes, "rows": len(arrivals.rows), "warned": warned})
    run.counts = dict(counts)
    bulk.insert(
        ImportFault,
        ("id", "brand_id", "run_id", "row_number", "field", "code", "told", "cells", "is_grave"),
        [
            (
                *(new_id(), run.brand_id, run.id, row.number, fault.field, fault.code, dict(fault.told)),
                *(None if place else row.cells, fault.is_grave),
            )
            for row in faulty
            for place, fault in enumerate(row.faults)
        ],
    )


def pieces_of(brand_id: UUID, run_id: UUID) -> Iterator[bytes]:
    """Yield the pieces of a file, one at a time; no transaction stays open between them."""
    number = 0
    while True:
        with brand_scope.use(brand_id):
            found = ImportPiece.objects.filter(run_id=run_id, number=number).values_list("content", flat=True)
            content = found.first()
        if content is None:
            return
        yield bytes(content)
        number += 1


def _sets(brand_id: UUID, run: ImportRun, *, after: int) -> Iterator[list[tuple[int, list[str]]]]:
    """Yield the rows beyond a place in sets, as (number, cells)."""
    every = files.rows(pieces_of(brand_id, run.id), Options(**run.options))
    remaining = (one for one in every if one[0] > after)
    while together := list(islice(remaining, SET)):
        with brand_scope.use(brand_id), connection.cursor() as cursor:
            cursor.execute(
                "select contacts_refresh_statistics()"
            )  # of tables that doubled since the last ones
        yield together


def plan_of(run: ImportRun) -> Plan:
    """Return how the rows of a file are taken, with the names that mean something in the open brand."""
    brand = Brand.objects.get(id=brand_scope.current())
    sources = MarketingSource.objects.order_by("-name")
    people = User.objects.filter(pk__in=UserRole.objects.values("user"), is_active=True).order_by("-name")
    mapping = fields.usable(run.mapping, len(run.headers))
    return Plan(
        run_id=run.id,
        brand_id=brand.id,
        columns=tuple(sorted(mapping.items())),
        titles=tuple(run.headers),
        options=Options(**run.options),
        match=run.rules.get("match", fields.MATCH_BOTH),
        policies=run.rules.get("policies", {}),
        default_source=UUID(run.rules["source"]) if run.rules.get("source") else None,
        default_country=brand.default_country,
        timezone=brand.timezone,
        sources={folded(name): one.id for one in sources for name in (*one.aliases, one.name)},
        owners={folded(name): one.pk for one in people for name in (one.name, one.email)},
        now=run.started_at or timezone.now(),
    )


def grants_of(run: ImportRun) -> list[Grant]:
    """Return the permissions that came with the list: what its text permits, if somebody can show it (GD-01, GD-07)."""
    origin = run.origin
    if not origin.get("text") or not origin.get("proof"):
        return []
    if origin.get("basis") == "bought" and not origin.get("is_sample_checked"):
        return []
    day = parse_date(origin["collected_on"])
    zone = ZoneInfo(Brand.objects.get(id=run.brand_id).timezone)
    at = datetime(day.year, day.month, day.day, tzinfo=zone) if day else run.created_at
    who = f"{origin['collected_by']}; {origin['proof']} ({run.file_name})"[:255]
    return [
        Grant(said.purpose, said.channel, said.text, said.text_version, who, "it", at)
        for said in consent_rules.read(origin["text"], True)
    ]
