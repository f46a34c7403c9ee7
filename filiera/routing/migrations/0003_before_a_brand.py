from django.db import migrations

# What is read before one brand is known: whose calls are due, and to whom a provider's event belongs.
CREATE = """
create function routing_due_brands(at timestamptz, fresh timestamptz, idle timestamptz) returns setof uuid
language sql stable security definer set search_path = public
as $$
    select p.brand_id from routing_process p where p.due_at <= at and p.state <> 'done'
    union
    select a.brand_id from routing_callattempt a where a.check_at <= at
    union
    select c.brand_id from routing_connection c
     where c.is_enabled
       and (c.agents_polled_at is null or c.agents_polled_at < idle
            or (c.agents_polled_at < fresh
                and exists (select 1 from routing_process w where w.brand_id = c.brand_id and w.due_at > at and w.state = 'waiting')))
$$;
create function routing_connection_of(wanted uuid) returns table (brand_id uuid, webhook_token_hash text)
language sql stable security definer set search_path = public
as $$ select c.brand_id, c.webhook_token_hash from routing_connection c where c.id = wanted $$
"""
DROP = """
drop function routing_due_brands(timestamptz, timestamptz, timestamptz);
drop function routing_connection_of(uuid)
"""


class Migration(migrations.Migration):
    dependencies = [("routing", "0002_brand_isolation")]
    operations = [migrations.RunSQL(CREATE, DROP)]
