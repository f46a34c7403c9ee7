"""Who may be rung, on which basis, and when: every case of the gate by hand or generated (GD-04, GD-09 … GD-16)."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filiera.contacts.consent_rules import Act, Block
from filiera.routing.calendar import Calendar, Closure
from filiera.routing.call_rules import (
    Basis,
    BrandRules,
    Enquiry,
    Facts,
    RegisterCheck,
    Stop,
    decide,
    next_window,
    window_of,
    zones_of,
)

ROME = ZoneInfo("Europe/Rome")
SAINT_JOHN = Calendar(patron_day=(6, 24))
SUMMER = (Closure("2026-08-03", "2026-08-28", "Ferie"), Closure("12-24", "12-31"))
NUMBER, AMERICAN = "+393510004127", "+12125550142"
WEDNESDAY = datetime(2026, 11, 18, 11, 0, tzinfo=ROME)
SATURDAY_EARLY, SATURDAY = (datetime(2026, 11, 21, hour, 30, tzinfo=ROME) for hour in (9, 10))
SUNDAY = datetime(2026, 11, 22, 11, 0, tzinfo=ROME)
EVE_LATE = datetime(2026, 12, 7, 19, 30, tzinfo=ROME)  # the day before the Immaculate Conception
HOLIDAY = datetime(2026, 12, 8, 11, 0, tzinfo=ROME)
MOMENTS = {
    WEDNESDAY: True,
    datetime(2026, 11, 18, 8, 59, tzinfo=ROME): False,
    datetime(2026, 11, 18, 9, 0, tzinfo=ROME): True,
    datetime(2026, 11, 18, 19, 59, tzinfo=ROME): True,
    datetime(2026, 11, 18, 20, 0, tzinfo=ROME): False,
    SATURDAY_EARLY: False,
    SATURDAY: True,
    datetime(2026, 11, 21, 19, 0, tzinfo=ROME): False,
    SUNDAY: False,
    EVE_LATE: False,
    HOLIDAY: False,
    datetime(2026, 12, 31, 9, 30, tzinfo=ROME): False,  # the day before the first of January
    datetime(2026, 12, 31, 10, 0, tzinfo=ROME): True,
    datetime(2027, 3, 29, 11, 0, tzinfo=ROME): False,  # Easter Monday
}
DAY = timedelta(days=1)


def consent(at: datetime) -> Act:
    return Act(given=True, by_person=True, at=at)


# The generated table: consent × register × window × block × sector × basis.

CONSENTS = {"none": None, "old": 200, "young": 5}  # days before now
CHECKS = {
    "none": None,
    "fresh, free": (3, None),
    "15 days, free": (15, None),
    "16 days, free": (16, None),
    "fresh, listed before the young consent": (3, 100),
    "fresh, listed after every consent": (3, 3),
    "16 days, listed": (16, 100),
}
BLOCKS = {"none": None, "older than all": 300, "between": 50, "newer than all": 1}
ENQUIRIES = {"none": None, "own": (10, True, True), "of others": (10, False, True), "closed": (10, True, False),
             "too old": (91, True, True)}  # fmt: skip


def expected(
    now: datetime, is_open: bool, given_days: int | None, check: tuple[int, int | None] | None,
    block_days: int | None, sector: bool, enquiry: tuple[int, bool, bool] | None,
) -> tuple[Basis | None, Stop | None]:  # fmt: skip
    """Say the rules again, in another way than the code does: as a list of what must all be so."""
    is_answerable = enquiry is not None and enquiry[2] and enquiry[0] <= 90
    if enquiry and is_answerable and (block_days is None or (enquiry[1] and enquiry[0] < block_days)):
        return Basis.REQUEST, None
    if given_days is None or (block_days is not None and block_days <= given_days):
        return None, Stop.NO_CONSENT if block_days is None else Stop.OPPOSED
    if sector:
        return None, Stop.REQUEST_ONLY
    if check is None:
        return None, Stop.NOT_CHECKED
    if check[0] > 15:
        return None, Stop.CHECK_OLD
    if check[1] is not None and given_days >= check[1]:
        return None, Stop.IN_REGISTER
    return (Basis.PROMOTION, None) if is_open else (None, Stop.CLOSED_WINDOW)


CASES = list(product(MOMENTS, CONSENTS, CHECKS, BLOCKS, (False, True), ENQUIRIES))


def test_the_gate_says_what_each_combination_asks_for() -> None:
    assert len(CASES) == 14 * 3 * 7 * 4 * 2 * 5
    seen = set()
    for now, given_key, check_key, block_key, sector, enquiry_key in CASES:
        given_days, check, block_days = CONSENTS[given_key], CHECKS[check_key], BLOCKS[block_key]
        enquiry = ENQUIRIES[enquiry_key]
        facts = Facts(
            number=NUMBER,
            consent=consent(now - given_days * DAY) if given_days else None,
            check=RegisterCheck(now - check[0] * DAY, check[1] is not None, now - (check[1] or 0) * DAY)
            if check
            else None,
            blocks=[Block("call", "opposed", now - block_days * DAY)] if block_days else [],
            enquiries=[Enquiry(now - enquiry[0] * DAY, enquiry[1], enquiry[2])] if enquiry else [],
        )
        verdict = decide(facts, BrandRules(is_request_only=sector), now)
        told = expected(now, MOMENTS[now], given_days, check, block_days, sector, enquiry)
        assert (verdict.basis, verdict.stop) == told, (
            now,
            given_key,
            check_key,
            block_key,
            sector,
            enquiry_key,
        )
        assert verdict.may == (verdict.basis is not None)
        seen.add(told)
    assert len(seen) == 9, "each answer was given at least once"


@pytest.mark.parametrize(
    ("facts", "basis", "stop"),
    [
        (Facts(number="", enquiries=[Enquiry(WEDNESDAY, True, True)]), None, Stop.NO_NUMBER),
        (
            Facts(NUMBER, is_restricted=True, enquiries=[Enquiry(WEDNESDAY, True, True)]),
            None,
            Stop.RESTRICTED,
        ),
        (Facts(NUMBER, bought_at=WEDNESDAY - 300 * DAY), Basis.PURCHASE, None),
        (Facts(NUMBER, bought_at=WEDNESDAY - 400 * DAY), None, Stop.NO_CONSENT),
        (
            Facts(NUMBER, bought_at=WEDNESDAY - DAY, blocks=[Block("any", "withdrawn", WEDNESDAY - 2 * DAY)]),
            None,
            Stop.OPPOSED,
        ),
        (
            Facts(NUMBER, blocks=[Block("email", "withdrawn", WEDNESDAY)], bought_at=WEDNESDAY - DAY),
            Basis.PURCHASE,
            None,
        ),
        (Facts(AMERICAN, consent=consent(WEDNESDAY - DAY)), None, Stop.CLOSED_WINDOW),
        (Facts(NUMBER, consent=Act(False, True, WEDNESDAY)), None, Stop.NO_CONSENT),
        (Facts(NUMBER, consent=consent(WEDNESDAY - DAY), is_unproven=True), None, Stop.NO_PROOF),
    ],
)
def test_what_is_not_in_the_table(facts: Facts, basis: Basis | None, stop: Stop | None) -> None:
    verdict = decide(facts, BrandRules(), WEDNESDAY)
    assert (verdict.basis, verdict.stop) == (basis, stop)


def test_an_enquiry_is_answered_at_any_hour_a_promotion_says_when_it_may_be_made() -> None:
    asked = Facts(NUMBER, enquiries=[Enquiry(SUNDAY - DAY, True, True)])
    assert decide(asked, BrandRules(is_request_only=True), SUNDAY).basis is Basis.REQUEST
    promoted = Facts(NUMBER, consent=consent(SUNDAY - DAY), check=RegisterCheck(SUNDAY - DAY, False))
    closed = decide(promoted, BrandRules(), SUNDAY)
    assert (closed.stop, closed.opens_at) == (
        Stop.CLOSED_WINDOW,
        datetime(2026, 11, 23, 9, 0, tzinfo=ROME),
    )


# Days and zones


def test_the_patrons_day_and_its_eve_have_the_hours_of_a_holiday() -> None:
    assert window_of(date(2027, 6, 24)) == (time(9), time(20))
    assert window_of(date(2027, 6, 24), SAINT_JOHN) is None
    assert window_of(date(2027, 6, 23), SAINT_JOHN) == (time(10), time(19))


def test_a_brands_own_closures_stop_promotions_and_make_no_eve() -> None:
    closed = Calendar(closures=SUMMER)
    assert window_of(date(2026, 8, 28), closed) is None
    assert window_of(date(2027, 12, 24), closed) is None, "every year"
    assert window_of(date(2026, 8, 31), closed) == (time(9), time(20))
    assert window_of(date(2027, 12, 23), closed) == (time(9), time(20))
    opens = next_window(datetime(2026, 8, 3, 11, tzinfo=ROME), [ROME], closed)
    assert opens == datetime(2026, 8, 29, 10, tzinfo=ROME)
    never = Calendar(closures=(Closure("01-01", "12-31"),))
    assert next_window(WEDNESDAY, [ROME], never) is None


def test_the_time_zone_of_the_person_counts() -> None:
    assert zones_of(NUMBER) == (ROME,)
    assert zones_of(AMERICAN) == (ZoneInfo("America/New_York"),)
    assert zones_of("+800555123456", ROME) == (ROME,)
    nine_in_new_york = datetime(2026, 11, 18, 14, 0, tzinfo=UTC)
    american = Facts(AMERICAN, consent=consent(WEDNESDAY - DAY))
    assert decide(american, BrandRules(), nine_in_new_york).basis is Basis.PROMOTION
    assert decide(american, BrandRules(), nine_in_new_york - timedelta(minutes=1)).stop is Stop.CLOSED_WINDOW
    too_late_in_rome = datetime(2026, 11, 18, 19, 30, tzinfo=UTC)
    assert decide(american, BrandRules(), too_late_in_rome).basis is Basis.PROMOTION


# The machine may be busy with other things: what a draw takes says nothing about the rules.
patiently = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
moments = st.datetimes(
    min_value=datetime(2024, 1, 1), max_value=datetime(2035, 12, 31), timezones=st.just(UTC)
)
numbers = st.sampled_from((NUMBER, AMERICAN, "+61255501234", "+441632960111"))
calendars = st.builds(
    Calendar, st.sampled_from((None, (6, 24), (12, 7), (9, 19))), st.sampled_from(((), SUMMER))
)


@patiently
@given(now=moments, number=numbers, calendar=calendars)
def test_no_promotion_ever_leaves_outside_the_window(now: datetime, number: str, calendar: Calendar) -> None:
    facts = Facts(number, consent=consent(now - DAY), check=RegisterCheck(now - DAY, False))
    verdict = decide(facts, BrandRules(calendar=calendar), now)
    there = [now.astimezone(zone) for zone in zones_of(number)]
    inside = all(
        (window := window_of(at.date(), calendar)) is not None and window[0] <= at.time() < window[1]
        for at in there
    )
    assert verdict.may == inside
    for at in there if verdict.may else ():
        assert at.weekday() != 6
        assert not calendar.why_closed(at.date())
        assert time(9) <= at.time() < time(20)
        assert at.weekday() != 5 or time(10) <= at.time() < time(19)


@patiently
@given(now=moments, number=numbers, calendar=calendars)
def test_the_moment_it_opens_is_the_first_one_inside(now: datetime, number: str, calendar: Calendar) -> None:
    opens = next_window(now, zones_of(number), calendar)
    assert opens is not None
    assert opens >= now
    assert next_window(opens, zones_of(number), calendar) == opens
    if opens > now:
        assert next_window(opens - timedelta(seconds=1), zones_of(number), calendar) == opens


days = st.integers(min_value=1, max_value=2000)


@patiently
@given(
    blocked=days,
    channel=st.sampled_from(("any", "call")),
    given_days=st.none() | days,
    asked=st.lists(st.tuples(days, st.booleans(), st.booleans()), max_size=4),
    bought=st.none() | days,
)
def test_a_block_wins_unless_the_person_asked_again_themselves(
    blocked: int,
    channel: str,
    given_days: int | None,
    asked: list[tuple[int, bool, bool]],
    bought: int | None,
) -> None:
    now = WEDNESDAY
    facts = Facts(
        NUMBER,
        enquiries=[Enquiry(now - ago * DAY, own, is_open) for ago, own, is_open in sorted(asked)],
        bought_at=now - bought * DAY if bought else None,
        consent=consent(now - given_days * DAY) if given_days else None,
        blocks=[Block(channel, "opposed", now - blocked * DAY)],
        check=RegisterCheck(now - DAY, False),
    )
    verdict = decide(facts, BrandRules(), now)
    asked_again = any(own and ago < blocked for ago, own, _open in asked)
    permitted_again = given_days is not None and given_days < blocked
    assert not verdict.may or asked_again or permitted_again
