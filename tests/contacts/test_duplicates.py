"""The search for duplicates, stored and answered: by a search among all, and for each new person at intake."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from filiera.contacts import commands as contacts
from filiera.contacts.duplicates import commands, queries, reasons, rule
from filiera.contacts.models import Contact, DuplicateScan, DuplicateSuggestion
from filiera.platform import brand_scope
from filiera.platform.ids import new_id
from tests.leads import NOW, incoming

LATER = NOW + timedelta(hours=1)


def came(*leads, now=NOW):
    recognition = contacts.recognise(list(leads), now=now)
    recognition.write()
    return recognition.people


def searched():
    scan = commands.start(now=LATER, user_id=None)
    commands.search(brand_id=scan.brand_id, scan_id=scan.id)
    scan.refresh_from_db()
    return scan


def pairs():
    return {
        (pair.contact_id, pair.other_id): pair
        for pair in DuplicateSuggestion.objects.filter(dismissed_at=None)
    }


def twins(phone="351 000 9900"):
    """Adele twice: her second lead had another number, and her name in the other field."""
    return came(
        incoming(
            first_name="Adele",
            last_name="Brunetti",
            phone="351 000 4127",
            email="",
            city="Noale",
            cap="30033",
        ),
        incoming(first_name="Brunetti", last_name="Adele", phone=phone, email="", city="Noale", cap="30033"),
        incoming(
            first_name="Zeno", last_name="Poli", phone="351 000 7711", email="", city="Bari", cap="70121"
        ),
    )


def test_a_search_stores_what_both_layers_say_and_keeps_them_apart(in_vegliasi):
    adele, again, _zeno = twins()

    scan = searched()

    ((key, pair),) = pairs().items()
    assert set(key) == {adele.id, again.id}
    assert (pair.cluster, pair.rule, pair.similarity, pair.band) == (0, rule.NAME, 100, "link")
    assert reasons.in_words(pair) == ["stesso nome e cognome", "nome e cognome scambiati", "stesso CAP"]
    assert reasons.against(pair) == ["numeri diversi"]
    assert (scan.status, scan.share) == ("done", 1.0)
    assert (scan.counts["people"], scan.counts["clusters"], scan.counts["by_name"]) == (3, 1, 1)
    (group,) = queries.by_rule(offset=0, limit=5)
    assert [person.id for person in group.people] == [adele.id, again.id]
    assert [shown.id for shown in queries.by_score("link", offset=0, limit=5)] == [pair.id]


def test_not_a_duplicate_is_remembered_by_every_later_search(in_vegliasi):
    adele, again, _zeno = twins()
    searched()

    commands.dismiss(first_id=again.id, second_id=adele.id, now=LATER, user_id=None)
    searched()

    assert pairs() == {}
    assert queries.clusters(by_name=True) == ([], None)
    assert DuplicateSuggestion.objects.get().dismissed_at == LATER
    commands.take_back(first_id=adele.id, second_id=again.id)
    assert len(pairs()) == 1


def test_who_was_never_suggested_cannot_be_told_apart(in_vegliasi):
    with pytest.raises(commands.SuggestionMissing):
        commands.dismiss(first_id=new_id(), second_id=new_id(), now=NOW, user_id=None)


def test_what_a_new_search_does_not_find_any_more_goes(in_vegliasi):
    _adele, again, _zeno = twins()
    searched()
    Contact.objects.filter(id=again.id).update(
        first_name="Ugo", last_name="Serra", name_key="", surname_key=""
    )

    scan = commands.start(now=LATER + timedelta(days=1), user_id=None)
    DuplicateSuggestion.objects.update(created_at=NOW)
    commands.search(brand_id=scan.brand_id, scan_id=scan.id)

    assert pairs() == {}


def test_one_search_runs_at_a_time_and_a_dead_one_makes_room(in_vegliasi):
    scan = commands.start(now=NOW, user_id=None)

    assert commands.start(now=NOW, user_id=None).id == scan.id
    DuplicateScan.objects.update(status="running", heard_at=NOW)
    assert commands.start(now=LATER, user_id=None).id != scan.id
    scan.refresh_from_db()
    assert scan.status == "failed"


def test_a_stopped_search_writes_nothing(in_vegliasi):
    twins()
    scan = commands.start(now=NOW, user_id=None)
    commands.stop(scan_id=scan.id, now=NOW)

    commands.search(brand_id=scan.brand_id, scan_id=scan.id)

    scan.refresh_from_db()
    assert (scan.status, pairs()) == ("cancelled", {})
    with pytest.raises(commands.ScanMissing):
        commands.stop(scan_id=new_id(), now=NOW)


def test_the_search_runs_in_a_job(in_vegliasi, run_jobs):
    twins()
    scan = commands.start(now=LATER, user_id=None)
    run_jobs()
    scan.refresh_from_db()
    assert scan.status == "done"


def test_new_people_are_compared_with_who_is_here(in_vegliasi):
    adele, again, zeno = twins()

    assert commands.look_around([again.id, zeno.id], now=LATER) == 1

    ((key, pair),) = pairs().items()
    assert set(key) == {adele.id, again.id}
    assert (pair.reason, pair.cluster, pair.band) == ("new_lead", None, "review")
    assert commands.look_around([again.id], now=LATER) == 0, "known already"
    assert [shown.id for shown in queries.of_person(adele.id)] == [pair.id]


def test_a_look_around_takes_the_same_statements_for_one_and_for_many(in_vegliasi):
    def statements(people):
        with CaptureQueriesContext(
            connection,
        ) as seen:
            commands.look_around([person.id for person in people], now=LATER)
        return len(seen)

    few = statements(came(incoming(phone="351 000 1000", email="")))
    many = statements(
        came(*(incoming(first_name=f"Ada{n}", phone=f"351 000 2{n:03}", email="") for n in range(30)))
    )

    assert many <= few + 1  # one more writes what was found
    assert few <= 6


def test_people_in_the_bin_are_no_duplicates(in_vegliasi):
    _adele, again, _zeno = twins()
    searched()

    Contact.objects.filter(id=again.id).update(deleted_at=LATER)

    assert queries.by_rule(offset=0, limit=5) == []
    assert queries.by_score("link", offset=0, limit=5) == []
    assert queries.clusters(by_name=True) == ([], None)


def test_beyond_a_size_the_last_search_answers(in_vegliasi, monkeypatch):
    adele, again, _zeno = twins()
    monkeypatch.setattr(queries, "LIVE", 1)

    assert queries.clusters(by_name=True) == ([], None)
    scan = searched()
    found, done = queries.clusters(by_name=True)

    assert {person: why for cluster in found for person, why in cluster} == {
        adele.id: ["name"],
        again.id: ["name"],
    }
    assert done.id == scan.id
    assert queries.clusters(by_name=False)[0] == []


def test_anquadranorma_sees_nothing(in_vegliasi, quadranorma):
    twins()
    searched()
    with brand_scope.use(quadranorma.id):
        assert queries.by_rule(offset=0, limit=5) == []
        assert queries.latest() is None
