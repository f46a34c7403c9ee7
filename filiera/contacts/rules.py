"""What identifies a person besides the telephone: the e-mail address and the name, as pure functions."""

import re
import unicodedata

LONGEST_EMAIL, LONGEST_NAME = 255, 100

_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")
_MISSING = frozenset({"", "null", "none", "undefined"})


def present(value: str) -> str:
    """Return `value` trimmed; "" for what senders write when a field was left out ("null")."""
    trimmed = value.strip()
    return "" if trimmed.lower() in _MISSING else trimmed


def email_key(email: str) -> str | None:
    """Return the form by which an address is recognised, or None when it has not the shape of one.

    Trimmed and lower case; nothing but the shape is judged. Source: leads-ads.md 7, rule 4.
    """
    key = email.strip().lower()
    return key if len(key) <= LONGEST_EMAIL and _ADDRESS.fullmatch(key) else None


def split_at_first_space(full_name: str) -> tuple[str, str]:
    """Return first and last name of a GoHighLevel or typed-in name. Source: capture.md 4.3.

    Every other sender's full name stays whole in the first name: where an Italian surname begins
    (De, Di, D'…) cannot be told from the text.
    """
    first, _, last = " ".join(full_name.split()).partition(" ")
    return first, last


def full_name(first_name: str, last_name: str) -> str:
    """Return both names as people say them."""
    return f"{first_name} {last_name}".strip()


def folded(text: str) -> str:
    """Return `text` in the form names are searched by: lower case, without accents, one space between words."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(text.lower().split())


def name_keys(first_name: str, last_name: str) -> tuple[str, str]:
    """Return the two keys of a name, by first name and by last name; a prefix of either finds the person."""
    longest = 2 * LONGEST_NAME + 1
    first, last = folded(first_name), folded(last_name)
    return f"{first} {last}".strip()[:longest], f"{last} {first}".strip()[:longest]


_SHORTEST_WITH_A_SLIP = 4


def near_beginnings(name: str) -> list[str]:
    """Return how a folded name may begin when one letter of it was slipped on; nothing for a name too short to tell."""
    first, _space, rest = name.partition(" ")
    found: dict[str, None] = {}
    if len(first) >= _SHORTEST_WITH_A_SLIP:
        tail = f" {rest}" if rest else ""
        for at, letter in enumerate(first):
            before, after = first[:at], first[at + 1 :]
            found[before + after + tail] = None
            found[before + letter + letter + after + tail] = None
            if after:
                found[before + after[0] + letter + after[1:] + tail] = None
        for letters in (2, 3, len(first) - 2):
            found[first[:letters]] = None
    if rest:
        found[f"{first} {rest[:3]}"] = None
        found[f"{rest} {first[:3]}"] = None
    found.pop(name, None)
    return list(found)
