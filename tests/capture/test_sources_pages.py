"""Sources as pages: the key shown once, the mapping tried on a stored request, Carl who sees nothing."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.urls import reverse

from filiera.capture import commands, rules
from filiera.capture.models import Source, Submission
from filiera.platform import brand_scope
from filiera.platform.ids import new_id

NOW = datetime.now(UTC)
LEAD = {
    "id": "4410000000271",
    "form_id": "9980000000415",
    "field_data": {
        "full_name": "Onorina Baggio",
        "phone_number": "p:+39 347 000 3321",
        "mail": "onorina@posta.example",
    },
}
MAPPING = {"field_data.full_name": "full_name", "field_data.phone_number": "phone"}


@pytest.fixture
def source(vegliasi, people):
    """A source of Vegliasì that takes JSON with a key."""
    with brand_scope.use(vegliasi.id):
        made, _key = commands.create_source(
            name="moduli-autunno", kind="webhook", actor=people.ada, now=NOW, mapping=MAPPING, auto_call=True
        )
    return made


@pytest.fixture
def stored(vegliasi, source):
    """Store a request of the source as the accept path does."""

    def store(body=LEAD, **fields):
        with brand_scope.use(vegliasi.id):
            return Submission.objects.create(
                **{
                    "source": source,
                    "request_id": str(new_id()),
                    "lead_id": f"LEAD_{new_id().int}"[:40],
                    "method": "POST",
                    "path": "/webhook-ingest/moduli-autunno",
                    "content_type": "application/json",
                    "body": json.dumps(body).encode(),
                    "body_hash": "0" * 64,
                    "status": "processed",
                    "queue_state": "done",
                    "received_at": NOW,
                    "visible_at": NOW,
                    **fields,
                }
            )

    return store


@pytest.fixture
def fresh(vegliasi):
    def read(source):
        with brand_scope.use(vegliasi.id):
            return Source.objects.get(pk=source.pk)

    return read


def test_without_sources_the_page_says_what_to_do(signed_in, ada):
    page = signed_in(ada).get("/sources").content.decode()
    assert "I lead di Vegliasì entreranno da qui" in page


def test_a_new_source_shows_its_key_once(signed_in, ada, vegliasi):
    client = signed_in(ada)
    form = {"kind": "webhook", "name": "moduli-inverno", "rate_limit_per_min": "60", "auto_call": "on"}
    answer = client.post("/sources/new", form)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert answer["Cache-Control"].startswith("max-age=0")
    with brand_scope.use(vegliasi.id):
        made = Source.objects.get(name="moduli-inverno")
    key = page.split('id="new-key">')[1].split("<")[0]
    assert rules.key_matches(key, made.api_key_hash)
    for tab in ("source", "source-address", "source-limits", "source-history"):
        assert key not in client.get(reverse(tab, args=[made.pk])).content.decode()


def test_a_taken_name_is_said_without_saying_whose(signed_in, carl, source):
    form = {"kind": "webhook", "name": "moduli-autunno", "rate_limit_per_min": "60"}
    answer = signed_in(carl).post("/sources/new", form)
    assert answer.status_code == 400
    assert "Vegliasì" not in answer.content.decode().split("fi-main")[1]


def test_a_sender_that_cannot_give_the_proof_is_told(signed_in, ada):
    form = {"kind": "elementor", "name": "sito", "rate_limit_per_min": "60", "auth_mode": "signature"}
    answer = signed_in(ada).post("/sources/new", form)
    assert answer.status_code == 400
    assert "Elementor non lo sa fare" in answer.content.decode()


def test_rotating_shows_the_new_key_and_ends_the_old_one(signed_in, ada, source, fresh):
    before = fresh(source)
    page = signed_in(ada).post(reverse("source-rotate", args=[source.pk])).content.decode()
    key = page.split('id="new-key">')[1].split("<")[0]
    after = fresh(source)
    assert rules.key_matches(key, after.api_key_hash)
    assert after.api_key_hash != before.api_key_hash
    assert f"La vecchia (finisce per {before.api_key_last4}) da adesso risponde 401." in page


def test_suspending_can_be_taken_back(signed_in, ada, source, fresh):
    client = signed_in(ada)
    client.post(reverse("source-switch", args=[source.pk]), {"on": "off"})
    assert not fresh(source).is_active
    assert "Sospesa" in client.get(reverse("source", args=[source.pk])).content.decode()
    client.post(reverse("source-on", args=[source.pk]))
    assert fresh(source).is_active


def test_the_mapping_shows_what_each_field_holds_here(signed_in, ada, source, stored):
    stored()
    page = signed_in(ada).get(reverse("source", args=[source.pk])).content.decode()
    assert "Onorina Baggio" in page
    assert "<code>form_id</code>" in page
    assert "Persona nuova" in page
    assert "diventa +39 347 000 3321" in page


def test_trying_a_mapping_answers_every_row_and_writes_nothing(signed_in, ada, source, stored, fresh):
    request = stored()
    rows = {
        "request": str(request.pk),
        "field": ["full_name", "phone", "email"],
        "path": ["field_data.full_name", "field_data.telefono", "field_data.mail"],
    }
    page = signed_in(ada).post(reverse("source-try", args=[source.pk]), rows).content.decode()
    assert "Non c’è, forse field_data.phone_number" in page
    assert "onorina@posta.example" in page
    assert 'id="trial" hx-swap-oob="true"' in page
    assert "Passa, con un avviso" in page
    assert fresh(source).mapping == MAPPING


def test_a_mapping_without_phone_or_email_does_not_pass(signed_in, ada, source, stored):
    request = stored({"field_data": {"full_name": "Rina"}})
    page = (
        signed_in(ada)
        .post(
            reverse("source-try", args=[source.pk]),
            {"request": str(request.pk), "field": ["full_name"], "path": ["field_data.full_name"]},
        )
        .content.decode()
    )
    assert "Non passa" in page
    assert "non sappiamo chi richiamare" in page


def test_saving_keeps_only_rows_with_a_path(signed_in, ada, source, stored, fresh):
    stored()
    rows = {
        "save": "1",
        "field": ["full_name", "phone", "email", "custom.hobby", "altro"],
        "path": ["field_data.full_name", "field_data.phone_number", "", "field_data.hobby", "x"],
    }
    answer = signed_in(ada).post(reverse("source", args=[source.pk]), rows)
    assert answer.status_code == 302
    assert fresh(source).mapping == MAPPING | {"field_data.hobby": "custom.hobby"}


def test_a_proposal_reads_the_names_of_the_request(signed_in, ada, source, stored, fresh):
    request = stored()
    page = (
        signed_in(ada)
        .post(
            reverse("source", args=[source.pk]),
            {"propose": "1", "request": str(request.pk), "field": [], "path": []},
        )
        .content.decode()
    )
    assert 'value="field_data.mail"' in page
    assert "bozza" in page
    assert fresh(source).mapping == MAPPING


def test_a_mapping_is_tried_on_the_latest_requests(signed_in, ada, source, stored):
    stored()
    stored({"field_data": {"full_name": "Rina"}})
    rows = {"many": "1", "field": ["phone"], "path": ["field_data.phone_number"]}
    page = signed_in(ada).post(reverse("source", args=[source.pk]), rows).content.decode()
    assert "1 su 2 passa." in page


def test_secrets_in_a_body_are_covered(signed_in, ada, source, stored):
    stored({**LEAD, "google_key": "segretissima"})
    assert "segretissima" not in signed_in(ada).get(reverse("source", args=[source.pk])).content.decode()


def test_limits_are_saved_and_stand_in_the_history_with_who(signed_in, ada, source, fresh):
    client = signed_in(ada)
    form = {
        "auth_mode": "api_key",
        "rate_limit_per_min": "120",
        "required_fields": ["phone"],
        "allowed_origins": "https://www.vegliasi.example\nvegliasi.example",
    }
    assert client.post(reverse("source-limits", args=[source.pk]), form).status_code == 302
    saved = fresh(source)
    assert saved.rate_limit_per_min == 120
    assert saved.required_fields == ["phone"]
    assert saved.allowed_origins == ["https://www.vegliasi.example", "https://vegliasi.example"]
    page = client.get(reverse("source-history", args=[source.pk])).content.decode()
    assert "Ada Rossi" in page
    assert "il limite al minuto" in page


@pytest.mark.parametrize(
    "address",
    [
        "source",
        "source-try",
        "source-address",
        "source-limits",
        "source-history",
        "source-rotate",
        "source-switch",
        "source-on",
    ],
)
def test_carl_gets_the_same_answer_as_for_a_random_source(signed_in, carl, source, address):
    client = signed_in(carl)
    for method in (client.get, client.post):
        theirs = method(reverse(address, args=[source.pk])).status_code
        random = method(reverse(address, args=[uuid4()])).status_code
        assert theirs == random
        assert theirs in (404, 405)


def test_bea_who_sells_does_not_see_the_sources(signed_in, bea, source):
    assert signed_in(bea).get("/sources").status_code == 404
    assert signed_in(bea).get(reverse("source", args=[source.pk])).status_code == 404
