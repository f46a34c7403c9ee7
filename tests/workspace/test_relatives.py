"""What stands beside a record: who shares something with it, who became it, which file it came from."""

from typing import Any

import pytest
from django.utils import timezone

from filiera.contacts.merging import commands as merging
from filiera.contacts.models import Contact, ContactPhone, ImportedContact, ImportRun
from filiera.platform import brand_scope
from tests.workspace.test_leads import SignedIn, named, text


@pytest.fixture
def bea(morning: Any, people: Any, signed_in: SignedIn) -> Any:
    return signed_in(people.bea)


@pytest.fixture
def scope(morning: Any) -> Any:
    return lambda: brand_scope.use(morning.id)


def test_who_shares_a_number_or_a_company_stands_beside_the_record(bea: Any, scope: Any) -> None:
    with scope():
        nives, fulvia, duilio, adele = (named(one) for one in ("Nives", "Fulvia", "Duilio", "Adele"))
        Contact.objects.filter(pk__in=[nives.pk, fulvia.pk, duilio.pk]).update(company_name="Casa Serena")
        own = ContactPhone.objects.filter(contact=nives).get()
        ContactPhone.objects.filter(contact=fulvia).update(
            phone_e164=own.phone_e164, phone_norm=own.phone_norm, is_match_key=False
        )
    page = text(bea.get(f"/leads/{nives.pk}"))
    assert f'hx-get="/leads/{nives.pk}/collegati"' in page
    beside = text(bea.get(f"/leads/{nives.pk}/collegati"))
    assert "stesso telefono, stessa azienda" in beside
    assert beside.index("Fulvia") < beside.index("Duilio")
    assert str(adele.pk) not in beside
    assert text(bea.get(f"/leads/{adele.pk}/collegati")).strip() == ""


def test_who_was_merged_and_the_file_are_named(bea: Any, scope: Any, people: Any) -> None:
    now = timezone.now()
    with scope():
        nives, fulvia = named("Nives"), named("Fulvia")
        merging.merge(contact_ids=[nives.pk, fulvia.pk], survivor_id=nives.pk, now=now, user_id=people.ada.pk)
        run = ImportRun.objects.create(
            file_name="clienti-2026.csv",
            file_kind="csv",
            file_size=1,
            file_hash="0",
            created_by=people.ada,
            created_at=now,
            moved_at=now,
        )
        ImportedContact.objects.create(run=run, contact=nives, row_number=12, was_created=True, at=now)
    beside = text(bea.get(f"/leads/{nives.pk}/collegati"))
    assert "Schede unite qui" in beside
    assert "Fulvia Rinaldi" in beside
    assert "Creata da clienti-2026.csv" in beside
    assert "riga 12" in beside
