"""How leads, deals and activities look in JSON: English keys under /api/v1, Italian ones on the older paths."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.utils import timezone, translation

from filiera.contacts.models import Contact, ContactPhone, LeadState, Tag
from filiera.contacts.timeline import TimelineItem
from filiera.identity.models import User
from filiera.pipeline import queries
from filiera.pipeline.models import Activity, Deal, LeadEvent, Stage
from filiera.pipeline.queries import LeadRecord, LeadRow, Stretch

with translation.override("it"):
    STATE_LABELS = {str(state): str(state.label) for state in LeadState}
    TYPE_LABELS = {str(kind): str(kind.label) for kind in Activity.Type}
"""The exact words of the contract (PIP-14, PIP-16), whatever language the reader speaks."""


_ROWS_AT_ONCE: Final = 500


def state_of(word: str) -> str | None:
    """Return the lead state that a label or a code means, in any case; None for another word."""
    return _by_word(STATE_LABELS, word)


def type_of(word: str) -> str | None:
    """Return the activity type that a label or a code means, in any case; None for another word."""
    return _by_word(TYPE_LABELS, word)


def _by_word(labels: dict[str, str], word: str) -> str | None:
    wanted = word.strip().lower()
    return next((code for code, label in labels.items() if wanted in (code, label.lower())), None)


# Leads


def lead(row: LeadRow) -> dict[str, Any]:
    """Return the flat lead: the person, with current deal, last request and what comes next."""
    contact = row.contact
    return {
        **_person(contact),
        "phone": row.phone.phone_raw if row.phone else None,
        "phone_e164": row.phone.phone_e164 or None if row.phone else None,
        "phone_country_assumed": row.phone.assumed_country if row.phone else False,
        "is_returning": row.is_returning,
        "lead_count": contact.lead_count,
        "last_event": event(row.event) if row.event else None,
        "deal": deal_of_lead(row.deal) if row.deal else None,
        "next_activity": activity(row.next_activity) if row.next_activity else None,
    }


def in_clusters(
    clusters: Sequence[Sequence[tuple[UUID, list[str]]]], shape: Callable[[LeadRow], dict[str, Any]]
) -> list[list[dict[str, Any]]]:
    """Return duplicates as leads, each with why it is in its cluster (`matchReasons`: name, email, phone)."""
    rows: dict[UUID, LeadRow] = {}
    ids = list(dict.fromkeys(lead_id for cluster in clusters for lead_id, _why in cluster))
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        rows |= {row.contact.id: row for row in queries.lead_rows(ids[start : start + _ROWS_AT_ONCE])}
    shown = [
        [shape(rows[lead_id]) | {"matchReasons": why} for lead_id, why in cluster if lead_id in rows]
        for cluster in clusters
    ]
    return [cluster for cluster in shown if len(cluster) > 1]


def record(found: LeadRecord) -> dict[str, Any]:
    """Return one lead with everything about it but the thread."""
    return {
        **_person(found.contact),
        "phones": [phone(each) for each in found.phones],
        "tags": [tag(each) for each in found.tags],
        "deal": deal_of_lead(found.deal) if found.deal else None,
        "deals": [deal_of_lead(each) for each in found.deals],
        "last_events": [event(each) for each in found.events],
        "planned_activities": [activity(each) for each in found.tasks],
        "possible_duplicates": [str(each.contact.id) for each in found.suggestions],
    }


def _person(contact: Contact) -> dict[str, Any]:
    return {
        "id": str(contact.id),
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "full_name": contact.full_name,
        "email": contact.email,
        "city": contact.city,
        "cap": contact.cap,
        "company_name": contact.company_name,
        "age": contact.age,
        "status": contact.status,
        "notes": contact.notes,
        "marketing_source": _named(contact.marketing_source),
        "owner": user(contact.assigned_user),
        "external_ids": contact.external_ids,
        "last_lead_at": contact.last_lead_at,
        "created_at": contact.created_at,
        "updated_at": contact.updated_at,
    }


def phone(number: ContactPhone) -> dict[str, Any]:
    """Return the four values of CON-04 and the form to dial."""
    return {
        "raw": number.phone_raw,
        "normalized": number.phone_norm,
        "country_code": number.country_code,
        "assumed_country": number.assumed_country,
        "e164": number.phone_e164 or None,
        "is_valid": number.is_valid,
        "is_primary": number.is_primary,
    }


def event(arrived: LeadEvent) -> dict[str, Any]:
    """Return one arrival of a lead."""
    return {
        "id": str(arrived.id),
        "source": arrived.source,
        "marketing_source": _named(arrived.marketing_source),
        "occurred_at": arrived.occurred_at,
        "received_at": arrived.received_at,
        "requested_service": arrived.requested_service,
        "requested_package": arrived.requested_package,
        "wants_contract": arrived.wants_contract,
        "wants_brochure": arrived.wants_brochure,
        "message": arrived.message,
        "is_test": arrived.is_test,
        "archived": arrived.archived,
        "ai_priority": arrived.ai_priority,
        "deal_id": str(arrived.deal_id) if arrived.deal_id else None,
    }


def historic_lead(row: LeadRow) -> dict[str, Any]:
    """Return the flat lead with the Italian keys of the older paths; `Data` is in the brand's zone (CAP-80)."""
    contact = row.contact
    return {
        "id": str(contact.id),
        "Nome": contact.first_name or contact.company_name,
        "Cognome": contact.last_name,
        "Email": contact.email or "",
        "Telefono": (row.phone.phone_e164 or row.phone.phone_raw) if row.phone else "",
        "Città": contact.city,
        "CAP": contact.cap,
        "Data": local_text(contact.last_lead_at),
        "Stato": STATE_LABELS[contact.status],
        "Fonte": [str(contact.marketing_source_id)] if contact.marketing_source_id else [],
        "Note": contact.notes,
    }


def historic_record(found: LeadRecord) -> dict[str, Any]:
    """Return one lead with the Italian keys, and its phones, tags, deal and last events (contacts.md 3)."""
    main = next((number for number in found.phones if number.is_primary), None)
    row = LeadRow(found.contact, main, None, found.deal, None)
    return historic_lead(row) | {
        "phones": [phone(each) for each in found.phones],
        "tags": [tag(each) for each in found.tags],
        "deal": deal_of_lead(found.deal) if found.deal else None,
        "events": [event(each) for each in found.events],
    }


def tag(one: Tag) -> dict[str, str]:
    """Return a tag of a lead."""
    return {"id": str(one.id), "name": one.name, "color": one.color}


def thread(items: Sequence[TimelineItem]) -> list[dict[str, Any]]:
    """Return a person's thread, newest first."""
    return [
        {
            "at": item.at,
            "kind": item.kind,
            "title": item.title,
            "detail": item.detail,
            "actor": item.actor or None,
            "is_human": item.is_human,
            "rule": item.rule or None,
            "subject_id": str(item.subject_id) if item.subject_id else None,
            "data": item.data or {},
        }
        for item in items
    ]


# Deals and stages


def deal_of_lead(found: Deal) -> dict[str, Any]:
    """Return a deal as part of its lead."""
    return {
        "id": str(found.id),
        "title": found.title,
        "status": found.status,
        "stage": stage_name(found.current_stage),
        "amount": found.amount,
        "currency": found.currency,
        "expected_close_date": found.expected_close_date,
        "owner": user(found.owner_user),
        "lost_reason": found.lost_reason,
        "is_void": found.is_void,
        "waiting_until": found.waiting_until,
        "stage_entered_at": found.stage_entered_at,
        "opened_at": found.opened_at,
        "closed_at": found.closed_at,
        "version": found.version,
    }


def deal(found: Deal) -> dict[str, Any]:
    """Return a deal with its person."""
    contact = found.contact
    return deal_of_lead(found) | {
        "contact_id": str(found.contact_id),
        "contact": {"id": str(contact.id), "full_name": contact.full_name, "status": contact.status},
    }


def stage(found: Stage) -> dict[str, Any]:
    """Return a stage of the pipeline."""
    return {
        "id": str(found.id),
        "name": found.name,
        "order_index": found.order_index,
        "is_active": found.is_active,
        "lead_state": found.lead_state,
        "probability": found.probability,
        "age_limit_days": found.age_limit_days,
        "color": found.color,
        "version": found.version,
    }


def stage_name(found: Stage | None) -> dict[str, Any] | None:
    """Return what tells a stage from others, or None."""
    return {"id": str(found.id), "name": found.name} if found else None


def stretch(found: Stretch) -> dict[str, Any]:
    """Return a stay of a deal with its duration in seconds."""
    stay = found.stay
    return {
        "id": str(stay.id),
        "stage": stage_name(stay.stage),
        "stage_version": stay.stage_version,
        "entered_at": stay.entered_at,
        "exited_at": stay.exited_at,
        "duration_seconds": found.seconds,
        "changed_by_user": user(stay.changed_by_user),
        "changed_by": stay.changed_by,
        "change_reason": stay.change_reason,
    }


# Activities


def activity(found: Activity) -> dict[str, Any]:
    """Return an activity, or a task: one that is planned."""
    return {
        "id": str(found.id),
        "contact_id": str(found.contact_id),
        "deal_id": str(found.deal_id) if found.deal_id else None,
        "type": found.type,
        "status": found.status,
        "title": found.title,
        "note": found.note,
        "scheduled_at": found.scheduled_at,
        "occurred_at": found.occurred_at,
        "duration_minutes": found.duration_minutes,
        "direction": found.direction,
        "origin": found.origin,
        "outcome": found.outcome,
        "talking_seconds": found.talking_seconds,
        "user": user(found.user),
        "created_at": found.created_at,
    }


def historic_activity(found: Activity) -> dict[str, Any]:
    """Return an activity with the Italian keys of the older path (pipeline.md 3).

    The two calendar fields stay null until a calendar is connected.
    """
    return {
        "id": str(found.id),
        "tipo": TYPE_LABELS[found.type],
        "nota": found.note,
        "leadId": str(found.contact_id),
        "data": found.scheduled_at or found.occurred_at,
        "googleCalendarEventId": found.google_calendar_event_id or None,
        "calendarLink": None,
    }


def user(found: User | None) -> dict[str, str] | None:
    """Return who a person of ours is, or None."""
    return {"id": str(found.id), "name": found.name} if found else None


def local_text(moment: datetime) -> str:
    """Return `YYYY-MM-DD HH:MM` in the brand's zone."""
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M")


def _named(found: Any) -> dict[str, str] | None:
    return {"id": str(found.id), "name": found.name} if found else None
