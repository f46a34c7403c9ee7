import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import filiera.platform.brand_scope
import filiera.platform.ids
import filiera.platform.models
from filiera.platform.migration_operations import Audited, BrandIsolation


class Migration(migrations.Migration):
    dependencies = [
        ("contacts", "0009_merges"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ImportRun",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("draft", "Da preparare"),
                            ("checking", "In prova"),
                            ("checked", "Provata"),
                            ("running", "In corso"),
                            ("done", "Finita"),
                            ("stopped", "Fermata"),
                            ("undoing", "In annullamento"),
                            ("undone", "Annullata"),
                        ],
                        default="draft",
                        max_length=8,
                    ),
                ),
                ("file_name", models.CharField(max_length=255)),
                ("file_kind", models.CharField(max_length=4)),
                ("file_size", models.BigIntegerField()),
                ("file_hash", models.CharField(max_length=64)),
                ("options", models.JSONField(default=dict)),
                ("headers", models.JSONField(default=list)),
                ("headers_key", models.CharField(db_default="", default="", max_length=64)),
                ("mapping", models.JSONField(default=dict)),
                ("rules", models.JSONField(default=dict)),
                ("origin", models.JSONField(default=dict)),
                ("cursor", models.IntegerField(default=0)),
                ("rows_total", models.IntegerField(null=True)),
                ("counts", models.JSONField(default=dict)),
                ("undo_counts", models.JSONField(default=dict)),
                ("trouble", models.TextField(db_default="", default="")),
                ("created_at", models.DateTimeField()),
                ("moved_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("undone_at", models.DateTimeField(null=True)),
                (
                    "created_by",
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
                    "undone_by",
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
        ),
        migrations.CreateModel(
            name="ImportPiece",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                ("number", models.IntegerField()),
                ("content", models.BinaryField()),
                (
                    "run",
                    filiera.platform.models.BrandForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="contacts.importrun",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ImportFault",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                ("row_number", models.IntegerField()),
                ("field", models.CharField(blank=True, default="", max_length=30)),
                ("code", models.CharField(max_length=30)),
                ("told", models.JSONField(default=dict)),
                ("cells", models.JSONField(null=True)),
                ("is_grave", models.BooleanField(default=True)),
                (
                    "run",
                    filiera.platform.models.BrandForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="contacts.importrun",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ImportedContact",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                ("row_number", models.IntegerField()),
                ("was_created", models.BooleanField()),
                ("before", models.JSONField(default=dict)),
                ("after", models.JSONField(default=dict)),
                ("numbers", models.JSONField(default=list)),
                ("at", models.DateTimeField()),
                (
                    "undo",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "non annullato"),
                            ("done", "annullato"),
                            ("edited", "modificato dopo"),
                            ("in_use", "ci si è già lavorato"),
                            ("gone", "cancellato o unito a un altro"),
                        ],
                        db_default="",
                        default="",
                        max_length=6,
                    ),
                ),
                ("kept", models.JSONField(default=list)),
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
                        related_name="+",
                        to="contacts.importrun",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="importrun",
            index=models.Index(fields=["brand_id", "-created_at"], name="import_latest"),
        ),
        migrations.AddIndex(
            model_name="importrun",
            index=models.Index(fields=["brand_id", "headers_key", "-created_at"], name="import_by_headers"),
        ),
        migrations.AddConstraint(
            model_name="importpiece",
            constraint=models.UniqueConstraint(
                fields=("brand_id", "run", "number"), name="import_piece_once"
            ),
        ),
        migrations.AddIndex(
            model_name="importfault",
            index=models.Index(fields=["brand_id", "run", "row_number", "id"], name="import_fault_by_row"),
        ),
        migrations.AddIndex(
            model_name="importedcontact",
            index=models.Index(fields=["brand_id", "contact", "-at"], name="imported_by_contact"),
        ),
        migrations.AddIndex(
            model_name="importedcontact",
            index=models.Index(fields=["brand_id", "run", "undo", "row_number"], name="imported_by_undo"),
        ),
        migrations.AddConstraint(
            model_name="importedcontact",
            constraint=models.UniqueConstraint(fields=("brand_id", "run", "contact"), name="imported_once"),
        ),
        BrandIsolation("ImportRun"),
        BrandIsolation("ImportPiece"),
        BrandIsolation("ImportFault"),
        BrandIsolation("ImportedContact"),
        Audited(
            "contacts_importrun",
            "imports",
            ignored=["cursor", "rows_total", "moved_at", "counts", "undo_counts", "headers_key"],
        ),
    ]
