"""Deals move, close, come back: PIP-03 to PIP-09, PIP-18, PIP-19, PIP-30, PIP-32, PIP-34."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filiera.contacts.models import Contact, LeadState
from filiera.pipeline import commands, queries, rules
from filiera.pipeline.models import Deal, DealClosing, Stage, StageHistory
from filiera.platform import brand_scope
from filiera.platform.ids import new_id
from filiera.platform.models import Event
from tests.leads import NOW, incoming, take_in


def after(minutes):
    return NOW + timedelta(minutes=minutes)


@pytest.fixture
def deal(in_vegliasi):
    """Adele's open deal, in Nuovo."""
    return take_in(incoming())[0].deal


@pytest.fixture
def stage(in_vegliasi):
    """Return a stage by the state it stands for."""
    return lambda state: Stage.objects.get(lead_state=state)


def stays(deal):
    return list(StageHistory.objects.filter(deal_id=deal.id).order_by("entered_at", "id"))


def test_moving_twice_leaves_two_closed_stays_and_an_open_one_that_touch(deal, stage, bea):
    commands.move_deal(
        deal_id=deal.id, stage_id=stage("in_contatto").id, now=after(5), user_id=bea.id, version=1
    )
    moved = commands.move_deal(
        deal_id=deal.id, stage_id=stage("caldo").id, now=after(9), user_id=bea.id, version=2
    )
    first, second, third = stays(deal)
    assert (first.exited_at, second.exited_at, third.exited_at) == (after(5), after(9), None)
    assert (second.entered_at, third.entered_at) == (after(5), after(9))
    assert (third.change_reason, third.changed_by, third.changed_by_user_id) == ("manual", "user", bea.id)
    assert (moved.version, moved.current_stage_id, moved.stage_entered_at) == (3, stage("caldo").id, after(9))
    assert Contact.objects.get().status == "caldo"
    changed = Event.objects.filter(kind="deal.stage_changed").order_by("at")
    assert [event.at for event in changed] == [after(5), after(9)]


def test_moving_to_the_stage_it_is_in_writes_nothing(deal, stage, bea):
    """PIP-09."""
    same = commands.move_deal(deal_id=deal.id, stage_id=stage("nuovo").id, now=after(5), user_id=bea.id)
    assert (same.version, len(stays(deal))) == (1, 1)
    assert not Event.objects.filter(kind="deal.stage_changed").exists()


def test_a_mover_who_saw_an_older_version_is_told(deal, stage, bea):
    """PIP-30."""
    commands.move_deal(deal_id=deal.id, stage_id=stage("caldo").id, now=after(5), user_id=bea.id, version=1)
    with pytest.raises(commands.StaleObject) as refusal:
        commands.move_deal(
            deal_id=deal.id, stage_id=stage("nuovo").id, now=after(6), user_id=bea.id, version=1
        )
    assert (refusal.value.code, refusal.value.status) == ("STALE_OBJECT", 409)
    assert len(stays(deal)) == 2


def test_taking_a_deal_off_the_board_closes_its_stay(deal, bea):
    """PIP-08."""
    off = commands.move_deal(deal_id=deal.id, stage_id=None, now=after(5), user_id=bea.id)
    assert (off.current_stage_id, off.status) == (None, "open")
    assert [stay.exited_at for stay in stays(deal)] == [after(5)]


def test_changing_its_fields_writes_no_history(deal, bea):
    commands.edit_deal(
        deal_id=deal.id,
        changes={"title": "PRO", "amount": Decimal("1140.00"), "expected_close_date": date(2026, 10, 31)},
        now=after(5),
        user_id=bea.id,
        version=1,
    )
    kept = Deal.objects.get()
    assert (kept.title, kept.amount, kept.expected_close_date, kept.version) == (
        *("PRO", Decimal("1140.00")),
        *(date(2026, 10, 31), 2),
    )
    assert len(stays(deal)) == 1


def test_a_new_owner_owns_deal_and_person(deal, bea):
    commands.edit_deal(deal_id=deal.id, changes={"owner_user_id": bea.id}, now=after(5), user_id=bea.id)
    assert Deal.objects.get().owner_user_id == Contact.objects.get().assigned_user_id == bea.id


def test_routing_hands_deals_over_without_making_pages_stale(deal, bea):
    owners = [commands.Ownership(deal.id, deal.contact_id, bea.id)]
    commands.give_owners(owners, now=after(1))
    kept = Deal.objects.get()
    assert (kept.owner_user_id, kept.version) == (bea.id, 1)
    assert Contact.objects.get().assigned_user_id == bea.id


@pytest.mark.parametrize(("status", "state"), [("won", "chiuso_vinto"), ("lost", "perso")])
def test_closing_ends_every_stay_and_moves_the_person(deal, stage, bea, status, state):
    closed = commands.close_deal(
        deal_id=deal.id,
        status=status,
        now=after(5),
        user_id=bea.id,
        lost_reason="prezzo",
        amount=Decimal("480"),
    )
    assert (closed.status, closed.closed_at, closed.amount) == (status, after(5), Decimal("480"))
    assert closed.current_stage_id == stage(state).id
    assert all(stay.exited_at == after(5) for stay in stays(deal))
    assert Contact.objects.get().status == state
    fact = DealClosing.objects.get()
    assert (fact.status, fact.closed_at, fact.amount, fact.closed_by_user_id) == (
        *(status, after(5)),
        *(Decimal("480.00"), bea.id),
    )
    with pytest.raises(commands.DealIsClosed):
        commands.close_deal(deal_id=deal.id, status="won", now=after(6))


def test_a_sale_made_yesterday_counts_yesterday(deal, stage, bea):
    yesterday = NOW - timedelta(days=1)
    commands.move_deal(
        deal_id=deal.id, stage_id=stage("chiuso_vinto").id, now=after(5), user_id=bea.id, closed_at=yesterday
    )
    assert Deal.objects.get().closed_at == DealClosing.objects.get().closed_at == yesterday
    assert [stay.exited_at for stay in stays(deal)] == [after(5), after(5)]


def test_a_card_dropped_on_perso_closes_the_deal(deal, stage, bea):
    """PIP-18, PIP-19."""
    closed = commands.move_deal(
        deal_id=deal.id, stage_id=stage("perso").id, now=after(5), user_id=bea.id, lost_reason="ci pensa"
    )
    assert (closed.status, closed.lost_reason) == ("lost", "ci pensa")
    assert Contact.objects.get().status == "perso"
    assert not StageHistory.objects.filter(exited_at=None).exists()
    with pytest.raises(commands.DealIsClosed):
        commands.move_deal(deal_id=deal.id, stage_id=stage("nuovo").id, now=after(6), user_id=bea.id)


def test_reopening_reverses_the_close_on_its_own_day(deal, stage, bea):
    """PIP-34, kpis.md 7: what was reported for October stays in October."""
    commands.move_deal(deal_id=deal.id, stage_id=stage("caldo").id, now=after(1), user_id=bea.id)
    commands.close_deal(deal_id=deal.id, status="lost", now=after(2), user_id=bea.id)
    back = commands.reopen_deal(deal_id=deal.id, now=after(90), user_id=bea.id)
    assert (back.status, back.closed_at, back.current_stage_id) == ("open", None, stage("caldo").id)
    fact = DealClosing.objects.get()
    assert (fact.closed_at, fact.reopened_at, fact.reopened_by_user_id) == (after(2), after(90), bea.id)
    assert Contact.objects.get().status == "caldo"
    last = stays(deal)[-1]
    assert (last.entered_at, last.exited_at) == (after(90), None)
    commands.close_deal(deal_id=deal.id, status="won", now=after(99), user_id=bea.id)
    assert DealClosing.objects.filter(reopened_at=None).get().status == "won"


def test_reopening_while_another_deal_is_open_is_refused(deal, bea):
    commands.close_deal(deal_id=deal.id, status="lost", now=after(2), user_id=bea.id)
    commands.open_deal(contact_id=deal.contact_id, now=after(3), user_id=bea.id)
    with pytest.raises(commands.OpenDealExists) as refusal:
        commands.reopen_deal(deal_id=deal.id, now=after(4), user_id=bea.id)
    assert (refusal.value.code, refusal.value.status) == ("OPEN_DEAL_EXISTS", 409)
    assert Deal.objects.get(id=deal.id).status == "lost"
    assert DealClosing.objects.get().reopened_at is None


def test_a_void_deal_is_neither_won_nor_lost_and_the_person_stays_as_they_are(deal, bea):
    commands.void_deal(deal_id=deal.id, now=after(2), user_id=bea.id, why="doppione")
    fact = DealClosing.objects.get()
    assert (fact.is_void, Deal.objects.get().is_void) == (True, True)
    assert Contact.objects.get().status == "nuovo"
    counted = DealClosing.objects.filter(is_void=False)
    assert not counted.filter(status="won").exists()
    assert not counted.filter(status="lost").exists()


def test_a_second_open_deal_is_refused(deal, bea):
    with pytest.raises(commands.OpenDealExists):
        commands.open_deal(contact_id=deal.contact_id, now=after(1), user_id=bea.id)
    with pytest.raises(IntegrityError), transaction.atomic():
        Deal.objects.create(contact_id=deal.contact_id, opened_at=NOW, created_at=NOW, updated_at=NOW)
    assert Deal.objects.count() == 1


def test_the_database_refuses_a_stay_without_an_actor_or_a_second_open_one(deal, stage):
    """PIP-07, PIP-08."""
    facts = {"stage": stage("caldo"), "entered_at": NOW, "change_reason": "manual", "created_at": NOW}
    for actor, exited in (("", NOW), ("user", None)):
        with pytest.raises(IntegrityError), transaction.atomic():
            StageHistory.objects.create(deal_id=deal.id, changed_by=actor, exited_at=exited, **facts)


def test_a_deal_of_another_brand_is_not_there(deal, quadranorma, stage):
    with brand_scope.use(quadranorma.id):
        for verb in (
            lambda: commands.move_deal(deal_id=deal.id, stage_id=None, now=NOW),
            lambda: commands.close_deal(deal_id=deal.id, status="won", now=NOW),
            lambda: commands.reopen_deal(deal_id=deal.id, now=NOW),
            lambda: queries.deal_for(deal.id),
            lambda: queries.deal_history(deal.id, now=NOW),
        ):
            with pytest.raises(commands.DealMissing):
                verb()
        (other,) = take_in(incoming())
        with pytest.raises(commands.StageMissing):
            commands.move_deal(deal_id=other.deal.id, stage_id=deal.current_stage_id, now=NOW)


def test_history_says_how_long_each_stay_lasted(deal, stage, bea):
    commands.move_deal(deal_id=deal.id, stage_id=stage("caldo").id, now=after(5), user_id=bea.id)
    stretches = queries.deal_history(deal.id, now=after(7))
    assert [(stretch.stay.stage.name, stretch.seconds) for stretch in stretches] == [
        ("Nuovo", 300),
        ("Caldo", 120),
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*LeadState.values, None, "reopen"]),
            st.integers(-30, 120),
        ),
        max_size=8,
    )
)
def test_stays_touch_and_never_overlap_whatever_happens_and_whatever_the_clocks_say(deal, stage, bea, steps):
    """Q: stage history intervals. Clocks of two machines may disagree, so time may seem to run backwards."""
    with transaction.atomic():
        now = NOW
        for target, minutes in steps:
            now += timedelta(minutes=minutes)
            try:
                if target == "reopen":
                    commands.reopen_deal(deal_id=deal.id, now=now, user_id=bea.id)
                else:
                    wanted = stage(target).id if target else None
                    commands.move_deal(deal_id=deal.id, stage_id=wanted, now=now, user_id=bea.id)
            except (commands.DealIsClosed, commands.deals.DealIsOpen):
                continue
        current = Deal.objects.get(id=deal.id)
        kept = stays(deal)
        open_stays = [stay for stay in kept if stay.exited_at is None]
        on_board = current.status == "open" and current.current_stage_id is not None
        assert [stay.stage_id for stay in open_stays] == ([current.current_stage_id] if on_board else [])
        for before, following in pairwise(kept):
            assert before.exited_at is not None
            assert before.exited_at <= following.entered_at
        if all(target not in ("chiuso_vinto", "perso", None, "reopen") for target, _minutes in steps):
            assert (
                rules.gaps([rules.Stay(stay.stage_id, stay.entered_at, stay.exited_at) for stay in kept])
                == []
            )
        transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
def test_parallel_moves_leave_one_open_stay_and_touching_instants(vegliasi):
    with brand_scope.use(vegliasi.id):
        deal = take_in(incoming())[0].deal
        targets = list(
            Stage.objects.exclude(lead_state__in=["chiuso_vinto", "perso"]).values_list("id", flat=True)
        )

    def work(step):
        try:
            with brand_scope.use(vegliasi.id):
                if step % 5 == 0:
                    kinds = ["chiamata", "visita", "preventivo"]
                    commands.record_activity(
                        contact_id=deal.contact_id, type=kinds[step % 3], now=after(step)
                    )
                else:
                    commands.move_deal(
                        deal_id=deal.id,
                        stage_id=targets[step % len(targets)],
                        now=after(step),
                        reason="manual",
                    )
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(1, 31)))
    with brand_scope.use(vegliasi.id):
        kept = stays(deal)
        assert [stay.exited_at for stay in kept].count(None) == 1
        assert rules.gaps([rules.Stay(stay.stage_id, stay.entered_at, stay.exited_at) for stay in kept]) == []


@pytest.mark.django_db(transaction=True)
def test_parallel_clicks_open_one_deal(vegliasi):
    with brand_scope.use(vegliasi.id):
        person = Contact.objects.create(id=new_id(), last_lead_at=NOW, created_at=NOW, updated_at=NOW)

    def work(_number):
        try:
            with brand_scope.use(vegliasi.id):
                return commands.open_deal(contact_id=person.id, now=NOW).id
        except commands.OpenDealExists:
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        opened = [deal_id for deal_id in pool.map(work, range(12)) if deal_id]
    assert len(opened) == 1
