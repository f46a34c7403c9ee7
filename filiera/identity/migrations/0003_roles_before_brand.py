from django.db import migrations

# A user's roles are what the brand is chosen from, so they are read before any brand is set.
CREATE = """
create function identity_roles_of(wanted uuid) returns table (brand_id uuid, role text)
language sql stable security definer set search_path = public
as $$ select r.brand_id, r.role from identity_userrole r where r.user_id = wanted $$
"""


class Migration(migrations.Migration):
    dependencies = [("identity", "0002_brand_isolation")]
    operations = [migrations.RunSQL(CREATE, "drop function identity_roles_of(uuid)")]
