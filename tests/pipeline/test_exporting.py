"""Leads taken away as a file (CON-31, Q-34)."""

import json
from typing import Any

from filiera.contacts.models import Contact
from filiera.identity.models import AuditEntry
from filiera.pipeline import exporting
from filiera.platform import brand_scope
from tests.leads import incoming, take_in


def body_of(answer: Any) -> str:
    return b"".join(answer.streaming_content).decode()


def test_a_list_is_taken_away_with_its_filters_and_without_formulas(
    signed_in: Any, ada: Any, vegliasi: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(exporting, "SET", 1)
    with brand_scope.use(vegliasi.id):
        take_in(
            incoming(city="=HYPERLINK(1)"),
            incoming(phone="041 000 2290", email="zanin@posta.example", first_name="Nino"),
            incoming(phone="041 000 2291", email="moro@posta.example", first_name="Lia"),
        )
        Contact.objects.filter(first_name="Lia").update(status="caldo")
    lines = body_of(signed_in(ada).get("/api/v1/leads/export?format=csv&status=nuovo")).splitlines()
    assert lines[0].startswith("\ufeffIdentificativo;Nome;Cognome;Telefono;E-mail;")
    assert len(lines) == 3
    assert "'=HYPERLINK(1)" in "".join(lines)
    assert "'+393510004127" in "".join(lines)
    with brand_scope.use(vegliasi.id):
        [entry] = AuditEntry.objects.filter(action="EXPORT", entity_type="contacts")
    assert entry.actor_user_id == ada.pk
    told = entry.after or entry.before
    assert told == {"format": "csv", "leads": 2, "asked": "format=csv&status=nuovo"}


def test_the_page_gives_what_it_shows_and_programs_get_lines_of_json(
    signed_in: Any, ada: Any, bea: Any, carl: Any, vegliasi: Any
) -> None:
    with brand_scope.use(vegliasi.id):
        take_in(incoming(), incoming(phone="041 000 2290", email="zanin@posta.example", first_name="Nino"))
    found = body_of(signed_in(ada).get("/leads/esporta?q=Nino&formato=jsonl")).splitlines()
    assert [json.loads(line)["first_name"] for line in found] == ["Nino"]
    assert json.loads(found[0])["phone"] == "+390410002290"
    assert signed_in(bea).get("/leads/esporta").status_code == 404
    assert signed_in(bea).get("/api/v1/leads/export").status_code == 403
    assert body_of(signed_in(carl).get("/api/v1/leads/export?format=jsonl")) == ""


def test_those_ticked_in_the_list_are_taken_away_or_all_that_it_finds(
    signed_in: Any, ada: Any, vegliasi: Any
) -> None:
    """UI-26."""
    with brand_scope.use(vegliasi.id):
        take_in(
            incoming(),
            incoming(phone="041 000 2290", email="zanin@posta.example", first_name="Nino"),
            incoming(phone="041 000 2291", email="moro@posta.example", first_name="Lia"),
        )
        two = list(Contact.objects.exclude(first_name="Lia").values_list("pk", flat=True))
    browser = signed_in(ada)
    ticked = body_of(browser.post("/leads/esporta", {"lead": [*two, "nobody"]})).splitlines()
    assert len(ticked) == 3
    assert "Lia" not in "".join(ticked)
    everybody = body_of(browser.post("/leads/esporta", {"lead": two[:1], "tutti": "?stato=nuovo"}))
    assert len(everybody.splitlines()) == 4
    assert browser.post("/leads/esporta").status_code == 302


def test_what_was_taken_away_comes_back_by_itself(signed_in: Any, ada: Any, vegliasi: Any) -> None:
    """The titles of an export are known to the import."""
    from filiera.contacts.importing import fields

    with brand_scope.use(vegliasi.id):
        suggested = set(fields.suggested(list(exporting.titles().values())).values())
    assert suggested >= {"first_name", "last_name", "phone", "email", "company_name", "city", "cap", "status"}
    assert suggested >= {"source", "owner", "arrived", "notes"}
