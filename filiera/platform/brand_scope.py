"""The only door to a brand's rows.

Row security shows the rows of one brand: the one set for the open transaction (decision 2 of docs/architecture.md).
Nothing set means no rows, never all rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from django.db import connection, transaction

_current: ContextVar[UUID | None] = ContextVar("brand", default=None)


class NoBrand(RuntimeError):
    """A brand's rows were asked for outside a brand scope: a fault of ours, never of a person."""


@contextmanager
def use(brand_id: UUID | str | None) -> Iterator[None]:
    """Open a transaction that sees the rows of one brand, or of none when `brand_id` is None.

    Nested scopes are savepoints: leaving one restores the brand of the outer one.
    """
    brand = UUID(str(brand_id)) if brand_id else None
    outer = _current.get()
    with transaction.atomic():
        _set(brand)
        token = _current.set(brand)
        try:
            yield
        finally:
            _current.reset(token)
            if outer is not None and not connection.needs_rollback:
                _set(outer)


def current() -> UUID:
    """Return the brand of the open scope. Raises NoBrand outside one."""
    brand = _current.get()
    if brand is None:
        raise NoBrand("no brand scope is open")
    return brand


def _set(brand: UUID | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select set_config('app.brand_id', %s, true)", [str(brand) if brand else ""])
