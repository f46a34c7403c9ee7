"""Q-30: whatever comes in, the answer is clear, nothing is half stored, and nothing falls over."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from filiera.identity.models import Role
from tests.capture.conftest import brand, committed, doors, make_brand, make_source, submissions
from tests.security.routes import ask, pages, values_of
from tests.security.world import World, role_of, undone

__all__ = ["brand", "committed", "doors", "make_brand", "make_source", "submissions"]

KINDS = (
    *("landing", "webhook", "ghl", "meta", "google_ads", "tiktok"),
    *("typeform", "tally", "contact_form_7", "elementor", "gravity_forms"),
)
DETERMINISTIC = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
NASTY = [
    "\x00",
    "😀" * 40,
    "\u202easlaF",
    "\ud800",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "A" * 70_000,
]


# The documented operations


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Keep the test's own connection through requests to the WSGI application, as Django's client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def test_no_documented_operation_falls_over(own: World, one_connection: None) -> None:
    """Five requests for each operation, from its document, some of them wrong on purpose."""
    role_of(own.owner, own.brand, Role.SUPER_ADMIN)  # who may try every operation
    client = Client()
    client.force_login(own.owner)
    cookie = client.cookies["auth-token"].value
    schema = schemathesis.openapi.from_wsgi(
        "/api/v1/openapi.json", WSGIHandler(), headers={"Host": "localhost"}
    )
    operations = [found.ok() for found in schema.get_all_operations()]
    faults: list[str] = []
    for operation in operations:

        @settings(DETERMINISTIC, max_examples=5)
        @given(case=operation.as_strategy())
        def fuzz(case: Any) -> None:
            case.headers = {**(case.headers or {}), "X-CSRFToken": "t" * 32, "Host": "localhost"}
            case.cookies = {"auth-token": cookie, "csrftoken": "t" * 32}
            with undone():
                answer = case.call()
            if answer.status_code >= 500:
                faults.append(
                    f"{case.method} {case.formatted_path}: {answer.status_code} to {case.body!r:.200}"
                )
            if answer.status_code in (401, 403) and "/auth/" not in case.formatted_path:
                faults.append(f"{case.method} {case.formatted_path}: {answer.status_code}, nothing was tried")

        fuzz()
    assert not faults, "\n".join(faults)


# The intake doors

texts = st.one_of(st.text(max_size=40), st.sampled_from([text for text in NASTY if len(text) < 1000]))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
names = st.sampled_from(
    [
        *("nome", "cognome", "email", "telefono", "eta", "timestamp", "source", "contact_id", "custom"),
        *("entry", "data", "fields", "form", "user_column_data", "form_response", "answers", "lead_id"),
    ]
)
objects = st.dictionaries(st.one_of(names, texts), values, max_size=8)
bodies = st.one_of(
    objects.map(json.dumps).map(str.encode),
    objects.map(json.dumps).map(lambda text: text[: len(text) // 2].encode()),
    objects.map(
        lambda fields: urlencode(
            {f"form[{k}][]": str(v) for k, v in fields.items()}, errors="replace"
        ).encode()
    ),
    st.binary(max_size=200),
)
types = st.sampled_from(
    [
        *("application/json", "application/x-www-form-urlencoded", "text/plain", "", 'a/b/c;;="', "\xff"),
        *("multipart/form-data; boundary=x", "multipart/form-data"),
        *("application/json; charset=utf-16", "application/json; charset=nessuno"),
    ]
)


LARGE = {
    "ten megabytes": b'{"nome": "' + b"x" * 10_000_000 + b'"}',
    "ten thousand keys": json.dumps({f"chiave{n}": n for n in range(10_000)}).encode(),
    "ten thousand form fields": urlencode({f"chiave{n}": n for n in range(10_000)}).encode(),
    "a hundred thousand levels": b"[" * 100_000,
    "a thousand levels": b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
    "a number of a thousand digits": b'{"eta": ' + b"9" * 1_000 + b"}",
}


def _send(doors: Any, source: Any, body: bytes, content_type: str, **headers: str) -> Any:
    path = f"/webhook-ingest/{source.name}"
    if source.kind == "landing":
        path = "/api/lead"
        headers["X-Source"] = source.name
    return doors.post(path, body, key=source.clear_key, content_type=content_type, headers=headers)


def test_no_rubbish_breaks_a_door_nor_the_way_behind_it(
    doors: Any, brand: Any, make_source: Callable[..., Any], submissions: Callable[[Any], list[Any]]
) -> None:
    """A 2xx or 303 to Ricevuta means a row that waits, a refusal at most a row in the log; no row dies of a fault."""
    from filiera.journeys import lead_in
    from filiera.pipeline import commands as pipeline
    from filiera.platform import brand_scope

    with brand_scope.use(brand.id):
        pipeline.set_up_brand()
    sources = [make_source(brand, f"fonte-{kind}", kind, rate_limit_per_min=100_000) for kind in KINDS]
    stored, wrong = set(), []

    def judge(source: Any, body: bytes, kind: str, answer: Any) -> None:
        what = f"{source.kind} {kind!r} {body[:120]!r}: {answer.status}"
        if answer.status >= 500:
            wrong.append(what)
        elif answer.status == 303:
            if "/ricevuta?codice=" in answer.headers["location"]:
                stored.add(answer.headers["location"].partition("=")[2])
        elif answer.status >= 300 and b'"error"' not in answer.body and b"<!doctype html>" not in answer.body:
            wrong.append(f"{what} without a word: {answer.body[:100]!r}")
        elif answer.status == 200 and answer.json.get("leadId"):
            stored.add(answer.json["leadId"])

    @settings(DETERMINISTIC, max_examples=15)
    @given(body=bodies, content_type=types)
    def fuzz(body: bytes, content_type: str) -> None:
        for source in sources:
            judge(source, body, content_type, _send(doors, source, body, content_type))

    fuzz()
    for body in LARGE.values():
        for source in sources:
            kind = "application/json" if body[:1] in b"{[" else "application/x-www-form-urlencoded"
            judge(source, body, kind, _send(doors, source, body, kind))
    for source in sources:
        answer = _send(
            doors, source, b"{}", "application/json", **{"X-Long": "x" * 100_000, "User-Agent": "\x80"}
        )
        judge(source, b"{} with long headers", "application/json", answer)

    rows = {row.lead_id: row for row in submissions(brand)}
    assert len(stored) > 20
    assert stored <= rows.keys(), "answered as stored, and is not"
    lead_in.drain(worker="prova")
    for row in submissions(brand):
        if row.queue_state in ("ready", "dead") and row.last_error and not row.needs_lookup:
            wrong.append(f"{row.source.kind}: {row.last_error[:200]} for {bytes(row.body)[:200]!r}")
    assert not wrong, "\n".join(wrong[:20])


# Pages with forms


def test_no_form_of_a_page_falls_over(own: World) -> None:
    """Without fields, with NUL, half characters, long texts and words where a number or an id is meant."""
    client = Client(raise_request_exception=False)
    client.force_login(own.owner)
    key, wrong = client.cookies["auth-token"].value, []
    for route in pages():
        texts_of_it = (
            ("", "9" * 30, "-1", "\x00", "\ufffd", "è😀" * 300) if route.method == "POST" else ("\x00",)
        )
        for text in texts_of_it:
            values = {name: value if name in route.names else text for name, value in values_of(own).items()}
            with undone():
                answer = ask(client, route, values)
            client.cookies["auth-token"] = key
            if answer.status_code == 405:
                break
            if answer.status_code >= 500:
                wrong.append(f"{route} with {text[:10]!r}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)
