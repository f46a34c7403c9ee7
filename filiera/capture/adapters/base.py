"""What an adapter is: the few things that differ between the senders of leads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from filiera.capture.adapters.reading import LeadFields
from filiera.capture.documents import Document

Headers = Mapping[str, str]  # names in lower case


def _nothing(_document: Document) -> str:
    return ""


def _no_lookups(_document: Document) -> list[str]:
    return []


def _always_fresh(_document: Document, _now: datetime) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Adapter:
    """One sender. All functions are pure; `read` raises nothing but Unmappable.

    `read(document, mapping, retrieved)` returns the leads of one request, at least one of them within reach;
    `retrieved` holds what was fetched from the sender afterwards, by id. `verify(headers, body, secret)` checks a
    signature over the raw bytes. `body_key` is the key that stands in the body. `request_id` names a delivery for
    good, so that a repetition is recognised whenever it comes; `dedupe_key` does so within `dedupe_window_s` only.
    `lookups` are the ids whose data must be fetched before reading. `auth_modes` are the proofs the sender can give,
    the best first.
    """

    name: str
    label: str
    auth_modes: tuple[str, ...]
    read: Callable[[Document, Mapping[str, str], Mapping[str, Any]], list[LeadFields]]
    verify: Callable[[Headers, bytes, bytes], bool] | None = None
    public_key: bytes = b""  # verifies the signatures of a sender who signs for everybody with one key
    is_fresh: Callable[[Document, datetime], bool] = _always_fresh
    body_key: Callable[[Document], str] = _nothing
    request_id: Callable[[Document], str] = _nothing
    dedupe_key: Callable[[Document], str] = _nothing
    dedupe_window_s: int = 0
    lookups: Callable[[Document], list[str]] = _no_lookups
    # Names decide alone, and a request that cannot be mapped gets 400; other senders understand nothing but 200.
    by_names: bool = False
