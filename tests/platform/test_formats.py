"""Numbers, money and moments are written as Italians read them (design, section Words)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone, translation

from filiera.platform import formats

NOW = datetime(2026, 10, 13, 8, 47, tzinfo=UTC)  # 10:47 in Rome, a Tuesday


@pytest.fixture(autouse=True)
def italian_in_rome():
    with translation.override("it"), timezone.override(ZoneInfo("Europe/Rome")):
        yield


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Decimal("1140.00"), "1.140\xa0€"),
        (Decimal("1140.50"), "1.140,50\xa0€"),
        (Decimal("0"), "0\xa0€"),
        (Decimal("-12.5"), "−12,50\xa0€"),
    ],
)
def test_whole_amounts_show_no_cents(amount, text):
    assert formats.money(amount) == text


def test_a_credit_always_shows_its_side_of_zero():
    assert [formats.signed(value) for value in (Fraction(1, 4), Fraction(-1, 4), 0, Fraction(1, 1000))] == [
        "+0,25",
        "−0,25",
        "0,00",
        "0,00",
    ]


def test_a_share_of_nothing_is_a_dash():
    assert formats.percent(218, 246) == "88,6\xa0%"
    assert formats.percent(0, 0) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (12, "12\xa0s"),
        (59.9, "59\xa0s"),
        (60, "1\xa0min"),
        (3 * 3600, "3\xa0h"),
        (2 * 86400, "2 g"),
        (-5, "0\xa0s"),
    ],
)
def test_a_span_uses_its_largest_unit(seconds, text):
    assert formats.span(seconds) == text


@pytest.mark.parametrize(
    ("ahead", "text"),
    [
        (timedelta(minutes=43), "oggi 11:30"),
        (timedelta(days=1, minutes=-47), "domani 10:00"),
        (timedelta(days=-1), "ieri 10:47"),
        (timedelta(days=3, minutes=-77), "ven 16, 9:30"),
        (timedelta(days=-5), "8/10, 10:47"),
        (timedelta(days=-365), "13/10/2025"),
    ],
)
def test_a_moment_is_said_as_one_says_it(ahead, text):
    assert formats.moment(NOW + ahead, NOW) == text


def test_a_clock_counts_minutes_and_seconds():
    assert [formats.clock(seconds) for seconds in (41, 138, 3730)] == ["0:41", "2:18", "1:02:10"]


def test_the_past_is_told_in_words():
    past = [timedelta(seconds=2), timedelta(minutes=1), timedelta(hours=3), timedelta(days=2)]
    assert [formats.ago(NOW - distance, NOW) for distance in past] == [
        "2 secondi fa",
        "1 minuto fa",
        "3 ore fa",
        "2 giorni fa",
    ]


def test_initials_take_the_first_and_the_last_word():
    assert [formats.initials(name) for name in ("Teodora Vanzi", "Elvira Dal Pozzo", "Ugo", "")] == [
        "TV",
        "EP",
        "U",
        "",
    ]
