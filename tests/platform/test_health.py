"""Health, metrics and envelopes, through the outermost door that has them."""

from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from filiera.identity.models import Session, User
from filiera.platform import outages
from filiera.platform.models import JobRun


def alive(*, ago: timedelta = timedelta()) -> None:
    moment = timezone.now() - ago
    JobRun.objects.create(name="worker here:1", started_at=moment, finished_at=moment, status="alive")


@pytest.mark.django_db
def test_health_names_each_part_and_is_healthy_while_a_worker_lives() -> None:
    alive()
    answer = Client().get("/health")
    body = answer.json()
    assert answer.status_code == 200
    assert body["status"] == "healthy"
    assert body["checks"] == {"database": "ok", "redis": "disabled", "queue": "ok"}
    assert body["queue"] == "database"
    assert body["version"] == "0.1.0"
    assert body["timestamp"].endswith("Z")


@pytest.mark.django_db
def test_health_is_degraded_but_answers_200_when_the_worker_fell_silent() -> None:
    alive(ago=timedelta(minutes=2))
    answer = Client().get("/health")
    assert (answer.status_code, answer.json()["status"], answer.json()["checks"]["queue"]) == (
        200,
        "degraded",
        "error",
    )


@pytest.mark.django_db
def test_the_versioned_health_stands_in_the_envelope_and_echoes_the_request_id() -> None:
    alive()
    answer = Client().get("/api/v1/health", headers={"X-Request-ID": "probe-7"})
    body = answer.json()
    assert body["success"] is True
    assert body["data"]["status"] == "healthy"
    assert body["meta"]["request_id"] == answer["X-Request-ID"] == "probe-7"


def test_health_answers_503_and_no_word_of_the_failure_without_a_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone() -> bool:
        raise OperationalError("could not connect to /secret/place")

    monkeypatch.setattr("filiera.platform.health._ask_database", gone)
    answer = Client().get("/health")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"database": "error", "redis": "disabled", "queue": "error"}
    assert "secret" not in answer.content.decode()


@pytest.mark.django_db
def test_metrics_carry_the_names_of_the_ledger_with_routes_for_labels() -> None:
    client = Client()
    client.get("/health")
    client.get("/no/such/page/42")
    text = client.get("/metrics").content.decode()
    assert 'http_requests_total{endpoint="/health",method="GET",status="200"}' in text
    assert "http_request_duration_seconds_bucket" in text
    assert "active_users " in text
    assert "/no/such/page" not in text


@pytest.mark.parametrize(
    ("peer", "headers", "token", "status"),
    [
        ("127.0.0.1", {}, "", 200),
        ("10.1.2.3", {}, "", 200),
        ("8.8.8.8", {}, "", 404),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, "", 404),
        ("8.8.8.8", {"Authorization": "Bearer right"}, "right", 200),
        ("127.0.0.1", {"Authorization": "Bearer wrong"}, "right", 404),
    ],
)
@pytest.mark.django_db
def test_metrics_are_for_the_internal_network_or_the_bearer_of_the_token(
    peer: str, headers: dict[str, str], token: str, status: int, settings: object
) -> None:
    settings.METRICS_TOKEN = token  # type: ignore[attr-defined]
    assert Client(REMOTE_ADDR=peer).get("/metrics", headers=headers).status_code == status


@pytest.mark.django_db
def test_what_says_that_the_database_is_away_is_told_from_a_wrong_statement() -> None:
    from django.db import connection

    with pytest.raises(Exception, match="division") as wrong:
        connection.cursor().execute("select 1/0")
    assert not outages.database_is_away(wrong.value)
    assert outages.database_is_away(psycopg.errors.DiskFull("no space left"))
    assert outages.database_is_away(psycopg.errors.AdminShutdown("going down"))
    assert outages.database_is_away(
        psycopg.errors.LockNotAvailable("canceling statement due to lock timeout")
    )
    with pytest.raises(psycopg.OperationalError) as nobody:
        psycopg.connect("postgresql:///x?host=/nowhere")
    assert outages.database_is_away(nobody.value)


def test_health_refuses_other_methods() -> None:
    assert Client().post("/health").status_code == 405


@pytest.mark.django_db
def test_people_at_work_are_those_whose_session_was_used_in_the_last_fifteen_minutes(
    ada: User, bea: User, signed_in: Callable[[User], Client]
) -> None:
    signed_in(ada).get("/oggi")
    client = signed_in(bea)
    before = timezone.now() - timedelta(minutes=20)
    Session.objects.filter(user=bea).update(
        last_seen_at=before, refresh_expires_at=before + timedelta(days=7)
    )
    assert _at_work() == 1
    client.get("/oggi")
    session = Session.objects.get(user=bea)
    assert session.last_seen_at > before + timedelta(minutes=19)
    assert session.refresh_expires_at > before + timedelta(days=7, minutes=19)
    assert _at_work() == 2


def _at_work() -> float:
    from django.db import connection

    from filiera.identity import metrics

    [gauge] = metrics._people_at_work(connection.connection, timezone.now())
    return gauge.value
