"""What a migration adds to a table so that the database itself keeps brands apart."""

from collections.abc import Iterable
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import CASCADE, Field, Model

from filiera.platform.models import BrandForeignKey

_THIS_BRAND = "brand_id = nullif(current_setting('app.brand_id', true), '')::uuid"


class BrandIsolation(Operation):
    """Force row security on a brand's table and tie its references to rows of the same brand.

    nullif() matters: after a transaction the setting is '' and not null, and ''::uuid raises.
    """

    reduces_to_sql = True
    reversible = True

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change nothing in Django's picture of the schema."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Enable and force row security, then add (brand_id, id) and the composite foreign keys."""
        model = to_state.apps.get_model(app_label, self.model_name)
        for statement in _statements(model):
            schema_editor.execute(statement)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Take away what forwards added."""
        model = from_state.apps.get_model(app_label, self.model_name)
        table = model._meta.db_table
        for field in _brand_references(model):
            schema_editor.execute(f'alter table "{table}" drop constraint "{_fk_name(table, field)}"')
        if _needs_brand_reference(model):
            schema_editor.execute(f'alter table "{table}" drop constraint "{table}_brand"')
        schema_editor.execute(f'drop policy brand_isolation on "{table}"')
        schema_editor.execute(
            f'alter table "{table}" no force row level security, disable row level security'
        )
        schema_editor.execute(f'alter table "{table}" alter column brand_id set statistics -1')
        if not _keyed_by_brand(model):
            schema_editor.execute(f'alter table "{table}" drop constraint "{table}_brand_key"')

    def describe(self) -> str:
        return f"Keep the brands of {self.model_name} apart"


def _statements(model: type[Model]) -> Iterable[str]:
    table = model._meta.db_table
    yield f'alter table "{table}" enable row level security'
    yield f'alter table "{table}" force row level security'
    yield f'create policy brand_isolation on "{table}" using ({_THIS_BRAND}) with check ({_THIS_BRAND})'
    # Without statistics the planner gives every brand one and the same share. With them it believes that a brand it has
    # not counted yet has no rows, takes any index that starts with the brand, and each look reads the whole brand
    # (measured: the second brand's batches of 500 leads went from 1 s to 8 s; so they stay flat).
    yield f'alter table "{table}" alter column brand_id set statistics 0'
    if not _keyed_by_brand(model):
        yield f'alter table "{table}" add constraint "{table}_brand_key" unique (brand_id, id)'
    if _needs_brand_reference(model):
        yield (
            f'alter table "{table}" add constraint "{table}_brand" '
            f"foreign key (brand_id) references identity_brand (id)"
        )
    for field in _brand_references(model):
        target = field.related_model._meta.db_table
        cascade = " on delete cascade" if field.remote_field.on_delete is CASCADE else ""
        yield (
            f'alter table "{table}" add constraint "{_fk_name(table, field)}" '
            f'foreign key (brand_id, "{field.column}") references "{target}" (brand_id, id){cascade}'
        )


def _keyed_by_brand(model: type[Model]) -> bool:
    return model._meta.pk.column == "brand_id"


def _needs_brand_reference(model: type[Model]) -> bool:
    """Say whether brand_id needs a constraint of its own: a row that must point to a row of its brand has it by that.

    The platform's own tables have none, because brands live above them (PLT-44).
    """
    return model._meta.app_label != "platform" and all(field.null for field in _brand_references(model))


def _brand_references(model: type[Model]) -> list[Any]:
    return [field for field in model._meta.local_fields if _is_brand_reference(field)]


def _is_brand_reference(field: "Field[Any, Any]") -> bool:
    return isinstance(field, BrandForeignKey)


def _fk_name(table: str, field: "Field[Any, Any]") -> str:
    return f"{table}_{field.column}_same_brand"[:63]


class Audited(Operation):
    """Let the database record every change of a table's rows in audit_log (docs/decisions/014-audit-log.md).

    `entity` is what the API calls the rows. A change of `ignored` columns alone is none; values of `hidden` ones are
    never shown. `unless_machine` is for the tables of the lead path: what the machine does there by itself has records
    of its own. Given again in a later migration it replaces the triggers. Depends on identity 0007_audit_log.
    """

    reduces_to_sql = True
    reversible = True
    ALWAYS_IGNORED = ("updated_at",)

    def __init__(
        self,
        table: str,
        entity: str,
        *,
        key: str = "id",
        ignored: Iterable[str] = (),
        hidden: Iterable[str] = (),
        unless_machine: bool = False,
    ) -> None:
        self.table = table
        self.entity = entity
        self.key = key
        self.ignored = list(ignored)
        self.hidden = list(hidden)
        self.unless_machine = unless_machine

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change nothing in Django's picture of the schema."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Make a trigger for each kind of statement."""
        lists = [
            "{" + ",".join(names) + "}" for names in ((*self.ALWAYS_IGNORED, *self.ignored), self.hidden)
        ]
        arguments = ", ".join(f"'{one}'" for one in (self.entity, self.key, *lists))
        when = "when (current_setting('app.actor_kind', true) is distinct from 'machine')"
        for event, tables in _AUDITED_EVENTS.items():
            schema_editor.execute(
                f'create or replace trigger audit_{event} after {event} on "{self.table}" referencing {tables}'
                f" for each statement {when if self.unless_machine else ''}"
                f" execute function identity_audit_change({arguments})"
            )

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Take the triggers away."""
        for event in _AUDITED_EVENTS:
            schema_editor.execute(f'drop trigger if exists audit_{event} on "{self.table}"')

    def describe(self) -> str:
        return f"Record who changes {self.table}"


_AUDITED_EVENTS = {
    "insert": "new table as new_rows",
    "update": "old table as old_rows new table as new_rows",
    "delete": "old table as old_rows",
}
