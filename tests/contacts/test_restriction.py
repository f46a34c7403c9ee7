"""Restriction of processing: it is put, shown, lifted, and nothing happens by itself meanwhile (GD-29)."""

from datetime import timedelta
from typing import Any

import pytest

from filiera.contacts import restriction
from filiera.contacts.models import Contact
from filiera.contacts.restriction import HELD, NotSo
from filiera.identity.models import AuditEntry, OutgoingEmail
from filiera.platform.models import Event
from filiera.platform.refusals import Invalid
from tests.leads import NOW, incoming, take_in

WHY = "Contesta i dati: lo ha scritto il 12 ottobre."


@pytest.fixture
def adele(in_vegliasi: Any) -> Contact:
    [lead] = take_in(incoming())
    return Contact.objects.get(id=lead.contact.id)


def letter(kind: str, to: str = "Adele.Brunetti@posta.example", **fields: Any) -> OutgoingEmail:
    return OutgoingEmail.objects.create(
        kind=kind, subject_id=Contact.objects.get().id, to_address=to, subject="s", body_text="t", due_at=NOW,
        created_at=NOW, **fields,
    )  # fmt: skip


def test_it_is_put_with_its_reason_and_lifted_and_both_are_on_record(adele: Contact, bea: Any) -> None:
    restriction.restrict(contact_id=adele.id, reason=f" {WHY}\x00 ", user_id=bea.id, now=NOW)
    adele.refresh_from_db()
    assert (adele.restricted_at, adele.restricted_reason, adele.restricted_by_id) == (NOW, WHY, bea.id)
    with pytest.raises(NotSo):
        restriction.restrict(contact_id=adele.id, reason=WHY, user_id=bea.id, now=NOW)
    restriction.lift(contact_id=adele.id, user_id=bea.id, now=NOW + timedelta(days=1))
    adele.refresh_from_db()
    assert (adele.restricted_at, adele.restricted_reason, adele.restricted_by_id) == (None, "", None)
    with pytest.raises(NotSo):
        restriction.lift(contact_id=adele.id, user_id=bea.id, now=NOW)
    kinds = Event.objects.filter(subject_id=adele.id, kind__startswith="contact.restrict").order_by("id")
    assert [one.kind for one in kinds] == ["contact.restricted", "contact.restriction_lifted"]
    changes = AuditEntry.objects.filter(entity_id=adele.id, action="UPDATE").order_by("id")
    assert [
        one.after["restricted_reason"] for one in changes if "restricted_reason" in (one.after or {})
    ] == [
        WHY,
        "",
    ]


def test_without_a_reason_it_is_not_put(adele: Contact) -> None:
    with pytest.raises(Invalid):
        restriction.restrict(contact_id=adele.id, reason=" ", user_id=None, now=NOW)
    adele.refresh_from_db()
    assert adele.restricted_at is None


def test_letters_that_wait_are_held_back_until_it_is_lifted(adele: Contact) -> None:
    waiting, gone = letter("lead_confirmation"), letter("newsletter", status="sent")
    other = letter("third", to="altro@posta.example")
    account = letter("account.reset")
    restriction.restrict(contact_id=adele.id, reason=WHY, user_id=None, now=NOW)
    due = {one.id: one.due_at for one in OutgoingEmail.objects.all()}
    assert due == {waiting.id: HELD, gone.id: NOW, other.id: NOW, account.id: NOW}
    later = NOW + timedelta(days=3)
    restriction.lift(contact_id=adele.id, user_id=None, now=later)
    assert OutgoingEmail.objects.get(id=waiting.id).due_at == later
