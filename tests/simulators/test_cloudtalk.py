"""CloudTalk's simulator, driven over a real socket as a client would."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from filiera.simulators.cloudtalk import CloudTalk
from filiera.simulators.testing import Running, start_cloudtalk
from tests.simulators.conftest import GOZZI, VANZI, Receiver, hooks

NUMBER = "+393510004127"
OTHER = "+393510004128"


def call(api: httpx.Client, agent_id: int | str = 493933, number: str = NUMBER) -> httpx.Response:
    return api.post("/calls/create.json", json={"agent_id": agent_id, "callee_number": number})


def contact(**more: object) -> dict[str, object]:
    return {"name": "Giulia Conti", "ContactNumber": [{"public_number": NUMBER}], **more}


def status_of(api: httpx.Client, agent_id: str) -> str:
    rows = api.get("/agents/index.json", params={"id": agent_id}).json()["responseData"]["data"]
    return str(rows[0]["Agent"]["availability_status"])


def ended(cloudtalk: Running[CloudTalk], calls: int = 1) -> None:
    cloudtalk.wait_for(lambda: [c.listed for c in cloudtalk.simulator.calls()] == [True] * calls)


# ── agents ──────────────────────────────────────────────────────────────────


def test_agents_are_listed_page_by_page_with_text_ids(api: httpx.Client) -> None:
    answer = api.get("/agents/index.json", params={"limit": 1, "page": 2}).json()["responseData"]
    assert (answer["itemsCount"], answer["pageCount"], answer["pageNumber"], answer["limit"]) == (2, 2, 2, 1)
    [row] = answer["data"]
    assert row["Agent"]["id"] == "493934"
    assert row["Agent"]["firstname"] == "Rosalba"
    assert row["Agent"]["availability_status"] == "online"
    assert row["Agent"]["extension"] == "1002"


def test_agents_are_found_by_id_and_by_number(api: httpx.Client) -> None:
    by_id = api.get("/agents/index.json", params={"id": "493933"}).json()["responseData"]
    by_number = api.get("/agents/index.json", params={"associated_number": "+390612345678"}).json()[
        "responseData"
    ]
    assert [row["Agent"]["id"] for row in by_id["data"]] == ["493933"]
    assert by_number["itemsCount"] == 2


def test_a_page_size_out_of_bounds_is_refused(api: httpx.Client) -> None:
    assert api.get("/agents/index.json", params={"limit": 1001}).status_code == 406


def test_agents_can_be_loaded_again_while_it_runs(
    cloudtalk: Running[CloudTalk], api: httpx.Client, http: httpx.Client
) -> None:
    http.put(f"{cloudtalk.base_url}/_sim/agents", json=[{"id": 7, "name": "Zeno Però", "status": "paused"}])
    assert status_of(api, "7") == "paused"
    refused = http.put(f"{cloudtalk.base_url}/_sim/agents", json=[{"id": 7, "mood": "good"}])
    assert (refused.status_code, refused.json()) == (400, {"error": "an agent has no mood"})


# ── key and rate limit ──────────────────────────────────────────────────────


@pytest.mark.parametrize("pair", [("sim-key-id", "wrong"), ("nobody", "sim-key-secret"), None])
def test_a_wrong_key_is_401_in_the_envelope(
    cloudtalk: Running[CloudTalk], http: httpx.Client, pair: tuple[str, str] | None
) -> None:
    answer = http.get(f"{cloudtalk.api_url}/agents/index.json", auth=pair)
    assert answer.status_code == 401
    assert answer.json()["responseData"]["status"] == 401


def test_the_minute_slides_and_says_when_it_is_free_again(
    cloudtalk: Running[CloudTalk], api: httpx.Client
) -> None:
    cloudtalk.set_knobs(rate_limit_per_min=3)
    answers = [api.get("/agents/index.json") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-CloudTalkAPI-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert answers[3].headers["X-CloudTalkAPI-Limit"] == "3"
    assert 58 <= int(answers[3].headers["X-CloudTalkAPI-ResetTime"]) - time.time() <= 61
    assert "Retry-After" not in answers[3].headers
    account = cloudtalk.simulator.accounts["sim-key-id"]
    assert account.busiest_minute == 3


def test_a_refused_request_takes_nothing_from_the_minute_and_has_no_effect(
    cloudtalk: Running[CloudTalk], api: httpx.Client
) -> None:
    cloudtalk.set_knobs(rate_limit_per_min=1)
    api.get("/agents/index.json")
    assert call(api).status_code == 429
    assert cloudtalk.simulator.calls() == []


def test_two_companies_have_their_own_agents_and_their_own_minute(http: httpx.Client) -> None:
    accounts = [
        {"key_id": "a", "key_secret": "x", "agents": [VANZI]},
        {"key_id": "b", "key_secret": "y", "agents": [GOZZI]},
    ]
    with start_cloudtalk(accounts=accounts, rate_limit_per_min=1) as cloudtalk:
        first = http.get(f"{cloudtalk.api_url}/agents/index.json", auth=("a", "x"))
        second = http.get(f"{cloudtalk.api_url}/agents/index.json", auth=("b", "y"))
        again = http.get(f"{cloudtalk.api_url}/agents/index.json", auth=("a", "x"))
    assert first.json()["responseData"]["data"][0]["Agent"]["id"] == "493933"
    assert second.json()["responseData"]["data"][0]["Agent"]["id"] == "493934"
    assert again.status_code == 429


def test_an_unknown_route_answers_in_another_shape(api: httpx.Client) -> None:
    answer = api.get("/agents/list.json")
    assert (answer.status_code, answer.json()) == (
        404,
        {"name": "Not Found", "message": "Not Found", "url": "/api/agents/list.json"},
    )


# ── contacts ────────────────────────────────────────────────────────────────


def test_a_contact_is_added_shown_edited_and_deleted(api: httpx.Client) -> None:
    added = api.put("/contacts/add.json", json=contact(ContactsTag=[{"name": "lead"}]))
    assert (added.status_code, added.json()["responseData"]["status"]) == (201, 201)
    contact_id = added.json()["responseData"]["data"]["id"]
    assert isinstance(contact_id, str)

    edited = api.post(
        f"/contacts/edit/{contact_id}.json", json={"ContactEmail": [{"email": "g@posta.example"}]}
    )
    assert edited.json() == {"responseData": {"status": 200}}
    shown = api.get(f"/contacts/show/{contact_id}.json").json()["responseData"]
    assert shown["Contact"]["name"] == "Giulia Conti"
    assert shown["Contact"]["company"] is None
    assert shown["ContactNumber"] == [{"public_number": 393510004127, "contact_id": contact_id}]
    assert shown["ContactEmail"] == [{"email": "g@posta.example", "contact_id": contact_id}]
    assert shown["Tag"] == [{"name": "lead"}]
    assert shown["ExternalUrl"] is None

    assert api.delete(f"/contacts/delete/{contact_id}.json").status_code == 200
    assert api.get(f"/contacts/show/{contact_id}.json").status_code == 404


def test_an_edit_replaces_a_whole_list_and_an_empty_text_clears_it(api: httpx.Client) -> None:
    contact_id = api.put("/contacts/add.json", json=contact()).json()["responseData"]["data"]["id"]
    api.post(f"/contacts/edit/{contact_id}.json", json={"ContactNumber": [{"public_number": OTHER}]})
    shown = api.get(f"/contacts/show/{contact_id}.json").json()["responseData"]
    assert [row["public_number"] for row in shown["ContactNumber"]] == [393510004128]
    api.post(f"/contacts/edit/{contact_id}.json", json={"ContactNumber": ""})
    assert api.get(f"/contacts/show/{contact_id}.json").json()["responseData"]["ContactNumber"] == []


def test_a_number_is_found_by_keyword_only_and_twice_when_it_was_added_twice(api: httpx.Client) -> None:
    api.put("/contacts/add.json", json=contact())
    api.put("/contacts/add.json", json=contact(name="Un altro"))
    rows = api.get("/contacts/index.json", params={"keyword": "3510004127"}).json()["responseData"]["data"]
    assert [row["Contact"]["name"] for row in rows] == ["Giulia Conti", "Un altro"]
    assert rows[0]["ContactNumber"] == {"public_number": 393510004127}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 151}, "name"),
        ({"name": 5}, "name"),
        (contact(zip="1" * 16), "zip"),
        (contact(ContactNumber=[{"public_number": "35"}]), "public_number"),
        (contact(ContactEmail=[{"email": "nessuna chiocciola"}]), "email"),
        (contact(ExternalUrl=[{"name": "a"}] * 4), "ExternalUrl"),
        (contact(country_id="IT"), "country_id"),
        (contact(ContactsTag=["lead"]), "ContactsTag"),
        ([], "body"),
    ],
)
def test_a_wrong_contact_is_406_and_names_the_field(api: httpx.Client, body: object, field: str) -> None:
    answer = api.put("/contacts/add.json", json=body)
    assert answer.status_code == 406
    refusal = answer.json()["responseData"]
    assert refusal["message"] == "Invalid input data."
    assert field in refusal["data"]


def test_an_unknown_field_is_taken_and_remarked(cloudtalk: Running[CloudTalk], api: httpx.Client) -> None:
    assert api.put("/contacts/add.json", json=contact(telefono="x")).status_code == 201
    assert [warning.message for warning in cloudtalk.simulator.warnings] == ["unknown field telefono"]


def test_bulk_answers_200_with_a_result_for_each_item(api: httpx.Client) -> None:
    actions = [
        {"action": "add_contact", "command_id": "a", "data": contact()},
        {"action": "add_contact", "command_id": "b", "data": contact(ContactEmail=[{"email": "x"}])},
        {"action": "edit_contact", "command_id": "c", "data": {"id": "404", "city": "Bari"}},
        {"action": "dance", "command_id": "d", "data": {}},
    ]
    answer = api.post("/bulk/contacts.json", json=actions)
    assert answer.status_code == 200
    results = answer.json()["responseData"]["data"]
    assert [(result["command_id"], result["status"]) for result in results] == [
        ("a", 201),
        ("b", 406),
        ("c", 404),
        ("d", 406),
    ]
    assert results[1]["data"] == {"email": ["Please supply a valid email address."]}


def test_bulk_takes_ten_and_refuses_eleven(cloudtalk: Running[CloudTalk], api: httpx.Client) -> None:
    action = {"action": "add_contact", "command_id": "a", "data": contact()}
    assert api.post("/bulk/contacts.json", json=[action] * 11).status_code == 406
    assert api.post("/bulk/contacts.json", json=[action] * 10).status_code == 200
    assert len(cloudtalk.simulator.accounts["sim-key-id"].contacts) == 10


def test_tags_notes_and_activities_belong_to_a_contact(api: httpx.Client) -> None:
    contact_id = api.put("/contacts/add.json", json=contact()).json()["responseData"]["data"]["id"]
    tagged = api.put(f"/contacts/addTags/{contact_id}.json", json={"tags": ["VIP"]}).json()["responseData"]
    assert tagged["data"] == {"tags": [{"id": "1", "name": "VIP"}], "contact_id": contact_id}
    assert api.put(f"/notes/add/{contact_id}.json", json={"note": "ciao"}).status_code == 201
    assert api.put(f"/notes/add/{contact_id}.json", json={}).status_code == 406
    assert (
        api.put(f"/activity/add/{contact_id}.json", json={"type": "task", "name": "Chiamare"}).status_code
        == 201
    )
    assert api.put(f"/activity/add/{contact_id}.json", json={"type": "party", "name": "x"}).status_code == 406
    assert api.put("/notes/add/404.json", json={"note": "ciao"}).status_code == 404


# ── calls ───────────────────────────────────────────────────────────────────


def test_a_call_rings_the_agent_and_its_events_tell_the_story_in_order(
    cloudtalk: Running[CloudTalk], receiver: Running[Receiver], api: httpx.Client
) -> None:
    contact_id = api.put("/contacts/add.json", json=contact()).json()["responseData"]["data"]["id"]
    answer = call(api)
    assert (answer.status_code, answer.json()) == (200, {"responseData": {"status": 200}})
    assert status_of(api, "493933") == "calling"
    ended(cloudtalk)
    receiver.wait_for(lambda: hooks(receiver, "recording.uploaded"))
    assert [h["event"] for h in hooks(receiver) if h["event"].startswith("call.")] == [
        "call.started",
        "call.ringing",
        "call.answered",
        "call.ended",
    ]
    [started], [last] = hooks(receiver, "call.started"), hooks(receiver, "call.ended")
    assert started["external_number"] == 393510004127
    assert started["internal_number"] == 390612345678
    assert (started["agent_id"], started["contact_id"]) == (493933, int(contact_id))
    assert "call_id" not in started
    assert last["call_uuid"] == started["call_uuid"]
    assert last["call_id"] == 1009990001
    assert 12 <= last["talking_time"] <= 20
    [headers] = {
        (e["headers"]["user-agent"], e["headers"]["authorization"]) for e in receiver.received("/hook")
    }
    assert headers == ("cloudtalk-workflow-automation", "Bearer stat…")


def test_an_agents_status_moves_to_calling_and_back_and_says_so(
    cloudtalk: Running[CloudTalk], receiver: Running[Receiver], api: httpx.Client
) -> None:
    call(api)
    receiver.wait_for(lambda: len(hooks(receiver, "user.status_changed")) == 2)
    assert [(h["agent_id"], h["status"]) for h in hooks(receiver, "user.status_changed")] == [
        (493933, "calling"),
        (493933, "online"),
    ]


def test_the_list_holds_finished_calls_only(cloudtalk: Running[CloudTalk], api: httpx.Client) -> None:
    call(api)
    assert api.get("/calls/index.json").json()["responseData"]["itemsCount"] == 0
    ended(cloudtalk)
    [row] = api.get("/calls/index.json", params={"public_external": "393510004127"}).json()["responseData"][
        "data"
    ]
    assert row["Cdr"]["id"] == "1009990001"
    assert row["Cdr"]["public_external"] == 393510004127
    assert row["Cdr"]["user_id"] == "493933"
    assert 12 <= int(row["Cdr"]["talking_time"]) <= 20
    assert api.get("/calls/index.json", params={"status": "missed"}).json()["responseData"]["itemsCount"] == 0
    assert (
        api.get("/calls/index.json", params={"date_from": "2099-01-01 00:00:00"}).json()["responseData"][
            "data"
        ]
        == []
    )
    assert api.get("/calls/index.json", params={"date_from": "ieri"}).status_code == 406
    assert api.get("/calls/recording/1009990001.json").headers["content-type"] == "audio/x-wav"


def test_an_agent_who_lets_it_ring_is_no_error_but_a_missed_call(
    cloudtalk: Running[CloudTalk], receiver: Running[Receiver], api: httpx.Client, http: httpx.Client
) -> None:
    cloudtalk.set_knobs(behaviours={"493933": {"pickup_probability": 0}})
    assert call(api).status_code == 200
    ended(cloudtalk)
    [last] = receiver.wait_for(lambda: hooks(receiver, "call.ended"))
    assert (last["talking_time"], last["waiting_time"], last["recording_url"]) == (0, 20, None)
    assert hooks(receiver, "call.answered") == []
    analytics = f"{cloudtalk.base_url}/analytics/api/calls/{last['call_id']}"
    detail = http.get(analytics, auth=("sim-key-id", "sim-key-secret")).json()
    assert detail["status"] == "missed"
    assert detail["call_steps"][0]["reason"] == "not_picked_up"


def test_a_customer_who_does_not_answer_gives_an_answered_event_and_no_talk(
    cloudtalk: Running[CloudTalk], receiver: Running[Receiver], api: httpx.Client
) -> None:
    cloudtalk.set_knobs(behaviours={NUMBER: {"customer_picks_up": False}})
    call(api)
    [last] = receiver.wait_for(lambda: hooks(receiver, "call.ended"))
    assert last["talking_time"] == 0
    assert len(hooks(receiver, "call.answered")) == 1


def test_calls_can_be_scripted_one_after_the_other(cloudtalk: Running[CloudTalk], api: httpx.Client) -> None:
    cloudtalk.set_knobs(
        next_calls=[{"agent_picks_up": False}, {"pickup_after_s": 1, "talk_s": 12, "goes": "offline"}]
    )
    call(api, 493933)
    call(api, 493934, OTHER)
    ended(cloudtalk, 2)
    first, second = cloudtalk.simulator.calls()
    assert first.talking_time == 0
    assert second.talking_time == 12
    cloudtalk.wait_for(lambda: second.agent.status == "offline")


def test_a_hand_on_the_page_answers_and_hangs_up(
    cloudtalk: Running[CloudTalk], api: httpx.Client, http: httpx.Client
) -> None:
    cloudtalk.set_knobs(time_scale=1)
    call(api)
    [live] = http.get(f"{cloudtalk.base_url}/_sim/calls").json()
    assert live["state"] == "ringing"
    http.post(f"{cloudtalk.base_url}/_sim/calls/{live['call_uuid']}/answer")
    cloudtalk.wait_for(lambda: cloudtalk.simulator.calls()[0].state == "dialling")
    http.post(f"{cloudtalk.base_url}/_sim/calls/{live['call_uuid']}/hangup")
    ended(cloudtalk)
    assert cloudtalk.simulator.calls()[0].talking_time == 0


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ({"status": "offline"}, (403, "Agent is not online.")),
        ({"status": "paused"}, (403, "Agent is not online.")),
        ({"status": "away"}, (403, "Agent is not online.")),
        ({"status_outbound": False}, (403, "Agent is not online.")),
        ({"is_daily_limit_ok": False}, (403, "Agent is not online.")),
        ({"status": "calling"}, (409, "Agent is already calling.")),
    ],
)
def test_an_agent_who_cannot_call_is_refused_and_nothing_rings(
    cloudtalk: Running[CloudTalk],
    api: httpx.Client,
    http: httpx.Client,
    agent: dict[str, object],
    expected: tuple[int, str],
) -> None:
    http.put(f"{cloudtalk.base_url}/_sim/agents", json=[{"id": 493933, **agent}])
    answer = call(api)
    assert (answer.status_code, answer.json()["responseData"]["message"]) == expected
    assert cloudtalk.simulator.calls() == []


def test_a_second_call_to_a_busy_agent_is_409(cloudtalk: Running[CloudTalk], api: httpx.Client) -> None:
    assert call(api).status_code == 200
    assert call(api, number=OTHER).status_code == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"agent_id": 1, "callee_number": NUMBER}, 404),
        ({"agent_id": 493933, "callee_number": "3510004127"}, 406),
        ({"agent_id": 493933, "callee_number": "+0039"}, 406),
        ({"agent_id": 493933}, 406),
        ({"agent_id": None, "callee_number": NUMBER}, 406),
        ({"callee_number": NUMBER}, 406),
        ([], 406),
    ],
)
def test_a_wrong_call_request_is_refused(api: httpx.Client, body: object, status: int) -> None:
    assert api.post("/calls/create.json", json=body).status_code == status


def test_of_two_calls_at_once_to_one_agent_one_is_refused(
    cloudtalk: Running[CloudTalk], api: httpx.Client
) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda n: call(api, number=f"+3935100000{n:02d}").status_code, range(8))
    assert sorted(answers) == [200] + [409] * 7
    assert len(cloudtalk.simulator.calls()) == 1


def test_the_exchange_can_refuse_a_well_formed_number(
    cloudtalk: Running[CloudTalk], api: httpx.Client
) -> None:
    cloudtalk.set_knobs(refused_numbers=[NUMBER])
    assert call(api).status_code == 406


def test_an_agent_id_as_text_is_taken_and_remarked(cloudtalk: Running[CloudTalk], api: httpx.Client) -> None:
    assert call(api, agent_id="493933").status_code == 200
    assert "agent_id is a string" in cloudtalk.simulator.warnings[0].message


def test_two_live_calls_for_one_number_are_a_violation(
    cloudtalk: Running[CloudTalk], api: httpx.Client
) -> None:
    cloudtalk.set_knobs(time_scale=1, stay_online=True)
    call(api, 493933)
    call(api, 493934, OTHER)
    assert cloudtalk.violations == []
    call(api, 493934)
    [violation] = cloudtalk.violations
    assert violation["number"] == NUMBER
    assert len(violation["calls"]) == 2


def test_agents_that_stay_on_line_take_call_after_call(
    cloudtalk: Running[CloudTalk], api: httpx.Client
) -> None:
    cloudtalk.set_knobs(stay_online=True, rate_limit_per_min=1000)
    assert [call(api, number=f"+39351000{n:04d}").status_code for n in range(20)] == [200] * 20


# ── the ways in which it misbehaves ─────────────────────────────────────────


def test_a_slow_answer_comes_while_the_phone_is_already_ringing(
    cloudtalk: Running[CloudTalk], api: httpx.Client
) -> None:
    cloudtalk.set_knobs(answer_delay_s=0.3)
    began = time.monotonic()
    assert call(api).status_code == 200
    assert time.monotonic() - began >= 0.3
    assert len(cloudtalk.simulator.calls()) == 1


def test_the_answer_can_wait_for_the_agent(cloudtalk: Running[CloudTalk], api: httpx.Client) -> None:
    cloudtalk.set_knobs(answer_after_agent_leg=True)
    assert call(api).status_code == 200
    assert cloudtalk.simulator.calls()[0].agent_answered_at is not None


def test_a_lost_answer_leaves_a_call_that_rings(cloudtalk: Running[CloudTalk], api: httpx.Client) -> None:
    cloudtalk.set_knobs(next_responses=[{"endpoint": "calls/create", "drop": True}])
    with pytest.raises(httpx.RemoteProtocolError):
        call(api)
    assert len(cloudtalk.simulator.calls()) == 1
    assert [entry["status"] for entry in cloudtalk.received("calls/create")] == [None]


@pytest.mark.parametrize(("happens", "calls"), [(True, 1), (False, 0), (None, 0)])
def test_a_500_hides_whether_the_call_exists(
    cloudtalk: Running[CloudTalk], api: httpx.Client, happens: bool | None, calls: int
) -> None:
    cloudtalk.set_knobs(next_responses=[{"endpoint": "calls/create", "status": 500, "happens": happens}])
    answer = call(api)
    assert (answer.status_code, answer.json()["responseData"]["message"]) == (500, "Something went wrong.")
    assert len(cloudtalk.simulator.calls()) == calls
    assert call(api, 493934, OTHER).status_code == 200


def test_scripted_answers_are_for_one_endpoint_and_so_many_times(
    cloudtalk: Running[CloudTalk], api: httpx.Client
) -> None:
    cloudtalk.set_knobs(next_responses=[{"endpoint": "/api/agents/index.json", "status": 429, "times": 2}])
    assert call(api).status_code == 200
    answers = [api.get("/agents/index.json") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert "X-CloudTalkAPI-ResetTime" in answers[0].headers


@pytest.mark.parametrize("garbage", [True, "json", "http"])
def test_garbage_is_no_answer(cloudtalk: Running[CloudTalk], api: httpx.Client, garbage: object) -> None:
    cloudtalk.set_knobs(next_responses=[{"garbage": garbage}])
    try:
        answer = api.get("/agents/index.json")
    except httpx.RemoteProtocolError:
        assert garbage == "http"
        return
    try:
        assert isinstance(answer.json(), list)
        assert garbage == "json"
    except ValueError:
        assert garbage is True


def test_an_error_rate_of_one_is_always(cloudtalk: Running[CloudTalk], api: httpx.Client) -> None:
    cloudtalk.set_knobs(error_rates={"calls/create": {"500": 1}})
    assert call(api).status_code == 500
    assert api.get("/agents/index.json").status_code == 200


@pytest.mark.parametrize("how", ["reset", "503"])
def test_a_provider_that_is_down_refuses_everything_but_its_own_page(
    cloudtalk: Running[CloudTalk], api: httpx.Client, http: httpx.Client, how: str
) -> None:
    cloudtalk.set_knobs(down=True, down_how=how)
    if how == "503":
        assert api.get("/agents/index.json").status_code == 503
    else:
        with pytest.raises(httpx.RemoteProtocolError):
            api.get("/agents/index.json")
    http.put(f"{cloudtalk.base_url}/_sim/knobs", json={"down": False})
    assert api.get("/agents/index.json").status_code == 200


def test_events_can_come_twice(
    cloudtalk: Running[CloudTalk], receiver: Running[Receiver], api: httpx.Client
) -> None:
    cloudtalk.set_knobs(duplicate_events=True)
    call(api)
    ended(cloudtalk)
    receiver.wait_for(lambda: len(hooks(receiver, "call.ended")) == 2)
    assert len(hooks(receiver, "call.started")) == 2


def test_events_can_get_lost(
    cloudtalk: Running[CloudTalk], receiver: Running[Receiver], api: httpx.Client
) -> None:
    cloudtalk.set_knobs(lose_event_kinds=["call.answered", "call.ended"])
    call(api)
    receiver.wait_for(lambda: hooks(receiver, "recording.uploaded"))
    assert {h["event"] for h in hooks(receiver)} == {
        "user.status_changed",
        "call.started",
        "call.ringing",
        "recording.uploaded",
    }
    assert cloudtalk.simulator.counters["lost call.ended"] == 1


def test_events_can_overtake_each_other(
    cloudtalk: Running[CloudTalk], receiver: Running[Receiver], api: httpx.Client
) -> None:
    cloudtalk.set_knobs(reorder_events=0.5, reorder_delay_s=60, seed=4)
    call(api)
    ended(cloudtalk)
    receiver.wait_for(lambda: len([h for h in hooks(receiver) if h["event"].startswith("call.")]) == 4)
    order = [h["event"] for h in hooks(receiver) if h["event"].startswith("call.")]
    assert order != ["call.started", "call.ringing", "call.answered", "call.ended"]


def test_events_take_the_names_that_the_customer_gave_them(
    cloudtalk: Running[CloudTalk], receiver: Running[Receiver], api: httpx.Client
) -> None:
    cloudtalk.set_knobs(
        event_shape="observed", event_aliases={"external_number": "phone"}, null_agent_on_start=True
    )
    call(api)
    receiver.wait_for(lambda: [h for h in hooks(receiver) if h.get("action") == "ended"])
    [started] = [h for h in hooks(receiver) if h["action"] == "call_started"]
    assert started["phone"] == 393510004127
    assert started["agent_id"] is None
    assert "event" not in started
    [first, *_] = [h for h in hooks(receiver) if h["action"] == "agent_status_changed"]
    assert (first["id"], first["status"]) == (493933, "calling")


def test_a_receiver_that_is_gone_does_not_stop_the_calls(
    cloudtalk: Running[CloudTalk], receiver: Running[Receiver], api: httpx.Client
) -> None:
    receiver.set_knobs(down=True)
    call(api)
    ended(cloudtalk)
    cloudtalk.wait_for(lambda: len(cloudtalk.deliveries) >= 4)
    assert all(delivery["status"] is None for delivery in cloudtalk.deliveries)


def test_the_same_seed_gives_the_same_calls(http: httpx.Client) -> None:
    def outcome(seed: int) -> list[tuple[str, bool]]:
        with start_cloudtalk(
            agents=[VANZI], seed=seed, time_scale=10_000, stay_online=True, pickup_probability=0.5
        ) as cloudtalk:
            for n in range(12):
                http.post(
                    f"{cloudtalk.api_url}/calls/create.json",
                    json={"agent_id": 493933, "callee_number": f"+39351000{n:04d}"},
                    auth=("sim-key-id", "sim-key-secret"),
                )
            ended(cloudtalk, 12)
            return [(c.call_uuid, c.talking_time > 0) for c in cloudtalk.simulator.calls()]

    assert outcome(7) == outcome(7)
    assert outcome(7) != outcome(8)


def test_idle_agents_come_and_go_when_asked(http: httpx.Client) -> None:
    with start_cloudtalk(agents=[VANZI, GOZZI], time_scale=1000, drift_every_s=10) as cloudtalk:
        cloudtalk.wait_for(
            lambda: "paused" in {a.status for a in cloudtalk.simulator.accounts["sim-key-id"].agents.values()}
        )
