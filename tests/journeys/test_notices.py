"""Who is told of what happens: from the lead to the activity whose hour has come (IDN-31)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from filiera.contacts import erasure
from filiera.contacts.models import Contact
from filiera.identity.models import Notification, User, UserRole
from filiera.journeys import lead_in, notices, tasks
from filiera.pipeline import commands as pipeline
from filiera.pipeline.models import Activity
from filiera.platform import brand_scope, events
from filiera.routing import alerts
from filiera.routing.models import Agent, Process
from tests.journeys.conftest import Receive
from tests.routing.conftest import Calling, calling, pbx

__all__ = ["calling", "pbx"]

RunJobs = Callable[[], int]


def told(user: Any) -> list[Notification]:
    return list(Notification.objects.filter(user=user).order_by("created_at", "id"))


def statements_of_a_batch(receive: Receive, leads: int, first: int) -> list[str]:
    for place in range(first, first + leads):
        receive(email=f"p{place}@posta.example", telefono=f"+39 351 000 {place:04}")
    asked: list[str] = []

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        lead_in.drain(worker="test")
    return asked


def test_an_agent_is_told_of_a_lead_by_name_and_of_a_batch_by_number(
    receive: Receive, agents: list[Agent], bea: Any
) -> None:
    Agent.objects.update(user=bea)
    receive()
    lead_in.drain(worker="test")
    [one] = told(bea)
    person = Contact.objects.get()
    assert (one.type, one.title) == ("lead_assigned", f"Un lead nuovo per te: {person.full_name}")
    assert (one.subject_id, one.action_url) == (person.id, f"/leads/{person.id}")
    for place in range(5):
        receive(email=f"persona{place}@posta.example", telefono=f"+39 351 000 10{place:02}")
    lead_in.drain(worker="test")
    [_first, batch] = told(bea)
    assert (batch.title, batch.subject_id) == ("5 lead nuovi per te", None)
    assert batch.action_url == "/leads?titolare=io"


def test_telling_costs_a_batch_one_statement_whatever_its_size(
    receive: Receive, agents: list[Agent], bea: Any
) -> None:
    statements_of_a_batch(receive, 1, 0)
    Agent.objects.update(user=None)
    statements_of_a_batch(receive, 1, 0)
    before = statements_of_a_batch(receive, 30, 100)
    Agent.objects.update(user=bea)
    with_people = statements_of_a_batch(receive, 30, 200)
    assert sum("identity_notification" in one for one in before) == 0
    assert sum("identity_notification" in one for one in with_people) == 1
    assert len(with_people) == len(before) + 1


def test_an_activity_is_told_when_its_hour_comes_and_again_when_it_is_put_off(
    receive: Receive, agents: list[Agent], bea: Any
) -> None:
    Agent.objects.update(user=None)
    receive()
    lead_in.drain(worker="test")
    now, person = timezone.now(), Contact.objects.get()
    planned = pipeline.record_activity(
        contact_id=person.id,
        type="email",
        title="Mandare il preventivo",
        status=Activity.Status.PLANNED,
        scheduled_at=now + timedelta(hours=2),
        user_id=bea.id,
        now=now,
    )
    for hours in (1, 2, 2.1, 2.5):
        notices.of_due(now=now + timedelta(hours=hours))
    [one] = told(bea)
    assert one.title == f"È ora: Mandare il preventivo, {person.full_name}"
    pipeline.edit_activity(
        activity_id=planned.id, changes={"scheduled_at": now + timedelta(hours=5)}, now=now
    )
    notices.of_due(now=now + timedelta(hours=5))
    assert len(told(bea)) == 2
    pipeline.edit_activity(
        activity_id=planned.id, changes={"scheduled_at": now + timedelta(hours=6), "status": "done"}, now=now
    )
    notices.of_due(now=now + timedelta(hours=6))
    assert len(told(bea)) == 2


def test_what_names_a_person_goes_when_they_are_erased(
    receive: Receive, agents: list[Agent], bea: Any, ada: Any
) -> None:
    Agent.objects.update(user=bea)
    receive()
    lead_in.drain(worker="test")
    person = Contact.objects.get()
    assert len(told(bea)) == 1
    erasure.erase(contact_id=person.id, now=timezone.now(), user_id=ada.id)
    assert told(bea) == []


def test_the_minute_job_looks_into_each_brand(
    receive: Receive, agents: list[Agent], bea: Any, carl: Any, quadranorma: Any
) -> None:
    with brand_scope.use(quadranorma.id):
        now = timezone.now()
        person = Contact.objects.create(first_name="Zoe", last_lead_at=now, created_at=now, updated_at=now)
        pipeline.plan_tasks(
            [
                pipeline.PlannedTask(
                    contact_id=person.id,
                    deal_id=None,
                    type="nota",
                    title="Richiamare",
                    cause="prova",
                    user_id=carl.id,
                    scheduled_at=timezone.now(),
                )
            ],
            now=timezone.now(),
        )
    tasks.remind(timestamp=0)
    with brand_scope.use(quadranorma.id):
        assert [one.title for one in told(carl)] == ["È ora: Richiamare, Zoe"]
    assert Notification.objects.count() == 0


def test_who_was_given_a_lead_is_told_and_who_took_it_is_not(
    receive: Receive, agents: list[Agent], run_jobs: RunJobs, ada: Any, bea: Any
) -> None:
    Agent.objects.update(user=None)
    receive()
    lead_in.drain(worker="test")
    person = Contact.objects.get()

    def give(to: Any, by: Any) -> None:
        pipeline.edit_lead(
            contact_id=person.id, changes={"assigned_user_id": to.id}, now=timezone.now(), user_id=by.id
        )
        run_jobs()

    give(bea, ada)
    give(bea, ada)
    [one] = told(bea)
    assert one.title == f"{person.full_name} adesso è un tuo lead"
    assert (one.message, one.action_url) == ("Te l’ha affidato un collega.", f"/leads/{person.id}")
    give(ada, ada)
    assert told(ada) == []


def test_a_lead_that_nobody_could_be_rung_for_waits_for_the_agent_or_the_desk(
    calling: Calling, run_jobs: RunJobs
) -> None:
    calling.lead()
    process = calling.process()
    with calling.scope():
        desk = User.objects.create_user("dora@posta.example", "una-parola-lunga", name="Dora Viola")
        UserRole.objects.create(user=desk, role="admin")
        agent = process.agent
        assert agent
        agent.user = User.objects.create_user("elio@posta.example", "una-parola-lunga", name="Elio Verdi")
        agent.save()
        UserRole.objects.create(user=agent.user, role="sales")
        events.record(kind="calls.exhausted", subject_id=process.id, at=timezone.now())
    run_jobs()
    with calling.scope():
        [one] = told(agent.user)
        assert (one.type, one.subject_id) == ("lead_waiting", process.contact_id)
        assert told(desk) == []
        Notification.objects.all().delete()
        Process.objects.update(agent=None)
        events.record(kind="calls.exhausted", subject_id=process.id, at=timezone.now())
    run_jobs()
    with calling.scope():
        assert [one.type for one in told(desk)] == ["lead_waiting"]


def test_an_alert_is_told_once_to_those_who_look_after_calls(
    in_vegliasi: Any, run_jobs: RunJobs, ada: Any, bea: Any
) -> None:
    for _minute in range(2):
        alerts.open_alert(alerts.NO_AGENT, {}, now=timezone.now())
    run_jobs()
    assert [one.title for one in told(ada)] == ["Da più di 5 minuti nessun agente è disponibile."]
    assert told(bea) == []
