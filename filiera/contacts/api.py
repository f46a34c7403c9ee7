"""Merging of leads under /api/v1 (contacts.md 3)."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema

from filiera.contacts import merging
from filiera.identity.permissions import demand
from filiera.platform.api import MOST_PER_PAGE, PER_PAGE, ok, paginated
from filiera.platform.refusals import Invalid

router = Router(tags=["contacts"])

VIEW, EDIT = "view_contacts", "edit_contacts"
MOST_PAGES = 10_000


class Merging(Schema):
    leadIds: list[UUID] = Field(max_length=1_000)
    survivorId: UUID | None = None
    fields: dict[str, str] = {}


@router.post("/leads/merge")
def merge_leads(request: HttpRequest, given: Merging) -> Any:
    """Merge two to fifty leads; the oldest lives on unless `survivorId` names another.

    `fields` says for a field from which lead its value comes. 409 MERGED_MEANWHILE when somebody was faster.
    """
    principal = demand(request, EDIT)
    record = merging.merge(
        contact_ids=given.leadIds,
        survivor_id=given.survivorId,
        chosen=_owners(given),
        now=timezone.now(),
        user_id=principal.user.id,
    )
    return ok(request, merging.told(record))


def _owners(given: Merging) -> dict[str, UUID]:
    """Return whose value each field keeps. Raises Invalid for somebody who is not among the leads."""
    known = {str(one): one for one in given.leadIds}
    if strange := [name for name, owner in given.fields.items() if owner not in known]:
        wrong = {name: [_("Il valore viene da una delle schede da unire.")] for name in strange}
        raise Invalid(_("Alcune scelte non vanno bene."), details=wrong)
    return {name: known[owner] for name, owner in given.fields.items()}


class MergeQuery(Schema):
    page: int = Field(1, ge=1, le=MOST_PAGES)
    per_page: int = Field(PER_PAGE, ge=1, le=MOST_PER_PAGE)


@router.get("/leads/merges")
def list_merges(request: HttpRequest, asked: Query[MergeQuery]) -> Any:
    """Return past merges, newest first, with until when each can be undone."""
    demand(request, VIEW)
    offset = (asked.page - 1) * asked.per_page
    rows, total = merging.past(offset=offset, limit=asked.per_page)
    return paginated(
        request,
        [merging.told(row) | _since(row) for row in rows],
        total=total,
        page=asked.page,
        per_page=asked.per_page,
    )


@router.post("/leads/merges/{merge_id}/undo")
def undo_merge(request: HttpRequest, merge_id: UUID) -> Any:
    """Take a merge back; 409 NOT_UNDOABLE after 30 days, when undone already, or for erased people."""
    principal = demand(request, EDIT)
    done = merging.undo(merge_id=merge_id, now=timezone.now(), user_id=principal.user.id)
    return ok(
        request,
        {
            "mergeId": str(done.record.id),
            "survivorId": str(done.record.survivor_id),
            "restoredIds": [str(one) for one in done.record.merged_ids],
            "kept": done.kept,
            "followed": done.followed,
        },
    )


def _since(record: Any) -> dict[str, Any]:
    return {
        "at": record.at,
        "undoableUntil": merging.undoable_until(record),
        "undoneAt": record.undone_at,
        "by": record.by_user.name if record.by_user else None,
    }
