"""Write many rows with one statement."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, LiteralString
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import Field, JSONField, Model
from psycopg import sql


def insert(
    model: type[Model],
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    on_conflict: str = "",
    returning: Sequence[str] = (),
) -> list[tuple[Any, ...]]:
    """Insert rows as one `INSERT … SELECT` from one JSON text: one statement whatever their number.

    `columns` are attribute names (`contact_id`, not `contact`). `on_conflict` is the SQL that follows ON CONFLICT, for
    instance `(brand_id, email_norm) DO NOTHING`; `returning` names columns of the rows that were really written.
    JSON columns take Python values, or JSON already written as an `orjson.Fragment`. Binary columns are refused.

    One JSON text, because making arrays for unnest() costs psycopg 24 µs a row in Python, and this 1 µs. What is the
    same object in every row (the brand, the moment, a default) travels once, beside it.
    """
    if not rows:
        return []
    values = list(zip(*rows, strict=True))
    shared = tuple(len(rows) > 1 and _is_one(column) for column in values)
    statement = _insertion(model, tuple(columns), shared, on_conflict, tuple(returning))
    own = list(zip(*(column for column, once in zip(values, shared, strict=True) if not once), strict=True))
    parameters = [_json([column[0]]) for column, once in zip(values, shared, strict=True) if once]
    with connection.cursor() as cursor:
        cursor.execute(statement, [*parameters, _json(own or [()] * len(rows))])
        return cursor.fetchall() if returning else []


def update(model: type[Model], columns: Sequence[str], instances: Sequence[Model]) -> None:
    """Write these columns of rows that were changed in memory, with one statement whatever their number.

    `columns` are attribute names, as for `insert`. Rows are found by their `id`, one look into its index for each: with
    the join alone the planner reads a whole brand, which it believes to be a 200th of the table.
    """
    if not instances:
        return
    fields = {field.attname: field for field in model._meta.concrete_fields}
    statement = sql.SQL(
        "update {table} as kept set {changes} from jsonb_array_elements(%s::jsonb) as row"
        " where kept.id = {id} and kept.id = any(%s::uuid[])"
    ).format(
        table=sql.Identifier(model._meta.db_table),
        changes=sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(str(fields[name].column)), _read(place, fields[name]))
            for place, name in enumerate(columns, start=1)
        ),
        id=_read(0, fields["id"]),
    )
    rows = [[row.pk, *(getattr(row, name) for name in columns)] for row in instances]
    with connection.cursor() as cursor:
        cursor.execute(statement, [_json(rows), uuids(row.pk for row in instances)])


def uuids(ids: Iterable[UUID]) -> str:
    """Return ids as the text of a `uuid[]`: binding a list of them costs psycopg 20 µs for each."""
    return "{" + ",".join([one.hex for one in ids]) + "}"


@lru_cache(maxsize=256)
def _insertion(
    model: type[Model],
    columns: tuple[str, ...],
    shared: tuple[bool, ...],
    on_conflict: str,
    returning: tuple[str, ...],
) -> str:
    """The statement of `insert`: each shared column is a parameter, a JSON array of one; the rows come last."""
    fields = {field.attname: field for field in model._meta.concrete_fields}
    chosen = [fields[name] for name in columns]
    places = count()
    values = [
        _read(0, field, of="%s::jsonb") if once else _read(next(places), field)
        for field, once in zip(chosen, shared, strict=True)
    ]
    statement = sql.SQL(
        "insert into {table} ({columns}) select {values}"
        " from jsonb_array_elements(%s::jsonb) as row{conflict}{returning}"
    ).format(
        table=sql.Identifier(model._meta.db_table),
        columns=sql.SQL(", ").join([sql.Identifier(str(field.column)) for field in chosen]),
        values=sql.SQL(", ").join(values),
        conflict=sql.SQL(f" on conflict {on_conflict}" if on_conflict else ""),
        returning=sql.SQL(" returning ") + sql.SQL(", ").join(map(sql.Identifier, returning))
        if returning
        else sql.SQL(""),
    )
    return statement.as_string()


def _is_one(values: tuple[Any, ...]) -> bool:
    return values[0] is values[-1] and len(set(map(id, values))) == 1


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


def _read(place: int, field: "Field[Any, Any]", of: LiteralString = "row") -> sql.Composable:
    """The SQL that reads one value out of a JSON array, as the type of its column."""
    declared = field.db_type(connection)
    if declared is None or declared == "bytea":
        raise ValueError(f"{field} cannot be written in bulk")
    if isinstance(field, JSONField):
        template = "nullif({row}->{place}, 'null')"
    elif declared.endswith("[]"):
        template = "array(select jsonb_array_elements_text({row}->{place}))::{type}"
    elif declared.startswith("varchar"):  # the column's own length then refuses what is too long
        template = "{row}->>{place}"
    else:
        template = "({row}->>{place})::{type}"
    return sql.SQL(template).format(row=sql.SQL(of), place=sql.Literal(place), type=sql.SQL(declared))
