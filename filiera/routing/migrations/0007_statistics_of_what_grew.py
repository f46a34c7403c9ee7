from importlib import import_module

from django.db import migrations

before = import_module("filiera.routing.migrations.0004_statistics_while_growing")

# A table is looked at when it has four times the pages of its last statistics, whichever process asks: ten tables at
# every call of every worker cost a burst of first leads 80 µs each.
REPLACE = """
create or replace function routing_refresh_statistics(most_rows bigint) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    name text;
begin
    for name in
        select c.relname from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.reltuples < most_rows
          and pg_relation_size(c.oid) >= 4 * c.relpages::bigint * current_setting('block_size')::bigint
          and pg_relation_size(c.oid) > 0 and c.relname in (
            'capture_submission', 'contacts_contact', 'contacts_contactphone', 'pipeline_leadevent', 'pipeline_deal',
            'pipeline_stagehistory', 'routing_process', 'routing_decision', 'platform_event', 'identity_outgoingemail')
    loop
        execute format('analyze (skip_locked) %I', name);
    end loop;
end $$
"""


class Migration(migrations.Migration):
    dependencies = [("routing", "0006_keeping_events")]
    operations = [
        migrations.RunSQL(REPLACE, before.CREATE.replace("create function", "create or replace function"))
    ]
