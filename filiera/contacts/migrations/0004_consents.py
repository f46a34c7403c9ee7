"""Consent as evidence, and the list of who must not be contacted. Why so: docs/decisions/017-rights-of-people.md."""

import django.db.models.deletion
from django.db import migrations, models

import filiera.platform.brand_scope
import filiera.platform.ids
import filiera.platform.models
from filiera.platform.migration_operations import BrandIsolation

# What a runtime role may do with evidence is add to it. Which roles have which names is the installation's.
APPEND_ONLY = """
do $$
declare
    held record;
begin
    for held in
        select c.relname, a.grantee::regrole as role from pg_class c, aclexplode(c.relacl) a
        where c.relname in ('contacts_consent', 'contacts_suppression')
          and c.relnamespace = 'public'::regnamespace and a.grantee not in (0, c.relowner)
    loop
        execute format('revoke update, delete, truncate, references, trigger on %I from %s', held.relname, held.role);
    end loop;
end $$
"""

SEALED = """
create function contacts_seal_consent() returns trigger
language plpgsql set search_path = public, pg_temp set timezone = 'UTC' as $$
begin
    new.record_hash := encode(sha256(convert_to((to_jsonb(new) - 'record_hash')::text, 'UTF8')), 'hex');
    return new;
end $$;
create trigger consent_is_sealed before insert on contacts_consent
    for each row execute function contacts_seal_consent()
"""

# Erasure: where, from which address and with which browser a person consented, and their own words if the text held
# any of these. What was permitted, when and by which text stays, and so does the hash of the whole.
FORGET = """
create function contacts_forget_consents(people uuid[], pattern text) returns int
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    forgotten int;
begin
    update contacts_consent
    set ip_address = null, user_agent = '', form_url = '', text = regexp_replace(text, pattern, '…', 'gi')
    where brand_id = nullif(current_setting('app.brand_id', true), '')::uuid and contact_id = any (people);
    get diagnostics forgotten = row_count;
    return forgotten;
end $$
"""
BACKWARDS = """
drop function contacts_forget_consents(uuid[], text);
drop trigger consent_is_sealed on contacts_consent;
drop function contacts_seal_consent()
"""


class Migration(migrations.Migration):
    dependencies = [
        ("capture", "0004_claiming"),
        ("contacts", "0002_brand_isolation"),
    ]

    operations = [
        migrations.CreateModel(
            name="Suppression",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                (
                    "kind",
                    models.CharField(choices=[("phone", "telefono"), ("email", "e-mail")], max_length=5),
                ),
                ("hash", models.CharField(max_length=64)),
                ("channel", models.CharField(default="any", max_length=8)),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("opposed", "si è opposta"),
                            ("withdrawn", "ha revocato"),
                            ("erased", "è stata cancellata"),
                        ],
                        max_length=9,
                    ),
                ),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("brand_id", "kind", "hash", "channel", "created_at"), name="suppression_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Consent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("marketing", "Promozioni"),
                            ("profiling", "Profilazione"),
                            ("third_party", "Cessione a terzi"),
                            ("newsletter", "Newsletter"),
                            ("notice", "Informativa"),
                            ("bundled", "Consenso unico per più scopi, non valido"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "channel",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("call", "telefono"),
                            ("email", "e-mail"),
                            ("sms", "SMS"),
                            ("whatsapp", "WhatsApp"),
                            ("post", "posta"),
                            ("", "nessun canale"),
                        ],
                        default="",
                        max_length=8,
                    ),
                ),
                ("given", models.BooleanField()),
                ("by_person", models.BooleanField()),
                ("text", models.TextField()),
                ("text_version", models.CharField(max_length=100)),
                ("language", models.CharField(blank=True, default="", max_length=5)),
                ("form_url", models.TextField(blank=True, default="")),
                ("ip_address", models.GenericIPAddressField(null=True)),
                ("user_agent", models.TextField(blank=True, default="")),
                ("collected_by", models.CharField(max_length=255)),
                ("double_opt_in_at", models.DateTimeField(null=True)),
                ("record_hash", models.CharField(default="", max_length=64)),
                ("at", models.DateTimeField()),
                ("created_at", models.DateTimeField()),
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
                    "submission",
                    filiera.platform.models.BrandForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="capture.submission",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["brand_id", "contact", "purpose", "channel", "-at"], name="consent_latest"
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("brand_id", "contact", "submission", "purpose", "channel", "text_version"),
                        name="consent_once_per_form",
                    )
                ],
            },
        ),
        BrandIsolation("Consent"),
        BrandIsolation("Suppression"),
        migrations.RunSQL(APPEND_ONLY, migrations.RunSQL.noop),
        migrations.RunSQL([SEALED, FORGET], BACKWARDS),
    ]
