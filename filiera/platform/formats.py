"""Numbers, money and moments as people read them, in the language and the zone that are active.

Italian formats are those of the workspace: `1.140,00 €`, whole amounts `1.140 €`, `13/10, 10:37`, `31 min`.
"""

from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import TypeAlias

from django.utils import formats as localised
from django.utils import timezone
from django.utils.dateformat import format as date_format
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

Number: TypeAlias = int | float | Decimal | Fraction

_NBSP = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def number(value: Number, places: int = 0) -> str:
    """Return a number with grouping and `places` decimals, rounded half up."""
    rounded = _decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    sign = _MINUS if rounded < 0 else ""
    return sign + localised.number_format(abs(rounded), places, force_grouping=True)


def signed(value: Number, places: int = 2) -> str:
    """Return a number that always shows its side of zero: `+0,25`, `−0,25`, `0,00`."""
    positive = _decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP) > 0
    return f"+{number(value, places)}" if positive else number(value, places)


def money(amount: Number, currency: str = "EUR") -> str:
    """Return an amount with its currency; cents only where there are some."""
    whole = _decimal(amount) == _decimal(amount).to_integral_value()
    symbol = "€" if currency == "EUR" else currency
    return f"{number(amount, 0 if whole else 2)}{_NBSP}{symbol}"


def percent(part: int, whole: int, places: int = 1) -> str:
    """Return `part` of `whole` in hundredths: `88,6 %`. Of nothing, a dash."""
    return f"{number(Fraction(part * 100, whole), places)}{_NBSP}%" if whole else "–"


def clock(seconds: float) -> str:
    """Return a length of time that counts: `0:41`, `1:02:10`."""
    minutes, rest = divmod(int(max(seconds, 0)), _MINUTE)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(seconds: float) -> str:
    """Return a length of time in its largest unit: `12 s`, `31 min`, `5 h`, `2 g`."""
    whole = int(max(seconds, 0))
    if whole < _MINUTE:
        return f"{whole}{_NBSP}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}{_NBSP}min"
    if whole < _DAY:
        return f"{whole // _HOUR}{_NBSP}h"
    return _("%(days)s g") % {"days": number(whole // _DAY)}


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago something happened, in words: `4 minuti fa`."""
    seconds = int(max((now - at).total_seconds(), 0))
    if seconds < 1:
        return _("adesso")
    if seconds < _MINUTE:
        return ngettext("%(n)s secondo fa", "%(n)s secondi fa", seconds) % {"n": seconds}
    if seconds < _HOUR:
        return ngettext("%(n)s minuto fa", "%(n)s minuti fa", seconds // _MINUTE) % {"n": seconds // _MINUTE}
    if seconds < _DAY:
        return ngettext("%(n)s ora fa", "%(n)s ore fa", seconds // _HOUR) % {"n": seconds // _HOUR}
    return ngettext("%(n)s giorno fa", "%(n)s giorni fa", seconds // _DAY) % {"n": seconds // _DAY}


def moment(at: datetime, now: datetime) -> str:
    """Return a moment as one says it: `oggi 11:30`, `domani 10:00`, `gio 15, 9:30`, `13/10, 10:37`."""
    there, here = timezone.localtime(at), timezone.localtime(now)
    hour = date_format(there, "G:i")
    distance = (there.date() - here.date()).days
    if distance in (-1, 0, 1):
        return {-1: _("ieri %(hour)s"), 0: _("oggi %(hour)s"), 1: _("domani %(hour)s")}[distance] % {
            "hour": hour
        }
    if timedelta(days=1) < there.date() - here.date() < timedelta(days=7):
        return f"{date_format(there, 'D j').lower()}, {hour}"
    if there.year == here.year:
        return f"{date_format(there, 'j/n')}, {hour}"
    return date_format(there, "j/n/Y")


def day_month(value: date) -> str:
    """Return a day without its year: `9 novembre`, `9 November`."""
    text = date_format(value, "j F")
    # Django capitalises the months of every language; Italian does not.
    return text.lower() if get_language() != "en" else text


def in_full(at: datetime) -> str:
    """Return a moment with its year and minute: `9 novembre 2026, 9:30`."""
    there = timezone.localtime(at)
    return f"{day_month(there)} {date_format(there, 'Y, G:i')}"


def initials(name: str) -> str:
    """Return the first letters of the first and the last word of a name."""
    words = name.split()
    return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper()


def _decimal(value: Number) -> Decimal:
    if isinstance(value, Fraction):
        return Decimal(value.numerator) / Decimal(value.denominator)
    return value if isinstance(value, Decimal) else Decimal(str(value))
