"""Make many model instances at once, for rows that are written in bulk."""

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from django.db.models import Model
from django.db.models.base import ModelState
from django.db.models.fields import NOT_PROVIDED

M = TypeVar("M", bound=Model)


def made(model: type[M], values: Mapping[str, Any], related: Mapping[str, Model] | None = None) -> M:
    """Return an instance as if read from the database, of attribute names (`contact_id`) and values.

    What is left out has its field's default when that is a plain value. `related` are the rows its references point
    to, by field name. Ten times as fast as calling the model, which matters on the path of a lead: no signal is sent,
    nothing is converted.
    """
    instance = partly_read(model, _plain_defaults(model))
    instance.__dict__.update(values)
    if related:
        instance._state.fields_cache.update(related)
    return instance


def partly_read(model: type[M], values: Mapping[str, Any]) -> M:
    """Return an instance of which only `values` were read; any other column is read from the database at first use."""
    instance = model.__new__(model)
    state = ModelState()
    state.db, state.adding = "default", False
    instance.__dict__.update(values)
    instance._state = state
    return instance


@cache
def _plain_defaults(model: type[Model]) -> dict[str, Any]:
    defaults: dict[str, Any] = {}
    for field in model._meta.concrete_fields:
        if field.default is NOT_PROVIDED or not callable(field.default):
            value = field.get_default()
            defaults[field.attname] = getattr(value, "value", value)
    return defaults
