"""May this person be rung now, and on which basis: pure functions over facts (privacy.md GD-04, GD-09 … GD-16).

Three bases, in this order: an enquiry that is answered, a purchase that is spoken about, a promotion that was
permitted. Who asked not to be called is rung on none of them until they ask again themselves. Where sources disagree
the stricter reading holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from phonenumbers import NumberParseException, parse, timezone

from filiera.contacts import consent_rules
from filiera.contacts.consent_rules import CALL, Act, Block
from filiera.routing.calendar import Calendar

ANSWER_WITHIN: Final = timedelta(days=90)
"""How long an enquiry may be answered, while its deal is open: later it is a promotion."""
ABOUT_A_PURCHASE: Final = timedelta(days=365)
REGISTER_CHECK_HOLDS: Final = timedelta(days=15)
"""GD-10: the stricter of a month (the registry's manager) and 15 days (press)."""
ITALY: Final = "+39"
ROME: Final = ZoneInfo("Europe/Rome")
ITALIAN: Final = Calendar()
"""The calendar of a brand that said nothing: Italy's holidays."""

_WEEKDAY: Final = (time(9), time(20))
_EVE: Final = (time(10), time(19))
_DAYS_AHEAD: Final = 60


class Basis(StrEnum):
    """On what a call rests."""

    REQUEST = "request"
    PURCHASE = "purchase"
    PROMOTION = "promotion"


class Stop(StrEnum):
    """Why a person may not be rung."""

    NO_NUMBER = "no_number"
    RESTRICTED = "restricted"
    OPPOSED = "opposed"
    NO_CONSENT = "no_consent"
    NO_PROOF = "no_proof"
    REQUEST_ONLY = "request_only"
    NOT_CHECKED = "not_checked"
    CHECK_OLD = "check_old"
    IN_REGISTER = "in_register"
    CLOSED_WINDOW = "closed_window"


@dataclass(frozen=True, slots=True)
class Enquiry:
    """A lead of the person: when, whether they sent it themselves, whether its deal is still open."""

    at: datetime
    is_own: bool
    is_open: bool


@dataclass(frozen=True, slots=True)
class RegisterCheck:
    """What the opposition register last said about a number. `listed_since` is a moment by which it was listed."""

    at: datetime
    is_listed: bool
    listed_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a person at one moment; the enquiries newest first, `number` E.164 or ""."""

    number: str
    is_restricted: bool = False
    enquiries: Sequence[Enquiry] = ()
    bought_at: datetime | None = None
    consent: Act | None = None
    # The permission came with a list that was bought, and nobody has shown its proof (GD-07).
    is_unproven: bool = False
    blocks: Collection[Block] = ()
    check: RegisterCheck | None = None


@dataclass(frozen=True, slots=True)
class BrandRules:
    """What a brand says about its calls (`settings["calls"]`), and the days it does not work."""

    is_request_only: bool = False
    calendar: Calendar = ITALIAN
    zone: tzinfo = ROME

    @classmethod
    def of(cls, settings: Mapping[str, Any], zone: str) -> BrandRules:
        """Read a brand's settings; what is not there is the default."""
        said = settings.get("calls") or {}
        return cls(
            is_request_only=bool(said.get("request_only")),
            calendar=Calendar.of(settings),
            zone=ZoneInfo(zone),
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a person may be rung, on which basis and since when; or why not, and when the window opens."""

    basis: Basis | None = None
    stop: Stop | None = None
    since: datetime | None = None
    opens_at: datetime | None = None

    @property
    def may(self) -> bool:
        return self.stop is None

    @property
    def is_promotion(self) -> bool:
        return self.basis is Basis.PROMOTION


def decide(facts: Facts, brand: BrandRules, now: datetime) -> Verdict:
    """Return whether this person may be rung now, and why."""
    if not facts.number:
        return Verdict(stop=Stop.NO_NUMBER)
    if facts.is_restricted:
        return Verdict(stop=Stop.RESTRICTED)
    block = consent_rules.latest_block(facts.blocks, CALL)
    enquiry = _answerable(facts.enquiries, block, now)
    if enquiry is not None:
        return Verdict(Basis.REQUEST, since=enquiry.at)
    if block is None and facts.bought_at is not None and now - facts.bought_at <= ABOUT_A_PURCHASE:
        return Verdict(Basis.PURCHASE, since=facts.bought_at)
    return _promotion(facts, brand, now)


def _answerable(enquiries: Iterable[Enquiry], block: Block | None, now: datetime) -> Enquiry | None:
    """Return the newest enquiry that may be answered: only one of their own is stronger than a block before it."""
    for one in enquiries:
        is_stronger = block is None or (one.is_own and one.at > block.at)
        if one.is_open and is_stronger and now - one.at <= ANSWER_WITHIN:
            return one
    return None


def _promotion(facts: Facts, brand: BrandRules, now: datetime) -> Verdict:
    consent = facts.consent
    if not consent_rules.holds(consent, facts.blocks, CALL):
        is_opposed = consent_rules.latest_block(facts.blocks, CALL) is not None
        return Verdict(stop=Stop.OPPOSED if is_opposed else Stop.NO_CONSENT)
    assert consent is not None
    if brand.is_request_only:
        return Verdict(stop=Stop.REQUEST_ONLY)
    if facts.is_unproven:
        return Verdict(stop=Stop.NO_PROOF)
    if facts.number.startswith(ITALY) and (stop := _register(facts.check, consent.at, now)):
        return Verdict(stop=stop)
    opens_at = next_window(now, zones_of(facts.number, brand.zone), brand.calendar)
    if opens_at != now:
        return Verdict(stop=Stop.CLOSED_WINDOW, opens_at=opens_at)
    return Verdict(Basis.PROMOTION, since=consent.at)


def _register(check: RegisterCheck | None, consent_at: datetime, now: datetime) -> Stop | None:
    """Return what the register has against a call: registration ends what was permitted before it (GD-09, GD-10)."""
    if check is None:
        return Stop.NOT_CHECKED
    if now - check.at > REGISTER_CHECK_HOLDS:
        return Stop.CHECK_OLD
    if check.is_listed and consent_at <= (check.listed_since or check.at):
        return Stop.IN_REGISTER
    return None


# The window (GD-11: Code of Conduct on telemarketing, Garante 148/2024)


def window_of(day: date, calendar: Calendar = ITALIAN) -> tuple[time, time] | None:
    """Return from when to when promotional calls may be made on a day, the end not included; None for never."""
    if day.weekday() == 6 or calendar.why_closed(day):
        return None
    is_eve = day.weekday() == 5 or calendar.holiday(day + timedelta(days=1))
    return _EVE if is_eve else _WEEKDAY


@lru_cache(maxsize=4096)
def zones_of(number: str, default: tzinfo = ROME) -> tuple[tzinfo, ...]:
    """Return the time zones a number may be in: a call is made only when all of them allow it."""
    if number.startswith(ITALY):
        return (ROME,)
    try:
        names = timezone.time_zones_for_number(parse(number))
    except NumberParseException:
        return (default,)
    return tuple(ZoneInfo(name) for name in names if name != "Etc/Unknown") or (default,)


def next_window(now: datetime, zones: Sequence[tzinfo], calendar: Calendar = ITALIAN) -> datetime | None:
    """Return the first moment from `now` on that lies inside the window in all these zones; `now` itself when it does.

    None when there is none in the next sixty days.
    """
    at, limit = now, now + timedelta(days=_DAYS_AHEAD)
    while at < limit:
        later = max(_next_in(at, zone, calendar, limit) for zone in zones)
        if later == at:
            return at
        at = later
    return None


def _next_in(at: datetime, zone: tzinfo, calendar: Calendar, limit: datetime) -> datetime:
    local = at.astimezone(zone)
    for ahead in range(_DAYS_AHEAD):
        day = local.date() + timedelta(days=ahead)
        if (window := window_of(day, calendar)) is None:
            continue
        opens, closes = (datetime.combine(day, edge, zone) for edge in window)
        if at < opens:
            return opens.astimezone(at.tzinfo)
        if at < closes:
            return at
    return limit
