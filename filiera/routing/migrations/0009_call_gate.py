import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import filiera.platform.brand_scope
import filiera.platform.ids
import filiera.platform.models
from filiera.platform.migration_operations import Audited, BrandIsolation

# Evidence: the runtime role adds to it and changes none.
APPEND_ONLY = """
do $$
declare
    held record;
begin
    for held in
        select c.relname, a.grantee::regrole as role from pg_class c, aclexplode(c.relacl) a
        where c.relname in ('routing_registercheck', 'routing_registerresult')
          and c.relnamespace = 'public'::regnamespace and a.grantee not in (0, c.relowner)
    loop
        execute format('revoke update, delete, truncate, references, trigger on %I from %s', held.relname, held.role);
    end loop;
end $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0008_audited"),
        ("contacts", "0008_restriction"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="origin_checked_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="connection",
            name="origin_checked_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="connection",
            name="origin_note",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AddField(
            model_name="process",
            name="basis",
            field=models.CharField(
                choices=[
                    ("request", "risponde a una richiesta"),
                    ("purchase", "riguarda un acquisto"),
                    ("promotion", "promozione permessa"),
                ],
                db_default="request",
                default="request",
                max_length=9,
            ),
        ),
        migrations.CreateModel(
            name="OutboundNumber",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                ("number_e164", models.CharField(max_length=17)),
                ("label", models.CharField(blank=True, default="", max_length=100)),
                ("is_in_roc", models.BooleanField(default=False)),
                ("roc_date", models.DateField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("brand_id", "number_e164"), name="outbound_number_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("is_in_roc", False), ("roc_date__isnull", False), _connector="OR"
                        ),
                        name="outbound_roc_has_date",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RegisterCheck",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                ("checked_at", models.DateTimeField()),
                ("file_hash", models.CharField(max_length=64)),
                ("numbers", models.IntegerField()),
                ("listed", models.IntegerField()),
                ("created_at", models.DateTimeField()),
                (
                    "imported_by",
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
            name="RegisterResult",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                ("number_hash", models.CharField(max_length=64)),
                ("is_listed", models.BooleanField()),
                ("listed_since", models.DateTimeField(null=True)),
                ("checked_at", models.DateTimeField()),
                (
                    "check_of",
                    filiera.platform.models.BrandForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="routing.registercheck",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="registercheck",
            index=models.Index(fields=["brand_id", "-checked_at"], name="register_check_latest"),
        ),
        migrations.AddConstraint(
            model_name="registercheck",
            constraint=models.UniqueConstraint(fields=("brand_id", "file_hash"), name="register_file_once"),
        ),
        migrations.AddIndex(
            model_name="registerresult",
            index=models.Index(fields=["brand_id", "number_hash", "-checked_at"], name="register_latest"),
        ),
        migrations.AddConstraint(
            model_name="registerresult",
            constraint=models.UniqueConstraint(
                fields=("brand_id", "check_of", "number_hash"), name="register_result_once"
            ),
        ),
        BrandIsolation("OutboundNumber"),
        BrandIsolation("RegisterCheck"),
        BrandIsolation("RegisterResult"),
        Audited("routing_outboundnumber", "outbound_numbers"),
        migrations.RunSQL(APPEND_ONLY, migrations.RunSQL.noop),
    ]
