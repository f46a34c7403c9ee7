"""Q-31 below the code: the application role itself cannot reach another brand's rows."""

from typing import Any

from django.db import DatabaseError, connection, transaction

from filiera.platform import brand_scope
from filiera.platform.ids import new_id
from filiera.platform.models import BrandForeignKey
from tests.security.world import World, brand_models, tables_with_a_brand

NOT_ALLOWED, NO_SUCH_ROW = "42501", "23503"


def _ask(sql: str, values: list[Any]) -> tuple[int, str]:
    """Return how many rows a statement touched, or the code of the server's refusal."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql, values)
            touched = cursor.rowcount
            cursor.execute("set constraints all immediate")
            return touched, ""
    except DatabaseError as error:
        return 0, getattr(error.__cause__, "sqlstate", "")


def test_every_table_of_a_brand_has_a_row_to_look_for(foreign: World) -> None:
    with brand_scope.use(foreign.brand.id), connection.cursor() as cursor:
        for table in tables_with_a_brand():
            cursor.execute(f"select count(*) from {table}")
            assert cursor.fetchone()[0] > 0, f"{table} is empty: give World a row of it"


def test_rows_of_another_brand_are_not_there(own: World, foreign: World) -> None:
    for scope in (own.brand.id, None):
        with brand_scope.use(scope):
            for table in tables_with_a_brand():
                for sql in (
                    f"select 1 from {table} where brand_id = %s",
                    f"update {table} set brand_id = brand_id where brand_id = %s",
                    f"delete from {table} where brand_id = %s",
                ):
                    touched, _refused = _ask(sql, [foreign.brand.id])
                    assert touched == 0, sql


def test_no_row_can_be_written_into_another_brand(own: World, foreign: World) -> None:
    """A copy of one's own row with the other's brand is refused, and so is moving the row itself."""
    for model in brand_models():
        table, pk = model._meta.db_table, own.rows[model].pk
        copy = (
            f"insert into {table} select (jsonb_populate_record(null::{table}, to_jsonb(x) ||"
            f" jsonb_build_object('brand_id', %s::text, 'id', %s::text))).* from {table} x where id = %s"
        )
        move = f"update {table} set brand_id = %s where id = %s"
        with brand_scope.use(own.brand.id):
            assert _ask(copy, [foreign.brand.id, new_id(), pk]) == (0, NOT_ALLOWED), table
            assert _ask(move, [foreign.brand.id, pk]) == (0, NOT_ALLOWED), table


def test_no_row_can_point_into_another_brand(own: World, foreign: World) -> None:
    """The reference is (brand_id, x_id): another brand's id is as wrong as one that is not there.

    A record that is only added to may not be changed at all.
    """
    for model in brand_models():
        for one in model._meta.fields:
            if isinstance(one, BrandForeignKey):
                sql = f"update {model._meta.db_table} set {one.column} = %s where id = %s"
                with brand_scope.use(own.brand.id):
                    for target in (foreign.rows[one.related_model].pk, new_id()):
                        answer = _ask(sql, [target, own.rows[model].pk])
                        assert answer in ((0, NO_SUCH_ROW), (0, NOT_ALLOWED)), sql
