"""The monitoring and administration endpoints and the alerts: routing.md 3.2, 3.3, 4.6; ROU-36 … ROU-43."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from filiera.platform.models import Event
from filiera.routing import alerts, areas, outcomes, queries
from filiera.routing.models import Agent, Alert, CallAttempt, Connection, Process
from tests.leads import NOW, incoming, take_in
from tests.routing.test_tracking import make_agent, make_process

MONITORS = ["stats", "analytics", "recent-processes", "health"]


@pytest.fixture
def client_of_ada(ada: Any, signed_in: Any) -> Client:
    return signed_in(ada)


def send(client: Client, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    return client.generic(method, f"/api/v1/routing/{path}", json.dumps(body or {}), "application/json")


@pytest.mark.parametrize("name", MONITORS)
def test_monitoring_needs_somebody_who_may_see_it(db, people, signed_in, name: str) -> None:
    refused = Client().get(f"/api/ghl-webhooks/{name}")
    assert refused.status_code == 401
    assert refused.json()["code"] == "UNAUTHENTICATED"
    assert Client().get(f"/api/v1/routing/{name}").status_code == 401
    bea = signed_in(people.bea)
    assert bea.get(f"/api/ghl-webhooks/{name}").status_code in {200, 503}
    assert (
        bea.get(f"/api/ghl-webhooks/{name}").json().keys() == bea.get(f"/api/v1/routing/{name}").json().keys()
    )


def test_stats_of_today(vegliasi, client_of_ada) -> None:
    from filiera.platform import brand_scope

    now = timezone.now()
    with brand_scope.use(vegliasi.id):
        alice, bob = make_agent("101", "Alice"), make_agent("102", "Bob", 1)
        outcomes.set_status(bob, "calling", at=now)
        for number in range(8):
            make_process(number, now, agent=alice)
        for number in range(8, 15):
            make_process(number, now, agent=bob)
        make_process(20, now, error="NO_AGENTS_AVAILABLE", processing_time_ms=50)
        make_process(21, now - timedelta(days=2))
    body = client_of_ada.get("/api/ghl-webhooks/stats").json()
    stats = body["stats"]
    assert body["success"] is True
    assert stats.pop("lastProcessAt").endswith("Z")
    assert stats.pop("date") == str(timezone.localtime(now, timezone=_rome()).date())
    assert stats == {
        "totalProcesses": 16,
        "successfulCalls": 15,
        "failedCalls": 1,
        "successRate": "93.75",
        "averageProcessingTime": 1175,
        "errorsByType": {"NO_AGENTS_AVAILABLE": 1},
        "agentStats": {
            "101": {"name": "Alice", "totalAssigned": 8, "successfulCalls": 8, "failedCalls": 0},
            "102": {"name": "Bob", "totalAssigned": 7, "successfulCalls": 7, "failedCalls": 0},
        },
        "agents": {"total": 2, "online": 1, "busy": 1, "offline": 0},
        "distributionBalance": {"min": 7, "max": 8, "stddev": 0.5},
    }


def _rome() -> Any:
    from zoneinfo import ZoneInfo

    return ZoneInfo("Europe/Rome")


def test_analytics_over_two_days_sums_the_days(in_vegliasi, client_of_ada) -> None:
    agent = make_agent()
    make_process(
        1, datetime(2026, 10, 11, 22, 30, tzinfo=UTC), agent=agent
    )  # the 12th, half past midnight in Rome
    make_process(2, datetime(2026, 10, 12, 9, 0, tzinfo=UTC), agent=agent, error="CALL_FAILED")
    make_process(3, datetime(2026, 10, 13, 9, 10, tzinfo=UTC), agent=agent, processing_time_ms=250)
    make_process(4, datetime(2026, 10, 13, 22, 0, tzinfo=UTC), agent=agent)  # the 14th
    body = client_of_ada.get(
        "/api/v1/routing/analytics", {"startDate": "2026-10-12", "endDate": "2026-10-13"}
    ).json()
    assert body["period"] == {"startDate": "2026-10-12", "endDate": "2026-10-13"}
    assert body["summary"] == {
        "totalProcesses": 3,
        "successfulCalls": 2,
        "failedCalls": 1,
        "successRate": "66.67",
        "averageProcessingTime": 917,
    }
    assert body["daily"] == [
        {
            "date": "2026-10-12",
            "totalProcesses": 2,
            "successfulCalls": 1,
            "failedCalls": 1,
            "successRate": "50.00",
        },
        {
            "date": "2026-10-13",
            "totalProcesses": 1,
            "successfulCalls": 1,
            "failedCalls": 0,
            "successRate": "100.00",
        },
    ]
    assert {hour: count for hour, count in body["hourly"].items() if count} == {"0": 1, "11": 2}
    assert len(body["hourly"]) == 24
    assert body["agents"] == [
        {
            "id": 493933,
            "name": "Teodora Vanzi",
            "totalAssigned": 3,
            "successfulCalls": 2,
            "failedCalls": 1,
            "successRate": "66.67",
        }
    ]
    assert body["errorsByType"] == {"CALL_FAILED": 1}
    assert body["trend"][1] == {"date": "2026-10-13", "successRate": "100.00", "averageProcessingTime": 250}


@pytest.mark.parametrize(
    "query",
    [
        {"startDate": "2026-10-13", "endDate": "2026-10-12"},
        {"startDate": "13/10/2026"},
        {"startDate": "2026-02-30"},
        {"startDate": "2025-01-01", "endDate": "2026-10-12"},
        {"startDate": "20261013"},
    ],
)
def test_bad_periods_are_400(db, client_of_ada, query: dict[str, str]) -> None:
    assert client_of_ada.get("/api/v1/routing/analytics", query).status_code == 400
    historic = client_of_ada.get("/api/ghl-webhooks/analytics", query)
    assert historic.status_code == 400
    assert historic.json()["code"] == "VALIDATION_ERROR"
    assert isinstance(historic.json()["error"], str)


def test_a_period_of_366_days_is_the_longest(db, client_of_ada) -> None:
    longest = {"startDate": "2025-10-13", "endDate": "2026-10-13"}
    assert len(client_of_ada.get("/api/v1/routing/analytics", longest).json()["daily"]) == 366


def test_recent_processes_are_twenty_unless_asked(in_vegliasi, client_of_ada) -> None:
    for number in range(23):
        make_process(number, NOW + timedelta(seconds=number))
    body = client_of_ada.get("/api/ghl-webhooks/recent-processes").json()
    assert (body["success"], body["count"], len(body["processes"])) == (True, 20, 20)
    assert body["processes"][0]["processId"] == "lead_22"
    assert client_of_ada.get("/api/ghl-webhooks/recent-processes", {"limit": "3"}).json()["count"] == 3
    for bad in ("0", "201", "-1", "x", "1.5", ""):
        assert client_of_ada.get("/api/ghl-webhooks/recent-processes", {"limit": bad}).status_code == 400
        assert client_of_ada.get("/api/v1/routing/recent-processes", {"limit": bad}).status_code == 400


def test_health_is_ok_degraded_or_down(calling, signed_in, ada) -> None:
    from filiera.platform.models import EndpointHealth

    client = signed_in(ada)
    body = client.get("/api/ghl-webhooks/health").json()
    assert body.pop("timestamp").endswith("Z")
    assert body == {
        "status": "healthy",
        "services": {"agentDistribution": "ok", "callProvider": "ok", "trackingLogger": "ok"},
        "agentsAvailable": 3,
        "webhookConfigured": True,
    }
    calling.all_offline()
    degraded = client.get("/api/ghl-webhooks/health")
    assert (degraded.status_code, degraded.json()["status"]) == (200, "degraded")
    EndpointHealth.objects.update(state="open")
    down = client.get("/api/v1/routing/health")
    assert (down.status_code, down.json()["status"]) == (503, "unhealthy")
    assert down.json()["services"]["callProvider"] == "error"


# Administration


def test_agents_are_made_changed_and_removed(db, client_of_ada) -> None:
    made = send(client_of_ada, "POST", "agents", {"provider_agent_id": "493933", "name": "Teodora Vanzi"})
    assert made.status_code == 201
    agent = made.json()["data"]
    path = f"agents/{agent['id']}"
    changes = {
        "weight": 2,
        "skills": ["Family", "family "],
        "on_leave_until": "2026-10-20",
        "schedule": {"mon": [["09:00", "13:00"]]},
    }
    changed = send(client_of_ada, "PATCH", path, changes).json()["data"]
    assert (changed["weight"], changed["skills"], changed["on_leave_until"]) == (2, ["family"], "2026-10-20")
    assert changed["name"] == "Teodora Vanzi"
    assert [one["id"] for one in send(client_of_ada, "GET", "agents").json()["data"]] == [agent["id"]]
    again = send(client_of_ada, "POST", "agents", {"provider_agent_id": "493933", "name": "Another"})
    assert again.status_code == 409
    assert send(client_of_ada, "DELETE", path).status_code == 200
    assert send(client_of_ada, "GET", path).status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weight", 0),
        ("weight", 1001),
        ("name", " "),
        ("max_concurrent_calls", 0),
        ("schedule", {"mon": [["13:00", "09:00"]]}),
        ("schedule", {"mon": "always"}),
        ("schedule", {"mon": [[9, 13]]}),
        ("skills", ["x"] * 51),
        ("extension", -1),
        ("sort_order", 2**40),
        ("user_id", "00000000-0000-7000-8000-000000000000"),
    ],
)
def test_an_agent_that_makes_no_sense_is_refused_field_by_field(
    db, client_of_ada, field: str, value: object
) -> None:
    body = {"provider_agent_id": "1", "name": "Alice"} | {field: value}
    answer = send(client_of_ada, "POST", "agents", body)
    assert answer.status_code == 400
    assert list(answer.json()["error"]["details"]) == [field]


def test_an_agent_with_a_history_stays(calling, signed_in, ada) -> None:
    calling.lead()
    client = signed_in(ada)
    refused = send(client, "DELETE", f"agents/{calling.agent('101').id}")
    assert refused.status_code == 409
    assert "Alice Arcari" in refused.json()["error"]["message"]
    assert send(client, "DELETE", f"agents/{calling.agent('103').id}").status_code == 200


def test_sales_people_look_and_do_not_touch(db, signed_in, bea) -> None:
    client = signed_in(bea)
    assert send(client, "GET", "agents").status_code == 200
    for method, path in (
        ("POST", "agents"),
        ("POST", "reset"),
        ("POST", "agents/sync"),
        ("POST", "cleanup"),
        ("POST", "policy"),
        ("POST", "processes/lead_1/retry"),
    ):
        body = {"provider_agent_id": "1", "name": "x", "policy": "credit"}
        assert send(client, method, path, body).status_code == 403


def test_another_brands_rows_look_like_none(vegliasi, people, signed_in) -> None:
    from filiera.platform import brand_scope

    with brand_scope.use(vegliasi.id):
        agent, process = make_agent(), make_process(1, NOW)
    carl = signed_in(people.carl)
    for method, path in (
        ("GET", f"agents/{agent.id}"),
        ("PATCH", f"agents/{agent.id}"),
        ("DELETE", f"agents/{agent.id}"),
        ("POST", f"processes/{process.id}/retry"),
        ("POST", "processes/lead_1/retry"),
    ):
        assert send(carl, method, path).status_code == 404
    assert carl.get("/api/v1/routing/recent-processes").json()["count"] == 0
    assert carl.get("/api/v1/routing/export", {"from": "2026-10-01", "to": "2026-10-30"}).content == b""


def test_reset_policy_and_clean_up_through_the_api(in_vegliasi, client_of_ada) -> None:
    assert send(client_of_ada, "POST", "reset").json()["data"]["resetAt"].endswith("Z")
    assert send(client_of_ada, "POST", "policy", {"policy": "credit"}).json()["data"] == {
        "policy": "credit",
        "version": 2,
    }
    assert send(client_of_ada, "POST", "policy", {"policy": "dice"}).status_code == 400
    assert send(client_of_ada, "POST", "cleanup", {"days": 30}).json()["data"] == {"removed": 0}
    assert send(client_of_ada, "POST", "cleanup", {"days": 0}).status_code == 400


def test_the_export_is_json_lines_or_csv_without_formulas(in_vegliasi, client_of_ada) -> None:
    make_process(1, NOW, lead={"id": "x", "name": '=cmd|"/c"!A1', "phone": "+393501234567"})
    period = {"from": "2026-10-13", "to": "2026-10-13"}
    (line,) = client_of_ada.get("/api/v1/routing/export", period).content.splitlines()
    assert json.loads(line)["processId"] == "lead_1"
    table = client_of_ada.get("/api/v1/routing/export", period | {"format": "csv"}).content.decode()
    assert "'=cmd" in table
    assert ",=cmd" not in table
    assert client_of_ada.get("/api/v1/routing/export", period | {"format": "xls"}).status_code == 400
    assert client_of_ada.get("/api/v1/routing/export", {"from": "x"}).status_code == 400


def test_a_sync_adds_the_agents_of_the_provider(calling, signed_in, ada) -> None:
    from filiera.routing import placing

    calling.pbx.do(
        lambda: calling.pbx.simulator.load(
            [
                {
                    "agents": [
                        {"id": "101", "name": "Alice Arcari"},
                        {"id": "777", "name": "Nuova Nata", "extension": "1777"},
                    ]
                }
            ]
        )
    )
    assert send(signed_in(ada), "POST", "agents/sync").status_code == 202
    placing.sync_agents(calling.brand.id)
    new = calling.agent("777")
    assert (new.name, new.extension, new.last_status, new.is_enabled) == ("Nuova Nata", 1777, "online", True)
    assert calling.agent("102").last_status == "offline"  # not in the list any more


# Alerts


def conditions(now: datetime) -> list[str]:
    alerts.evaluate(now=now)
    return sorted(Alert.objects.filter(cleared_at__isnull=True).values_list("condition", flat=True))


def test_rates_alert_from_five_processes_on_and_clear(in_vegliasi) -> None:
    for number in range(3):
        make_process(number, NOW)
    make_process(3, NOW, error="CALL_FAILED", state="waiting")
    assert conditions(NOW) == []
    make_process(4, NOW, error="CALL_FAILED", state="waiting")
    assert conditions(NOW) == ["call_failures", "success_rate"]
    assert conditions(NOW) == ["call_failures", "success_rate"]
    assert Event.objects.filter(kind="alert.opened").count() == 2  # told once
    assert "60" in queries.alert_sentence(Alert.objects.get(condition="success_rate"))
    assert conditions(NOW + timedelta(minutes=61)) == []
    assert Event.objects.filter(kind="alert.cleared").count() == 2


def test_exactly_80_percent_and_20_percent_are_no_alert(in_vegliasi) -> None:
    for number in range(4):
        make_process(number, NOW)
    make_process(4, NOW, error="CALL_FAILED", state="waiting")
    assert conditions(NOW) == []


def test_slow_answers_alert(in_vegliasi) -> None:
    for number in range(5):
        make_process(number, NOW, processing_time_ms=5001)
    assert conditions(NOW) == ["response_time"]
    Process.objects.update(processing_time_ms=5000)
    assert conditions(NOW) == []


def test_nobody_for_five_minutes_alerts_and_clears_when_one_comes(in_vegliasi) -> None:
    agent = make_agent()
    outcomes.set_status(agent, "online", at=NOW)
    outcomes.set_status(agent, "offline", at=NOW)
    assert conditions(NOW + timedelta(minutes=5)) == []
    assert conditions(NOW + timedelta(minutes=5, seconds=1)) == ["no_agent"]
    outcomes.set_status(agent, "online", at=NOW + timedelta(minutes=6))
    assert conditions(NOW + timedelta(minutes=7)) == []


def test_outside_working_hours_nobody_is_missed(in_vegliasi) -> None:
    in_vegliasi.settings = {"working_hours": {"tue": [["10:40", "18:00"]]}}  # NOW is Tuesday 10:41 in Rome
    in_vegliasi.save()
    agent = make_agent()
    Agent.objects.filter(id=agent.id).update(last_status="offline", created_at=NOW - timedelta(days=1))
    assert conditions(NOW) == []  # open for a minute only
    assert conditions(NOW + timedelta(minutes=4)) == ["no_agent"]
    assert conditions(NOW + timedelta(hours=9)) == []


def test_a_lead_that_nobody_called_alerts(in_vegliasi) -> None:
    make_process(1, NOW, error="INVALID_PHONE")
    assert conditions(NOW) == ["not_called"]


def test_a_provider_that_is_down_alerts(calling) -> None:
    from filiera.platform.models import EndpointHealth

    EndpointHealth.objects.update(state="open")
    with calling.scope():
        assert conditions(timezone.now()) == ["provider_down"]
        Connection.objects.update(is_enabled=False)
        EndpointHealth.objects.update(state="closed")
        assert conditions(timezone.now()) == []


def test_debug_is_chosen_by_area() -> None:
    try:
        areas.enable("lead-to-call:*, other")
        assert areas.logger("lead-to-call:calls").level == logging.DEBUG
        assert areas.logger("agent-distribution").level == logging.NOTSET
        areas.enable("agent-distribution")
        assert areas.logger("agent-distribution").level == logging.DEBUG
        assert areas.logger("lead-to-call:events").level == logging.NOTSET
    finally:
        areas.enable("")


def test_an_answer_rate_that_fell_is_told_until_it_rises(in_vegliasi: Any) -> None:
    """GD-13: of the customers dialled last half as many pick up as before; few calls tell nothing."""
    agent = Agent.objects.create(name="Alice", provider_agent_id="101")
    [lead] = take_in(incoming())

    def dial(count: int, *, answered: int, after: timedelta) -> None:
        for place in range(count):
            at = NOW + after + timedelta(seconds=place)
            process = Process.objects.create(
                contact=lead.contact, number=f"lead_{after.days}{place:04}", state="done", success=True,
                received_at=at, created_at=at, day_of_week=0, hour_of_day=0,
            )  # fmt: skip
            CallAttempt.objects.create(
                process=process, agent=agent, number_e164="+393510004127", requested_at=at, state="answered",
                agent_answered_at=at, talking_seconds=60 if place < answered else 0, ended_at=at,
            )  # fmt: skip

    def told() -> list[str]:
        alerts.evaluate(now=NOW + timedelta(days=9))
        return [
            alerts.sentence(one) for one in Alert.objects.filter(condition="answer_rate", cleared_at=None)
        ]

    dial(99, answered=60, after=timedelta(days=1))
    dial(40, answered=0, after=timedelta(days=2))
    assert told() == [], "too few before"
    dial(1, answered=1, after=timedelta(days=0))
    assert [text[:74] for text in told()] == [
        "Alle ultime chiamate hanno risposto 0 clienti su 100, di solito sono 61: f"
    ]
    dial(40, answered=20, after=timedelta(days=3))
    assert told() == []
