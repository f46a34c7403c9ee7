"""Who a lead belongs to: CON-13, CON-35, and what intake writes about a person."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from filiera.contacts import commands
from filiera.contacts.models import Contact, ContactPhone, DuplicateSuggestion
from filiera.platform import brand_scope
from tests.leads import NOW, incoming, take_in


def resolve(*leads):
    recognition = commands.recognise(list(leads), now=NOW)
    recognition.write()
    return recognition.people


def test_a_new_lead_makes_a_person_with_their_number(in_vegliasi):
    (person,) = resolve(incoming(city="Noale", cap="30033", age=78, company="Brunetti Srl"))
    kept = Contact.objects.get()
    assert kept.id == person.id
    assert (kept.first_name, kept.last_name, kept.email, kept.email_norm) == (
        *("Adele", "Brunetti"),
        *("adele.brunetti@posta.example", "adele.brunetti@posta.example"),
    )
    assert (kept.city, kept.cap, kept.age, kept.company_name) == ("Noale", "30033", 78, "Brunetti Srl")
    assert (kept.status, kept.last_lead_at, kept.name_key) == ("nuovo", NOW, "adele brunetti")
    phone = ContactPhone.objects.get()
    assert (phone.phone_norm, phone.country_code, phone.phone_e164) == ("3510004127", "IT", "+393510004127")
    assert (phone.is_primary, phone.is_match_key, phone.assumed_country) == (True, True, False)
    assert phone.phone_raw == "+39 351 000 4127"
    assert (person.was_known, person.dial_e164) == (False, "+393510004127")


def test_a_person_is_recognised_by_phone_however_it_is_written(in_vegliasi):
    (first,) = resolve(incoming())
    (again,) = resolve(incoming(phone="351 0004127", email="altra@posta.example"))
    assert again.id == first.id
    assert (again.was_known, again.dial_e164) == (True, "+393510004127")
    assert Contact.objects.count() == ContactPhone.objects.count() == 1


def test_a_person_is_recognised_by_address_when_the_number_is_new(in_vegliasi):
    (first,) = resolve(incoming())
    (again,) = resolve(incoming(phone="041 000 2290", email=" Adele.Brunetti@Posta.EXAMPLE"))
    assert again.id == first.id
    numbers = ContactPhone.objects.order_by("created_at", "id").values_list(
        "phone_e164", "is_primary", "is_match_key"
    )
    assert set(numbers) == {("+393510004127", True, True), ("+390410002290", False, True)}


def test_the_phone_decides_between_two_people_and_the_pair_is_suggested(in_vegliasi):
    """CON-35."""
    adele, zanin = resolve(incoming(), incoming(phone="041 000 2290", email="zanin@posta.example"))
    (person,) = resolve(incoming(email="zanin@posta.example"))
    assert person.id == adele.id
    pair = DuplicateSuggestion.objects.get()
    assert {pair.contact_id, pair.other_id} == {adele.id, zanin.id}
    resolve(incoming(email="zanin@posta.example"))
    assert DuplicateSuggestion.objects.count() == 1


def test_what_a_known_person_lacks_is_filled_and_what_they_have_stays(in_vegliasi):
    resolve(incoming(last_name="", first_name="", email="", city="Noale"))
    resolve(incoming(first_name="Adele", city="Mestre", cap="30170", age=78))
    person = Contact.objects.get()
    assert (person.first_name, person.last_name, person.email_norm) == (
        *("Adele", "Brunetti"),
        "adele.brunetti@posta.example",
    )
    assert (person.city, person.cap, person.age, person.surname_key) == (
        "Noale",
        "30170",
        78,
        "brunetti adele",
    )


def test_leads_of_one_person_in_one_batch_are_one_person(in_vegliasi):
    people = resolve(
        incoming(email=""),
        incoming(phone="3510004127", email="adele@posta.example", city="Noale"),
        incoming(phone="041 000 2290", email="ADELE@posta.example"),
        incoming(phone="333 000 4480", email="elvira@posta.example", first_name="Elvira"),
    )
    assert [person.id for person in people] == [people[0].id] * 3 + [people[3].id]
    assert Contact.objects.count() == 2
    person = Contact.objects.get(id=people[0].id)
    assert (person.email_norm, person.city) == ("adele@posta.example", "Noale")
    assert ContactPhone.objects.filter(contact=person).count() == 2
    assert ContactPhone.objects.filter(contact=person, is_primary=True).count() == 1


@pytest.mark.parametrize(
    ("typed", "kept"), [("351 000 4", "3510004"), ("chiedere a Bruno", ""), ("9" * 40, "9" * 20)]
)
def test_a_text_that_is_no_number_is_kept_and_recognises_nobody(in_vegliasi, typed, kept):
    """leads-ads.md 7, rule 3: an invalid phone is no reason to refuse a lead."""
    first, second = resolve(incoming(phone=typed), incoming(phone=typed, email="altra@posta.example"))
    assert first.id != second.id
    assert first.dial_e164 == ""
    phone = ContactPhone.objects.get(contact=first)
    assert (phone.phone_raw, phone.phone_norm, phone.is_valid) == (typed, kept, False)
    assert (phone.is_match_key, phone.is_primary, phone.phone_e164) == (False, True, "")


def test_a_number_that_can_be_dialled_takes_the_place_of_one_that_cannot(in_vegliasi):
    resolve(incoming(phone="351 000 4"))
    (person,) = resolve(incoming(phone="351 000 4127"))
    assert person.dial_e164 == "+393510004127"
    assert ContactPhone.objects.get(is_primary=True).phone_e164 == "+393510004127"
    both, again = resolve(
        incoming(phone="abc", email="nives@posta.example"),
        incoming(phone="347 000 1186", email="nives@posta.example"),
    )
    assert both is again
    assert ContactPhone.objects.get(contact=both, is_primary=True).phone_e164 == "+393470001186"


def test_a_lead_with_neither_is_a_person_of_their_own(in_vegliasi):
    first, second = resolve(incoming(phone="", email=""), incoming(phone="", email=""))
    assert first.id != second.id
    assert ContactPhone.objects.count() == 0


def test_the_same_leads_again_change_nothing(in_vegliasi):
    """CAP-93."""
    leads = [incoming(), incoming(phone="351 000 4", email="egidio@posta.example")]
    resolve(*leads)
    before = list(Contact.objects.order_by("id").values()), list(ContactPhone.objects.order_by("id").values())
    resolve(*leads)
    assert before == (
        list(Contact.objects.order_by("id").values()),
        list(ContactPhone.objects.order_by("id").values()),
    )


def test_somebody_in_the_bin_is_not_recognised(in_vegliasi):
    (person,) = resolve(incoming())
    commands.delete_contacts(contact_ids=[person.id], now=NOW, user_id=None)
    (other,) = resolve(incoming())
    assert other.id != person.id
    commands.restore_contacts(contact_ids=[person.id], now=NOW, user_id=None)
    (third,) = resolve(incoming())
    assert third.id == other.id  # the number is somebody else's since


def test_other_brands_people_are_not_recognised(in_vegliasi, quadranorma):
    (ours,) = resolve(incoming())
    with brand_scope.use(quadranorma.id):
        (theirs,) = resolve(incoming())
        assert theirs.id != ours.id
        assert Contact.objects.count() == 1


def test_two_people_may_share_a_number_by_hand(in_vegliasi):
    """CON-13: the number goes on recognising the first."""
    first, second = resolve(incoming(), incoming(phone="347 000 1186", email="nives@posta.example"))
    commands.add_phone(contact_id=second.id, typed="351 000 4127", now=NOW)
    assert ContactPhone.objects.filter(phone_e164="+393510004127").count() == 2
    (person,) = resolve(incoming(email=""))
    assert person.id == first.id


def test_the_number_of_statements_does_not_grow_with_the_batch(in_vegliasi):
    def statements(count, start):
        leads = [
            incoming(phone=f"+39 351 {start + n:07d}", email=f"n{start + n}@posta.example")
            for n in range(count)
        ]
        leads += [incoming(phone="351 1", email=f"n{start}@posta.example", city="Noale")]
        resolve(*leads[: count // 2])
        with CaptureQueriesContext(
            connection,
        ) as queries:
            resolve(*leads)
        return len(queries)

    few, many = statements(4, 0), statements(80, 1000)
    assert few == many <= 9


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["phone", "email"])
def test_parallel_leads_with_one_new_key_make_one_person(vegliasi, what):
    """CON-13, CON-35: twenty workers meet the same new number, or the same new address, at once."""
    with brand_scope.use(vegliasi.id):
        leads = [
            incoming(phone="+39 351 000 4127", email=f"n{n}@posta.example")
            if what == "phone"
            else incoming(phone=f"+39 351 {n:07d}", email="adele@posta.example")
            for n in range(20)
        ]

    def work(lead):
        try:
            with brand_scope.use(vegliasi.id):
                return take_in(lead, now=NOW + timedelta(seconds=1))[0].contact.id
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(work, leads))
    assert len(ids) == 1
    with brand_scope.use(vegliasi.id):
        assert Contact.objects.count() == 1
        assert Contact.objects.get().lead_count == 20
        assert ContactPhone.objects.filter(is_match_key=True).count() == (1 if what == "phone" else 20)
