"""A lead's call, from the request to its end: routing.md 8, each answer of ROU-67, and what a crash leaves."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from django.db import IntegrityError
from django.utils import timezone

from filiera.platform import limiter
from filiera.platform.models import EndpointHealth, RequestBudget
from filiera.routing import outcomes, rules
from filiera.routing.call_rules import ITALIAN
from filiera.routing.models import Alert, CallAttempt, Connection, Decision, Process, ProviderContact
from tests.routing.conftest import Calling


def lives(calling: Calling) -> int:
    """How many phones ring or are in somebody's hand, as far as we know."""
    with calling.scope():
        return CallAttempt.objects.filter(state__in=CallAttempt.LIVE, ended_at__isnull=True).count()


# The happy path


def test_a_lead_rings_the_agent_whose_turn_it_is(calling: Calling) -> None:
    assigned = calling.lead(phone="351 000 4127", external_id="ghl-contact-123")
    calling.place()

    assert calling.rung() == [("101", "+393510004127")]
    process, (attempt,) = calling.process(), calling.attempts()
    assert (attempt.state, attempt.http_status, attempt.number_e164) == ("accepted", 200, "+393510004127")
    assert attempt.decision_id == assigned.decision_id
    assert (process.success, process.final_status, process.attempts) == (
        True,
        "CALL_INITIATED_SUCCESSFULLY",
        1,
    )
    assert process.processing_time_ms < 2000
    with calling.scope():
        contact = ProviderContact.objects.get()
    assert calling.answer() == (
        200,
        {
            "success": True,
            "message": "Lead processato con successo - Chiamata iniziata",
            "processId": process.number,
            "selectedAgent": {"id": 101, "name": "Alice Arcari", "extension": 1001},
            "callInitiated": True,
            "steps": {"contactCreated": True, "agentSelected": True, "callStarted": True},
        },
    )
    assert process.number.startswith("lead_")
    assert process.number[5:].isdigit()
    assert process.steps == {
        "contactCreation": {"success": True, "contactId": int(contact.provider_contact_id)},
        "agentDistribution": {"success": True, "selectedAgentId": 101, "selectedAgentName": "Alice Arcari"},
        "callInitiation": {"success": True},
    }
    assert [event.kind for event in calling.events("call.started", "call.answered")] == ["call.started"]


def test_five_leads_go_round_and_a_number_is_made_a_contact_only_once(calling: Calling) -> None:
    calling.pbx.set_knobs(stay_online=True)
    with calling.scope():
        for agent in list(outcomes.Agent.objects.all()):
            outcomes.Agent.objects.filter(id=agent.id).update(max_concurrent_calls=10)
    assigned = calling.leads(5)
    calling.place()
    by_number = sorted(calling.rung(), key=lambda call: call[1])  # they leave together, in any order
    assert [agent for agent, _number in by_number] == ["101", "102", "103", "101", "102"]
    assert [item.agent.name for item in assigned][:3] == ["Alice Arcari", "Bruno Bassi", "Carla Corti"]
    assert len(calling.pbx.received("bulk/contacts")) == 1
    assert calling.pbx.violations == []


def test_before_anything_is_known_the_sender_hears_that_it_goes_on(calling: Calling) -> None:
    calling.lead()
    status, body = calling.answer()
    assert status == 202
    assert body == {
        "success": True,
        "message": "Lead ricevuto - Chiamata in preparazione",
        "processId": calling.process().number,
        "callInitiated": False,
        "steps": {"contactCreated": False, "agentSelected": False, "callStarted": False},
    }


def test_the_agent_picks_up_and_the_call_ends(calling: Calling) -> None:
    calling.lead()
    calling.place()
    calling.wait_for_events("call.ended")
    calling.deliver(*calling.posted)

    (attempt,) = calling.attempts()
    assert (attempt.state, attempt.check_at) == ("answered", None)
    assert attempt.call_uuid
    assert attempt.call_id
    assert attempt.talking_seconds > 0
    assert attempt.ended_at is not None
    assert calling.process().state == "done"
    kinds = [
        event.kind for event in calling.events("call.started", "call.answered", "call.ended", "call.missed")
    ]
    assert sorted(kinds) == ["call.answered", "call.ended", "call.started"]
    (ended,) = calling.events("call.ended")
    assert ended.data["attempt_id"] == str(attempt.id)
    assert ended.data["talking_seconds"] == attempt.talking_seconds


def test_a_test_lead_is_never_dialled(calling: Calling) -> None:
    calling.lead(is_test=True)
    calling.place()
    assert calling.rung() == []
    with calling.scope():
        assert not Process.objects.exists()
        assert Decision.objects.count() == 1


def test_a_lead_of_a_source_that_does_not_call_gets_an_agent_and_no_call(calling: Calling) -> None:
    calling.lead(auto_call=False)
    calling.place()
    assert calling.rung() == []
    with calling.scope():
        assert Decision.objects.get().agent.name == "Alice Arcari"


# Nobody there, wrong numbers


def test_with_nobody_on_line_the_sender_is_told_and_the_lead_waits(calling: Calling) -> None:
    calling.all_offline()
    calling.lead(external_id="ghl-9")
    before = timezone.now()
    calling.place()

    process = calling.process()
    assert calling.rung() == []
    assert calling.answer() == (
        503,
        {
            "success": False,
            "message": "Lead-to-Call fallito: Nessun agente disponibile",
            "error": "NO_AGENTS_AVAILABLE",
            "availableAgents": 0,
            "steps": {"contactCreated": True, "agentSelected": False, "callStarted": False},
            "processId": process.number,
            "leadId": "ghl-9",
        },
    )
    assert (process.state, process.round, process.delays_used) == ("waiting", 1, 1)
    assert timedelta(seconds=59) < process.due_at - before < timedelta(seconds=65)


def test_the_delayed_tries_end_with_a_person(calling: Calling, settings: Any) -> None:
    calling.all_offline()
    calling.lead()
    waits = []
    for _round in range(4):
        before = timezone.now()
        calling.place()
        due = calling.process().due_at
        waits.append(round((due - before).total_seconds() / 10) * 10 if due else None)
        calling.make_due()
    assert waits == [60, 300, 900, None]
    assert calling.process().state == "done"
    (event,) = calling.events("calls.exhausted")
    assert event.data["code"] == "NO_AGENTS_AVAILABLE"


def test_a_delayed_try_waits_for_the_working_hours(calling: Calling) -> None:
    today = timezone.localtime(timezone=ZoneInfo("Europe/Rome")).date()
    opening = next(
        day for day in (today + timedelta(days=2 + n) for n in range(4)) if not ITALIAN.why_closed(day)
    )
    calling.brand.settings = {"working_hours": {rules.DAYS[opening.weekday()]: [["09:30", "12:00"]]}}
    calling.brand.save()
    calling.all_offline()
    calling.lead()
    calling.place()
    assert calling.process().due_at == datetime.combine(opening, time(9, 30), ZoneInfo("Europe/Rome"))


def test_who_comes_on_line_gets_the_lead_that_waits(calling: Calling) -> None:
    calling.all_offline()
    calling.lead()
    calling.place()
    calling.move("102", to="online")
    with calling.scope():
        outcomes.wake_waiting(1, now=timezone.now())
    calling.place()
    assert [agent for agent, _ in calling.rung()] == ["102"]
    assert calling.process().success is True
    assert calling.answer()[0] == 200


@pytest.mark.parametrize(
    ("phone", "code", "meaning"),
    [
        ("", "MISSING_PHONE", "Telefono mancante nel lead"),
        ("12", "INVALID_PHONE", "Numero telefono non valido"),
    ],
)
def test_a_number_that_cannot_be_called_ends_where_people_see_it(
    calling: Calling, phone: str, code: str, meaning: str
) -> None:
    calling.lead(phone=phone)
    calling.place()
    status, body = calling.answer()
    assert (status, body["error"], body["message"]) == (400, code, f"Lead-to-Call fallito: {meaning}")
    assert calling.rung() == []
    (event,) = calling.events("call.failed")
    assert event.data["code"] == code
    assert calling.process().state == "done"


# Each answer of ROU-67


def test_403_tries_the_next_agent(calling: Calling) -> None:
    calling.pbx.set_knobs(next_responses=[{"endpoint": "calls/create", "status": 403}])
    calling.lead()
    calling.place()
    assert [agent for agent, _ in calling.rung()] == ["101", "102"]
    first, second = calling.attempts()
    assert (first.state, first.error_code, first.http_status) == ("refused", "AGENT_NOT_AVAILABLE", 403)
    assert second.state == "accepted"


def test_409_tries_the_next_agent_with_attempts_two(calling: Calling) -> None:
    calling.pbx.set_knobs(next_responses=[{"endpoint": "calls/create", "status": 409}])
    calling.lead()
    calling.place()
    assert [agent for agent, _ in calling.rung()] == ["101", "102"]
    assert calling.attempts()[0].error_code == "AGENT_BUSY"
    assert calling.process().attempts == 2
    assert calling.answer()[0] == 200
    with calling.scope():
        decisions = list(Decision.objects.order_by("sequence"))
    assert len(decisions) == 2
    assert {c["id"]: c.get("why") for c in decisions[1].candidates}[
        str(decisions[0].agent_id)
    ] == "already_tried"


def test_the_third_refusal_stops(calling: Calling) -> None:
    calling.pbx.set_knobs(next_responses=[{"endpoint": "calls/create", "status": 409, "times": 9}])
    calling.lead()
    calling.place()
    assert [agent for agent, _ in calling.rung()] == ["101", "102", "103"]
    status, body = calling.answer()
    assert (status, body["error"]) == (503, "AGENT_BUSY")
    assert body["message"] == "Lead-to-Call fallito: Agente impegnato"
    process = calling.process()
    assert (process.state, process.delays_used) == ("waiting", 1)


def test_404_skips_the_agent_and_alerts(calling: Calling) -> None:
    calling.pbx.set_knobs(next_responses=[{"endpoint": "calls/create", "status": 404}])
    calling.lead()
    calling.place()
    assert [agent for agent, _ in calling.rung()] == ["101", "102"]
    with calling.scope():
        assert Alert.objects.get().condition == f"unknown_agent:{calling.agent('101').id}"


def test_406_stops_with_no_other_agent(calling: Calling) -> None:
    calling.pbx.set_knobs(next_responses=[{"endpoint": "calls/create", "status": 406}])
    calling.lead()
    calling.place()
    assert len(calling.rung()) == 1
    status, body = calling.answer()
    assert (status, body["error"]) == (400, "INVALID_PHONE")
    assert calling.process().state == "done"


def test_429_waits_for_the_reset_and_asks_the_same_agent(calling: Calling) -> None:
    calling.pbx.set_knobs(next_responses=[{"endpoint": "calls/create", "status": 429}])
    calling.lead()
    calling.place()
    assert len(calling.rung()) == 1
    process = calling.process()
    assert (process.state, process.attempts, process.success) == ("waiting", 0, None)
    assert process.due_at > timezone.now()
    assert RequestBudget.objects.get(pk=calling.connection.account).blocked_until == process.due_at

    RequestBudget.objects.update(blocked_until=None)
    calling.make_due()
    calling.place()
    assert [agent for agent, _ in calling.rung()] == ["101", "101"]
    assert calling.process().attempts == 1
    with calling.scope():
        assert Decision.objects.count() == 1


def test_401_disables_the_connection_and_alerts(calling: Calling) -> None:
    calling.pbx.set_knobs(next_responses=[{"endpoint": "calls/create", "status": 401}])
    calling.leads(1)
    calling.place()
    assert (calling.answer()[0], calling.answer()[1]["error"]) == (500, "CALL_FAILED")
    with calling.scope():
        assert not Connection.objects.get().is_enabled
        assert Alert.objects.get().condition == "key_refused"
    calling.lead()
    calling.place()
    assert len(calling.rung()) == 1
    assert calling.process(1).error_message == "Il centralino rifiuta la chiave"


def test_any_other_4xx_stops(calling: Calling) -> None:
    calling.pbx.set_knobs(
        next_responses=[{"endpoint": "calls/create", "status": 402, "message": "No credit."}]
    )
    calling.lead()
    calling.place()
    assert len(calling.rung()) == 1
    process = calling.process()
    assert (process.state, process.error_code, process.error_message) == ("done", "CALL_FAILED", "No credit.")
    assert calling.answer()[0] == 500


@pytest.mark.parametrize(
    "scripted",
    [
        {"status": 500, "happens": True},
        {"drop": True, "happens": True},
        {"garbage": True, "happens": True},
        {"garbage": "http", "happens": True},
    ],
)
def test_a_lost_answer_never_rings_a_second_phone(calling: Calling, scripted: dict[str, Any]) -> None:
    calling.pbx.set_knobs(
        next_responses=[{"endpoint": "calls/create", **scripted}], next_calls=[{"talk_s": 50}]
    )
    calling.lead()
    calling.place()
    assert calling.attempts()[0].state == "unknown"
    assert calling.answer()[0] == 202
    calling.make_due()
    calling.place()  # the agent is calling: nothing is repeated
    calling.wait_for_events("call.ended")
    calling.deliver(*calling.posted)
    calling.place()
    assert len(calling.rung()) == 1
    (attempt,) = calling.attempts()
    assert (attempt.state, attempt.talking_seconds) == ("answered", 50)
    assert calling.process().success is True
    assert calling.pbx.violations == []


def test_a_lost_answer_is_settled_by_the_list_when_no_event_comes(calling: Calling) -> None:
    calling.pbx.set_knobs(
        next_responses=[{"endpoint": "calls/create", "drop": True, "happens": True}], lose_events=1.0
    )
    calling.lead()
    calling.place()
    calling.place_until(lambda: calling.attempts()[0].state == "answered")
    (attempt,) = calling.attempts()
    assert attempt.call_id
    assert attempt.talking_seconds == 4
    assert len(calling.rung()) == 1
    assert [event.kind for event in calling.events("call.ended")] == ["call.ended"]


def test_an_error_without_a_call_goes_on_to_the_next_agent_only_once_it_is_certain(calling: Calling) -> None:
    calling.pbx.set_knobs(next_responses=[{"endpoint": "calls/create", "status": 500}])
    calling.lead()
    calling.place()
    assert len(calling.rung()) == 1
    calling.place_until(lambda: len(calling.rung()) == 2)
    first, second = calling.attempts()
    assert (first.state, first.error_code) == ("failed", "CALL_FAILED")
    assert second.requested_at - first.requested_at >= timedelta(seconds=0.8)
    assert [agent for agent, _ in calling.rung()] == ["101", "102"]


# Agents


@pytest.mark.parametrize("word", ["paused", "calling", "idle", "offline"])
def test_an_agent_with_another_word_is_never_chosen(calling: Calling, word: str) -> None:
    calling.move("101", to=word)
    assigned = calling.lead()
    calling.place()
    assert assigned.agent.name == "Bruno Bassi"
    assert [agent for agent, _ in calling.rung()] == ["102"]


def test_an_agent_who_lets_it_ring_is_followed_by_the_next(calling: Calling) -> None:
    calling.pbx.set_knobs(next_calls=[{"agent_picks_up": False}, {"talk_s": 9}])
    calling.lead()
    calling.place()
    calling.wait_for_events("call.ended")
    calling.deliver(*calling.posted)
    calling.place_until(lambda: len(calling.rung()) == 2)
    calling.wait_for_events("call.ended", "call.ended")
    calling.deliver(*calling.posted)

    assert [agent for agent, _ in calling.rung()] == ["101", "102"]
    assert [attempt.state for attempt in calling.attempts()] == ["missed", "answered"]
    process = calling.process()
    assert (process.success, process.state, process.attempts) == (True, "done", 2)
    assert process.agent.name == "Bruno Bassi"
    assert calling.pbx.violations == []


def test_three_agents_who_let_it_ring_leave_the_lead_to_a_person(calling: Calling) -> None:
    calling.pbx.set_knobs(pickup_probability=0)
    calling.lead()
    calling.place_until(lambda: calling.process().state == "done")
    assert [agent for agent, _ in calling.rung()] == ["101", "102", "103"]
    (event,) = calling.events("calls.exhausted")
    assert event.data["code"] == "NOT_PICKED_UP"
    assert len(calling.events("call.missed")) == 3
    assert calling.process().success is True  # a call did start: that agents let it ring is no error
    assert calling.pbx.violations == []


def test_a_customer_who_does_not_answer_is_not_rung_by_the_next_agent(calling: Calling) -> None:
    calling.pbx.set_knobs(customer_pickup_probability=0, lose_event_kinds=["call.answered"])
    calling.lead()
    calling.place()
    calling.wait_for_events("call.ended")
    calling.deliver(*calling.posted)
    calling.place_until(lambda: calling.attempts()[0].state == "answered")
    (attempt,) = calling.attempts()
    assert (attempt.talking_seconds, len(calling.rung())) == (0, 1)
    assert calling.process().state == "done"


# Events


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [3, 3, 0, 0, 1, 1, 2, 2]])
@pytest.mark.parametrize("shape", ["recommended", "observed"])
def test_events_in_any_order_and_number_bind_one_attempt(
    calling: Calling, order: list[int], shape: str
) -> None:
    calling.lead()
    calling.place()
    kinds = ["call.started", "call.ringing", "call.answered", "call.ended"]
    calling.wait_for_events(*kinds)
    bodies = [calling.body(kind) for kind in kinds]
    if shape == "observed":
        bodies = [body.replace(b'"event":"call.', b'"action":"call_') for body in bodies]
        bodies[1] = bodies[1].replace(b"call_ringing", b"ringing_on_agent")
    for index in order:
        calling.deliver(bodies[index])

    (attempt,) = calling.attempts()
    assert (attempt.state, attempt.talking_seconds, attempt.check_at) == ("answered", 4, None)
    assert attempt.call_uuid
    assert attempt.call_id
    kinds = [event.kind for event in calling.events("call.started", "call.answered", "call.ended")]
    assert sorted(kinds) == ["call.answered", "call.ended", "call.started"]


def test_an_event_before_the_answer_counts(calling: Calling) -> None:
    """The provider's event may overtake its own answer: the attempt is still only requested."""
    calling.lead()
    calling.place()
    calling.wait_for_events("call.ringing")
    with calling.scope():
        CallAttempt.objects.update(state="requested", http_status=None)
        Process.objects.update(success=None, final_status="")
    calling.deliver(calling.body("call.ringing"))
    assert calling.attempts()[0].state == "ringing"
    assert calling.process().success is True


def test_calls_of_others_and_garbage_change_nothing(calling: Calling) -> None:
    calling.lead()
    calling.place()
    strangers = [
        b'{"event":"call.answered","call_uuid":"x","external_number":393510009999,"agent_id":101}',
        b'{"event":"call.ended","call_uuid":"y","external_number":null,"talking_time":"[object Object]"}',
        b'{"event":"call.answered","direction":"incoming","external_number":393510001000,"agent_id":101}',
        b"not json",
        b"[1,2]",
        b"{}",
    ]
    calling.deliver(*strangers)
    assert calling.attempts()[0].state == "accepted"


def test_an_event_that_cannot_be_applied_stops_no_other(calling: Calling) -> None:
    """It names the ids of two calls, which the database refuses; the events beside it count all the same."""
    from filiera.platform.models import Received

    calling.leads(2)
    calling.place()
    calling.wait_for_events("call.ended", "call.ended")
    answered = [body for body in calling.posted if b'"call.answered"' in body]
    ended = [body for body in calling.posted if b'"call.ended"' in body]
    calling.deliver(*answered, ended[0])
    one, other = (orjson.loads(body) for body in ended)
    twisted = orjson.dumps(
        {"event": "call.ringing", "call_uuid": other["call_uuid"], "call_id": one["call_id"]}
    )
    calling.deliver(b"[]", twisted, ended[1])
    assert all(attempt.ended_at and attempt.call_id for attempt in calling.attempts())
    with calling.scope():
        assert not Received.objects.filter(handled_at__isnull=True).exists()
        errors = set(Received.objects.exclude(last_error="").values_list("last_error", flat=True))
    assert [error.partition(":")[0] for error in sorted(errors)] == ["IntegrityError", "not a JSON object"]


def test_a_status_event_moves_the_agent_and_wakes_who_waits(calling: Calling) -> None:
    calling.all_offline()
    calling.lead()
    calling.place()
    calling.move("103", to="offline")
    calling.pbx.do(
        lambda: setattr(calling.pbx.simulator.accounts["sim-key-id"].agents["103"], "status", "online")
    )
    calling.deliver(b'{"action":"agent_status_changed","id":"103","status":"online"}')
    assert calling.agent("103").last_status == "online"
    calling.place()
    assert [agent for agent, _ in calling.rung()] == ["103"]


# Repeats


def test_a_second_lead_of_a_person_who_waits_starts_no_second_call(calling: Calling) -> None:
    calling.all_offline()
    calling.lead(phone="+39 351 000 4127", email="mario@posta.example")
    calling.place()
    calling.move("101", to="online")
    calling.lead(phone="+39 351 000 4127", email="mario@posta.example")
    calling.place()
    with calling.scope():
        assert Process.objects.count() == 1
    assert calling.rung() == [("101", "+393510004127")]


def test_the_database_refuses_a_second_live_call(calling: Calling) -> None:
    calling.lead()
    calling.place()
    (attempt,) = calling.attempts()
    with pytest.raises(IntegrityError, match="attempt_one_live"), calling.scope():
        CallAttempt.objects.create(
            process_id=attempt.process_id,
            agent_id=attempt.agent_id,
            number_e164=attempt.number_e164,
            requested_at=timezone.now(),
        )


def test_somebody_may_start_a_call_again_once_it_is_over(calling: Calling) -> None:
    from filiera.routing import commands

    calling.pbx.set_knobs(next_responses=[{"endpoint": "calls/create", "status": 406}])
    calling.lead()
    calling.place()
    with calling.scope():
        commands.retry_process(
            process_id=calling.process().id, now=timezone.now(), number_e164="+393510004999"
        )
    calling.place()
    assert calling.rung()[-1][1] == "+393510004999"
    assert calling.process().success is True
    with calling.scope(), pytest.raises(commands.CallUnderWay):
        commands.retry_process(process_id=calling.process().id, now=timezone.now())


# What a crash leaves


def test_an_attempt_that_was_stored_and_never_sent_is_settled_before_another_is_made(
    calling: Calling,
) -> None:
    calling.lead()
    with calling.scope():
        process = Process.objects.get()
        attempt = CallAttempt.objects.create(
            process=process,
            agent=calling.agent("101"),
            number_e164=process.number_e164,
            requested_at=timezone.now(),
            check_at=timezone.now(),
        )
        Process.objects.update(state="calling", attempts=1, due_at=timezone.now())
    calling.place()
    assert calling.rung() == []  # not before the phone could have rung out
    calling.place_until(lambda: len(calling.rung()) == 1)
    first, second = calling.attempts()
    assert (first.id, first.state) == (attempt.id, "failed")
    assert second.agent.provider_agent_id == "102"


def test_an_attempt_that_was_sent_before_the_crash_is_found_by_its_events(calling: Calling) -> None:
    calling.pbx.set_knobs(next_calls=[{"talk_s": 30}])
    calling.lead()
    calling.place()
    with calling.scope():  # the answer was never saved
        CallAttempt.objects.update(state="requested", http_status=None, check_at=timezone.now())
        Process.objects.update(success=None, final_status="", due_at=timezone.now())
    calling.place()
    calling.wait_for_events("call.ended")
    calling.deliver(*calling.posted)
    calling.place()
    assert len(calling.rung()) == 1
    assert calling.attempts()[0].state == "answered"


def test_a_process_claimed_by_a_dead_worker_is_taken_up_again(calling: Calling) -> None:
    calling.lead()
    with calling.scope():
        Process.objects.update(state="calling", due_at=timezone.now() + timedelta(seconds=60))
    calling.place()
    assert calling.rung() == []
    calling.make_due()
    calling.place()
    assert len(calling.rung()) == 1


def test_while_one_process_places_another_leaves_it_alone(calling: Calling) -> None:
    calling.lead()
    with calling.scope():
        Connection.objects.update(placing_until=timezone.now() + timedelta(seconds=5))
    calling.place()
    assert calling.rung() == []
    with calling.scope():
        Connection.objects.update(placing_until=timezone.now() - timedelta(seconds=1))
    calling.place()
    assert len(calling.rung()) == 1


# The provider misbehaves


def test_while_the_provider_is_down_leads_wait_and_go_on_by_themselves(calling: Calling) -> None:
    calling.pbx.set_knobs(down=True)
    calling.leads(3)
    calling.place_until(lambda: calling.make_due() or EndpointHealth.objects.get().state == "open")
    calling.place()
    for index in range(3):
        process = calling.process(index)
        assert (process.state, process.success) == ("waiting", None)
    with calling.scope():
        from filiera.routing import queries

        waiting = queries.calls_waiting(now=timezone.now())
        assert [line.reason for line in waiting] == ["Il centralino non risponde: riproviamo da soli."] * 3
        assert queries.health(now=timezone.now())[0] == 503

    received = len(calling.pbx.log)
    calling.make_due()
    calling.place()
    assert len(calling.pbx.log) == received  # open: nobody is asked

    calling.pbx.set_knobs(down=False)
    EndpointHealth.objects.update(open_until=timezone.now())
    calling.place_until(lambda: calling.make_due() or len(calling.rung()) == 3)
    assert EndpointHealth.objects.get().state == "closed"
    assert calling.pbx.violations == []
    assert {number for _agent, number in calling.rung()} == {calling.process(n).number_e164 for n in range(3)}


def test_a_connection_refused_is_no_try(calling: Calling) -> None:
    with calling.scope():
        ProviderContact.objects.create(
            number_e164="+393510001000", provider_contact_id="7", created_at=timezone.now()
        )
        Connection.objects.update(base_url="http://127.0.0.1:9/api")
    calling.lead()
    calling.place()
    process, attempts = calling.process(), calling.attempts()
    assert attempts[0].error_code == "NOT_SENT"
    assert (process.attempts, process.state, process.success) == (0, "waiting", None)
    with calling.scope():
        Connection.objects.update(base_url=calling.pbx.api_url)
    calling.make_due()
    calling.place()
    assert [agent for agent, _ in calling.rung()] == ["101"]


def test_a_contact_that_is_refused_is_tried_plain_and_then_told(calling: Calling) -> None:
    calling.lead(email="giulia@posta.example")
    item = {"command_id": None, "status": 406, "message": "Invalid input data."}
    process_id = str(calling.process().id)
    calling.pbx.set_knobs(
        next_responses=[
            {
                "endpoint": "bulk/contacts",
                "status": 200,
                "body": {"responseData": {"status": 200, "data": [item | {"command_id": process_id}]}},
                "times": 2,
            }
        ]
    )
    calling.place()
    first, second = (entry["body"][0]["data"] for entry in calling.pbx.received("bulk/contacts"))
    assert "ContactEmail" in first
    assert second == {"name": "Mario Rossi", "ContactNumber": [{"public_number": "+393510001000"}]}
    assert (calling.answer()[0], calling.answer()[1]["error"]) == (422, "CONTACT_CREATION_FAILED")
    assert calling.rung() == []
    assert calling.events("call.failed")[0].data["message"] == "Invalid input data."


def test_a_slow_answer_does_not_hold_up_the_next_lead(calling: Calling) -> None:
    calling.pbx.set_knobs(answer_delay_s=2.0)
    calling.leads(3)
    started = timezone.now()
    calling.place()
    assert timezone.now() - started < timedelta(seconds=5)  # side by side, not one after the other
    assert [attempt.http_status for attempt in calling.attempts()] == [200] * 3


def test_in_a_dry_run_nothing_is_dialled(calling: Calling, settings: Any) -> None:
    settings.ROUTING_DRY_RUN = True
    calling.lead()
    calling.place()
    assert calling.rung() == []
    assert calling.pbx.received("bulk/contacts") == []
    assert calling.process().error_message == "Prova a vuoto: le chiamate sono spente"


def test_without_a_connection_a_person_has_to_call(calling: Calling) -> None:
    with calling.scope():
        Connection.objects.all().delete()
    calling.lead()
    calling.place()
    process = calling.process()
    assert (process.state, process.error_code) == ("done", "CALL_FAILED")
    assert process.error_message == "Nessun centralino è collegato"


def test_beyond_the_budget_leads_wait_for_it(calling: Calling) -> None:
    with calling.scope():
        Connection.objects.update(requests_per_minute=3)
    calling.leads(3)
    calling.place()
    # The list of agents, the three contacts in one request, and one call.
    assert len(calling.rung()) == 1
    assert len(calling.pbx.log) == 3
    waiting = [calling.process(index) for index in range(3) if calling.process(index).success is None]
    assert len(waiting) == 2
    assert all(process.due_at - timezone.now() > timedelta(seconds=50) for process in waiting)
    assert limiter.used(calling.connection.account, now=timezone.now()) == 3
