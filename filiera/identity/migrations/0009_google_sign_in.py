from django.db import migrations, models

import filiera.platform.ids


class Migration(migrations.Migration):
    dependencies = [("identity", "0008_people")]
    operations = [
        migrations.AddField("user", "erased_at", models.DateTimeField(null=True)),
        migrations.CreateModel(
            name="GoogleStep",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("state_hash", models.CharField(max_length=64, unique=True)),
                ("browser_hash", models.CharField(max_length=64)),
                ("nonce", models.CharField(max_length=64)),
                ("verifier", models.CharField(max_length=128)),
                ("onward", models.CharField(max_length=500)),
                ("created_at", models.DateTimeField()),
            ],
            options={"indexes": [models.Index(fields=["created_at"], name="google_step_by_age")]},
        ),
    ]
