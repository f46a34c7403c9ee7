from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("workspace", "0002_lists")]
    operations = [
        migrations.AddField(
            "savedview",
            "opens_for",
            models.CharField(
                blank=True,
                choices=[
                    ("super_admin", "Amministratore di tutto"),
                    ("admin", "Amministratore"),
                    ("sales", "Vendite"),
                    ("support", "Assistenza"),
                    ("editor", "Redazione"),
                    ("customer", "Cliente"),
                    ("guest", "Ospite"),
                ],
                db_default="",
                default="",
                max_length=20,
            ),
        ),
    ]
