"""Who a person is wherever their values stand: the rows that are them, and patterns that find them in text."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.db.models import Q

from filiera.contacts.models import Contact, ContactPhone
from filiera.contacts.rules import email_key

_BETWEEN_DIGITS = r"(?:[ ./()\-]|%20|\+){0,2}"
_BETWEEN_WORDS = r"(?:[ _.,\-]|%20|\+){1,3}"
_SHORTEST_NUMBER, _SHORTEST_NAME = 6, 3


@dataclass(frozen=True, slots=True)
class Subject:
    """A person and whoever was merged into them, with every value that names them.

    `strong` are patterns of numbers and addresses that nobody else of the brand has; `names` of the whole name, either
    way round; `parts` of its words. Patterns are read alike by PostgreSQL and Python, without case, and find a value
    also as an address or a JSON text writes it.
    """

    ids: tuple[UUID, ...]
    emails: tuple[str, ...]
    numbers: tuple[str, ...]
    strong: tuple[str, ...]
    names: tuple[str, ...]
    parts: tuple[str, ...]

    @property
    def pattern(self) -> str:
        """Return what finds a number or address of theirs; a pattern that finds nothing when there is none."""
        return _any(self.strong)

    def parameters(self, now: datetime | None = None) -> dict[str, Any]:
        """Return what the conditions of holdings take."""
        return {
            "people": list(self.ids),
            "emails": list(self.emails),
            "numbers": list(self.numbers),
            "pattern": self.pattern,
            "now": now,
        }


def of(contact: Contact) -> Subject:
    """Return the person of a contact, the merged ones included."""
    ids = {contact.id}
    while more := set(
        Contact.objects.filter(merged_into_id__in=ids).exclude(id__in=ids).values_list("id", flat=True)
    ):
        ids |= more
    people = list(Contact.objects.filter(id__in=ids))
    phones = list(ContactPhone.objects.filter(contact_id__in=ids))
    emails = {key for one in people for key in (one.email_norm, email_key(one.email or "")) if key}
    numbers = {one.phone_e164 for one in phones if one.phone_e164}
    others = Contact.objects.exclude(id__in=ids)
    shared_emails = set(others.filter(email_norm__in=emails).values_list("email_norm", flat=True))
    shared_numbers = set(
        ContactPhone.objects.exclude(contact_id__in=ids)
        .filter(Q(phone_e164__in=numbers))
        .values_list("phone_e164", flat=True)
    )
    strong = [_address(email) for email in sorted(emails - shared_emails)]
    for one in phones:
        if one.phone_e164 in shared_numbers:
            continue
        digits = one.phone_norm if one.phone_e164 else re.sub(r"\D", "", one.phone_raw)
        if len(digits) >= _SHORTEST_NUMBER:
            prefix = one.phone_e164.removesuffix(digits).removeprefix("+") if one.phone_e164 else ""
            strong.append(_number(digits, prefix))
    words = [(one.first_name.split(), one.last_name.split()) for one in people]
    names = {
        _BETWEEN_WORDS.join(_word(word) for word in (*start, *end))
        for first, last in words
        if first and last
        for start, end in ((first, last), (last, first))
    }
    parts = {_word(w) for first, last in words for w in (*first, *last) if len(w) >= _SHORTEST_NAME}
    return Subject(
        ids=tuple(sorted(ids)),
        emails=tuple(sorted(emails)),
        numbers=tuple(sorted(numbers)),
        strong=tuple(dict.fromkeys(strong)),
        names=tuple(rf"\y{name}\y" for name in sorted(names)),
        parts=tuple(rf"\y{part}\y" for part in sorted(parts)),
    )


def _any(patterns: tuple[str, ...]) -> str:
    return "|".join(f"(?:{one})" for one in patterns) or "(?!a)a"


def pattern_of(*groups: tuple[str, ...]) -> str:
    """Return one pattern for all of these."""
    return _any(tuple(pattern for group in groups for pattern in group))


def for_python(pattern: str) -> "re.Pattern[str]":
    r"""Return the pattern as Python reads it: PostgreSQL's word boundary is \y."""
    return re.compile(pattern.replace(r"\y", r"\b"), re.IGNORECASE)


def _address(email: str) -> str:
    return r"(?<![\w.+-])" + "(?:@|%40)".join(_text(part) for part in email.split("@")) + r"(?![\w-])"


def _number(digits: str, prefix: str) -> str:
    own = _BETWEEN_DIGITS.join(digits)
    ahead = rf"(?:(?:\+|%2B|00)?{_BETWEEN_DIGITS.join(prefix)}{_BETWEEN_DIGITS})?" if prefix else ""
    return rf"(?<!\d){ahead}{own}(?!\d)"


def _word(word: str) -> str:
    return _text(word)


def _text(text: str) -> str:
    """Return what finds a text also where its letters are written as UTF-8 escapes of bytes, JSON or an address."""
    return "".join(re.escape(c) if c.isascii() else _spellings(c) for c in text)


def _spellings(letter: str) -> str:
    escaped = "".join(rf"\\{byte:03o}" for byte in letter.encode())
    unicode_ = rf"\\+u{ord(letter):04x}"
    return f"(?:{'|'.join({letter, letter.lower(), letter.upper()})}|{escaped}|{unicode_}|{quote(letter)})"
