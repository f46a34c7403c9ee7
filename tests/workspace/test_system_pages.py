"""The page of who looks after the house: what stands still is seen, and can be tried again."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.urls import reverse

from filiera.platform import brand_scope
from filiera.platform.ids import new_id
from filiera.platform.models import Event, JobRun, SystemLog


def now() -> datetime:
    """The moment of the test, not of its import: the suite runs for minutes, and a sign of life grows old."""
    return datetime.now(UTC)


@pytest.fixture
def waiting(vegliasi):
    """An event of Vegliasì whose step was never taken."""
    with brand_scope.use(vegliasi.id):
        return Event.objects.create(
            kind="call.failed",
            subject_id=new_id(),
            at=now() - timedelta(minutes=9),
            last_error="KeyError: attempt_id",
        )


def failed_job(brand):
    """Make a job of the brand that gave up; returns its number."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into procrastinate_jobs (queue_name, task_name, priority, args, status, attempts)"
            " values ('default', 'routing.sync_agents', 0, %s::jsonb, 'failed', 8) returning id",
            [f'{{"brand_id": "{brand.id}"}}'],
        )
        return cursor.fetchone()[0]


def status_of(job_id):
    with connection.cursor() as cursor:
        cursor.execute("select status::text from procrastinate_jobs where id = %s", [job_id])
        return cursor.fetchone()[0]


def test_a_house_without_a_worker_says_so_first(signed_in, ada):
    page = signed_in(ada).get("/system").content.decode()
    assert "Non è mai partito" in page
    assert "avvia il lavoratore" in page
    assert "PostgreSQL" in page


def test_signs_of_life_and_the_last_backup_are_told_in_words(signed_in, ada):
    JobRun.objects.create(name="worker a:1", started_at=now(), finished_at=now(), status="alive")
    JobRun.objects.create(
        name="backup", started_at=now(), finished_at=now(), status="done", detail={"bytes": 12_400_000}
    )
    page = signed_in(ada).get("/system").content.decode()
    assert "Al lavoro" in page
    assert "12,4 MB, cifrata" in page


def test_an_event_without_its_step_is_listed_and_tried_again(signed_in, ada, waiting):
    client = signed_in(ada)
    page = client.get("/system").content.decode()
    assert "call.failed" in page
    assert "KeyError: attempt_id" in page
    client.post(reverse("system-steps"))
    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from procrastinate_jobs where args->'event_ids' ? %s", [str(waiting.id)]
        )
        assert cursor.fetchone()[0] == 1


def test_a_job_that_gave_up_runs_again_on_request(signed_in, ada, vegliasi):
    job = failed_job(vegliasi)
    client = signed_in(ada)
    assert "routing.sync_agents" in client.get("/system").content.decode()
    client.post(reverse("system-job", args=[job]))
    assert status_of(job) == "todo"


def test_faults_of_the_log_are_shown_with_the_id_support_searches_for(signed_in, ada, vegliasi):
    SystemLog.objects.create(
        level="error",
        module="filiera.worker",
        message="Errore worker consumer",
        context={"brand_id": str(vegliasi.id), "request_id": "req-42"},
        created_at=now(),
    )
    page = signed_in(ada).get("/system").content.decode()
    assert "Errore worker consumer" in page
    assert "req-42" in page


def test_carl_of_another_brand_sees_and_retries_none_of_it(signed_in, carl, vegliasi, waiting):
    job = failed_job(vegliasi)
    SystemLog.objects.create(
        level="error",
        module="filiera.worker",
        message="Solo di Vegliasì",
        context={"brand_id": str(vegliasi.id)},
        created_at=now(),
    )
    client = signed_in(carl)
    page = client.get("/system").content.decode()
    assert "KeyError: attempt_id" not in page
    assert "routing.sync_agents" not in page
    assert "Solo di Vegliasì" not in page
    assert client.post(reverse("system-job", args=[job])).status_code == 404
    assert client.post(reverse("system-job", args=[uuid4().int % 10**9])).status_code == 404
    assert status_of(job) == "failed"


def test_bea_who_sells_does_not_look_after_the_house(signed_in, bea):
    assert signed_in(bea).get("/system").status_code == 404


def test_the_board_says_what_rings_for_whom_and_who_waits(signed_in, bea, morning):
    page = signed_in(bea).get("/board").content.decode()
    assert "Squilla ora a te" in page
    assert "Squilla a Fiamma Corradi" in page
    assert "Aspetta un agente" in page


def test_a_request_leads_to_the_people_that_came_of_it(signed_in, ada, morning):
    client = signed_in(ada)
    rows = client.get("/inbound").content.decode()
    newest = rows.split('<tr id="request-')[1:]
    pages = [client.get(f"/inbound?id={row[:36]}").content.decode() for row in newest[:3]]
    assert any("Adele Brunetti" in page for page in pages)


def test_a_lead_written_on_the_board_lands_in_its_column(signed_in, bea, morning):
    from filiera.pipeline.models import Deal, Stage

    with brand_scope.use(morning.id):
        stage = Stage.objects.get(name="Caldo")
    form = {"stage": str(stage.pk), "name": "Gilda Trevisan", "phone": "351 000 7788", "provenance": "Sito"}
    answer = signed_in(bea).post(reverse("board-add"), form)
    assert answer.json()["text"] == "Gilda Trevisan è in bacheca."
    with brand_scope.use(morning.id):
        assert Deal.objects.get(contact__last_name="Trevisan").current_stage_id == stage.pk


def test_what_is_missing_on_the_board_is_told_by_field_and_nothing_is_written(signed_in, bea, morning):
    from filiera.contacts.models import Contact
    from filiera.pipeline.models import Stage

    with brand_scope.use(morning.id):
        stage, before = Stage.objects.get(name="Nuovo"), Contact.objects.count()
    answer = signed_in(bea).post(reverse("board-add"), {"stage": str(stage.pk), "name": "", "phone": "12"})
    assert answer.status_code == 400
    assert set(answer.json()["details"]) == {"name", "phone", "provenance"}
    with brand_scope.use(morning.id):
        assert Contact.objects.count() == before
