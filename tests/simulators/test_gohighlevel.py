"""GoHighLevel's simulator: the contacts API, and the sender of its three webhook shapes."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from filiera.simulators.gohighlevel import LOCATION, GoHighLevel
from filiera.simulators.testing import Running
from tests.simulators.conftest import Receiver, hooks

GIULIA = {
    "locationId": LOCATION,
    "firstName": "Giulia",
    "email": "giulia@posta.example",
    "phone": "+393510004127",
}


@pytest.fixture
def api(gohighlevel: Running[GoHighLevel]) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer pit-sim-0001", "Version": "2021-07-28"}
    with httpx.Client(base_url=gohighlevel.base_url, headers=headers, trust_env=False) as client:
        yield client


def verifies(public_key: str, headers: dict[str, str], body: bytes) -> bool:
    key = load_pem_public_key(public_key.encode())
    assert isinstance(key, Ed25519PublicKey)
    try:
        key.verify(base64.b64decode(headers["x-ghl-signature"]), body)
    except InvalidSignature:
        return False
    return True


def test_an_upsert_creates_once_and_then_changes(api: httpx.Client) -> None:
    first = api.post("/contacts/upsert", json=GIULIA).json()
    second = api.post("/contacts/upsert", json=GIULIA | {"city": "Bari"}).json()
    assert (first["new"], second["new"]) == (True, False)
    assert second["contact"]["id"] == first["contact"]["id"]
    assert api.get(f"/contacts/{first['contact']['id']}").json()["contact"]["city"] == "Bari"


def test_custom_fields_are_written_as_field_value_and_read_as_value(api: httpx.Client) -> None:
    sent = GIULIA | {"customFields": [{"id": "cF1", "field_value": "Finestre"}]}
    assert api.post("/contacts/upsert", json=sent).json()["contact"]["customFields"] == [
        {"id": "cF1", "value": "Finestre"}
    ]


def test_a_duplicate_is_400_and_names_the_contact_that_is_there(api: httpx.Client) -> None:
    created = api.post("/contacts/", json=GIULIA)
    assert created.status_code == 201
    refused = api.post("/contacts/", json=GIULIA | {"email": "altra@posta.example"})
    assert refused.status_code == 400
    assert refused.json()["meta"] == {"contactId": created.json()["contact"]["id"], "matchingField": "phone"}


def test_tags_of_a_contact_are_overwritten_by_an_update_and_added_by_their_own_door(
    api: httpx.Client,
) -> None:
    contact_id = api.post("/contacts/upsert", json=GIULIA | {"tags": ["lead"]}).json()["contact"]["id"]
    assert api.post(f"/contacts/{contact_id}/tags", json={"tags": ["vip"]}).json() == {
        "tags": ["lead", "vip"]
    }
    changed = api.put(f"/contacts/{contact_id}", json={"tags": ["solo"]}).json()
    assert changed["contact"]["tags"] == ["solo"]


def test_a_duplicate_is_looked_up_by_number(api: httpx.Client) -> None:
    api.post("/contacts/upsert", json=GIULIA)
    found = api.get("/contacts/search/duplicate", params={"locationId": LOCATION, "number": "+393510004127"})
    none = api.get("/contacts/search/duplicate", params={"locationId": LOCATION, "number": "+393510000000"})
    assert found.json()["contact"]["firstName"] == "Giulia"
    assert none.json()["contact"] is None


@pytest.mark.parametrize(
    ("headers", "status"), [({"Authorization": "Bearer wrong"}, 401), ({"Version": "2019-01-01"}, 400)]
)
def test_token_and_version_are_needed(api: httpx.Client, headers: dict[str, str], status: int) -> None:
    assert api.post("/contacts/upsert", json=GIULIA, headers=headers).status_code == status


@pytest.mark.parametrize(
    "body", [{}, {"locationId": "other"}, GIULIA | {"tags": "a,b"}, GIULIA | {"city": 7}, []]
)
def test_a_wrong_contact_is_422_with_a_list_of_messages(api: httpx.Client, body: Any) -> None:
    answer = api.post("/contacts/upsert", json=body)
    assert answer.status_code == 422
    assert isinstance(answer.json()["message"], list)


def test_the_burst_limit_is_told_in_headers_and_then_kept(
    gohighlevel: Running[GoHighLevel], api: httpx.Client
) -> None:
    gohighlevel.set_knobs(burst_limit=2)
    answers = [api.get("/contacts/nobody") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [400, 400, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]


@pytest.mark.parametrize("shape", ["ledger", "workflow", "marketplace"])
def test_a_contact_is_sent_as_often_as_asked_byte_for_byte(
    gohighlevel: Running[GoHighLevel], receiver: Running[Receiver], http: httpx.Client, shape: str
) -> None:
    asked = {"url": f"{receiver.base_url}/hook", "shape": shape, "repeat": 3, "headers": {"X-API-Key": "k"}}
    told = http.post(f"{gohighlevel.base_url}/_sim/send", json=asked).json()
    assert [sent["status"] for sent in told] == [200, 200, 200]
    first, second, third = hooks(receiver)
    assert first == second == third
    assert receiver.received("/hook")[0]["headers"]["user-agent"].startswith("axios/")
    assert gohighlevel.deliveries[0]["kind"] == shape


def test_the_three_shapes_name_the_same_things_in_three_ways(gohighlevel: Running[GoHighLevel]) -> None:
    given = {
        "id": "abc",
        "firstName": "Giulia",
        "lastName": "Conti",
        "phone": "+393510004127",
        "tags": ["a", "b"],
    }
    simulator = gohighlevel.simulator
    ledger, workflow, marketplace = (
        simulator.webhook(shape, given) for shape in ("ledger", "workflow", "marketplace")
    )
    assert set(ledger) == {"id", "name", "firstName", "lastName", "phone", "email", "company"}
    assert (workflow["contact_id"], workflow["full_name"], workflow["tags"]) == ("abc", "Giulia Conti", "a,b")
    assert workflow["user"]["phone"] != "+393510004127"
    assert "type" not in workflow
    assert (marketplace["type"], marketplace["id"], marketplace["tags"]) == (
        "ContactCreate",
        "abc",
        ["a", "b"],
    )
    assert len(marketplace["webhookId"]) == 36


@pytest.mark.parametrize("wrong", [False, True])
def test_a_marketplace_webhook_is_signed_with_the_key_that_is_served(
    gohighlevel: Running[GoHighLevel], receiver: Running[Receiver], http: httpx.Client, wrong: bool
) -> None:
    import orjson

    public_key = http.get(f"{gohighlevel.base_url}/_sim/public-key").text
    asked = {"url": f"{receiver.base_url}/hook", "shape": "marketplace", "wrong_signature": wrong}
    http.post(f"{gohighlevel.base_url}/_sim/send", json=asked)
    [entry] = receiver.received("/hook")
    assert verifies(public_key, entry["headers"], orjson.dumps(entry["body"])) is not wrong


def test_a_429_is_sent_again_and_nothing_else_is(
    gohighlevel: Running[GoHighLevel], receiver: Running[Receiver], http: httpx.Client
) -> None:
    gohighlevel.set_knobs(time_scale=10_000)
    asked = {"url": f"{receiver.base_url}/hook", "shape": "marketplace"}
    receiver.set_knobs(next_responses=[{"status": 429}, {"status": 429}, {"status": 500}])
    http.post(f"{gohighlevel.base_url}/_sim/send", json=asked)
    receiver.wait_for(lambda: len(hooks(receiver)) == 3)
    assert [entry["status"] for entry in receiver.received("/hook")] == [429, 429, 500]
    assert len({body["webhookId"] for body in hooks(receiver)}) == 1


def test_targets_can_be_chosen_by_name(
    gohighlevel: Running[GoHighLevel], receiver: Running[Receiver], http: httpx.Client
) -> None:
    target = {"name": "ghl", "url": f"{receiver.base_url}/hook", "headers": {"X-API-Key": "secret-key"}}
    gohighlevel.set_knobs(targets=[target])
    answer = http.post(
        f"{gohighlevel.base_url}/_sim/send", data={"target": "ghl", "url": "", "shape": "workflow"}
    )
    assert answer.status_code == 303
    assert receiver.received("/hook")[0]["headers"]["x-api-key"] == "secr…"


@pytest.mark.parametrize(
    "asked", [{}, {"url": "http://93.184.216.34/"}, {"url": "http://127.0.0.1/", "shape": "telegram"}, []]
)
def test_a_send_that_makes_no_sense_is_refused(
    gohighlevel: Running[GoHighLevel], http: httpx.Client, asked: Any
) -> None:
    assert http.post(f"{gohighlevel.base_url}/_sim/send", json=asked).status_code == 400
    assert gohighlevel.deliveries == []
