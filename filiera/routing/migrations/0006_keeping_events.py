"""Keep the provider's events of a moment with one question: the door of events asks for nothing else (ROU-68).

It runs with the rights of whoever calls it: row security holds for the insert, in the brand that is set here.
"""

from django.db import migrations

CREATE = """
create function routing_keep_events(
    brand uuid, ids uuid[], external_ids text[], headers text[], bodies bytea[], moments timestamptz[]
) returns void language plpgsql set search_path = public as $$
begin
    perform set_config('app.brand_id', brand::text, true);
    insert into platform_received (id, brand_id, provider, external_id, headers, body, received_at, last_error)
    select told.id, brand, 'cloudtalk', told.external_id, told.header::jsonb, told.body, told.moment, ''
      from unnest(ids, external_ids, headers, bodies, moments) as told(id, external_id, header, body, moment)
    on conflict do nothing;
    if found then
        perform pg_notify('filiera_events', brand::text);
    end if;
end
$$
"""
DROP = "drop function routing_keep_events(uuid, uuid[], text[], text[], bytea[], timestamptz[])"


class Migration(migrations.Migration):
    dependencies = [("platform", "0001_initial"), ("routing", "0005_calls_without_jobs")]
    operations = [migrations.RunSQL(CREATE, DROP)]
