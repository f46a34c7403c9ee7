"""The rules of the pipeline as tables: PIP-16, PIP-17, PIP-35, stays and their limits."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.contacts.models import LeadState
from filiera.pipeline import rules
from filiera.pipeline.models import Activity
from filiera.pipeline.rules import Exchange, Stay

ROME = ZoneInfo("Europe/Rome")
NOW = datetime(2026, 10, 13, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("activity", "state"),
    [
        ("chiamata", "in_contatto"),
        ("visita", "caldo"),
        ("preventivo", "attesa_ordine"),
        ("ordine", "chiuso_vinto"),
        ("rifiuto", "perso"),
        ("email", None),
        ("nota", None),
    ],
)
def test_each_activity_moves_a_new_lead(activity, state):
    """PIP-16."""
    assert rules.state_after(current="nuovo", activity_type=activity) == state


@pytest.mark.parametrize(
    ("current", "activity", "state"),
    [
        ("caldo", "chiamata", None),
        ("attesa_ordine", "visita", None),
        ("chiuso_vinto", "rifiuto", None),
        ("chiuso_vinto", "chiamata", None),
        ("attesa_ordine", "rifiuto", "perso"),
        ("perso", "chiamata", None),
        ("perso", "ordine", "chiuso_vinto"),
        ("in_contatto", "chiamata", None),
    ],
)
def test_rules_move_forward_only(current, activity, state):
    """PIP-17."""
    assert rules.state_after(current=current, activity_type=activity) == state


@pytest.mark.parametrize(
    ("current", "activity", "state"),
    [
        ("caldo", "chiamata", "in_contatto"),
        ("chiuso_vinto", "rifiuto", "perso"),
        ("perso", "visita", "caldo"),
    ],
)
def test_a_brand_may_let_rules_go_back(current, activity, state):
    assert rules.state_after(current=current, activity_type=activity, allow_regression=True) == state


@pytest.mark.parametrize(
    ("activity", "status", "state"),
    [
        ("visita", "planned", "caldo"),
        ("preventivo", "planned", "attesa_ordine"),
        ("chiamata", "planned", None),
        ("ordine", "planned", None),
        ("visita", "cancelled", None),
    ],
)
def test_planning_a_visit_or_a_quote_counts_already(activity, status, state):
    assert rules.state_after(current="nuovo", activity_type=activity, activity_status=status) == state


states = st.sampled_from([str(state) for state in LeadState])


@given(states, st.lists(st.sampled_from([str(kind) for kind in Activity.Type]), max_size=12))
def test_without_permission_no_row_of_activities_ever_goes_back(start, activities):
    """However the activities follow each other, the way is forward, out, or from lost to won."""
    state = start
    for activity in activities:
        following = rules.state_after(current=state, activity_type=activity) or state
        assert rules.MERGE_ORDER.index(following) >= rules.MERGE_ORDER.index(state)
        state = following


def test_the_words_of_the_rules_are_those_of_the_models():
    assert set(rules.MERGE_ORDER) == {str(state) for state in LeadState}
    assert set(rules.DEFAULT_RULES) < {str(kind) for kind in Activity.Type}
    assert set(rules.DEFAULT_RULES.values()) <= {str(state) for state in LeadState}


def test_the_most_advanced_state_survives_a_merge():
    assert rules.most_advanced(["caldo", "perso", "nuovo"]) == "perso"
    assert rules.most_advanced(["perso", "chiuso_vinto"]) == "chiuso_vinto"


def call(**fields):
    facts = {
        "type": "chiamata",
        "origin": "human",
        "direction": "outgoing",
        "outcome": "answered",
        "talking_seconds": 20,
    }
    return Exchange(**(facts | fields))


@pytest.mark.parametrize(
    ("exchange", "two_way"),
    [
        (call(), True),
        (call(direction="incoming", talking_seconds=95), True),
        (call(talking_seconds=19), False),
        (call(talking_seconds=None), False),
        (call(outcome=""), False),
        (call(outcome="voicemail", talking_seconds=40), False),
        (call(outcome="wrong_person", talking_seconds=40), False),
        (call(origin="automatic"), False),
        (call(type="email", direction="incoming", talking_seconds=None), True),
        (call(type="email", direction="outgoing"), False),
        (call(type="email", direction="incoming", origin="automatic"), False),
        (call(type="nota"), False),
    ],
)
def test_two_people_spoke_only_when_somebody_answered_or_replied(exchange, two_way):
    """PIP-35, kpis.md 3."""
    assert rules.is_two_way(exchange) is two_way


moments = st.lists(
    st.integers(0, 10_000).map(lambda minutes: NOW + timedelta(minutes=minutes)),
    min_size=1,
    max_size=8,
    unique=True,
).map(sorted)


@given(moments, st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_touching_stays_have_no_gap_and_their_sum_is_the_whole_time(edges, stages):
    ids = [UUID(int=number) for number in range(4)]
    stays = [
        Stay(ids[stages[place]], entered, edges[place + 1] if place + 1 < len(edges) else None)
        for place, entered in enumerate(edges)
    ]
    assert rules.gaps(stays) == []
    until = edges[-1] + timedelta(hours=1)
    totals = rules.total_by_stage(stays, until)
    assert sum(totals.values(), timedelta()) == until - edges[0]


def test_a_hole_between_stays_and_one_over_another_are_found():
    one = Stay(uuid4(), NOW, NOW + timedelta(hours=1))
    late = Stay(uuid4(), NOW + timedelta(hours=2), None)
    early = Stay(uuid4(), NOW + timedelta(minutes=30), None)
    assert rules.gaps([late, one]) == [(NOW + timedelta(hours=1), NOW + timedelta(hours=2))]
    assert rules.gaps([one, early]) == [(NOW + timedelta(hours=1), NOW + timedelta(minutes=30))]


@pytest.mark.parametrize(
    ("days", "waiting_until", "over"),
    [
        (10, None, False),
        (10.01, None, True),
        (30, date(2026, 10, 14), False),  # paused
        (30, date(2026, 10, 13), False),  # the wait ended this very day
        (30, date(2026, 10, 1), True),
        (30, date(2026, 10, 5), False),
    ],
)
def test_a_deal_grows_old_against_the_limit_of_its_stage_unless_it_waits(days, waiting_until, over):
    """PIP-34: the wait pauses the clock."""
    assert (
        rules.over_limit(
            entered_at=NOW - timedelta(days=days),
            now=NOW,
            age_limit_days=10,
            waiting_until=waiting_until,
            zone=ROME,
        )
        is over
    )
    assert not rules.over_limit(
        entered_at=NOW - timedelta(days=999), now=NOW, age_limit_days=None, waiting_until=None, zone=ROME
    )
