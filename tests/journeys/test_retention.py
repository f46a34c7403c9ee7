"""What is kept too long goes by itself, and a report says what went (GD-31 … GD-33)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from filiera.capture.models import Submission
from filiera.contacts import consents, merging
from filiera.contacts.models import Contact, ContactPhone, Merge, RetentionPolicy
from filiera.identity.models import OutgoingEmail
from filiera.journeys import retention, tasks
from filiera.pipeline import commands as pipeline
from filiera.pipeline.models import Activity, Deal, LeadEvent
from filiera.platform import brand_scope
from filiera.platform.models import Event, Received
from filiera.routing.models import Process
from tests.leads import NOW, incoming, source, submission, take_in

YEAR = timedelta(days=366)
BOX = {"consents": [{"question": "Acconsento alle promozioni via email", "answer": True}]}


def people(*names: str) -> list[Contact]:
    leads = [
        incoming(first_name=name, email=f"{name.lower()}@posta.example", phone=f"+39 351 000 51{place:02}")
        for place, name in enumerate(names)
    ]
    return [Contact.objects.get(id=lead.contact.id) for lead in take_in(*leads)]


def test_who_bought_nothing_is_forgotten_after_a_year_and_the_facts_stay(in_vegliasi: Any, bea: Any) -> None:
    gone, bought, active = people("Gina", "Bruna", "Anita")
    deal = Deal.objects.get(contact=bought)
    Deal.objects.filter(id=deal.id).update(status="won", closed_at=NOW)
    pipeline.record_activity(
        contact_id=active.id,
        type="chiamata",
        now=NOW + YEAR,
        user_id=bea.id,
        note="",
        status=Activity.Status.DONE,
        scheduled_at=None,
        occurred_at=NOW + YEAR,
    )
    facts = (LeadEvent.objects.count(), Deal.objects.count())
    counts = retention.run(in_vegliasi.id, now=NOW + YEAR)
    assert counts["enquiries"] == 1
    for one in (gone, bought, active):
        one.refresh_from_db()
    assert [one.first_name for one in (gone, bought, active)] == ["", "Bruna", "Anita"]
    assert not ContactPhone.objects.filter(contact=gone).exists()
    assert (LeadEvent.objects.count(), Deal.objects.count()) == facts
    assert retention.run(in_vegliasi.id, now=NOW + YEAR)["enquiries"] == 0
    assert not Process.objects.exclude(contact=gone).filter(number_e164="").exists()


def test_requests_messages_and_emails_go_after_their_terms(in_vegliasi: Any) -> None:
    of = source()
    old, young = submission(of), submission(of, at=NOW + YEAR)
    waiting = submission(of)
    Submission.objects.exclude(id=waiting.id).update(
        body=b'{"nome": "Adele"}',
        queue_state="done",
        user_agent="Firefox",
        path="/api/lead?email=a@b.example",
    )
    Received.objects.create(provider="cloudtalk", external_id="1", body=b"x", received_at=NOW, handled_at=NOW)
    Received.objects.create(provider="cloudtalk", external_id="2", body=b"x", received_at=NOW)
    mail = OutgoingEmail.objects.create(
        kind="k", subject_id=of.id, to_address="a@b.example", subject="s", body_text="t", status="sent",
        due_at=NOW, created_at=NOW,
    )  # fmt: skip
    counts = retention.run(in_vegliasi.id, now=NOW + YEAR)
    assert (counts["requests"], counts["provider_messages"], counts["emails"]) == (1, 1, 1)
    old.refresh_from_db()
    assert (bytes(old.body), old.user_agent, old.path) == (b"", "", "/api/lead")
    young.refresh_from_db()
    assert bytes(young.body) == b'{"nome": "Adele"}'
    waiting.refresh_from_db()
    assert bytes(waiting.body) == b"{}", "what waits is not lost"
    assert [one.external_id for one in Received.objects.all()] == ["2"]
    mail.refresh_from_db()
    assert mail.body_text == ""


def test_a_permission_ends_two_years_after_the_last_act(in_vegliasi: Any) -> None:
    RetentionPolicy.objects.create(data_class="enquiries", months=120, reason="Garanzia", owner="Ada")
    [lead] = take_in(incoming(custom=BOX))
    assert retention.run(in_vegliasi.id, now=NOW + YEAR)["marketing"] == 0
    assert consents.permissions_of(lead.contact).of("marketing", "email").holds
    assert retention.run(in_vegliasi.id, now=NOW + 2 * YEAR)["marketing"] == 1
    permission = consents.permissions_of(lead.contact).of("marketing", "email")
    assert not permission.holds
    assert permission.consent
    assert permission.consent.collected_by == "retention"
    assert retention.run(in_vegliasi.id, now=NOW + 2 * YEAR)["marketing"] == 0


def test_a_brand_keeps_longer_with_a_reason_and_the_report_says_so(in_vegliasi: Any) -> None:
    RetentionPolicy.objects.create(data_class="enquiries", months=36, reason="Gare", owner="Ada Rossi")
    people("Gina")
    assert retention.run(in_vegliasi.id, now=NOW + 2 * YEAR)["enquiries"] == 0
    assert retention.run(in_vegliasi.id, now=NOW + 4 * YEAR)["enquiries"] == 1
    told = retention.report()
    assert told["terms"]["enquiries"] == {"months": 36, "reason": "Gare", "owner": "Ada Rossi"}
    assert told["terms"]["marketing"] == {"months": 24, "reason": "default", "owner": ""}
    assert told["gone"][0]["enquiries"] == 1
    assert Event.objects.filter(kind=retention.DONE).exists()
    with pytest.raises(IntegrityError), transaction.atomic():
        RetentionPolicy.objects.create(data_class="emails", months=36, reason="", owner="Ada")


def test_sets_follow_each_other_until_nothing_is_left(in_vegliasi: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(retention, "SET", 2)
    people("Uno", "Due", "Tre", "Quattro", "Cinque")
    assert retention.run(in_vegliasi.id, now=NOW + YEAR)["enquiries"] == 5


def test_the_night_looks_after_every_brand(vegliasi: Any, quadranorma: Any) -> None:
    for brand in (vegliasi, quadranorma):
        with brand_scope.use(brand.id):
            take_in(
                incoming(received_at=datetime(2020, 1, 2, tzinfo=UTC)), now=datetime(2020, 1, 2, tzinfo=UTC)
            )
    tasks.let_go(0)
    for brand in (vegliasi, quadranorma):
        with brand_scope.use(brand.id):
            assert set(Contact.objects.values_list("first_name", flat=True)) == {""}


@pytest.mark.parametrize(
    ("now", "months", "before"),
    [
        (datetime(2026, 11, 22, tzinfo=UTC), 12, datetime(2025, 11, 22, tzinfo=UTC)),
        (datetime(2026, 3, 31, tzinfo=UTC), 1, datetime(2026, 2, 28, tzinfo=UTC)),
        (datetime(2026, 1, 15, tzinfo=UTC), 1, datetime(2025, 12, 15, tzinfo=UTC)),
        (datetime(2024, 2, 29, tzinfo=UTC), 24, datetime(2022, 2, 28, tzinfo=UTC)),
    ],
)
def test_months_are_counted_as_people_count_them(now: datetime, months: int, before: datetime) -> None:
    assert retention.months_before(now, months) == before


def test_who_had_their_processing_restricted_keeps_everything(in_vegliasi: Any) -> None:
    """GD-29: they may need it; it goes with the first night after the restriction is lifted."""
    [lead] = take_in(incoming(custom=BOX))
    Submission.objects.update(body=b"x", queue_state="done")
    OutgoingEmail.objects.create(
        kind="k", subject_id=lead.contact.id, to_address="Adele.Brunetti@posta.example", subject="s",
        body_text="t", status="sent", due_at=NOW, created_at=NOW,
    )  # fmt: skip
    Contact.objects.update(restricted_at=NOW)
    later = NOW + 2 * YEAR + timedelta(days=5)
    assert sum(retention.run(in_vegliasi.id, now=later).values()) == 0
    Contact.objects.update(restricted_at=None)
    gone = retention.run(in_vegliasi.id, now=later)
    assert (gone["requests"], gone["emails"], gone["enquiries"]) == (1, 1, 1)


def test_who_was_merged_is_forgotten_with_whom_they_live_on_in_and_not_before(in_vegliasi: Any) -> None:
    old, bought = people("Gina", "Bruna")
    Deal.objects.filter(contact=bought).update(status="won", closed_at=NOW)
    now = NOW + YEAR
    record = merging.merge(contact_ids=[old.id, bought.id], survivor_id=bought.id, now=now, user_id=None)
    assert retention.run(in_vegliasi.id, now=now)["enquiries"] == 0
    merging.undo(merge_id=record.id, now=now, user_id=None)
    old.refresh_from_db()
    assert (old.first_name, old.deleted_at) == ("Gina", None)
    merging.merge(contact_ids=[old.id, bought.id], survivor_id=bought.id, now=now, user_id=None)
    Deal.objects.filter(status="won").update(is_void=True)
    assert retention.run(in_vegliasi.id, now=now)["enquiries"] == 1
    for one in (old, bought):
        one.refresh_from_db()
        assert (one.first_name, one.email) == ("", None)
    assert [one.manifest for one in Merge.objects.all()] == [{}, {}]
