"""What the database itself guarantees: brands apart, references real and back in time (PLT-44, PLT-45)."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection

from filiera.platform import catalogue
from filiera.platform.models import BrandForeignKey

ROOMS = ["platform", "identity", "capture", "contacts", "pipeline", "routing", "journeys", "workspace"]
DECISION = Path(__file__).parent.parent.parent / "docs" / "decisions" / "002-brand-isolation.md"

# References by kind and id, in rows that outlive their subject or name any kind of it, and users named for the record
# in rooms below identity (PLT-44). Everything else is a constraint.
SOFT_REFERENCES = {
    "audit_log": {"brand_id", "actor_user_id", "entity_id", "masked_by"},
    "platform_event": {"brand_id", "subject_id"},
    "platform_received": {"brand_id", "external_id"},
    "platform_sitesetting": {"brand_id", "updated_by"},
    "platform_systemlog": {"user_id"},
    "identity_notification": {"subject_id"},
    "identity_outgoingemail": {"subject_id"},
}
# Unique in the whole installation (PLT-45); the ids themselves always are.
INSTALLATION_WIDE = {"capture_source": {("name",)}}
# Read before a brand is known, each by one function of the schema's owner.
INDEXES_ACROSS_BRANDS = {
    *("submission_queue", "user_role_by_user", "api_key_by_hash"),
    *("audit_unsealed", "audit_sealed"),
    "phone_by_digits",  # its keys are mixed with the brand
}


@pytest.fixture
def app(db: None) -> Iterator[psycopg.Connection]:
    """Return a connection as the runtime role."""
    with psycopg.connect(settings.DATABASE_URLS.app, autocommit=True) as opened:
        yield opened


@pytest.fixture
def owner(db: None) -> Iterator[psycopg.Connection]:
    """Return a connection as the schema's owner whose changes are undone."""
    with psycopg.connect(settings.DATABASE_URLS.owner) as opened:
        yield opened
        opened.rollback()


def our_models() -> list[type]:
    return [model for model in apps.get_models() if model._meta.app_label in ROOMS]


def brand_tables() -> set[str]:
    return {
        model._meta.db_table
        for model in our_models()
        if any(f.column == "brand_id" for f in model._meta.fields)
    }


def test_the_runtime_role_sees_one_brand_in_every_table(app: psycopg.Connection) -> None:
    assert catalogue.faults(app) == []


def test_a_role_that_bypasses_is_refused() -> None:
    with pytest.raises(catalogue.Unsafe, match="filiera_owner"):
        catalogue.refuse_unsafe(settings.DATABASE_URLS.owner)


@pytest.mark.parametrize(
    ("weakened", "named"),
    [
        ("alter table contacts_contact no force row level security", "contacts_contact"),
        ("alter table contacts_contact disable row level security", "contacts_contact"),
        ("drop policy brand_isolation on contacts_contact", "contacts_contact"),
        ("create policy also on contacts_contact using (true)", "contacts_contact"),
        ("create table forgotten (brand_id uuid)", "forgotten"),
        ("create view everything as select * from contacts_contact", "everything"),
        ("create function door() returns int language sql security definer as 'select 1'", "door"),
    ],
)
def test_each_way_to_weaken_the_isolation_is_found(
    owner: psycopg.Connection, weakened: str, named: str
) -> None:
    owner.execute(weakened)
    assert any(named in fault for fault in catalogue.faults(owner))


def test_the_functions_that_see_every_brand_are_those_that_the_decision_lists(
    app: psycopg.Connection,
) -> None:
    rooms = "|".join(ROOMS)
    listed = set(re.findall(rf"`((?:{rooms})_\w+)`", DECISION.read_text()))
    assert catalogue.definer_functions(app) == listed


def test_no_foreign_key_points_to_a_later_room() -> None:
    forward = [
        f"{model._meta.label}.{field.name}"
        for model in our_models()
        for field in model._meta.local_fields
        if field.is_relation
        and field.related_model._meta.app_label in ROOMS
        and ROOMS.index(field.related_model._meta.app_label) > ROOMS.index(model._meta.app_label)
    ]
    assert forward == []


@pytest.mark.django_db
def test_every_reference_is_a_constraint_or_stands_in_the_list() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "select c.conrelid::regclass::text, a.attname from pg_constraint c"
            " join pg_attribute a on a.attrelid = c.conrelid and a.attnum = any(c.conkey) where c.contype = 'f'"
        )
        constrained = set(cursor.fetchall())
    loose: dict[str, set[str]] = {}
    for model in our_models():
        for field in model._meta.local_fields:
            is_reference = field.is_relation or field.get_internal_type() == "UUIDField"
            table = model._meta.db_table
            if is_reference and not field.primary_key and (table, field.column) not in constrained:
                loose.setdefault(table, set()).add(field.column)
    assert {table: columns - SOFT_REFERENCES.get(table, set()) for table, columns in loose.items()} == {
        table: set() for table in loose
    }


@pytest.mark.django_db
def test_a_reference_between_brand_rows_carries_the_brand() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "select conrelid::regclass::text, array(select attname::text from pg_attribute"
            " where attrelid = conrelid and attnum = any(conkey) order by attname)"
            " from pg_constraint where contype = 'f'"
        )
        keys = {(table, tuple(columns)) for table, columns in cursor.fetchall()}
    missing = [
        f"{model._meta.label}.{field.name}"
        for model in our_models()
        for field in model._meta.local_fields
        if isinstance(field, BrandForeignKey)
        and (model._meta.db_table, tuple(sorted(("brand_id", field.column)))) not in keys
    ]
    assert missing == []


@pytest.mark.django_db
def test_the_brand_leads_every_unique_constraint_and_index_of_a_brand_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "select i.indrelid::regclass::text, c.relname, i.indisunique, i.indisprimary,"
            " array(select pg_get_indexdef(i.indexrelid, n, false) from generate_series(1, i.indnkeyatts) n)"
            " from pg_index i join pg_class c on c.oid = i.indexrelid"
            " where c.relnamespace = 'public'::regnamespace"
        )
        indexes = cursor.fetchall()
    wrong = [
        f"{table}.{name} {columns}"
        for table, name, is_unique, is_primary, columns in indexes
        if table in brand_tables()
        and not is_primary
        and columns[0] != "brand_id"
        and not (is_unique and tuple(columns) in INSTALLATION_WIDE.get(table, set()))
        and name not in INDEXES_ACROSS_BRANDS
        and not name.endswith("_like")
    ]
    assert wrong == []


@pytest.mark.django_db
def test_every_table_of_a_brand_has_its_key_its_owner_and_its_policy() -> None:
    """(brand_id, id) to be pointed at, brand_id pointing at a brand by itself or by a row that must be there."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select c.relname, c.relrowsecurity and c.relforcerowsecurity,
                exists (select from pg_policy where polrelid = c.oid and polname = 'brand_isolation'),
                exists (select from pg_constraint k where k.conrelid = c.oid and k.contype in ('u', 'p')
                        and k.conkey in (array[a.attnum], array[a.attnum, one.attnum])),
                exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'f'
                        and a.attnum = any(k.conkey)
                        and not exists (select from pg_attribute n where n.attrelid = c.oid
                                        and n.attnum = any(k.conkey) and not n.attnotnull))
            from pg_class c
            join pg_attribute a on a.attrelid = c.oid and a.attname = 'brand_id' and not a.attisdropped
            left join pg_attribute one on one.attrelid = c.oid and one.attname = 'id'
            where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
            """
        )
        found = {table: tuple(rest) for table, *rest in cursor.fetchall()}
    assert set(found) >= brand_tables()
    # Brands live above the platform's tables, and the record outlives what it is about.
    unowned = {"audit_log", "platform_event", "platform_received", "platform_sitesetting"}
    assert found == {table: (True, True, True, table not in unowned) for table in found}


def test_every_table_that_people_change_is_recorded(app: psycopg.Connection) -> None:
    assert catalogue.unaudited(app) == []
    assert all(catalogue.NOT_AUDITED.values()), "say why"


@pytest.mark.parametrize(
    "weakened",
    [
        "alter table contacts_contact disable trigger audit_update",
        "drop trigger audit_delete on contacts_contact",
        "alter table contacts_contact disable trigger user",
        "create or replace trigger audit_insert after insert on contacts_contact for each statement"
        " execute function identity_audit_guard()",
    ],
)
def test_a_table_that_is_no_longer_recorded_is_found(owner: psycopg.Connection, weakened: str) -> None:
    owner.execute(weakened)
    assert catalogue.unaudited(owner) == ["contacts_contact"]


def test_a_new_table_is_recorded_or_stands_in_the_list(
    owner: psycopg.Connection, app: psycopg.Connection
) -> None:
    owner.execute("create table forgotten (id uuid)")
    assert catalogue.unaudited(owner) == ["forgotten"]
    tables = {
        name
        for (name,) in app.execute(
            "select relname from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace"
        )
    }
    assert set(catalogue.NOT_AUDITED) <= tables, "these are gone: forget them"


def test_only_tables_of_the_lead_path_leave_the_machine_alone(app: psycopg.Connection) -> None:
    """Everywhere else a trigger without a condition: no setting of a transaction switches it off."""
    excused = app.execute(
        "select distinct tgrelid::regclass::text from pg_trigger where tgname like 'audit\\_%' and tgqual is not null"
    )
    assert {table for (table,) in excused} == {
        *("capture_submission", "contacts_contact", "contacts_contactphone", "contacts_duplicatesuggestion"),
        *(
            "pipeline_deal",
            "pipeline_dealclosing",
            "pipeline_stagehistory",
            "pipeline_leadevent",
            "pipeline_activity",
        ),
        *("routing_routingstate", "routing_process"),
    }
