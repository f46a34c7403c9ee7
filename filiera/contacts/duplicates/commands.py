"""The search for duplicates as people start it, stop it and answer it; what it finds are suggestions."""

import time
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from filiera.contacts.duplicates import queries, reading, rule, score
from filiera.contacts.duplicates.reading import Everybody
from filiera.contacts.models import DuplicateScan, DuplicateSuggestion
from filiera.platform import brand_scope, bulk
from filiera.platform.ids import new_id
from filiera.platform.refusals import Missing

SILENT_AFTER = timedelta(minutes=5)
"""A search that gave no sign of life for so long was killed."""
SCAN, INTAKE = "scan", "new_lead"
_RUNNING = (DuplicateScan.Status.WAITING, DuplicateScan.Status.RUNNING)
_TELL_EVERY_S = 0.5
_AT_ONCE = 5_000
_MOST_ALIKE = 60
"""So many people who share a number, an address or a name with a new one are looked at."""

Row = dict[str, Any]


class SuggestionMissing(Missing):
    """Nobody suggested these two."""

    def __init__(self) -> None:
        super().__init__(_("Questi due contatti non sono segnalati come doppioni."))


class ScanMissing(Missing):
    """There is no such search in this brand."""

    def __init__(self) -> None:
        super().__init__(_("Questa ricerca non c’è."))


class _Stopped(Exception):
    """Somebody stopped the search."""


@transaction.atomic
def start(*, now: datetime, user_id: UUID | None) -> DuplicateScan:
    """Enqueue a search among everybody, or return the one that is under way."""
    let_go_of_dead(now=now)
    running = DuplicateScan.objects.filter(status__in=_RUNNING).first()
    if running is not None:
        return running
    scan = DuplicateScan.objects.create(created_at=now, heard_at=now, started_by_id=user_id)
    from filiera.contacts import tasks  # which imports this

    tasks.search_duplicates.defer(brand_id=str(scan.brand_id), scan_id=str(scan.id))
    return scan


def stop(*, scan_id: UUID, now: datetime) -> None:
    """End a search; what an earlier one found stays. Raises ScanMissing."""
    scan = DuplicateScan.objects.filter(id=scan_id)
    running = scan.filter(status__in=_RUNNING)
    if not running.update(status=DuplicateScan.Status.CANCELLED, finished_at=now) and not scan.exists():
        raise ScanMissing


def let_go_of_dead(*, now: datetime) -> None:
    """Mark as failed what was killed."""
    dead = DuplicateScan.objects.filter(status=DuplicateScan.Status.RUNNING, heard_at__lt=now - SILENT_AFTER)
    dead.update(status=DuplicateScan.Status.FAILED, finished_at=now)


@transaction.atomic
def dismiss(*, first_id: UUID, second_id: UUID, now: datetime, user_id: UUID | None) -> None:
    """Remember that two people are two: no search suggests them again. Raises SuggestionMissing."""
    one, other = sorted((first_id, second_id))
    changed = DuplicateSuggestion.objects.filter(contact_id=one, other_id=other).update(
        dismissed_at=now, dismissed_by_id=user_id
    )
    if not changed:
        raise SuggestionMissing


@transaction.atomic
def take_back(*, first_id: UUID, second_id: UUID) -> None:
    """Suggest two people again who had been told apart. Raises SuggestionMissing."""
    one, other = sorted((first_id, second_id))
    known = DuplicateSuggestion.objects.filter(contact_id=one, other_id=other)
    if not known.update(dismissed_at=None, dismissed_by_id=None):
        raise SuggestionMissing


# The search among everybody


def search(*, brand_id: UUID, scan_id: UUID) -> None:
    """Do the work of a search; between reading and writing no transaction is open."""
    tell = _Teller(brand_id, scan_id)
    try:
        tell(0.01, at_once=True)
        with brand_scope.use(brand_id):
            people = reading.everybody()
            apart = queries.told_apart(people)
        tell(0.1)
        found = rule.clusters(people.for_rule(), apart=apart, progress=lambda share: tell(0.1 + 0.6 * share))
        scored = score.scan(people.facts, progress=lambda share: tell(0.7 + 0.2 * share))
        tell(0.9, at_once=True)
        rows = _rows(people, found, scored)
        with brand_scope.use(brand_id):
            scan = DuplicateScan.objects.select_for_update().get(id=scan_id)
            if scan.status != DuplicateScan.Status.RUNNING:
                raise _Stopped
            _write(rows.values(), scan_id=scan_id, now=timezone.now())
            _forget(scan)
            _finish(scan, people, found, scored)
    except _Stopped:
        return
    except BaseException:
        with brand_scope.use(brand_id):
            DuplicateScan.objects.filter(id=scan_id, status__in=_RUNNING).update(
                status=DuplicateScan.Status.FAILED, finished_at=timezone.now()
            )
        raise


class _Teller:
    """Says how far the search is, and learns whether it is still wanted."""

    def __init__(self, brand_id: UUID, scan_id: UUID) -> None:
        self.brand_id, self.scan_id = brand_id, scan_id
        self.told_at = 0.0

    def __call__(self, share: float, *, at_once: bool = False) -> None:
        if not at_once and time.monotonic() - self.told_at < _TELL_EVERY_S:
            return
        self.told_at = time.monotonic()
        with brand_scope.use(self.brand_id):
            is_wanted = DuplicateScan.objects.filter(id=self.scan_id, status__in=_RUNNING).update(
                status=DuplicateScan.Status.RUNNING, share=share, heard_at=timezone.now()
            )
        if not is_wanted:
            raise _Stopped


def _rows(people: Everybody, found: rule.Found, scored: score.Scored) -> dict[tuple[UUID, UUID], Row]:
    """Return one row for each pair, with what either search says of it."""
    rows: dict[tuple[UUID, UUID], Row] = {}
    for place, cluster in enumerate(found.clusters):
        pairs = cluster.pairs
        for one, other, bits, similarity in zip(
            pairs.one.tolist(),
            pairs.other.tolist(),
            pairs.reasons.tolist(),
            pairs.similarity.tolist(),
            strict=True,
        ):
            row = rows.setdefault(_pair(people, one, other), {})
            row |= {"cluster": place, "rule": bits, "similarity": round(similarity)}
    for at, (one, other) in enumerate(zip(scored.one.tolist(), scored.other.tolist(), strict=True)):
        row = rows.setdefault(_pair(people, one, other), {})
        row |= {"points": float(scored.points[at]), "band": scored.band(at), "reasons": scored.reasons(at)}
    for (first, second), row in rows.items():
        row |= {"contact_id": first, "other_id": second}
    return rows


def _pair(people: Everybody, one: int, other: int) -> tuple[UUID, UUID]:
    first, second = people.ids[one], people.ids[other]
    return (first, second) if first < second else (second, first)


_PLAIN: Row = {"cluster": None, "rule": 0, "similarity": 0, "points": 0.0, "band": "", "reasons": []}
_COLUMNS = ("id", "brand_id", "contact_id", "other_id", "reason", "scan_id", "created_at", *_PLAIN)
_CHANGED = ", ".join(f"{name} = excluded.{name}" for name in ("scan_id", *_PLAIN))


def _write(rows: Iterable[Row], *, scan_id: UUID | None, now: datetime, reason: str = SCAN) -> None:
    """Write pairs; one that is known keeps who noticed it, when, and whether people said no."""
    brand_id = brand_scope.current()
    ready = [
        (
            *(new_id(), brand_id, row["contact_id"], row["other_id"], reason, scan_id, now),
            *(row.get(name, plain) for name, plain in _PLAIN.items()),
        )
        for row in rows
    ]
    for start_at in range(0, len(ready), _AT_ONCE):
        bulk.insert(
            DuplicateSuggestion,
            _COLUMNS,
            ready[start_at : start_at + _AT_ONCE],
            on_conflict=f"(brand_id, contact_id, other_id) do update set {_CHANGED}",
        )


def _forget(scan: DuplicateScan) -> None:
    """Let go of what an earlier search had found and this one did not; verdicts and intake's own findings stay."""
    gone = DuplicateSuggestion.objects.filter(created_at__lt=scan.created_at, dismissed_at=None)
    gone = gone.filter(Q(scan_id=None) | ~Q(scan_id=scan.id))
    gone.filter(reason__in=(SCAN, INTAKE)).delete()
    gone.update(cluster=None, rule=0)


def _finish(scan: DuplicateScan, people: Everybody, found: rule.Found, scored: score.Scored) -> None:
    linked = int((scored.points >= score.LINK_FROM).sum())
    scan.status, scan.share, scan.finished_at = DuplicateScan.Status.DONE, 1.0, timezone.now()
    scan.counts = {
        "people": len(people.ids),
        "clusters": len(found.clusters),
        "link": linked,
        "review": len(scored) - linked,
        **{f"by_{reason}": many for reason, many in found.pairs_by.items()},
    }
    scan.crowds = {
        str(place): len(cluster.people) for place, cluster in enumerate(found.clusters) if cluster.is_crowd
    }
    scan.save()


# New people, one batch at a time


def look_around(contact_ids: Collection[UUID], *, now: datetime) -> int:
    """Look whether people who just came are here already, and return how many pairs are suggested.

    Reads only who shares a number, an address or a name with them: a few looks into indexes for each, whatever the size
    of the brand. Both orders of a name are looked for.
    """
    around = _around(contact_ids)
    people = reading.some({*contact_ids, *around})
    new = {place for contact_id, place in people.places().items() if contact_id in set(contact_ids)}
    if not new or len(people.ids) < 2:
        return 0
    found = rule.clusters(people.for_rule())
    scored = score.scan(people.facts, is_sample=True)
    touching = {
        _pair(people, one, other) for one, other in _pairs_of(found, scored) if one in new or other in new
    }
    rows = [
        row | {"cluster": None}
        for pair, row in _rows(people, found, scored).items()
        if pair in touching and (row.get("band") or row.get("rule", 0) & ~rule.NAME)
    ]
    known = set(
        DuplicateSuggestion.objects.filter(
            contact_id__in=[row["contact_id"] for row in rows], other_id__in=[row["other_id"] for row in rows]
        ).values_list("contact_id", "other_id")
    )
    fresh = [row for row in rows if (row["contact_id"], row["other_id"]) not in known]
    _write(fresh, scan_id=None, now=now, reason=INTAKE)
    return len(fresh)


def _pairs_of(found: rule.Found, scored: score.Scored) -> Iterable[tuple[int, int]]:
    for cluster in found.clusters:
        yield from zip(cluster.pairs.one.tolist(), cluster.pairs.other.tolist(), strict=True)
    yield from zip(scored.one.tolist(), scored.other.tolist(), strict=True)


def _around(contact_ids: Collection[UUID]) -> set[UUID]:
    """Return who shares a number, an address or a name with these people."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with new as (
                select contact.id, contact.email_norm, contact.name_key, contact.surname_key,
                       contact.last_name <> '' and contact.first_name <> '' as is_whole
                from unnest(%(ids)s::uuid[]) wanted
                cross join lateral (
                    select * from contacts_contact where id = wanted and deleted_at is null limit 1
                ) contact
            )
            select found.contact_id from new
            cross join lateral (
                select phone_e164 from contacts_contactphone
                where contact_id = new.id and is_active and is_valid limit 5
            ) phone
            cross join lateral (
                select contact_id from contacts_contactphone
                where phone_e164 = phone.phone_e164 and is_active limit %(most)s
            ) found
            union
            select found.id from new
            cross join lateral (
                select id from contacts_contact
                where email_norm = new.email_norm and deleted_at is null limit %(most)s
            ) found
            union
            select found.id from new
            cross join lateral (
                select id from contacts_contact
                where name_key = new.name_key and deleted_at is null limit %(most)s
            ) found where new.is_whole
            union
            select found.id from new
            cross join lateral (
                select id from contacts_contact
                where surname_key = new.name_key and deleted_at is null limit %(most)s
            ) found where new.is_whole
            """,
            {"ids": bulk.uuids(contact_ids), "most": _MOST_ALIKE},
        )
        return {row[0] for row in cursor.fetchall()}
