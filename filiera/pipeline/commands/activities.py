"""What people do about a lead, what they mean to do, and what that does to the lead's state."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from filiera.contacts import queries as contacts
from filiera.contacts.commands import ContactMissing
from filiera.contacts.models import Contact
from filiera.pipeline import moves, rules
from filiera.pipeline.commands import deals
from filiera.pipeline.models import Activity, Deal, StateRule
from filiera.platform import brand_scope, bulk, events, live
from filiera.platform.ids import new_id
from filiera.platform.models import SiteSetting
from filiera.platform.refusals import Invalid, Missing

ALLOW_REGRESSION = "lead_state.allow_regression"
"""The brand setting that lets rules move a lead backwards too (PIP-17)."""


BeforeACall = Callable[[UUID, UUID | None, bool, datetime], None]
"""(person, who saves, whether the opening was said, moment): raises Refused where the call may not be saved so."""

_before_a_call: dict[str, BeforeACall] = {}


def before_a_call(room: str, check: BeforeACall) -> None:
    """Let a later room look at each outgoing call that a person saves as done; registering again replaces it."""
    _before_a_call[room] = check


class ActivityMissing(Missing):
    """There is no such activity in this brand."""

    def __init__(self) -> None:
        super().__init__(_("Questa attività non c’è, o non è più qui."))


@transaction.atomic
def record_activity(
    *,
    contact_id: UUID,
    type: str,  # noqa: A002 - the word of the contract
    now: datetime,
    user_id: UUID | None = None,
    deal_id: UUID | None = None,
    title: str = "",
    note: str = "",
    status: str = Activity.Status.DONE,
    scheduled_at: datetime | None = None,
    duration_minutes: int | None = None,
    occurred_at: datetime | None = None,
    direction: str = "",
    origin: str = Activity.Origin.HUMAN,
    outcome: str = "",
    talking_seconds: int | None = None,
    cause: str | None = None,
    sync_google_calendar: bool = False,
    opening_said: bool = False,
) -> Activity:
    """Write an activity and what follows from it, all or nothing: the lead's state, its stage, the history (PIP-23).

    `deal_id` defaults to the person's open deal. `occurred_at` is when it was done, now unless given; an activity
    of the future is planned with `status="planned"` and `scheduled_at`. `direction` is incoming or outgoing.
    `cause` names what made it, for a rule: the same cause again returns the activity that is there. `opening_said`: the
    agent says that the call was opened as it must be (GD-15). Raises what `before_a_call` checks raise,
    ContactMissing, DealMissing, Invalid for an unknown type or status. The new state is `activity.contact.status`.
    """
    _check(type, status)
    contact = Contact.objects.select_for_update(no_key=True).filter(id=contact_id, deleted_at=None).first()
    if contact is None:
        raise ContactMissing
    if cause is not None and (there := Activity.objects.filter(cause=cause).first()):
        there.contact = contact
        return there
    deal = _deal_of(contact, deal_id)
    is_done = status == Activity.Status.DONE
    if is_done and cause is None and direction != "incoming":
        _check_call(contact.id, type, user_id, opening_said, now)
    activity = Activity.objects.create(
        id=new_id(),
        contact=contact,
        deal=deal,
        type=type,
        status=status,
        title=title[:255],
        note=note,
        scheduled_at=scheduled_at,
        duration_minutes=duration_minutes,
        user_id=user_id,
        owner_user_id=(deal.owner_user_id if deal else None) or contact.assigned_user_id,
        occurred_at=(occurred_at or now) if is_done else None,
        direction=direction,
        origin=origin,
        outcome=outcome,
        talking_seconds=talking_seconds,
        cause=cause,
        sync_google_calendar=sync_google_calendar,
        created_at=now,
        updated_at=now,
    )
    events.record(kind="activity.created", subject_id=activity.id, at=now, data=_facts(activity))
    _apply_rule(contact, deal, activity, now=now)
    live.announce("leads", "board")
    return activity


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A call that the house placed and an agent picked up. `cause` is unique in the brand, as for `record_activity`."""

    contact_id: UUID
    deal_id: UUID | None
    user_id: UUID | None
    occurred_at: datetime
    talking_seconds: int | None
    title: str
    cause: str


@transaction.atomic
def record_calls(calls: Sequence[AnsweredCall], *, now: datetime) -> None:
    """Write calls as activities of their agents with what follows, as `record_activity` does for one.

    Whoever picked up becomes the owner of a deal that had none. A call that stands there already, or whose person or
    deal does not, adds nothing. The number of statements does not depend on the number of calls.
    """
    people = _locked_people({call.contact_id for call in calls})
    written = set(
        Activity.objects.filter(cause__in=[call.cause for call in calls]).values_list("cause", flat=True)
    )
    calls = [call for call in calls if call.contact_id in people and call.cause not in written]
    if not calls:
        return
    rows = Deal.objects.select_for_update(no_key=True).filter(
        contact_id__in={person.id for person in people.values()}
    )
    deals_there = list(
        rows.filter(
            Q(status=Deal.Status.OPEN) | Q(id__in=[call.deal_id for call in calls if call.deal_id])
        ).order_by("id")
    )
    by_id = {deal.id: deal for deal in deals_there}
    open_deals = {deal.contact_id: deal for deal in deals_there if deal.status == Deal.Status.OPEN}
    done = []
    for call in calls:
        deal = by_id.get(call.deal_id) if call.deal_id else open_deals.get(people[call.contact_id].id)
        if call.deal_id and deal is None:
            continue
        done.append((call, people[call.contact_id], deal))
    _hand_over(done, now=now)
    _write_calls(done, now=now)
    _move_after_calls([person for _call, person, _deal in done], open_deals, now=now)
    live.announce("leads", "board")


def _hand_over(done: Sequence[tuple[AnsweredCall, Contact, Deal | None]], *, now: datetime) -> None:
    owners = []
    for call, person, deal in done:
        if deal is not None and deal.owner_user_id is None and call.user_id is not None:
            deal.owner_user_id = person.assigned_user_id = call.user_id
            owners.append(deals.Ownership(deal.id, person.id, call.user_id))
    deals.give_owners(owners, now=now)


def _write_calls(done: Sequence[tuple[AnsweredCall, Contact, Deal | None]], *, now: datetime) -> None:
    brand_id = brand_scope.current()
    facts, rows = [], []
    for call, person, deal in done:
        activity_id = new_id()
        rows.append(
            (
                *(activity_id, brand_id, person.id, deal.id if deal else None, Activity.Type.CHIAMATA.value),
                *(Activity.Status.DONE.value, call.title[:255], "", call.user_id),
                *((deal.owner_user_id if deal else None) or person.assigned_user_id, call.occurred_at),
                *("outgoing", Activity.Origin.HUMAN.value, "", call.talking_seconds, call.cause),
                *(False, "", "", now, now),
            )
        )
        facts.append(
            (
                "activity.created",
                activity_id,
                {
                    "contact_id": str(person.id),
                    "deal_id": str(deal.id) if deal else None,
                    "type": Activity.Type.CHIAMATA.value,
                    "status": Activity.Status.DONE.value,
                    "user_id": str(call.user_id) if call.user_id else None,
                },
            )
        )
    bulk.insert(
        Activity,
        (
            *("id", "brand_id", "contact_id", "deal_id", "type", "status", "title", "note", "user_id"),
            *("owner_user_id", "occurred_at", "direction", "origin", "outcome", "talking_seconds", "cause"),
            *("sync_google_calendar", "google_calendar_event_id", "google_etag", "created_at", "updated_at"),
        ),
        rows,
    )
    events.record_all(facts, at=now)


def _move_after_calls(people: Sequence[Contact], open_deals: Mapping[UUID, Deal], *, now: datetime) -> None:
    """Let the brand's rule for calls move these people, and their open deals with them."""
    told = dict(StateRule.objects.values_list("activity_type", "lead_state"))
    allow_regression = _allows_regression()
    targets = {
        person: rules.state_after(
            current=person.status,
            activity_type=Activity.Type.CHIAMATA,
            rules=told,
            allow_regression=allow_regression,
        )
        for person in people
    }
    moved = [person for person, target in targets.items() if target is not None]
    if not moved:
        return
    target = told[Activity.Type.CHIAMATA]
    if target in moves.TERMINAL:
        for person in moved:
            _follow(person, open_deals.get(person.id), target, now=now, lost_reason="")
        return
    stage = moves.stage_for_state(target)
    if stage is not None:
        standing = [open_deals[person.id] for person in moved if person.id in open_deals]
        moves.enter_together(
            [deal for deal in standing if deal.current_stage_id != stage.id], stage, cause=moves.RULE, now=now
        )
    for person in moved:
        person.status, person.updated_at = target, now
    bulk.update(Contact, ("status", "updated_at"), moved)


def _locked_people(ids: set[UUID]) -> dict[UUID, Contact]:
    """Return these people, locked, by the ids they were asked by: who was merged is who they live on in."""
    found = _living(ids)
    if gone := ids - found.keys():
        survivors = contacts.survivors_of(gone)
        found |= _living(set(survivors.values()) - found.keys())
        found |= {one: found[survivor] for one, survivor in survivors.items() if survivor in found}
    return found


def _living(ids: set[UUID]) -> dict[UUID, Contact]:
    rows = Contact.objects.select_for_update(no_key=True).filter(id__in=ids, deleted_at=None)
    return {person.id: person for person in rows.order_by("id")}


@transaction.atomic
def edit_activity(
    *, activity_id: UUID, changes: dict[str, Any], now: datetime, opening_said: bool = False
) -> Activity:
    """Change an activity: type, note, title, scheduled_at, duration_minutes, user_id, status, outcome, direction,
    talking_seconds. Doing what was planned acts as if it were recorded now.

    Raises ActivityMissing, Invalid, and what `before_a_call` checks raise.
    """
    allowed = {"type", "note", "title", "scheduled_at", "duration_minutes", "user_id", "status", "outcome"}
    allowed |= {"direction", "talking_seconds", "occurred_at"}
    if unknown := changes.keys() - allowed:
        raise Invalid(
            _("Alcuni campi non si cambiano qui."),
            details={name: [_("Non si cambia.")] for name in sorted(unknown)},
        )
    contact, activity = _locked(activity_id)
    before = (activity.type, activity.status)
    for name, value in changes.items():
        setattr(activity, name, value)
    _check(activity.type, activity.status)
    if activity.status == Activity.Status.DONE != before[1] and activity.direction != "incoming":
        _check_call(contact.id, activity.type, activity.user_id, opening_said, now)
    if activity.status == Activity.Status.DONE and activity.occurred_at is None:
        activity.occurred_at = now
    activity.updated_at = now
    activity.save()
    if (activity.type, activity.status) != before:
        _apply_rule(contact, _deal_of(contact, activity.deal_id), activity, now=now)
    live.announce("leads", "board")
    return activity


@transaction.atomic
def cancel_activity(*, activity_id: UUID, now: datetime) -> Activity:
    """Take an activity back: the row stays, cancelled, because figures were made with it. Raises ActivityMissing."""
    _contact, activity = _locked(activity_id)
    activity.status, activity.updated_at = Activity.Status.CANCELLED, now
    activity.save(update_fields=["status", "updated_at"])
    live.announce("leads", "board")
    return activity


def _check_call(contact_id: UUID, kind: str, user_id: UUID | None, opening_said: bool, now: datetime) -> None:
    if kind == Activity.Type.CHIAMATA:
        for check in _before_a_call.values():
            check(contact_id, user_id, opening_said, now)


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """Work for a person: a planned activity. `user_id` None while nobody is assigned.

    `cause` is unique in the brand, so that the same reason plans one task however often it is met.
    """

    contact_id: UUID
    deal_id: UUID | None
    type: str
    title: str
    cause: str
    note: str = ""
    user_id: UUID | None = None
    scheduled_at: datetime | None = None


def plan_tasks(tasks: Sequence[PlannedTask], *, now: datetime) -> None:
    """Plan work made by rules, with one statement; a cause that has its task already adds nothing (ROU-44, CAP-89)."""
    brand_id = brand_scope.current()
    bulk.insert(
        Activity,
        (
            *("id", "brand_id", "contact_id", "deal_id", "type", "status", "title", "note", "scheduled_at"),
            *("user_id", "owner_user_id", "direction", "origin", "outcome", "cause", "sync_google_calendar"),
            *("google_calendar_event_id", "google_etag", "created_at", "updated_at"),
        ),
        [
            (
                *(
                    new_id(),
                    brand_id,
                    task.contact_id,
                    task.deal_id,
                    task.type,
                    Activity.Status.PLANNED.value,
                ),
                *(task.title[:255], task.note, task.scheduled_at, task.user_id, task.user_id),
                *("", Activity.Origin.AUTOMATIC.value, "", task.cause, False, "", "", now, now),
            )
            for task in tasks
        ],
        on_conflict="(brand_id, cause) do nothing",
    )
    if tasks:
        live.announce("leads", "board")


def _apply_rule(contact: Contact, deal: Deal | None, activity: Activity, *, now: datetime) -> None:
    """Let the brand's rule for this activity move the lead, and its deal with it (PIP-16 to PIP-19)."""
    target = rules.state_after(
        current=contact.status,
        activity_type=activity.type,
        activity_status=activity.status,
        rules=dict(StateRule.objects.values_list("activity_type", "lead_state")),
        allow_regression=_allows_regression(),
    )
    if target is not None:
        _follow(contact, deal, target, now=now, lost_reason=activity.note)


def _follow(contact: Contact, deal: Deal | None, target: str, *, now: datetime, lost_reason: str) -> None:
    """Move a locked person to the state that a rule gives, and their open deal with them."""
    if deal is not None and deal.status != Deal.Status.OPEN:
        deal = _deal_of(contact, None)
    if target in moves.TERMINAL:
        status = moves.TERMINAL[target]
        if deal is None and status == Deal.Status.WON:
            deal = _reopened_for_the_order(contact, now=now)
        if deal is not None:
            deals.finish(contact, deal, status=status, cause=moves.RULE, now=now, lost_reason=lost_reason)
    elif deal is not None and (stage := moves.stage_for_state(target)) and stage.id != deal.current_stage_id:
        deals.move(contact, deal, stage, cause=moves.RULE, now=now)
    moves.set_state(contact, target, now=now)


def _reopened_for_the_order(contact: Contact, *, now: datetime) -> Deal | None:
    """A lost lead who orders after all: the deal that was lost is the one that is won."""
    lost = (
        Deal.objects.select_for_update(no_key=True)
        .filter(contact_id=contact.id, status=Deal.Status.LOST, is_void=False)
        .order_by("-opened_at")
        .first()
    )
    if lost is not None:
        deals.reopen(contact, lost, cause=moves.RULE, now=now)
    return lost


def _deal_of(contact: Contact, deal_id: UUID | None) -> Deal | None:
    """Return the deal given, or the person's open one, locked. Raises DealMissing."""
    rows = Deal.objects.select_for_update(no_key=True).filter(contact_id=contact.id)
    deal = rows.filter(id=deal_id).first() if deal_id else rows.filter(status=Deal.Status.OPEN).first()
    if deal_id and deal is None:
        raise deals.DealMissing
    return deal


def _allows_regression() -> bool:
    value = SiteSetting.objects.filter(setting_key=ALLOW_REGRESSION).values_list("setting_value", flat=True)
    return value.first() is True


def _check(kind: str, status: str) -> None:
    if kind not in Activity.Type:
        known = ", ".join(str(known_kind.label) for known_kind in Activity.Type)
        raise Invalid(
            _("Tipo di attività sconosciuto."),
            details={"tipo": [_("Scegli tra: %(types)s.") % {"types": known}]},
        )
    if status not in Activity.Status:
        raise Invalid(_("Stato dell’attività sconosciuto."), details={"status": [", ".join(Activity.Status)]})


def _locked(activity_id: UUID) -> tuple[Contact, Activity]:
    contact_id = Activity.objects.filter(id=activity_id).values_list("contact_id", flat=True).first()
    if contact_id is None:
        raise ActivityMissing
    contact = Contact.objects.select_for_update(no_key=True).get(id=contact_id)
    activity = Activity.objects.select_for_update(no_key=True).get(id=activity_id)
    activity.contact = contact
    return contact, activity


def _facts(activity: Activity) -> dict[str, Any]:
    return {
        "contact_id": str(activity.contact_id),
        "deal_id": str(activity.deal_id) if activity.deal_id else None,
        "type": activity.type,
        "status": activity.status,
        "user_id": str(activity.user_id) if activity.user_id else None,
    }
