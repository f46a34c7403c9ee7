"""Saved views, each person's choice of columns, and deeds on many leads."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import filiera.platform.brand_scope
import filiera.platform.ids
import filiera.platform.models
from filiera.platform.migration_operations import Audited, BrandIsolation


class Migration(migrations.Migration):
    dependencies = [
        ("contacts", "0008_restriction"),
        ("identity", "0007_audit_log"),
        ("workspace", "0001_ringing_for"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BulkRun",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                ("action", models.CharField(max_length=30)),
                ("options", models.JSONField(default=dict)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "in attesa"),
                            ("running", "in corso"),
                            ("done", "finita"),
                            ("cancelled", "fermata"),
                            ("undoing", "in annullamento"),
                            ("undone", "annullata"),
                        ],
                        default="waiting",
                        max_length=9,
                    ),
                ),
                ("total", models.IntegerField()),
                ("handled", models.IntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="BulkRow",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                ("position", models.IntegerField()),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("done", "Done"),
                            ("skipped", "Skipped"),
                            ("failed", "Failed"),
                            ("undone", "Undone"),
                            ("kept", "Kept"),
                        ],
                        default="waiting",
                        max_length=7,
                    ),
                ),
                ("why", models.CharField(blank=True, default="", max_length=200)),
                ("before", models.JSONField(default=dict)),
                ("after", models.JSONField(default=dict)),
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
                    "run",
                    filiera.platform.models.BrandForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rows",
                        to="workspace.bulkrun",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ListChoice",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                ("columns", models.JSONField(default=list)),
                ("is_dense", models.BooleanField(default=False)),
                ("pinned", models.JSONField(default=list)),
                ("updated_at", models.DateTimeField()),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="SavedView",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                ("name", models.CharField(max_length=60)),
                ("query", models.TextField(blank=True, default="")),
                (
                    "audience",
                    models.CharField(
                        choices=[
                            ("private", "solo io"),
                            ("team", "il mio team"),
                            ("brand", "tutto il marchio"),
                        ],
                        default="private",
                        max_length=7,
                    ),
                ),
                (
                    "role",
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
                        default="",
                        max_length=20,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                (
                    "owner",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="bulkrun",
            index=models.Index(fields=["brand_id", "-created_at"], name="bulk_run_latest"),
        ),
        migrations.AddIndex(
            model_name="bulkrow",
            index=models.Index(fields=["brand_id", "run", "outcome", "position"], name="bulk_row_in_order"),
        ),
        migrations.AddIndex(
            model_name="bulkrow",
            index=models.Index(fields=["brand_id", "contact"], name="bulk_row_of_contact"),
        ),
        migrations.AddConstraint(
            model_name="listchoice",
            constraint=models.UniqueConstraint(fields=("brand_id", "user"), name="list_choice_once"),
        ),
        migrations.AddIndex(
            model_name="savedview",
            index=models.Index(fields=["brand_id", "created_at"], name="saved_view_in_order"),
        ),
        BrandIsolation("SavedView"),
        BrandIsolation("ListChoice"),
        BrandIsolation("BulkRun"),
        BrandIsolation("BulkRow"),
        Audited("workspace_savedview", "saved_views"),
    ]
