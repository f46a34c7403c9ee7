import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import filiera.platform.brand_scope
import filiera.platform.ids
import filiera.platform.models
from filiera.platform.migration_operations import Audited, BrandIsolation


class Migration(migrations.Migration):
    dependencies = [
        ("contacts", "0011_statistics_while_importing"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Tag",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                ("name", models.CharField(max_length=100)),
                ("slug", models.CharField(max_length=100)),
                (
                    "color",
                    models.CharField(
                        choices=[
                            ("laguna", "laguna"),
                            ("cobalto", "cobalto"),
                            ("glicine", "glicine"),
                            ("prugna", "prugna"),
                            ("terra", "terra"),
                            ("oliva", "oliva"),
                            ("bosco", "bosco"),
                            ("ardesia", "ardesia"),
                        ],
                        default="ardesia",
                        max_length=10,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                (
                    "parent",
                    filiera.platform.models.BrandForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="contacts.tag",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ContactTag",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                ("created_at", models.DateTimeField()),
                (
                    "assigned_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "contact",
                    filiera.platform.models.BrandForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="contacts.contact",
                    ),
                ),
                (
                    "tag",
                    filiera.platform.models.BrandForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="contacts.tag",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="tag",
            constraint=models.UniqueConstraint(
                fields=("brand_id", "parent", "slug"), name="tag_once_per_parent", nulls_distinct=False
            ),
        ),
        migrations.AddIndex(
            model_name="contacttag",
            index=models.Index(fields=["brand_id", "tag", "contact"], name="contact_by_tag"),
        ),
        migrations.AddConstraint(
            model_name="contacttag",
            constraint=models.UniqueConstraint(
                fields=("brand_id", "contact", "tag"), name="contact_tag_once"
            ),
        ),
        BrandIsolation("Tag"),
        BrandIsolation("ContactTag"),
        Audited("contacts_tag", "tags"),
        Audited("contacts_contacttag", "tag_assignments"),
    ]
