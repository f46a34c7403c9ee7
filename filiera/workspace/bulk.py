"""Deeds on many leads: seen before they are done, done in the background, stopped, and taken back (UI-25 to UI-27)."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from filiera.platform import brand_scope, bulk, live
from filiera.platform.ids import new_id
from filiera.platform.refusals import Missing, Refused
from filiera.workspace import bulk_actions
from filiera.workspace.bulk_actions import Action, Deed, Facts, Options
from filiera.workspace.models import BulkRow, BulkRun

log = logging.getLogger(__name__)

MOST: Final = 10_000
"""Leads of one deed."""
AT_ONCE: Final = 50
"""Leads of one transaction: what others wait for at most, and what is lost when a worker is killed."""
UNDO_FOR: Final = timedelta(minutes=10)
_NAMED: Final = 5
_LOOKED_AT: Final = 5_000

State, Outcome = BulkRun.State, BulkRow.Outcome


class TooLateToUndo(Refused):
    """Ten minutes are over, or it was taken back already."""

    code = "TOO_LATE_TO_UNDO"
    status = 409


@dataclass(frozen=True, slots=True)
class Skipped:
    """Why some leads would be left alone: how many, and the first names."""

    why: str
    count: int
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a deed would do."""

    words: str
    total: int
    changes: int
    skipped: Sequence[Skipped]


def preview(action: Action, contact_ids: Sequence[UUID], *, options: Options, now: datetime) -> Preview:
    """Return what a deed would do to these leads; the reasons are looked up in sets."""
    deed = Deed(None, options, now)
    counts: Counter[str] = Counter()
    names: dict[str, list[str]] = {}
    for start in range(0, len(contact_ids), _LOOKED_AT):
        known = bulk_actions.facts_of(contact_ids[start : start + _LOOKED_AT])
        for facts in known.values():
            why = action.skips(facts, deed)
            counts[why] += 1
            if why and len(names.setdefault(why, [])) < _NAMED:
                names[why].append(facts.name or _("Senza nome"))
    return Preview(
        words=action.words(options),
        total=len(contact_ids),
        changes=counts[""],
        skipped=[Skipped(why, count, names[why]) for why, count in counts.most_common() if why],
    )


@transaction.atomic
def plan(
    action: Action, contact_ids: Sequence[UUID], *, options: Options, user_id: UUID, now: datetime
) -> BulkRun:
    """Write down a deed and the leads it is about; somebody carries it out."""
    ids = list(dict.fromkeys(contact_ids))[:MOST]
    present = bulk_actions.facts_of(ids)
    ids = [one for one in ids if one in present]
    run = BulkRun.objects.create(
        action=action.key, options=options, user_id=user_id, total=len(ids), created_at=now
    )
    brand_id = brand_scope.current()
    bulk.insert(
        BulkRow,
        ("id", "brand_id", "run_id", "contact_id", "position", "outcome", "why", "before", "after"),
        [
            (new_id(), brand_id, run.id, contact_id, place, Outcome.WAITING.value, "", {}, {})
            for place, contact_id in enumerate(ids)
        ],
    )
    return run


def carry_out(run_id: UUID, *, brand_id: UUID) -> None:
    """Do, or take back, what is left of a deed, some leads a transaction. May run twice: what is done is done."""
    is_more = True
    while is_more:
        with brand_scope.use(brand_id):
            is_more = _some(run_id, now=timezone.now())


def _some(run_id: UUID, *, now: datetime) -> bool:
    """Handle the next leads of a deed; returns whether any may be left."""
    run = BulkRun.objects.select_for_update(no_key=True, skip_locked=True).filter(id=run_id).first()
    if run is None or not run.is_under_way:
        return False
    is_undo = run.state == State.UNDOING
    waiting = run.rows.filter(outcome=Outcome.DONE if is_undo else Outcome.WAITING).order_by("position")
    rows = list(waiting[:AT_ONCE])
    handle = _take_back if is_undo else _do
    action, deed = bulk_actions.action_of(run.action), Deed(run.user_id, run.options, now)
    known = bulk_actions.facts_of([row.contact_id for row in rows])
    for row in rows:
        handle(action, row, known.get(row.contact_id), deed)
    bulk.update(BulkRow, ("outcome", "why", "before", "after"), rows)
    run.handled += len(rows)
    if len(rows) < AT_ONCE:
        run.state, run.finished_at = State.UNDONE if is_undo else State.DONE, now
    elif not is_undo:
        run.state = State.RUNNING
    run.save(update_fields=["handled", "state", "finished_at"])
    if rows:
        live.announce("leads", "board")
    return len(rows) == AT_ONCE


def _do(action: Action, row: BulkRow, facts: Facts | None, deed: Deed) -> None:
    if facts is None:
        row.outcome, row.why = Outcome.SKIPPED, _("non c’è più")
    elif why := action.skips(facts, deed):
        row.outcome, row.why = Outcome.SKIPPED, why
    elif why := _tried(lambda: action.apply(facts, deed)):
        row.outcome, row.why = Outcome.FAILED, why
    else:
        now_known = bulk_actions.facts_of([row.contact_id])[row.contact_id]
        row.outcome, row.before, row.after = Outcome.DONE, action.kept(facts), action.kept(now_known)


def _take_back(action: Action, row: BulkRow, facts: Facts | None, deed: Deed) -> None:
    if facts is None or action.kept(facts) != row.after:
        row.outcome, row.why = Outcome.KEPT, _("cambiato dopo da qualcuno: resta così")
    elif why := _tried(lambda: action.undo(facts, row.before, deed)):
        row.outcome, row.why = Outcome.KEPT, why
    else:
        row.outcome = Outcome.UNDONE


def _tried(step: Callable[[], object]) -> str:
    """Return why a step could not be done, "" when it was; a fault of ours stops one lead and not the deed."""
    try:
        with transaction.atomic():
            step()
    except Refused as refusal:
        return str(refusal)[:200]
    except Exception:
        log.exception("a lead of a deed on many could not be changed")
        return _("non siamo riusciti: riprova su questo lead")
    return ""


def run_for(run_id: UUID) -> BulkRun:
    """Return a deed of the open brand. Raises Missing."""
    run = BulkRun.objects.select_related("user").filter(id=run_id).first()
    if run is None:
        raise Missing(_("Questa operazione non c’è, o non è più qui."))
    return run


def under_way(*, since: datetime) -> list[BulkRun]:
    """Return the deeds that were asked for before `since` and have not come to their end."""
    return list(BulkRun.objects.filter(state__in=BulkRun.UNDER_WAY, created_at__lt=since, user__isnull=False))


def counts_of(run: BulkRun) -> dict[str, int]:
    """Return how many leads of a deed came to each outcome."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select outcome, count(*) from workspace_bulkrow where run_id = %s group by outcome", [run.id]
        )
        return dict.fromkeys(Outcome.values, 0) | dict(cursor.fetchall())


def left_alone(run: BulkRun, *, most: int = 200) -> list[BulkRow]:
    """Return the leads that a deed skipped or failed on, or that taking it back left, each with the reason."""
    wanted = (Outcome.FAILED, Outcome.SKIPPED, Outcome.KEPT)
    rows = run.rows.filter(outcome__in=wanted).select_related("contact")
    return list(rows.order_by("outcome", "position")[:most])


@transaction.atomic
def cancel(run_id: UUID, *, now: datetime) -> BulkRun:
    """Stop a deed where it stands; what was done stays, and can be taken back."""
    run = _locked(run_id)
    if run.state in (State.WAITING, State.RUNNING):
        run.state, run.finished_at = State.CANCELLED, now
        run.save(update_fields=["state", "finished_at"])
    return run


def may_undo(run: BulkRun, *, now: datetime) -> bool:
    """Tell whether a deed can still be taken back."""
    if run.finished_at is None or run.state not in (State.DONE, State.CANCELLED):
        return False
    return now - run.finished_at <= UNDO_FOR


@transaction.atomic
def begin_undo(run_id: UUID, *, now: datetime) -> BulkRun:
    """Let a deed be taken back; somebody carries it out. Raises TooLateToUndo."""
    run = _locked(run_id)
    if not may_undo(run, now=now):
        raise TooLateToUndo(_("Non si può più annullare: sono passati 10 minuti, o è già stato fatto."))
    run.state, run.handled, run.finished_at = State.UNDOING, 0, None
    run.total = run.rows.filter(outcome=Outcome.DONE).count()
    run.save(update_fields=["state", "handled", "finished_at", "total"])
    return run


def _locked(run_id: UUID) -> BulkRun:
    run = BulkRun.objects.select_for_update(no_key=True).filter(id=run_id).first()
    if run is None:
        raise Missing(_("Questa operazione non c’è, o non è più qui."))
    return run
