"""The intake doors: who is let in, what is stored, what is answered, and that nothing is told before it is true."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from filiera.capture import rules
from filiera.platform import brand_scope

PAYLOADS = Path(__file__).parent / "payloads"
FORM = "application/x-www-form-urlencoded"
LEAD = {
    "nome": "Onorina",
    "cognome": "Baggio",
    "email": "onorina@posta.example",
    "telefono": "+39 351 000 4127",
    "servizio": "PRO",
    "pacchetto": "BASE",
    "vuoleContratto": True,
    "vuoleBrochure": False,
    "eta": 67,
    "source": "vegliasi.example",
    "timestamp": "2026-10-13T08:37:12.000Z",
}


@pytest.fixture
def landing(brand: Any, make_source: Callable[..., Any]) -> Any:
    return make_source(brand, "vegliasi-pagina", "landing", allowed_origins=["https://vegliasi.example"])


@pytest.fixture
def webhook(brand: Any, make_source: Callable[..., Any]) -> Any:
    return make_source(brand, "moduli")


def test_a_lead_from_the_landing_page_is_stored_before_it_is_answered(
    doors: Any, landing: Any, submissions: Any, brand: Any
) -> None:
    """CAP-30, CAP-39."""
    answer = doors.post(
        "/api/lead", LEAD, headers={"X-Source": landing.name, "X-Request-ID": "LEAD_1_abcdefghi"}
    )
    [row] = submissions(brand)
    assert answer.status == 200
    assert answer.json == {
        "success": True,
        "leadId": row.lead_id,
        "requestId": "LEAD_1_abcdefghi",
        "message": "Lead ricevuto e in elaborazione",
    }
    assert answer.headers["x-request-id"] == "LEAD_1_abcdefghi"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert (row.request_id, row.status, row.queue_state, row.http_status) == (
        "LEAD_1_abcdefghi",
        "queued",
        "ready",
        200,
    )
    assert (row.ip_address, row.path, row.method) == ("203.0.113.9", "/api/lead", "POST")
    assert orjson.loads(bytes(row.body)) == LEAD
    assert row.response == answer.json
    assert row.lead_id.startswith("LEAD_")
    assert row.lead_id.endswith(str(row.id))


def test_submit_lead_says_how_long_it_takes(doors: Any, landing: Any) -> None:
    """CAP-31."""
    answer = doors.post("/api/submit-lead", LEAD, headers={"X-Source": landing.name})
    assert (answer.status, list(answer.json)) == (
        200,
        ["success", "leadId", "message", "estimatedProcessingTime"],
    )
    assert answer.json["estimatedProcessingTime"] == "1-2 minuti"


@pytest.mark.parametrize("path", ["/api/lead", "/api/submit-lead"])
def test_a_landing_lead_without_name_or_address_is_refused_kept_and_explained(
    doors: Any, landing: Any, submissions: Any, brand: Any, path: str
) -> None:
    """CAP-32, acceptance 5."""
    for lacking in ("nome", "email"):
        answer = doors.post(path, {**LEAD, lacking: " "}, headers={"X-Source": landing.name})
        assert answer.status == 400
        assert answer.json == {
            "success": False,
            "error": "Dati mancanti",
            "code": "VALIDATION_ERROR",
            "details": {lacking: ["Campo obbligatorio"]},
        }
    assert {(row.status, row.queue_state, row.http_status) for row in submissions(brand)} == {
        ("rejected", "done", 400)
    }


def test_the_source_of_a_landing_is_found_by_header_address_form_or_host(doors: Any, landing: Any) -> None:
    for options in (
        {"headers": {"X-Source": landing.name}},
        {"path": f"/api/lead?source={landing.name}"},
        {"body": {**LEAD, "source": "vegliasi.example"}},
        {"body": {**LEAD, "source": landing.name}},
        {"body": {**LEAD, "source": ""}, "headers": {"Origin": "https://vegliasi.example"}},
    ):
        body = {**options.get("body", {**LEAD, "source": ""})}
        assert (
            doors.post(options.get("path", "/api/lead"), body, headers=options.get("headers")).status == 200
        )
    assert doors.post("/api/lead", {**LEAD, "source": "altrove.example"}).status == 404
    assert doors.post("/api/lead", LEAD, headers={"X-Source": "nessuna", "X-API-Key": "x"}).status == 404


def test_another_origin_is_not_let_in_our_own_page_is(
    doors: Any, landing: Any, submissions: Any, brand: Any
) -> None:
    """CAP-90."""
    own = {"X-Source": landing.name, "Origin": "https://filiera.example"}
    assert doors.post("/api/lead", LEAD, headers=own).status == 200
    other = doors.post("/api/lead", LEAD, headers={**own, "Origin": "https://altrove.example"})
    assert (other.status, other.json["code"]) == (403, "FORBIDDEN")
    assert len(submissions(brand)) == 1


def test_a_body_beyond_the_limit_of_its_source_is_refused(doors: Any, landing: Any, webhook: Any) -> None:
    """CAP-90."""
    big = {**LEAD, "notes": "x" * 70_000}
    for headers in ({"X-Source": landing.name}, {"X-Source": landing.name, "Content-Length": "70500"}):
        answer = doors.post("/api/lead", big, headers=headers)
        assert (answer.status, answer.json["code"]) == (413, "PAYLOAD_TOO_LARGE")
    path = f"/webhook-ingest/{webhook.name}"
    assert doors.post(path, big, key=webhook.clear_key).status == 200
    assert doors.post(path, {**LEAD, "notes": "x" * 1_100_000}, key=webhook.clear_key).status == 413


def test_an_age_of_130_is_refused_zero_and_nothing_are_not(doors: Any, landing: Any) -> None:
    """CAP-08, acceptance 11."""
    wrong = doors.post("/api/lead", {**LEAD, "eta": "130"}, headers={"X-Source": landing.name})
    assert (wrong.status, wrong.json["details"]) == (400, {"eta": ["Un’età va da 0 a 120"]})
    for age in ("0", 0, "", None):
        assert doors.post("/api/lead", {**LEAD, "eta": age}, headers={"X-Source": landing.name}).status == 200


def test_what_a_person_cannot_see_catches_who_fills_it_in(
    doors: Any, landing: Any, submissions: Any, brand: Any
) -> None:
    answer = doors.post(
        "/api/lead", {**LEAD, "sito": "http://spam.example"}, headers={"X-Source": landing.name}
    )
    assert (answer.status, answer.json["success"]) == (200, True)
    [row] = submissions(brand)
    assert (row.status, row.error_code, row.queue_state) == ("rejected", "HONEYPOT", "done")


def test_a_form_without_javascript_goes_on_to_its_confirmation(
    doors: Any, landing: Any, submissions: Any, brand: Any
) -> None:
    """CAP-90."""
    form = b"nome=Ada&cognome=Zen&email=ada%40posta.example&telefono=351+000+0001&vuoleContratto=on&eta="
    answer = doors.post(f"/api/lead?source={landing.name}", form, content_type=FORM)
    [row] = submissions(brand)
    assert (answer.status, answer.headers["location"]) == (
        303,
        f"/l/vegliasi-pagina/ricevuta?codice={row.lead_id}",
    )
    answer = doors.post(f"/api/lead?source={landing.name}", b"nome=Ada", content_type=FORM)
    assert (answer.status, answer.headers["location"]) == (303, "/l/vegliasi-pagina?manca=email#richiesta")


def test_a_form_that_cannot_be_taken_is_told_in_words(doors: Any, brand: Any, make_source: Any) -> None:
    make_source(brand, "pagina", "landing", rate_limit_per_min=1)
    form = b"nome=Ada&cognome=Zen&email=ada%40posta.example"
    assert doors.post("/api/lead?source=pagina", form, content_type=FORM).status == 303
    limited = doors.post("/api/lead?source=pagina", form, content_type=FORM)
    assert (limited.status, limited.headers["content-type"]) == (429, "text/html; charset=utf-8")
    assert "quello che hai scritto" in limited.body.decode()
    assert "retry-after" in limited.headers
    other = doors.post("/api/lead?source=nessuna", form, content_type=FORM)
    assert (other.status, "Chiamaci" in other.body.decode()) == (404, True)


def test_the_checks_come_in_their_order(doors: Any, brand: Any, make_source: Any) -> None:
    """CAP-63, acceptance 10."""
    one = make_source(brand, "uno", rate_limit_per_min=1)
    make_source(brand, "spenta", is_active=False)

    def ask(name: str, key: str = "", body: Any = LEAD) -> tuple[int, str, str]:
        answer = doors.post(f"/webhook-ingest/{name}", body, key=key)
        return answer.status, answer.json.get("error", ""), answer.json.get("code", "")

    missing = (401, "Missing API key", "MISSING_API_KEY")
    unknown = (404, "Unknown source", "UNKNOWN_SOURCE")
    assert ask("uno") == ask("nessuna") == ask("spenta") == missing
    assert ask("nessuna", "x") == ask("spenta", "x") == ask("", "x") == unknown
    assert ask("uno", "sbagliata") == (401, "Invalid API key", "INVALID_API_KEY")
    assert ask("uno", one.clear_key) == (200, "", "")
    limited = (429, "Rate limit exceeded", "RATE_LIMITED")
    assert ask("uno", one.clear_key) == ask("uno", one.clear_key, b"{") == limited
    wait = doors.post("/webhook-ingest/uno", LEAD, key=one.clear_key).headers["retry-after"]
    assert 1 <= int(wait) <= 60


def test_the_eleventh_of_a_burst_is_one_too_many(
    doors: Any, brand: Any, make_source: Any, submissions: Any
) -> None:
    """CAP-68, CAP-69, acceptance 8; what was refused is not stored, and its request id stays free."""
    source = make_source(brand, "dieci", rate_limit_per_min=10)

    async def burst() -> list[Any]:
        path = f"/webhook-ingest/{source.name}"
        return await asyncio.gather(
            *(doors.send("POST", path, {**LEAD, "n": n}, key=source.clear_key) for n in range(11))
        )

    answers = doors.run(burst())
    assert sorted(answer.status for answer in answers) == [200] * 10 + [429]
    assert len(submissions(brand)) == 10
    assert next(a for a in answers if a.status == 429).headers["retry-after"] == "6"


def test_a_wrong_method_is_not_allowed(doors: Any, landing: Any, webhook: Any) -> None:
    """CAP-33."""
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        for path in ("/api/lead", "/api/submit-lead", f"/webhook-ingest/{webhook.name}"):
            answer = doors.run(doors.send(method, path))
            assert (answer.status, answer.json["error"]) == (405, "Method not allowed")
            assert answer.headers["access-control-allow-origin"] == "*"


def test_a_preflight_is_answered(doors: Any) -> None:
    """CAP-72."""
    answer = doors.run(doors.send("OPTIONS", "/webhook-ingest/moduli"))
    assert (answer.status, answer.body) == (204, b"")
    assert "X-API-Key" in answer.headers["access-control-allow-headers"]


def test_a_brand_in_the_request_is_never_read(
    doors: Any, make_brand: Any, brand: Any, webhook: Any, submissions: Any
) -> None:
    """CAP-64, acceptance 9."""
    other = make_brand("quadranorma", "Quadranorma")
    body = {**LEAD, "brand_id": str(other.id)}
    path = f"/api/v1/webhook-ingest/{webhook.name}?brand_id={other.id}"
    assert doors.post(path, body, key=webhook.clear_key, headers={"X-Brand-ID": str(other.id)}).status == 200
    assert len(submissions(brand)) == 1
    assert submissions(other) == []


def test_the_same_request_twenty_times_at_once_is_one(
    doors: Any, webhook: Any, submissions: Any, brand: Any
) -> None:
    """CAP-36 to CAP-38, acceptance 4."""

    async def flood() -> list[Any]:
        path, headers = f"/webhook-ingest/{webhook.name}", {"X-Request-ID": "una-sola"}
        return await asyncio.gather(
            *(doors.send("POST", path, LEAD, key=webhook.clear_key, headers=headers) for _ in range(20))
        )

    answers = [*doors.run(flood()), *doors.run(flood())]
    assert len(submissions(brand)) == 1
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert sum("idempotent-replay" in answer.headers for answer in answers) == 39


def test_the_same_request_id_with_other_data_is_a_conflict(
    doors: Any, webhook: Any, landing: Any, submissions: Any, brand: Any
) -> None:
    """CAP-37; the same data written in another order is the same, and another source has its own ids."""
    path, headers = f"/webhook-ingest/{webhook.name}", {"X-Request-ID": "r1"}
    first = doors.post(path, LEAD, key=webhook.clear_key, headers=headers)
    turned = orjson.dumps(dict(reversed(LEAD.items())), option=orjson.OPT_INDENT_2)
    assert doors.post(path, turned, key=webhook.clear_key, headers=headers).body == first.body
    other = doors.post(path, {**LEAD, "nome": "Bea"}, key=webhook.clear_key, headers=headers)
    assert (other.status, other.json["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    elsewhere = doors.post("/api/lead", LEAD, headers={**headers, "X-Source": landing.name})
    assert elsewhere.status == 200
    assert "idempotent-replay" not in elsewhere.headers
    assert len(submissions(brand)) == 2


def test_a_refusal_is_repeated_like_an_acceptance(doors: Any, webhook: Any) -> None:
    path, headers = f"/webhook-ingest/{webhook.name}", {"X-Request-ID": "r1"}
    first = doors.post(path, {"nome": "Ada"}, key=webhook.clear_key, headers=headers)
    again = doors.post(path, {"nome": "Ada"}, key=webhook.clear_key, headers=headers)
    assert first.status == again.status == 400
    assert first.body == again.body
    assert again.headers["idempotent-replay"] == "true"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b'"a"',
        b"\xff\xfe\x00",
        b'{"email": {"a": [1, 2, {"b": null}]}}',
        b'{"nome": "\\u0000", "email": "a@b.example\\u0000"}',
        '{"nome": "😀\u202e\u05d0", "email": "a@b.example"}'.encode(),
        b'{"nome": "\\ud800", "email": "a@b.example"}',
        b'{"email": 12, "telefono": true, "eta": [1]}',
        b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
        orjson.dumps({f"k{n}": n for n in range(10_000)}),
        orjson.dumps({"email": "a@b.example", **{f"k{n}": "\0" for n in range(10_000)}}),
    ],
)
def test_no_content_is_ever_our_fault(
    doors: Any, brand: Any, make_source: Any, submissions: Any, body: bytes
) -> None:
    """Q-30: stored or refused with a clear code, never a 5xx; other senders than programs always get 200."""
    for kind in ("webhook", "meta", "google_ads", "tally", "ghl", "elementor", "gravity_forms"):
        source = make_source(brand, f"bersaglio-{kind}", kind)
        for content_type in ("application/json", FORM, "multipart/form-data; boundary=x", "\xff"):
            path = f"/webhook-ingest/{source.name}"
            answer = doors.post(path, body, key=source.clear_key, content_type=content_type)
            assert answer.status in ((200, 400) if kind == "webhook" else (200,)), answer.body
    rows = submissions(brand)
    assert len(rows) > 20
    assert all(row.status in ("queued", "rejected", "duplicate") for row in rows)
    assert all(bytes(row.body) == body for row in rows)


def test_ten_megabytes_are_refused_without_being_held(doors: Any, webhook: Any) -> None:
    body = b'{"a": "' + b"x" * 10_000_000 + b'"}'
    assert doors.post(f"/webhook-ingest/{webhook.name}", body, key=webhook.clear_key).status == 413


def test_strange_headers_are_stored_without_what_unlocks_anything(
    doors: Any, webhook: Any, submissions: Any, brand: Any
) -> None:
    """CAP-73."""
    headers = {
        "Authorization": "Bearer x",
        "Cookie": "a=b",
        "X-Auth-Token": "t",
        "User-Agent": "è" * 500,
        "X-Request-ID": "è",
    }
    assert (
        doors.post(f"/webhook-ingest/{webhook.name}", LEAD, key=webhook.clear_key, headers=headers).status
        == 200
    )
    [row] = submissions(brand)
    for name in ("authorization", "cookie", "x-auth-token", "x-api-key"):
        assert row.headers[name] == "[redacted]"
    assert row.request_id.startswith("req-")
    assert len(row.user_agent) == 400


def test_a_token_may_stand_in_the_path_and_in_no_row(
    doors: Any, brand: Any, make_source: Any, submissions: Any
) -> None:
    """CAP-62, CAP-95."""
    source = make_source(brand, "ghl", "ghl", auth_mode="path_token")
    body = (PAYLOADS / "ghl/workflow.json").read_bytes()
    assert doors.post("/webhook-ingest/ghl", body).status == 401
    assert doors.post("/webhook-ingest/ghl/sbagliato", body).status == 401
    assert doors.post(f"/webhook-ingest/ghl/{source.clear_key}", body).status == 200
    [row] = submissions(brand)
    assert row.path == "/webhook-ingest/ghl/***"
    with psycopg.connect(_owner()) as owner:
        everything = str(owner.execute("select s::text from capture_submission s").fetchall())
    assert source.clear_key not in everything


def test_a_revoked_key_ends_within_a_second(doors: Any, brand: Any, webhook: Any) -> None:
    from filiera.capture.models import Source

    path = f"/webhook-ingest/{webhook.name}"
    assert doors.post(path, LEAD, key=webhook.clear_key).status == 200
    new = rules.new_key()
    with brand_scope.use(brand.id):
        Source.objects.filter(id=webhook.id).update(api_key_hash=rules.key_hash(new))

    async def later() -> tuple[int, int]:
        await asyncio.sleep(0.6)
        old = await doors.send("POST", path, LEAD, key=webhook.clear_key)
        return old.status, (await doors.send("POST", path, LEAD, key=new)).status

    assert doors.run(later()) == (401, 200)


def test_a_source_deleted_a_moment_ago_is_unknown(doors: Any, webhook: Any, landing: Any) -> None:
    path = f"/webhook-ingest/{webhook.name}"

    async def ask() -> Any:
        await doors.path.sources.find(webhook.name)
        with psycopg.connect(_owner(), autocommit=True) as owner:
            owner.execute("delete from capture_source where id = %s", [webhook.id])
        other = doors.send("POST", "/api/lead", LEAD, headers={"X-Source": landing.name})
        return await asyncio.gather(doors.send("POST", path, LEAD, key=webhook.clear_key), other)

    gone, other = doors.run(ask())
    assert (gone.status, gone.json["code"], other.status) == (404, "UNKNOWN_SOURCE", 200)


def test_google_proves_itself_in_the_body(doors: Any, brand: Any, make_source: Any, submissions: Any) -> None:
    source = make_source(brand, "google", "google_ads", auth_mode="body_key")
    document = orjson.loads((PAYLOADS / "google_ads/full_name.json").read_bytes())
    wrong = doors.post("/webhook-ingest/google", document)
    assert (wrong.status, wrong.json["code"]) == (401, "INVALID_API_KEY")
    assert submissions(brand) == []
    document["google_key"] = source.clear_key
    assert doors.post("/webhook-ingest/google", document).status == 200
    again = doors.post("/webhook-ingest/google", {**document, "new_field": 1})
    assert (again.status, again.headers["idempotent-replay"]) == (200, "true")
    assert [row.request_id for row in submissions(brand)] == ["lead:lead-chioggia-0001"]


def test_a_signed_sender_is_let_in_by_its_signature_alone(
    doors: Any, brand: Any, make_source: Any, submissions: Any
) -> None:
    from filiera.capture.models import Source
    from filiera.capture.source_cache import signing_context
    from filiera.identity import vault

    source = make_source(brand, "tally", "tally", auth_mode="signature")
    body = (PAYLOADS / "tally/response.json").read_bytes()
    signature = base64.b64encode(hmac.new(b"segreto", body, hashlib.sha256).digest()).decode()
    by_nothing = base64.b64encode(hmac.new(b"", body, hashlib.sha256).digest()).decode()
    assert doors.post("/webhook-ingest/tally", body, headers={"Tally-Signature": by_nothing}).status == 401
    with brand_scope.use(brand.id):
        sealed = vault.seal("segreto", context=signing_context(source.id))
        Source.objects.filter(id=source.id).update(signing_secret=sealed)
    doors.run(asyncio.sleep(0.6))
    assert (
        doors.post("/webhook-ingest/tally", body, headers={"Tally-Signature": signature[::-1]}).status == 401
    )
    assert doors.post("/webhook-ingest/tally", body, key=source.clear_key).status == 401
    assert submissions(brand) == []
    assert doors.post("/webhook-ingest/tally", body, headers={"Tally-Signature": signature}).status == 200
    assert len(submissions(brand)) == 1


def test_a_marketplace_event_needs_its_signature_and_comes_once(
    doors: Any, brand: Any, make_source: Any, submissions: Any
) -> None:
    """CAP-95, acceptance 13: Ed25519 over the raw bytes; an old copy is refused, a repeated webhookId is known."""
    from filiera.capture.source_cache import signing_context
    from filiera.identity import vault

    key = Ed25519PrivateKey.generate()
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    source = make_source(brand, "ghl-mercato", "ghl", auth_mode="signature")
    with brand_scope.use(brand.id):
        source.signing_secret = vault.seal(pem, context=signing_context(source.id))
        source.save()

    def send(event: dict[str, Any], sign: Callable[[bytes], bytes] = key.sign) -> Any:
        body = orjson.dumps(event)
        signature = base64.b64encode(sign(body)).decode()
        return doors.post("/webhook-ingest/ghl-mercato", body, headers={"X-GHL-Signature": signature})

    event = orjson.loads((PAYLOADS / "ghl/marketplace.json").read_bytes())
    event["timestamp"] = datetime.now(UTC).isoformat()
    assert send(event, Ed25519PrivateKey.generate().sign).status == 401
    assert send({**event, "timestamp": "2026-01-01T00:00:00Z"}).status == 401
    assert submissions(brand) == []
    first, again = send(event), send({**event, "versionId": "altra"})
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert again.headers["idempotent-replay"] == "true"
    assert [row.request_id for row in submissions(brand)] == [f"webhook:{event['webhookId']}"]


def test_meta_verifies_its_address_and_brings_ids_to_look_up(
    doors: Any, brand: Any, make_source: Any, submissions: Any
) -> None:
    source = make_source(brand, "meta", "meta", auth_mode="path_token")
    ask = "/webhook-ingest/meta?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    answer = doors.run(doors.send("GET", ask + source.clear_key))
    assert (answer.status, answer.body) == (200, b"1158201444")
    assert doors.run(doors.send("GET", ask + "sbagliato")).status == 403
    body = (PAYLOADS / "meta/webhook.json").read_bytes()
    assert doors.post(f"/webhook-ingest/meta/{source.clear_key}", body).status == 200
    [row] = submissions(brand)
    assert (row.status, row.queue_state, row.needs_lookup) == ("queued", "ready", True)


def test_a_contact_of_gohighlevel_comes_once_a_day(
    doors: Any, brand: Any, make_source: Any, submissions: Any
) -> None:
    """CAP-78: its repetition is kept as a duplicate and gets the first answer; an X-Request-ID of its own wins."""
    source = make_source(brand, "ghl", "ghl")
    path, contact = (
        "/webhook-ingest/ghl",
        {"contact_id": "c1", "phone": "+393510000001", "full_name": "Ada Zen"},
    )

    async def together() -> list[Any]:
        sent = [{**contact, "n": n} for n in range(3)]
        return await asyncio.gather(*(doors.send("POST", path, body, key=source.clear_key) for body in sent))

    answers = [*doors.run(together()), doors.post(path, {**contact, "n": 9}, key=source.clear_key)]
    assert len({answer.body for answer in answers}) == 1
    assert sorted(row.status for row in submissions(brand)) == ["duplicate"] * 3 + ["queued"]
    assert {row.queue_state for row in submissions(brand) if row.status == "duplicate"} == {"done"}
    own = doors.post(path, contact, key=source.clear_key, headers={"X-Request-ID": "mio"})
    assert own.json["requestId"] == "mio"
    with psycopg.connect(_owner(), autocommit=True) as owner:
        owner.execute("update capture_submission set received_at = received_at - interval '25 hours'")
    assert doors.post(path, {**contact, "n": 10}, key=source.clear_key).body not in {a.body for a in answers}
    assert sum(row.status == "queued" for row in submissions(brand)) == 3


def test_what_cannot_be_mapped_is_stored_and_answered_with_200(
    doors: Any, brand: Any, make_source: Any, submissions: Any
) -> None:
    source = make_source(brand, "gravity", "gravity_forms")
    body = (PAYLOADS / "gravity_forms/all_fields.json").read_bytes()
    assert doors.post("/webhook-ingest/gravity", body, key=source.clear_key).status == 200
    [row] = submissions(brand)
    assert (row.status, row.error_code, row.queue_state, bytes(row.body)) == (
        "rejected",
        "NO_CONTACT",
        "done",
        body,
    )


def test_many_sources_of_two_brands_share_a_commit(
    doors: Any, make_brand: Any, make_source: Any, submissions: Any
) -> None:
    brands = [make_brand("vegliasi"), make_brand("quadranorma", "Quadranorma")]
    sources = [(brand, make_source(brand, f"{brand.slug}-{n}")) for brand in brands for n in range(3)]

    async def flood() -> list[Any]:
        return await asyncio.gather(
            *(
                doors.send("POST", f"/webhook-ingest/{source.name}", {**LEAD, "n": n}, key=source.clear_key)
                for n in range(20)
                for _brand, source in sources
            )
        )

    answers = doors.run(flood())
    assert {answer.status for answer in answers} == {200}
    told = {answer.json["leadId"] for answer in answers}
    for brand in brands:
        rows = submissions(brand)
        assert len(rows) == 60
        assert {row.lead_id for row in rows} <= told


def test_without_the_database_nothing_is_acknowledged(
    doors: Any, webhook: Any, submissions: Any, brand: Any
) -> None:
    """Q-21: the connections are cut under the doors; the next request finds the database again by itself."""
    from django.conf import settings

    path = f"/webhook-ingest/{webhook.name}"
    assert doors.post(path, LEAD, key=webhook.clear_key).status == 200
    doors.path.commit._dsn = doors.path.sources._dsn = "postgresql://nobody@127.0.0.1:1/none"
    with psycopg.connect(settings.DATABASE_URLS.app, autocommit=True) as app:
        app.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name = 'filiera-accept'"
        )
    doors.run(asyncio.sleep(0.6))
    for extra, status in (({}, 503), ({"X-GHL-Signature": "x"}, 429)):
        answer = doors.post(path, {**LEAD, "n": 2}, key=webhook.clear_key, headers=extra)
        assert (answer.status, answer.headers["retry-after"]) == (status, "5")
        assert answer.json["code"] == "SERVICE_UNAVAILABLE"
    doors.path.commit._dsn = doors.path.sources._dsn = settings.DATABASE_URLS.app
    assert doors.post(path, {**LEAD, "n": 3}, key=webhook.clear_key).status == 200
    assert len(submissions(brand)) == 2


def test_a_full_disk_is_told_as_try_later(doors: Any, webhook: Any, brand: Any, submissions: Any) -> None:
    """Q-21, with the error that PostgreSQL raises when a file cannot grow."""
    with psycopg.connect(_owner(), autocommit=True) as owner:
        owner.execute(
            "create function no_space() returns trigger language plpgsql as $$ begin"
            " raise exception 'could not extend file' using errcode = '53100'; end $$"
        )
        owner.execute(
            "create trigger no_space before insert on capture_submission execute function no_space()"
        )
        try:
            answer = doors.post(f"/webhook-ingest/{webhook.name}", LEAD, key=webhook.clear_key)
        finally:
            owner.execute("drop function no_space cascade")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert doors.post(f"/webhook-ingest/{webhook.name}", LEAD, key=webhook.clear_key).status == 200
    assert len(submissions(brand)) == 1


def test_a_connection_lost_in_the_middle_of_an_answer_is_no_fault_of_ours(
    doors: Any, webhook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q-21: what asyncpg says when the server was killed while it spoke."""

    async def lost(*_: Any) -> None:
        raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")

    path = f"/webhook-ingest/{webhook.name}"
    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.Connection, "fetchrow", lost)
        assert doors.post(path, LEAD, key=webhook.clear_key).status == 503
    assert doors.post(path, LEAD, key=webhook.clear_key).status == 200


def test_what_is_answered_is_on_disk(doors: Any, webhook: Any) -> None:
    """PostgreSQL's own journal writer flushes five times a second: one submission alone may be lucky."""
    path = f"/webhook-ingest/{webhook.name}"
    with psycopg.connect(_owner(), autocommit=True) as owner:
        for number in range(20):
            (before,) = owner.execute("select pg_current_wal_insert_lsn()").fetchone() or ()
            assert doors.post(path, {**LEAD, "n": number}, key=webhook.clear_key).status == 200
            assert owner.execute("select pg_current_wal_flush_lsn() > %s", [before]).fetchone() == (True,)


def test_what_could_not_be_brought_to_the_disk_is_not_acknowledged(
    doors: Any, webhook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filiera.capture import group_commit

    path = f"/webhook-ingest/{webhook.name}"
    with monkeypatch.context() as patch:
        patch.setattr(group_commit, "_ON_DISK", "select no_such_function()")
        assert doors.post(path, LEAD, key=webhook.clear_key).status == 503
    assert doors.post(path, LEAD, key=webhook.clear_key).status == 200


def test_while_statements_hang_everybody_hears_within_seconds(
    doors: Any, webhook: Any, brand: Any, submissions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q-21: a lock on the table stands for a stuck disk; those behind the flush that hangs do not hang again."""
    from filiera.capture import group_commit

    path = f"/webhook-ingest/{webhook.name}"
    monkeypatch.setattr(group_commit.connect, "__kwdefaults__", {"timeout_s": 1.0})

    async def wave() -> list[float]:
        async def one(n: int) -> float:
            await asyncio.sleep(n * 0.05)
            started = asyncio.get_running_loop().time()
            answer = await doors.send("POST", path, {**LEAD, "n": n}, key=webhook.clear_key)
            assert answer.status == 503
            return asyncio.get_running_loop().time() - started

        return await asyncio.gather(*map(one, range(20)))

    with psycopg.connect(_owner()) as owner:
        owner.execute("lock table capture_submission in exclusive mode")
        assert max(doors.run(wave())) < 2.5
    assert doors.post(path, LEAD, key=webhook.clear_key).status == 200
    assert len(submissions(brand)) == 1


def test_who_waits_for_nothing_is_bounded(doors: Any, webhook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from filiera.capture import group_commit

    monkeypatch.setattr(group_commit, "MOST_WAITING", 5)

    async def flood() -> list[Any]:
        path = f"/webhook-ingest/{webhook.name}"
        await doors.send("POST", path, LEAD, key=webhook.clear_key)
        return await asyncio.gather(
            *(doors.send("POST", path, {**LEAD, "n": n}, key=webhook.clear_key) for n in range(50))
        )

    statuses = [answer.status for answer in doors.run(flood())]
    assert statuses.count(200) >= 5
    assert set(statuses) == {200, 503}


def test_the_bucket_of_the_database_is_the_one_of_the_rules(brand: Any, make_source: Any) -> None:
    """CAP-70: the same requests at the same moments, through SQL and through the reference."""
    start = datetime(2026, 10, 13, tzinfo=UTC)
    for rate, steps_us in (
        (10, [4_000_000] * 30),
        (7, [1_234_567] * 40),
        (600, [10_000, 99_999, 1, 350_001] * 10),
    ):
        source = make_source(brand, f"ritmo-{rate}", rate_limit_per_min=rate)
        start_us = int(start.timestamp()) * 1_000_000
        bucket, at_us = rules.full_bucket(rate_limit_per_min=rate, now_us=start_us), start_us
        with psycopg.connect(_owner(), autocommit=True) as owner:
            for step, step_us in enumerate([0, *steps_us]):
                at_us += step_us
                wanted = step % 4 + 1
                bucket, granted = rules.take_tokens(bucket, wanted=wanted, now_us=at_us)
                rows = _take(owner, source.id, wanted, start + timedelta(microseconds=at_us - start_us))
                assert sum(row[1] == "refused" for row in rows) == granted
                limited = [row[5] for row in rows if row[1] == "limited"]
                assert limited == [rules.retry_after_s(bucket, at_us)] * (wanted - granted)


def _take(owner: Any, source_id: Any, wanted: int, at: datetime) -> list[Any]:
    """Ask for tokens only: nothing is kept, so every granted request comes back as refused."""

    def of(value: Any) -> list[Any]:
        return [value] * wanted

    columns = [
        of(None), of(source_id), of("r"), of(False), of("l"), of("/"), of("{}"), of(b""), of("h"), of("queued"),
        of("{}"), of(""), of(None), of(""), of(0),
    ]  # fmt: skip
    casts = (
        "%s::uuid[], %s::uuid[], %s::text[], %s::boolean[], %s::text[], %s::text[], %s::text[], %s::bytea[], "
        "%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[]"
    )
    arguments = [at, [source_id], *columns]
    return owner.execute(
        f"select * from capture_accept(%s, 3, %s::uuid[], false, {casts})", arguments
    ).fetchall()


def _owner() -> str:
    from django.conf import settings

    return str(settings.DATABASE_URLS.owner)
