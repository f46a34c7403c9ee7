"""How CloudTalk writes what it knows: ids as text, numbers without `+`, null for what is empty."""

from __future__ import annotations

import io
import wave

from filiera.simulators.base import moment
from filiera.simulators.cloudtalk.accounts import Account, Agent, Call, int_or_text
from filiera.simulators.knobs import Json

# A contact's texts with their longest lengths.
LONGEST = {
    "name": 150,
    "title": 255,
    "company": 100,
    "industry": 100,
    "website": 100,
    "address": 255,
    "city": 255,
    "zip": 15,
    "state": 255,
}
SCALARS = (*LONGEST, "country_id", "favorite_agent")


def agent_row(agent: Agent) -> Json:
    return {
        "id": agent.id,
        "name": agent.name,
        "firstname": agent.firstname,
        "lastname": agent.lastname,
        "email": agent.email,
        "is_daily_limit_ok": agent.is_daily_limit_ok,
        "status_outbound": agent.status_outbound,
        "availability_status": agent.status,
        "extension": agent.extension,
        "call_number_id": agent.call_number_id,
        "default_number": next(iter(agent.associated_numbers), None),
        "associated_numbers": agent.associated_numbers,
    }


def account_row(account: Account) -> Json:
    return {
        "name": account.name,
        "key_id": account.key_id,
        "webhook_url": account.webhook_url,
        "agents": [agent_row(agent) for agent in account.agents.values()],
        "contacts": len(account.contacts),
        "requests_in_busiest_minute": account.busiest_minute,
    }


def contact_detail(contact_id: str, contact: Json) -> Json:
    """Return a contact as real answers show it: `Tag` for the tags, text ids, null for what is empty."""
    scalars = {name: contact.get(name) for name in SCALARS}
    return {
        "Contact": {
            "id": contact_id,
            **scalars,
            "created": contact["created"],
            "modified": contact["created"],
        },
        "ExternalUrl": contact["ExternalUrl"] or None,
        "ContactEmail": [{"email": email, "contact_id": contact_id} for email in contact["ContactEmail"]],
        "ContactNumber": [
            {"public_number": without_plus(number), "contact_id": contact_id}
            for number in contact["ContactNumber"]
        ],
        "Tag": contact["ContactsTag"],
        "ContactAttribute": contact["ContactAttribute"],
    }


def call_row(call: Call, account: Account) -> Json:
    contact = account.contacts.get(call.contact_id or "", {})
    assert call.ended_at is not None  # only finished calls are listed
    return {
        "Cdr": {
            "id": call.call_id,
            "billsec": str(call.talking_time),
            "type": "outgoing",
            "country_code": "39",
            "public_external": without_plus(call.number),
            "public_internal": without_plus(call.internal_number),
            "recorded": call.talking_time > 0,
            "is_voicemail": False,
            "fax_email": "0",
            "is_redirected": "0",
            "redirected_from": "",
            "is_local": True,
            "user_id": call.agent.id,
            "talking_time": str(call.talking_time),
            "started_at": moment(call.started_at),
            "answered_at": call.customer_answered_at and moment(call.customer_answered_at),
            "ended_at": moment(call.ended_at),
            "waiting_time": call.waiting_time,
            "wrapup_time": 0,
            "recording_link": f"https://my.cloudtalk.io/r/play/{call.call_id}",
        },
        "Contact": {
            "id": call.contact_id,
            "name": contact.get("name"),
            "type": "contact",
            "tags": [],
            "contact_numbers": [without_plus(number) for number in contact.get("ContactNumber", [])],
            "contact_emails": contact.get("ContactEmail", []),
            "custom_fields": [],
            "external_urls": [],
            "favorite_agent": None,
        },
        "CallNumber": {
            "id": str(call.agent.call_number_id),
            "internal_name": call.internal_number,
            "caller_id_e164": without_plus(call.internal_number),
            "country_code": "39",
            "area_code": "",
        },
        "BillingCall": {"price": "0.000000"},
        "Agent": {
            "id": call.agent.id,
            "firstname": call.agent.firstname,
            "lastname": call.agent.lastname,
            "fullname": call.agent.name,
            "email": call.agent.email,
            "status": call.agent.status,
        },
        "Notes": [],
        "Tags": [],
        "Ratings": [],
    }


def call_steps(call: Call, account: Account) -> Json:
    picked_up = call.agent_answered_at is not None
    return {
        "cdr_id": int_or_text(call.call_id),
        "uuid": call.call_uuid,
        "company_id": account.key_id,
        "date": moment(call.started_at),
        "contact": {"id": int_or_text(call.contact_id), "name": None, "country": "IT", "number": call.number},
        "call_tags": [],
        "call_rating": None,
        "internal_number": {"id": call.agent.call_number_id, "name": "", "number": call.internal_number},
        "call_times": {
            "total_time": call.waiting_time + call.talking_time,
            "talking_time": call.talking_time,
            "wrap_up_time": 0,
            "ringing_time": call.waiting_time,
            "waiting_time": call.waiting_time,
            "holding_time": 0,
        },
        "direction": "outgoing",
        "type": "regular",
        "status": status_of(call),
        "call_steps": [
            {
                "type": "agent",
                "id": int_or_text(call.agent.id),
                "name": call.agent.name,
                "call_id": int_or_text(call.call_id),
                "status": "answered" if picked_up else "missed",
                "reason": None if picked_up else "not_picked_up",
                "group_ids": [],
            }
        ],
        "notes": [],
        "recorded": call.talking_time > 0,
        "out_of_office": False,
    }


def status_of(call: Call) -> str:
    return "answered" if call.talking_time else "missed"


def digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def without_plus(number: str | None) -> int | None:
    """Return a phone number as the API shows it: an integer without `+`."""
    return int(number.lstrip("+")) if number else None


def silent_wav() -> bytes:
    """Return a tenth of a second of silence, 8 kHz mono."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(1)
        wav.setframerate(8000)
        wav.writeframes(b"\x80" * 800)
    return sound.getvalue()
