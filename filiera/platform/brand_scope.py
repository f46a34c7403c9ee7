"""The only door to a brand's rows.

Row security shows the rows of one brand: the one set for the open transaction (decision 2 of docs/architecture.md).
Nothing set means no rows, never all rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from django.db import connection, transaction

from filiera.platform import actor

_current: ContextVar[UUID | None] = ContextVar("brand", default=None)


class NoBrand(RuntimeError):
    """A brand's rows were asked for outside a brand scope: a fault of ours, never of a person."""


@contextmanager
def use(brand_id: UUID | str | None) -> Iterator[None]:
    """Open a transaction that sees the rows of one brand, or of none when `brand_id` is None, and knows who acts.

    Nested scopes are savepoints: leaving one restores the brand of the outer one.
    """
    brand = UUID(str(brand_id)) if brand_id else None
    outer = _current.get()
    is_new = not connection.in_atomic_block
    with transaction.atomic():
        told = {"app.brand_id": _text(brand), **actor.current().settings()}
        # Nothing is set yet in a transaction that begins here.
        actor.tell({name: value for name, value in told.items() if value} if is_new else told)
        token = _current.set(brand)
        try:
            yield
        finally:
            _current.reset(token)
            if outer is not None and not connection.needs_rollback:
                actor.tell({"app.brand_id": _text(outer)})


def current() -> UUID:
    """Return the brand of the open scope. Raises NoBrand outside one."""
    brand = _current.get()
    if brand is None:
        raise NoBrand("no brand scope is open")
    return brand


def _text(brand: UUID | None) -> str:
    return str(brand) if brand else ""
