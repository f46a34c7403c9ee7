"""Invented leads as bytes on the wire, distinct by number: the same number is always the same person."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

FIRST_NAMES = (
    "Ada",
    "Bruno",
    "Carla",
    "Dario",
    "Elena",
    "Fabio",
    "Giulia",
    "Ivo",
    "Lidia",
    "Marco",
    "Nora",
    "Piero",
)
LAST_NAMES = (
    "Rossi",
    "Ferrari",
    "Bianchi",
    "Greco",
    "Conti",
    "Marino",
    "Gallo",
    "Fontana",
    "Riva",
    "Serra",
    "Vitale",
)


def webhook_posts(
    facts: dict[str, Any], *, first: int = 0, person_of: Callable[[int], int] = lambda number: number
) -> Iterator[bytes]:
    """Yield POSTs of leads to the brand's own program, from number `first` on; `person_of` says whose a lead is."""
    head = (
        f"POST /webhook-ingest/{facts['source']} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nX-API-Key: {facts['key']}\r\nX-Request-ID: LEAD_%012d\r\n"
        "Content-Length: %d\r\n\r\n"
    ).encode()
    for number in count(first):
        body = lead(person_of(number))
        yield head % (number, len(body)) + body


def plain_posts() -> Iterator[bytes]:
    """Yield the same leads as POSTs to the baseline of `bench.baselines`."""
    head = (
        b"POST /api/lead HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"X-Request-ID: LEAD_%012d\r\nContent-Length: %d\r\n\r\n"
    )
    for number in count():
        body = lead(number)
        yield head % (number, len(body)) + body


def lead(person: int) -> bytes:
    """Return the JSON of a lead of person number `person`."""
    return _BODY % (
        _FIRST[person % len(_FIRST)],
        _LAST[person % len(_LAST)],
        person,
        phone(person).encode(),
        18 + person % 70,
    )


def phone(person: int) -> str:
    """Return the mobile number of a person as people write it; +39 and the same digits is its E.164 form."""
    return f"3{20 + person // 10_000_000:02d}{person % 10_000_000:07d}"


_FIRST = [name.encode() for name in FIRST_NAMES]
_LAST = [name.encode() for name in LAST_NAMES]
_BODY = (
    b'{"nome":"%s","cognome":"%s","email":"persona%09d@posta.example","telefono":"%s","servizio":"PRO",'
    b'"pacchetto":"AVANZATO","vuoleContratto":true,"vuoleBrochure":false,"eta":%d,"source":"banco.example"}'
)
