"""Leads as they come in: each an event of its own, in the open deal of its person."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from django.db import connection

from filiera.contacts import phones
from filiera.contacts.models import Contact, LeadState
from filiera.pipeline import moves
from filiera.pipeline.models import Deal, LeadEvent, StageHistory
from filiera.platform import brand_scope, bulk, events, instances, live
from filiera.platform.ids import new_id

if TYPE_CHECKING:
    from filiera.capture.leads import IncomingLead


@dataclass(frozen=True, slots=True)
class Lead:
    """A lead that came in: what arrived, whose it is, and the deal it belongs to.

    `is_new_event` is False when the very same lead had come before: then nothing was written for it.
    `is_returning` is True when its person was known already. `dial_e164` is the number to ring: the one in the
    lead, else the person's primary one, else "".
    """

    event: LeadEvent
    contact: Contact
    deal: Deal
    incoming: "IncomingLead"
    is_new_event: bool
    is_returning: bool = False
    is_new_deal: bool = False
    dial_e164: str = ""


def open_leads(incoming: "list[IncomingLead]", people: list[Contact], *, now: datetime) -> "Opening":
    """Make a lead event for each lead, joining the person's open deal or opening one in the first stage (PIP-13).

    `people` are those of `contacts.recognise`, in the same order and the same transaction, so that their rows are
    locked. A lead that came before is recognised by its source and external id, or by its submission and place in it,
    and comes back with its first event: the same message twice leaves one event and one deal (CAP-93, CAP-97).
    Deals and lead events are not written before `write`, so that deals can be written with their owner. Runs at most
    ten statements with it, whatever the size of the batch.
    """
    return Opening(incoming, people, now)


class Opening:
    """What a batch of leads opens: its `leads`, in their order, and what is to be written.

    `unneeded` are people that are new and stay without a lead: the one by which they came had come before. It happens
    to a lead by which nobody can be recognised: no address, and a number that is none.
    """

    def __init__(self, incoming: "list[IncomingLead]", people: list[Contact], now: datetime) -> None:
        self.brand_id = brand_scope.current()
        self.now = now
        self.new_events: list[LeadEvent] = []
        self.new_deals: list[Deal] = []
        self.arrivals: dict[UUID, _Arrival] = {}
        self.leads: list[Lead] = []
        self.stage = moves.first_stage()
        self._open(incoming, people, _keys_of(incoming))
        for arrival in self.arrivals.values():
            arrival.note(self.now)
        self._announce()
        self.unneeded = {
            person.id for person in people if not person.was_known and person.id not in self.arrivals
        }

    def _open(
        self, incoming: "list[IncomingLead]", people: list[Contact], keys: list[tuple[str, str]]
    ) -> None:
        known = _known_events(keys)
        open_deals = _open_deals(
            {
                person.id
                for key, person in zip(keys, people, strict=True)
                if person.was_known and key not in known
            }
        )
        for lead, person, key in zip(incoming, people, keys, strict=True):
            if key in known:
                self.leads.append(_seen_before(known[key], lead))
                continue
            deal = open_deals.get(person.id)
            is_new_deal = deal is None
            if deal is None:
                deal = open_deals[person.id] = self._open_deal(lead, person)
            event = self._event(lead, person, deal, key[1])
            is_returning = person.was_known or person.id in self.arrivals
            self._note_arrival(person, lead.received_at, starts_anew=is_new_deal)
            number = phones.normalise(lead.phone, lead.default_country)
            self.leads.append(
                Lead(
                    event,
                    person,
                    deal,
                    lead,
                    True,
                    is_returning,
                    is_new_deal,
                    number.e164 or person.dial_e164,
                )
            )
            known[key] = event

    def _open_deal(self, lead: "IncomingLead", person: Contact) -> Deal:
        stage = self.stage
        deal = instances.made(
            Deal,
            {
                "id": new_id(),
                "brand_id": self.brand_id,
                "contact_id": person.id,
                "current_stage_id": stage.id if stage else None,
                "title": title_of(lead.service_code, lead.package_code),
                "owner_user_id": person.assigned_user_id,
                "stage_entered_at": self.now if stage else None,
                "opened_at": self.now,
                "created_at": self.now,
                "updated_at": self.now,
            },
            {"contact": person, "current_stage": stage} if stage else {"contact": person},
        )
        deal._state.adding = True
        self.new_deals.append(deal)
        return deal

    def _event(self, lead: "IncomingLead", person: Contact, deal: Deal, external_id: str) -> LeadEvent:
        event = instances.made(
            LeadEvent,
            {
                "id": new_id(),
                "brand_id": self.brand_id,
                "contact_id": person.id,
                "deal_id": deal.id,
                "submission_id": lead.submission_id,
                "source": lead.source_name,
                "external_id": external_id,
                "marketing_source_id": lead.marketing_source_id,
                "occurred_at": lead.occurred_at,
                "received_at": lead.received_at,
                "requested_service": lead.service_code,
                "requested_package": lead.package_code,
                "wants_contract": lead.wants_contract,
                "wants_brochure": lead.wants_brochure,
                "message": lead.notes,
                "payload": _as_it_came(lead),
                "is_test": lead.is_test,
                "created_at": self.now,
                "updated_at": self.now,
            },
            {"contact": person, "deal": deal},
        )
        self.new_events.append(event)
        return event

    def _note_arrival(self, person: Contact, received_at: datetime, *, starts_anew: bool) -> None:
        arrival = self.arrivals.setdefault(person.id, _Arrival(person, received_at, starts_anew))
        arrival.received_at = max(arrival.received_at, received_at)
        arrival.starts_anew |= starts_anew
        arrival.leads += 1

    def write(self) -> None:
        """Write the deals with their lead events. Their people must have been written."""
        bulk.insert(Deal, _DEAL_COLUMNS, [_row(deal, _DEAL_COLUMNS) for deal in self.new_deals])
        for deal in self.new_deals:
            deal._state.adding = False
        if self.stage is not None:
            entered = [(deal, self.now) for deal in self.new_deals]
            moves.open_stays_of(entered, self.stage, cause=_INTAKE, now=self.now)
        bulk.insert(LeadEvent, _EVENT_COLUMNS, [_row(event, _EVENT_COLUMNS) for event in self.new_events])
        known = [one.person for one in self.arrivals.values() if one.person.was_known]
        bulk.update(Contact, ("last_lead_at", "lead_count", "status", "updated_at"), known)

    def _announce(self) -> None:
        events.record_all(
            [
                ("deal.created", deal.id, {"contact_id": str(deal.contact_id), "by": "intake"})
                for deal in self.new_deals
            ]
            + [
                (
                    "lead_event.created",
                    event.id,
                    {
                        "contact_id": str(event.contact_id),
                        "deal_id": str(event.deal_id),
                        "source": event.source,
                    },
                )
                for event in self.new_events
            ],
            at=self.now,
        )
        if self.new_events:
            live.announce("leads", "board")


@dataclass(slots=True)
class _Arrival:
    """The last lead of a person in this batch, and whether it opened a deal, which resets their state (PIP-19)."""

    person: Contact
    received_at: datetime
    starts_anew: bool
    leads: int = 0

    def note(self, now: datetime) -> None:
        """Move the person to the top of the list and count their leads; a new deal starts them in Nuovo again."""
        person = self.person
        person.last_lead_at = max(person.last_lead_at, self.received_at)
        person.lead_count = self.leads + (person.lead_count if person.was_known else 0)
        if self.starts_anew:
            person.status = LeadState.NUOVO.value
        person.updated_at = now


def title_of(service: str, package: str) -> str:
    """Return what a deal is called after what was asked for: `FAMILY · BASE`."""
    return " · ".join(part for part in (service.strip(), package.strip()) if part)[:255]


def _keys_of(incoming: "list[IncomingLead]") -> list[tuple[str, str]]:
    """What makes each lead count once: its source, with the sender's id or the submission and the place in it."""
    places: dict[UUID, int] = defaultdict(int)
    keys = []
    for lead in incoming:
        place = places[lead.submission_id]
        places[lead.submission_id] = place + 1
        keys.append((lead.source_name, lead.external_id[:255] or f"{lead.submission_id}:{place}"))
    return keys


def _known_events(keys: list[tuple[str, str]]) -> dict[tuple[str, str], LeadEvent]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select found.id from jsonb_array_elements(%s::jsonb) as wanted
            cross join lateral (
                select id from pipeline_leadevent
                where source = wanted->>0 and external_id = wanted->>1 limit 1
            ) found
            """,
            [orjson.dumps(keys).decode()],
        )
        ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        return {}
    found = LeadEvent.objects.filter(id__in=ids).select_related("contact", "deal")
    return {(event.source, event.external_id): event for event in found}


def _open_deals(contact_ids: set[UUID]) -> dict[UUID, Deal]:
    if not contact_ids:
        return {}
    rows = Deal.objects.filter(contact_id__in=contact_ids, status=Deal.Status.OPEN)
    return {deal.contact_id: deal for deal in rows.select_for_update(no_key=True).order_by("id")}


def _seen_before(event: LeadEvent, lead: "IncomingLead") -> Lead:
    deal = event.deal
    if deal is None:
        raise LookupError(f"lead event {event.id} has no deal")
    return Lead(event, event.contact, deal, lead, False, is_returning=True)


_INTAKE = moves.Cause(None, "intake", StageHistory.Reason.CREATED)
_DEAL_COLUMNS = (
    *("id", "brand_id", "contact_id", "status", "current_stage_id", "title", "currency", "owner_user_id"),
    *("lost_reason", "is_void", "stage_entered_at", "opened_at", "version", "created_at", "updated_at"),
)
_EVENT_COLUMNS = (
    *("id", "brand_id", "contact_id", "deal_id", "submission_id", "source", "external_id"),
    *("marketing_source_id", "occurred_at", "received_at", "requested_service", "requested_package"),
    *("wants_contract", "wants_brochure", "message", "payload", "is_test", "ai_model_version"),
    *("ai_prompt_version", "archived", "excluded_reason", "created_at", "updated_at"),
)


def _row(instance: Any, columns: tuple[str, ...]) -> list[Any]:
    values = instance.__dict__
    return [values[name] for name in columns]


_KEPT = (
    *("first_name", "last_name", "email", "phone", "city", "cap", "company", "age"),
    *("service_code", "package_code", "notes", "custom"),
)


def _as_it_came(lead: "IncomingLead") -> dict[str, Any]:
    """What the sender said about the person, kept with the event: the person's own row is not overwritten by it."""
    return {name: value for name in _KEPT if (value := getattr(lead, name)) not in ("", None, {})}
