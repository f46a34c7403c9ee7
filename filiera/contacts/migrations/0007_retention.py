from django.db import migrations, models

import filiera.platform.brand_scope
import filiera.platform.ids
from filiera.platform.migration_operations import Audited, BrandIsolation


class Migration(migrations.Migration):
    dependencies = [
        ("contacts", "0006_erasures"),
        ("identity", "0007_audit_log"),
    ]

    operations = [
        migrations.CreateModel(
            name="RetentionPolicy",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                (
                    "data_class",
                    models.CharField(
                        choices=[
                            ("requests", "Richieste come sono arrivate"),
                            ("provider_messages", "Messaggi dei fornitori"),
                            ("emails", "E-mail mandate"),
                            ("enquiries", "Contatti senza vendita"),
                            ("marketing", "Permessi per promozioni"),
                            ("profiling", "Permessi per profilazione"),
                        ],
                        max_length=20,
                    ),
                ),
                ("months", models.IntegerField()),
                ("reason", models.TextField()),
                ("owner", models.CharField(max_length=255)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("brand_id", "data_class"), name="retention_once"),
                    models.CheckConstraint(
                        condition=models.Q(("months__range", (1, 240))), name="retention_is_sane"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="retention_has_a_reason"
                    ),
                ],
            },
        ),
        BrandIsolation("RetentionPolicy"),
        Audited("contacts_retentionpolicy", "retention_policies"),
    ]
