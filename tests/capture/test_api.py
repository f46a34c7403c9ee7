"""The operator's endpoints: what they answer, to whom, and nothing of another brand."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from filiera.capture import rules
from filiera.capture.models import Source, Submission
from filiera.platform import brand_scope
from filiera.platform.ids import new_id

BASE = "/api/v1/capture"


@pytest.fixture
def call(signed_in: Callable[[Any], Any], ada: Any) -> Callable[..., Any]:
    def send(method: str, path: str, body: Any = None, who: Any = ada) -> Any:
        client = signed_in(who)
        return getattr(client, method)(BASE + path, body, content_type="application/json")

    return send


@pytest.fixture
def dead(vegliasi: Any, people: Any) -> Submission:
    now = timezone.now()
    with brand_scope.use(vegliasi.id):
        source = Source.objects.create(name="moduli", kind="webhook", api_key_hash=rules.key_hash("x"))
        submission_id = new_id()
        return Submission.objects.create(
            id=submission_id,
            source=source,
            request_id="r1",
            lead_id=f"LEAD_1_{submission_id}",
            method="POST",
            path="/webhook-ingest/moduli",
            body=b'{"email": "ada@posta.example"}',
            body_hash="0" * 64,
            status="dead",
            queue_state="dead",
            dead_at=now,
            dead_reason="FAILED",
            last_error="ValueError: no",
            attempts=3,
            received_at=now - timedelta(minutes=1),
            visible_at=now,
        )


def test_a_source_is_made_changed_and_given_another_key(call: Any, vegliasi: Any) -> None:
    made = call("post", "/sources", {"name": "autunno", "kind": "webhook", "rate_limit_per_min": 30})
    assert made.status_code == 201
    source = made.json()["data"]
    key = source.pop("api_key")
    assert key.startswith("fil_")
    assert source["api_key_last4"] == key[-4:]
    assert "api_key" not in call("get", f"/sources/{source['id']}").json()["data"]
    changed = call(
        "patch", f"/sources/{source['id']}", {"mapping": {"tel": "phone"}, "is_active": False}
    ).json()
    assert (changed["data"]["mapping"], changed["data"]["is_active"]) == ({"tel": "phone"}, False)
    rotated = call("post", f"/sources/{source['id']}/rotate-key").json()["data"]["api_key"]
    with brand_scope.use(vegliasi.id):
        stored = Source.objects.get()
    assert rules.key_matches(rotated, stored.api_key_hash or "")
    assert [one["name"] for one in call("get", "/sources").json()["data"]] == ["autunno"]
    taken = call("post", "/sources", {"name": "autunno", "kind": "webhook"})
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "CONFLICT")
    assert call("delete", f"/sources/{source['id']}").status_code == 200
    assert call("get", f"/sources/{source['id']}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x y", "kind": "webhook"},
        {"name": "autunno", "kind": "fax"},
        {"name": "autunno", "kind": "webhook", "mapping": {"\0": "phone"}},
        {"name": "autunno", "kind": "webhook", "form": {"title": ["\0"]}},
        {"name": "autunno", "kind": "webhook", "allowed_origins": ["https://a b"]},
        {"name": "autunno", "kind": "webhook", "rate_limit_per_min": 10**12},
        {"kind": "webhook"},
        [],
    ],
)
def test_what_is_wrong_with_a_source_is_told(call: Any, body: Any) -> None:
    answer = call("post", "/sources", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]


def test_the_queue_and_its_dead_letters_are_told(call: Any, dead: Submission) -> None:
    """CAP-50, CAP-53."""
    assert call("get", "/queue").json()["data"] == {
        "depth": 0,
        "inflight": 0,
        "delayed": 0,
        "dead": 1,
        "oldest_age_seconds": 0,
        "processed_last_minute": 0,
        "backend": "database",
    }
    answer = call("get", "/queue/dead?per_page=5").json()
    assert answer["pagination"]["total"] == 1
    [letter] = answer["data"]
    assert (letter["lead_id"], letter["last_error"], letter["source"]) == (
        dead.lead_id,
        "ValueError: no",
        "moduli",
    )
    again = call("post", f"/queue/dead/{dead.id}/requeue").json()["data"]
    assert (again["status"], again["attempts"]) == ("queued", 0)
    assert call("post", f"/queue/dead/{dead.id}/requeue").status_code == 422
    assert call("post", "/queue/dead/requeue-all").json()["data"] == {"requeued": 0}


def test_a_dead_letter_is_discarded(call: Any, dead: Submission) -> None:
    assert call("delete", f"/queue/dead/{dead.id}").status_code == 200
    assert call("get", "/queue/dead").json()["data"] == []
    assert call("get", "/requests?status=discarded").json()["pagination"]["total"] == 1


def test_the_log_is_filtered_and_a_request_offered_again(call: Any, dead: Submission) -> None:
    """CAP-73, CAP-74."""
    since = (timezone.now() - timedelta(hours=1)).isoformat().replace("+", "%2B")
    for query, total in (
        ("", 1),
        (f"?source={dead.source_id}&status=dead&from={since}", 1),
        (f"?to={since}", 0),
        (f"?source={new_id()}", 0),
    ):
        assert call("get", f"/requests{query}").json()["pagination"]["total"] == total
    whole = call("get", f"/requests/{dead.id}").json()["data"]
    assert whole["body"] == '{"email": "ada@posta.example"}'
    assert list(whole["message"]) == ["id", "data", "timestamp", "attempts"]
    replayed = call("post", f"/requests/{dead.id}/replay")
    assert replayed.status_code == 201
    assert replayed.json()["data"]["replayed_from_id"] == str(dead.id)
    for query in ("?status=%00", "?page=0", "?per_page=101", "?from=ieri", "?page=99999999999999999999"):
        assert call("get", f"/requests{query}").status_code == 400


def test_only_who_manages_the_intake_gets_in_and_only_into_the_own_brand(
    call: Any, dead: Submission, bea: Any, carl: Any, client: Any
) -> None:
    """Q-31."""
    paths = [
        ("get", "/sources"),
        ("get", f"/sources/{dead.source_id}"),
        ("patch", f"/sources/{dead.source_id}"),
        ("delete", f"/sources/{dead.source_id}"),
        ("post", f"/sources/{dead.source_id}/rotate-key"),
        ("get", "/queue"),
        ("get", f"/requests/{dead.id}"),
        ("post", f"/requests/{dead.id}/replay"),
        ("post", f"/queue/dead/{dead.id}/requeue"),
        ("delete", f"/queue/dead/{dead.id}"),
    ]
    for method, path in paths:
        assert call(method, path, {}, who=bea).status_code == 403
        if str(dead.id) in path or str(dead.source_id) in path:
            theirs = call(method, path, {}, who=carl)
            random = call(method, path.replace(str(dead.id), str(new_id())), {}, who=carl)
            assert theirs.status_code == random.status_code == 404
            assert theirs.json()["error"] == random.json()["error"]
        assert client.get(BASE + path).status_code in (401, 405)
    assert call("get", "/requests", who=carl).json()["data"] == []
    assert call("get", "/queue", who=carl).json()["data"]["dead"] == 0
