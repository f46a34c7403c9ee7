"""Calls and the provider's events are no jobs any more: those that still wait would find no task (decision 13)."""

from django.db import migrations

FORGET = """
delete from procrastinate_jobs
 where task_name in ('routing.place_calls', 'routing.handle_events', 'routing.tick') and status = 'todo'
"""


class Migration(migrations.Migration):
    dependencies = [
        ("procrastinate", "0001_initial"),
        ("routing", "0004_statistics_while_growing"),
    ]
    operations = [migrations.RunSQL(FORGET, migrations.RunSQL.noop)]
