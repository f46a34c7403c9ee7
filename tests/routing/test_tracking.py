"""Records, files, figures and the state's export: routing.md 4.4, 4.5, 8; ROU-26 … ROU-35."""

from __future__ import annotations

import json
import tarfile
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from filiera.routing import commands, tracking
from filiera.routing.models import Agent, CallAttempt, DailyMetrics, Process, RoutingState
from tests.leads import NOW, incoming, take_in

WEDNESDAY = datetime(2025, 9, 17, 10, 30, 45, 123_000, tzinfo=UTC)


def make_agent(provider_id: str = "493933", name: str = "Teodora Vanzi", place: int = 0) -> Agent:
    return Agent.objects.create(
        provider_agent_id=provider_id,
        name=name,
        extension=1001,
        sort_order=place,
        provider_status="online",
        last_status="online",
    )


def make_process(
    number: int, at: datetime, *, agent: Agent | None = None, error: str = "", **fields: Any
) -> Process:
    (lead,) = take_in(incoming(phone=f"+39 351 {number:07}", email=f"lead{number}@posta.example"), now=at)
    given: dict[str, Any] = {
        "number": f"lead_{number}",
        "contact": lead.contact,
        "lead_event": lead.event,
        "state": "done",
        "success": not error,
        "final_status": error or "CALL_INITIATED_SUCCESSFULLY",
        "error_code": error,
        "processing_time_ms": 1250,
        "lead": {"id": "ghl-123", "name": "Mario Rossi", "phone": "+393501234567"},
        "steps": {
            "contactCreation": {"success": True, "contactId": 1451361270},
            "agentDistribution": {
                "success": True,
                "selectedAgentId": 493933,
                "selectedAgentName": "Teodora Vanzi",
            },
            "callInitiation": {"success": not error},
        },
        "agent": agent,
        "day_of_week": at.weekday(),
        "hour_of_day": at.hour,
        "received_at": at,
        "created_at": at,
        "answered_at": at,
        "completed_at": at,
    }
    return Process.objects.create(**given | fields)


def test_a_record_is_the_reference_line(in_vegliasi):
    process = make_process(1234567890, WEDNESDAY, agent=make_agent())
    assert tracking.record(process) == {
        "timestamp": "2025-09-17T10:30:45.123Z",
        "processId": "lead_1234567890",
        "type": "LEAD_PROCESS",
        "success": True,
        "finalStatus": "CALL_INITIATED_SUCCESSFULLY",
        "processingTime": 1250,
        "lead": {"id": "ghl-123", "name": "Mario Rossi", "phone": "+393501234567"},
        "steps": {
            "contactCreation": {"success": True, "contactId": 1451361270},
            "agentDistribution": {
                "success": True,
                "selectedAgentId": 493933,
                "selectedAgentName": "Teodora Vanzi",
            },
            "callInitiation": {"success": True},
        },
        "metadata": {"dayOfWeek": 2, "hourOfDay": 10},
    }


def test_a_failed_record_says_why(in_vegliasi):
    record = tracking.record(make_process(1, WEDNESDAY, error="INVALID_PHONE", steps={}))
    assert (record["success"], record["finalStatus"], record["error"]) == (
        False,
        "INVALID_PHONE",
        "INVALID_PHONE",
    )
    assert record["steps"] == {
        "contactCreation": {"success": False},
        "agentDistribution": {"success": False},
        "callInitiation": {"success": False},
    }


def test_the_figures_of_45_processes(in_vegliasi, tmp_path):
    agent, other = make_agent(), make_agent("493934", "Ruggero Salmaso", 1)
    number = 0
    for count, error, who in (
        (13, "", agent),
        (25, "", other),
        (2, "INVALID_PHONE", agent),
        (5, "NO_AGENTS_AVAILABLE", None),
    ):
        for _ in range(count):
            number += 1
            make_process(number, WEDNESDAY, error=error, agent=who)
    make_process(99, WEDNESDAY, success=None, final_status="", state="waiting")  # not known yet
    make_process(98, WEDNESDAY + timedelta(days=1))

    tracking.write_metrics(date(2025, 9, 17), now=NOW)
    path = tmp_path / "brands/vegliasi/logs/lead-distribution/metrics-2025-09-17.json"
    expected = {
        "date": "2025-09-17",
        "totalProcesses": 45,
        "successfulCalls": 38,
        "failedCalls": 7,
        "successRate": "84.44",
        "errorsByType": {"INVALID_PHONE": 2, "NO_AGENTS_AVAILABLE": 5},
        "agentStats": {
            "493933": {"name": "Teodora Vanzi", "totalAssigned": 15, "successfulCalls": 13, "failedCalls": 2},
            "493934": {
                "name": "Ruggero Salmaso",
                "totalAssigned": 25,
                "successfulCalls": 25,
                "failedCalls": 0,
            },
        },
    }
    assert json.loads(path.read_text()) == expected
    assert DailyMetrics.objects.get().content == expected


def test_no_processes_are_a_rate_of_nothing(in_vegliasi):
    assert tracking.metrics(date(2025, 9, 17))["successRate"] == "0.00"


@pytest.mark.parametrize(
    ("part", "whole", "text"), [(38, 45, "84.44"), (1, 3, "33.33"), (2, 3, "66.67"), (5, 5, "100.00")]
)
def test_rates_have_two_decimals(part: int, whole: int, text: str) -> None:
    assert tracking.percent(part, whole) == text


def lines(path: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_call_leaves_its_line_and_a_day_can_be_written_anew(
    calling, tmp_path, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        calling.lead()
        calling.lead(phone="12")
        calling.place()
    day = timezone.now().astimezone(UTC).date()
    path = tmp_path / f"brands/vegliasi/logs/lead-distribution/lead-distribution-{day}.jsonl"
    found = lines(path)
    assert sorted((line["success"], line["finalStatus"]) for line in found) == [
        (False, "INVALID_PHONE"),
        (True, "CALL_INITIATED_SUCCESSFULLY"),
    ]
    path.write_text("half a li")
    with calling.scope():
        assert tracking.rebuild(day, now=timezone.now()) == 2
    assert sorted(line["processId"] for line in lines(path)) == sorted(line["processId"] for line in found)


def test_clean_up_keeps_day_30_and_removes_day_31(in_vegliasi, tmp_path):
    logs = tmp_path / "brands/vegliasi/logs/lead-distribution"
    logs.mkdir(parents=True)
    today = date(2026, 10, 13)
    for days in (0, 30, 31, 400):
        (logs / f"lead-distribution-{today - timedelta(days=days)}.jsonl").touch()
        (logs / f"metrics-{today - timedelta(days=days)}.json").touch()
    (logs / "notes.txt").touch()
    assert tracking.clean_up(days=30, today=today) == 4
    kept = {path.name for path in logs.iterdir()}
    assert kept == {
        "lead-distribution-2026-10-13.jsonl",
        "metrics-2026-10-13.json",
        "lead-distribution-2026-09-13.jsonl",
        "metrics-2026-09-13.json",
        "notes.txt",
    }


def test_the_archive_holds_state_and_logs(in_vegliasi):
    make_process(1, WEDNESDAY, agent=make_agent())
    tracking.rebuild(WEDNESDAY.date(), now=NOW)
    path = tracking.archive(now=NOW)
    assert path.name == "lead-system-backup-20261013.tar.gz"
    with tarfile.open(path) as tar:
        assert sorted(tar.getnames()) == [
            "data/agent-distribution-state.json",
            "logs/lead-distribution/lead-distribution-2025-09-17.jsonl",
            "logs/lead-distribution/metrics-2025-09-17.json",
        ]


@pytest.mark.parametrize("policy", ["round_robin", "credit"])
def test_the_state_goes_out_and_comes_back(in_vegliasi, policy):
    for place, name in enumerate(["Alice", "Bob", "Carla"]):
        make_agent(str(100 + place), name, place)
    Agent.objects.filter(name="Bob").update(weight=3)
    commands.set_policy(policy=policy, user=None, now=NOW)

    def leads(start: int) -> list[Any]:
        return take_in(
            *[incoming(phone=f"+39 351 {n:07}", email=f"{n}@x.example") for n in range(start, start + 4)]
        )

    commands.assign(leads(0), now=NOW)
    kept = json.loads(tracking.write_state().read_text())
    after = [item.agent.name for item in commands.assign(leads(10), now=NOW)]
    commands.reset_state(user=None, now=NOW)
    tracking.import_state(kept, now=NOW)
    assert [item.agent.name for item in commands.assign(leads(20), now=NOW)] == after


def test_the_state_of_the_product_before_is_taken_over(in_vegliasi):
    make_agent("493933", "Alice")
    make_agent("493934", "Bob", 1)
    tracking.import_state({"lastUsedAgentId": 493933, "totalAssigned": 12}, now=NOW)
    state = RoutingState.objects.get()
    assert (state.last_agent.name, state.total_assigned) == ("Alice", 12)


def test_no_file_mixes_brands(in_vegliasi, quadranorma, tmp_path):
    from filiera.platform import brand_scope

    make_process(1, WEDNESDAY)
    tracking.rebuild(WEDNESDAY.date(), now=NOW)
    with brand_scope.use(quadranorma.id):
        tracking.rebuild(WEDNESDAY.date(), now=NOW)
    other = tmp_path / "brands/quadranorma/logs/lead-distribution"
    assert [path.name for path in other.iterdir()] == ["metrics-2025-09-17.json"]
    assert json.loads((other / "metrics-2025-09-17.json").read_text())["totalProcesses"] == 0
    assert not CallAttempt.objects.exists()
