"""Invented enquiries, and how each sender of leads would write them down.

`say(kind, …)` returns the request that a landing page, an advertising platform or a form plugin would send. Shapes:
the sheets on lead sources and on GoHighLevel.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

import orjson

from filiera.simulators import people
from filiera.simulators.knobs import Json
from filiera.simulators.people import Person

MOBILE_FORMATS = (
    "+39{0}{1}{2}",
    "+39 {0} {1} {2}",
    "{0} {1} {2}",
    "{0}{1}{2}",
    "0039 {0} {1}{2}",
    "{0}-{1}-{2}",
    "(+39) {0}.{1}.{2}",
)
# Ranges that the regulators keep for fiction: Ofcom, NANPA, ARCEP.
FOREIGN_FORMATS = ("+44 7700 900{0:03d}", "+1 202 555 01{1:02d}", "+33 6 39 98 {1:02d} {2:02d}")
WRONG_NUMBERS = ("351 000", "123", "0000000000", "non ce l'ho", "+39", "351 000 12345678")
SERVICES = ("FAMILY", "PRO", "PREMIUM")
PACKAGES = ("BASE", "AVANZATO")
BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Enquiry:
    """One person asking once; `phone` is as typed, "" when they left none."""

    id: str
    at: datetime
    person: Person
    phone: str
    service: str
    package: str
    wants_contract: bool
    wants_brochure: bool
    age: int | None
    notes: str
    is_awkward: bool = False  # sent in a way that nobody has mapped yet


@dataclass(frozen=True, slots=True)
class Sending:
    """One HTTP POST."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Crowd:
    """Makes enquiries: mostly new people, some who come back, some with numbers that are wrong or foreign."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._known: deque[Person] = deque(maxlen=200)

    def next(self, at: datetime) -> Enquiry:
        chance = self._chance
        returning = bool(self._known) and chance.random() < 0.15
        person = chance.choice(self._known) if returning else people.invent(chance)
        if not returning:
            self._known.append(person)
        return Enquiry(
            id=str(UUID(int=chance.getrandbits(128), version=4)),
            at=at,
            person=person,
            phone=self._typed(person),
            service=chance.choice(SERVICES),
            package=chance.choice(PACKAGES),
            wants_contract=chance.random() < 0.2,
            wants_brochure=chance.random() < 0.4,
            age=chance.choice((None, 0, 41, 58, 67, 73, 84, 91)),
            notes=chance.choice(people.NOTES),
            is_awkward=chance.random() < 0.05,
        )

    def _typed(self, person: Person) -> str:
        chance, luck = self._chance, self._chance.random()
        if luck < 0.05:
            return chance.choice(WRONG_NUMBERS)
        if luck < 0.10:
            number = chance.randrange(1000), chance.randrange(100), chance.randrange(100)
            return chance.choice(FOREIGN_FORMATS).format(*number)
        if luck < 0.14:
            return f"051 555 {chance.randrange(10_000):04d}"
        if luck < 0.17:
            return ""
        return chance.choice(MOBILE_FORMATS).format(person.phone[3:6], person.phone[6:9], person.phone[9:])


def say(kind: str, enquiry: Enquiry, key: str) -> Sending | None:
    """Return how a source of this kind sends the enquiry; `key` is its key or signing secret. None: not by HTTP POST.

    Meta and GoHighLevel send through their own simulators, which know their leads and keys.
    """
    writer = WRITERS.get(kind)
    return writer(enquiry, key) if writer else None


def contact(enquiry: Enquiry) -> Json:
    """Return the enquiry as GoHighLevel's contact."""
    person = enquiry.person
    return {
        "firstName": person.first_name,
        "lastName": person.last_name,
        "email": person.email,
        "phone": enquiry.phone,
        "city": person.city,
        "postalCode": person.cap,
        "tags": ["lead", enquiry.service.lower()],
    }


def lead(enquiry: Enquiry) -> Json:
    """Return the enquiry as Meta's lead."""
    person = enquiry.person
    return {"name": person.name, "email": person.email, "phone": enquiry.phone, "city": person.city}


def as_json(body: Json, **headers: str) -> Sending:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Sending(orjson.dumps(body), {"Content-Type": "application/json", **names})


def as_form(pairs: list[tuple[str, str]]) -> Sending:
    site = {"User-Agent": "WordPress/6.8.3; https://www.vegliasi.example"}
    return Sending(urlencode(pairs).encode(), {"Content-Type": "application/x-www-form-urlencoded", **site})


def _landing(enquiry: Enquiry, key: str) -> Sending:
    person = enquiry.person
    suffix = "".join(BASE36[byte % 36] for byte in UUID(enquiry.id).bytes[:9])
    return as_json(
        {
            "nome": person.first_name,
            "cognome": person.last_name,
            "email": person.email,
            "telefono": enquiry.phone,
            "servizio": enquiry.service,
            "pacchetto": enquiry.package,
            "vuoleContratto": enquiry.wants_contract,
            "vuoleBrochure": enquiry.wants_brochure,
            "eta": enquiry.age,
            "source": "landing.example",
            "timestamp": enquiry.at.isoformat(),
        },
        X_Request_ID=f"LEAD_{int(enquiry.at.timestamp() * 1000)}_{suffix}",
    )


def _webhook(enquiry: Enquiry, key: str) -> Sending:
    person = enquiry.person
    body: Json = {
        "first_name": person.first_name,
        "last_name": person.last_name,
        "email": person.email,
        "phone": enquiry.phone,
        "city": person.city,
        "cap": person.cap,
        "service_code": enquiry.service,
        "notes": enquiry.notes,
        "external_id": enquiry.id,
    }
    if enquiry.is_awkward:
        body = {"anagrafica": {"chi": person.name, "dove_richiamare": enquiry.phone}}
    return as_json(body, X_Request_ID=enquiry.id)


def _google_ads(enquiry: Enquiry, key: str) -> Sending:
    person = enquiry.person
    columns = {
        "FULL_NAME": person.name,
        "PHONE_NUMBER": enquiry.phone,
        "EMAIL": person.email,
        "POSTAL_CODE": person.cap,
        "CITY": person.city,
        "SERVICE": enquiry.service,
    }
    return as_json(
        {
            "lead_id": f"Cj0-{enquiry.id}",
            "user_column_data": [
                {"column_id": column, "string_value": value} for column, value in columns.items() if value
            ],
            "api_version": "1.0",
            "form_id": 178812345678,
            "campaign_id": 21098765432,
            "google_key": key,
            "is_test": False,
            "gcl_id": f"Cj0KCQ-{enquiry.id[:8]}",
            "lead_submit_time": enquiry.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )


def _tiktok(enquiry: Enquiry, key: str) -> Sending:
    answers = {"name": enquiry.person.name, "phone_number": enquiry.phone, "email": enquiry.person.email}
    seconds = int(enquiry.at.timestamp())
    entry = {
        "id": 7_594_000_000_000_000_000 + UUID(enquiry.id).int % 10**15,
        "lead_source": "INSTANT_FORM",
        "page_id": 7_593_999_888_777_666_555,
        "page_name": "Prova gratuita",
        "campaign_id": 1_789_012_345_678_901_234,
        "campaign_name": "Gennaio",
        "create_time": seconds,
        "changes": [{"field": name, "value": value} for name, value in answers.items() if value],
    }
    # Signed and sent with non-ASCII characters escaped, as the original does.
    body = json.dumps({"object": 1, "entry": [entry], "time": seconds}).encode()
    signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    return Sending(body, {"Content-Type": "application/json", "X-Open-Signature": signature})


def _typeform(enquiry: Enquiry, key: str) -> Sending:
    person = enquiry.person
    questions = [
        ("f1", "short_text", "Come ti chiami?", {"type": "text", "text": person.name}),
        ("f2", "email", "La tua email?", {"type": "email", "email": person.email}),
        ("f3", "phone_number", "Il tuo numero?", {"type": "phone_number", "phone_number": enquiry.phone}),
    ]
    body = orjson.dumps(
        {
            "event_id": f"01{enquiry.id.replace('-', '').upper()[:24]}",
            "event_type": "form_response",
            "form_response": {
                "form_id": "aB3dE5",
                "token": enquiry.id.replace("-", ""),
                "submitted_at": enquiry.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "hidden": {"utm_source": "instagram"},
                "definition": {
                    "id": "aB3dE5",
                    "title": "Richiedi informazioni",
                    "fields": [
                        {"id": place, "ref": place, "type": kind, "title": title, "properties": {}}
                        for place, kind, title, _ in questions
                    ],
                },
                "answers": [
                    {**answer, "field": {"id": place, "type": kind, "ref": place}}
                    for place, kind, _, answer in questions
                    if answer[answer["type"]]
                ],
            },
        }
    )
    return Sending(
        body, {"Content-Type": "application/json", "Typeform-Signature": f"sha256={_base64_hmac(body, key)}"}
    )


def _tally(enquiry: Enquiry, key: str) -> Sending:
    person = enquiry.person
    fields = [
        ("question_3EKz4n", "Nome e cognome", "INPUT_TEXT", person.name),
        ("question_w4Q4Xn", "Email", "INPUT_EMAIL", person.email),
        ("question_3jZaa3", "Telefono", "INPUT_PHONE_NUMBER", enquiry.phone or None),
        ("question_3Nrpl3", "Messaggio", "TEXTAREA", enquiry.notes or None),
    ]
    response_id = enquiry.id.replace("-", "")[:12]
    body = orjson.dumps(
        {
            "eventId": enquiry.id,
            "eventType": "FORM_RESPONSE",
            "createdAt": enquiry.at.isoformat(),
            "data": {
                "responseId": response_id,
                "submissionId": response_id,
                "formId": "fM1fRm",
                "formName": "Contatti",
                "createdAt": enquiry.at.isoformat(),
                "fields": [
                    {"key": name, "label": label, "type": kind, "value": value}
                    for name, label, kind, value in fields
                ],
            },
        }
    )
    return Sending(body, {"Content-Type": "application/json", "Tally-Signature": _base64_hmac(body, key)})


def _contact_form_7(enquiry: Enquiry, key: str) -> Sending:
    person = enquiry.person
    return as_json(
        {
            "your-name": person.name,
            "your-email": person.email,
            "your-tel": enquiry.phone,
            "your-subject": f"Richiesta {enquiry.service}",
            "your-message": enquiry.notes,
            "privacy": "1",
        }
    )


def _elementor(enquiry: Enquiry, key: str) -> Sending:
    answers = {
        "name": ("text", "Nome", enquiry.person.name),
        "email": ("email", "Email", enquiry.person.email),
        "field_3a9": ("tel", "Cellulare", enquiry.phone),
        "message": ("textarea", "Messaggio", enquiry.notes),
    }
    pairs = [("form[id]", "7f3a21d"), ("form[name]", "Contatti home")]
    for name, (kind, title, value) in answers.items():
        told = {"id": name, "type": kind, "title": title, "value": value, "raw_value": value, "required": "0"}
        pairs += [(f"fields[{name}][{part}]", text) for part, text in told.items()]
    pairs += [
        ("meta[page_url][title]", "URL della pagina"),
        ("meta[page_url][value]", "https://www.vegliasi.example/"),
    ]
    return as_form(pairs)


def _gravity_forms(enquiry: Enquiry, key: str) -> Sending:
    person = enquiry.person
    entry_id = str(UUID(enquiry.id).int % 10**9)
    body: Json = {
        "nome": person.first_name,
        "cognome": person.last_name,
        "email": person.email,
        "telefono": enquiry.phone,
        "entry_id": entry_id,
    }
    if enquiry.is_awkward:  # "All Fields": numbers without labels, to be mapped by hand
        written = enquiry.at.strftime("%Y-%m-%d %H:%M:%S")
        body = {"id": entry_id, "form_id": "1", "date_created": written, "status": "active"}
        body |= {"1.3": person.first_name, "1.6": person.last_name, "2": person.email, "3": enquiry.phone}
    return as_json(body)


WRITERS: dict[str, Callable[[Enquiry, str], Sending]] = {
    "landing": _landing,
    "webhook": _webhook,
    "google_ads": _google_ads,
    "tiktok": _tiktok,
    "typeform": _typeform,
    "tally": _tally,
    "contact_form_7": _contact_form_7,
    "elementor": _elementor,
    "gravity_forms": _gravity_forms,
}


def _base64_hmac(body: bytes, key: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()
