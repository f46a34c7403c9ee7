"""Jobs of one brand, in the database that holds the rows they are about (decision 4)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import procrastinate
from django.db import close_old_connections, connection
from procrastinate.contrib.django import app

from filiera.platform import actor, brand_scope

STEPS = "steps"
"""The queue of jobs that only work and never wait for the world: the worker runs one of them at a time."""

P = ParamSpec("P")
R = TypeVar("R")

__all__ = ["STEPS", "app", "brand_task", "is_waiting", "on_app_ready", "own_connection", "task"]


def on_app_ready(ready: procrastinate.App) -> None:
    """Called by Procrastinate once Django is up; tasks are found in each room's tasks.py."""


def is_waiting(queueing_lock: str) -> bool:
    """Tell whether a job with this queueing lock waits for its turn."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select exists (select from procrastinate_jobs where queueing_lock = %s and status = 'todo')",
            [queueing_lock],
        )
        return bool((cursor.fetchone() or (False,))[0])


@contextmanager
def own_connection() -> Iterator[None]:
    """Begin with a database connection that works and give it back: the thread goes on to other jobs, or to none."""
    if connection.in_atomic_block:  # a test's transaction
        yield
        return
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()


def task(*, is_machine: bool = False, **options: Any) -> Callable[[Callable[..., R]], Any]:
    """Declare a job; it opens its brand scopes itself. `options` are Procrastinate's: name, retry, queueing_lock.

    What it changes is recorded under its name; `is_machine` is for a job of the lead path, whose changes have records
    of their own.
    """

    def declare(function: Callable[..., R]) -> Any:
        @wraps(function)
        def with_connection(*positional: Any, **arguments: Any) -> R:
            name = str(options.get("name", f"{function.__module__}.{function.__name__}"))
            acts = actor.Actor(actor.MACHINE if is_machine else actor.JOB, name)
            with own_connection(), actor.acting(acts):
                return function(*positional, **arguments)

        declare_to: Any = app.task
        return declare_to(**options)(with_connection)

    return declare


def brand_task(**options: Any) -> Callable[[Callable[..., R]], Any]:
    """Declare a task that runs inside its brand's scope: one transaction that sees that brand's rows.

    The task is deferred with `brand_id` as text among its arguments. For work that waits for the world between
    transactions, declare a plain `task` and open the scopes yourself.
    """

    def declare(function: Callable[..., R]) -> Any:
        @wraps(function)
        def in_scope(*, brand_id: str, **arguments: Any) -> R:
            with brand_scope.use(brand_id):
                return function(**arguments)

        return task(name=f"{function.__module__}.{function.__name__}", **options)(in_scope)

    return declare
