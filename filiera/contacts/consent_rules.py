"""What a box on a form asked for, and what follows from it: pure functions over words."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from filiera.contacts.rules import folded

MARKETING, PROFILING, THIRD_PARTY, NEWSLETTER = "marketing", "profiling", "third_party", "newsletter"
NOTICE, BUNDLED = "notice", "bundled"
CALL, EMAIL, SMS, WHATSAPP, POST = "call", "email", "sms", "whatsapp", "post"
LONGEST_TEXT = 10_000

_PURPOSES = {
    MARKETING: ("marketing", "promozional", "promozion", "pubblicit", "commercial", "offert"),
    PROFILING: ("profilazion", "profiling", "profilato"),
    THIRD_PARTY: ("terzi", "terze", "partner", "third"),
    NEWSLETTER: ("newsletter",),
}
_CHANNELS = {
    CALL: ("telefon", "chiamat", "telephon", "phone", "call"),
    EMAIL: ("email", "mail", "elettronic"),
    SMS: ("sms",),
    WHATSAPP: ("whatsapp",),
    POST: ("cartace", "postal"),
}
_NO = frozenset({"", "0", "false", "no", "off", "n", "none", "null", "unchecked"})


@dataclass(frozen=True, slots=True)
class Said:
    """One permission that a box speaks of; `channel` is "" where the purpose has none."""

    purpose: str
    channel: str
    given: bool
    text: str
    text_version: str


def read(question: str, answer: object, *, form_id: str = "") -> list[Said]:
    """Return the permissions of one box, one for each channel it names.

    A text with several purposes gives none of them (Garante 130/2024); one that names no channel is good for e-mail
    alone, the least intrusive; one that names no purpose is the notice that was read.
    """
    said = "" if isinstance(answer, bool) or answer is None else str(answer).strip()
    words = re.findall(r"\w+", folded(f"{question} {said}".replace("e-mail", "email")))
    found = {purpose for purpose, starts in _PURPOSES.items() if _any(words, starts)}
    if found >= {MARKETING, NEWSLETTER}:
        found.remove(NEWSLETTER)
    purpose = found.pop() if len(found) == 1 else BUNDLED if found else NOTICE
    channels: Iterable[str] = ("",)
    if purpose == MARKETING:
        channels = [channel for channel, starts in _CHANNELS.items() if _any(words, starts)] or [EMAIL]
    elif purpose == NEWSLETTER:
        channels = [EMAIL]
    text = (question if not said or len(said) < 4 else f"{question}\n{said}").strip()[:LONGEST_TEXT]
    given = (answer is True) if isinstance(answer, bool) else not _is_no(said)
    version = version_of(text)
    version = f"{form_id[:80]}:{version}" if form_id else version
    return [Said(purpose, channel, given, text, version) for channel in channels]


def version_of(text: str) -> str:
    """Return what names a text: another comma makes another version."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _any(words: Iterable[str], starts: tuple[str, ...]) -> bool:
    return any(word.startswith(starts) for word in words)


def _is_no(said: str) -> bool:
    plain = folded(said)
    return plain in _NO or plain.startswith(("non ", "no,", "nego "))


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did about one permission, and when."""

    given: bool
    by_person: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Block:
    """An opposition, withdrawal or erasure; `channel` "any" is all of them."""

    channel: str
    reason: str
    at: datetime


def holds(latest: Act | None, blocks: Iterable[Block], channel: str) -> bool:
    """Say whether a permission holds: it was given last, and after any block by the person themselves (GD-28)."""
    if latest is None or not latest.given:
        return False
    standing = [block for block in blocks if block.channel in ("any", channel)]
    return all(latest.by_person and latest.at > block.at for block in standing)


def latest_block(blocks: Iterable[Block], channel: str) -> Block | None:
    """Return the newest block of a channel."""
    return max(
        (one for one in blocks if one.channel in ("any", channel)), key=lambda one: one.at, default=None
    )


def asked(consents: object) -> list[Mapping[str, object]]:
    """Return the boxes of a lead's custom fields, whatever a sender made of them."""
    return [one for one in consents if isinstance(one, dict)] if isinstance(consents, list) else []
