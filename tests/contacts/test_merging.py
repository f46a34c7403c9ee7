"""People who are one: what a merge keeps, closes and refuses, and what an undo brings back."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from filiera.contacts import commands as contacts
from filiera.contacts import consents, erasure, merging, queries
from filiera.contacts.commands import ContactMissing
from filiera.contacts.merging import MergedMeanwhile, NotUndoable, commands, references
from filiera.contacts.models import Consent, Contact, ContactPhone, DuplicateSuggestion, Merge
from filiera.identity.models import AuditEntry
from filiera.pipeline import commands as pipeline
from filiera.pipeline.models import Activity, Deal, DealClosing, LeadEvent, StageHistory
from filiera.platform import actor, brand_scope
from filiera.platform.ids import new_id
from filiera.platform.models import Event
from filiera.platform.refusals import Invalid
from tests.contacts.graphs import references_to
from tests.leads import NOW, incoming, take_in

LATER = NOW + timedelta(hours=1)


def person(n: int, *, at: datetime = NOW, **fields: Any) -> Contact:
    """Return a person who came in with a lead of their own."""
    given = {"phone": f"+39 351 000 100{n}", "email": f"n{n}@posta.example", "first_name": f"Adele {n}"}
    [lead] = take_in(incoming(received_at=at, **(given | fields)), now=at)
    return Contact.objects.get(id=lead.contact.id)


def trio() -> list[Contact]:
    return [person(n, at=NOW + timedelta(minutes=n)) for n in range(3)]


def merged(*people: Contact, now: datetime = LATER, **more: Any) -> Merge:
    return merging.merge(contact_ids=[one.id for one in people], now=now, user_id=None, **more)


def undone(record: Merge, *, now: datetime = LATER) -> merging.Undone:
    return merging.undo(merge_id=record.id, now=now, user_id=None)


def test_three_become_the_oldest_and_two_open_deals_close_as_void(in_vegliasi: Any, bea: Any) -> None:
    first, second, third = trio()
    Contact.objects.filter(id=first.id).update(notes="Richiama", city="")
    Contact.objects.filter(id=second.id).update(notes="Ha un cane", city="Bari", status="caldo")
    record = merging.merge(contact_ids=[third.id, second.id, first.id], now=LATER, user_id=bea.id)
    survivor = Contact.objects.get(id=first.id)
    assert (record.survivor_id, set(record.merged_ids)) == (first.id, {second.id, third.id})
    assert (survivor.city, survivor.status, survivor.lead_count) == ("Bari", "caldo", 3)
    assert survivor.notes == (
        "Richiama\n--- unito da Adele 1 Brunetti (13/10/2026) ---\nHa un cane\n"
        "--- unito da Adele 2 Brunetti (13/10/2026) ---"
    )
    assert references_to(record.merged_ids) == {}
    [still_open] = Deal.objects.filter(status="open")
    assert still_open.contact_id == first.id
    closed = Deal.objects.exclude(status="open")
    assert {(one.status, one.lost_reason, one.is_void, one.contact_id) for one in closed} == {
        ("lost", "merged", True, first.id)
    }
    assert {(one.closed_by, one.closed_by_user_id, one.is_void) for one in DealClosing.objects.all()} == {
        ("merge", bea.id, True)
    }
    assert not StageHistory.objects.filter(deal__in=closed, exited_at=None).exists()
    assert {one.phone_e164 for one in ContactPhone.objects.filter(contact=first)} == {
        f"+39351000100{n}" for n in range(3)
    }
    assert ContactPhone.objects.filter(contact=first, is_primary=True).get().phone_e164 == "+393510001000"
    told = Event.objects.get(kind="contact.merged")
    assert (told.subject_id, told.data["user_id"]) == (first.id, str(bea.id))


def test_tombstones_are_on_no_list_and_the_old_ids_lead_to_the_survivor(in_vegliasi: Any) -> None:
    first, second, third = trio()
    merged(first, second)
    merged(third, first, survivor_id=third.id)
    with pytest.raises(ContactMissing):
        queries.contact_for(second.id)
    assert [queries.survivor_of(one.id) for one in (first, second, third)] == [third.id, third.id, None]
    assert list(Contact.objects.filter(deleted_at=None)) == [third]


def test_a_person_chooses_who_stays_and_each_field(in_vegliasi: Any) -> None:
    first, second, third = trio()
    chosen = {"email": third.id, "first_name": first.id}
    merged(first, second, third, survivor_id=second.id, chosen=chosen)
    survivor = Contact.objects.get(id=second.id)
    assert (survivor.first_name, survivor.email_norm) == ("Adele 0", "n2@posta.example")
    assert survivor.name_key == "adele 0 brunetti"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"survivor_id": UUID(int=1)}, "survivorId"),
        ({"chosen": {"email": UUID(int=1)}}, "email"),
        ({"chosen": {"brand_id": UUID(int=1)}}, "brand_id"),
    ],
)
def test_a_choice_that_is_none_is_refused(in_vegliasi: Any, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        merged(*trio(), **wrong)
    assert list(refusal.value.details) == [field]
    assert Merge.objects.count() == 0


def test_fewer_than_two_more_than_fifty_and_strangers_are_refused(in_vegliasi: Any, quadranorma: Any) -> None:
    adele = person(0)
    with brand_scope.use(quadranorma.id):
        stranger = person(1)
    for ids in ([adele.id], [adele.id, adele.id], [new_id() for _ in range(51)]):
        with pytest.raises(Invalid):
            merging.merge(contact_ids=ids, now=LATER, user_id=None)
    for other in (stranger.id, new_id()):
        with pytest.raises(ContactMissing):
            merging.merge(contact_ids=[adele.id, other], now=LATER, user_id=None)


def test_the_same_merge_again_finds_nobody(in_vegliasi: Any) -> None:
    people = trio()
    merged(*people)
    with pytest.raises(ContactMissing):
        merged(*people)


def test_a_shared_number_stays_once_and_recognises_the_survivor(in_vegliasi: Any) -> None:
    first, second = person(0), person(1, at=NOW + timedelta(minutes=1))
    contacts.add_phone(contact_id=first.id, typed="351 000 1001", now=NOW)
    own = ContactPhone.objects.get(contact=first, phone_e164="+393510001001")
    assert (own.is_match_key, own.assumed_country) == (False, True)
    record = merged(first, second)
    own.refresh_from_db()
    assert (own.is_match_key, own.assumed_country, ContactPhone.objects.count()) == (True, False, 2)
    undone(record)
    own.refresh_from_db()
    assert (own.is_match_key, ContactPhone.objects.get(contact=second).is_match_key) == (False, True)


def test_who_was_known_by_the_address_of_somebody_merged_is_the_survivor(in_vegliasi: Any) -> None:
    first, second, _third = trio()
    merged(first, second)
    [lead] = take_in(incoming(email=second.email, phone="+39 351 000 9999", received_at=LATER), now=LATER)
    assert lead.contact.id == first.id


def test_suggestions_between_them_vanish_and_others_follow(in_vegliasi: Any) -> None:
    first, second, third = trio()
    stranger = person(4)
    pairs = [(first, second, None), (second, stranger, None), (first, stranger, NOW), (third, stranger, None)]
    for one, other, dismissed in pairs:
        a, b = sorted((one.id, other.id))
        DuplicateSuggestion.objects.create(
            contact_id=a, other_id=b, reason="phone_and_email", created_at=NOW, dismissed_at=dismissed
        )
    record = merged(first, second)
    left = DuplicateSuggestion.objects.values_list("contact_id", "other_id", "dismissed_at")
    assert set(left) == {
        (*sorted((first.id, stranger.id)), NOW),
        (*sorted((third.id, stranger.id)), None),
    }
    undone(record)
    assert DuplicateSuggestion.objects.count() == 4


def say(who: Contact, *, given: bool, at: datetime = NOW, channel: str = "email") -> None:
    Consent.objects.create(
        contact=who, purpose="marketing", channel=channel, given=given, by_person=True, text="Sì",
        text_version="v1", collected_by="landing", at=at, created_at=at,
    )  # fmt: skip


def test_what_one_refused_the_survivor_refuses_though_another_said_yes_later(in_vegliasi: Any) -> None:
    first, second, third = trio()
    say(first, given=False)
    say(second, given=True, at=LATER)
    say(third, given=True, channel="sms")
    record = merged(first, second, third, now=LATER)
    found = consents.permissions_of(Contact.objects.get(id=first.id))
    assert not found.of("marketing", "email").holds
    assert found.of("marketing", "sms").holds, "who was never asked refused nothing"
    undone(record)
    assert consents.permissions_of(second).of("marketing", "email").holds
    assert Consent.objects.count() == 3


def test_an_opposition_by_an_address_that_is_given_up_still_stands(in_vegliasi: Any) -> None:
    first, second, _third = trio()
    say(first, given=True, at=LATER)
    consents.withdraw(second, text="No", collected_by="page", now=NOW, channel="email")
    merged(first, second)
    survivor = Contact.objects.get(id=first.id)
    assert not consents.permissions_of(survivor).of("marketing", "email").holds
    assert second.email_norm in consents.keys_of([first.id])


def test_proofs_keep_their_seal(in_vegliasi: Any) -> None:
    first, second, _third = trio()
    say(second, given=True)
    merged(first, second)
    with connection.cursor() as cursor:
        cursor.execute("set local timezone = 'UTC'")
        cursor.execute(
            "select contact_id, record_hash = encode(sha256(convert_to((to_jsonb(c) - 'record_hash')::text,"
            " 'UTF8')), 'hex') from contacts_consent c"
        )
        assert cursor.fetchall() == [(first.id, True)]


def test_the_most_restrictive_is_the_restriction_too(in_vegliasi: Any) -> None:
    first, second, _third = trio()
    Contact.objects.filter(id=second.id).update(restricted_at=NOW, restricted_reason="Lo ha chiesto")
    merged(first, second)
    survivor = Contact.objects.get(id=first.id)
    assert (survivor.restricted_at, survivor.restricted_reason) == (NOW, "Lo ha chiesto")


def test_a_merge_is_in_the_record_of_changes_with_before_and_after(in_vegliasi: Any, bea: Any) -> None:
    first, second, _third = trio()
    with actor.acting(actor.Actor(actor.PERSON, bea.name, bea.id)):
        merged(first, second)
    entry = AuditEntry.objects.get(entity_id=second.id, action="UPDATE", entity_type="contacts")
    assert (entry.actor_user_id, entry.before["merged_into_id"], entry.after["merged_into_id"]) == (
        *(bea.id, None),
        str(first.id),
    )


# Back


def test_later_edits_stay_and_are_listed(in_vegliasi: Any) -> None:
    first, second, _third = trio()
    Contact.objects.filter(id=second.id).update(city="Bari", cap="70100")
    record = merged(first, second)
    contacts.edit_contact(contact_id=first.id, changes={"city": "Lecce"}, now=LATER, user_id=None)
    done = undone(record)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.city, first.cap, second.city, second.deleted_at) == ("Lecce", "", "Bari", None)
    assert done.kept == [{"about": "people", "id": str(first.id), "columns": ["city"]}]
    assert (done.record.kept, done.record.manifest) == (done.kept, {})


def test_what_came_since_goes_with_the_deal_it_belongs_to(in_vegliasi: Any) -> None:
    young, old = person(0, at=NOW), person(1, at=NOW + timedelta(minutes=1))
    Contact.objects.filter(id=old.id).update(created_at=NOW - timedelta(days=9))
    record = merged(young, old)
    assert record.survivor_id == old.id
    assert Deal.objects.get(status="open").lead_events.get().contact_id == old.id  # it was the young one's
    [lead] = take_in(
        incoming(phone=young.phones.model.objects.first().phone_e164, received_at=LATER), now=LATER
    )
    assert lead.contact.id == old.id
    note = pipeline.record_activity(contact_id=old.id, type="nota", note="x", now=LATER, user_id=None)
    done = undone(record)
    event = LeadEvent.objects.get(id=lead.event.id)
    assert (event.contact_id, Activity.objects.get(id=note.id).contact_id, done.followed) == (
        *(young.id, young.id),
        2,
    )
    counts = dict(Contact.objects.values_list("id", "lead_count"))
    assert (counts[young.id], counts[old.id]) == (2, 1)


def test_a_deal_that_cannot_open_again_stays_closed_and_is_listed(in_vegliasi: Any) -> None:
    first, second, _third = trio()
    record = merged(first, second, survivor_id=second.id)
    [mine] = Deal.objects.filter(status="open", contact=second)
    pipeline.close_deal(deal_id=mine.id, status="won", version=mine.version, now=LATER, user_id=None)
    pipeline.open_deal(contact_id=second.id, now=LATER)
    closed = Deal.objects.get(lost_reason="merged")
    done = undone(record)
    closed.refresh_from_db()
    assert (closed.status, closed.contact_id) == ("lost", second.id)
    assert {"about": "deal", "id": str(closed.id), "columns": []} in done.kept
    mine.refresh_from_db()
    assert (mine.contact_id, mine.status) == (first.id, "won")


def test_an_undo_is_refused_twice_after_thirty_days_and_below_a_later_merge(in_vegliasi: Any) -> None:
    first, second, third = trio()
    record = merged(first, second)
    with pytest.raises(NotUndoable, match="30 giorni"):
        undone(record, now=LATER + timedelta(days=30, seconds=1))
    above = merged(third, first, survivor_id=third.id)
    with pytest.raises(NotUndoable, match="prima"):
        undone(record)
    undone(above)
    undone(record, now=LATER + timedelta(days=30))
    with pytest.raises(NotUndoable, match="già"):
        undone(record)
    assert Contact.objects.filter(deleted_at=None).count() == 3


def test_an_erased_person_comes_back_by_no_undo(in_vegliasi: Any) -> None:
    first, second, _third = trio()
    Contact.objects.filter(id=second.id).update(city="Borgo Sconosciuto")
    record = merged(first, second)
    assert "Borgo Sconosciuto" in str(Merge.objects.get().manifest)
    erasure.erase(contact_id=first.id, now=LATER)
    assert Merge.objects.get().manifest == {}
    with pytest.raises(NotUndoable, match="cancellata"):
        undone(record)


def test_what_was_kept_to_undo_goes_after_thirty_days(in_vegliasi: Any) -> None:
    first, second, third = trio()
    old = merged(first, second)
    young = merged(first, third, now=LATER + timedelta(days=1))
    assert commands.let_go(now=LATER + timedelta(days=30, hours=1)) == 1
    assert [bool(Merge.objects.get(id=one.id).manifest) for one in (old, young)] == [False, True]


def test_what_is_written_about_a_tombstone_meanwhile_is_gathered(in_vegliasi: Any, run_jobs: Any) -> None:
    first, second, _third = trio()
    record = merged(first, second)
    late = Activity.objects.create(contact=second, type="nota", created_at=LATER, updated_at=LATER)
    assert commands.gather(merge_id=record.id) == 1
    late.refresh_from_db()
    assert late.contact_id == first.id
    undone(record)
    late.refresh_from_db()
    assert late.contact_id == second.id


def test_a_call_that_ends_meanwhile_is_told_of_the_survivor(in_vegliasi: Any, bea: Any) -> None:
    first, second, _third = trio()
    merged(first, second)
    call = pipeline.AnsweredCall(
        contact_id=second.id, deal_id=None, user_id=bea.id, occurred_at=LATER, talking_seconds=40,
        title="Chiamata", cause="call:1",
    )  # fmt: skip
    pipeline.record_calls([call], now=LATER)
    assert Activity.objects.get(cause="call:1").contact_id == first.id


# Together


@pytest.mark.django_db(transaction=True)
def test_of_two_merges_of_one_person_one_wins_and_the_other_is_told(vegliasi: Any) -> None:
    with brand_scope.use(vegliasi.id):
        first, second, third = trio()
    ready = Barrier(2)

    def work(other: Contact) -> str:
        try:
            with brand_scope.use(vegliasi.id):
                merging.chosen_people([second.id, other.id])
                ready.wait(10)
                merged(second, other, survivor_id=other.id)
            return "merged"
        except (MergedMeanwhile, ContactMissing) as refusal:
            return type(refusal).__name__
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(work, [first, third]))
    assert said[1] == "merged"
    with brand_scope.use(vegliasi.id):
        assert Contact.objects.filter(deleted_at=None).count() == 2
        assert Merge.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_leads_that_arrive_while_people_are_merged_are_the_survivors(vegliasi: Any) -> None:
    with brand_scope.use(vegliasi.id):
        people = [person(n, at=NOW + timedelta(minutes=n)) for n in range(6)]
        leads = [
            incoming(
                phone=f"+39 351 000 100{n % 6}", email=f"n{n % 6}@posta.example", received_at=LATER,
                external_id=f"late-{n}",
            )
            for n in range(24)
        ]  # fmt: skip

    def arrive(lead: Any) -> None:
        try:
            with brand_scope.use(vegliasi.id):
                take_in(lead, now=LATER)
        finally:
            connection.close()

    def unite(pair: list[Contact]) -> None:
        try:
            with brand_scope.use(vegliasi.id):
                merged(*pair)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        work = [pool.submit(arrive, lead) for lead in leads]
        work += [pool.submit(unite, people[start : start + 3]) for start in (0, 3)]
        for one in work:
            one.result()
    with brand_scope.use(vegliasi.id):
        living = Contact.objects.filter(deleted_at=None)
        assert set(living) == {people[0], people[3]}
        assert LeadEvent.objects.count() == 30
        assert set(LeadEvent.objects.values_list("contact_id", flat=True)) == {people[0].id, people[3].id}
        assert sum(living.values_list("lead_count", flat=True)) == 30


# The registry


def test_somebody_said_what_happens_to_every_reference_to_a_person(in_vegliasi: Any) -> None:
    assert set(references.found()) - set(references.fates()) == set(), "say it in the room's merging.py"
    assert set(references.fates()) - set(references.found()) == set()


def test_a_reference_that_may_be_the_survivors_already_moves_by_code_of_its_own(in_vegliasi: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "select i.indrelid::regclass::text, a.attname from pg_index i"
            " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey) where i.indisunique"
        )
        unique = {references.Reference(*row) for row in cursor.fetchall()}
    # One open deal: the pipeline closes the others before the move.
    handled = {references.Reference("pipeline_deal", "contact_id")}
    assert unique & set(references.moving()) - handled == set()


def test_every_reference_to_a_person_has_an_index(in_vegliasi: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "select i.indrelid::regclass::text, a.attname from pg_index i"
            " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[1]"
        )
        second = {references.Reference(*row) for row in cursor.fetchall()}
    assert (
        set(references.found()) - second == {references.Reference("contacts_erasure", "contact_id")} - second
    )
