"""The days a brand does not work, as it says them and as they count."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from filiera.platform.refusals import Invalid
from filiera.routing import calendar, rules
from filiera.routing.calendar import Calendar, Closure, WorkingTime, easter_of

ROME = ZoneInfo("Europe/Rome")
OFFICE = rules.read_hours({day: [["09:00", "18:00"]] for day in rules.DAYS[:5]})
AUGUST = Closure("2027-08-09", "2027-08-20", "Ferie")


@pytest.mark.parametrize(
    ("year", "easter"),
    [(2024, (3, 31)), (2025, (4, 20)), (2026, (4, 5)), (2027, (3, 28)), (2038, (4, 25)), (2000, (4, 23))],
)
def test_easter(year: int, easter: tuple[int, int]) -> None:
    assert easter_of(year) == date(year, *easter)


def test_the_holidays_of_a_year_are_the_laws_and_the_patrons() -> None:
    milan = Calendar(patron_day=(12, 7))
    found = {f"{day:%d/%m}": why for day, why in milan.next_closed(date(2027, 1, 1), most=14)}
    assert found == {
        "01/01": "Capodanno",
        "06/01": "Epifania",
        "28/03": "Pasqua",
        "29/03": "Lunedì dell’Angelo",
        "25/04": "Liberazione",
        "01/05": "Festa del lavoro",
        "02/06": "Festa della Repubblica",
        "15/08": "Ferragosto",
        "04/10": "San Francesco",
        "01/11": "Ognissanti",
        "07/12": "Festa del patrono",
        "08/12": "Immacolata",
        "25/12": "Natale",
        "26/12": "Santo Stefano",
    }
    assert not milan.holiday(date(2025, 10, 4)), "Saint Francis is a holiday since 2026"


def test_a_brand_that_is_closed_opens_after_its_closure_and_the_holidays() -> None:
    working = WorkingTime(OFFICE, Calendar(closures=(AUGUST,)), ROME)
    assert not working.is_open(datetime(2027, 8, 10, 11, tzinfo=ROME))
    assert working.next_open(datetime(2027, 8, 10, 11, tzinfo=ROME)) == datetime(2027, 8, 23, 9, tzinfo=ROME)
    assert working.next_open(datetime(2027, 3, 26, 18, tzinfo=ROME)) == datetime(2027, 3, 30, 9, tzinfo=ROME)
    at_work = datetime(2027, 8, 23, 11, tzinfo=ROME)
    assert (working.is_open(at_work), working.next_open(at_work)) == (True, at_work)


def test_a_brand_that_works_at_any_hour_stops_for_its_own_closures_alone() -> None:
    working = WorkingTime(None, Calendar(closures=(AUGUST,)), ROME)
    christmas = datetime(2027, 12, 25, 11, tzinfo=ROME)
    assert working.next_open(christmas) == christmas
    assert working.next_open(datetime(2027, 8, 20, 23, tzinfo=ROME)) == datetime(2027, 8, 21, tzinfo=ROME)


@pytest.mark.parametrize("hours", [OFFICE, None], ids=["office", "any-hour"])
def test_a_brand_that_is_always_closed_never_opens(hours: Any) -> None:
    working = WorkingTime(hours, Calendar(closures=(Closure("01-01", "12-31"),)), ROME)
    assert working.next_open(datetime(2027, 8, 10, 11, tzinfo=ROME)) is None


def test_closures_are_read_as_typed_and_typed_back() -> None:
    kept = calendar.read_closures("  10/8/2027 – 21/08/2027  Ferie \n\n24/12 Vigilia\n31/12")
    assert kept == [
        {"from": "12-24", "to": "12-24", "name": "Vigilia"},
        {"from": "12-31", "to": "12-31", "name": ""},
        {"from": "2027-08-10", "to": "2027-08-21", "name": "Ferie"},
    ]
    read = Calendar.of({"holidays": {"closed": kept}})
    assert calendar.typed(read.closures) == "24/12 Vigilia\n31/12\n10/08/2027-21/08/2027 Ferie"


@pytest.mark.parametrize(
    "line",
    [
        "Natale",
        "31/02 Mai",
        "10/08-09/08",
        "10/08/2027-12/08",
        "24/12/27",
        "24/12Vigilia",
        f"24/12 {'x' * 101}",
        "²/12",
    ],
)
def test_a_line_that_is_no_closure_is_named(line: str) -> None:
    with pytest.raises(Invalid, match="non si legge"):
        calendar.read_closures(f"24/12 Vigilia\n{line}")


@pytest.mark.parametrize("typed", ["24/6/2027", "31/02", "San Giovanni", "24", "06-24"])
def test_a_patrons_day_is_a_day_of_every_year(typed: str) -> None:
    with pytest.raises(Invalid, match="24/06"):
        calendar.read_patron(typed)
    assert (calendar.read_patron(" 24/6 "), calendar.read_patron("")) == ("06-24", "")
