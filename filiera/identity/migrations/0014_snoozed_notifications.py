from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("identity", "0013_actor_by_id")]
    operations = [
        migrations.AddField("notification", "snoozed_until", models.DateTimeField(null=True)),
        AddIndexConcurrently(
            "notification",
            models.Index(
                fields=["brand_id", "snoozed_until"],
                name="notification_put_off",
                condition=models.Q(("snoozed_until__isnull", False)),
            ),
        ),
    ]
