"""What points to people, read from the database's own catalogue, and what a merge does with it.

A reference that a later room adds moves to the survivor without anybody's doing. Which ones need more than that, or
stay, is said here or by their room at start; a test fails on one of which nobody said anything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connection

if TYPE_CHECKING:
    from filiera.contacts.merging.ledger import Ledger
    from filiera.contacts.merging.plan import Plan


class Fate(Enum):
    """What becomes of a reference to somebody who is merged."""

    MOVES = "moves to the survivor"
    OWN_WAY = "moves by code of its own, because the survivor may have the same already"
    STAYS = "stays: it tells what was, and the old id leads to the survivor"


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that holds the id of a person."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class Bond:
    """A row that belongs to another row of the same person: what was added to a deal goes where the deal goes."""

    table: str
    owner: str
    column: str
    parent: str
    parent_owner: str


Before = Callable[["Plan", "Ledger", datetime, UUID | None], None]
"""(who becomes whom, where changes are remembered, now, who does it)"""
After = Callable[[Sequence[UUID]], None]
Warn = Callable[["Plan"], list[str]]


@dataclass(frozen=True, slots=True)
class Room:
    """What a later room does beside the move of its references.

    `lock` locks what the room locks before people, so that nobody waits in a circle. `before` acts while every row is
    still its old owner's, all people locked; `after_undo` puts the figures right of people who got or lost rows since;
    `warn` says in sentences what a merge would do that is not seen at once.
    """

    lock: After | None = None
    before: Before | None = None
    after_undo: After | None = None
    warn: Warn | None = None


_fates: dict[Reference, tuple[Fate, str]] = {}
_soft: dict[Reference, str] = {}
_rooms: dict[str, Room] = {}


def say(table: str, column: str, fate: Fate, reason: str = "") -> None:
    """Say what becomes of a reference; `reason` where it is not simply moved."""
    _fates[Reference(table, column)] = (fate, reason)


def soft(table: str, column: str, reason: str) -> None:
    """Name a column that may hold a person's id without a constraint, and why it stays as it is."""
    _soft[Reference(table, column)] = reason


def room(name: str, what: Room) -> None:
    """Let a room take part; registering again replaces it."""
    _rooms[name] = what


def rooms() -> Sequence[Room]:
    """Return the rooms that take part, in the order in which they came."""
    return list(_rooms.values())


def fates() -> Mapping[Reference, tuple[Fate, str]]:
    """Return what was said of references that are constraints."""
    return _fates


def soft_ones() -> Mapping[Reference, str]:
    """Return the references without a constraint."""
    return _soft


def fate_of(one: Reference) -> Fate:
    """Return what becomes of a reference: it moves unless somebody said otherwise."""
    return _fates.get(one, (Fate.MOVES, ""))[0]


def moving() -> list[Reference]:
    """Return what a merge moves by one statement each."""
    return [one for one in found() if fate_of(one) is Fate.MOVES]


@cache
def found() -> tuple[Reference, ...]:
    """Return every reference to people that the database knows."""
    return tuple(Reference(*row) for row in _rows(_TO_PEOPLE))


@cache
def bonds() -> tuple[Bond, ...]:
    """Return which rows of a person belong to other rows of the same person."""
    return tuple(Bond(*row) for row in _rows(_BONDS))


@cache
def keeps_time(table: str) -> bool:
    """Say whether rows of a table know when they were edited."""
    return bool(
        _rows(
            "select 1 from pg_attribute where attname = 'updated_at' and not attisdropped"
            f" and attrelid = 'public.{table}'::regclass"
        )
    )


def _rows(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


_KEYS = """
    select c.conrelid, c.conrelid::regclass::text as name, c.confrelid, c.confrelid::regclass::text as target,
           a.attname::text as attname
    from pg_constraint c
    join pg_attribute a on a.attrelid = c.conrelid and a.attnum = any(c.conkey) and a.attname <> 'brand_id'
    where c.contype = 'f' and c.connamespace = 'public'::regnamespace
"""
_TO_PEOPLE = f"select name, attname from ({_KEYS}) k where target = 'contacts_contact' order by 1, 2"
_BONDS = f"""
    with keys as ({_KEYS})
    select child.name, child.attname, bond.attname, parent.name, parent.attname
    from keys child
    join keys bond on bond.conrelid = child.conrelid and bond.target <> 'contacts_contact'
    join keys parent on parent.conrelid = bond.confrelid and parent.target = 'contacts_contact'
    where child.target = 'contacts_contact' and child.name <> 'contacts_contact' and parent.name <> 'contacts_contact'
    order by 1, 3
"""
