"""A key of the API is named in the record of changes again, beside the person who made it; a person's name is not."""

from importlib import import_module

from django.db import migrations

before = import_module("filiera.identity.migrations.0013_actor_by_id")


class Migration(migrations.Migration):
    dependencies = [("identity", "0014_snoozed_notifications")]
    operations = [
        migrations.RunSQL(
            before.ACTOR % "if kind = 'person' and user_id is not null then name := ''; end if;",
            before.ACTOR % "if user_id is not null then name := ''; end if;",
        ),
    ]
