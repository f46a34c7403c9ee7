"""What every answer carries: strict headers, a request id, the envelope (PLT-01 … PLT-04, PLT-13)."""

from typing import Any

import pytest
from django.test import Client, RequestFactory

from filiera.platform import api
from filiera.platform.refusals import Invalid


def test_pages_carry_the_security_headers(db: None) -> None:
    """PLT-13, and a policy without inline script or style."""
    answer = Client().get("/login")
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-XSS-Protection"] == "1; mode=block"
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert "unsafe-inline" not in answer["Content-Security-Policy"]


def test_over_https_browsers_are_told_to_stay_there(db: None, settings: Any) -> None:
    settings.SECURE_COOKIES = True
    assert Client().get("/login")["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


@pytest.mark.parametrize("given", ["", "con spazio", "x" * 256, "tab\there"])
def test_a_request_id_that_is_not_printable_is_replaced(db: None, given: str) -> None:
    """PLT-02."""
    answer = Client().get("/login", headers={"X-Request-ID": given})
    assert answer["X-Request-ID"].startswith("req-")


def test_a_given_request_id_is_echoed(db: None) -> None:
    assert Client().get("/login", headers={"X-Request-ID": "abc-1"})["X-Request-ID"] == "abc-1"


def test_a_hundred_and_fifty_at_twenty_a_page_make_eight_pages() -> None:
    """PLT-01, PLT-03."""
    request = RequestFactory().get("/")
    first = api.paginated(request, list(range(20)), total=150, page=1, per_page=20)
    last = api.paginated(request, list(range(10)), total=150, page=8, per_page=20)
    assert first["pagination"] == {
        "total": 150,
        "page": 1,
        "per_page": 20,
        "total_pages": 8,
        "has_next": True,
        "has_prev": False,
    }
    assert (last["pagination"]["has_next"], last["pagination"]["has_prev"]) == (False, True)
    assert set(first["meta"]) == {"timestamp", "request_id"}


def test_a_fault_tells_nothing_of_itself(
    people: Any, signed_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PLT-04: the details of an internal error stay in the log."""

    def break_down(*_arguments: Any, **_named: Any) -> None:
        raise RuntimeError("la password è segreta")

    monkeypatch.setattr("filiera.pipeline.queries.lead_page_at", break_down)
    monkeypatch.setattr("filiera.pipeline.queries.count_leads", break_down)
    client = signed_in(people.ada)
    client.raise_request_exception = False
    answer = client.get("/api/v1/leads")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "INTERNAL_ERROR"
    assert "segreta" not in answer.content.decode()


def test_a_refusal_names_the_fields_at_fault() -> None:
    """PLT-35's shape: arrays of messages by field."""
    refusal = Invalid("no", details={"email": ["Manca la chiocciola"]})
    answer = api.failure(
        RequestFactory().get("/"),
        code=refusal.code,
        message=str(refusal),
        status=refusal.status,
        details=refusal.details,
    )
    assert answer.status_code == 400
    assert b'"details":{"email":["Manca la chiocciola"]}' in answer.content
