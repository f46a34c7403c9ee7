"""GoHighLevel: the contacts API of version 2, and a sender of its three webhook shapes.

The three shapes are the ledger's (`/api/ghl-webhooks/new-contact`), the workflow action's (snake_case,
unsigned) and the marketplace app's (camelCase, signed with Ed25519). Facts: the provider's sheet.
"""

from __future__ import annotations

import base64
import time
from collections import deque
from dataclasses import dataclass, field
from html import escape
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from filiera.simulators import page, people
from filiera.simulators.base import Delivery, Problems, Simulator, endpoint, moment, now
from filiera.simulators.http import Answer, Request, json_answer, redirect, text_answer
from filiera.simulators.knobs import Json, Knobs, Says, loopback_url

LOCATION = "Lc0tTeSt1IdFiTtIzI0x"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
Shape = Literal["ledger", "workflow", "marketplace"]
SHAPES: tuple[Shape, ...] = ("ledger", "workflow", "marketplace")
BURST_WINDOW_S = 10.0
RETRIES_AFTER_429 = 6
RETRY_AFTER_S = 600.0

CONTACT_TEXTS = {
    "firstName": 255,
    "lastName": 255,
    "name": 255,
    "email": 320,
    "phone": 32,
    "address1": 255,
    "city": 255,
    "state": 255,
    "postalCode": 32,
    "country": 2,
    "website": 255,
    "timezone": 64,
    "companyName": 255,
    "source": 255,
    "dateOfBirth": 32,
    "assignedTo": 64,
}
CONTACT_OTHERS = {"locationId", "dnd", "dndSettings", "inboundDndSettings", "tags", "customFields"}
CONTACT_OTHERS |= {"createNewIfDuplicateAllowed"}
UNAUTHORIZED = {
    "statusCode": 401,
    "message": "Invalid token: access token is invalid",
    "error": "Unauthorized",
}


@dataclass
class GoHighLevelKnobs(Knobs):
    token: Annotated[str, Says("Gettone che i client devono presentare.")] = "pit-sim-0001"
    location_id: Annotated[str, Says("L'unica sede che conosce.")] = LOCATION
    api_version: Annotated[str, Says("Intestazione Version richiesta; vuota = qualunque.")] = "2021-07-28"
    burst_limit: Annotated[int, Says("Richieste ammesse in 10 secondi veri.", low=1, high=1_000_000)] = 100
    duplicates_allowed: Annotated[bool, Says("La sede ammette contatti doppi.")] = False
    targets: Annotated[
        list[Json], Says('Indirizzi a cui spedire, come {"name": "ghl", "url": "http://…", "headers": {}}.')
    ] = field(default_factory=list)
    retry_after_429: Annotated[bool, Says("Rispedisce gli avvisi del marketplace rifiutati con 429.")] = True

    def check(self, name: str, value: Any) -> None:
        super().check(name, value)
        for target in value if name == "targets" else ():
            loopback_url(str(target.get("url", "")))


class GoHighLevel(Simulator):
    name: ClassVar[str] = "gohighlevel"
    title: ClassVar[str] = "GoHighLevel"
    knobs_type: ClassVar[type[Knobs]] = GoHighLevelKnobs
    knobs: GoHighLevelKnobs

    def __init__(self, **knobs: Any) -> None:
        super().__init__(**knobs)
        self._key = Ed25519PrivateKey.generate()
        self.forget()

    def forget(self) -> None:
        self.contacts: dict[str, Json] = {}
        self._asked: deque[float] = deque()

    def urls(self) -> Json:
        return super().urls() | {
            "send_url": f"{self.base_url}/_sim/send",
            "public_key_url": f"{self.base_url}/_sim/public-key",
        }

    @property
    def public_key(self) -> str:
        """The PEM with which marketplace webhooks are verified; made anew at every start."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def new_id(self) -> str:
        return "".join(self.chance.choices(ALPHABET, k=20))

    # ── token and rate limit ────────────────────────────────────────────────

    def gate(self, request: Request, name: str) -> Answer | None:
        if request.header("authorization") != f"Bearer {self.knobs.token}":
            return json_answer(UNAUTHORIZED, 401)
        if self.knobs.api_version and request.header("version") != self.knobs.api_version:
            return self.error(400, message="version header was not found or is not valid")
        instant = time.monotonic()
        while self._asked and instant - self._asked[0] >= BURST_WINDOW_S:
            self._asked.popleft()
        if len(self._asked) >= self.knobs.burst_limit:
            return self.error(429, message="Too Many Requests")
        self._asked.append(instant)
        return None

    def finish(self, request: Request, name: str, answer: Answer) -> None:
        answer.headers["X-RateLimit-Limit-Daily"] = "200000"
        answer.headers["X-RateLimit-Daily-Remaining"] = str(200_000 - self.counters.total())
        answer.headers["X-RateLimit-Interval-Milliseconds"] = "10000"
        answer.headers["X-RateLimit-Max"] = str(self.knobs.burst_limit)
        answer.headers["X-RateLimit-Remaining"] = str(max(0, self.knobs.burst_limit - len(self._asked)))

    def error(self, status: int, *, message: str | None = None, code: int | None = None) -> Answer:
        return json_answer(
            {"statusCode": status, "message": message or "Error", "traceId": self.new_id()}, status
        )

    def unknown_route(self, request: Request) -> Answer:
        text = f"Cannot {request.method} {request.path}"
        return json_answer({"statusCode": 404, "message": text, "error": "Not Found"}, 404)

    # ── contacts ────────────────────────────────────────────────────────────

    @endpoint("POST", r"/contacts/upsert", "contacts/upsert")
    def upsert(self, request: Request) -> Answer:
        body, refusal = self._read_contact(request)
        if refusal:
            return refusal
        twin = self._twin(body)
        if twin and not (self.knobs.duplicates_allowed and body.get("createNewIfDuplicateAllowed")):
            return self._answer_contact(self._change(twin[0], body), new=False)
        return self._answer_contact(self._create(body), new=True)

    @endpoint("POST", r"/contacts/", "contacts/create")
    def create(self, request: Request) -> Answer:
        body, refusal = self._read_contact(request)
        if refusal:
            return refusal
        twin = self._twin(body)
        if twin and not self.knobs.duplicates_allowed:
            return self._duplicate(*twin)
        return json_answer({"contact": self._create(body)}, 201)

    @endpoint("GET", r"/contacts/search/duplicate", "contacts/duplicate")
    def find_duplicate(self, request: Request) -> Answer:
        if request.query.get("locationId") != self.knobs.location_id:
            return self.error(400, message="locationId is required")
        twin = self._twin({"email": request.query.get("email"), "phone": request.query.get("number")})
        return json_answer({"contact": self.contacts[twin[0]] if twin else None, "traceId": self.new_id()})

    @endpoint("GET", r"/contacts/(?P<contact_id>[^/]+)", "contacts/get")
    def show(self, request: Request, contact_id: str) -> Answer:
        contact = self.contacts.get(contact_id)
        return json_answer({"contact": contact}) if contact else self._missing()

    @endpoint("PUT", r"/contacts/(?P<contact_id>[^/]+)", "contacts/update")
    def update(self, request: Request, contact_id: str) -> Answer:
        if contact_id not in self.contacts:
            return self._missing()
        body, refusal = self._read_contact(request, needs_location=False)
        if refusal:
            return refusal
        twin = self._twin(body)
        if twin and twin[0] != contact_id and not self.knobs.duplicates_allowed:
            return self._duplicate(*twin)
        return json_answer({"succeded": True, "contact": self._change(contact_id, body)})

    @endpoint("DELETE", r"/contacts/(?P<contact_id>[^/]+)", "contacts/delete")
    def delete(self, request: Request, contact_id: str) -> Answer:
        return json_answer({"succeded": True}) if self.contacts.pop(contact_id, None) else self._missing()

    @endpoint("POST", r"/contacts/(?P<contact_id>[^/]+)/tags", "contacts/tags")
    def add_tags(self, request: Request, contact_id: str) -> Answer:
        return self._change_tags(request, contact_id, add=True)

    @endpoint("DELETE", r"/contacts/(?P<contact_id>[^/]+)/tags", "contacts/tags")
    def remove_tags(self, request: Request, contact_id: str) -> Answer:
        return self._change_tags(request, contact_id, add=False)

    @endpoint("POST", r"/contacts/(?P<contact_id>[^/]+)/notes", "contacts/notes")
    def add_note(self, request: Request, contact_id: str) -> Answer:
        problems, body = Problems(), self._object(request)
        problems.text(body, "body", 65_000, required=True)
        if contact_id not in self.contacts:
            return self._missing()
        if problems.errors:
            return self._unprocessable(problems)
        note = {
            "id": self.new_id(),
            "body": body["body"],
            "contactId": contact_id,
            "dateAdded": moment(now()),
        }
        return json_answer({"note": note}, 201)

    def _change_tags(self, request: Request, contact_id: str, *, add: bool) -> Answer:
        if contact_id not in self.contacts:
            return self._missing()
        tags = self._object(request).get("tags")
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            return self.error(422, message="tags must be an array of strings")
        kept = [tag for tag in self.contacts[contact_id]["tags"] if tag not in tags]
        self.contacts[contact_id]["tags"] = kept + (tags if add else [])
        return json_answer({"tags": self.contacts[contact_id]["tags"]}, 201 if add else 200)

    def _object(self, request: Request) -> Json:
        try:
            body = request.json()
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    def _read_contact(self, request: Request, *, needs_location: bool = True) -> tuple[Json, Answer | None]:
        problems, body = Problems(), self._object(request)
        for name, longest in CONTACT_TEXTS.items():
            problems.text(body, name, longest)
        if needs_location and body.get("locationId") != self.knobs.location_id:
            problems.add("locationId", "The token does not have access to this location.")
        if not isinstance(body.get("tags", []), list):
            problems.add("tags", "tags must be an array")
        for row in problems.rows(body, "customFields") or []:
            if "value" in row:
                self.warn(request, "customFields are written as field_value, read as value")
        problems.only(body, CONTACT_TEXTS.keys() | CONTACT_OTHERS)
        for unknown in problems.unknown:
            self.warn(request, unknown)
        return body, self._unprocessable(problems) if problems.errors else None

    def _unprocessable(self, problems: Problems) -> Answer:
        messages = [f"{name}: {text}" for name, texts in problems.errors.items() for text in texts]
        return json_answer(
            {
                "statusCode": 422,
                "message": messages,
                "error": "Unprocessable Entity",
                "traceId": self.new_id(),
            },
            422,
        )

    def _missing(self) -> Answer:
        return self.error(400, message="Contact not found")

    def _duplicate(self, contact_id: str, matching: str) -> Answer:
        return json_answer(
            {
                "statusCode": 400,
                "message": "This location does not allow duplicated contacts.",
                "meta": {"contactId": contact_id, "matchingField": matching},
                "traceId": self.new_id(),
            },
            400,
        )

    def _twin(self, body: Json) -> tuple[str, str] | None:
        """Return the contact that shares the e-mail, or else the phone, and which of the two."""
        for matching in ("email", "phone"):
            wanted = (body.get(matching) or "").lower()
            for contact_id, contact in self.contacts.items():
                if wanted and (contact.get(matching) or "").lower() == wanted:
                    return contact_id, matching
        return None

    def _create(self, body: Json) -> Json:
        contact_id = self.new_id()
        self.contacts[contact_id] = {
            "id": contact_id,
            "tags": [],
            "customFields": [],
            "dateAdded": moment(now()),
        }
        self.count("contacts created")
        return self._change(contact_id, body)

    def _change(self, contact_id: str, body: Json) -> Json:
        """Write what was sent; `tags` replaces all tags, as the original does."""
        contact = self.contacts[contact_id]
        custom = [
            {"id": row.get("id"), "value": row.get("field_value")} for row in body.get("customFields", [])
        ]
        contact |= {**body, "customFields": custom or contact["customFields"], "dateUpdated": moment(now())}
        contact["emailLowerCase"] = (contact.get("email") or "").lower()
        return contact

    def _answer_contact(self, contact: Json, *, new: bool) -> Answer:
        return json_answer({"new": new, "contact": contact, "traceId": self.new_id()})

    # ── the sender ──────────────────────────────────────────────────────────

    async def send(
        self,
        url: str,
        shape: Shape,
        *,
        contact: Json | None = None,
        headers: dict[str, str] | None = None,
        repeat: int = 1,
        wrong_signature: bool = False,
    ) -> list[Delivery]:
        """Post one contact to `url` in one of the shapes, `repeat` times byte for byte."""
        body = orjson.dumps(self.webhook(shape, contact or {}))
        sent = {"Content-Type": "application/json", "User-Agent": "axios/1.7.9", **(headers or {})}
        if shape == "marketplace":
            signed = body + b" " if wrong_signature else body
            sent["X-GHL-Signature"] = base64.b64encode(self._key.sign(signed)).decode()
        deliveries = [await self.post(shape, url, body, sent) for _ in range(repeat)]
        if shape == "marketplace" and deliveries[-1].status == 429 and self.knobs.retry_after_429:
            self.spawn(self._retry(url, body, sent))
        return deliveries

    async def _retry(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        """Send again after ten minutes, at most six times; only a 429 is retried."""
        for _ in range(RETRIES_AFTER_429):
            await self.wait(RETRY_AFTER_S * self.chance.uniform(0.9, 1.1))
            if (await self.post("marketplace", url, body, headers)).status != 429:
                return

    def webhook(self, shape: Shape, given: Json) -> Json:
        """Return the body that tells one contact in one of the shapes.

        `given` overrides the invented person: id, firstName, lastName, email, phone, companyName, tags, …
        """
        person = people.invent(self.chance)
        contact: Json = {
            "id": self.new_id(),
            "firstName": person.first_name,
            "lastName": person.last_name,
            "email": person.email,
            "phone": person.phone,
            "companyName": "",
            "city": person.city,
            "state": person.province,
            "postalCode": person.cap,
            "tags": ["lead"],
            "source": "landing page",
        } | given
        contact["name"] = given.get("name", f"{contact['firstName']} {contact['lastName']}")
        match shape:
            case "ledger":
                told = {
                    name: contact[name] for name in ("id", "name", "firstName", "lastName", "phone", "email")
                }
                return told | {"company": contact["companyName"]}
            case "workflow":
                return self._workflow(contact)
            case "marketplace":
                return self._marketplace(contact)

    def _workflow(self, contact: Json) -> Json:
        return {
            "contact_id": contact["id"],
            "first_name": contact["firstName"],
            "last_name": contact["lastName"],
            "full_name": contact["name"],
            "email": contact["email"],
            "phone": contact["phone"],
            "tags": ",".join(contact["tags"]),
            "city": contact["city"],
            "postal_code": contact["postalCode"],
            "company_name": contact["companyName"],
            "country": "IT",
            "date_created": moment(now()),
            "contact_source": contact["source"],
            "full_address": "",
            "contact_type": "lead",
            "location": {
                "name": "Studio Fittizio",
                "city": "Verona",
                "country": "IT",
                "id": self.knobs.location_id,
            },
            "user": {"firstName": "Rosalba", "lastName": "Gozzi", "phone": "+393510009999"},
            "workflow": {"id": "5f0e1d2c-3b4a-4958-8776-6655443322ff", "name": "Nuovo lead"},
            "triggerData": {},
            "contact": {"attributionSource": {"medium": "null"}, "lastAttributionSource": {}},
            "attributionSource": {},
            "customData": {},
        }

    def _marketplace(self, contact: Json) -> Json:
        return {
            "type": "ContactCreate",
            "locationId": self.knobs.location_id,
            "versionId": "650000000000000000000abc",
            "appId": "650000000000000000000abc",
            **contact,
            "country": "IT",
            "dateAdded": moment(now()),
            "dnd": False,
            "attachments": [],
            "assignedTo": None,
            "customFields": [],
            "timestamp": moment(now()),
            "webhookId": str(UUID(int=self.chance.getrandbits(128), version=4)),
        }

    async def control(self, request: Request, what: str) -> Answer | None:
        match request.method, what:
            case "GET", "public-key":
                return text_answer(self.public_key, content_type="application/x-pem-file")
            case "GET", "contacts":
                return json_answer(list(self.contacts.values()))
            case "POST", "send":
                return await self._send_as_asked(request)
        return None

    async def _send_as_asked(self, request: Request) -> Answer:
        """Take `{"url" | "target", "shape", "contact", "headers", "repeat", "wrong_signature"}`."""
        try:
            asked: Json = dict(request.form() if request.is_form() else request.json())
            shape, repeat = asked.get("shape", "workflow"), int(asked.get("repeat") or 1)
            target = next((t for t in self.knobs.targets if t.get("name") == asked.get("target")), {})
            url = loopback_url(str(asked.get("url") or target.get("url", "")))
        except (ValueError, TypeError) as problem:
            return json_answer({"error": str(problem)}, 400)
        if not url or shape not in SHAPES or not 1 <= repeat <= 100:
            return json_answer(
                {"error": f"needs url or target, shape of {SHAPES}, repeat from 1 to 100"}, 400
            )
        deliveries = await self.send(
            url,
            shape,
            contact=asked.get("contact"),
            headers={**target.get("headers", {}), **(asked.get("headers") or {})},
            repeat=repeat,
            wrong_signature=bool(asked.get("wrong_signature")),
        )
        if request.is_form():
            return redirect("/")
        return json_answer(
            [{"status": sent.status, "answer": sent.answer, "error": sent.error} for sent in deliveries]
        )

    def forms(self, words: page.Words) -> str:
        targets = [str(target.get("name", "")) for target in self.knobs.targets]
        either = words.gettext("Una di quelle nella manopola targets, oppure un indirizzo qui sotto.")
        again = words.gettext("Sempre la stessa consegna, byte per byte.")
        rows = [
            page.row(words.gettext("Fonte"), page.choice("target", targets), either),
            page.row(words.gettext("Indirizzo"), page.field("url", "")),
            page.row(words.gettext("Forma"), page.choice("shape", SHAPES)),
            page.row(words.gettext("Quante volte"), page.field("repeat", "1"), again),
        ]
        return page.ask(words.gettext("Spedisci un contatto"), "/_sim/send", rows, words.gettext("Spedisci"))

    def panels(self, words: page.Words) -> str:
        rows = [
            [
                f"<code>{escape(contact['id'])}</code>",
                escape(str(contact.get("name") or contact.get("firstName", ""))),
                escape(str(contact.get("phone") or "")),
                escape(str(contact.get("email") or "")),
                escape(", ".join(map(str, contact["tags"]))),
            ]
            for contact in list(self.contacts.values())[: -page.ROWS_SHOWN - 1 : -1]
        ]
        heads = ["id", words.gettext("Nome"), words.gettext("Telefono"), "E-mail", words.gettext("Etichette")]
        none = words.gettext("Ancora nessun contatto.")
        return page.panel(words.gettext("Contatti"), page.table(heads, rows, none))
