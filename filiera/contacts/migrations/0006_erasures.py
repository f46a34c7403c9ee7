import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import filiera.platform.brand_scope
import filiera.platform.ids
import filiera.platform.models
from filiera.platform.migration_operations import BrandIsolation


class Migration(migrations.Migration):
    dependencies = [
        ("contacts", "0005_audited"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="Erasure",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                ("at", models.DateTimeField()),
                ("manifest", models.JSONField(default=dict)),
                (
                    "contact",
                    filiera.platform.models.BrandForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="contacts.contact",
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["brand_id", "contact", "-at"], name="erasure_by_contact")],
            },
        ),
        BrandIsolation("Erasure"),
    ]
