import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import filiera.platform.brand_scope
import filiera.platform.ids
import filiera.platform.models
from filiera.platform.migration_operations import Audited, BrandIsolation


class Migration(migrations.Migration):
    dependencies = [
        ("contacts", "0012_tags"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="DuplicateScan",
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
                            ("waiting", "In attesa"),
                            ("running", "In corso"),
                            ("done", "Finita"),
                            ("cancelled", "Fermata"),
                            ("failed", "Interrotta"),
                        ],
                        default="waiting",
                        max_length=9,
                    ),
                ),
                ("share", models.FloatField(default=0)),
                ("counts", models.JSONField(default=dict)),
                ("crowds", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
                ("heard_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.AddField(
            model_name="duplicatesuggestion",
            name="band",
            field=models.CharField(
                blank=True,
                choices=[("link", "Quasi certi"), ("review", "Da guardare"), ("", "Solo la regola")],
                db_default="",
                default="",
                max_length=6,
            ),
        ),
        migrations.AddField(
            model_name="duplicatesuggestion",
            name="cluster",
            field=models.IntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="duplicatesuggestion",
            name="points",
            field=models.FloatField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="duplicatesuggestion",
            name="reasons",
            field=models.JSONField(blank=True, db_default=[], default=list),
        ),
        migrations.AddField(
            model_name="duplicatesuggestion",
            name="rule",
            field=models.SmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="duplicatesuggestion",
            name="scan",
            field=filiera.platform.models.BrandForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="contacts.duplicatescan",
            ),
        ),
        migrations.AddField(
            model_name="duplicatesuggestion",
            name="similarity",
            field=models.SmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddIndex(
            model_name="duplicatesuggestion",
            index=models.Index(
                condition=models.Q(("dismissed_at", None)),
                fields=["brand_id", "band", "-points", "id"],
                name="suggestion_by_points",
            ),
        ),
        migrations.AddIndex(
            model_name="duplicatesuggestion",
            index=models.Index(
                condition=models.Q(("cluster__isnull", False), ("dismissed_at", None)),
                fields=["brand_id", "cluster"],
                name="suggestion_by_cluster",
            ),
        ),
        migrations.AddField(
            model_name="duplicatescan",
            name="started_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            model_name="duplicatescan",
            index=models.Index(fields=["brand_id", "-created_at"], name="scan_latest"),
        ),
        migrations.AddConstraint(
            model_name="duplicatescan",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ["waiting", "running"])),
                fields=("brand_id",),
                name="scan_one_at_a_time",
            ),
        ),
        BrandIsolation("DuplicateScan"),
        migrations.RunSQL(
            "alter table contacts_duplicatesuggestion add constraint contacts_duplicatesuggestion_scan_id_same_brand "
            "foreign key (brand_id, scan_id) references contacts_duplicatescan (brand_id, id)",
            "alter table contacts_duplicatesuggestion drop constraint contacts_duplicatesuggestion_scan_id_same_brand",
        ),
        Audited(
            "contacts_duplicatescan",
            "duplicate_scans",
            ignored=["share", "heard_at", "counts", "crowds"],
        ),
    ]
