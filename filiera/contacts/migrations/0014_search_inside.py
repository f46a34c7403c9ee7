from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

# Four digits each: the last four of a number, those two further to the left, and so on up to the tenth. Five digits in a row
# hold one of these pieces, wherever they stand. A piece is a number made of itself and the brand, since a GIN index cannot
# begin with the brand; nothing of it can be read back.
_PIECES = ", ".join(
    f"hashtext({piece}) # uuid_hash(brand_id)"
    for piece in ("right(phone_e164, 4)", *(f"left(right(phone_e164, {k}), 4)" for k in (6, 8, 10)))
)
PHONES = f"""
create index concurrently if not exists phone_by_digits on contacts_contactphone using gin ((array[{_PIECES}]))
with (gin_pending_list_limit = 1024) where is_active and phone_e164 <> ''
"""
DOMAINS = """
create index concurrently if not exists contact_by_domain
on contacts_contact (brand_id, split_part(email_norm, '@', 2) varchar_pattern_ops)
where deleted_at is null and email_norm is not null
"""
# Under row security no index serves a comparison inside a value. Each function looks in the open brand alone; that the
# brand is compared by `is not distinct from` keeps the planner from reading all of it in the indexes that begin with it.
_BRAND = "nullif(current_setting('app.brand_id', true), '')::uuid"


def _every_other(first: str) -> str:
    """Return the pieces of what is looked for from one digit on: the number's own pieces stand at one or the other."""
    return (
        f"array(select hashtext(substr(digits, at, 4)) # uuid_hash({_BRAND})"
        f" from generate_series({first}, length(digits) - 3, 2) at)"
    )


FUNCTIONS = f"""
create function contacts_with_digits(digits text, most integer) returns setof uuid
language sql stable security definer set search_path = public, pg_temp as $$
    select contact_id from contacts_contactphone
    where is_active and phone_e164 <> '' and length(digits) > 3 and strpos(phone_e164, digits) > 0
      and brand_id is not distinct from {_BRAND}
      and (array[{_PIECES}] @> {_every_other("1")}
           or array[{_PIECES}] @> {_every_other("least(2, length(digits) - 3)")})
    limit most
$$;
create function contacts_at_domain(domain text, most integer) returns setof uuid
language sql stable security definer set search_path = public, pg_temp as $$
    select id from contacts_contact
    where deleted_at is null and email_norm is not null and starts_with(split_part(email_norm, '@', 2), domain)
      and brand_id = {_BRAND}
    limit most
$$
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("contacts", "0013_duplicates")]
    operations = [
        AddIndexConcurrently(
            "contact",
            models.Index(
                fields=["brand_id", "company_name"],
                name="contact_by_company",
                condition=models.Q(("deleted_at", None), models.Q(("company_name", ""), _negated=True)),
            ),
        ),
        migrations.RunSQL(PHONES, "drop index concurrently if exists phone_by_digits"),
        migrations.RunSQL(DOMAINS, "drop index concurrently if exists contact_by_domain"),
        migrations.RunSQL(
            FUNCTIONS,
            "drop function contacts_with_digits(text, integer), contacts_at_domain(text, integer)",
        ),
    ]
