"""The lead as people see it: a person with their current deal, changed as one."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _later

from filiera.contacts import commands as contacts
from filiera.contacts.models import Contact, LeadState
from filiera.pipeline import moves
from filiera.pipeline.commands import deals
from filiera.pipeline.models import Deal, LeadEvent
from filiera.pipeline.moves import Cause
from filiera.platform import events, live
from filiera.platform.refusals import Invalid, Missing, Refused

IN_THE_BIN = "cestino"
"""Why a deal was closed as void when its person went to the bin; the way back opens it again."""


@transaction.atomic
def edit_lead(*, contact_id: UUID, changes: dict[str, Any], now: datetime, user_id: UUID | None) -> Contact:
    """Change a lead's fields: those of `contacts.edit_contact`, and `status` (a lead state).

    Raises ContactMissing, Invalid, InvalidPhone.
    """
    changes = dict(changes)
    state = changes.pop("status", None)
    contact = contacts.edit_contact(contact_id=contact_id, changes=changes, now=now, user_id=user_id)
    if "assigned_user_id" in changes:
        _give_deals(contact_id, changes["assigned_user_id"], by=user_id, now=now)
    if state is not None:
        contact = set_lead_state(contact_id=contact_id, state=state, now=now, user_id=user_id)
    live.announce("leads", "board")
    return contact


def _give_deals(contact_id: UUID, owner_id: UUID | None, *, by: UUID | None, now: datetime) -> None:
    """Give a person's open deals to whom the person was given to."""
    theirs = Deal.objects.filter(contact_id=contact_id, status=Deal.Status.OPEN)
    changed = list(theirs.exclude(owner_user_id=owner_id).values_list("id", flat=True))
    theirs.update(owner_user_id=owner_id, updated_at=now)
    facts = {
        "contact_id": str(contact_id),
        "owner_user_id": str(owner_id) if owner_id else None,
        "user_id": str(by) if by else None,
    }
    events.record_all([("deal.owner_changed", deal_id, facts) for deal_id in changed], at=now)


@transaction.atomic
def set_lead_state(
    *,
    contact_id: UUID,
    state: str,
    now: datetime,
    user_id: UUID | None,
    lost_reason: str = "",
    amount: Any = None,
) -> Contact:
    """Put a lead into a state by hand, and its deal where that state stands; a closed deal is opened again for it.

    Raises ContactMissing, Invalid for an unknown state.
    """
    if state not in LeadState:
        raise Invalid(_("Stato sconosciuto."), details={"Stato": [_("Stato sconosciuto.")]})
    contact = contacts.locked(contact_id)
    if contact.status == state:
        return contact
    cause = Cause.person(user_id)
    own = Deal.objects.select_for_update(no_key=True).filter(contact_id=contact_id)
    deal = own.filter(status=Deal.Status.OPEN).first()
    stage = moves.stage_for_state(state)
    if deal is None and contact.status in moves.TERMINAL:
        deal = own.filter(is_void=False).order_by("-opened_at").first()
        if deal is not None:
            deals.reopen(contact, deal, cause=cause, now=now)
    if deal is not None and state in moves.TERMINAL:
        status = moves.TERMINAL[state]
        deals.finish(
            contact, deal, status=status, cause=cause, now=now, lost_reason=lost_reason, amount=amount
        )
    elif deal is not None and stage is not None and stage.id != deal.current_stage_id:
        deals.move(contact, deal, stage, cause=cause, now=now)
    moves.set_state(contact, state, now=now)
    live.announce("leads", "board")
    return contact


@transaction.atomic
def delete_leads(*, contact_ids: Sequence[UUID], now: datetime, user_id: UUID | None) -> int:
    """Put people into the bin, their open deals closed as void; returns how many. Undone by `restore_leads`.

    Ids of another brand count as missing: ContactMissing, and nothing happens.
    """
    gone = contacts.delete_contacts(contact_ids=contact_ids, now=now, user_id=user_id)
    ids = [contact.id for contact in gone]
    open_deals = Deal.objects.select_for_update(no_key=True).filter(
        contact_id__in=ids, status=Deal.Status.OPEN
    )
    for deal in open_deals.order_by("id"):
        moves.end(
            deal,
            status=Deal.Status.LOST,
            cause=Cause.person(user_id),
            now=now,
            lost_reason=IN_THE_BIN,
            is_void=True,
        )
    live.announce("leads", "board")
    return len(gone)


@transaction.atomic
def restore_leads(*, contact_ids: Sequence[UUID], now: datetime, user_id: UUID | None) -> int:
    """Take people out of the bin, with the deals that went there with them; returns how many."""
    back = {
        contact.id: contact
        for contact in contacts.restore_contacts(contact_ids=contact_ids, now=now, user_id=user_id)
    }
    binned = Deal.objects.select_for_update(no_key=True).filter(
        contact_id__in=back, is_void=True, lost_reason=IN_THE_BIN
    )
    for deal in binned.order_by("contact_id", "-closed_at"):
        if not Deal.objects.filter(contact_id=deal.contact_id, status=Deal.Status.OPEN).exists():
            deals.reopen(back[deal.contact_id], deal, cause=Cause.person(user_id), now=now)
    live.announce("leads", "board")
    return len(back)


class ExcludedTooLate(Refused):
    """Some reasons may be given in the first three days only: later the figures were read already (kpis.md)."""

    code = "EXCLUDED_TOO_LATE"


EXCLUSIONS: Final = {
    "test": _later("una prova"),
    "spam": _later("spam"),
    "internal": _later("uno di noi"),
    "wrong_number": _later("numero sbagliato"),
    "not_a_person": _later("non è una persona"),
}
"""Why a lead event does not count (CON-42)."""
SOON_ONLY: Final = frozenset({"wrong_number", "not_a_person"})
SOON: Final = timedelta(hours=72)


@transaction.atomic
def exclude_lead(*, event_id: UUID, reason: str, now: datetime, user_id: UUID | None) -> LeadEvent:
    """Leave a lead event out of the figures for a reason of EXCLUSIONS, or count it again with "" (CON-42).

    Raises Missing, Invalid for an unknown reason, ExcludedTooLate.
    """
    event = _locked_event(event_id)
    if reason and reason not in EXCLUSIONS:
        raise Invalid(_("Motivo sconosciuto."), details={"motivo": [_("Motivo sconosciuto.")]})
    if reason in SOON_ONLY and now - event.received_at > SOON:
        raise ExcludedTooLate(_("Per questo motivo si esclude solo nelle prime 72 ore."))
    event.excluded_reason, event.updated_at = reason, now
    event.excluded_by_id, event.excluded_at = (user_id, now) if reason else (None, None)
    event.save(update_fields=["excluded_reason", "excluded_by", "excluded_at", "updated_at"])
    live.announce("leads")
    return event


@transaction.atomic
def archive_lead(*, event_id: UUID, archived: bool, now: datetime) -> LeadEvent:
    """Take a lead event off the work list, or put it back; it stays in the figures (CON-37). Raises Missing."""
    event = _locked_event(event_id)
    event.archived, event.updated_at = archived, now
    event.save(update_fields=["archived", "updated_at"])
    live.announce("leads")
    return event


def _locked_event(event_id: UUID) -> LeadEvent:
    event = LeadEvent.objects.select_for_update(no_key=True).filter(id=event_id).first()
    if event is None:
        raise Missing(_("Questa richiesta non c’è, o non è più qui."))
    return event
