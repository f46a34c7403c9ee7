import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import filiera.platform.ids


class Migration(migrations.Migration):
    dependencies = [("identity", "0010_notifications")]
    operations = [
        migrations.CreateModel(
            name="PasskeyStep",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("challenge_hash", models.CharField(max_length=64, unique=True)),
                ("purpose", models.CharField(choices=[("add", "Add"), ("use", "Use")], max_length=10)),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["user"], name="passkey_step_by_user"),
                    models.Index(fields=["created_at"], name="passkey_step_by_age"),
                ]
            },
        ),
    ]
