"""The doors through which leads come in: an ASGI application in the event loop, in front of Django, without its ORM.

A sender is answered only after the commit (CAP-39). The order of the checks is CAP-63's: key, source, token, then the
body; since token and storage are one statement, the body is read before it and judged, but a missing token is told
first.
"""

import ipaddress
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from uuid import UUID

import orjson
from django.conf import settings

from filiera.capture import documents, intake, metrics, rules
from filiera.capture.adapters import LeadFields
from filiera.capture.adapters.reading import text
from filiera.capture.group_commit import Entry, GroupCommit, Unavailable, Unstorable
from filiera.capture.intake import KnownSource, Request, Verdict
from filiera.capture.source_cache import SourceCache
from filiera.platform.bodies import HungUp, headers_of, read_body
from filiera.platform.ids import new_id

log = logging.getLogger("filiera.capture")

RETRY_AFTER_S = 5
MESSAGE = "Lead ricevuto e in elaborazione"

_JSON = (b"content-type", b"application/json")
_HTML = (b"content-type", b"text/html; charset=utf-8")
_HEADERS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"X-Request-ID, Idempotent-Replay, Retry-After"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-allow-headers", b"Content-Type, X-API-Key, X-Request-ID, X-Source"),
    (b"access-control-max-age", b"86400"),
)
# The order of an answer's keys: JSONB forgets it, and a repetition is answered with the same bytes (CAP-36).
_ORDER = ("success", "leadId", "requestId", "message", "estimatedProcessingTime", "error", "code", "details")

# What a visitor without JavaScript reads instead of the confirmation; these pages are Italian like the form.
_PAGE = (
    '<!doctype html><html lang="it"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><title>Richiesta non inviata</title><p>{}</p></html>'
)
_NOT_TAKEN = "Da qui non possiamo prendere la richiesta. Chiamaci: il numero è sulla pagina da cui arrivi."
_TRY_AGAIN = (
    "La richiesta non è ancora partita. Torna indietro e inviala di nuovo tra poco: "
    "quello che hai scritto è ancora lì."
)
_SENTENCES = {
    413: "Il testo è troppo lungo. Torna indietro e accorcialo: quello che hai scritto è ancora lì.",
    429: _TRY_AGAIN,
    503: _TRY_AGAIN,
    500: _TRY_AGAIN,
}

_LANDING_DOORS = {"/api/lead": "lead", "/api/submit-lead": "submit"}
_INGEST_PREFIXES = ("/webhook-ingest/", "/api/v1/webhook-ingest/")

Scope = Mapping[str, Any]


class Reply(NamedTuple):
    """An answer as bytes, with the headers that only it has."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Stored(NamedTuple):
    """A request that is in the database. `answer` is what its sender is told, now and at every repetition.

    `leads` is what could be read from it now; `is_repeated` when nothing new was begun by it, and then
    `submission_id` is the submission that it repeats.
    """

    submission_id: UUID
    brand_id: UUID
    source: KnownSource
    request_id: str
    status: str
    http_status: int
    answer: dict[str, Any]
    leads: tuple[LeadFields, ...] = ()
    is_repeated: bool = False
    body: bytes = b""  # `answer` as it is sent, where it is at hand


class AcceptPath:
    """The intake doors of one web process."""

    @cached_property
    def sources(self) -> SourceCache:
        return SourceCache(settings.DATABASE_URLS.app)

    @cached_property
    def commit(self) -> GroupCommit:
        return GroupCommit(settings.DATABASE_URLS.app, max_retries=settings.QUEUE_MAX_RETRIES)

    def handles(self, path: str) -> bool:
        """Tell whether a path is one of the doors."""
        return path in _LANDING_DOORS or path.startswith(_INGEST_PREFIXES)

    async def lifespan(self, receive: Any, send: Any) -> None:
        """Store what waits before the process ends."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def close(self) -> None:
        """Stop accepting, flush, and let the connections go."""
        await self.commit.close()
        await self.sources.close()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request. Never raises: what goes wrong here is told as 500 without its reason (CAP-34)."""
        try:
            reply = await self._answer(scope, receive)
        except HungUp:
            return
        except Exception:
            log.exception("Errore API")
            reply = failure(500, "Errore server", "INTERNAL_ERROR")
        await send_reply(send, reply)

    async def ingest(
        self,
        scope: Scope,
        receive: Any,
        *,
        source_name: str,
        token: str = "",
        door: str = "ingest",
        headers: dict[str, str] | None = None,
    ) -> Stored | Reply:
        """Take one POST in through a source: the way that all doors share (CAP-87).

        Returns what is stored now, or the answer to send at once when nothing is. Raises HungUp.
        """
        headers = headers_of(scope) if headers is None else headers
        try:
            return await self._ingest(scope, receive, headers, source_name, token, door)
        except Unavailable:
            metrics.count("", "unavailable")
            return unavailable(headers)

    async def _answer(self, scope: Scope, receive: Any) -> Reply:
        method, path = scope["method"], scope["path"]
        if method == "OPTIONS":
            return Reply(204, b"", _PREFLIGHT)
        if door := _LANDING_DOORS.get(path):
            if method != "POST":
                return not_allowed(b"POST, OPTIONS")
            headers = headers_of(scope)
            taken = await self.ingest(scope, receive, source_name="", door=door, headers=headers)
            form = documents.is_form(headers.get("content-type", ""))
            return form_reply(taken) if form else json_reply(taken)
        name, _slash, token = path[path.index("webhook-ingest/") + 15 :].partition("/")
        if method == "GET":
            return await self._handshake(scope, name, token)
        if method != "POST":
            return not_allowed(b"GET, POST, OPTIONS")
        return json_reply(await self.ingest(scope, receive, source_name=name, token=token.rstrip("/")))

    async def _ingest(
        self, scope: Scope, receive: Any, headers: dict[str, str], name: str, token: str, door: str
    ) -> Stored | Reply:
        body: bytes | None = None
        if (
            door != "ingest"
        ):  # the browser's doors: the source is named by a header, the address or the form itself
            name = headers.get("x-source", "") or _query(scope, "source")
            if not name:
                body = await read_body(receive, headers, intake.PUBLIC_BODY_LIMIT)
                name = _named_in(body or b"", headers)
        source = await self._source(name)
        if source is None and door != "ingest":
            return failure(404, "Unknown source", "UNKNOWN_SOURCE")
        if refusal := _refuse_at_the_door(source, headers, token):
            metrics.count(source.name if source else "", "refused")
            return refusal
        assert source is not None
        if body is None:
            body = await read_body(receive, headers, source.body_limit)
        request = Request(
            method="POST",
            path=scope["path"].replace(token, "***") if token else scope["path"],
            headers=headers,
            body=body or b"",
            content_type=headers.get("content-type", "")[:255],
            address=_address(scope, headers),
        )
        return await self._store(source, request, door, too_large=body is None)

    async def _store(
        self, source: KnownSource, request: Request, door: str, *, too_large: bool
    ) -> Stored | Reply:
        now = datetime.now(UTC)
        verdict, refusal = _NOTHING_JUDGED, _TOO_LARGE
        answer: dict[str, Any] = {}
        entry, body = _token_only(source), b""
        if not too_large:
            document = intake.parsed(request)
            if intake.proven(source, request, document, now):
                verdict = intake.judge(source, request, document)
                entry, answer, body = _entry(source, request, verdict, door, now)
            else:
                refusal = _INVALID_KEY
        try:
            outcome = await self.commit.accept(entry)
        except Unstorable:
            return failure(400, "Dati non validi", "VALIDATION_ERROR")
        metrics.count(source.name, outcome.what if outcome.what != "stored" else verdict.status)
        if outcome.what == "gone":
            return failure(404, "Unknown source", "UNKNOWN_SOURCE")
        if outcome.what == "limited":
            retry = (b"retry-after", str(outcome.wait_s).encode())
            return failure(429, "Rate limit exceeded", "RATE_LIMITED", headers=(retry,))
        if entry.id is None:
            return refusal
        if outcome.what == "conflict":
            return failure(
                409,
                "Questo X-Request-ID è già stato usato con un altro contenuto",
                "IDEMPOTENCY_CONFLICT",
                headers=((b"x-request-id", entry.request_id.encode()),),
            )
        stored = Stored(
            submission_id=entry.id,
            brand_id=source.brand_id,
            source=source,
            request_id=entry.request_id,
            status=verdict.status,
            http_status=verdict.http_status,
            answer=answer,
            leads=verdict.leads,
            body=body,
        )
        if outcome.what == "stored":
            log.debug("Lead %s aggiunto alla coda", entry.lead_id)
            return stored
        assert outcome.submission_id is not None
        return Stored(
            submission_id=outcome.submission_id,
            brand_id=source.brand_id,
            source=source,
            request_id=entry.request_id,
            status=verdict.status,
            http_status=outcome.http_status,
            answer=ordered(orjson.loads(outcome.response or "{}")),
            leads=verdict.leads,
            is_repeated=True,
        )

    async def _source(self, name: str) -> KnownSource | None:
        if not name or len(name) > 255 or "\0" in name:
            return None
        known = self.sources.fresh(name)
        return known if not isinstance(known, bool) else await self.sources.find(name)

    async def _handshake(self, scope: Scope, name: str, token: str) -> Reply:
        """Answer Meta's verification: the challenge, to who knows the source's key as `hub.verify_token`."""
        try:
            source = await self._source(name)
        except Unavailable:
            return unavailable({})
        challenge = _query(scope, "hub.challenge")
        if source is None or source.kind != "meta" or _query(scope, "hub.mode") != "subscribe":
            return (
                not_allowed(b"POST, OPTIONS") if source else failure(404, "Unknown source", "UNKNOWN_SOURCE")
            )
        if not rules.key_matches(_query(scope, "hub.verify_token") or token, source.api_key_hash):
            return failure(403, "Invalid verify token", "FORBIDDEN")
        return Reply(200, challenge.encode(), ((b"content-type", b"text/plain; charset=utf-8"),))


def _refuse_at_the_door(source: KnownSource | None, headers: Mapping[str, str], token: str) -> Reply | None:
    """Return the refusal of a request whose sender or origin is not let in, None for who is (CAP-63)."""
    key = headers.get("x-api-key", "")
    if source is None:
        if not key and not token:
            return failure(401, "Missing API key", "MISSING_API_KEY")
        return failure(404, "Unknown source", "UNKNOWN_SOURCE")
    if source.auth_mode in ("api_key", "path_token"):
        key = key or (token if source.auth_mode == "path_token" else "")
        if not key:
            return failure(401, "Missing API key", "MISSING_API_KEY")
        if not rules.key_matches(key, source.api_key_hash):
            return _INVALID_KEY
    elif source.auth_mode == "public" and not _allowed(source, headers):
        return failure(403, "Origin not allowed", "FORBIDDEN")
    return None


def _allowed(source: KnownSource, headers: Mapping[str, str]) -> bool:
    """Tell whether a browser's page may post here: our own pages, and the origins of the source's list (CAP-90)."""
    origin = headers.get("origin", "")
    if not origin or origin in source.allowed_origins or "*" in source.allowed_origins:
        return True
    return urlsplit(origin).netloc == headers.get("host", "")


def _entry(
    source: KnownSource, request: Request, verdict: Verdict, door: str, now: datetime
) -> tuple[Entry, dict[str, Any], bytes]:
    """Return the row to store, the answer that stands in it, and the answer's bytes."""
    submission_id = new_id()
    lead_id = f"LEAD_{int(now.timestamp() * 1000)}_{submission_id}"
    request_id = verdict.request_id or f"req-{submission_id}"
    answer = _answer_to(verdict, door, lead_id, request_id)
    body = orjson.dumps(answer)
    entry = Entry(
        id=submission_id,
        source_id=source.id,
        request_id=request_id,
        own_id=verdict.is_own_id,
        lead_id=lead_id,
        path=request.path,
        headers=orjson.dumps(intake.kept_headers(request.headers)).decode(),
        body=request.body,
        body_hash=verdict.body_hash,
        status="lookup" if verdict.needs_lookup else verdict.status,
        response=body.decode(),
        reason=verdict.reason,
        address=request.address,
        dedupe_key=verdict.dedupe_key,
        dedupe_window_s=intake.window_s(source, verdict),
    )
    return entry, answer, body


def _token_only(source: KnownSource) -> Entry:
    """Return what costs a refused request its token: nothing of it is kept."""
    return Entry(None, source.id, "", False, "", "", "{}", b"", "", "", "{}", "", None, "", 0)


def _answer_to(verdict: Verdict, door: str, lead_id: str, request_id: str) -> dict[str, Any]:
    if verdict.error:
        answer: dict[str, Any] = {"success": False, "error": verdict.error, "code": "VALIDATION_ERROR"}
        if verdict.details:
            answer["details"] = verdict.details
        return answer
    if door == "submit":
        return {
            "success": True,
            "leadId": lead_id,
            "message": MESSAGE,
            "estimatedProcessingTime": "1-2 minuti",
        }
    answer = {"success": True, "leadId": lead_id, "requestId": request_id}
    if door == "lead":
        answer["message"] = MESSAGE
    return answer


def ordered(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a stored answer with its keys in the order in which it was given the first time."""
    known = {key: answer[key] for key in _ORDER if key in answer}
    return {**known, **{key: value for key, value in answer.items() if key not in known}}


def json_reply(taken: Stored | Reply) -> Reply:
    """Return the answer of a program's door."""
    if isinstance(taken, Reply):
        return taken
    headers: tuple[tuple[bytes, bytes], ...] = (
        _JSON,
        (b"x-request-id", taken.request_id.encode("ascii", "replace")),
    )
    if taken.is_repeated:
        headers = (*headers, (b"idempotent-replay", b"true"))
    return Reply(taken.http_status, taken.body or orjson.dumps(taken.answer), headers)


def form_reply(taken: Stored | Reply) -> Reply:
    """Return the answer to a form sent without JavaScript: on to the confirmation page (CAP-90), or a sentence."""
    if isinstance(taken, Reply):
        sentence = _SENTENCES.get(taken.status, _NOT_TAKEN)
        kept = tuple(header for header in taken.headers if header != _JSON)
        return Reply(taken.status, _PAGE.format(sentence).encode(), (_HTML, *kept))
    page = f"/l/{quote(taken.source.name)}"
    if taken.http_status >= 400:
        return _see_other(
            f"{page}?{urlencode({'manca': ','.join(taken.answer.get('details', {}))})}#richiesta"
        )
    return _see_other(f"{page}/ricevuta?{urlencode({'codice': taken.answer.get('leadId', '')})}")


def failure(status: int, error: str, code: str, *, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Reply:
    """Return a refusal in the shape of the historic paths: a sentence and its code."""
    return Reply(status, orjson.dumps({"success": False, "error": error, "code": code}), (_JSON, *headers))


def not_allowed(methods: bytes) -> Reply:
    """Return 405 with the methods that a door takes (CAP-33)."""
    return failure(405, "Method not allowed", "METHOD_NOT_ALLOWED", headers=((b"allow", methods),))


def unavailable(headers: Mapping[str, str]) -> Reply:
    """Return "try later": nothing was stored. A marketplace app repeats only after 429 (gohighlevel.md 4)."""
    signed = "x-ghl-signature" in headers or "x-wh-signature" in headers
    retry = (b"retry-after", str(RETRY_AFTER_S).encode())
    return failure(429 if signed else 503, "Service unavailable", "SERVICE_UNAVAILABLE", headers=(retry,))


async def send_reply(send: Any, reply: Reply) -> None:
    """Send an answer with the headers that all answers of the doors carry (CAP-72)."""
    await send(
        {"type": "http.response.start", "status": reply.status, "headers": [*_HEADERS, *reply.headers]}
    )
    await send({"type": "http.response.body", "body": reply.body})


def _named_in(body: bytes, headers: Mapping[str, str]) -> str:
    """Return the source that a landing page names in its form, or the host it stands on."""
    content_type = headers.get("content-type", "")
    request = Request("POST", "", headers, body, content_type)
    named = text((intake.parsed(request) or {}).get("source"), 255)
    return named or urlsplit(headers.get("origin", "")).netloc


def _query(scope: Scope, name: str) -> str:
    query = scope.get("query_string", b"")
    if not query:
        return ""
    return str(parse_qs(query.decode("latin-1")).get(name, [""])[0])


def _address(scope: Scope, headers: Mapping[str, str]) -> str | None:
    """Return the sender's address; a forwarded one is believed from our own proxies only."""
    peer = scope["client"][0] if scope.get("client") else ""
    if peer in settings.TRUSTED_PROXIES:
        peer = headers.get("x-forwarded-for", peer).rpartition(",")[2].strip()
    return peer if _is_address(peer) else None


@lru_cache(maxsize=4096)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _see_other(location: str) -> Reply:
    return Reply(303, b"", ((b"location", location.encode("ascii")),))


_NOTHING_JUDGED = Verdict(intake.REJECTED)
_TOO_LARGE = failure(413, "Payload too large", "PAYLOAD_TOO_LARGE")
_INVALID_KEY = failure(401, "Invalid API key", "INVALID_API_KEY")
