import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import filiera.platform.brand_scope
import filiera.platform.ids
from filiera.platform.migration_operations import BrandIsolation

# Every process forgets what it remembers of a brand's secrets, whoever changed one and however. That a key was used
# changes nothing of it, so the column for that is not among these.
TELL = """
create function identity_vault_changed() returns trigger language plpgsql set search_path = public as $$
begin
    perform pg_notify('filiera_vault', coalesce(new.brand_id, old.brand_id)::text);
    return null;
end $$;
create trigger vault_changed after insert or delete or update of
    brand_id, service, ciphertext, nonce, key_version, is_active on identity_vaultkey
    for each row execute function identity_vault_changed()
"""
# A key for the API says who asks, so it is read before any brand is set. Only live keys are found.
FIND = """
create function identity_find_api_key(wanted text)
returns table (id uuid, brand_id uuid, user_id uuid, permissions jsonb, last_used_at timestamptz)
language sql stable security definer set search_path = public
as $$
    select k.id, k.brand_id, k.user_id, k.permissions, k.last_used_at from identity_apikey k
    where k.key_hash = wanted and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$
"""


class Migration(migrations.Migration):
    dependencies = [("identity", "0005_sessions")]
    operations = [
        migrations.CreateModel(
            name="VaultVersion",
            fields=[
                ("version", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ("fingerprint", models.CharField(max_length=16)),
                ("made_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddField("vaultkey", "prefix", models.CharField(default="", max_length=8)),
        migrations.AddField("vaultkey", "replaced_at", models.DateTimeField(null=True)),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "brand_id",
                    models.UUIDField(default=filiera.platform.brand_scope.current, editable=False),
                ),
                ("name", models.CharField(max_length=100)),
                ("key_hash", models.CharField(max_length=64)),
                ("last4", models.CharField(max_length=4)),
                ("permissions", models.JSONField(default=list)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(null=True)),
                ("last_used_at", models.DateTimeField(null=True)),
                ("revoked_at", models.DateTimeField(null=True)),
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
            options={
                "indexes": [models.Index(fields=["key_hash"], name="api_key_by_hash")],
                "constraints": [
                    models.UniqueConstraint(fields=("brand_id", "key_hash"), name="api_key_once")
                ],
            },
        ),
        BrandIsolation("ApiKey"),
        migrations.RunSQL(
            TELL, "drop trigger vault_changed on identity_vaultkey; drop function identity_vault_changed()"
        ),
        migrations.RunSQL(FIND, "drop function identity_find_api_key(text)"),
    ]
