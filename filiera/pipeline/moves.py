"""How a deal moves: the steps shared by every verb that moves one, on rows the verb has locked.

A deal and its person are always locked in the order person, deal: intake, people and rules meet without deadlock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from filiera.contacts.models import Contact, LeadState
from filiera.pipeline.models import Deal, DealClosing, Stage, StageHistory
from filiera.platform import bulk, events
from filiera.platform.ids import new_id

TERMINAL = {LeadState.CHIUSO_VINTO.value: Deal.Status.WON, LeadState.PERSO.value: Deal.Status.LOST}


@dataclass(frozen=True, slots=True)
class Cause:
    """Who or what moves a deal, and why (PIP-06, PIP-07)."""

    user_id: UUID | None
    by: str
    reason: str

    @classmethod
    def person(cls, user_id: UUID | None, reason: str = StageHistory.Reason.MANUAL) -> "Cause":
        """A person did it; without one it was the house's own doing, named by its reason."""
        return cls(user_id, "user" if user_id else reason, reason)


RULE = Cause(None, "rule", StageHistory.Reason.RULE)


def stage_for_state(state: str) -> Stage | None:
    """Return the first active stage that stands for a lead state, or None (PIP-18)."""
    return Stage.objects.filter(lead_state=state, is_active=True).order_by("order_index", "id").first()


def first_stage() -> Stage | None:
    """Return the stage new deals open in: the first active one (PIP-13)."""
    return Stage.objects.filter(is_active=True).order_by("order_index", "id").first()


def enter(deal: Deal, stage: Stage | None, *, cause: Cause, now: datetime) -> datetime:
    """Put a locked deal into `stage`, or nowhere, closing the stay it was in with the same instant.

    Returns that instant: `now`, or the moment the last stay began when clocks of two machines disagree. Changes the
    deal in memory; the caller saves it.
    """
    at = leave(deal, now=now)
    deal.current_stage, deal.stage_entered_at = stage, at if stage else None
    if stage is not None:
        StageHistory.objects.create(
            brand_id=deal.brand_id,
            deal_id=deal.id,
            stage_id=stage.id,
            entered_at=at,
            changed_by_user_id=cause.user_id,
            changed_by=cause.by,
            change_reason=cause.reason,
            stage_version=stage.version,
            created_at=now,
        )
    return at


def leave(deal: Deal, *, now: datetime) -> datetime:
    """Close the open stay of a locked deal, if there is one, and return the instant it ended."""
    open_stay = StageHistory.objects.filter(deal_id=deal.id, exited_at__isnull=True).first()
    if open_stay is None:
        last = StageHistory.objects.filter(deal_id=deal.id).order_by("-entered_at").first()
        return max(now, last.exited_at) if last and last.exited_at else now
    open_stay.exited_at = max(now, open_stay.entered_at)
    open_stay.save(update_fields=["exited_at"])
    return open_stay.exited_at


def set_state(contact: Contact, state: str, *, now: datetime) -> None:
    """Write the lead state of a locked person."""
    if contact.status != state:
        contact.status, contact.updated_at = state, now
        contact.save(update_fields=["status", "updated_at"])


def end(
    deal: Deal,
    *,
    status: str,
    cause: Cause,
    now: datetime,
    lost_reason: str = "",
    amount: Decimal | None = None,
    is_void: bool = False,
    closed_at: datetime | None = None,
) -> None:
    """Close a locked open deal, end its stay, and write the fact that figures are made of. Saves the deal.

    `closed_at` is when it was closed in the world, when that was before somebody wrote it down.
    """
    left_at = leave(deal, now=now)
    at = min(closed_at, left_at) if closed_at else left_at
    deal.status, deal.closed_at, deal.is_void, deal.lost_reason = status, at, is_void, lost_reason
    deal.waiting_until = None
    if amount is not None:
        deal.amount = amount
    save(deal, now=now)
    DealClosing.objects.create(
        id=new_id(),
        brand_id=deal.brand_id,
        deal_id=deal.id,
        status=status,
        is_void=is_void,
        amount=deal.amount,
        lost_reason=lost_reason,
        owner_user_id=deal.owner_user_id,
        closed_at=at,
        closed_by_user_id=cause.user_id,
        closed_by=cause.by,
    )
    events.record(
        kind="deal.closed",
        subject_id=deal.id,
        at=at,
        data=_facts(deal, cause) | {"status": status, "is_void": is_void, "lost_reason": lost_reason},
    )


def announce_stage(deal: Deal, from_stage_id: UUID | None, *, cause: Cause, at: datetime) -> None:
    """Record that a deal changed stage."""
    events.record_all([_stage_changed(deal, from_stage_id, cause)], at=at)


def _stage_changed(
    deal: Deal, from_stage_id: UUID | None, cause: Cause
) -> tuple[str, UUID, dict[str, str | None]]:
    facts = _facts(deal, cause) | {
        "from_stage_id": str(from_stage_id) if from_stage_id else None,
        "reason": cause.reason,
    }
    return "deal.stage_changed", deal.id, facts


def open_stays_of(
    entered: Sequence[tuple[Deal, datetime]], stage: Stage, *, cause: Cause, now: datetime
) -> None:
    """Write that these deals stand in a stage, each since its moment, with one statement."""
    bulk.insert(
        StageHistory,
        (
            *("id", "brand_id", "deal_id", "stage_id", "entered_at", "changed_by_user_id", "changed_by"),
            *("change_reason", "stage_version", "created_at"),
        ),
        [
            (
                *(new_id(), deal.brand_id, deal.id, stage.id, at, cause.user_id, cause.by),
                *(str(cause.reason), stage.version, now),
            )
            for deal, at in entered
        ],
    )


def enter_together(deals: Sequence[Deal], stage: Stage, *, cause: Cause, now: datetime) -> None:
    """Put locked open deals into a stage that closes nothing, and save and announce them: `enter` for many at once.

    Five statements whatever their number, but for deals that stood in no stage.
    """
    stays = StageHistory.objects.filter(deal_id__in=[deal.id for deal in deals], exited_at__isnull=True)
    left = {stay.deal_id: stay for stay in stays}
    entered, changed = [], []
    for deal in deals:
        stay, from_stage_id = left.get(deal.id), deal.current_stage_id
        at = leave(deal, now=now) if stay is None else max(now, stay.entered_at)
        if stay is not None:
            stay.exited_at = at
        deal.current_stage, deal.stage_entered_at = stage, at
        deal.version, deal.updated_at = deal.version + 1, now
        entered.append((deal, at))
        changed.append(_stage_changed(deal, from_stage_id, cause))
    bulk.update(StageHistory, ("exited_at",), list(left.values()))
    open_stays_of(entered, stage, cause=cause, now=now)
    bulk.update(Deal, ("current_stage_id", "stage_entered_at", "version", "updated_at"), deals)
    events.record_all(changed, at=[at for _deal, at in entered])


def save(deal: Deal, *, now: datetime) -> None:
    """Write a locked deal with its next version, so that whoever saw the old one is told (PIP-30)."""
    deal.version += 1
    deal.updated_at = now
    deal.save()


def _facts(deal: Deal, cause: Cause) -> dict[str, str | None]:
    return {
        "contact_id": str(deal.contact_id),
        "stage_id": str(deal.current_stage_id) if deal.current_stage_id else None,
        "user_id": str(cause.user_id) if cause.user_id else None,
        "by": cause.by,
    }
