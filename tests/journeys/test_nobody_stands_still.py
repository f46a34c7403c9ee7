"""Whatever goes wrong with a lead, it ends where a person sees it, with the reason in Italian."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.test import Client
from django.utils import timezone

from filiera.capture import commands, queue
from filiera.capture.models import Submission
from filiera.contacts.commands import Recognition
from filiera.contacts.models import Contact
from filiera.journeys import lead_in
from filiera.pipeline.models import Activity, Deal
from filiera.platform.models import EndpointHealth
from tests import leads
from tests.routing.conftest import Calling, calling, pbx

__all__ = ["calling", "pbx"]

Page = Callable[[str], str]


@pytest.fixture
def page(people: Any, signed_in: Callable[[Any], Client]) -> Page:
    """Read a page as Ada sees it, its white space folded."""
    client = signed_in(people.ada)

    def read(path: str) -> str:
        answer = client.get(path, follow=True)
        assert answer.status_code == 200
        return " ".join(answer.content.decode().split())

    return read


def arrive(calling: Calling, **fields: str) -> Submission:
    """Store a request of the form as the accept path does."""
    given = {
        "nome": "Adele",
        "cognome": "Brunetti",
        "email": "adele@posta.example",
        "telefono": "351 000 4127",
    }
    with calling.scope():
        submission = leads.submission(leads.source(), at=timezone.now())
        submission.body = orjson.dumps(given | fields)
        submission.content_type = "application/json"
        submission.save()
    return submission


def panel(page: str, heading: str) -> str:
    """Return the panel of Oggi under a heading, "" when there is none."""
    _before, found, after = page.partition(f">{heading}</h2>")
    return after.partition("</section>")[0] if found else ""


# A poisoned lead


def test_a_lead_that_chokes_us_every_time_lies_among_the_dead_and_the_others_are_taken_in(
    calling: Calling, page: Page, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CAP-46, CAP-49, CAP-50. A fault of our own can only be staged."""
    recognise = lead_in.contacts.recognise

    def choke(incoming: list[Any], *, now: Any) -> Recognition:
        if any(lead.first_name == "Veleno" for lead in incoming):
            raise ValueError("non si lascia leggere")
        return recognise(incoming, now=now)

    monkeypatch.setattr(lead_in.contacts, "recognise", choke)
    for place in range(5):
        arrive(calling, email=f"persona{place}@posta.example", telefono=f"351 000 10{place:02}")
    poison = arrive(calling, nome="Veleno", email="veleno@posta.example", telefono="351 000 6666")
    for _delivery in range(4):
        lead_in.drain(worker="test")
        with calling.scope():
            Submission.objects.filter(queue_state="ready").update(visible_at=timezone.now())
    with calling.scope():
        assert Contact.objects.count() == 5
        poison.refresh_from_db()
        assert poison.status == "dead"
    assert "Si è inceppata" in page("/inbound/dead")
    letter = page(f"/inbound?view=dead&id={poison.id}")
    assert "Si è inceppata mentre la prendevamo in carico." in letter
    assert "4 prove, stesso motivo: si è inceppata" in letter
    assert "landing-vegliasi" in panel(page("/oggi"), "Da sistemare")

    monkeypatch.undo()
    with calling.scope():
        commands.requeue(submission_id=poison.id, actor=people.ada, now=timezone.now())
    lead_in.drain(worker="test")
    with calling.scope():
        assert Contact.objects.filter(first_name="Veleno").exists()


def test_a_lead_that_kills_its_worker_every_time_lies_among_the_dead(calling: Calling, page: Page) -> None:
    """CAP-48: nobody is left to say why, so the lapsed lease is the reason."""
    poison = arrive(calling)
    now = timezone.now()
    for delivery in range(queue.MOST_LAPSES + 1):
        queue.claim(10, now=now + timedelta(minutes=2 * delivery), worker=f"dies-{delivery}")
    with calling.scope():
        poison.refresh_from_db()
        assert (poison.status, poison.dead_reason) == ("dead", "LEASE_LAPSED")
    assert "Lavorazione interrotta" in page("/inbound/dead")
    letter = page(f"/inbound?view=dead&id={poison.id}")
    assert "La lavorazione si è interrotta ogni volta." in letter
    assert "10 prove, stesso motivo: lavorazione interrotta" in letter


# Agents who vanish


def test_a_lead_whose_agent_is_gone_goes_to_the_next_one(calling: Calling, page: Page, settings: Any) -> None:
    """ROU-67: 404, the provider does not know the agent any more."""
    settings.ROUTING_RING_S = 300.0
    calling.pbx.set_knobs(time_scale=1.0)
    calling.pbx.set_knobs(next_responses=[{"endpoint": "calls/create", "status": 404}])
    arrive(calling)
    lead_in.drain(worker="test")
    calling.place()
    assert [agent for agent, _number in calling.rung()] == ["101", "102"]
    assert "Squilla a Bruno Bassi" in page("/oggi")


def test_a_lead_for_whom_nobody_is_left_becomes_a_call_to_make_by_hand(
    calling: Calling, page: Page, run_jobs: Callable[[], int]
) -> None:
    calling.all_offline()
    arrive(calling)
    lead_in.drain(worker="test")
    calling.place()
    waiting = panel(page("/oggi"), "In attesa")
    assert "Adele Brunetti" in waiting
    assert "Nessun agente era disponibile" in waiting
    for _retry in range(3):
        calling.make_due()
        calling.place()
    run_jobs()
    today = page("/oggi")
    assert "Nessuno aspetta una chiamata." in today
    assert "Adele Brunetti" in panel(today, "Da richiamare")
    assert "Nessun agente era disponibile" in panel(today, "Da richiamare")
    with calling.scope():
        task = Activity.objects.get(status="planned")
        assert (task.title, task.type) == ("Chiamare", "chiamata")


def test_a_lead_that_waited_belongs_to_who_picked_up(
    calling: Calling, people: Any, run_jobs: Callable[[], int]
) -> None:
    calling.set_agent("102", user=people.bea)
    calling.all_offline()
    arrive(calling)
    lead_in.drain(worker="test")
    calling.place()
    with calling.scope():
        assert Deal.objects.get().owner_user is None
    calling.move("102", to="online")
    calling.make_due()
    calling.place()
    calling.wait_for_events("call.ended")
    calling.deliver(*calling.posted)
    run_jobs()
    with calling.scope():
        deal = Deal.objects.get()
        assert (deal.owner_user, deal.contact.assigned_user) == (people.bea, people.bea)


# A wrong number


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("12", "Il numero 12 non si può chiamare. Correggilo e la chiamata parte."),
        ("", "Manca il numero. Aggiungilo e la chiamata parte."),
    ],
)
def test_a_number_that_nobody_can_call_waits_for_its_correction(
    calling: Calling, page: Page, people: Any, signed_in: Callable[[Any], Client], typed: str, why: str
) -> None:
    arrive(calling, telefono=typed)
    lead_in.drain(worker="test")
    calling.place()
    assert calling.rung() == []
    fixing = panel(page("/oggi"), "Da sistemare")
    assert "Adele Brunetti" in fixing
    assert why in fixing
    with calling.scope():
        lead = Contact.objects.get().id
    signed_in(people.ada).post(f"/leads/{lead}/fields/phone", {"value": "351 000 4127"})
    calling.place()
    assert [number for _agent, number in calling.rung()] == ["+393510004127"]
    assert "Adele Brunetti" not in panel(page("/oggi"), "Da sistemare")


# The provider is down


def test_while_the_exchange_is_away_its_leads_wait_in_sight_and_then_ring_by_themselves(
    calling: Calling, page: Page
) -> None:
    """Q-22: ten minutes of it, told by moving what waits for a moment."""
    calling.pbx.set_knobs(down=True)
    arrive(calling)
    lead_in.drain(worker="test")
    calling.place_until(lambda: calling.make_due() or EndpointHealth.objects.get().state == "open")
    calling.place()
    waiting = panel(page("/oggi"), "In attesa")
    assert "Adele Brunetti" in waiting
    assert "Il centralino non risponde: riproviamo da soli." in waiting

    calling.pbx.set_knobs(down=False)
    EndpointHealth.objects.update(open_until=timezone.now())
    calling.place_until(lambda: calling.make_due() or calling.rung())
    assert [number for _agent, number in calling.rung()] == ["+393510004127"]
    assert "Nessuno aspetta una chiamata." in page("/oggi")


def test_a_brand_without_an_exchange_is_told_that_a_person_has_to_call(
    calling: Calling, page: Page, run_jobs: Callable[[], int]
) -> None:
    with calling.scope():
        calling.connection.is_enabled = False
        calling.connection.save()
    arrive(calling)
    lead_in.drain(worker="test")
    calling.place()
    run_jobs()
    assert "Adele Brunetti" in panel(page("/oggi"), "Da richiamare")


# Nobody picks up


def test_three_agents_who_let_it_ring_leave_a_call_to_make_by_hand(
    calling: Calling, page: Page, run_jobs: Callable[[], int]
) -> None:
    calling.pbx.set_knobs(next_calls=[{"agent_picks_up": False}] * 3)
    arrive(calling)
    lead_in.drain(worker="test")
    calling.place_until(lambda: calling.make_due() or calling.process().state == "done")
    run_jobs()
    assert [agent for agent, _number in calling.rung()] == ["101", "102", "103"]
    assert "Nessun agente ha risposto allo squillo" in panel(page("/oggi"), "Da richiamare")
    assert calling.pbx.violations == []


def test_a_customer_who_does_not_answer_stands_among_the_calls_to_make(
    calling: Calling, page: Page, run_jobs: Callable[[], int]
) -> None:
    calling.pbx.set_knobs(next_calls=[{"agent_picks_up": True, "customer_picks_up": False}])
    arrive(calling)
    lead_in.drain(worker="test")
    calling.place()
    calling.wait_for_events("call.ended")
    calling.deliver(*calling.posted)
    run_jobs()
    today = page("/oggi")
    assert "Il cliente non ha risposto." in panel(today, "Da richiamare")
    assert "Non ha risposto" in panel(today, "Appena arrivati")
    assert "<dt>Hanno risposto</dt><dd>0 <small>su 1</small></dd>" in today
    assert len(calling.rung()) == 1
