"""Querysets whose SQL is written once for the process: many small reads cost more to write than to ask."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Model, QuerySet
from django.db.models.query import get_related_populators

M = TypeVar("M", bound=Model)
_STAND_IN: Final = UUID(int=2**128 - 1)


class Prepared(Generic[M]):
    """A read by one id: `Prepared(lambda one: Deal.objects.filter(contact_id=one))`, then `read(contact_id)`.

    `make` is called once, with an id that stands for those to come, so it may depend on nothing that changes: no
    moment, person, brand or language. Works for filters, orders, limits and select_related; each call is one statement.
    A read that needs no id is called without one.
    """

    def __init__(self, make: Callable[[UUID], QuerySet[M]]) -> None:
        self._make = make

    def __call__(self, one: UUID = _STAND_IN) -> list[M]:
        """Return the rows for this id, as the queryset would."""
        compiler, statement, parameters = self._written
        with connection.cursor() as cursor:
            cursor.execute(statement, [one if value == _STAND_IN else value for value in parameters])
            found = cursor.fetchall()
        return [self._model(row) for row in compiler.results_iter([found])]

    def first(self, one: UUID = _STAND_IN) -> M | None:
        """Return the first row for this id, or None."""
        found = self(one)
        return found[0] if found else None

    @cached_property
    def _written(self) -> tuple[Any, str, tuple[Any, ...]]:
        compiler = self._make(_STAND_IN).query.get_compiler(connection=connection)
        statement, parameters = compiler.as_sql()
        return compiler, statement, tuple(parameters)

    @cached_property
    def _model(self) -> Callable[[Any], M]:
        """Return what makes the model of a row, with the rows it points to, as Django's own iterator does."""
        compiler = self._written[0]
        info: Any = compiler.klass_info
        first, after = info["select_fields"][0], info["select_fields"][-1] + 1
        names = [column[0].target.attname for column in compiler.select[first:after]]
        related: list[Any] = get_related_populators(info, compiler.select, connection.alias)  # type: ignore[call-arg]

        def model(row: Any) -> M:
            made: M = info["model"].from_db(connection.alias, names, row[first:after])
            for populator in related:
                populator.populate(row, made)
            return made

        return model
