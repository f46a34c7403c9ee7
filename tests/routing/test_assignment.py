"""Leads get their agents: decisions as rows, fair under concurrency, replayable (ROU-02 … ROU-12, ROU-71, Q-23)."""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import chain, pairwise
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from filiera.platform import brand_scope
from filiera.routing import commands, outcomes, queries, rules
from filiera.routing.models import Agent, Decision, Process, RoutingState
from tests.leads import NOW, incoming, source, take_in


def make_agents(*names: str, **facts: Any) -> list[Agent]:
    return [
        Agent.objects.create(
            provider_agent_id=name.lower(),
            name=name,
            sort_order=place,
            **{"provider_status": "online", "last_status": "online", "last_status_at": NOW} | facts,
        )
        for place, name in enumerate(names)
    ]


def make_leads(count: int, *, auto_call: bool = False, start: int = 0) -> list[Any]:
    one = incoming(auto_call=auto_call)
    return take_in(
        *[
            replace(
                one,
                phone=f"+39 351 {start + n:07}",
                email=f"lead{start + n}@posta.example",
                external_id=f"lead-{start + n}",
            )
            for n in range(count)
        ]
    )


def chosen(assigned: list[commands.Assigned]) -> list[str]:
    return [item.agent.name if item.agent else "" for item in assigned]


def test_five_leads_go_round_and_leave_their_reasons(in_vegliasi):
    make_agents("Alice", "Bob", "Charlie")
    assert chosen(commands.assign(make_leads(5), now=NOW)) == ["Alice", "Bob", "Charlie", "Alice", "Bob"]
    decisions = list(Decision.objects.order_by("sequence"))
    assert [decision.sequence for decision in decisions] == [1, 2, 3, 4, 5]
    assert {decision.rule for decision in decisions} == {"round_robin"}
    state = RoutingState.objects.get(brand_id=in_vegliasi.id)
    assert (state.last_agent.name, state.total_assigned) == ("Bob", 5)


def test_the_sequence_goes_on_from_its_row(in_vegliasi):
    make_agents("Alice", "Bob", "Charlie")
    first = commands.assign(make_leads(2), now=NOW)
    second = commands.assign(make_leads(2, start=10), now=NOW)
    assert chosen(first + second) == ["Alice", "Bob", "Charlie", "Alice"]


def test_a_reset_starts_again_and_can_be_taken_back(in_vegliasi, ada):
    make_agents("Alice", "Bob", "Charlie")
    commands.assign(make_leads(2), now=NOW)
    commands.reset_state(user=ada, now=NOW)
    assert queries.agents_board(now=NOW).next_agent.name == "Alice"
    commands.undo_reset(user=ada, now=NOW + timedelta(minutes=9))
    assert chosen(commands.assign(make_leads(1, start=10), now=NOW)) == ["Charlie"]
    with pytest.raises(commands.NothingToUndo):
        commands.undo_reset(user=ada, now=NOW)
    commands.reset_state(user=ada, now=NOW)
    with pytest.raises(commands.NothingToUndo):
        commands.undo_reset(user=ada, now=NOW + timedelta(minutes=11))


def test_a_lead_that_came_before_is_not_assigned_again(in_vegliasi):
    make_agents("Alice", "Bob")
    one = incoming(external_id="only-once", auto_call=True)
    commands.assign(take_in(one), now=NOW)
    again = commands.assign(take_in(one), now=NOW)
    commands.request_calls(again, now=NOW)
    assert again == []
    assert Decision.objects.count() == 1


def test_the_agents_user_becomes_owner_unless_somebody_is(in_vegliasi, ada, bea):
    make_agents("Alice", user=bea)
    (lead,) = make_leads(1)
    commands.assign([lead], now=NOW)
    lead.deal.refresh_from_db()
    lead.contact.refresh_from_db()
    assert (lead.deal.owner_user_id, lead.contact.assigned_user_id) == (bea.id, bea.id)

    type(lead.deal).objects.update(owner_user=ada)
    (again,) = make_leads(1)  # the same person, with another request
    commands.assign([replace(again, is_new_event=True)], now=NOW)
    lead.deal.refresh_from_db()
    assert lead.deal.owner_user_id == ada.id


def test_weights_share_by_the_credit_rule(in_vegliasi, ada):
    make_agents("Alice", "Bob")
    Agent.objects.filter(name="Alice").update(weight=3)
    commands.set_policy(policy="credit", user=ada, now=NOW)
    assigned = commands.assign(make_leads(8), now=NOW)
    assert Counter(chosen(assigned)) == {"Alice": 6, "Bob": 2}
    decision = Decision.objects.order_by("sequence").first()
    assert decision is not None
    assert (decision.rule, decision.rule_version) == ("credit", 2)
    why = queries.explain(decision)
    assert [(line.name, line.credit_before, str(line.share), line.is_chosen) for line in why.candidates] == [
        ("Alice", 0, "3/4", True),
        ("Bob", 0, "1/4", False),
    ]
    assert why.candidates[0].credit_after == why.candidates[0].credit - 1
    assert why.replays
    assert why.reason == "Credito più alto, +0,75, tra 2 agenti liberi."


def test_a_decision_says_why_the_others_were_left_out(in_vegliasi):
    alice, bob, _carla, _dina = make_agents("Alice", "Bob", "Carla", "Dina")
    outcomes.set_status(bob, "paused", at=NOW)
    Agent.objects.filter(name="Carla").update(schedule={"mon": [["03:00", "04:00"]]})
    Agent.objects.filter(name="Dina").update(on_leave_until=NOW.date())
    (assigned,) = commands.assign(make_leads(1), now=NOW)
    why = queries.explain(Decision.objects.get())
    assert assigned.agent is not None
    assert assigned.agent.id == str(alice.id)
    assert [(line.name, line.reason, line.sentence) for line in why.excluded] == [
        ("Bob", "paused", "È in pausa"),
        ("Carla", "out_of_hours", "Fuori orario"),
        ("Dina", "on_leave", "Oggi è assente"),
    ]
    assert why.reason == "Era l’unico agente libero."


def test_skills_are_those_that_the_lead_asks_for(in_vegliasi):
    make_agents("Alice", "Bob")
    Agent.objects.filter(name="Bob").update(skills=["family", "tedesco"])
    one = incoming(auto_call=False)
    leads = take_in(
        replace(one, service_code="FAMILY", custom={"lingua": "Tedesco"}),
        replace(one, service_code="ALTRO", phone="+39 351 000 0001", email="b@posta.example"),
    )
    assert chosen(commands.assign(leads, now=NOW)) == ["Bob", "Alice"]


def test_a_batch_takes_a_fixed_number_of_statements(in_vegliasi, bea):
    make_agents("Alice", "Bob", "Charlie", user=bea)

    def statements(count: int, start: int) -> int:
        leads = make_leads(count, auto_call=True, start=start)
        with CaptureQueriesContext(connection) as captured:
            commands.request_calls(commands.assign(leads, now=NOW), now=NOW)
        return len(captured)

    statements(1, 0)  # makes the row of the brand's turn, once
    assert statements(3, 10) == statements(60, 100) <= 20
    assert Process.objects.filter(state="waiting").count() == 64
    assert len(set(Process.objects.values_list("number", flat=True))) == 64


def test_agents_of_another_brand_are_never_chosen(vegliasi, quadranorma):
    with brand_scope.use(quadranorma.id):
        make_agents("Carla")
    with brand_scope.use(vegliasi.id):
        (assigned,) = commands.assign(make_leads(1), now=NOW)
        assert assigned.agent is None
        assert Decision.objects.get().reason == "nobody_available"


def replayed(decisions: list[Decision]) -> list[str | None]:
    agents = []
    for decision in decisions:
        again = rules.replay(
            candidates=decision.candidates, state_before=decision.state_before, rule=decision.rule
        )
        agents.append(again.agent.id if again.agent else None)
    return agents


@pytest.mark.django_db(transaction=True)
def test_a_hundred_parallel_selections_on_four_agents_are_25_each(vegliasi):
    with brand_scope.use(vegliasi.id):
        source()
        make_agents("Alice", "Bob", "Charlie", "Dina")
        leads = make_leads(100)
    together = threading.Barrier(8)

    def select(part: list[Any]) -> list[str]:
        together.wait()
        try:
            names = []
            for lead in part:
                with brand_scope.use(vegliasi.id):
                    names += chosen(commands.assign([lead], now=timezone.now()))
            return names
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        names = list(chain.from_iterable(pool.map(select, [leads[n::8] for n in range(8)])))
    assert Counter(names) == {"Alice": 25, "Bob": 25, "Charlie": 25, "Dina": 25}
    with brand_scope.use(vegliasi.id):
        decisions = list(Decision.objects.order_by("sequence"))
    assert [decision.sequence for decision in decisions] == list(range(1, 101))
    assert replayed(decisions) == [str(decision.agent_id) for decision in decisions]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("policy", ["round_robin", "credit"])
def test_while_agents_come_and_go_nobody_is_assigned_twice_and_the_log_replays(vegliasi, policy):
    """Q-23, scaled: 200 claims by 4 workers while statuses change."""
    with brand_scope.use(vegliasi.id):
        source()
        agents = make_agents("Alice", "Bob", "Charlie", "Dina", "Elsa")
        commands.set_policy(policy=policy, user=None, now=NOW)
        leads = make_leads(200)
    done = threading.Event()

    def come_and_go() -> None:
        chance = random.Random(7)
        try:
            while not done.is_set():
                with brand_scope.use(vegliasi.id):
                    word = chance.choice(["online", "online", "paused", "calling", "offline"])
                    agent = Agent.objects.get(id=chance.choice(agents[1:]).id)
                    outcomes.set_status(agent, word, at=timezone.now())
        finally:
            connections.close_all()

    def work(part: list[Any]) -> int:
        try:
            count = 0
            for at in range(0, len(part), 5):
                with brand_scope.use(vegliasi.id):
                    count += len(commands.assign(part[at : at + 5], now=timezone.now()))
            return count
        finally:
            connections.close_all()

    moving = threading.Thread(target=come_and_go)
    moving.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            assigned = sum(pool.map(work, [leads[n::4] for n in range(4)]))
    finally:
        done.set()
        moving.join()
    with brand_scope.use(vegliasi.id):
        decisions = list(Decision.objects.order_by("sequence"))
    assert assigned == len(decisions) == 200  # Alice is always there, so none is stuck
    assert len({decision.lead_event_id for decision in decisions}) == 200
    assert all(decision.agent_id for decision in decisions)
    assert replayed(decisions) == [str(decision.agent_id) for decision in decisions]
    for before, after in pairwise(decisions):
        assert after.state_before == before.state_after
    if policy == "credit":
        state = rules.State.from_json(decisions[-1].state_after)
        assert sum(state.credit(str(agent.id)) for agent in agents) == 0
