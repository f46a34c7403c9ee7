from django.db import migrations

# The band shows the number that ring in each of a person's brands, also in those that are not in use now.
CREATE = """
create function workspace_ringing_for(wanted uuid) returns table (brand_id uuid, ringing bigint)
language sql stable security definer set search_path = public
as $$
    select a.brand_id, count(*)
      from routing_callattempt a
     where a.brand_id in (select r.brand_id from identity_userrole r where r.user_id = wanted)
       and a.state in ('accepted', 'ringing')
       and a.ended_at is null
     group by a.brand_id
$$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0003_roles_before_brand"),
        ("routing", "0001_initial"),
    ]
    operations = [migrations.RunSQL(CREATE, "drop function workspace_ringing_for(uuid)")]
