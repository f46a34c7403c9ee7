"""The page of agents: who is free, whose turn it is, the switch, the reset and its way back."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from django.urls import reverse

from filiera.platform import brand_scope
from filiera.routing.models import Agent, Connection, RoutingState

NOW = datetime.now(UTC)


@pytest.fixture
def agent(vegliasi):
    """Make an agent of Vegliasì; `agent("Teodora Vanzi", word="online")`."""
    made = []

    def make(name="Teodora Vanzi", *, word="online", brand=vegliasi, **fields):
        made.append(name)
        with brand_scope.use(brand.id):
            return Agent.objects.create(
                name=name,
                provider_agent_id=str(4000 + len(made)),
                extension=1000 + len(made),
                sort_order=len(made),
                provider_status=word,
                last_status={"online": "online", "calling": "busy"}.get(word, "offline"),
                **fields,
            )

    return make


@pytest.fixture
def fresh(vegliasi):
    def read(row):
        with brand_scope.use(vegliasi.id):
            return type(row).objects.get(pk=row.pk)

    return read


def test_the_page_opens_with_who_is_free_and_whose_turn_it_is(signed_in, ada, agent):
    agent("Teodora Vanzi", word="calling")
    agent("Fiamma Corradi")
    page = signed_in(ada).get("/agents").content.decode()
    assert "Un agente è libero." in page
    assert "Tocca a Fiamma Corradi." in page
    assert "centralino: calling" in page
    assert "interno 1001" in page


def test_without_agents_the_page_says_what_will_be_here(signed_in, ada, vegliasi):
    page = signed_in(ada).get("/agents").content.decode()
    assert "Qui vedrai chi può rispondere" in page
    assert "Il centralino non è ancora collegato" in page
    with brand_scope.use(vegliasi.id):
        Connection.objects.create(account="vegliasi", base_url="http://127.0.0.1:1")
    assert "Leggi gli agenti dal centralino" in signed_in(ada).get("/agents").content.decode()


def test_switching_an_agent_off_answers_the_row_and_stops_leads(signed_in, ada, agent, fresh):
    one = agent()
    answer = signed_in(ada).post(reverse("agent-switch", args=[one.pk]), headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert "Spento qui" in answer.content.decode()
    assert not fresh(one).is_enabled
    signed_in(ada).post(reverse("agent-switch", args=[one.pk]), {"on": "on"}, headers={"HX-Request": "true"})
    assert fresh(one).is_enabled


def test_the_reset_asks_first_and_can_be_taken_back(signed_in, ada, agent, vegliasi):
    first, second = agent("Teodora Vanzi"), agent("Fiamma Corradi")
    with brand_scope.use(vegliasi.id):
        RoutingState.objects.create(
            brand_id=vegliasi.id, last_agent=first, last_sort_order=1, total_assigned=3, updated_at=NOW
        )
    client = signed_in(ada)
    assert "Azzerare il turno?" in client.get("/agents?ask=reset").content.decode()
    client.post(reverse("agents-reset"))
    page = client.get("/agents").content.decode()
    assert "Il turno è ripartito dall’inizio." in page
    assert "Tocca a Teodora Vanzi." in page
    client.post(reverse("agents-reset-undo"))
    assert "Tocca a Fiamma Corradi." in client.get("/agents").content.decode()
    assert second.pk


def test_an_agents_hours_weight_and_leave_are_saved_as_typed(signed_in, ada, bea, agent, fresh):
    one = agent()
    form = {
        "weight": "2",
        "max_concurrent_calls": "1",
        "sort_order": "1",
        "skills": "Premium, inglese",
        "mon": "9-13, 14:00-18:00",
        "on_leave_until": "2026-12-24",
        "user": str(bea.pk),
    }
    answer = signed_in(ada).post(reverse("agent", args=[one.pk]), form)
    assert answer.status_code == 302
    saved = fresh(one)
    assert saved.weight == 2
    assert saved.schedule == {"mon": [["09:00", "13:00"], ["14:00", "18:00"]]}
    assert saved.skills == ["inglese", "premium"]
    assert saved.on_leave_until == date(2026, 12, 24)
    assert saved.user_id == bea.pk


@pytest.mark.parametrize("typed", ["nove-tredici", "13-9", "9-13, 12-15", "9-25"])
def test_hours_that_make_no_sense_are_refused_with_what_to_write(signed_in, ada, agent, fresh, typed):
    one = agent()
    form = {"weight": "1", "max_concurrent_calls": "1", "sort_order": "1", "mon": typed}
    answer = signed_in(ada).post(reverse("agent", args=[one.pk]), form)
    assert answer.status_code == 400
    assert 'id="id_mon_error"' in answer.content.decode()
    assert fresh(one).schedule is None


def test_a_new_rule_is_a_new_version(signed_in, ada, agent, vegliasi):
    agent()
    client = signed_in(ada)
    assert "A turno, versione 1" in client.get("/agents").content.decode()
    client.post(reverse("routing-rule"), {"rule": "credit"})
    page = client.get("/agents").content.decode()
    assert "Credito pesato, versione 2" in page
    assert "di Ada Rossi" in page


def test_bea_sees_the_agents_and_changes_nothing(signed_in, bea, agent, fresh):
    one = agent()
    client = signed_in(bea)
    page = client.get("/agents").content.decode()
    assert "Teodora Vanzi" in page
    assert "Azzera il turno" not in page
    assert client.post(reverse("agent-switch", args=[one.pk])).status_code == 404
    assert client.get(reverse("agent", args=[one.pk])).status_code == 404
    assert client.post(reverse("agents-reset")).status_code == 404
    assert fresh(one).is_enabled


def test_carl_of_another_brand_gets_the_same_answer_as_for_a_random_agent(signed_in, carl, agent, fresh):
    one = agent()
    client = signed_in(carl)
    assert "Teodora Vanzi" not in client.get("/agents").content.decode()
    for address in ("agent", "agent-switch"):
        theirs = client.post(reverse(address, args=[one.pk]))
        random = client.post(reverse(address, args=[uuid4()]))
        assert (theirs.status_code, random.status_code) == (404, 404)
    assert fresh(one).is_enabled


def test_out_of_hours_says_when_somebody_comes_back(signed_in, ada, agent):
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).strftime("%a").lower()
    agent(schedule={tomorrow: [["09:00", "13:00"]]})
    page = signed_in(ada).get("/agents").content.decode()
    assert "Fuori orario" in page
    assert "riprende" in page
