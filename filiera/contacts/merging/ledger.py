"""What a merge changed, kept small enough to be undone: ids of rows that moved, and of others what they were before."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from django.db import DatabaseError, connection, transaction
from psycopg import sql

from filiera.contacts.merging.references import Reference
from filiera.platform import bulk

KEEPING_TIME = frozenset({"updated_at", "version"})
"""Columns that every edit moves on: what they say is no edit by itself."""
COUNTED = frozenset({"last_lead_at", "lead_count"})
"""Columns that are counted again when something came since."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Watched:
    """Rows of a table whose every change is kept: a condition in SQL on `row`, with its parameters."""

    table: str
    where: str
    parameters: tuple[Any, ...]


@dataclass(slots=True)
class Change:
    """What happened to rows that stand or fall together, by table: a deal that was closed, say.

    `changed` is row id → column → [before, after].
    """

    about: str
    subject: str
    added: dict[str, list[str]] = field(default_factory=dict)
    removed: dict[str, list[Row]] = field(default_factory=dict)
    changed: dict[str, dict[str, dict[str, list[Any]]]] = field(default_factory=dict)

    def is_empty(self) -> bool:
        return not (self.added or self.removed or self.changed)


class Ledger:
    """Writes for a merge and remembers: `moved` is table → column → old owner → row ids."""

    def __init__(self) -> None:
        self.moved: dict[str, dict[str, dict[str, list[str]]]] = {}
        self.changes: list[Change] = []

    def move(self, one: Reference, losers: Sequence[UUID], survivor: UUID) -> int:
        """Let all rows of `one` that point to the losers point to the survivor; returns how many."""
        ids = bulk.uuids(losers)
        names = {"table": sql.Identifier(one.table), "column": sql.Identifier(one.column)}
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "select {column}::text, id::text from {table} where {column} = any(%s::uuid[]) order by id"
                    " for update"
                )
                .format(**names)
                .as_string(),
                [ids],
            )
            rows = cursor.fetchall()
            if not rows:
                return 0
            owners = self.moved.setdefault(one.table, {}).setdefault(one.column, {})
            for owner, row_id in rows:
                owners.setdefault(owner, []).append(row_id)
            cursor.execute(
                sql.SQL("update {table} set {column} = %s where {column} = any(%s::uuid[])")
                .format(**names)
                .as_string(),
                [survivor, ids],
            )
        return len(rows)

    def note_moved(self, one: Reference, owners: Mapping[str, list[str]]) -> None:
        """Remember rows that were moved by code of their own."""
        if owners:
            self.moved.setdefault(one.table, {})[one.column] = dict(owners)

    @contextmanager
    def watching(self, about: str, subject: UUID | str, *rows: Watched) -> Iterator[None]:
        """Remember what happens inside to these rows, to be undone together or, when one was edited, not at all."""
        before = [_snapshot(one) for one in rows]
        yield
        change = Change(about, str(subject))
        for one, was in zip(rows, before, strict=True):
            _compare(change, one.table, was, _snapshot(one, also=was))
        if not change.is_empty():
            self.changes.append(change)

    def manifest(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        return {
            "moved": self.moved,
            "changes": [
                {
                    "about": one.about,
                    "subject": one.subject,
                    "added": one.added,
                    "removed": one.removed,
                    "changed": one.changed,
                }
                for one in self.changes
            ],
        }


def _snapshot(one: Watched, also: Mapping[str, Row] | None = None) -> dict[str, Row]:
    """Return the rows of a condition as they are, and those of `also` that are still there, by id."""
    known = bulk.uuids(UUID(key) for key in also or ())
    with connection.cursor() as cursor:
        cursor.execute(
            f"select row.id::text, to_jsonb(row)::text from {one.table} as row where {one.where}"
            f" union select row.id::text, to_jsonb(row)::text from {one.table} as row where id = any(%s::uuid[])",
            [*one.parameters, known],
        )
        return {key: orjson.loads(text) for key, text in cursor.fetchall()}


def _compare(change: Change, table: str, before: Mapping[str, Row], after: Mapping[str, Row]) -> None:
    if added := [key for key in after if key not in before]:
        change.added[table] = added
    if removed := [row for key, row in before.items() if key not in after]:
        change.removed[table] = removed
    changed = {
        key: {
            column: [before[key][column], value]
            for column, value in row.items()
            if before[key][column] != value
        }
        for key, row in after.items()
        if key in before and before[key] != row
    }
    if changed:
        change.changed[table] = changed


# Backwards


@dataclass(slots=True)
class Back:
    """What an undo found: rows put back, and what was edited since and stays, as (what, row id, columns)."""

    restored: int = 0
    kept: list[dict[str, Any]] = field(default_factory=list)

    def keep(self, about: str, row_id: str, columns: Sequence[str] = ()) -> None:
        self.kept.append({"about": about, "id": row_id, "columns": sorted(columns)})


def move_back(table: str, column: str, owner: str, row_ids: Sequence[str], survivor: UUID) -> int:
    """Let rows that a merge moved point to whom they pointed before, as far as they are still the survivor's."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("update {table} set {column} = %s where id = any(%s::uuid[]) and {column} = %s")
            .format(table=sql.Identifier(table), column=sql.Identifier(column))
            .as_string(),
            [owner, list(row_ids), survivor],
        )
        return int(cursor.rowcount)


def take_back(change: Change, back: Back, *, column_by_column: bool = False) -> None:
    """Undo one change. Rows that were edited since keep their edits, and `back` says which.

    With `column_by_column` the other columns of an edited row go back; otherwise the whole change stays as it is.
    """
    current = {table: _by_id(table, rows) for table, rows in change.changed.items()}
    edited = {
        (table, key): columns
        for table, rows in change.changed.items()
        for key, changes in rows.items()
        if (columns := _edited(changes, current[table].get(key)))
    }
    if edited and not column_by_column:
        for (_table, key), columns in edited.items():
            back.keep(change.about, key, columns)
        return
    try:
        with transaction.atomic():
            _apply(change, current)
    except DatabaseError:
        if not column_by_column:
            back.keep(change.about, change.subject)
            return
        raise
    back.restored += 1
    for (_table, key), columns in edited.items():
        if told := [column for column in columns if column not in COUNTED]:
            back.keep(change.about, key, told)


def _edited(changes: Mapping[str, list[Any]], now: Row | None) -> list[str]:
    """Return the columns that say something else than the merge left there."""
    if now is None:
        return list(changes)
    return [
        column
        for column, (_was, became) in changes.items()
        if now[column] != became and column not in KEEPING_TIME
    ]


def _apply(change: Change, current: Mapping[str, Mapping[str, Row]]) -> None:
    """Take away what was added, put back what was changed, and bring back what was removed.

    Of what was changed first the flags that are lowered and last those that are raised: a flag is often one of a kind.
    """
    with connection.cursor() as cursor:
        for table, ids in change.added.items():
            cursor.execute(f"delete from {table} where id = any(%s::uuid[])", [ids])
    for table, rows in change.changed.items():
        ready = {
            key: {name: was for name, (was, became) in columns.items() if now[name] == became}
            for key, columns in rows.items()
            if (now := current[table].get(key)) is not None
        }
        for belongs in (_is_lowered, _is_plain, _is_raised):
            for key, values in ready.items():
                _put_back(table, key, {name: was for name, was in values.items() if belongs(was)})
    with connection.cursor() as cursor:
        for table, removed in change.removed.items():
            cursor.execute(
                f"insert into {table} select * from jsonb_populate_recordset(null::{table}, %s::jsonb)",
                [orjson.dumps(removed).decode()],
            )


def _is_lowered(value: Any) -> bool:
    return value is False


def _is_raised(value: Any) -> bool:
    return value is True


def _is_plain(value: Any) -> bool:
    return not isinstance(value, bool)


def _put_back(table: str, row_id: str, values: Mapping[str, Any]) -> None:
    if not values:
        return
    names = sql.SQL(", ").join(map(sql.Identifier, sorted(values)))
    statement = sql.SQL(
        "update {table} as row set ({names}) = (select {names} from jsonb_populate_record(null::{table}, %s::jsonb))"
        " where row.id = %s"
    ).format(table=sql.Identifier(table), names=names)
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [orjson.dumps(values).decode(), row_id])


def _by_id(table: str, ids: Mapping[str, Any]) -> dict[str, Row]:
    return _snapshot(Watched(table, "false", ()), also={key: {} for key in ids})
