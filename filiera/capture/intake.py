"""Judge one request of a known source: what is stored, what is answered, how a repetition is recognised.

Pure: the same function serves the accept path, an operator's replay and the tests.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from filiera.capture import documents, rules
from filiera.capture.adapters import ADAPTERS, Adapter, LeadFields, Unmappable
from filiera.capture.adapters.generic import MANUAL, WEBHOOK
from filiera.capture.adapters.reading import glance, known_field, text
from filiera.capture.documents import Document, Unreadable

PUBLIC_BODY_LIMIT = 64 * 1024
BODY_LIMIT = 1024 * 1024
HONEYPOT = "sito"

QUEUED, REJECTED = "queued", "rejected"
LANDING_REQUIRES = ("first_name", "email")
_DEDUPE_KEY_LENGTH = 80
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,255}")
_SECRET_HEADERS = frozenset(("authorization", "proxy-authorization", "cookie", "x-api-key", "x-csrftoken"))
REDACTED = "[redacted]"


@dataclass(frozen=True)
class KnownSource:
    """A source as the accept path needs it: `required` are canonical fields, the signing secret is in clear."""

    id: UUID
    brand_id: UUID
    name: str
    kind: str
    auth_mode: str
    api_key_hash: str
    signing_secret: bytes
    mapping: Mapping[str, str]
    required: tuple[str, ...]
    allowed_origins: frozenset[str]

    @cached_property
    def adapter(self) -> Adapter:
        """Return how this source is read."""
        return adapter_of(self.kind)

    @cached_property
    def decisive(self) -> frozenset[str]:
        """Return the fields on which the answer to a sender depends."""
        return frozenset((*self.required, "first_name", "full_name", "email", "phone", "age"))

    @property
    def body_limit(self) -> int:
        """Return the largest body in bytes (CAP-90)."""
        return PUBLIC_BODY_LIMIT if self.auth_mode == "public" else BODY_LIMIT


class Request(NamedTuple):
    """A request as it came. Header names are in lower case; `path` has its token masked."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    content_type: str = ""
    address: str | None = None

    @property
    def own_id(self) -> str:
        """Return the sender's X-Request-ID, "" when it is absent or not 1-255 printable characters."""
        given = self.headers.get("x-request-id", "")
        return given if _PRINTABLE.fullmatch(given) else ""


class Verdict(NamedTuple):
    """What becomes of a request: its status, why (`reason`, a code of words.REASONS), and what the sender is told."""

    status: str
    http_status: int = 200
    reason: str = ""
    error: str = ""
    details: Mapping[str, list[str]] = {}
    request_id: str = ""
    is_own_id: bool = False
    body_hash: str = ""
    dedupe_key: str = ""
    needs_lookup: bool = False
    document: Document | None = None
    leads: tuple[LeadFields, ...] = ()


def adapter_of(kind: str) -> Adapter:
    """Return the adapter of a kind of source; kinds without one of their own are read by names."""
    return MANUAL if kind == "manual" else ADAPTERS.get(kind, WEBHOOK)


def judge(source: KnownSource, request: Request, document: Document | None) -> Verdict:
    """Return what to store and to answer for a request whose sender has proved who it is.

    `document` is the parsed body, None when it is neither JSON nor a form.
    """
    adapter, own_id = source.adapter, request.own_id
    canonical = None if documents.is_form(request.content_type) else document
    known: dict[str, Any] = {
        "request_id": own_id,
        "is_own_id": bool(own_id),
        "body_hash": rules.body_hash(request.body, canonical),
        "document": document,
    }
    if document is None:
        return _rejected(source, "UNREADABLE", "Invalid JSON", known)
    if not own_id:
        known["request_id"] = adapter.request_id(document)
        known["dedupe_key"] = _short(adapter.dedupe_key(document))
    if source.auth_mode == "public" and HONEYPOT in document and text(document[HONEYPOT]):
        # Whoever fills in what nobody sees is told that all is well.
        return Verdict(REJECTED, reason="HONEYPOT", **known)
    if adapter.by_names:
        return _judge_by_names(source, document, known)
    if adapter.lookups(document):
        return Verdict(QUEUED, needs_lookup=True, **known)
    try:
        leads = adapter.read(document, source.mapping, {})
    except Unmappable as refusal:
        return Verdict(REJECTED, reason=refusal.code, **known)
    reason = "" if all(lead.has_contact for lead in leads) else "PARTLY_UNMAPPED"
    return Verdict(QUEUED, reason=reason, leads=tuple(leads), **known)


def _judge_by_names(source: KnownSource, document: Document, known: dict[str, Any]) -> Verdict:
    found = None if source.mapping else glance(document, source.decisive)
    if found is not None:
        values, problems = found
    else:
        try:
            [lead] = source.adapter.read(document, source.mapping, {})
        except Unmappable as refusal:
            [lead] = refusal.leads
        values, problems = asdict(lead), list(lead.problems)
    wrong = {text(key, 200): [PROBLEMS[name]] for key, name in problems}
    lacking = {name: why for name, why in missing(source, values).items() if name not in wrong}
    if not lacking and not wrong:
        return Verdict(QUEUED, **known)
    reason = "VALIDATION_ERROR" if values.get("phone") or values.get("email") else "NO_CONTACT"
    error = "Dati mancanti" if lacking else "Dati non validi"
    return _rejected(source, reason, error, known, {**lacking, **wrong})


def missing(source: KnownSource, values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what this source requires and the lead lacks, by the name the sender would use (CAP-88)."""
    lacking = {
        _inbound_name(source, name): ["Campo obbligatorio"]
        for name in source.required
        if values.get(name) in ("", None)
    }
    if not lacking and not values.get("phone") and not values.get("email"):
        return {"telefono": ["Serve un telefono o un’e-mail"]}
    return lacking


PROBLEMS = {
    "age": "Un’età va da 0 a 120",
    "email": "Non sembra un indirizzo e-mail",
}


def window_s(source: KnownSource, verdict: Verdict) -> int:
    """Return for how many seconds a repetition of this lead is a duplicate, 0 when its request id decides alone."""
    return source.adapter.dedupe_window_s if verdict.dedupe_key else 0


def proven(source: KnownSource, request: Request, document: Document | None, now: datetime) -> bool:
    """Check the proof that lies in or over the body; True for sources whose key was checked before."""
    adapter = source.adapter
    if source.auth_mode == "body_key":
        return document is not None and rules.key_matches(adapter.body_key(document), source.api_key_hash)
    if source.auth_mode == "signature":
        return (
            adapter.verify is not None
            and bool(source.signing_secret)
            and adapter.verify(request.headers, request.body, source.signing_secret)
            and (document is None or adapter.is_fresh(document, now))
        )
    return True


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers as they may be stored: without NUL, and without what unlocks anything (CAP-73)."""
    return {
        name: REDACTED
        if name in _SECRET_HEADERS or name.endswith(("-key", "-token"))
        else value.replace("\0", "")
        for name, value in headers.items()
    }


def parsed(request: Request) -> Document | None:
    """Return the document in the body, None when it is neither JSON nor a form."""
    try:
        return documents.parse(request.body, request.content_type or "application/json")
    except Unreadable:
        return None


def _rejected(
    source: KnownSource,
    reason: str,
    error: str,
    known: dict[str, Any],
    details: dict[str, list[str]] | None = None,
) -> Verdict:
    """Refuse with 400, except to senders that understand nothing but 200 (leads-ads §7)."""
    if not source.adapter.by_names:
        return Verdict(REJECTED, reason=reason, **known)
    return Verdict(REJECTED, 400, reason, error, details or {}, **known)


def required_of(kind: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the canonical fields a source requires; a landing page asks for name and e-mail if nothing is said."""
    if not names and kind == "landing":
        return LANDING_REQUIRES
    return tuple(canonical_name(name) for name in names)


def canonical_name(name: str) -> str:
    """Return the canonical field of a name, also of one from the landing form (`nome`); "" when it means none."""
    return name if name in LeadFields.__dataclass_fields__ else known_field(name)


# The names of the landing form's own fields, for what it must be told about them (CAP-32).
_LANDING_NAMES = {
    "first_name": "nome",
    "last_name": "cognome",
    "phone": "telefono",
    "service_code": "servizio",
    "package_code": "pacchetto",
    "age": "eta",
    "wants_contract": "vuoleContratto",
    "wants_brochure": "vuoleBrochure",
    "city": "citta",
    "company": "azienda",
}


def _inbound_name(source: KnownSource, name: str) -> str:
    for path, target in source.mapping.items():
        if target == name:
            return path
    return _LANDING_NAMES.get(name, name)


def _short(key: str) -> str:
    if len(key) <= _DEDUPE_KEY_LENGTH:
        return key
    return "sha:" + hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
