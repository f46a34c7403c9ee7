from django.db import migrations, models

import filiera.platform.ids


class Migration(migrations.Migration):
    dependencies = [("identity", "0003_roles_before_brand")]
    operations = [
        migrations.CreateModel(
            name="LoginAttempt",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("email", models.CharField(max_length=255)),
                ("ip_address", models.GenericIPAddressField(null=True)),
                ("success", models.BooleanField()),
                ("failure_reason", models.CharField(blank=True, default="", max_length=100)),
                ("attempted_at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["email", "-attempted_at"], name="login_by_email"),
                    models.Index(fields=["ip_address", "-attempted_at"], name="login_by_address"),
                ]
            },
        )
    ]
