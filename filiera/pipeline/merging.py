"""What a merge of people does with their deals and their state, and what an undo counts again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection
from django.utils.translation import ngettext

from filiera.contacts.merging import references
from filiera.contacts.merging.ledger import Ledger, Watched
from filiera.contacts.merging.plan import Plan
from filiera.contacts.merging.references import Fate, Room
from filiera.pipeline import moves, rules
from filiera.pipeline.models import Deal, StageHistory
from filiera.pipeline.moves import Cause
from filiera.platform import bulk

MERGED: Final = "merged"
"""Why a deal was closed as void when its person turned out to have an older one (CON-24)."""
DEAL: Final = "deal"


def register() -> None:
    """Take part in merges, and say what becomes of what points to people here."""
    for table in ("pipeline_deal", "pipeline_leadevent", "pipeline_activity"):
        references.say(table, "contact_id", Fate.MOVES)
    references.room("pipeline", Room(before=_before, after_undo=_count_again, warn=_warn))


def _before(plan: Plan, ledger: Ledger, now: datetime, user_id: UUID | None) -> None:
    """Leave the oldest open deal open, close the others as void, and give the survivor the most advanced state."""
    cause = Cause(user_id, "merge", StageHistory.Reason.MERGE)
    for deal in _open_deals(plan.ids, lock=True)[1:]:
        with ledger.watching(DEAL, deal.id, *_watched(deal.id)):
            moves.end(deal, status=Deal.Status.LOST, cause=cause, now=now, lost_reason=MERGED, is_void=True)
    moves.set_state(plan.survivor, rules.most_advanced(one.status for one in plan.people), now=now)


def _open_deals(ids: Sequence[UUID], *, lock: bool = False) -> list[Deal]:
    found = Deal.objects.filter(contact_id__in=ids, status=Deal.Status.OPEN)
    if lock:
        list(found.select_for_update(no_key=True).order_by("id"))
    return sorted(found, key=lambda one: (one.opened_at, one.id))


def _watched(deal_id: UUID) -> tuple[Watched, ...]:
    return (
        Watched("pipeline_deal", "row.id = %s", (deal_id,)),
        Watched("pipeline_dealclosing", "row.deal_id = %s", (deal_id,)),
        Watched("pipeline_stagehistory", "row.deal_id = %s", (deal_id,)),
    )


def _count_again(ids: Sequence[UUID]) -> None:
    """Count the leads of people who got or lost some since they were merged."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            update contacts_contact person
            set lead_count = counted.leads, last_lead_at = coalesce(counted.last, person.last_lead_at)
            from unnest(%s::uuid[]) wanted(id)
            cross join lateral (select count(*) as leads, max(received_at) as last from pipeline_leadevent
                                where contact_id = wanted.id) counted
            where person.id = wanted.id
            """,
            [bulk.uuids(ids)],
        )


def _warn(plan: Plan) -> list[str]:
    closing = len(_open_deals(plan.ids)) - 1
    if closing < 1:
        return []
    words = ngettext(
        "Resta aperta la trattativa più vecchia; un’altra si chiude come unita e non conta nelle statistiche.",
        "Resta aperta la trattativa più vecchia; altre %(n)s si chiudono come unite e non contano nelle statistiche.",
        closing,
    )
    return [words % {"n": closing}]
