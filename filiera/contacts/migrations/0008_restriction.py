import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("contacts", "0007_retention"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField("contact", "restricted_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            "contact", "restricted_reason", models.TextField(blank=True, db_default="", default="")
        ),
        migrations.AddField(
            "contact",
            "restricted_by",
            models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            "contact",
            models.Index(
                fields=["brand_id", "id"],
                name="contact_restricted",
                condition=models.Q(restricted_at__isnull=False),
            ),
        ),
    ]
