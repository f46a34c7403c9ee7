"""What it takes to undo a merge, and the two ways in which a merge touches proofs of consent (decision 23)."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import filiera.platform.brand_scope
import filiera.platform.ids
import filiera.platform.models
from filiera.platform.migration_operations import BrandIsolation

# A proof goes with its person only where they were merged, and back; a proof whose seal held is sealed anew. Where two
# of them stand for the same box of the same request, the second gets a mark behind the version, taken away on the way
# back.
REHOME = """
create function contacts_rehome_consents(proofs uuid[], owner uuid) returns int
language plpgsql security definer set search_path = public, pg_temp set timezone = 'UTC' as $$
declare
    brand constant uuid := nullif(current_setting('app.brand_id', true), '')::uuid;
    moved int;
begin
    update contacts_consent c
    set contact_id = owner,
        text_version = n.text_version,
        record_hash = case
            when c.record_hash = encode(sha256(convert_to((to_jsonb(c) - 'record_hash')::text, 'UTF8')), 'hex')
            then encode(sha256(convert_to((to_jsonb(c) - 'record_hash' || jsonb_build_object(
                'contact_id', owner, 'text_version', n.text_version))::text, 'UTF8')), 'hex')
            else c.record_hash end
    from (
        select old.id, case
            when t.id = owner then regexp_replace(old.text_version, '~' || left(md5(old.id::text), 5) || '$', '')
            when exists (
                select from contacts_consent same
                where same.brand_id = brand and same.submission_id = old.submission_id and same.id <> old.id
                  and same.purpose = old.purpose and same.channel = old.channel
                  and same.text_version = old.text_version
                  and (same.contact_id = owner or (same.id = any (proofs) and same.id < old.id)))
            then left(old.text_version, 94) || '~' || left(md5(old.id::text), 5)
            else old.text_version end as text_version
        from contacts_consent old
        join contacts_contact t on t.brand_id = brand
            and ((t.id = old.contact_id and t.merged_into_id = owner)
                 or (t.id = owner and t.merged_into_id = old.contact_id))
        where old.brand_id = brand and old.id = any (proofs)
    ) n
    where c.brand_id = brand and c.id = n.id;
    get diagnostics moved = row_count;
    return moved;
end $$
"""

# What a merge wrote to hold to the most restrictive permission goes when it is undone; nothing a person said can.
TAKE_BACK = """
create function contacts_take_back_refusals(merged uuid) returns int
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    gone int;
begin
    delete from contacts_consent c
    using contacts_merge m
    where c.brand_id = nullif(current_setting('app.brand_id', true), '')::uuid
      and m.brand_id = c.brand_id and m.id = merged and m.undone_at is null and c.contact_id = m.survivor_id
      and c.collected_by = 'merge ' || merged and not c.given and not c.by_person;
    get diagnostics gone = row_count;
    return gone;
end $$
"""
BACKWARDS = """
drop function contacts_take_back_refusals(uuid);
drop function contacts_rehome_consents(uuid[], uuid)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("contacts", "0008_restriction"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Merge",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=filiera.platform.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("brand_id", models.UUIDField(default=filiera.platform.brand_scope.current, editable=False)),
                (
                    "merged_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), default=list, size=None
                    ),
                ),
                ("at", models.DateTimeField()),
                ("manifest", models.JSONField(default=dict)),
                ("undone_at", models.DateTimeField(blank=True, null=True)),
                ("kept", models.JSONField(default=list)),
                *(
                    (
                        name,
                        models.ForeignKey(
                            blank=True,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    )
                    for name in ("by_user", "undone_by")
                ),
                (
                    "survivor",
                    filiera.platform.models.BrandForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="contacts.contact",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["brand_id", "survivor", "-at"], name="merge_by_survivor"),
                    models.Index(fields=["brand_id", "-at", "-id"], name="merge_latest"),
                ],
            },
        ),
        BrandIsolation("Merge"),
        migrations.AddIndex(
            "contact",
            models.Index(
                fields=["brand_id", "merged_into"],
                name="contact_merged_into",
                condition=models.Q(merged_into__isnull=False),
            ),
        ),
        migrations.AddIndex(
            "duplicatesuggestion", models.Index(fields=["brand_id", "other"], name="suggestion_by_other")
        ),
        migrations.RunSQL([REHOME, TAKE_BACK], BACKWARDS),
    ]
