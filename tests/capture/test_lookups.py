"""A delivery of Meta brings ids; what they stand for is fetched before the lead is taken in."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.utils import timezone

from filiera.capture import commands, leads, lookups, queue
from filiera.capture.models import Submission
from filiera.platform import brand_scope
from filiera.simulators.testing import start_meta


@pytest.fixture
def meta(settings: Any) -> Iterator[Any]:
    settings.ALLOW_PRIVATE_PROVIDERS = True
    with start_meta(access_token="gettone", app_secret="segreto") as running:
        settings.META_GRAPH_URL = f"{running.base_url}/v25.0"
        yield running


@pytest.fixture
def source(brand: Any, make_source: Any) -> Any:
    made = make_source(brand, "meta", "meta", auth_mode="path_token")
    with brand_scope.use(brand.id):
        commands.change_source(source_id=made.id, access_token="gettone", actor=None, now=timezone.now())
    return made


def delivery(*lead_ids: str) -> dict[str, Any]:
    changes = [{"field": "leadgen", "value": {"leadgen_id": one, "form_id": "1"}} for one in lead_ids]
    return {"object": "page", "entry": [{"id": "1", "time": 1, "changes": changes}]}


def due_lookups() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("select count(*) from procrastinate_jobs where task_name = 'capture.look_up'")
        return int(cursor.fetchone()[0])


def test_leads_are_looked_up_and_then_wait_for_the_worker(
    doors: Any, source: Any, meta: Any, brand: Any, submissions: Any
) -> None:
    known = [meta.simulator.add_lead({"name": "Ada Zen"}), meta.simulator.add_lead({"name": "Bea Zen"})]
    body = delivery(known[0]["id"], known[1]["id"], "999")
    assert doors.post(f"/webhook-ingest/meta/{source.clear_key}", body).status == 200
    assert due_lookups() == 1
    assert queue.claim(10, now=timezone.now(), worker="w") == []
    assert lookups.run(worker="l") == 1
    [claimed] = queue.claim(10, now=timezone.now(), worker="w")
    with brand_scope.use(brand.id):
        found = leads.read([claimed])
        queue.finish([claimed], now=timezone.now())
    assert [(lead.first_name, lead.external_id) for lead in found] == [
        ("Ada Zen", known[0]["id"]),
        ("Bea Zen", known[1]["id"]),
    ]
    assert found[0].custom["attribution"]["campaign_name"] == "Infissi gennaio"
    [row] = submissions(brand)
    assert (row.status, row.retrieved["999"]) == ("processed", None)
    assert orjson.loads(bytes(row.body)) == body
    assert all("access_token" not in one["path"] for one in meta.log)


@pytest.mark.parametrize(
    ("knobs", "error"),
    [
        ({"next_responses": [{"endpoint": "node", "status": 500}]}, "Meta 1:"),
        ({"next_responses": [{"endpoint": "node", "status": 429, "code": 80005}]}, "Meta"),
        ({"next_responses": [{"endpoint": "node", "drop": True}] * 2}, "RemoteProtocolError"),
        ({"next_responses": [{"endpoint": "node", "garbage": True}]}, ""),
        ({"down": True}, ""),
    ],
)
def test_trouble_is_retried_later_and_loses_nothing(
    doors: Any, source: Any, meta: Any, brand: Any, submissions: Any, knobs: dict[str, Any], error: str
) -> None:
    """Q-22."""
    lead = meta.simulator.add_lead({})
    meta.set_knobs(**knobs)
    doors.post(f"/webhook-ingest/meta/{source.clear_key}", delivery(lead["id"]))
    lookups.run(worker="l")
    [row] = submissions(brand)
    assert (row.status, row.queue_state, row.needs_lookup, row.attempts) == ("queued", "ready", True, 1)
    assert error in row.last_error
    assert row.visible_at > timezone.now() + timedelta(seconds=20)
    meta.set_knobs(down=False, next_responses=[])
    with brand_scope.use(brand.id):
        Submission.objects.update(visible_at=timezone.now())
    lookups.run(worker="l")
    [row] = submissions(brand)
    assert (row.needs_lookup, row.queue_state, list(row.retrieved)) == (False, "ready", [lead["id"]])


def test_a_dead_token_stops_at_once_where_a_person_sees_it(
    doors: Any, source: Any, meta: Any, brand: Any, submissions: Any
) -> None:
    lead = meta.simulator.add_lead({})
    meta.set_knobs(access_token="un altro")
    doors.post(f"/webhook-ingest/meta/{source.clear_key}", delivery(lead["id"]))
    lookups.run(worker="l")
    [row] = submissions(brand)
    assert (row.status, row.dead_reason) == ("dead", "META_TOKEN")
    with brand_scope.use(brand.id):
        commands.change_source(source_id=source.id, access_token="un altro", actor=None, now=timezone.now())
        commands.requeue(submission_id=row.id, actor=None, now=timezone.now())
    assert due_lookups() == 2
    lookups.run(worker="l")
    assert [one.queue_state for one in submissions(brand)] == ["ready"]
    assert len(queue.claim(10, now=timezone.now(), worker="w")) == 1


def test_a_source_without_a_token_says_so(doors: Any, make_source: Any, brand: Any, submissions: Any) -> None:
    source = make_source(brand, "meta", "meta", auth_mode="path_token")
    doors.post(f"/webhook-ingest/meta/{source.clear_key}", delivery("1"))
    lookups.run(worker="l")
    assert [(row.status, row.dead_reason) for row in submissions(brand)] == [("dead", "META_TOKEN")]
