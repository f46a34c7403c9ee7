"""Write many rows with one statement."""

from collections.abc import Sequence
from typing import Any

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

    One JSON text, because making arrays for unnest() costs psycopg 24 µs a row in Python, and this 1 µs.
    """
    if not rows:
        return []
    fields = {field.attname: field for field in model._meta.concrete_fields}
    chosen = [fields[name] for name in columns]
    statement = sql.SQL(
        "insert into {table} ({columns}) select {values}"
        " from jsonb_array_elements(%s::jsonb) as row{conflict}{returning}"
    ).format(
        table=sql.Identifier(model._meta.db_table),
        columns=sql.SQL(", ").join([sql.Identifier(str(field.column)) for field in chosen]),
        values=sql.SQL(", ").join(_read(place, field) for place, field in enumerate(chosen)),
        conflict=sql.SQL(f" on conflict {on_conflict}" if on_conflict else ""),
        returning=sql.SQL(" returning ") + sql.SQL(", ").join(map(sql.Identifier, returning))
        if returning
        else sql.SQL(""),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [orjson.dumps(rows, default=str).decode()])
        return cursor.fetchall() if returning else []


def update(model: type[Model], columns: Sequence[str], instances: Sequence[Model]) -> None:
    """Write these columns of rows that were changed in memory, with one statement whatever their number.

    `columns` are attribute names, as for `insert`; rows are found by their `id`.
    """
    if not instances:
        return
    fields = {field.attname: field for field in model._meta.concrete_fields}
    statement = sql.SQL(
        "update {table} as kept set {changes} from jsonb_array_elements(%s::jsonb) as row where kept.id = {id}"
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
        cursor.execute(statement, [orjson.dumps(rows, default=str).decode()])


def _read(place: int, field: "Field[Any, Any]") -> sql.Composable:
    """The SQL that reads one value out of a row's JSON array, as the type of its column."""
    declared = field.db_type(connection)
    if declared is None or declared == "bytea":
        raise ValueError(f"{field} cannot be written in bulk")
    if isinstance(field, JSONField):
        return sql.SQL("nullif(row->{}, 'null')").format(sql.Literal(place))
    if declared.endswith("[]"):
        return sql.SQL("array(select jsonb_array_elements_text(row->{}))::{}").format(
            sql.Literal(place), sql.SQL(declared)
        )
    if declared.startswith("varchar"):  # the column's own length then refuses what is too long
        return sql.SQL("row->>{}").format(sql.Literal(place))
    return sql.SQL("(row->>{})::{}").format(sql.Literal(place), sql.SQL(declared))
