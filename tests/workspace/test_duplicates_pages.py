"""Doppioni on pages and over the API: two layers with their reasons, merge, and no that is remembered."""

from datetime import timedelta

import pytest
from django.utils import timezone

from filiera.contacts.duplicates import commands
from filiera.contacts.models import Contact, DuplicateScan, DuplicateSuggestion
from filiera.platform import brand_scope
from filiera.platform.ids import new_id
from tests.leads import incoming, take_in


@pytest.fixture
def twins(vegliasi):
    now = timezone.now() - timedelta(hours=1)
    with brand_scope.use(vegliasi.id):
        leads = [
            incoming(
                first_name="Beppe",
                last_name="Riva",
                phone="351 000 4127",
                email="",
                city="Noale",
                cap="30033",
            ),
            incoming(first_name="Giuseppe", last_name="Riva", phone="", email="", city="Noale", cap="30033"),
            incoming(
                first_name="Giuseppe",
                last_name="Riva",
                phone="351 000 7788",
                email="g@r.example",
                city="Noale",
            ),
        ]
        return [
            Contact.objects.get(id=take_in(lead, now=now + timedelta(seconds=n))[0].contact.id)
            for n, lead in enumerate(leads)
        ]


def search(brand):
    with brand_scope.use(brand.id):
        scan = commands.start(now=timezone.now(), user_id=None)
        commands.search(brand_id=brand.id, scan_id=scan.id)


def test_the_button_on_the_list_leads_to_a_page_that_explains_itself(signed_in, bea):
    browser = signed_in(bea)
    assert "/leads/doppioni" in browser.get("/leads").content.decode()
    page = browser.get("/leads/doppioni").content.decode()
    assert "Non hai ancora cercato tra tutti i lead" in page
    assert "Trova doppioni" in page


def test_a_search_is_started_watched_and_shown(signed_in, bea, twins, run_jobs):
    browser = signed_in(bea)
    page = browser.post("/leads/doppioni/cerca", follow=True).content.decode()
    assert "La ricerca sta per partire" in page
    assert 'hx-trigger="every 2s"' in page
    assert "HX-Refresh" not in browser.get("/leads/doppioni/a-che-punto").headers

    run_jobs()

    assert browser.get("/leads/doppioni/a-che-punto").headers["HX-Refresh"] == "true"
    page = browser.get("/leads/doppioni").content.decode()
    assert "tra 3 lead" in page
    assert "un nome e il suo diminutivo" in page
    assert f"/leads/unisci?ids={twins[0].id},{twins[1].id}" in page


def test_a_search_can_be_stopped(signed_in, bea, vegliasi):
    browser = signed_in(bea)
    browser.post("/leads/doppioni/cerca")
    with brand_scope.use(vegliasi.id):
        scan = DuplicateScan.objects.get()

    page = browser.post(f"/leads/doppioni/{scan.id}/ferma", follow=True).content.decode()

    assert "Ricerca fermata" in page
    assert browser.post(f"/leads/doppioni/{new_id()}/ferma").status_code == 404


def test_the_rule_is_a_view_of_its_own(signed_in, bea, twins, vegliasi):
    search(vegliasi)

    page = signed_in(bea).get("/leads/doppioni?vista=regola").content.decode()

    assert "nomi simili al 100 %" in page
    assert "La regola: nomi simili per più dell’80 %" in page
    assert signed_in(bea).get("/leads/doppioni?vista=altro").status_code == 404


def test_not_a_duplicate_goes_and_can_be_thought_over(signed_in, bea, twins, vegliasi):
    search(vegliasi)
    browser = signed_in(bea)
    address = f"/leads/doppioni/{twins[1].id}/{twins[0].id}"

    page = browser.post(address, {"vista": "link"}, follow=True).content.decode()

    assert "non verrà più segnalato" in page
    assert "un nome e il suo diminutivo" not in page
    assert f'data-undo="{address}?ripensaci=1"' in page
    browser.post(f"{address}?ripensaci=1")
    with brand_scope.use(vegliasi.id):
        assert not DuplicateSuggestion.objects.exclude(dismissed_at=None).exists()


def test_the_record_says_why_and_offers_to_merge(signed_in, bea, twins, vegliasi):
    """UI-04."""
    search(vegliasi)
    browser = signed_in(bea)

    page = browser.get(f"/leads/{twins[0].id}").content.decode()

    assert "Forse è già tra i tuoi contatti" in page
    assert "un nome e il suo diminutivo, stesso CAP" in page
    assert f"/leads/unisci?ids={twins[0].id},{twins[1].id}" in page
    with brand_scope.use(vegliasi.id):
        pair = DuplicateSuggestion.objects.get(band="link")
    page = browser.post(f"/leads/{twins[0].id}/duplicates/{pair.id}/dismiss", follow=True).content.decode()
    assert "un nome e il suo diminutivo, stesso CAP" not in page


def test_the_older_path_answers_clusters_with_reasons(signed_in, bea, twins):
    """CON-19."""
    browser = signed_in(bea)

    answer = browser.get("/api/leads/duplicates?loadAll=true").json()

    ((one, other),) = answer["clusters"]
    assert {one["id"], other["id"]} == {str(twins[1].id), str(twins[2].id)}
    assert one["matchReasons"] == other["matchReasons"] == ["name"]
    assert one["Cognome"] == "Riva"
    assert browser.get("/api/leads/duplicates?loadAll=true&strictNames=false").json() == {"clusters": []}


def test_the_versioned_api_searches_lists_and_hears_no(signed_in, bea, twins, run_jobs):
    browser = signed_in(bea)
    started = browser.post("/api/v1/leads/duplicates", {}, content_type="application/json").json()["data"]
    run_jobs()

    found = browser.get("/api/v1/leads/duplicates/search").json()["data"]
    listed = browser.get("/api/v1/leads/duplicates").json()

    assert (found["id"], found["status"], found["counts"]["people"]) == (started["id"], "done", 3)
    assert [[lead["matchReasons"] for lead in cluster] for cluster in listed["data"]] == [
        [["name"], ["name"]]
    ]
    told = {"leadIds": [str(twins[1].id), str(twins[2].id)]}
    dismiss = "/api/v1/leads/duplicates/dismiss"
    assert browser.post(dismiss, told, content_type="application/json").status_code == 200
    assert browser.get("/api/v1/leads/duplicates").json()["data"] == []
    told["leadIds"][0] = str(new_id())
    assert browser.post(dismiss, told, content_type="application/json").status_code == 404


def test_another_brand_sees_none_of_it(signed_in, carl, twins, vegliasi):
    search(vegliasi)
    browser = signed_in(carl)

    assert "Riva" not in browser.get("/leads/doppioni").content.decode()
    assert browser.get("/api/leads/duplicates?loadAll=true").json() == {"clusters": []}
    assert browser.post(f"/leads/doppioni/{twins[0].id}/{twins[1].id}").status_code == 404
