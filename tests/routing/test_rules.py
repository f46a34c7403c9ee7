"""Round robin and the credit rule, as tables of cases and as properties (routing.md 4.1, 4.9, 8)."""

from datetime import UTC, date, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.routing import rules
from filiera.routing.rules import Ask, Candidate, Excluded, Rule, State, Status

START = State()
FRIDAY = datetime(2026, 10, 16, 12, 0, tzinfo=ZoneInfo("Europe/Rome"))
ASK = Ask(at=FRIDAY)


def agent(name: str, order: int = 0, **facts: object) -> Candidate:
    return Candidate(id=name, name=name, sort_order=order, provider_agent_id=name, **facts)  # type: ignore[arg-type]


def team(*names: str, **facts: object) -> list[Candidate]:
    return [agent(name, order, **facts) for order, name in enumerate(names)]


def names(choices: list[rules.Choice]) -> list[str | None]:
    return [choice.agent.name if choice.agent else None for choice in choices]


def distribute(
    leads: int, candidates: list[Candidate], state: State = START, **options: object
) -> list[rules.Choice]:
    return rules.decide_many([ASK] * leads, candidates, state, **options)  # type: ignore[arg-type]


# Round robin


def test_five_leads_on_three_agents_go_round() -> None:
    assert names(distribute(5, team("Alice", "Bob", "Charlie"))) == [
        "Alice",
        "Bob",
        "Charlie",
        "Alice",
        "Bob",
    ]


def test_the_order_is_sort_order_then_provider_id() -> None:
    shuffled = [agent("b", 1), agent("z", 0), agent("a", 1)]
    assert names(distribute(3, shuffled)) == ["z", "a", "b"]


def test_an_offline_last_agent_does_not_disturb_the_order() -> None:
    first = distribute(2, team("Alice", "Bob", "Charlie"))[-1]
    bob_left = [agent("Alice", 0), agent("Bob", 1, provider_status="offline"), agent("Charlie", 2)]
    assert names(distribute(2, bob_left, first.state_after)) == ["Charlie", "Alice"]


def test_when_the_last_agent_is_gone_the_next_position_goes_on() -> None:
    state = State(last="Bob", last_sort_order=1, total=2)
    assert names(distribute(2, [agent("Alice", 0), agent("Charlie", 2)], state)) == ["Charlie", "Alice"]


def test_the_only_available_agent_gets_every_lead() -> None:
    lone = [agent("Alice", 0), agent("Bob", 1, provider_status="paused")]
    assert names(distribute(3, lone)) == ["Alice"] * 3


def test_nobody_available_leaves_the_state_where_it_was() -> None:
    state = State(last="Alice", last_sort_order=0, total=7)
    choice = rules.decide(ASK, team("Alice", "Bob", provider_status="offline"), state)
    assert choice.agent is None
    assert choice.state_after == state
    assert rules.reason_for(choice) == "nobody_available"
    assert rules.reason_for(rules.decide(ASK, team("Alice", provider_status="calling"), state)) == "all_busy"


def test_agents_already_tried_are_passed_over() -> None:
    choice = rules.decide(Ask(at=FRIDAY, tried=frozenset({"Alice"})), team("Alice", "Bob"), State())
    assert choice.agent is not None
    assert choice.agent.name == "Bob"
    assert [(c.name, why) for c, why in choice.excluded] == [("Alice", Excluded.ALREADY_TRIED)]


# Eligibility


@pytest.mark.parametrize(
    ("word", "outbound", "limit_ok", "status"),
    [
        ("online", True, True, Status.ONLINE),
        ("online", False, True, Status.OFFLINE),
        ("online", True, False, Status.OFFLINE),
        ("calling", True, True, Status.BUSY),
        ("calling", False, True, Status.BUSY),
        ("paused", True, True, Status.OFFLINE),
        ("offline", True, True, Status.OFFLINE),
        ("idle", True, True, Status.OFFLINE),
        ("available", True, True, Status.OFFLINE),
        ("Online", True, True, Status.OFFLINE),
        ("", True, True, Status.OFFLINE),
    ],
)
def test_only_the_exact_word_online_with_both_flags_is_available(
    word: str, outbound: bool, limit_ok: bool, status: Status
) -> None:
    assert rules.own_status(word, status_outbound=outbound, is_daily_limit_ok=limit_ok) is status
    candidate = agent("a", provider_status=word, status_outbound=outbound, is_daily_limit_ok=limit_ok)
    assert (rules.why_not(candidate, ASK) is None) is (status is Status.ONLINE)


MORNINGS = rules.read_hours({"fri": [["09:00", "12:00"], ["14:00", "18:00"]]})


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, None),
        ({"is_enabled": False}, Excluded.DISABLED),
        ({"on_leave_until": date(2026, 10, 16)}, Excluded.ON_LEAVE),
        ({"on_leave_until": date(2026, 10, 15)}, None),
        ({"hours": MORNINGS}, Excluded.OUT_OF_HOURS),
        ({"skills": frozenset({"family"})}, None),
        ({"provider_status": "offline"}, Excluded.OFFLINE),
        ({"provider_status": "paused"}, Excluded.PAUSED),
        ({"provider_status": "calling"}, Excluded.BUSY),
        ({"provider_status": "away"}, Excluded.UNKNOWN_STATUS),
        ({"status_outbound": False}, Excluded.OUTBOUND_OFF),
        ({"is_daily_limit_ok": False}, Excluded.DAILY_LIMIT),
        ({"live_calls": 1}, Excluded.AT_CAPACITY),
        ({"live_calls": 1, "max_concurrent_calls": 2}, None),
    ],
)
def test_each_exclusion_has_its_reason_and_its_sentence(
    facts: dict[str, object], reason: Excluded | None
) -> None:
    assert rules.why_not(agent("a", **facts), ASK) is reason
    assert reason is None or str(rules.SENTENCES[reason])


def test_every_reason_has_a_sentence() -> None:
    assert set(rules.SENTENCES) == set(Excluded)


def test_a_skill_that_somebody_has_is_required_and_one_that_nobody_has_is_not() -> None:
    candidates = [agent("Alice", 0, skills=frozenset({"family"})), agent("Bob", 1)]
    taught = rules.taught_skills(candidates)
    assert rules.wanted_skills(["FAMILY ", "tedesco"], taught) == {"family"}
    choice = rules.decide(Ask(at=FRIDAY, skills=frozenset({"family"})), candidates, State(last="Alice"))
    assert choice.agent is not None
    assert choice.agent.name == "Alice"
    assert choice.excluded[0][1] is Excluded.MISSING_SKILL


@pytest.mark.parametrize(
    "schedule",
    [
        {"lun": []},
        {"mon": [["9:00", "12:00"]]},
        {"mon": [["12:00", "09:00"]]},
        {"mon": [["09:00", "25:00"]]},
        {"mon": [["09:00", "12:60"]]},
        {"mon": [["09:00", "12:00"], ["11:00", "13:00"]]},
    ],
)
def test_hours_that_make_no_sense_are_refused(schedule: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"day|hour|opening"):
        rules.read_hours(schedule)


def test_the_next_opening_skips_closed_days_and_follows_the_clock_change() -> None:
    rome = ZoneInfo("Europe/Rome")
    hours = rules.read_hours({"mon": [["09:00", "18:00"]], "fri": [["09:00", "18:00"]]})
    friday_evening = datetime(2026, 10, 23, 20, 0, tzinfo=UTC)
    assert rules.next_open(hours, friday_evening, rome) == datetime(
        2026, 10, 26, 8, 0, tzinfo=UTC
    )  # winter time
    assert rules.next_open(hours, datetime(2026, 10, 23, 10, 0, tzinfo=UTC), rome) == datetime(
        2026, 10, 23, 10, 0, tzinfo=UTC
    )
    assert rules.next_open(None, friday_evening, rome) == friday_evening
    assert rules.next_open(rules.read_hours({}), friday_evening, rome) is None


# The credit rule


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 9), leads=st.integers(1, 60), weight=st.integers(1, 5))
def test_equal_weights_and_a_fixed_pool_are_round_robin_exactly(size: int, leads: int, weight: int) -> None:
    people = team(*(f"agent{n}" for n in range(size)), weight=weight)
    by_credit = distribute(leads, people, rule=Rule.CREDIT)
    assert names(by_credit) == names(distribute(leads, people))
    for choice in by_credit:
        assert all(-1 < choice.state_after.credit(c.id) < 1 for c in people)


@settings(max_examples=150, deadline=None)
@given(weights=st.lists(st.integers(1, 100), min_size=1, max_size=9), leads=st.integers(1, 120))
def test_any_weights_and_a_fixed_pool_keep_each_credit_within_its_bounds(
    weights: list[int], leads: int
) -> None:
    people = [agent(f"a{n}", n, weight=weight) for n, weight in enumerate(weights)]
    highest = sum((Fraction(1, k) for k in range(2, len(people) + 1)), Fraction(0))
    for choice in distribute(leads, people, rule=Rule.CREDIT):
        owned = [choice.state_after.credit(c.id) for c in people]
        assert sum(owned) == 0
        assert all(-1 < credit <= highest for credit in owned)


def test_the_known_worst_weights_pass_one_and_stay_under_the_bound() -> None:
    people = [agent(f"a{n}", n, weight=w) for n, w in enumerate([1, 100, 3, 200, 1, 3, 200, 200, 1])]
    reached = max(
        choice.state_after.credit(c.id)
        for choice in distribute(2_000, people, rule=Rule.CREDIT)
        for c in people
    )
    assert reached == Fraction(919, 709)  # 1.296


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_changing_pool_sums_to_zero_and_the_absent_keep_their_credit(data: st.DataObject) -> None:
    people = [
        agent(f"a{n}", n, weight=data.draw(st.integers(1, 20))) for n in range(data.draw(st.integers(1, 6)))
    ]
    state = State()
    for _lead in range(data.draw(st.integers(1, 30))):
        away = data.draw(st.sets(st.sampled_from([c.id for c in people])))
        choice = rules.decide(Ask(at=FRIDAY, tried=frozenset(away)), people, state, rule=Rule.CREDIT)
        after = choice.state_after
        assert sum(after.credit(c.id) for c in people) == 0
        assert all(after.credit(agent_id) == state.credit(agent_id) for agent_id in away)
        assert choice.agent is None or choice.agent.id not in away
        state = after


@settings(max_examples=60, deadline=None)
@given(weights=st.lists(st.integers(1, 9), min_size=1, max_size=6), rounds=st.integers(1, 5))
def test_after_as_many_leads_as_the_weights_sum_to_everybody_has_the_exact_share(
    weights: list[int], rounds: int
) -> None:
    people = [agent(f"a{n}", n, weight=weight) for n, weight in enumerate(weights)]
    given_out = names(distribute(sum(weights) * rounds, people, rule=Rule.CREDIT))
    assert [given_out.count(c.name) for c in people] == [weight * rounds for weight in weights]


# Batches and replay


@settings(max_examples=60, deadline=None)
@given(data=st.data(), rule=st.sampled_from(list(Rule)))
def test_a_batch_decides_as_one_by_one_and_its_records_replay(data: st.DataObject, rule: Rule) -> None:
    words = st.sampled_from(["online", "online", "calling", "paused", "offline", "?"])
    people = [
        agent(f"a{n}", n, weight=data.draw(st.integers(1, 7)), provider_status=data.draw(words))
        for n in range(data.draw(st.integers(1, 6)))
    ]
    tried = st.frozensets(st.sampled_from([c.id for c in people]), max_size=2)
    asks = [Ask(at=FRIDAY, tried=data.draw(tried)) for _ in range(data.draw(st.integers(1, 20)))]
    batch = rules.decide_many(asks, people, State(), rule=rule)

    state = State()
    for ask, choice in zip(asks, batch, strict=True):
        alone = rules.decide(ask, people, state, rule=rule)
        assert alone == choice
        state = alone.state_after
        again = rules.replay(
            candidates=rules.record_pool(choice.pool),
            state_before=choice.state_before.as_json(),
            rule=rule.value,
        )
        assert (
            again.agent is None if choice.agent is None else again.agent and again.agent.id == choice.agent.id
        )
        assert again.state_after.as_json() == choice.state_after.as_json()


def test_a_state_survives_its_row() -> None:
    state = distribute(7, [agent("a", 0, weight=3), agent("b", 1, weight=4)], rule=Rule.CREDIT)[
        -1
    ].state_after
    assert State.from_json(state.as_json()) == state
    assert State.from_json({}) == State()
