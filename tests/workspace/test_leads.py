"""The list of leads, the record, and what one does on it."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from filiera.contacts.models import Contact, ContactPhone
from filiera.pipeline.models import Activity, Deal, Stage
from filiera.platform import brand_scope, formats
from filiera.routing import rules
from filiera.routing.call_rules import ITALIAN
from filiera.routing.models import Process
from filiera.workspace import lead_list

SignedIn = Callable[[Any], Any]


@pytest.fixture
def bea(morning: Any, people: Any, signed_in: SignedIn) -> Any:
    """Bea's browser, in a Vegliasì with a morning of leads."""
    return signed_in(people.bea)


@pytest.fixture
def scope(morning: Any) -> Any:
    """Look into the brand's rows: `with scope():`."""
    return lambda: brand_scope.use(morning.id)


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def named(first_name: str) -> Contact:
    return Contact.objects.get(first_name=first_name)


# The list


def test_the_list_shows_newest_first_with_count_and_sum(bea: Any) -> None:
    page = text(bea.get("/leads"))
    assert page.index("Adele Brunetti") < page.index("Corrado Mezzasalma") < page.index("Duilio Ferrante")
    assert '8 di 8, somma <strong class="num">7.570 €</strong> nei visibili' in page


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("stato=in_contatto", {"Nives", "Fulvia", "Duilio"}),
        ("titolare=io&stato=nuovo", {"Adele", "Cesira"}),
        ("titolare=nessuno&stato=in_contatto", {"Duilio"}),
        ("q=brun", {"Adele"}),
        ("q=Adele+Bru", {"Adele"}),
        ("q=%2B39+351+000+4127", {"Adele"}),
        ("q=3510004127", {"Adele"}),
        ("q=NIVES.pellegrin%40posta.example", {"Nives"}),
        ("prossima=nessuna&stato=nuovo", {"Adele", "Corrado", "Ottavio", "Egidio"}),
        ("stato=caldo", set()),
        ("q=%25", set()),
    ],
)
def test_filters_of_the_address_hold(bea: Any, query: str, names: set[str]) -> None:
    rows = bea.get(f"/leads?{query}").context["list"].rows
    assert {row.lead.first_name for row in rows} == names


def test_a_source_is_a_filter_with_its_chip(bea: Any, scope: Any) -> None:
    with scope():
        source = named("Corrado").marketing_source_id
    page = text(bea.get(f"/leads?fonte={source}"))
    assert "Corrado Mezzasalma" in page
    assert "Adele Brunetti" not in page
    assert "Fonte <b>Meta</b>" in page


@pytest.mark.parametrize(
    "query", ["stato=boh", "fonte=x", "titolare=%27--", "dopo=niente", "arrivato=sempre", "q=%00"]
)
def test_what_the_list_does_not_understand_is_left_out(bea: Any, query: str) -> None:
    assert len(bea.get(f"/leads?{query}").context["list"].rows) == 8


def test_pages_follow_each_other_without_gaps_or_repeats(bea: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lead_list, "PAGE", 3)
    seen: list[str] = []
    after = ""
    for _page in range(3):
        found = bea.get("/leads", {"dopo": after}).context["list"]
        seen += [row.lead.first_name for row in found.rows]
        after = found.after
    assert after == ""
    assert len(seen) == len(set(seen)) == 8


def test_no_results_name_the_filters_and_what_each_costs(bea: Any) -> None:
    page = text(bea.get("/leads?stato=caldo&arrivato=oggi"))
    assert "Nessun lead con questi 2 filtri." in page
    assert "Senza “Caldo” sono" in page
    assert "Togli tutti" in page


def test_first_use_explains_instead_of_an_empty_table(people: Any, signed_in: SignedIn) -> None:
    page = text(signed_in(people.carl).get("/leads"))
    assert "Il primo lead di Quadranorma arriverà qui" in page
    assert "<table" not in page


def test_the_list_costs_the_same_number_of_statements_for_any_number_of_rows(
    bea: Any, scope: Any, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(19):
        bea.get("/leads")


def test_a_record_costs_a_bounded_number_of_statements_whatever_happened(
    bea: Any, scope: Any, django_assert_max_num_queries: Any
) -> None:
    with scope():
        everybody = [contact.pk for contact in Contact.objects.all()]
    for contact_id in everybody:
        with django_assert_max_num_queries(37):
            bea.get(f"/leads/{contact_id}")


def test_the_chosen_leads_go_to_a_colleague(bea: Any, people: Any, scope: Any) -> None:
    with scope():
        chosen = [str(named("Corrado").pk), str(named("Ottavio").pk)]
    answer = bea.post("/leads/assign", {"lead": chosen, "owner": str(people.ada.pk), "next": "/leads"})
    assert answer["Location"] == "/leads"
    assert "Assegna a Ada Rossi: 2 lead." in text(bea.get("/leads"))
    with scope():
        assert set(Contact.objects.filter(assigned_user=people.ada).values_list("first_name", flat=True)) == {
            "Corrado",
            "Ottavio",
        }


# The record


def test_the_record_tells_the_story_newest_first(bea: Any, scope: Any) -> None:
    with scope():
        pk = named("Nives").pk
    page = text(bea.get(f"/leads/{pk}"))
    assert page.index("Oreste Belluno ha risposto allo squillo") < page.index("Trattativa aperta in")
    assert "Ha chiesto PREMIUM · AVANZATO" in page
    assert "In conversazione 3:12." in page
    assert "Consentita: risponde alla sua richiesta" in page


@pytest.mark.parametrize(
    ("name", "state"),
    [("Nives", "allowed"), ("Egidio", "number"), ("Adele", "ringing")],
)
def test_the_call_button_says_before_the_click_whether_one_may(
    bea: Any, scope: Any, name: str, state: str
) -> None:
    with scope():
        pk = named(name).pk
    assert bea.get(f"/leads/{pk}").context["record"].call.state == state


def test_outside_working_hours_the_button_says_when(bea: Any, scope: Any, morning: Any) -> None:
    today = timezone.localtime(timezone=ZoneInfo(morning.timezone)).date()
    day = next(
        day for day in (today + timedelta(days=1 + n) for n in range(6)) if not ITALIAN.why_closed(day)
    )
    morning.settings = {"working_hours": {rules.DAYS[day.weekday()]: [["09:00", "13:00"]]}}
    morning.save()
    opens = datetime.combine(day, time(9), ZoneInfo(morning.timezone))
    with scope():
        pk = named("Nives").pk
    call = bea.get(f"/leads/{pk}").context["record"].call
    with timezone.override(morning.timezone):
        assert (call.state, call.why) == ("later", f"Si chiama da {formats.moment(opens, timezone.now())}")


def test_another_brands_record_looks_missing(
    scope: Any, people: Any, signed_in: SignedIn, morning: Any
) -> None:
    with scope():
        pk = named("Adele").pk
    carl = signed_in(people.carl)
    for path in ("", "/accanto", "/why", "/phone", "/fields/phone"):
        answer = carl.get(f"/leads/{pk}{path}")
        assert answer.status_code == 404
        assert "Brunetti" not in text(answer)
    for path in ("activities", "move", "delete", "call", "reopen", "fields/city"):
        assert carl.post(f"/leads/{pk}/{path}", {"tipo": "nota", "value": "x"}).status_code == 404
    with scope():
        assert named("Adele").deleted_at is None
        assert not Activity.objects.filter(contact=pk).exists()


def test_a_call_that_was_made_moves_the_lead_and_shows_at_once(bea: Any, scope: Any, people: Any) -> None:
    """PIP-20, PIP-22: saving answers with a toast, the new state and the timeline."""
    with scope():
        pk = named("Ottavio").pk
    answer = bea.post(f"/leads/{pk}/activities", {"tipo": "chiamata", "nota": "Richiama domani."})
    assert answer["Location"] == f"/leads/{pk}"
    page = text(bea.get(f"/leads/{pk}"))
    assert "Chiamata salvata. Ora è In Contatto." in page
    assert "<strong>Bea Neri</strong> ha registrato: <strong>Chiamata</strong>" in page
    assert "<blockquote>Richiama domani.</blockquote>" in page
    with scope():
        assert named("Ottavio").status == "in_contatto"


def test_a_date_ahead_makes_it_something_to_do(bea: Any, scope: Any) -> None:
    with scope():
        pk = named("Ottavio").pk
    ahead = timezone.localtime() + timedelta(days=3)
    bea.post(f"/leads/{pk}/activities", {"tipo": "chiamata", "data": ahead.strftime("%Y-%m-%dT%H:%M")})
    assert "Da fare: <strong>Chiamata</strong>" in text(bea.get(f"/leads/{pk}"))
    with scope():
        planned = Activity.objects.get(contact=pk, status="planned")
        assert named("Ottavio").status == "nuovo"
    bea.post(f"/activities/{planned.pk}/finish", {"stato": "done"})
    with scope():
        assert Activity.objects.get(pk=planned.pk).status == "done"
        assert named("Ottavio").status == "in_contatto"


def test_an_unknown_type_of_activity_is_refused_and_nothing_is_written(bea: Any, scope: Any) -> None:
    with scope():
        pk = named("Ottavio").pk
    assert bea.post(f"/leads/{pk}/activities", {"tipo": "balletto"}).status_code == 400
    with scope():
        assert not Activity.objects.filter(contact=pk).exists()


def test_a_stage_is_one_click_and_the_end_takes_amount_and_reason(bea: Any, scope: Any) -> None:
    with scope():
        pk = named("Ottavio").pk
        deal = Deal.objects.get(contact=pk)
        stages = {stage.lead_state: stage.pk for stage in Stage.objects.all()}
    bea.post(f"/leads/{pk}/move", {"stage": stages["caldo"], "version": deal.version})
    with scope():
        deal.refresh_from_db()
        assert (deal.current_stage_id, named("Ottavio").status) == (stages["caldo"], "caldo")
    bea.post(
        f"/leads/{pk}/move", {"stage": stages["chiuso_vinto"], "version": deal.version, "amount": "1.140,50"}
    )
    with scope():
        deal.refresh_from_db()
        assert (deal.status, deal.amount) == ("won", Decimal("1140.50"))


def test_a_stale_page_moves_nothing_and_says_so(bea: Any, scope: Any) -> None:
    with scope():
        pk = named("Ottavio").pk
        deal = Deal.objects.get(contact=pk)
        stage = Stage.objects.get(lead_state="caldo")
    bea.post(f"/leads/{pk}/move", {"stage": stage.pk, "version": deal.version + 7})
    assert "Nel frattempo qualcuno l’ha cambiata." in text(bea.get(f"/leads/{pk}"))
    with scope():
        assert Deal.objects.get(pk=deal.pk).current_stage_id == deal.current_stage_id


def test_a_field_is_edited_in_place(bea: Any, scope: Any) -> None:
    with scope():
        pk = named("Adele").pk
    editor = text(bea.get(f"/leads/{pk}/fields/city"))
    assert 'value="Mirano"' in editor
    saved = bea.post(
        f"/leads/{pk}/fields/city", {"value": "Noale", "was": "Mirano"}, headers={"HX-Request": "true"}
    )
    assert "Noale" in text(saved)
    with scope():
        assert named("Adele").city == "Noale"


def test_a_field_that_changed_meanwhile_is_not_overwritten_unseen(bea: Any, scope: Any) -> None:
    """UI-29: theirs is shown; entering again keeps one's own."""
    with scope():
        pk = named("Adele").pk
        Contact.objects.filter(pk=pk).update(city="Noale")
    htmx = {"HX-Request": "true"}
    answer = bea.post(f"/leads/{pk}/fields/city", {"value": "Spinea", "was": "Mirano"}, headers=htmx)
    assert answer.status_code == 422
    assert "Nel frattempo è diventato “Noale”." in text(answer)
    bea.post(f"/leads/{pk}/fields/city", {"value": "Spinea", "was": "Noale"}, headers=htmx)
    with scope():
        assert named("Adele").city == "Spinea"


def test_mine_theirs_and_what_it_was_are_offered_where_two_changed_the_same(bea: Any, scope: Any) -> None:
    """UI-29, in the list: nothing is written until one of the three is chosen."""
    with scope():
        pk = named("Adele").pk
        Contact.objects.filter(pk=pk).update(city="Noale")
    cell = f"/leads/{pk}/cells/city"
    answer = bea.post(cell, {"value": "Spinea", "was": "Mirano"})
    page = text(answer)
    assert answer.status_code == 422
    assert 'value="Spinea"' in page
    assert "Tieni il loro" in page
    assert "Torna a “Mirano”" in page
    with scope():
        assert named("Adele").city == "Noale"
    assert "Noale" in text(bea.get(f"{cell}?mostra"))
    bea.post(cell, {"value": "Mirano", "was": "Noale"})
    with scope():
        assert named("Adele").city == "Mirano"


def test_only_the_cells_of_the_list_are_edited_there(bea: Any, scope: Any) -> None:
    with scope():
        pk = named("Adele").pk
    assert bea.get(f"/leads/{pk}/cells/notes").status_code == 404
    assert 'value="Mirano"' in text(bea.get(f"/leads/{pk}/cells/city"))
    assert bea.post(f"/leads/{pk}/cells/email", {"value": "adele@"}).status_code == 422


def test_a_wrong_number_is_told_as_typed_and_not_saved(bea: Any, scope: Any) -> None:
    with scope():
        pk = named("Egidio").pk
    told = bea.post(f"/leads/{pk}/fields/phone/check", {"value": "348 0001"})
    assert text(told) == "Mancano cifre: ne ho contate 7. Un cellulare italiano ne ha 9 o 10."
    answer = bea.post(f"/leads/{pk}/phone", {"value": "348 0001"})
    assert (answer.status_code, "Mancano cifre" in text(answer)) == (422, True)


def test_correcting_the_number_lets_the_call_go(bea: Any, scope: Any) -> None:
    with scope():
        pk = named("Egidio").pk
    answer = bea.post(f"/leads/{pk}/phone", {"value": "348 000 1999"})
    assert "348 000 1999" in text(answer)
    with scope():
        number = ContactPhone.objects.get(contact=pk, is_primary=True)
        assert (number.phone_e164, number.is_valid) == ("+393480001999", True)
        process = Process.objects.get(contact=pk)
        assert (process.state, process.number_e164) == ("waiting", "+393480001999")


def test_a_lead_goes_to_the_bin_and_comes_back(bea: Any, scope: Any) -> None:
    with scope():
        pk = named("Duilio").pk
    bea.post(f"/leads/{pk}/delete")
    page = text(bea.get("/leads"))
    assert "Duilio Ferrante è nel cestino per 30 giorni." in page
    assert f'data-undo="/leads/{pk}/restore"' in page
    assert bea.get(f"/leads/{pk}").status_code == 404
    bea.post(f"/leads/{pk}/restore")
    assert bea.get(f"/leads/{pk}").status_code == 200


def test_neighbours_are_those_of_the_list_one_came_from(bea: Any, scope: Any) -> None:
    """UI-06: previous and next inside the filtered list."""
    with scope():
        nives, fulvia, duilio = named("Nives"), named("Fulvia"), named("Duilio")
    context = bea.get(f"/leads/{fulvia.pk}?stato=in_contatto").context
    assert (context["before"], context["after"]) == (nives.pk, duilio.pk)


def test_a_lead_beside_its_list_says_who_what_next_and_what_happened(bea: Any, scope: Any) -> None:
    """UI-08: a part of a page for the drawer; opened straight, the list with the drawer open."""
    with scope():
        nives, fulvia, duilio = named("Nives"), named("Fulvia"), named("Duilio")
    address = f"/leads/{fulvia.pk}/accanto"
    answer = bea.get(f"{address}?stato=in_contatto", headers={"X-Drawer": "1"})
    assert (answer.context["before"], answer.context["after"]) == (nives.pk, duilio.pk)
    assert f'href="/leads/{fulvia.pk}?stato=in_contatto" autofocus' in text(answer)
    assert "<html" not in text(answer)
    elsewhere = bea.get(f"{address}?da=pagina", headers={"X-Drawer": "1"})
    assert (elsewhere.context["before"], elsewhere.context["after"]) == (None, None)
    assert bea.get(f"{address}?stato=in_contatto").url == f"/leads?stato=in_contatto&accanto={fulvia.pk}"


# Why me


def test_a_decision_is_explained_with_names_at_its_own_address(bea: Any, scope: Any, people: Any) -> None:
    with scope():
        adele = named("Adele")
    drawer = text(bea.get(f"/leads/{adele.pk}/why", headers={"X-Drawer": "1"}))
    assert "Tocca a te, Bea: il credito più alto tra i 2 agenti liberi." in drawer
    assert "<strong>Fiamma Corradi</strong>" in drawer
    assert "Ogni lead dà a chi è libero una quota pari al suo peso diviso 3" in drawer
    assert "Rigiocata, stesso risultato" in drawer
    assert "<html" not in drawer
    whole = text(bea.get(f"/leads/{adele.pk}/why"))
    assert "<h1>Adele Brunetti</h1>" in whole
    assert "Tocca a te, Bea" in whole


# A lead by hand


def test_a_lead_is_typed_by_hand(bea: Any, scope: Any) -> None:
    """CAP-79, CAP-81: the form, then the record with a word of success."""
    answer = bea.post(
        "/leads/new", {"Nome": "Pia Verdi", "Telefono": "348 000 7777", "Provenienza": "Passaparola"}
    )
    with scope():
        pia = named("Pia")
        assert (pia.last_name, pia.status) == ("Verdi", "nuovo")
    assert answer["Location"] == f"/leads/{pia.pk}"
    assert "Lead creato." in text(bea.get(f"/leads/{pia.pk}"))


def test_what_is_missing_is_said_at_its_field_and_nothing_is_created(bea: Any, scope: Any) -> None:
    """CAP-86."""
    answer = bea.post("/leads/new", {"Nome": "Pia", "Telefono": "348", "Provenienza": "Marte"})
    page = text(answer)
    assert answer.status_code == 400
    assert "Mancano cifre" in page
    assert "Provenienza sconosciuta" in page
    with scope():
        assert not Contact.objects.filter(first_name="Pia").exists()


# The palette


@pytest.mark.parametrize("wanted", ["brun", "adele", "+39 351 000 4127", "adele.brunetti@posta.example"])
def test_the_palette_finds_people(bea: Any, wanted: str) -> None:
    people = bea.get("/cerca", {"q": wanted}).context["people"]
    assert [person.row.lead.first_name for person in people] == ["Adele"]


def test_the_empty_palette_begins_with_what_was_seen_and_what_one_can_do_here(
    bea: Any, scope: Any, people: Any, signed_in: SignedIn
) -> None:
    """UI-13, UI-15: recents and actions of the open record; of another brand nothing."""
    with scope():
        duilio = named("Duilio").pk
    context = bea.get("/cerca", {"recenti": f"{duilio},x", "scheda": "Adele Brunetti"}).context
    assert [person.row.lead.first_name for person in context["people"]] == ["Duilio"]
    assert {one.opens for one in context["actions"]} >= {"assign", "activity", "move"}
    assert signed_in(people.carl).get("/cerca", {"recenti": str(duilio)}).context["people"] == []


def test_the_palette_offers_pages_and_actions(bea: Any) -> None:
    assert "Bacheca" in text(bea.get("/cerca", {"q": "bach"}))
    assert "Niente che cominci con “zzz”." in text(bea.get("/cerca", {"q": "zzz"}))


def test_the_palette_marks_what_it_found_and_trusts_no_name(bea: Any, scope: Any) -> None:
    with scope():
        Contact.objects.filter(first_name="Adele").update(
            first_name="<b>Adele", name_key="<b>adele brunetti", surname_key="brunetti <b>adele"
        )
    page = text(bea.get("/cerca", {"q": "brun"}))
    assert "&lt;b&gt;Adele <mark>Brun</mark>etti" in page


# What is refused


def test_who_may_not_see_contacts_finds_the_page_missing(
    people: Any, vegliasi: Any, signed_in: SignedIn
) -> None:
    from filiera.identity.models import UserRole

    with brand_scope.use(vegliasi.id):
        UserRole.objects.filter(user=people.bea).update(role="editor")
    answer = signed_in(people.bea).get("/leads")
    assert answer.status_code == 404
    assert "Questa pagina non c’è, o non è per te" in text(answer)


def test_a_missing_page_says_so_with_an_id_to_search_for(bea: Any) -> None:
    answer = bea.get("/leads/niente")
    assert answer.status_code == 404
    assert answer["X-Request-ID"] in text(answer)


def test_a_form_without_its_token_is_told_kindly(people: Any) -> None:
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(people.bea)
    answer = client.post("/leads/assign", {})
    assert answer.status_code == 403
    assert "La pagina era ferma da troppo" in text(answer)


# Odd input

ODD = [
    "\x00",
    "\U0001f600" * 300,
    "\u202eevil",
    "'; drop table x; --",
    "{{ 7 }}",
    "<script>",
    "%",
    "\\",
    "é" * 5000,
    " ",
]


@pytest.mark.parametrize("odd", ODD)
def test_odd_input_breaks_no_page(bea: Any, scope: Any, odd: str) -> None:
    with scope():
        pk = named("Nives").pk
    answers = [
        bea.get(
            "/leads", {"q": odd, "stato": odd, "dopo": odd, "fonte": odd, "titolare": odd, "arrivato": odd}
        ),
        bea.get("/cerca", {"q": odd}),
        bea.get(f"/leads/{pk}", {"mostra": odd, "correggi": odd, "stato": odd}),
        bea.get(f"/leads/{pk}/why", {"decisione": odd}),
        bea.post(f"/leads/{pk}/activities", {"tipo": "nota", "nota": odd, "data": odd.strip()}),
        bea.post(f"/leads/{pk}/fields/first_name", {"value": odd}),
        bea.post(f"/leads/{pk}/fields/age", {"value": odd}),
        bea.post(f"/leads/{pk}/fields/email", {"value": odd}),
        bea.post(f"/leads/{pk}/phone", {"value": odd}),
        bea.post(f"/leads/{pk}/move", {"stage": odd, "version": odd, "amount": odd}),
        bea.post("/leads/assign", {"lead": [odd], "owner": odd, "next": odd}),
        bea.post("/leads/new", {"Nome": odd, "Telefono": odd, "Provenienza": odd}),
        bea.post("/leads/new", {"Nome": odd or "x", "Telefono": "348 000 1234", "Provenienza": "Sito"}),
        bea.post("/me/preferences", {"theme": odd, "language": odd, "keys": odd, "next": odd}),
        bea.post("/brands/select", {"brand": odd}),
        bea.post("/login", {"email": odd, "password": odd, "next": odd}),
    ]
    assert [answer.status_code for answer in answers if answer.status_code >= 500] == []


@pytest.mark.parametrize("moment", ["9999-12-31T23:59", "0001-01-01T00:00", "2026-02-30T10:00", "domani"])
def test_a_date_that_cannot_be_is_refused(bea: Any, scope: Any, moment: str) -> None:
    with scope():
        pk = named("Nives").pk
    assert bea.post(f"/leads/{pk}/activities", {"tipo": "nota", "data": moment}).status_code == 400


@pytest.mark.parametrize(
    "key", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00"]
)
def test_a_key_of_a_page_at_the_end_of_time_breaks_nothing(bea: Any, key: str) -> None:
    assert bea.get("/leads", {"dopo": f"{key}_0192f3a7-6c41-7000-8000-000000000000"}).status_code == 200
