from django.db import migrations

# Reads no rows of anybody; the runtime role may not ANALYZE tables that it does not own. Larger tables are left to
# autovacuum, and one that another worker is just looking at is skipped.
CREATE = """
create function routing_refresh_statistics(most_rows bigint) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    name text;
begin
    for name in
        select c.relname from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.reltuples < most_rows and c.relname in (
            'capture_submission', 'contacts_contact', 'contacts_contactphone', 'pipeline_leadevent', 'pipeline_deal',
            'pipeline_stagehistory', 'routing_process', 'routing_decision', 'platform_event', 'identity_outgoingemail')
    loop
        execute format('analyze (skip_locked) %I', name);
    end loop;
end $$
"""


class Migration(migrations.Migration):
    dependencies = [("routing", "0003_before_a_brand")]
    operations = [migrations.RunSQL(CREATE, "drop function routing_refresh_statistics(bigint)")]
