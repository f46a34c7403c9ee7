"""The inbound log as a page: why a request is here, in words; replay, requeue, discard and the way back."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.urls import reverse

from filiera.capture import commands
from filiera.capture.models import Submission
from filiera.platform import brand_scope
from filiera.platform.ids import new_id

NOW = datetime.now(UTC)


@pytest.fixture
def source(vegliasi, people):
    with brand_scope.use(vegliasi.id):
        made, _key = commands.create_source(
            name="moduli-autunno", kind="webhook", actor=people.ada, now=NOW, mapping={"telefono": "phone"}
        )
    return made


@pytest.fixture
def request_of(vegliasi, source):
    """Store a request: `request_of(status="dead", code="NO_CONTACT")`."""

    def store(*, status="processed", code="", body=None, ago=0, **fields):
        states = {"dead": "dead", "queued": "ready"}
        with brand_scope.use(vegliasi.id):
            return Submission.objects.create(
                **{
                    "source": source,
                    "request_id": str(new_id()),
                    "lead_id": f"LEAD_{new_id().int}"[:40],
                    "method": "POST",
                    "path": "/webhook-ingest/moduli-autunno",
                    "headers": {"x-api-key": "[redacted]", "user-agent": "WordPress/6.6"},
                    "content_type": "application/json",
                    "body": json.dumps(body or {"telefono_cellulare": "351 000 9914"}).encode(),
                    "body_hash": "0" * 64,
                    "status": status,
                    "queue_state": states.get(status, "done"),
                    "error_code": code,
                    "attempts": 4 if status == "dead" else 0,
                    "dead_at": NOW if status == "dead" else None,
                    "received_at": NOW - timedelta(minutes=ago),
                    "visible_at": NOW,
                    **fields,
                }
            )

    return store


@pytest.fixture
def fresh(vegliasi):
    def read(row):
        with brand_scope.use(vegliasi.id):
            return Submission.objects.get(pk=row.pk)

    return read


def test_before_the_first_request_the_page_says_what_will_be_here(signed_in, ada):
    assert "La prima richiesta apparirà qui" in signed_in(ada).get("/inbound").content.decode()
    assert "Niente da recuperare" in signed_in(ada).get("/inbound?view=dead").content.decode()


def test_a_dead_letter_says_why_in_words_and_how_often_it_was_tried(signed_in, ada, request_of):
    dead = request_of(status="dead", code="NO_CONTACT")
    page = signed_in(ada).get(f"/inbound?view=dead&id={dead.pk}").content.decode()
    assert "Né telefono né e-mail" in page
    assert "4 su 4" in page
    assert "Non sappiamo chi richiamare." in page
    assert "<code>telefono_cellulare</code>" in page
    assert "Correggi la mappatura" in page
    assert "WordPress/6.6" in page


def test_two_with_the_same_cause_are_told_together(signed_in, ada, request_of):
    request_of(status="dead", code="NO_CONTACT")
    request_of(status="dead", code="NO_CONTACT", ago=3)
    page = signed_in(ada).get("/inbound?view=dead").content.decode()
    assert "2 hanno la stessa causa." in page
    assert "Riproponi tutte e 2" in page


def test_views_and_filters_narrow_the_log(signed_in, ada, request_of, source):
    request_of(status="dead", code="NO_CONTACT")
    request_of(status="rejected", code="UNREADABLE")
    request_of(status="duplicate")
    client = signed_in(ada)
    assert "Forma sconosciuta" in client.get("/inbound?view=rejected").content.decode()
    assert "Già arrivata" in client.get("/inbound?view=duplicate").content.decode()
    none = client.get(f"/inbound?view=dead&source={source.pk}&reason=UNREADABLE").content.decode()
    assert "Nessuna richiesta con questi 2 filtri." in none


def test_the_log_goes_on_page_by_page(signed_in, ada, request_of):
    for ago in range(53):
        request_of(ago=ago)
    client = signed_in(ada)
    first = client.get("/inbound").content.decode()
    assert first.count('<tr id="request-') == 50
    older = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    assert client.get(f"/inbound{older}").content.decode().count('<tr id="request-') == 3


def test_requeueing_gives_a_dead_letter_back_with_no_attempts(signed_in, ada, request_of, fresh):
    one, two = request_of(status="dead", code="NO_CONTACT"), request_of(status="dead", code="NO_CONTACT")
    client = signed_in(ada)
    client.post(reverse("inbound-requeue"), {"one": str(one.pk)})
    assert (fresh(one).status, fresh(one).attempts, fresh(two).status) == ("queued", 0, "dead")
    client.post(reverse("inbound-requeue"), {"all": "dead"})
    assert fresh(two).status == "queued"


def test_replaying_a_rejected_request_makes_a_new_one_once_it_can_be_read(
    signed_in, ada, request_of, source, vegliasi, people
):
    rejected = request_of(status="rejected", code="NO_CONTACT", body={"recapito_mobile": "+39 351 000 9914"})
    client = signed_in(ada)
    page = client.post(reverse("inbound-requeue"), {"one": str(rejected.pk)}, follow=True).content.decode()
    assert "non si legge ancora un lead" in page
    with brand_scope.use(vegliasi.id):
        commands.change_source(
            source_id=source.pk, mapping={"recapito_mobile": "phone"}, actor=people.ada, now=NOW
        )
    client.post(reverse("inbound-requeue"), {"one": str(rejected.pk)})
    with brand_scope.use(vegliasi.id):
        again = Submission.objects.get(replayed_from=rejected)
    assert (again.status, bytes(again.body)) == ("queued", bytes(rejected.body))


def test_discarding_can_be_taken_back(signed_in, ada, request_of, fresh):
    dead = request_of(status="dead", code="NO_CONTACT")
    client = signed_in(ada)
    client.post(reverse("inbound-discard", args=[dead.pk]))
    assert fresh(dead).status == "discarded"
    client.post(reverse("inbound-undo-discard", args=[dead.pk]))
    assert fresh(dead).status == "dead"


def test_a_body_that_is_no_json_is_shown_as_it_came(signed_in, ada, request_of):
    broken = request_of(status="rejected", code="UNREADABLE")
    Submission.objects.none()
    page = signed_in(ada).get(f"/inbound?view=rejected&id={broken.pk}").content.decode()
    assert "Non ha la forma attesa." in page


def test_carl_gets_the_same_answer_as_for_a_random_request(signed_in, carl, request_of, fresh):
    dead = request_of(status="dead", code="NO_CONTACT")
    client = signed_in(carl)
    assert "telefono_cellulare" not in client.get("/inbound?view=all").content.decode()
    for row in (dead.pk, uuid4()):
        assert client.get(f"/inbound?view=dead&id={row}").status_code == 404
        assert client.post(reverse("inbound-requeue"), {"one": str(row)}).status_code == 404
        assert client.post(reverse("inbound-discard", args=[row])).status_code == 404
    assert fresh(dead).status == "dead"


def test_bea_who_sells_does_not_see_the_log(signed_in, bea, request_of):
    dead = request_of(status="dead", code="NO_CONTACT")
    assert signed_in(bea).get("/inbound").status_code == 404
    assert signed_in(bea).post(reverse("inbound-requeue"), {"one": str(dead.pk)}).status_code == 404
