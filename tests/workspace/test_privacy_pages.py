"""The privacy of a person and the rules of a brand, on their pages (GD-02, GD-06, GD-09 … GD-15, GD-29, GD-31)."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from filiera.capture.models import Source, Submission
from filiera.contacts import consents, restriction
from filiera.contacts.models import Consent, Contact, RetentionPolicy
from filiera.identity.models import AuditEntry, Brand
from filiera.journeys import lead_in
from filiera.pipeline.models import Activity, Deal
from filiera.platform import brand_scope
from filiera.platform.models import Event
from filiera.routing import gate, register
from filiera.routing.call_rules import Stop
from filiera.routing.models import Connection, OutboundNumber, Process, RegisterCheck
from tests.leads import incoming, submission, take_in

TEXT = "Acconsento a ricevere promozioni per telefono da Vegliasì"


@pytest.fixture
def adele(vegliasi: Any) -> Contact:
    with brand_scope.use(vegliasi.id):
        now = timezone.now()
        [lead] = take_in(incoming(received_at=now), now=now)
        return Contact.objects.get(id=lead.contact.id)


def record(client: Any, of: Contact, **fields: str) -> Any:
    given = {"scopo": "marketing", "canale": "call", "testo": TEXT, "come": "Modulo in fiera", "quando": ""}
    return client.post(f"/leads/{of.pk}/consents", given | fields)


def received(door: Source, body: dict[str, Any]) -> None:
    """Let a request come in by a door, and be taken in."""
    with brand_scope.use(door.brand_id):
        of = submission(door)
        Submission.objects.filter(id=of.id).update(
            body=json.dumps(body).encode(), content_type="application/json"
        )
    assert lead_in.drain(worker="test") == 1


# A person


def test_a_colleague_records_a_consent_with_its_proof(
    signed_in: Any, bea: Any, adele: Contact, vegliasi: Any
) -> None:
    client = signed_in(bea)
    assert record(client, adele, quando="2026-01-10T10:30").status_code == 302
    with brand_scope.use(vegliasi.id):
        one = Consent.objects.get()
        assert (one.purpose, one.channel, one.given, one.by_person) == ("marketing", "call", True, False)
        assert (one.text, one.collected_by) == (TEXT, "Modulo in fiera (Bea Neri)")
        assert one.at.isoformat() == "2026-01-10T09:30:00+00:00"
        assert (len(one.text_version), len(one.record_hash)) == (12, 64)
        assert consents.permissions_of(adele).of("marketing", "call").holds
    page = client.get(f"/leads/{adele.pk}/privacy").content.decode()
    assert TEXT in page
    assert "Modulo in fiera (Bea Neri)" in page


@pytest.mark.parametrize(
    "wrong",
    [{"testo": " "}, {"come": ""}, {"scopo": "notice"}, {"canale": ""}, {"canale": "piccione"},
     {"scopo": "profiling"}, {"quando": "2099-01-01T10:00"}],
)  # fmt: skip
def test_a_consent_without_its_proof_is_not_recorded_and_what_was_typed_stays(
    signed_in: Any, bea: Any, adele: Contact, vegliasi: Any, wrong: dict[str, str]
) -> None:
    answer = record(signed_in(bea), adele, **wrong)
    assert answer.status_code == 400
    if "testo" not in wrong:
        assert TEXT in answer.content.decode()
    with brand_scope.use(vegliasi.id):
        assert not Consent.objects.exists()


def test_a_consent_on_paper_ends_no_opposition(
    signed_in: Any, bea: Any, adele: Contact, vegliasi: Any
) -> None:
    with brand_scope.use(vegliasi.id):
        consents.withdraw(
            adele, text="No", collected_by="Bea", now=timezone.now(), channel="call", reason="opposed"
        )
    record(signed_in(bea), adele)
    with brand_scope.use(vegliasi.id):
        assert not consents.permissions_of(adele).of("marketing", "call").holds


def test_what_was_permitted_is_taken_back_on_one_channel_or_on_all(
    signed_in: Any, bea: Any, adele: Contact, vegliasi: Any
) -> None:
    client = signed_in(bea)
    record(client, adele)
    record(client, adele, canale="email")
    client.post(f"/leads/{adele.pk}/withdraw", {"canale": "call"})
    with brand_scope.use(vegliasi.id):
        found = consents.permissions_of(adele)
        assert (found.of("marketing", "call").holds, found.of("marketing", "email").holds) == (False, True)
    client.post(f"/leads/{adele.pk}/withdraw", {"canale": "any"})
    with brand_scope.use(vegliasi.id):
        assert not consents.permissions_of(adele).of("marketing", "email").holds
    assert client.post(f"/leads/{adele.pk}/withdraw", {"canale": "x"}).status_code == 400


def test_the_proofs_leave_as_json_and_that_is_on_record(
    signed_in: Any, ada: Any, bea: Any, adele: Contact, vegliasi: Any
) -> None:
    record(signed_in(bea), adele)
    assert signed_in(bea).post(f"/leads/{adele.pk}/evidence").status_code == 404
    answer = signed_in(ada).post(f"/leads/{adele.pk}/evidence")
    told = json.loads(answer.content)
    assert (answer["Content-Type"], answer["Cache-Control"]) == ("application/json", "no-store")
    assert told["permissions"] == [{"purpose": "marketing", "channel": "call", "holds": True}]
    [row] = told["records"]
    assert {
        "text",
        "text_version",
        "language",
        "form_url",
        "ip_address",
        "user_agent",
        "collected_by",
    } <= set(row)
    assert (row["text"], len(row["record_hash"])) == (TEXT, 64)
    with brand_scope.use(vegliasi.id):
        assert AuditEntry.objects.filter(action="EXPORT", entity_id=adele.pk, actor_user_id=ada.id).exists()


def test_the_switch_of_restriction_is_put_by_a_seller_and_lifted_by_an_administrator(
    signed_in: Any, ada: Any, bea: Any, adele: Contact
) -> None:
    seller, administrator = signed_in(bea), signed_in(ada)
    assert seller.post(f"/leads/{adele.pk}/restrict", {"motivo": " "}).status_code == 400
    seller.post(f"/leads/{adele.pk}/restrict", {"motivo": "Contesta l’indirizzo"})
    for address in (f"/leads/{adele.pk}", f"/leads/{adele.pk}/privacy"):
        page = seller.get(address).content.decode()
        assert "Contesta l’indirizzo" in page
        assert "Il trattamento dei suoi dati è limitato" in page
        assert "tel:" not in page
    assert seller.post(f"/leads/{adele.pk}/lift").status_code == 404
    administrator.post(f"/leads/{adele.pk}/lift")
    assert "Contesta" not in seller.get(f"/leads/{adele.pk}").content.decode()


# The button


def test_the_button_says_on_which_basis_one_may_call_and_why_not(
    signed_in: Any, bea: Any, adele: Contact, vegliasi: Any
) -> None:
    client = signed_in(bea)

    def button() -> str:
        page = client.get(f"/leads/{adele.pk}").content.decode()
        return page[page.index('class="fi-call"') : page.index("</header>", page.index('class="fi-call"'))]

    assert 'href="tel:+393510004127"' in button()
    assert "Consentita: risponde alla sua richiesta" in button()
    with brand_scope.use(vegliasi.id):
        Deal.objects.update(status="lost", closed_at=timezone.now())
    refused = button()
    assert "tel:" not in refused
    assert (
        '<button class="btn" type="button" aria-disabled="true" aria-describedby="call-why" title="'
        in refused
    )
    assert refused.count("Nessuna richiesta aperta e nessun consenso alle chiamate") == 2, "title and text"
    listed = client.get("/leads").content.decode()
    assert "tel:" not in listed
    assert "Nessuna richiesta aperta e nessun consenso alle chiamate" in listed


def test_the_call_that_the_gate_stops_is_refused_with_its_reason(
    signed_in: Any, bea: Any, adele: Contact, vegliasi: Any
) -> None:
    from filiera.routing import commands as routing
    from filiera.routing.models import Process

    with brand_scope.use(vegliasi.id):
        now = timezone.now()
        routing.request_calls(routing.assign(take_in(incoming(received_at=now), now=now), now=now), now=now)
        Process.objects.update(state="done")
        restriction.restrict(contact_id=adele.pk, reason="x", user_id=None, now=now)
    page = signed_in(bea).post(f"/leads/{adele.pk}/call", follow=True).content.decode()
    assert "Il trattamento dei suoi dati è limitato" in page
    with brand_scope.use(vegliasi.id):
        assert Process.objects.get().state == "done"


# A brand


def test_a_brand_says_on_request_only(signed_in: Any, ada: Any, vegliasi: Any) -> None:
    client = signed_in(ada)
    client.post("/privacy/chiamate", {"solo_richieste": "on"})
    vegliasi.refresh_from_db()
    assert vegliasi.settings["calls"] == {"request_only": True}
    assert f"/marchi/{vegliasi.id}#closed" in client.get("/privacy").content.decode()
    client.post("/privacy/chiamate", {})
    assert Brand.objects.get(id=vegliasi.id).settings["calls"] == {"request_only": False}


def test_the_result_of_a_check_is_uploaded_and_the_numbers_to_check_are_handed_out(
    signed_in: Any, ada: Any, adele: Contact, vegliasi: Any
) -> None:
    client = signed_in(ada)
    record(client, adele)
    handed = client.post("/privacy/registro-opposizioni/numeri")
    assert handed.content == b"+393510004127\r\n"
    when = timezone.localtime() - timedelta(hours=3)

    def upload(content: bytes) -> Any:
        file = SimpleUploadedFile("esiti.csv", content)
        return client.post(
            "/privacy/registro-opposizioni", {"file": file, "verifica": f"{when:%Y-%m-%dT%H:%M}"}, follow=True
        )

    page = upload(b"3510004127;forse\n3510004128;forse")
    assert page.status_code == 400
    assert "Riga 2: l’esito non è" in page.content.decode()
    assert "Letti 1 numeri, 0 iscritti" in upload(b"3510004127;non iscritto").content.decode()
    with brand_scope.use(vegliasi.id):
        assert RegisterCheck.objects.get().imported_by == ada
    assert client.post("/privacy/registro-opposizioni/numeri").content == b""
    assert client.post("/privacy/registro-opposizioni").status_code == 400


def test_our_numbers_say_whether_they_are_in_the_roc(signed_in: Any, ada: Any, vegliasi: Any) -> None:
    client = signed_in(ada)
    given = {"numero": "02 1234 5678", "nome": "Ufficio", "roc": "on", "data_roc": "2026-03-01"}
    client.post("/privacy/numeri", given)
    with brand_scope.use(vegliasi.id):
        one = OutboundNumber.objects.get()
        assert (one.number_e164, one.is_in_roc, str(one.roc_date)) == ("+390212345678", True, "2026-03-01")
    assert "Nel ROC" in client.get("/privacy").content.decode()
    assert client.post("/privacy/numeri", {"numero": "02 1234 5679", "roc": "on"}).status_code == 400
    assert client.post("/privacy/numeri", {"numero": "12"}).status_code == 400
    client.post(f"/privacy/numeri/{one.pk}")
    with brand_scope.use(vegliasi.id):
        assert not OutboundNumber.objects.exists()


def test_where_calls_begin_is_noted_with_who_looked(signed_in: Any, ada: Any, vegliasi: Any) -> None:
    client = signed_in(ada)
    assert client.post("/privacy/centralino", {"nota": "Contratto, art. 7"}).status_code == 404
    with brand_scope.use(vegliasi.id):
        Connection.objects.create(account="cloudtalk:x", base_url="https://pbx.example/api")
    assert "Non ancora verificato" in client.get("/privacy").content.decode()
    assert client.post("/privacy/centralino", {"nota": ""}).status_code == 400
    client.post("/privacy/centralino", {"nota": "Contratto, art. 7"})
    page = client.get("/privacy").content.decode()
    assert "da Ada Rossi" in page
    assert "Contratto, art. 7" in page


def test_a_term_is_changed_with_a_reason_and_taken_back(signed_in: Any, ada: Any, vegliasi: Any) -> None:
    client = signed_in(ada)
    given = {"classe": "enquiries", "mesi": "18", "motivo": "Le trattative durano di più"}
    client.post("/privacy/conservazione", given)
    with brand_scope.use(vegliasi.id):
        one = RetentionPolicy.objects.get()
        assert (one.data_class, one.months, one.owner) == ("enquiries", 18, "Ada Rossi")
    for wrong in ({"mesi": "0"}, {"mesi": "x"}, {"motivo": ""}, {"classe": "tutto"}):
        assert client.post("/privacy/conservazione", given | wrong).status_code == 400
    client.post("/privacy/conservazione", {"classe": "enquiries", "come": "default"})
    with brand_scope.use(vegliasi.id):
        assert not RetentionPolicy.objects.exists()


def test_the_rules_are_for_administrators_alone(signed_in: Any, bea: Any) -> None:
    client = signed_in(bea)
    assert client.get("/privacy").status_code == 404
    assert client.post("/privacy/chiamate").status_code == 404
    assert 'href="/privacy"' not in client.get("/oggi").content.decode()


# What is said first on the phone (GD-15)


def test_a_promotion_is_saved_only_when_the_opening_was_said(
    signed_in: Any, bea: Any, adele: Contact, vegliasi: Any
) -> None:
    client, now = signed_in(bea), timezone.now()
    answering = client.get(f"/leads/{adele.pk}").content.decode()
    assert "Buongiorno, sono Bea Neri e chiamo per Vegliasì." in answering
    assert "Ho il suo numero dalla richiesta che ci ha mandato il" in answering
    assert 'name="apertura"' not in answering, "shown, not asked for"
    client.post(f"/leads/{adele.pk}/activities", {"tipo": "chiamata", "nota": "Risposto"})
    record(client, adele)
    with brand_scope.use(vegliasi.id):
        assert Activity.objects.count() == 1
        Deal.objects.update(status="lost", closed_at=now)
        register.take(b"3510004127;no", checked_at=now, user_id=None, now=now)
    promoting = client.get(f"/leads/{adele.pk}").content.decode()
    assert "Ho il suo numero perché ha acconsentito il" in promoting
    assert promoting.count('name="apertura"') == 2, "in the line and in the dialog"
    page = client.post(f"/leads/{adele.pk}/activities", {"tipo": "chiamata", "nota": "Sì"}, follow=True)
    assert "prima di salvare la chiamata spunta l’avviso di apertura" in page.content.decode()
    client.post(f"/leads/{adele.pk}/activities", {"tipo": "nota", "nota": "Da richiamare"})
    client.post(f"/leads/{adele.pk}/activities", {"tipo": "chiamata", "nota": "Sì", "apertura": "on"})
    with brand_scope.use(vegliasi.id):
        assert sorted(Activity.objects.values_list("note", flat=True)) == ["Da richiamare", "Risposto", "Sì"]
        said = Event.objects.get(kind="call.opening_said")
        assert (said.subject_id, said.data) == (adele.pk, {"user_id": str(bea.pk)})


def test_a_program_and_a_ticked_task_are_asked_for_the_opening_too(
    signed_in: Any, bea: Any, adele: Contact, vegliasi: Any
) -> None:
    client, now = signed_in(bea), timezone.now()
    record(client, adele)
    with brand_scope.use(vegliasi.id):
        Deal.objects.update(status="lost", closed_at=now)
        register.take(b"3510004127;no", checked_at=now, user_id=None, now=now)

    def save(**fields: Any) -> Any:
        given = {"type": "chiamata", "contact_id": str(adele.pk)} | fields
        return client.post("/api/v1/activities", given, content_type="application/json")

    refused = save()
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "OPENING_NOT_SAID")
    assert save(direction="incoming").status_code == 201, "they rang us"
    assert save(opening_said=True).status_code == 201
    planned = save(status="planned", scheduled_at="2099-01-01T10:00:00Z").json()["data"]["id"]
    page = client.post(f"/activities/{planned}/finish", follow=True).content.decode()
    assert "salva la chiamata qui sotto, con l’avviso di apertura" in page
    address = f"/api/v1/activities/{planned}"
    done = {"status": "done"}
    assert client.patch(address, done, content_type="application/json").status_code == 409
    done["opening_said"] = True  # type: ignore[assignment]
    assert client.patch(address, done, content_type="application/json").status_code == 200


# The box on our own form (GD-03)


@pytest.fixture
def landing(vegliasi: Any) -> Source:
    with brand_scope.use(vegliasi.id):
        return Source.objects.create(
            name="landing-vegliasi", kind="landing", auth_mode="public", auto_call=True
        )


def test_the_box_for_promotions_is_optional_never_ticked_and_its_words_are_the_evidence(
    signed_in: Any, ada: Any, landing: Source, vegliasi: Any
) -> None:
    form = signed_in(ada).get("/l/landing-vegliasi").content.decode()
    assert "promozioni" not in form
    box = "Acconsento a ricevere promozioni di Vegliasì per telefono e via e-mail"
    signed_in(ada).post(f"/privacy/moduli/{landing.pk}", {"testo": f"  {box}\n"})
    assert "Permette: telefono, e-mail." in signed_in(ada).get("/privacy").content.decode()
    form = signed_in(ada).get("/l/landing-vegliasi").content.decode()
    [shown] = re.findall(r"<input[^>]*type=\"checkbox\"[^>]*name=\"Acconsento[^>]*>", form)
    assert f'name="{box}"' in shown
    assert "checked" not in shown
    assert "required" not in shown
    sent = {"nome": "Adele", "cognome": "Brunetti", "email": "a@posta.example", "telefono": "3510004127"}
    received(landing, sent)
    with brand_scope.use(vegliasi.id):
        assert Contact.objects.count() == 1, "the form works without"
        assert not Consent.objects.exists()
    received(landing, {**sent, box: True})
    with brand_scope.use(vegliasi.id):
        rows = {(one.channel, one.given, one.by_person, one.text) for one in Consent.objects.all()}
        assert rows == {("call", True, True, box), ("email", True, True, box)}


@pytest.mark.parametrize(
    "wrong", ["Voglio promozioni per telefono", "Acconsento", "Acconsento a promozioni e cessione a terzi"]
)
def test_a_box_that_would_prove_nothing_is_refused(
    signed_in: Any, ada: Any, landing: Source, vegliasi: Any, wrong: str
) -> None:
    assert signed_in(ada).post(f"/privacy/moduli/{landing.pk}", {"testo": wrong}).status_code == 400
    with brand_scope.use(vegliasi.id):
        assert Source.objects.get().form == {}


# Lists that were bought (GD-07)


def test_a_bought_list_is_no_request_and_counts_for_nothing_without_its_proof(
    signed_in: Any, ada: Any, vegliasi: Any
) -> None:
    client, now = signed_in(ada), timezone.now()
    with brand_scope.use(vegliasi.id):
        door = Source.objects.create(name="lista", kind="webhook", auto_call=True)
    given = {"fonte_lista": str(door.pk), "fornitore": "Liste Srl", "comprata": "2026-03-01"}
    assert client.post("/privacy/liste", given | {"fornitore": ""}).status_code == 400
    client.post("/privacy/liste", given)
    assert "Non si chiama" in client.get("/privacy").content.decode()
    received(door, {"nome": "Ugo", "telefono": "3510004140", "Acconsento alle promozioni per telefono": True})
    with brand_scope.use(vegliasi.id):
        ugo = Contact.objects.get()
        assert not Process.objects.exists(), "nobody is rung by itself"
        register.take(b"3510004140;no", checked_at=now, user_id=None, now=now)
        assert gate.verdict_of(ugo.id, now=now).stop is Stop.NO_PROOF
    client.post("/privacy/liste", given | {"prova": "Registro del fornitore, righe 1-900", "campione": "on"})
    page = client.get("/privacy").content.decode()
    assert "Con prova" in page
    assert "Campione controllato da Ada Rossi." in page
    with brand_scope.use(vegliasi.id):
        found = gate.verdict_of(ugo.id, now=now)
        assert found.is_promotion or found.stop is Stop.CLOSED_WINDOW


def test_oggi_does_not_ask_to_call_whom_one_may_not(
    signed_in: Any, bea: Any, adele: Contact, vegliasi: Any
) -> None:
    client, now = signed_in(bea), timezone.now()
    client.post(
        "/api/v1/activities",
        {
            "type": "chiamata",
            "contact_id": str(adele.pk),
            "status": "planned",
            "scheduled_at": now.isoformat(),
        },
        content_type="application/json",
    )

    def callbacks() -> str:
        page = client.get("/oggi").content.decode()
        return page[page.index('aria-labelledby="callbacks-h"') :].split("</section>")[0]

    assert 'title="Consentita: risponde alla sua richiesta' in callbacks()
    with brand_scope.use(vegliasi.id):
        restriction.restrict(contact_id=adele.pk, reason="x", user_id=None, now=now)
    refused = callbacks()
    assert "Chiama</a>" not in refused
    assert refused.count("Il trattamento dei suoi dati è limitato") == 2, "title and text"
