"""Run the jobs a test enqueued, in order, inside the test's own transaction."""

import json
from typing import Any

from django.db import connection
from procrastinate.contrib.django import app


def drain(limit: int = 1000) -> int:
    """Run waiting jobs that are due until none is left; returns how many ran. A failing job fails the test."""
    ran = 0
    while ran < limit and (job := _next()):
        job_id, name, arguments = job
        task = app.tasks[name]
        task.func(**arguments)
        with connection.cursor() as cursor:
            cursor.execute("update procrastinate_jobs set status = 'succeeded' where id = %s", [job_id])
        ran += 1
    return ran


def _next() -> tuple[int, str, dict[str, Any]] | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "select id, task_name, args from procrastinate_jobs"
            " where status = 'todo' and (scheduled_at is null or scheduled_at <= now()) order by id limit 1"
        )
        row = cursor.fetchone()
    if row is None:
        return None
    job_id, name, arguments = row
    return job_id, name, arguments if isinstance(arguments, dict) else json.loads(arguments)
