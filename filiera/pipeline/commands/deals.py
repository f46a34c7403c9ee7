"""Deals: open, move, close, take back, hand over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.utils.translation import gettext as _

from filiera.contacts.commands import ContactMissing
from filiera.contacts.models import Contact, LeadState
from filiera.pipeline import moves
from filiera.pipeline.commands.stages import StageMissing
from filiera.pipeline.models import Deal, DealClosing, Stage, StageHistory
from filiera.pipeline.moves import Cause
from filiera.platform import bulk, events, live
from filiera.platform.ids import new_id
from filiera.platform.refusals import Invalid, Missing, Refused


class DealMissing(Missing):
    """There is no such deal in this brand."""

    def __init__(self) -> None:
        super().__init__(_("Questa trattativa non c’è, o non è più qui."))


class StaleObject(Refused):
    """Somebody changed the deal since it was read (PIP-30)."""

    code = "STALE_OBJECT"

    def __init__(self) -> None:
        super().__init__(_("Nel frattempo qualcuno l’ha cambiata. Guarda com’è adesso e riprova."))


class OpenDealExists(Refused):
    """A person has at most one open deal (PIP-03)."""

    code = "OPEN_DEAL_EXISTS"

    def __init__(self) -> None:
        super().__init__(_("Questa persona ha già una trattativa aperta."))


class DealIsClosed(Refused):
    """A closed deal is reopened before it moves."""

    code = "INVALID_TRANSITION"
    status = 422

    def __init__(self) -> None:
        super().__init__(_("Questa trattativa è chiusa. Riaprila prima di spostarla."))


class DealIsOpen(Refused):
    """Only a closed deal can be reopened."""

    code = "INVALID_TRANSITION"
    status = 422

    def __init__(self) -> None:
        super().__init__(_("Questa trattativa è già aperta."))


@transaction.atomic
def open_deal(
    *,
    contact_id: UUID,
    now: datetime,
    user_id: UUID | None = None,
    title: str = "",
    stage_id: UUID | None = None,
    amount: Decimal | None = None,
) -> Deal:
    """Open a deal for a person, by hand; the stage given, or the first active one.

    Raises ContactMissing, StageMissing, OpenDealExists.
    """
    contact = Contact.objects.select_for_update(no_key=True).filter(id=contact_id, deleted_at=None).first()
    if contact is None:
        raise ContactMissing
    if Deal.objects.filter(contact_id=contact_id, status=Deal.Status.OPEN).exists():
        raise OpenDealExists
    stage = _active_stage(stage_id) if stage_id else moves.first_stage()
    deal = Deal.objects.create(
        id=new_id(),
        contact=contact,
        title=title[:255],
        amount=amount,
        owner_user_id=contact.assigned_user_id,
        opened_at=now,
        created_at=now,
        updated_at=now,
    )
    cause = Cause.person(user_id, StageHistory.Reason.CREATED)
    moves.enter(deal, stage, cause=cause, now=now)
    deal.save(update_fields=["current_stage", "stage_entered_at"])
    if stage is not None and stage.lead_state and stage.lead_state not in moves.TERMINAL:
        moves.set_state(contact, stage.lead_state, now=now)
    elif contact.status in moves.TERMINAL:
        moves.set_state(contact, LeadState.NUOVO, now=now)
    events.record(kind="deal.created", subject_id=deal.id, at=now, data={"contact_id": str(contact_id)})
    live.announce("leads", "board")
    return deal


@transaction.atomic
def move_deal(
    *,
    deal_id: UUID,
    stage_id: UUID | None,
    now: datetime,
    user_id: UUID | None = None,
    version: int | None = None,
    reason: str = StageHistory.Reason.MANUAL,
    lost_reason: str = "",
    amount: Decimal | None = None,
    closed_at: datetime | None = None,
) -> Deal:
    """Move an open deal to a stage, or off the board with None; the state of the stage becomes the person's.

    A stage that stands for Chiuso / Vinto or Perso closes the deal, at `closed_at` when the sale was made before it
    was written down. The stage it is in already: nothing is written.
    `version` is what the mover saw; None moves it whatever happened since. Raises DealMissing, StageMissing,
    StaleObject, DealIsClosed.
    """
    contact, deal = _locked(deal_id, version)
    if deal.status != Deal.Status.OPEN:
        raise DealIsClosed
    if deal.current_stage_id == stage_id:
        return deal
    stage = _active_stage(stage_id) if stage_id else None
    cause = Cause.person(user_id, reason)
    _move(
        contact,
        deal,
        stage,
        cause=cause,
        now=now,
        lost_reason=lost_reason,
        amount=amount,
        closed_at=closed_at,
    )
    return deal


@transaction.atomic
def close_deal(
    *,
    deal_id: UUID,
    status: str,
    now: datetime,
    user_id: UUID | None = None,
    version: int | None = None,
    lost_reason: str = "",
    amount: Decimal | None = None,
    closed_at: datetime | None = None,
) -> Deal:
    """Close an open deal as `won` or `lost`, in the stage that stands for it when there is one.

    Raises DealMissing, StaleObject, DealIsClosed, Invalid for another status.
    """
    if status not in (Deal.Status.WON, Deal.Status.LOST):
        raise Invalid(_("Si chiude come vinta o come persa."), details={"status": ["won | lost"]})
    contact, deal = _locked(deal_id, version)
    if deal.status != Deal.Status.OPEN:
        raise DealIsClosed
    finish(
        contact,
        deal,
        status=status,
        cause=Cause.person(user_id),
        now=now,
        lost_reason=lost_reason,
        amount=amount,
        closed_at=closed_at,
    )
    return deal


@transaction.atomic
def void_deal(
    *, deal_id: UUID, now: datetime, user_id: UUID | None = None, why: str = "", version: int | None = None
) -> Deal:
    """Close an open deal as a duplicate or a mistake: neither won nor lost, and the person's state stays (PIP-34).

    Raises DealMissing, StaleObject, DealIsClosed.
    """
    _contact, deal = _locked(deal_id, version)
    if deal.status != Deal.Status.OPEN:
        raise DealIsClosed
    moves.end(
        deal, status=Deal.Status.LOST, cause=Cause.person(user_id), now=now, lost_reason=why, is_void=True
    )
    live.announce("leads", "board")
    return deal


@transaction.atomic
def reopen_deal(
    *,
    deal_id: UUID,
    now: datetime,
    user_id: UUID | None = None,
    version: int | None = None,
    stage_id: UUID | None = None,
) -> Deal:
    """Open a closed deal again, in the stage given or the last one it worked in.

    The close stays on record and is reversed on this day, never rewritten. Raises DealMissing, StaleObject,
    DealIsOpen, StageMissing, OpenDealExists when the person has another open deal.
    """
    contact, deal = _locked(deal_id, version)
    if deal.status == Deal.Status.OPEN:
        raise DealIsOpen
    reopen(contact, deal, cause=Cause.person(user_id), now=now, stage_id=stage_id)
    return deal


@transaction.atomic
def edit_deal(
    *,
    deal_id: UUID,
    changes: dict[str, Any],
    now: datetime,
    user_id: UUID | None = None,
    version: int | None = None,
) -> Deal:
    """Change a deal's own fields: title, amount, expected_close_date, owner_user_id, waiting_until.

    Writes no history, because the deal does not move. Raises DealMissing, StaleObject, Invalid for another field.
    """
    unknown = changes.keys() - {"title", "amount", "expected_close_date", "owner_user_id", "waiting_until"}
    if unknown:
        raise Invalid(
            _("Alcuni campi non si cambiano qui."),
            details={name: [_("Non si cambia.")] for name in sorted(unknown)},
        )
    contact, deal = _locked(deal_id, version)
    for name, value in changes.items():
        setattr(deal, name, value)
    moves.save(deal, now=now)
    if "owner_user_id" in changes and deal.status == Deal.Status.OPEN:
        contact.assigned_user_id, contact.updated_at = changes["owner_user_id"], now
        contact.save(update_fields=["assigned_user", "updated_at"])
        events.record(
            kind="deal.owner_changed",
            subject_id=deal.id,
            at=now,
            data={
                "contact_id": str(contact.id),
                "owner_user_id": str(changes["owner_user_id"]) if changes["owner_user_id"] else None,
                "user_id": str(user_id) if user_id else None,
            },
        )
    live.announce("leads", "board")
    return deal


@dataclass(frozen=True, slots=True)
class Ownership:
    """A deal, its person, and who is to look after both."""

    deal_id: UUID
    contact_id: UUID
    user_id: UUID | None


def give_owners(owners: Sequence[Ownership], *, now: datetime) -> None:
    """Hand deals and their people over, for routing: two statements whatever their number.

    The versions stay: nobody's open page becomes stale because a lead was assigned.
    """
    if not owners:
        return
    rows = orjson.dumps([(one.deal_id, one.contact_id, one.user_id) for one in owners]).decode()
    with connection.cursor() as cursor:
        for table, key, column, ids in (
            ("contacts_contact", 1, "assigned_user_id", [one.contact_id for one in owners]),
            ("pipeline_deal", 0, "owner_user_id", [one.deal_id for one in owners]),
        ):
            cursor.execute(
                f"""
                update {table} target set {column} = given.user_id, updated_at = %s
                from (
                    select (row->>{key})::uuid as id, (row->>2)::uuid as user_id
                    from jsonb_array_elements(%s::jsonb) as row order by 1
                ) given
                where target.id = given.id and target.{column} is distinct from given.user_id
                  and target.id = any(%s::uuid[])
                """,
                [now, rows, bulk.uuids(ids)],
            )


# Shared with activities: on rows that are locked


def finish(
    contact: Contact,
    deal: Deal,
    *,
    status: str,
    cause: Cause,
    now: datetime,
    lost_reason: str = "",
    amount: Decimal | None = None,
    closed_at: datetime | None = None,
) -> None:
    """Close a locked open deal and write the state that means it to its person."""
    state = LeadState.CHIUSO_VINTO if status == Deal.Status.WON else LeadState.PERSO
    stage = moves.stage_for_state(state)
    from_stage_id = deal.current_stage_id
    if stage is not None and stage.id != from_stage_id:
        at = moves.enter(deal, stage, cause=cause, now=now)
        moves.announce_stage(deal, from_stage_id, cause=cause, at=at)
    moves.end(
        deal,
        status=status,
        cause=cause,
        now=now,
        lost_reason=lost_reason,
        amount=amount,
        closed_at=closed_at,
    )
    moves.set_state(contact, state, now=now)
    live.announce("leads", "board")


def reopen(
    contact: Contact, deal: Deal, *, cause: Cause, now: datetime, stage_id: UUID | None = None
) -> None:
    """Reverse the close of a locked deal on this day. Raises OpenDealExists, StageMissing."""
    others = Deal.objects.filter(contact_id=contact.id, status=Deal.Status.OPEN).exclude(id=deal.id)
    if others.exists():
        raise OpenDealExists
    stage = _active_stage(stage_id) if stage_id else _last_working_stage(deal)
    DealClosing.objects.filter(deal_id=deal.id, reopened_at=None).update(
        reopened_at=now, reopened_by_user_id=cause.user_id
    )
    deal.status, deal.closed_at, deal.is_void, deal.lost_reason = Deal.Status.OPEN, None, False, ""
    at = moves.enter(deal, stage, cause=cause, now=now)
    moves.save(deal, now=now)
    state = stage.lead_state if stage and stage.lead_state else None
    if state or contact.status in moves.TERMINAL:
        moves.set_state(contact, state or LeadState.NUOVO, now=now)
    events.record(
        kind="deal.reopened",
        subject_id=deal.id,
        at=at,
        data={
            "contact_id": str(contact.id),
            "user_id": str(cause.user_id) if cause.user_id else None,
            "by": cause.by,
        },
    )
    live.announce("leads", "board")


def move(contact: Contact, deal: Deal, stage: Stage, *, cause: Cause, now: datetime) -> None:
    """Move a locked open deal to a stage that closes nothing."""
    _move(contact, deal, stage, cause=cause, now=now)


def _move(
    contact: Contact,
    deal: Deal,
    stage: Stage | None,
    *,
    cause: Cause,
    now: datetime,
    lost_reason: str = "",
    amount: Decimal | None = None,
    closed_at: datetime | None = None,
) -> None:
    from_stage_id = deal.current_stage_id
    at = moves.enter(deal, stage, cause=cause, now=now)
    moves.announce_stage(deal, from_stage_id, cause=cause, at=at)
    state = stage.lead_state if stage else None
    if amount is not None:
        deal.amount = amount
    if state in moves.TERMINAL:
        moves.end(
            deal,
            status=moves.TERMINAL[state],
            cause=cause,
            now=now,
            lost_reason=lost_reason,
            closed_at=closed_at,
        )
    else:
        moves.save(deal, now=now)
    if state:
        moves.set_state(contact, state, now=now)
    live.announce("leads", "board")


def _locked(deal_id: UUID, version: int | None) -> tuple[Contact, Deal]:
    """Return the person and the deal, locked in this order. Raises DealMissing, StaleObject."""
    contact_id = Deal.objects.filter(id=deal_id).values_list("contact_id", flat=True).first()
    if contact_id is None:
        raise DealMissing
    contact = Contact.objects.select_for_update(no_key=True).get(id=contact_id)
    deal = Deal.objects.select_for_update(no_key=True).get(id=deal_id, contact_id=contact_id)
    if version is not None and deal.version != version:
        raise StaleObject
    deal.contact = contact
    return contact, deal


def _active_stage(stage_id: UUID) -> Stage:
    stage = Stage.objects.filter(id=stage_id, is_active=True).first()
    if stage is None:
        raise StageMissing
    return stage


def _last_working_stage(deal: Deal) -> Stage | None:
    """The stage a reopened deal returns to: the last one that did not close it and is still in use."""
    stay = (
        StageHistory.objects.filter(deal_id=deal.id, stage__is_active=True)
        .exclude(stage__lead_state__in=moves.TERMINAL)
        .select_related("stage")
        .order_by("-entered_at", "-id")
        .first()
    )
    return stay.stage if stay else moves.first_stage()
