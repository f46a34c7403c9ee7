"""Write many rows with one statement."""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.models import Field, Model
from psycopg import sql


def insert(
    model: type[Model], columns: Sequence[str], rows: Sequence[Sequence[Any]], *, on_conflict: str = ""
) -> None:
    """Insert rows as one `INSERT … SELECT FROM unnest(…)`: one statement whatever their number.

    `columns` are attribute names (`contact_id`, not `contact`). `on_conflict` is the SQL that follows ON CONFLICT, for
    instance `(brand_id, email_norm) DO NOTHING`. JSON values are passed as text.
    """
    if not rows:
        return
    fields = {field.attname: field for field in model._meta.concrete_fields}
    chosen = [fields[name] for name in columns]
    statement = sql.SQL("insert into {table} ({columns}) select * from unnest({arrays}){conflict}").format(
        table=sql.Identifier(model._meta.db_table),
        columns=sql.SQL(", ").join(sql.Identifier(field.column) for field in chosen),
        arrays=sql.SQL(", ").join(sql.SQL("%s::{}[]").format(sql.SQL(_type(field))) for field in chosen),
        conflict=sql.SQL(f" on conflict {on_conflict}" if on_conflict else ""),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])


def _type(field: "Field[Any, Any]") -> str:
    declared = field.db_type(connection)
    if declared is None:
        raise ValueError(f"{field} has no column")
    return "text" if declared.startswith("varchar") else declared
