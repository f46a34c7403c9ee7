"""Telephone numbers: four values out of what somebody typed, and whether that can be dialled.

A number is recognised by `(country_code, normalised)`, so every way of writing the same number must give
the same pair. The steps and the table of prefixes are contacts.md 4.1; lengths, trunk zeros and the way a
number is shown come from the `phonenumbers` library (the metadata of Google's libphonenumber).
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import phonenumbers
from django.utils.translation import gettext as _

PREFIXES = {"39": "IT", "44": "GB", "49": "DE", "33": "FR", "34": "ES", "41": "CH", "43": "AT", "1": "US"}
"""The calling codes we tell a country from (CON-06). Any other international number keeps its digits whole."""

FEWEST_DIGITS, MOST_DIGITS = 6, 15
"""Fewer digits reach nobody; more do not fit E.164, country calling code included (CON-11)."""

_NOT_A_DIGIT = re.compile(r"[^0-9]+")
_OPENING = re.compile(r"[^0-9+]*(\+|00)")
_LONGEST_CACHED = 40


class Problem(StrEnum):
    """Why a text is not a number that can be dialled."""

    NOT_A_NUMBER = "not_a_number"
    TOO_FEW_DIGITS = "too_few_digits"
    TOO_MANY_DIGITS = "too_many_digits"


@dataclass(frozen=True, slots=True)
class NormalisedPhone:
    """The four values of CON-04, with the E.164 form and, when it cannot be dialled, why.

    `normalised` is the national number, or every digit when the country is unknown; with a problem,
    `normalised` and `e164` are empty and `country_code` is None, so nobody is recognised by it.
    `digits` is how many digits count towards the length, `expected` the lengths that would do.
    """

    normalised: str
    country_code: str | None
    assumed_country: bool
    raw: str
    e164: str
    problem: Problem | None = None
    digits: int = 0
    expected: tuple[int, ...] = ()

    @property
    def is_valid(self) -> bool:
        return self.problem is None


def normalise(raw: str, default_country: str = "IT") -> NormalisedPhone:
    """Return the normalised form of `raw`; never raises, an unusable text comes back with its `problem`.

    `default_country` (ISO 3166-1, two letters) is the country of a number written without one; its own
    calling code is recognised too, besides PREFIXES. Source: contacts.md 4.1, CON-04 to CON-11.
    """
    if len(raw) <= _LONGEST_CACHED:
        return _normalise_cached(raw, default_country)
    return _normalise(raw, default_country)


def digits_of(raw: str) -> str:
    """Return the digits of any text, in their order."""
    return _NOT_A_DIGIT.sub("", _plain(raw))


def _plain(raw: str) -> str:
    """Turn full-width and other forms of digits into plain ones."""
    return raw if raw.isascii() else unicodedata.normalize("NFKC", raw)


def _normalise(raw: str, default_country: str) -> NormalisedPhone:
    text = _plain(raw)
    digits = _NOT_A_DIGIT.sub("", text)
    if not digits:
        return _refuse(raw, Problem.NOT_A_NUMBER)

    own_code = calling_code(default_country)
    if _OPENING.match(text):
        digits = digits.lstrip("0")  # the dialling-out zeros; no calling code begins with 0
        code, country = _split_code(digits, default_country, own_code)
        assumed = False
        national = _without_trunk_zero(digits[len(code) :], country)
    else:
        code, country, national = "", None, digits
        if len(digits) > 10:
            code, country = _split_code(digits, default_country, own_code)
            national = _without_trunk_zero(digits[len(code) :], country)
            # The digits of a prefix prove nothing unless what follows can be a number over there.
            if len(national) not in _lengths(country, national):
                code, country, national = "", None, digits
        assumed = country is None and own_code != ""
        if assumed:
            code, country = own_code, default_country
            national = _without_trunk_zero(digits, country)

    return _checked(raw, code, country, assumed, national)


_normalise_cached = lru_cache(maxsize=1 << 16)(_normalise)


def _checked(raw: str, code: str, country: str | None, assumed: bool, national: str) -> NormalisedPhone:
    count = len(national)
    expected = _lengths(country, national)
    if count not in expected:
        longest = expected[-1] if expected else MOST_DIGITS
        problem = Problem.TOO_FEW_DIGITS if count < longest else Problem.TOO_MANY_DIGITS
        return _refuse(raw, problem, count, expected)
    return NormalisedPhone(national, country, assumed, raw, f"+{code}{national}", None, count, expected)


def _refuse(raw: str, problem: Problem, digits: int = 0, expected: tuple[int, ...] = ()) -> NormalisedPhone:
    return NormalisedPhone("", None, False, raw, "", problem, digits, expected)


def _split_code(digits: str, default_country: str, own_code: str) -> tuple[str, str | None]:
    """The calling code that `digits` begin with and its country, longest first; ("", None) when unknown."""
    for length in (3, 2, 1):
        code = digits[:length]
        if code == own_code and len(code) == length:
            return code, default_country
        if code in PREFIXES:
            return code, PREFIXES[code]
    return "", None


@lru_cache(maxsize=512)
def calling_code(country: str) -> str:
    """Return the digits that stand for a country in an international number, "" for an unknown one."""
    code = phonenumbers.country_code_for_region(country)
    return str(code) if code else ""


@lru_cache(maxsize=512)
def _has_trunk_zero(country: str | None) -> bool:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(country) if country else None
    return metadata is not None and metadata.national_prefix == "0"


def _without_trunk_zero(national: str, country: str | None) -> str:
    """Drop the zero that is dialled only inside the country: +44 (0)7911… and 07911… are one number.

    Italy has no such zero: in 06 123456 it belongs to the number and stays.
    """
    return national.lstrip("0") if _has_trunk_zero(country) else national


def _lengths(country: str | None, national: str) -> tuple[int, ...]:
    """How many digits a national number may have, ascending."""
    return _lengths_of(country, country == "IT" and national[:1] == "3")


@lru_cache(maxsize=512)
def _lengths_of(country: str | None, is_italian_mobile: bool) -> tuple[int, ...]:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(country) if country else None
    if country is None or metadata is None:
        return tuple(range(FEWEST_DIGITS, MOST_DIGITS + 1))
    described = metadata.mobile if is_italian_mobile else metadata.general_desc
    possible: tuple[int, ...] = described.possible_length if described else ()
    most = MOST_DIGITS - len(calling_code(country))
    return tuple(sorted(length for length in possible if FEWEST_DIGITS <= length <= most))


def explain(phone: NormalisedPhone) -> str:
    """Say to a person what is wrong with a number, with the digits counted; "" when it is right."""
    if phone.problem is None:
        return ""
    if phone.problem is Problem.NOT_A_NUMBER:
        return _("Qui non vedo un numero di telefono.")
    if phone.problem is Problem.TOO_FEW_DIGITS:
        counted = _("Mancano cifre: ne ho contate %(digits)s.") % {"digits": phone.digits}
    else:
        counted = _("Ci sono troppe cifre: ne ho contate %(digits)s.") % {"digits": phone.digits}
    if phone.expected == (9, 10):
        return counted + " " + _("Un cellulare italiano ne ha 9 o 10.")
    if len(phone.expected) == 1:
        return counted + " " + _("Ne servono %(digits)s.") % {"digits": phone.expected[0]}
    return (
        counted
        + " "
        + _("Ne servono da %(fewest)s a %(most)s.")
        % {
            "fewest": phone.expected[0],
            "most": phone.expected[-1],
        }
    )


@lru_cache(maxsize=1 << 14)
def display(e164: str) -> str:
    """A stored E.164 number as people read it: `+39 351 000 4127`. Returned as it is when unreadable."""
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return e164
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


@lru_cache(maxsize=1 << 14)
def display_short(e164: str, country_code: str | None, home_country: str = "IT") -> str:
    """As `display`, without the calling code for a number of the brand's own country: `351 000 4127`."""
    shown = display(e164)
    code = "+" + calling_code(home_country) + " "
    return shown[len(code) :] if country_code == home_country and shown.startswith(code) else shown
