"""The steps that follow events, run a few in each job."""

from collections.abc import Callable

from django.db import connection
from django.utils import timezone

from filiera.pipeline.models import Activity
from filiera.platform import events
from filiera.platform.models import Event
from tests.routing.conftest import Calling, calling, pbx

__all__ = ["calling", "pbx"]


def test_a_step_that_fails_goes_on_alone_and_holds_up_no_other(
    calling: Calling, run_jobs: Callable[[], int]
) -> None:
    calling.lead()
    process = calling.process()
    with calling.scope():
        lost, told = events.record_all(
            [("call.failed", calling.brand.id, {}), ("call.failed", process.id, {})], at=timezone.now()
        )
    run_jobs()
    with calling.scope():
        assert Activity.objects.get(status="planned").contact_id == process.contact_id
        assert Event.objects.get(id=told.id).handled_at is not None
        assert Event.objects.get(id=lost.id).handled_at is None
    with connection.cursor() as cursor:
        cursor.execute("select args->>'event_id' from procrastinate_jobs where status = 'todo'")
        assert cursor.fetchall() == [(str(lost.id),)]
