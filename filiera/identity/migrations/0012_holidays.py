"""The patron's day moves from what a brand says about calls to its holidays, which count for all working hours."""

from django.db import migrations

FORWARD = """
update identity_brand
set settings = (settings #- '{calls,patron_day}')
    || jsonb_build_object('holidays', jsonb_build_object(
        'patron_day', coalesce(settings #>> '{calls,patron_day}', ''), 'closed', '[]'::jsonb))
where settings #> '{calls,patron_day}' is not null
"""
BACK = """
update identity_brand
set settings = (settings - 'holidays') || jsonb_build_object('calls', coalesce(settings->'calls', '{}'::jsonb)
    || jsonb_build_object('patron_day', coalesce(settings #>> '{holidays,patron_day}', '')))
where settings->'holidays' is not null
"""


class Migration(migrations.Migration):
    dependencies = [("identity", "0011_passkeys")]
    operations = [migrations.RunSQL(FORWARD, BACK)]
