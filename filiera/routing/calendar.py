"""Which days a brand does not work: the one calendar behind promotions, delayed tries and every working hour.

Holidays are Italy's (law 260/1949 as amended) and the local patron's; a brand adds days of its own, once or every year.
Pure: no database and no clock.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Self
from zoneinfo import ZoneInfo

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from filiera.platform.refusals import Invalid
from filiera.routing import rules

if TYPE_CHECKING:
    from filiera.identity.models import Brand

MOST_CLOSURES: Final = 60
LONGEST_NAME: Final = 100
_FIXED: Final[dict[tuple[int, int], Promise]] = {
    (1, 1): gettext_lazy("Capodanno"),
    (1, 6): gettext_lazy("Epifania"),
    (4, 25): gettext_lazy("Liberazione"),
    (5, 1): gettext_lazy("Festa del lavoro"),
    (6, 2): gettext_lazy("Festa della Repubblica"),
    (8, 15): gettext_lazy("Ferragosto"),
    (11, 1): gettext_lazy("Ognissanti"),
    (12, 8): gettext_lazy("Immacolata"),
    (12, 25): gettext_lazy("Natale"),
    (12, 26): gettext_lazy("Santo Stefano"),
}
_SAINT_FRANCIS, _SAINT_FRANCIS_SINCE = (10, 4), 2026  # law 151/2025
_LEAP_YEAR: Final = 2024
_ONCE, _EVERY_YEAR = len("2027-12-24"), len("12-24")
_LENGTHS: Final = frozenset({_ONCE, _EVERY_YEAR})
_NO_PATRON: Final = gettext_lazy("Il giorno del patrono si scrive come 24/06.")
_AHEAD: Final = 400
_DAY: Final = r"(\d{1,2}/\d{1,2}(?:/\d{4})?)"
_LINE: Final = re.compile(rf"{_DAY}(?:\s*[-–]\s*{_DAY})?(?:\s+(.*))?")


@dataclass(frozen=True, slots=True)
class Closure:
    """Days on which a brand is closed, both ends included: dates like 2027-08-10, or 12-24 for every year."""

    first: str
    last: str
    name: str = ""

    def covers(self, day: date) -> bool:
        return self.first <= day.isoformat()[-len(self.first) :] <= self.last

    def typed(self) -> str:
        """Return it as one types it: `10/08/2027-21/08/2027 Ferie`."""
        ends = dict.fromkeys("/".join(reversed(end.split("-"))) for end in (self.first, self.last))
        return f"{'-'.join(ends)} {self.name}".strip()


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days a brand does not work: `settings["holidays"]`."""

    patron_day: tuple[int, int] | None = None
    closures: tuple[Closure, ...] = ()

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Read a brand's settings; what is not there is the default."""
        said = settings.get("holidays") or {}
        month, _dash, day = str(said.get("patron_day") or "").partition("-")
        return cls(
            (int(month), int(day)) if month and day else None,
            tuple(Closure(one["from"], one["to"], one["name"]) for one in said.get("closed") or ()),
        )

    def holiday(self, day: date) -> str:
        """Return the name of the holiday a day is, "" for none."""
        on, easter = (day.month, day.day), easter_of(day.year)
        if on in _FIXED:
            return str(_FIXED[on])
        if on == _SAINT_FRANCIS and day.year >= _SAINT_FRANCIS_SINCE:
            return _("San Francesco")
        if day == easter:
            return _("Pasqua")
        if day == easter + timedelta(days=1):
            return _("Lunedì dell’Angelo")
        return _("Festa del patrono") if on == self.patron_day else ""

    def closure(self, day: date) -> str:
        """Return why the brand itself is closed on a day, "" when it is not."""
        return next((one.name or _("Chiusura") for one in self.closures if one.covers(day)), "")

    def why_closed(self, day: date) -> str:
        """Return why nobody works on a day, "" when the calendar has nothing against it."""
        return self.holiday(day) or self.closure(day)

    def next_closed(self, since: date, *, most: int) -> list[tuple[date, str]]:
        """Return the next days on which nobody works within 400 days, with the reason."""
        days = (since + timedelta(days=ahead) for ahead in range(_AHEAD))
        return [(day, why) for day in days if (why := self.why_closed(day))][:most]


@dataclass(frozen=True, slots=True)
class WorkingTime:
    """When a brand works: its hours, and its calendar. A brand without hours works at any, but for its own closures."""

    hours: rules.Hours | None
    calendar: Calendar
    zone: tzinfo

    @classmethod
    def of(cls, brand: Brand) -> Self:
        """Read it from a brand's settings."""
        hours = rules.read_hours(brand.settings.get("working_hours"))
        return cls(hours, Calendar.of(brand.settings), ZoneInfo(brand.timezone))

    def is_open(self, at: datetime) -> bool:
        """Tell whether the brand works at a moment."""
        local = at.astimezone(self.zone)
        return rules.is_open(self.hours, local) and not self._why_off(local.date())

    def next_open(self, at: datetime) -> datetime | None:
        """Return the first moment from `at` on at which the brand works; None when there is none within 400 days."""
        for _attempt in range(_AHEAD):
            opens = rules.next_open(self.hours, at, self.zone)
            if opens is None or self.is_open(opens):
                return opens
            midnight = opens.astimezone(self.zone).date() + timedelta(days=1)
            at = datetime.combine(midnight, time(), self.zone).astimezone(at.tzinfo)
        return None

    def _why_off(self, day: date) -> str:
        return self.calendar.closure(day) if self.hours is None else self.calendar.why_closed(day)


@lru_cache
def easter_of(year: int) -> date:
    """Return Easter Sunday of a year. Source: the anonymous Gregorian algorithm (Nature, 20 April 1876)."""
    a, (b, c) = year % 19, divmod(year, 100)
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * weekday) // 451
    month, day = divmod(h + weekday - 7 * m + 114, 31)
    return date(year, month, day + 1)


# What people and programs write


def kept(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return holidays as a brand keeps them, {"patron_day": "06-24", "closed": [{"from", "to", "name"}, …]} in order.

    Raises Invalid for what is no day, ends before it begins, or is too much.
    """
    patron_day, closed = said.get("patron_day") or "", said.get("closed") or []
    if patron_day and not _is_range(patron_day, patron_day, {_EVERY_YEAR}):
        raise Invalid(str(_NO_PATRON))
    if len(closed) > MOST_CLOSURES:
        raise Invalid(_("Al massimo %(most)s chiusure.") % {"most": MOST_CLOSURES})
    closures = [Closure(one["from"], one["to"], one.get("name", "").strip()) for one in closed]
    for one in closures:
        if not _is_range(one.first, one.last, _LENGTHS) or len(one.name) > LONGEST_NAME:
            raise Invalid(_not_read(one.typed()))
    closures.sort(key=lambda one: (len(one.first), one.first, one.last))
    return {
        "patron_day": patron_day,
        "closed": [{"from": one.first, "to": one.last, "name": one.name} for one in closures],
    }


def read_patron(typed: str) -> str:
    """Return the patron's day as MM-DD, from day/month; nothing stays nothing. Raises Invalid."""
    try:
        return _iso(typed.strip(), {1}) if typed.strip() else ""
    except ValueError:
        raise Invalid(str(_NO_PATRON)) from None


def read_closures(typed: str) -> list[dict[str, str]]:
    """Return closures as they are kept, one for each typed line. Raises Invalid, with the line that cannot be read."""
    lines = [line for line in map(str.strip, typed.splitlines()) if line]
    closures: list[dict[str, str]] = kept({"closed": [_read_line(line) for line in lines]})["closed"]
    return closures


def typed(closures: Iterable[Closure]) -> str:
    """Return closures as one types them, a line for each."""
    return "\n".join(one.typed() for one in closures)


def _read_line(line: str) -> dict[str, str]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise Invalid(_not_read(line))
    first, last, name = match.groups()
    try:
        return {"from": _iso(first), "to": _iso(last or first), "name": (name or "").strip()}
    except ValueError:
        raise Invalid(_not_read(line)) from None


def _not_read(line: str) -> str:
    return _("«%(line)s» non si legge: scrivi 24/12 Vigilia, o 10/08/2027-21/08/2027 Ferie.") % {"line": line}


def _iso(typed: str, slashes: Collection[int] = (1, 2)) -> str:
    if typed.count("/") not in slashes:
        raise ValueError(typed)
    day, month, year = (*map(int, typed.split("/")), _LEAP_YEAR)[:3]
    found = date(year, month, day).isoformat()
    return found if typed.count("/") == 2 else found[-_EVERY_YEAR:]


def _is_range(first: str, last: str, lengths: Collection[int]) -> bool:
    """Tell whether these are two days in order, both of one year (2027-08-10) or of every one (12-24)."""
    if len(first) not in lengths or len(first) != len(last) or first > last:
        return False
    try:
        days = [date.fromisoformat(f"{_LEAP_YEAR}-{end}"[-_ONCE:]).isoformat() for end in (first, last)]
    except ValueError:
        return False
    return [day[-len(first) :] for day in days] == [first, last]
