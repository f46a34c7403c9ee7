"""The story of a lead, from a stored request to a chosen agent."""

from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from filiera.capture.models import Submission
from filiera.contacts.commands import Recognition
from filiera.contacts.models import Contact, ContactPhone, DuplicateSuggestion
from filiera.identity.models import OutgoingEmail
from filiera.journeys import lead_in
from filiera.pipeline.models import Activity, Deal, LeadEvent, StageHistory
from filiera.platform import brand_scope
from filiera.routing.models import Agent, Decision, Process
from tests.journeys.conftest import Receive


def test_a_request_becomes_a_person_a_deal_a_decision_and_a_process(
    receive: Receive, agents: list[Agent]
) -> None:
    submission = receive(servizio="FAMILY", pacchetto="BASE")
    assert lead_in.drain(worker="test") == 1
    contact = Contact.objects.get()
    assert (contact.first_name, contact.last_name, contact.status) == ("Adele", "Brunetti", "nuovo")
    assert ContactPhone.objects.get().phone_e164 == "+393510004127"
    event = LeadEvent.objects.get()
    assert (event.contact, event.submission_id, event.source) == (contact, submission.id, "landing-vegliasi")
    deal = Deal.objects.get()
    assert event.deal_id == deal.id
    assert deal.status == "open"
    history = StageHistory.objects.get()
    assert (history.deal_id, history.change_reason, history.changed_by) == (deal.id, "created", "intake")
    assert Decision.objects.get().agent == agents[0]
    process = Process.objects.get()
    assert (process.number_e164, process.submission_id) == ("+393510004127", submission.id)
    submission.refresh_from_db()
    assert (submission.status, submission.queue_state) == ("processed", "done")


def test_the_same_message_twice_leaves_one_of_everything(receive: Receive, agents: list[Agent]) -> None:
    """CAP-93: at-least-once delivery."""
    submission = receive()
    lead_in.drain(worker="first")
    Submission.objects.update(
        queue_state="ready", status="queued", leased_by="", leased_until=None, visible_at=timezone.now()
    )
    lead_in.drain(worker="second")
    submission.refresh_from_db()
    assert submission.status == "processed"
    for model in (Contact, ContactPhone, LeadEvent, Deal, StageHistory, Decision, Process, OutgoingEmail):
        assert model.objects.count() == 1, model.__name__


def test_a_poisoned_lead_stands_alone_and_the_others_are_taken_in(
    receive: Receive, agents: list[Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CAP-49, and CAP-46: four deliveries, then among the dead with its reason."""
    for place in range(7):
        receive(email=f"persona{place}@posta.example", telefono=f"+39 351 000 10{place:02}")
    poison = receive(nome="Veleno", email="veleno@posta.example", telefono="+39 351 000 6666")
    recognise = lead_in.contacts.recognise

    def choke(incoming: list[Any], *, now: Any) -> Recognition:
        if any(lead.first_name == "Veleno" for lead in incoming):
            raise ValueError("non si lascia leggere")
        return recognise(incoming, now=now)

    monkeypatch.setattr(lead_in.contacts, "recognise", choke)
    lead_in.drain(worker="test")
    assert Contact.objects.count() == 7
    assert LeadEvent.objects.count() == 7
    poison.refresh_from_db()
    assert (poison.status, poison.queue_state, poison.attempts) == ("queued", "ready", 1)
    for _delivery in range(3):
        Submission.objects.filter(id=poison.id).update(visible_at=timezone.now())
        lead_in.drain(worker="test")
    poison.refresh_from_db()
    assert (poison.status, poison.queue_state) == ("dead", "dead")
    assert "non si lascia leggere" in poison.last_error


def test_the_statements_do_not_grow_with_the_batch(receive: Receive, agents: list[Agent]) -> None:
    def statements_for(leads: int, first: int) -> int:
        for place in range(first, first + leads):
            receive(email=f"p{place}@posta.example", telefono=f"+39 351 000 {place:04}")
        counted = 0

        def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            nonlocal counted
            counted += 1
            return execute(sql, params, many, context)

        with connection.execute_wrapper(count):
            lead_in.drain(worker="test")
        return counted

    statements_for(1, 0)
    assert statements_for(40, 100) <= statements_for(2, 50) + 2


def test_a_returning_person_joins_the_open_deal(receive: Receive, agents: list[Agent]) -> None:
    """PIP-13, CON-35."""
    receive()
    lead_in.drain(worker="test")
    receive(telefono="351 000 4127", email="", nome="A.", servizio="PRO")
    lead_in.drain(worker="test")
    assert Contact.objects.count() == 1
    assert Deal.objects.count() == 1
    assert LeadEvent.objects.count() == 2


def test_the_confirmation_is_queued_and_the_contract_becomes_a_task(
    receive: Receive, agents: list[Agent]
) -> None:
    """CAP-89."""
    receive(vuoleContratto=True, vuoleBrochure=True)
    lead_in.drain(worker="test")
    letter = OutgoingEmail.objects.get()
    assert (letter.to_address, letter.status) == ("adele@posta.example", "queued")
    assert "Vegliasì: richiesta ricevuta" in letter.subject
    assert "brochure" in letter.body_text
    task = Activity.objects.get(status="planned")
    assert "contratto" in task.title
    assert task.contact == Contact.objects.get()


def test_leads_of_two_brands_are_taken_in_apart(
    receive: Receive, agents: list[Agent], quadranorma: Any, vegliasi: Any
) -> None:
    receive()
    with brand_scope.use(quadranorma.id):
        from filiera.capture.models import Source

        other = Source.objects.create(name="landing-quadranorma", kind="landing", auth_mode="public")
        now = timezone.now()
        Submission.objects.create(
            source=other,
            request_id="altro",
            lead_id="LEAD_altro",
            method="POST",
            path="/api/lead",
            content_type="application/json",
            body=b'{"nome": "Corrado", "email": "corrado@posta.example", "telefono": "+39 351 000 4127"}',
            body_hash="1" * 64,
            received_at=now,
            visible_at=now,
        )
    lead_in.drain(worker="test")
    assert Contact.objects.get().first_name == "Adele"
    with brand_scope.use(quadranorma.id):
        assert Contact.objects.get().first_name == "Corrado"


def test_statistics_are_refreshed_each_time_the_leads_have_doubled(
    receive: Receive, agents: list[Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lead_in, "growth", lead_in.Growth())
    lead_in.growth.next_look = 2
    for place in range(5):
        receive(email=f"p{place}@posta.example", telefono=f"+39 351 000 {place:04}")
    lead_in.drain(worker="test")
    assert (lead_in.growth.taken, lead_in.growth.next_look) == (5, 8)


def test_nothing_happens_by_itself_for_a_restricted_person_but_a_colleague_is_told(
    receive: Receive, agents: list[Agent]
) -> None:
    """GD-29: no agent, no call, no message; the lead is kept and stands among what is to be done."""
    from filiera.contacts import restriction

    receive(request_id="first")
    lead_in.drain(worker="test")
    adele = Contact.objects.get()
    restriction.restrict(contact_id=adele.id, reason="Lo ha chiesto", user_id=None, now=timezone.now())
    before = (Decision.objects.count(), Process.objects.count(), OutgoingEmail.objects.count())
    receive(request_id="second", vuoleContratto=True)
    receive(request_id="third", nome="Ugo", email="ugo@posta.example", telefono="+39 351 000 4128")
    lead_in.drain(worker="test")
    assert LeadEvent.objects.filter(contact=adele).count() == 2
    assert Decision.objects.filter(contact=adele).count() == before[0]
    assert Process.objects.filter(contact=adele).count() == before[1]
    assert OutgoingEmail.objects.filter(to_address="adele@posta.example").count() == before[2]
    assert OutgoingEmail.objects.filter(to_address="ugo@posta.example").count() == 1, "the others go on"
    assert Decision.objects.exclude(contact=adele).count() == 1
    assert [one.title for one in Activity.objects.filter(contact=adele)] == ["Guardare la richiesta"]


def test_who_is_new_is_compared_with_who_is_here_after_the_commit(
    receive: Receive, agents: list[Agent], run_jobs: Any
) -> None:
    """Two forms, two numbers, two addresses: nobody is recognised, and a pair is suggested (CON-21)."""
    receive(telefono="351 000 7788", email="altra@posta.example", cap="30033")
    receive(cap="30033")
    lead_in.drain(worker="test")
    assert not DuplicateSuggestion.objects.exists()
    run_jobs()
    pair = DuplicateSuggestion.objects.get()
    assert {pair.contact_id, pair.other_id} == set(Contact.objects.values_list("id", flat=True))
    assert (pair.reason, pair.band) == ("new_lead", "review")
