"""Meta's simulator: lead lookup by id, a form's leads in pages, errors by number, handshake and signed webhooks."""

import hashlib
import hmac
import re
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from filiera.simulators.meta import FORM_ID, PAGE_ID, Meta
from filiera.simulators.testing import Running
from tests.simulators.conftest import Receiver, hooks

EVERYTHING = "id,created_time,ad_id,ad_name,campaign_name,form_id,is_organic,platform,field_data"


@pytest.fixture
def graph(meta: Running[Meta]) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer meta-sim-page-token"}
    with httpx.Client(base_url=f"{meta.base_url}/v25.0", headers=headers, trust_env=False) as client:
        yield client


def add(meta: Running[Meta], http: httpx.Client, *leads: dict[str, Any]) -> list[dict[str, Any]]:
    added: list[dict[str, Any]] = http.put(f"{meta.base_url}/_sim/leads", json=list(leads)).json()
    return added


def answers(lead: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["values"][0] for row in lead["field_data"]}


def test_a_lead_is_looked_up_by_its_id(meta: Running[Meta], graph: httpx.Client, http: httpx.Client) -> None:
    [lead] = add(meta, http, {"name": "Niccolò D'Amico", "phone": "+393510004127"})
    found = graph.get(f"/{lead['id']}", params={"fields": EVERYTHING}).json()
    assert answers(found)["full_name"] == "Niccolò D'Amico"
    assert answers(found)["phone_number"] == "+393510004127"
    assert answers(found)["quando_vorresti_iniziare_i_lavori?"] == "entro_3_mesi"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000", found["created_time"])
    assert found["ad_name"] == "Preventivo infissi - video"


def test_only_the_fields_that_were_asked_are_answered(
    meta: Running[Meta], graph: httpx.Client, http: httpx.Client
) -> None:
    [lead] = add(meta, http, {})
    assert set(graph.get(f"/{lead['id']}").json()) == {"id", "created_time", "field_data"}
    assert set(graph.get(f"/{lead['id']}", params={"fields": "platform"}).json()) == {"id", "platform"}


def test_an_italian_form_has_italian_keys(meta: Running[Meta], http: httpx.Client) -> None:
    meta.set_knobs(form_language="it", extra_fields=[{"name": "età", "values": ["67"]}])
    [lead] = add(meta, http, {"phone": "+393510004127"})
    assert answers(lead)["numero_di_telefono"] == "+393510004127"
    assert answers(lead)["età"] == "67"


def test_names_of_ads_need_their_permission(
    meta: Running[Meta], graph: httpx.Client, http: httpx.Client
) -> None:
    meta.set_knobs(ads_permission=False)
    [lead] = add(meta, http, {})
    found = graph.get(f"/{lead['id']}", params={"fields": EVERYTHING}).json()
    assert "ad_name" not in found
    assert found["ad_id"]


def test_a_wrong_token_is_190_and_the_token_may_stand_in_the_query(
    meta: Running[Meta], http: httpx.Client
) -> None:
    [lead] = add(meta, http, {})
    url = f"{meta.base_url}/v25.0/{lead['id']}"
    error = http.get(url, params={"access_token": "wrong"}).json()["error"]
    assert (error["code"], error["type"]) == (190, "OAuthException")
    assert http.get(url, params={"access_token": "meta-sim-page-token"}).status_code == 200
    assert "meta-sim-page-token" not in meta.log[-1]["path"]


def test_an_unknown_lead_is_100_subcode_33(graph: httpx.Client) -> None:
    error = graph.get("/999").json()["error"]
    assert (error["code"], error["error_subcode"]) == (100, 33)


def test_an_unknown_field_and_an_old_version_are_100(
    meta: Running[Meta], graph: httpx.Client, http: httpx.Client
) -> None:
    [lead] = add(meta, http, {})
    assert graph.get(f"/{lead['id']}", params={"fields": "shoe_size"}).json()["error"]["code"] == 100
    old = f"{meta.base_url}/v3.0/{lead['id']}"
    assert http.get(old, params={"access_token": "meta-sim-page-token"}).json()["error"]["code"] == 100


@pytest.mark.parametrize(
    ("code", "status", "transient"),
    [(1, 500, True), (2, 503, True), (4, 403, None), (613, 400, None), (10, 403, None)],
)
def test_errors_come_by_number(
    meta: Running[Meta],
    graph: httpx.Client,
    http: httpx.Client,
    code: int,
    status: int,
    transient: bool | None,
) -> None:
    [lead] = add(meta, http, {})
    meta.set_knobs(next_responses=[{"endpoint": "node", "status": status, "code": code}])
    refused = graph.get(f"/{lead['id']}")
    assert refused.status_code == status
    assert (refused.json()["error"]["code"], refused.json()["error"].get("is_transient")) == (code, transient)
    assert ("X-Business-Use-Case-Usage" in refused.headers) == (code == 4)
    assert graph.get(f"/{lead['id']}").status_code == 200


def test_a_forms_leads_are_listed_in_pages_latest_first(
    meta: Running[Meta], graph: httpx.Client, http: httpx.Client
) -> None:
    added = add(meta, http, *[{}] * 5)
    seen: list[str] = []
    url = f"/{FORM_ID}/leads?limit=2"
    while url:
        listed = graph.get(url).json()
        seen += [lead["id"] for lead in listed["data"]]
        url = listed["paging"].get("next", "")
    assert seen == [lead["id"] for lead in reversed(added)]


def test_a_forms_leads_can_be_asked_from_an_instant_on(
    meta: Running[Meta], graph: httpx.Client, http: httpx.Client
) -> None:
    add(
        meta, http, {"created_time": "2026-01-10T09:00:00+0000"}, {"created_time": "2026-01-10T09:00:01+0000"}
    )
    filtering = [{"field": "time_created", "operator": "GREATER_THAN", "value": 1768035600}]
    listed = graph.get(f"/{FORM_ID}/leads", params={"filtering": orjson.dumps(filtering).decode()}).json()
    assert [lead["created_time"] for lead in listed["data"]] == ["2026-01-10T09:00:01+0000"]
    assert graph.get(f"/{FORM_ID}/leads", params={"filtering": "["}).json()["error"]["code"] == 100


def test_a_form_tells_its_questions(graph: httpx.Client) -> None:
    form = graph.get(f"/{FORM_ID}", params={"fields": "name,locale,questions{key,label,type,options}"}).json()
    assert (form["name"], form["locale"]) == ("Infissi", "it_IT")
    assert form["questions"][4]["options"][0] == {"key": "entro_3_mesi", "value": "Entro 3 mesi"}


def test_a_page_is_subscribed_to_leads(graph: httpx.Client) -> None:
    assert graph.post(f"/{PAGE_ID}/subscribed_apps?subscribed_fields=leadgen").json() == {"success": True}
    assert graph.post(f"/{PAGE_ID}/subscribed_apps?subscribed_fields=feed").status_code == 400


@pytest.mark.parametrize(("token", "verified"), [("right-token", True), ("wrong-token", False)])
def test_the_handshake_asks_for_its_challenge_back(
    meta: Running[Meta], receiver: Running[Receiver], http: httpx.Client, token: str, verified: bool
) -> None:
    asked = {"callback_url": f"{receiver.base_url}/hook", "verify_token": token}
    assert http.post(f"{meta.base_url}/_sim/subscribe", json=asked).json() == {"verified": verified}
    assert "hub.mode=subscribe" in receiver.log[0]["path"]


def test_a_webhook_carries_ids_only_and_is_signed_over_its_bytes(
    meta: Running[Meta], receiver: Running[Receiver], graph: httpx.Client, http: httpx.Client
) -> None:
    meta.set_knobs(webhook_url=f"{receiver.base_url}/hook")
    told = http.post(
        f"{meta.base_url}/_sim/send", json={"lead": {"name": "Giulia"}, "count": 2, "repeat": 2}
    ).json()
    assert [sent["status"] for sent in told["deliveries"]] == [200, 200]
    first, second = receiver.received("/hook")
    assert first["body"] == second["body"]
    [entry] = first["body"]["entry"]
    assert [change["value"]["leadgen_id"] for change in entry["changes"]] == told["leadgen_ids"]
    assert "Giulia" not in str(first["body"])
    signature = hmac.new(b"meta-sim-app-secret", orjson.dumps(first["body"]), hashlib.sha256).hexdigest()
    assert first["headers"]["x-hub-signature-256"] == f"sha256={signature}"
    found = graph.get(f"/{told['leadgen_ids'][0]}", params={"fields": "field_data"}).json()
    assert answers(found)["full_name"] == "Giulia"


def test_ids_come_as_numbers_and_organic_leads_have_no_ad(
    meta: Running[Meta], receiver: Running[Receiver], http: httpx.Client
) -> None:
    asked = {"url": f"{receiver.base_url}/hook", "organic": True, "ids_as_numbers": True}
    http.post(f"{meta.base_url}/_sim/send", json=asked)
    value = hooks(receiver)[0]["entry"][0]["changes"][0]["value"]
    assert isinstance(value["leadgen_id"], int)
    assert "ad_id" not in value


def test_a_test_lead_says_so_in_every_answer(meta: Running[Meta], http: httpx.Client) -> None:
    [lead] = add(meta, http, {"test": True})
    assert all(value.startswith("<test lead: dummy data for") for value in answers(lead).values())


def test_a_delivery_that_is_not_taken_comes_again(
    meta: Running[Meta], receiver: Running[Receiver], http: httpx.Client
) -> None:
    meta.set_knobs(webhook_url=f"{receiver.base_url}/hook", redeliveries=3, time_scale=10_000)
    receiver.set_knobs(next_responses=[{"status": 503}, {"drop": True}])
    http.post(f"{meta.base_url}/_sim/send", json={})
    receiver.wait_for(lambda: len(hooks(receiver)) == 3)
    assert [entry["status"] for entry in receiver.received("/hook")] == [503, None, 200]
