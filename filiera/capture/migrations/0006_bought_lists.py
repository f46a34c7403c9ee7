from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("capture", "0005_audited")]

    operations = [
        migrations.AddField("source", "bought_list", models.JSONField(blank=True, default=dict)),
    ]
