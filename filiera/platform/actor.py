"""Who acts: told to the database with each transaction, which writes it beside every change it records.

Nobody told means SQL by hand: the record then names the database role alone.
"""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

LONGEST_USER_AGENT = 500

PERSON, PROGRAM, JOB, COMMAND, MACHINE = "person", "program", "job", "command", "machine"


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, a program with a key, a job, a command of an operator, or the machine on the lead path.

    Of the machine the tables of the lead path record nothing: lead events, decisions, call attempts and the history of
    stages already are its record, and leads come by the hundred.
    """

    kind: str
    name: str = ""
    user_id: UUID | None = None
    request_id: str = ""
    ip_address: str = ""
    user_agent: str = ""

    def settings(self) -> dict[str, str]:
        """Return what the database is told, by the name of its setting."""
        return {
            "app.actor_kind": self.kind,
            "app.actor_name": self.name,
            "app.actor_id": str(self.user_id) if self.user_id else "",
            "app.request_id": self.request_id,
            "app.ip_address": _address(self.ip_address),
            "app.user_agent": self.user_agent.replace("\0", "")[:LONGEST_USER_AGENT],
        }


NOBODY = Actor(kind="")
_current: ContextVar[Actor | None] = ContextVar("actor", default=None)
_of_process = NOBODY


def current() -> Actor:
    """Return who acts here: what was said nearest, else what the process is, else nobody."""
    return _current.get() or _of_process


def process_is(actor: Actor) -> None:
    """Say who acts in this process wherever nothing nearer is said: in every thread it starts."""
    global _of_process
    _of_process = actor


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Let `actor` act inside, also for the rest of a transaction that is open already."""
    outer = current()
    token = _current.set(actor)
    is_told = connection.in_atomic_block
    if is_told:
        tell(actor.settings())
    try:
        yield
    finally:
        _current.reset(token)
        if is_told and connection.in_atomic_block and not connection.needs_rollback:
            tell(outer.settings())


def tell(settings: dict[str, str]) -> None:
    """Set settings of the open transaction with one statement."""
    if not settings:
        return
    calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    with connection.cursor() as cursor:
        cursor.execute(f"select {calls}", [text for pair in settings.items() for text in pair])


def _address(text: str) -> str:
    """Return an address as the server reads it, "" for what is none: a socket's name, a proxy's fancy."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
