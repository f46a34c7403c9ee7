"""The record of changes keeps of a person who acts the id alone: the name stands in their account, and goes with it.

Lines that were sealed with a name before keep it until their term ends, because their seals are made of it.
"""

from django.db import migrations

ACTOR = """
create or replace function identity_audit_actor(
    out kind text, out name text, out user_id uuid, out request_id text, out ip_address inet, out user_agent text
) language plpgsql stable as $$
declare
    told text;
begin
    kind := coalesce(nullif(current_setting('app.actor_kind', true), ''), 'sql');
    name := coalesce(nullif(current_setting('app.actor_name', true), ''), '');
    request_id := coalesce(current_setting('app.request_id', true), '');
    user_agent := coalesce(current_setting('app.user_agent', true), '');
    told := current_setting('app.actor_id', true);
    if pg_input_is_valid(told, 'uuid') then user_id := told::uuid; end if;
    %s
    told := current_setting('app.ip_address', true);
    if pg_input_is_valid(told, 'inet') then ip_address := told::inet; end if;
end $$
"""


class Migration(migrations.Migration):
    dependencies = [("identity", "0012_holidays")]
    operations = [
        migrations.RunSQL(ACTOR % "if user_id is not null then name := ''; end if;", ACTOR % ""),
    ]
