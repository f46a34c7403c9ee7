from django.db import migrations, models


class Migration(migrations.Migration):
    # In the transaction of the migration: of all activities few are planned, and these alone are in the index.
    dependencies = [("pipeline", "0002_brand_isolation")]
    operations = [
        migrations.AddIndex(
            model_name="activity",
            index=models.Index(
                fields=["brand_id", "contact", "scheduled_at", "id"],
                name="activity_next",
                condition=models.Q(status="planned"),
            ),
        ),
    ]
