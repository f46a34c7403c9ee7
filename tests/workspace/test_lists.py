"""Conditions, saved views, columns, and deeds on many leads."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone

from filiera.contacts import tags
from filiera.contacts.models import Contact
from filiera.identity.models import Role, UserRole
from filiera.pipeline import lead_conditions
from filiera.pipeline.lead_conditions import Condition, Reader
from filiera.pipeline.models import Deal, LeadEvent
from filiera.platform import brand_scope
from filiera.workspace import bulk, bulk_actions, tasks
from filiera.workspace.models import BulkRow, BulkRun, SavedView

SignedIn = Callable[[Any], Any]


@pytest.fixture
def bea(morning: Any, people: Any, signed_in: SignedIn) -> Any:
    return signed_in(people.bea)


@pytest.fixture
def scope(morning: Any) -> Any:
    return lambda: brand_scope.use(morning.id)


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def named(first_name: str) -> Contact:
    return Contact.objects.get(first_name=first_name)


def found(browser: Any, query: str) -> set[str]:
    return {row.lead.first_name for row in browser.get(f"/leads?{query}").context["list"].rows}


# Counts


def test_what_is_long_to_count_is_counted_after_the_rows(bea: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = "?prossima=nessuna"
    whole = len(found(bea, asked[1:]))
    assert f"{whole} di {whole}, somma" in text(bea.get(f"/leads{asked}"))  # all of it is on the page
    monkeypatch.setattr("filiera.workspace.lead_list.PAGE", 2)
    page = text(bea.get(f"/leads{asked}"))
    assert f'hx-get="/leads/quanti{asked}" hx-trigger="load"' in page
    assert "Seleziona tutti quelli trovati" in page
    assert " di " not in page[page.index('id="lead-foot"') :].partition("somma")[0]
    assert text(bea.get(f"/leads/quanti{asked}")) == str(whole)
    assert "/leads/quanti" not in text(bea.get("/leads?stato=nuovo"))


# Conditions


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("f=1.nome.e.adele", {"Adele"}),
        ("f=1.nome.inizia.ad&f=1.cognome.contiene.RANTE", {"Adele", "Duilio"}),
        ("f=1.nome.inizia.ad&f=2.cognome.contiene.rante", set()),
        ("f=1.nome.inizia.ad&f=1.cognome.contiene.rante&gruppi=uno", set()),
        ("f=1.nome.inizia.ad&f=2.cognome.contiene.rante&gruppi=uno", {"Adele", "Duilio"}),
        ("campo=nome&come=e&valore=Adele&gruppo=1", {"Adele"}),
        ("f=1.titolare.e.nessuno&f=2.stato.e.in_contatto", {"Duilio"}),
        ("f=1.email.vuoto.&f=2.email.pieno.", set()),
        ("f=1.arrivato.prima.30", set()),
        ("f=1.valore.almeno.1.000.000", set()),
    ],
)
def test_conditions_of_groups_hold(bea: Any, query: str, names: set[str]) -> None:
    assert found(bea, query) == names


def test_a_tag_is_a_condition_with_those_below_it(bea: Any, scope: Any) -> None:
    with scope():
        fairs = tags.create(name="Fiere", now=timezone.now())
        milan = tags.create(name="Milano", parent_id=fairs.id, now=timezone.now())
        adele = Contact.objects.get(first_name="Adele")
        everybody = set(Contact.objects.values_list("first_name", flat=True))
        tags.assign(
            tag_id=milan.id, entity_type="contact", entity_ids=[adele.id], now=timezone.now(), user_id=None
        )
    assert found(bea, f"f=1.etichetta.e.{fairs.id}") == {"Adele"}
    assert found(bea, f"f=1.etichetta.non.{milan.id}") == everybody - {"Adele"}
    chips = bea.get(f"/leads?f=1.etichetta.e.{milan.id}").context["chips"]
    assert [(chip.label, chip.value) for chip in chips] == [("Etichetta è", "Fiere / Milano")]


def test_my_team_is_who_shares_a_role_with_me(bea: Any, people: Any, scope: Any) -> None:
    with scope():
        Contact.objects.filter(first_name="Corrado").update(assigned_user=people.ada)
        mine = set(Contact.objects.filter(assigned_user=people.bea).values_list("first_name", flat=True))
        UserRole.objects.filter(user=people.ada).exclude(role=Role.ADMIN).delete()
    assert found(bea, "f=1.titolare.e.io") == mine
    assert found(bea, "f=1.titolare.e.team") == mine
    with scope():
        UserRole.objects.create(user=people.ada, role=Role.SALES)
        theirs = set(Contact.objects.filter(assigned_user=people.ada).values_list("first_name", flat=True))
    assert found(bea, "f=1.titolare.e.team") == mine | theirs


@pytest.mark.parametrize(
    "query",
    [
        "f=1.boh.e.x",
        "f=1.stato.contiene.x",
        "f=1.arrivato.ultimi.tanti",
        "f=1.fonte.e.x",
        "f=1.arrivato.dal.32-13-2026",
        "f=1.valore.almeno.Infinity",
        "f=1.nome.contiene.",
        "f=1",
        "campo=nome",
    ],
)
def test_a_condition_that_means_nothing_is_left_out(bea: Any, query: str) -> None:
    answer = bea.get(f"/leads?{query}")
    assert (answer.context["asked"].groups, len(answer.context["list"].rows)) == ((), 8)


def test_conditions_stand_as_chips_that_go_away_one_by_one(bea: Any) -> None:
    context = bea.get("/leads?f=1.nome.inizia.ad&f=1.citta.vuoto.&f=2.titolare.e.io").context
    chips = context["chips"]
    assert [(chip.label, chip.value, chip.join) for chip in chips] == [
        ("Nome comincia con", "ad", ""),
        ("Città", "è vuoto", "oppure"),
        ("Titolare è", "io", "e"),
    ]
    assert chips[1].without == "?f=1.nome.inizia.ad&f=2.titolare.e.io"


def test_relative_days_are_those_of_the_brands_zone() -> None:
    now = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)  # already Monday 2 March in Rome
    reader = Reader(me=UUID(int=1), team=(), now=now)
    rome = ZoneInfo("Europe/Rome")

    def days(how: str, value: str = "") -> tuple[str, ...]:
        with timezone.override("Europe/Rome"):
            told = lead_conditions.bounds(Condition("arrivato", how, value), reader)
        return tuple(one.astimezone(rome).date().isoformat() if one else "" for one in told)

    assert days("oggi") == ("2026-03-02", "2026-03-03")
    assert days("ieri") == ("2026-03-01", "2026-03-02")
    assert days("settimana-scorsa") == ("2026-02-23", "2026-03-02")
    assert days("mese") == ("2026-03-01", "2026-04-01")
    assert days("mese-scorso") == ("2026-02-01", "2026-03-01")
    assert days("ultimi", "7") == ("2026-02-23", "")
    assert days("prima", "30") == ("", "2026-01-31")
    assert days("al", "2026-03-28") == ("", "2026-03-29")


# Saved views


def test_a_saved_view_is_opened_changed_and_brought_back(bea: Any, scope: Any) -> None:
    answer = bea.post("/leads/viste", {"name": "I miei", "audience": "private", "query": "titolare=io"})
    with scope():
        view = SavedView.objects.get()
    assert answer["Location"] == f"/leads?titolare=io&vista={view.pk}"
    page = bea.get(answer["Location"])
    current = next(one for one in page.context["views"] if one.is_current)
    assert (current.label, current.is_changed) == ("I miei", False)
    changed = bea.get(f"/leads?titolare=io&stato=nuovo&vista={view.pk}")
    current = next(one for one in changed.context["views"] if one.is_current)
    assert (current.label, current.is_changed) == ("I miei", True)
    assert "Salva la vista" in text(changed)
    assert f'href="/leads?titolare=io&amp;vista={view.pk}">Com’era' in text(changed)
    bea.post(f"/leads/viste/{view.pk}", {"query": "titolare=io&stato=nuovo"})
    with scope():
        assert SavedView.objects.get().query == "stato=nuovo&titolare=io"


def test_a_view_of_the_brand_opens_by_itself_for_a_role(
    bea: Any, people: Any, signed_in: SignedIn, scope: Any
) -> None:
    """UI-20: whoever asks for nothing gets it; everybody is one click away, and a later one takes its place."""
    ada = signed_in(people.ada)
    for name, query in (("Caldi da chiudere", "stato=caldo"), ("Da chiamare", "stato=in_contatto")):
        asked = {"name": name, "audience": "brand", "query": query, "opens_for": "sales"}
        ada.post("/leads/viste", asked)
    with scope():
        assert list(SavedView.objects.exclude(opens_for="").values_list("name", flat=True)) == ["Da chiamare"]
    mine = bea.get("/leads").context
    assert mine["asked"].states == ("in_contatto",)
    assert next(one.label for one in mine["views"] if one.is_current) == "Da chiamare"
    assert mine["views"][0].address == "?vista=tutti"
    assert bea.get("/leads?vista=tutti").context["asked"].states == ()
    assert ada.get("/leads").context["asked"].states == ()
    private = {"name": "Mia", "audience": "private", "query": "", "opens_for": "sales"}
    assert "Si apre da sola solo una vista di tutto il marchio." in text(
        ada.post("/leads/viste", private | {"next": "/leads"}, follow=True)
    )


def test_who_sees_a_view_is_who_it_was_saved_for(
    bea: Any, people: Any, signed_in: SignedIn, scope: Any
) -> None:
    ada = signed_in(people.ada)
    ada.post("/leads/viste", {"name": "Di Ada", "audience": "private", "query": "stato=caldo"})
    ada.post("/leads/viste", {"name": "Di tutti", "audience": "brand", "query": "stato=nuovo"})
    assert {one.view.name for one in bea.get("/leads").context["saved"]} == {"Di tutti"}
    refused = bea.post("/leads/viste", {"name": "Mia per tutti", "audience": "brand", "query": ""})
    assert refused.status_code == 404
    with scope():
        view = SavedView.objects.get(name="Di tutti")
        hidden = SavedView.objects.get(name="Di Ada")
    assert bea.post(f"/leads/viste/{view.pk}/elimina").status_code == 404
    assert bea.post(f"/leads/viste/{hidden.pk}/fissa", {"pin": "si"}).status_code == 404
    bea.post(f"/leads/viste/{view.pk}/fissa", {"pin": "si"})
    assert "Di tutti" in [one.label for one in bea.get("/leads").context["views"]]
    ada.post(f"/leads/viste/{view.pk}/elimina")
    assert "Di tutti" not in text(bea.get("/leads"))


def test_columns_and_density_are_kept_for_each_person(bea: Any, people: Any, signed_in: SignedIn) -> None:
    bea.post(
        "/leads/colonne",
        {"colonna": ["citta", "stato"], "posto-citta": "1", "posto-stato": "2", "righe": "strette"},
    )
    page = bea.get("/leads")
    assert [column.key for column in page.context["columns"]] == ["persona", "citta", "stato"]
    assert "is-dense" in text(page)
    others = signed_in(people.ada).get("/leads").context["columns"]
    assert [column.key for column in others][1] == "telefono"
    bea.post("/leads/colonne", {"solite": "si"})
    assert len(bea.get("/leads").context["columns"]) == 8


# Many at once


def run_of(answer: Any) -> UUID:
    return UUID(answer["Location"].rsplit("/", 1)[1])


def test_a_small_deed_is_done_at_once_and_taken_back(bea: Any, people: Any, scope: Any) -> None:
    with scope():
        chosen = [str(named(name).pk) for name in ("Corrado", "Ottavio")]
        before = {pk: Contact.objects.get(pk=pk).assigned_user_id for pk in chosen}
    bea.post("/leads/massa", {"azione": "assegna", "lead": chosen, "owner": str(people.ada.pk)})
    page = text(bea.get("/leads"))
    with scope():
        run = BulkRun.objects.get()
        assert {Contact.objects.get(pk=pk).assigned_user_id for pk in chosen} == {people.ada.pk}
    assert f'data-undo="/leads/massa/{run.pk}/annulla"' in page
    bea.post(f"/leads/massa/{run.pk}/annulla")
    with scope():
        assert {pk: Contact.objects.get(pk=pk).assigned_user_id for pk in chosen} == before
        run.refresh_from_db()
        assert run.state == "undone"
    assert bea.post(f"/leads/massa/{run.pk}/annulla").status_code == 409


def test_a_deed_says_first_whom_it_leaves_alone_and_why(
    bea: Any, people: Any, scope: Any, run_jobs: Any
) -> None:
    page = bea.post("/leads/massa", {"azione": "stato", "stato_nuovo": "in_contatto", "tutti": "?"})
    seen = page.context["preview"]
    assert (seen.total, seen.changes) == (8, 8 - sum(one.count for one in seen.skipped))
    assert ("è già in questo stato", 3) in {(one.why, one.count) for one in seen.skipped}
    with scope():
        assert not BulkRun.objects.exists()
    answer = bea.post("/leads/massa/avvia", {"azione": "stato", "stato_nuovo": "in_contatto", "tutti": "?"})
    assert "In attesa." in text(bea.get(answer["Location"]))
    run_jobs()
    page = text(bea.get(answer["Location"]))
    assert "Finita." in page
    assert "è già in questo stato" in page
    with scope():
        assert set(Contact.objects.filter(deleted_at=None).values_list("status", flat=True)) == {
            "in_contatto"
        }
        counts = bulk.counts_of(BulkRun.objects.get())
    assert (counts["done"], counts["skipped"], counts["failed"]) == (seen.changes, 8 - seen.changes, 0)


def test_a_deed_whose_job_was_killed_goes_on(bea: Any, scope: Any, run_jobs: Any) -> None:
    asked = {"azione": "stato", "stato_nuovo": "in_contatto", "tutti": "?"}
    run = run_of(bea.post("/leads/massa/avvia", asked))
    with connection.cursor() as cursor:
        cursor.execute("delete from procrastinate_jobs")
    tasks.go_on_with_deeds(0)
    assert run_jobs() == 0
    with scope():
        BulkRun.objects.filter(pk=run).update(created_at=timezone.now() - 2 * tasks.QUIET)
    tasks.go_on_with_deeds(0)
    run_jobs()
    with scope():
        assert BulkRun.objects.get(pk=run).state == "done"


def test_taking_back_leaves_what_somebody_changed_since(bea: Any, scope: Any, run_jobs: Any) -> None:
    with scope():
        states = dict(Contact.objects.values_list("first_name", "status"))
    answer = bea.post("/leads/massa/avvia", {"azione": "stato", "stato_nuovo": "caldo", "tutti": "?"})
    run_jobs()
    with scope():
        bulk_actions.pipeline.set_lead_state(
            contact_id=named("Adele").pk, state="attesa_ordine", now=timezone.now(), user_id=None
        )
    bea.post(f"/leads/massa/{run_of(answer)}/annulla")
    run_jobs()
    with scope():
        assert dict(Contact.objects.values_list("first_name", "status")) == states | {
            "Adele": "attesa_ordine"
        }
        row = BulkRow.objects.get(contact=named("Adele"))
        assert (row.outcome, row.why) == ("kept", "cambiato dopo da qualcuno: resta così")


def test_a_deed_can_be_stopped_and_what_was_done_taken_back(
    bea: Any, scope: Any, run_jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 3)
    answer = bea.post("/leads/massa/avvia", {"azione": "archivia", "tutti": "?"})
    with scope():
        assert bulk._some(run_of(answer), now=timezone.now()) is True
    bea.post(f"/leads/massa/{run_of(answer)}/ferma")
    run_jobs()
    with scope():
        assert LeadEvent.objects.filter(archived=True).count() == 3
    bea.post(f"/leads/massa/{run_of(answer)}/annulla")
    with scope():
        assert not LeadEvent.objects.filter(archived=True).exists()
        assert bulk.counts_of(BulkRun.objects.get())["waiting"] == 5


def test_after_ten_minutes_a_deed_stays(bea: Any, scope: Any, run_jobs: Any) -> None:
    answer = bea.post("/leads/massa/avvia", {"azione": "archivia", "tutti": "?"})
    run_jobs()
    with scope():
        ended = timezone.now() - bulk.UNDO_FOR - timedelta(seconds=1)
        BulkRun.objects.update(finished_at=ended)
    assert bea.post(f"/leads/massa/{run_of(answer)}/annulla").status_code == 409
    with scope():
        assert LeadEvent.objects.filter(archived=True).exists()


def test_one_lead_that_cannot_be_changed_does_not_stop_the_others(
    bea: Any, scope: Any, run_jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scope():
        poison = named("Adele").pk
    edit = bulk_actions.pipeline.archive_lead

    def archive(*, event_id: UUID, archived: bool, now: datetime) -> Any:
        if LeadEvent.objects.get(pk=event_id).contact_id == poison:
            raise RuntimeError("no")
        return edit(event_id=event_id, archived=archived, now=now)

    monkeypatch.setattr(bulk_actions.pipeline, "archive_lead", archive)
    answer = bea.post("/leads/massa/avvia", {"azione": "archivia", "tutti": "?"})
    run_jobs()
    assert "non siamo riusciti: riprova su questo lead" in text(bea.get(answer["Location"]))
    with scope():
        counts = bulk.counts_of(BulkRun.objects.get())
    assert (counts["failed"], counts["done"]) == (1, 7)


def test_exclusion_from_the_figures_has_its_reasons_and_its_term(bea: Any, scope: Any) -> None:
    """CON-42: two reasons hold only for three days."""
    with scope():
        adele = named("Adele")
        LeadEvent.objects.filter(contact=adele).update(received_at=timezone.now() - timedelta(hours=73))
    page = bea.post("/leads/massa", {"azione": "escludi", "motivo": "wrong_number", "lead": [str(adele.pk)]})
    assert "per questo motivo si esclude solo nelle prime 72 ore" in text(page)
    bea.post("/leads/massa", {"azione": "escludi", "motivo": "spam", "lead": [str(adele.pk)]})
    with scope():
        event = LeadEvent.objects.get(contact=adele)
        assert (event.excluded_reason, event.excluded_by_id is not None, event.archived) == (
            "spam",
            True,
            False,
        )


def test_a_tag_is_put_on_many_taken_off_again_and_finds_them_with_those_below_it(
    bea: Any, scope: Any
) -> None:
    """UI-26, CON-27."""
    with scope():
        above = tags.create(name="Fiera", now=timezone.now())
        below = tags.create(name="Padova", now=timezone.now(), parent_id=above.pk)
        chosen = [str(named(name).pk) for name in ("Adele", "Duilio")]
    bea.post("/leads/massa", {"azione": "etichetta", "etichetta": str(below.pk), "lead": chosen})
    assert found(bea, f"f=1.etichetta.e.{above.pk}") == {"Adele", "Duilio"}
    assert len(found(bea, f"f=1.etichetta.non.{below.pk}")) == 6
    again = bea.post("/leads/massa", {"azione": "etichetta", "etichetta": str(below.pk), "lead": chosen})
    assert [(one.why, one.count) for one in again.context["preview"].skipped] == [("ce l’ha già", 2)]
    with scope():
        run = BulkRun.objects.get()
    bea.post(f"/leads/massa/{run.pk}/annulla")
    assert found(bea, f"f=1.etichetta.e.{above.pk}") == set()


def test_the_bin_asks_before_and_gives_back(bea: Any, scope: Any, run_jobs: Any) -> None:
    with scope():
        duilio = named("Duilio").pk
        deal = Deal.objects.get(contact=duilio)
    page = bea.post("/leads/massa", {"azione": "elimina", "lead": [str(duilio)]})
    assert "Sposta nel cestino per 30 giorni" in text(page)
    answer = bea.post("/leads/massa/avvia", {"azione": "elimina", "lead": [str(duilio)]})
    run_jobs()
    with scope():
        assert Contact.objects.get(pk=duilio).deleted_at is not None
    bea.post(f"/leads/massa/{run_of(answer)}/annulla")
    with scope():
        assert Contact.objects.get(pk=duilio).deleted_at is None
        deal.refresh_from_db()
        assert deal.status == "open"


def test_leads_of_another_brand_are_not_there(
    bea: Any, people: Any, signed_in: SignedIn, scope: Any, run_jobs: Any
) -> None:
    with scope():
        adele = named("Adele").pk
    carl = signed_in(people.carl)
    carl.post("/leads/massa/avvia", {"azione": "archivia", "lead": [str(adele)]})
    run_jobs()
    with scope():
        assert not LeadEvent.objects.filter(archived=True).exists()
        assert not BulkRow.objects.exists()
    answer = bea.post("/leads/massa/avvia", {"azione": "archivia", "lead": [str(adele)]})
    assert carl.get(answer["Location"]).status_code == 404


def test_an_unknown_deed_does_nothing(bea: Any, scope: Any) -> None:
    assert bea.post("/leads/massa/avvia", {"azione": "balla", "tutti": "?"}).status_code == 400
    with scope():
        assert not BulkRun.objects.exists()
