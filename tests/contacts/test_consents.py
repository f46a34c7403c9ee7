"""Consent as evidence, its withdrawal, and the list of who must not be contacted (GD-01 … GD-06, GD-28)."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import InternalError, ProgrammingError, connection, transaction
from django.test import Client

from filiera.capture.models import Source, Submission
from filiera.contacts import consent_rules, consents, suppressions
from filiera.contacts.models import Consent, Suppression
from tests.leads import NOW, incoming, source, submission, take_in

PROMOTIONS = "Acconsento a ricevere promozioni per telefono e via e-mail"
BY_MAIL = "Sì, voglio offerte commerciali"


def boxes(*texts: str, answer: Any = True) -> dict[str, Any]:
    return {
        "consents": [{"question": text, "answer": answer, "form_id": "f7"} for text in texts],
        "attribution": {"page_url": "https://vegliasi.example/richiesta"},
    }


@pytest.mark.parametrize(
    ("question", "answer", "found"),
    [
        (PROMOTIONS, True, [("marketing", "call", True), ("marketing", "email", True)]),
        (BY_MAIL, "on", [("marketing", "email", True)]),
        (BY_MAIL, "No", [("marketing", "email", False)]),
        (BY_MAIL, False, [("marketing", "email", False)]),
        ("Marketing", "Non acconsento", [("marketing", "email", False)]),
        ("Iscrivimi alla newsletter", "1", [("newsletter", "email", True)]),
        ("Acconsento alla profilazione", True, [("profiling", "", True)]),
        ("Accetti l'informativa?", True, [("notice", "", True)]),
        ("Acconsento al marketing e alla cessione a terzi", True, [("bundled", "", True)]),
        ("5.2", "Acconsento a comunicazioni commerciali via SMS", [("marketing", "sms", True)]),
    ],
)
def test_a_box_gives_the_one_purpose_and_the_channels_that_it_names(
    question: str, answer: Any, found: list[tuple[str, str, bool]]
) -> None:
    assert [(one.purpose, one.channel, one.given) for one in consent_rules.read(question, answer)] == found


def test_a_form_leaves_a_row_for_each_permission_with_its_proof(in_vegliasi: Any) -> None:
    of = source(auth_mode="public")
    sent = submission(of)
    Submission.objects.filter(id=sent.id).update(ip_address="203.0.113.7", user_agent="Firefox")
    lead = incoming(submission_id=sent.id, custom=boxes(PROMOTIONS, "Ho letto l'informativa"))
    [taken] = take_in(lead)
    rows = {(one.purpose, one.channel): one for one in Consent.objects.all()}
    assert set(rows) == {("marketing", "call"), ("marketing", "email"), ("notice", "")}
    call = rows["marketing", "call"]
    assert (call.contact_id, call.submission_id, call.given, call.by_person) == (
        taken.contact.id,
        sent.id,
        True,
        True,
    )
    assert call.text == PROMOTIONS
    assert call.text_version.startswith("f7:")
    assert (call.form_url, call.language) == ("https://vegliasi.example/richiesta", "it")
    assert (call.ip_address, call.user_agent) == ("203.0.113.7", "Firefox")
    assert (call.collected_by, call.at) == (of.name, lead.received_at)
    assert len(call.record_hash) == 64
    take_in(lead)
    assert Consent.objects.count() == 3, "a second run adds nothing"


def test_the_server_that_passes_a_form_on_is_not_the_person(in_vegliasi: Any) -> None:
    of = source("modulo-sito")
    Source.objects.filter(id=of.id).update(kind="webhook", auth_mode="api_key")
    sent = submission(of)
    Submission.objects.filter(id=sent.id).update(ip_address="203.0.113.7", user_agent="curl")
    take_in(incoming(submission_id=sent.id, custom=boxes(BY_MAIL)))
    one = Consent.objects.get()
    assert (one.ip_address, one.user_agent, one.collected_by) == (None, "", of.name)


@pytest.mark.parametrize(
    "statement",
    [
        "update contacts_consent set given = not given",
        "delete from contacts_consent",
        "update contacts_suppression set channel = 'sms'",
        "delete from contacts_suppression",
    ],
)
def test_evidence_is_only_ever_added(in_vegliasi: Any, statement: str) -> None:
    take_in(incoming(custom=boxes(BY_MAIL)))
    with (
        pytest.raises((InternalError, ProgrammingError), match="permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_the_latest_word_holds_and_a_bundle_or_a_notice_permit_nothing(in_vegliasi: Any) -> None:
    later = {"received_at": NOW + timedelta(hours=1)}
    [taken] = take_in(incoming(custom=boxes(PROMOTIONS, "Letta l'informativa", "Marketing e terzi")))
    found = consents.permissions_of(taken.contact)
    assert {(one.purpose, one.channel) for one in found.rows if one.holds} == {
        ("marketing", "call"),
        ("marketing", "email"),
    }
    take_in(incoming(custom=boxes(PROMOTIONS, answer="no"), **later))
    assert not any(one.holds for one in consents.permissions_of(taken.contact).rows)


def test_one_click_without_an_account_takes_everything_back_and_a_link_scanner_nothing(
    vegliasi: Any, quadranorma: Any
) -> None:
    from filiera.platform import brand_scope

    with brand_scope.use(vegliasi.id):
        [taken] = take_in(incoming(custom=boxes(PROMOTIONS)))
    address = f"/permessi/{consents.token_of(taken.contact)}"
    stranger = Client(enforce_csrf_checks=True)
    assert "Revoca tutto" in stranger.get(address).content.decode()
    with brand_scope.use(vegliasi.id):
        assert consents.permissions_of(taken.contact).of("marketing", "call").holds
    answer = stranger.post(address, {"List-Unsubscribe": "One-Click"}, REMOTE_ADDR="203.0.113.8")
    assert answer.status_code == 200
    assert "non ti manda più promozioni" in answer.content.decode()
    with brand_scope.use(vegliasi.id):
        assert not any(one.holds for one in consents.permissions_of(taken.contact).rows)
        proof = Consent.objects.filter(given=False).first()
        assert proof is not None
        assert (proof.ip_address, proof.collected_by) == ("203.0.113.8", "permission page")
        assert {one.kind for one in Suppression.objects.all()} == {"phone", "email"}
    assert stranger.post(address[:-1] + "x").status_code == 404
    assert stranger.get("/permessi/qualunque").status_code == 404


def test_the_list_holds_no_number_or_address_and_differs_by_brand(vegliasi: Any, quadranorma: Any) -> None:
    from filiera.platform import brand_scope

    key, hashes = "+393510004127", set()
    for brand in (vegliasi, quadranorma):
        with brand_scope.use(brand.id):
            suppressions.add([key], reason="opposed", now=NOW)
            [row] = Suppression.objects.values("hash", "kind")
            assert key not in str(row)
            hashes.add(row["hash"])
    assert len(hashes) == 2
    with brand_scope.use(vegliasi.id):
        assert suppressions.suppressed({key, "+393510004128", "adele@posta.example"}) == {key}


def opposed(later: timedelta, **fields: Any) -> Any:
    [taken] = take_in(incoming())
    consents.withdraw(taken.contact, text="Basta", collected_by="prova", now=NOW + timedelta(minutes=5))
    [again] = take_in(incoming(received_at=NOW + later, **fields), now=NOW + later)
    return again


def test_an_import_brings_nobody_back_who_opposed(in_vegliasi: Any) -> None:
    again = opposed(timedelta(days=1), custom=boxes(PROMOTIONS), is_own_act=False)
    assert again.contact.is_suppressed
    assert not any(one.holds for one in consents.permissions_of(again.contact).rows)


def test_a_form_of_their_own_does(in_vegliasi: Any) -> None:
    again = opposed(timedelta(days=1), custom=boxes(PROMOTIONS), is_own_act=True)
    assert not again.contact.is_suppressed
    assert consents.permissions_of(again.contact).of("marketing", "call").holds


def test_no_call_leaves_for_an_opposed_person_who_comes_by_an_import(in_vegliasi: Any) -> None:
    from filiera.routing import commands as routing
    from filiera.routing.models import Process

    again = opposed(timedelta(days=1), is_own_act=False)
    routing.request_calls(routing.assign([again], now=NOW), now=NOW)
    assert not Process.objects.exists()


def test_a_batch_asks_the_list_once_and_only_about_what_is_no_form(
    in_vegliasi: Any, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        assert suppressions.suppressed(set()) == set()
    with django_assert_num_queries(1):
        suppressions.suppressed({f"+39351000{number:04}" for number in range(500)})


def test_do_not_call_again_blocks_at_once_and_shows_on_the_record(
    signed_in: Any, bea: Any, vegliasi: Any
) -> None:
    from filiera.platform import brand_scope

    with brand_scope.use(vegliasi.id):
        [taken] = take_in(incoming(custom=boxes(PROMOTIONS)))
    page = f"/leads/{taken.contact.id}"
    shown = signed_in(bea).get(page).content.decode()
    assert "prova salvata" in shown
    assert "Non vuole più essere chiamato" in shown
    signed_in(bea).post(f"{page}/oppose")
    shown = signed_in(bea).get(page).content.decode()
    assert "si è opposta" in shown
    assert "Non vuole più essere chiamato" not in shown
    with brand_scope.use(vegliasi.id):
        found = consents.permissions_of(taken.contact)
        assert not found.of("marketing", "call").holds
        assert found.of("marketing", "email").holds, "only the calls were meant"


def test_each_row_is_sealed_by_the_database(in_vegliasi: Any) -> None:
    take_in(incoming(custom=boxes(BY_MAIL)))
    with connection.cursor() as cursor:
        cursor.execute("set local timezone = 'UTC'")
        cursor.execute(
            "select record_hash = encode(sha256(convert_to((to_jsonb(c) - 'record_hash')::text, 'UTF8')), 'hex')"
            " from contacts_consent c"
        )
        assert cursor.fetchone() == (True,)
    with psycopg.connect(settings.DATABASE_URLS.app) as app:
        assert app.execute("select count(*) from contacts_consent").fetchone() == (0,), "no brand, no rows"
