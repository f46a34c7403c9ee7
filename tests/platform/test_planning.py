"""Every brand is planned alike, also one the planner has not counted yet (docs/decisions/002-brand-isolation.md)."""

from django.db import connection


def test_no_table_keeps_statistics_of_its_brand(db):
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'brand_id'
            where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and c.relrowsecurity
                and a.attstattarget is distinct from 0
            """
        )
        assert cursor.fetchall() == []
