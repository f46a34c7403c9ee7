from django.db import migrations

# An import makes a small table large within a minute, long before autovacuum looks: the plans of before would read the
# whole brand for each row. Only a table's owner may make statistics.
CREATE = """
create function contacts_refresh_statistics() returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    name text;
begin
    for name in
        select c.relname from pg_class c
        where c.relnamespace = 'public'::regnamespace and pg_relation_size(c.oid) > 0
          and pg_relation_size(c.oid) >= 2 * greatest(c.relpages, 0)::bigint * current_setting('block_size')::bigint
          and c.relname in ('contacts_contact', 'contacts_contactphone', 'contacts_consent',
                            'contacts_importedcontact', 'contacts_importfault', 'contacts_importpiece')
    loop
        execute format('analyze (skip_locked) %I', name);
    end loop;
end $$
"""


class Migration(migrations.Migration):
    dependencies = [("contacts", "0010_imports")]
    operations = [migrations.RunSQL(CREATE, "drop function contacts_refresh_statistics()")]
