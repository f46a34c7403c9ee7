"""Leads as they come in: CON-03, PIP-12, PIP-13, PIP-15, PIP-19, CAP-93, CAP-97."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from filiera.contacts.models import Contact
from filiera.pipeline import commands
from filiera.pipeline.models import Deal, LeadEvent, Stage, StageHistory
from filiera.platform import brand_scope
from filiera.platform.models import Event
from tests.leads import NOW, incoming, source, submission, take_in


def test_a_new_lead_opens_a_deal_in_the_first_stage(in_vegliasi):
    (lead,) = take_in(
        incoming(notes="Vive sola", wants_brochure=True, external_id="l:1", custom={"utm_source": "google"})
    )
    deal = Deal.objects.select_related("current_stage").get()
    assert (deal.contact_id, deal.status, deal.title) == (lead.contact.id, "open", "FAMILY · BASE")
    assert (deal.current_stage.name, deal.opened_at, deal.stage_entered_at) == ("Nuovo", NOW, NOW)
    stay = StageHistory.objects.get()
    assert (stay.deal_id, stay.stage_id, stay.entered_at, stay.exited_at) == (
        *(deal.id, deal.current_stage_id),
        *(NOW, None),
    )
    assert (stay.change_reason, stay.changed_by, stay.changed_by_user_id) == ("created", "intake", None)
    event = LeadEvent.objects.get()
    assert (event.contact_id, event.deal_id, event.submission_id) == (
        *(lead.contact.id, deal.id),
        lead.incoming.submission_id,
    )
    assert (event.source, event.external_id, event.received_at) == ("landing-vegliasi", "l:1", NOW)
    assert (event.requested_service, event.requested_package, event.message) == (
        "FAMILY",
        "BASE",
        "Vive sola",
    )
    assert (event.wants_brochure, event.wants_contract) == (True, False)
    assert event.payload["phone"] == "+39 351 000 4127"
    assert event.payload["custom"] == {"utm_source": "google"}
    assert (lead.is_new_event, lead.is_returning, lead.is_new_deal) == (True, False, True)
    assert lead.dial_e164 == "+393510004127"
    assert lead.contact.status == "nuovo"
    kinds = Event.objects.order_by("kind").values_list("kind", flat=True)
    assert list(kinds) == ["deal.created", "lead_event.created"]


def test_a_returning_person_joins_their_open_deal(in_vegliasi):
    (first,) = take_in(incoming())
    (again,) = take_in(incoming(received_at=NOW + timedelta(days=10)), now=NOW + timedelta(days=10))
    assert again.deal.id == first.deal.id
    assert (again.is_returning, again.is_new_deal, again.is_new_event) == (True, False, True)
    assert LeadEvent.objects.filter(deal=first.deal).count() == 2
    person = Contact.objects.get()
    assert (person.lead_count, person.last_lead_at) == (2, NOW + timedelta(days=10))


def test_joining_a_deal_leaves_the_state_where_it_is(in_vegliasi, bea):
    (lead,) = take_in(incoming())
    commands.record_activity(contact_id=lead.contact.id, type="visita", now=NOW, user_id=bea.id)
    take_in(incoming())
    assert Contact.objects.get().status == "caldo"


def test_after_a_closed_deal_a_lead_opens_a_new_one_and_starts_in_nuovo(in_vegliasi, bea):
    """PIP-19."""
    (lead,) = take_in(incoming())
    commands.close_deal(deal_id=lead.deal.id, status="lost", lost_reason="ci pensa", user_id=bea.id, now=NOW)
    assert Contact.objects.get().status == "perso"
    (again,) = take_in(incoming(service_code="PRO"), now=NOW + timedelta(days=1))
    assert again.deal.id != lead.deal.id
    assert (again.is_returning, again.is_new_deal, again.deal.title) == (True, True, "PRO · BASE")
    assert Contact.objects.get().status == "nuovo"
    assert Deal.objects.get(id=lead.deal.id).status == "lost"


def test_several_leads_of_one_delivery_are_several_events_in_one_deal(in_vegliasi):
    """CAP-97: a delivery of three leads, two of the same person."""
    sent = submission(source()).id
    leads = take_in(
        incoming(submission_id=sent),
        incoming(submission_id=sent, service_code="PRO"),
        incoming(submission_id=sent, phone="347 000 1186", email="nives@posta.example"),
    )
    assert [lead.is_returning for lead in leads] == [False, True, False]
    assert leads[0].deal.id == leads[1].deal.id != leads[2].deal.id
    assert LeadEvent.objects.filter(submission_id=sent).count() == 3
    assert set(LeadEvent.objects.values_list("external_id", flat=True)) == {
        f"{sent}:{place}" for place in range(3)
    }
    assert sorted(Contact.objects.values_list("lead_count", flat=True)) == [1, 2]


def test_the_same_message_twice_leaves_one_event_and_one_deal(in_vegliasi):
    """CAP-93: also for a lead by which nobody can be recognised, and inside one batch."""
    batch = [
        incoming(),
        incoming(phone="abc", email=""),
        incoming(external_id="x"),
        incoming(external_id="x"),
    ]
    first = take_in(*batch)
    assert [lead.is_new_event for lead in first] == [True, True, True, False]
    again = take_in(*batch, now=NOW + timedelta(minutes=5))
    assert [lead.is_new_event for lead in again] == [False] * 4
    assert [lead.event.id for lead in again] == [lead.event.id for lead in first]
    assert [lead.contact.id for lead in again] == [lead.contact.id for lead in first]
    assert (LeadEvent.objects.count(), Deal.objects.count(), Contact.objects.count()) == (3, 2, 2)
    assert StageHistory.objects.count() == 2


def test_two_brands_may_receive_the_same_id(in_vegliasi, quadranorma):
    take_in(incoming(external_id="x"))
    with brand_scope.use(quadranorma.id):
        (lead,) = take_in(incoming(external_id="x"))
        assert lead.is_new_event
        assert LeadEvent.objects.count() == 1


def test_without_a_stage_in_use_the_deal_opens_off_the_board(in_vegliasi):
    Stage.objects.update(is_active=False)
    (lead,) = take_in(incoming())
    assert Deal.objects.get(id=lead.deal.id).current_stage_id is None
    assert StageHistory.objects.count() == 0


def test_a_lead_without_a_number_rings_the_one_its_person_has(in_vegliasi):
    take_in(incoming())
    (by_mail, mistyped, other) = take_in(
        incoming(phone=""), incoming(phone="351 000"), incoming(phone="041 000 2290")
    )
    assert (by_mail.dial_e164, mistyped.dial_e164) == ("+393510004127", "+393510004127")
    assert other.dial_e164 == "+390410002290"


def test_the_number_of_statements_does_not_grow_with_the_batch(in_vegliasi):
    def statements(count, start):
        known = [
            incoming(phone=f"351 {start + n:07d}", email=f"k{start + n}@posta.example") for n in range(count)
        ]
        take_in(*known)
        batch = [incoming(phone=lead.phone, email=lead.email) for lead in known]
        batch += [
            incoming(phone=f"352 {start + n:07d}", email=f"n{start + n}@posta.example") for n in range(count)
        ]
        with CaptureQueriesContext(connection) as queries:
            take_in(*batch, *known)
        return len(queries)

    few, many = statements(2, 0), statements(60, 1000)
    assert few == many <= 19


@pytest.mark.django_db(transaction=True)
def test_parallel_leads_of_one_person_open_one_deal(vegliasi):
    """PIP-03: also when a click opens one at the same time."""
    with brand_scope.use(vegliasi.id):
        (lead,) = take_in(incoming())
        commands.void_deal(deal_id=lead.deal.id, now=NOW)
        batches = [[incoming(email="") for _ in range(3)] for _ in range(12)]

    def work(batch):
        try:
            with brand_scope.use(vegliasi.id):
                if batch is None:
                    try:
                        return commands.open_deal(contact_id=lead.contact.id, now=NOW).id
                    except commands.OpenDealExists:
                        return None
                return take_in(*batch)[0].deal.id
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        opened = {deal_id for deal_id in pool.map(work, [*batches[:6], None, *batches[6:], None]) if deal_id}
    assert len(opened) == 1
    with brand_scope.use(vegliasi.id):
        assert Deal.objects.filter(status="open").count() == 1
        assert StageHistory.objects.filter(exited_at=None).count() == 1
        assert LeadEvent.objects.count() == 37
