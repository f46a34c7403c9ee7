"""Oggi: what rings, who waits, who came, what is to be fixed, and the day in figures."""

from collections.abc import Callable
from typing import Any

from filiera.identity.models import User

Page = Callable[[Any], Any]


def page_of(client: Any, path: str = "/oggi") -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_what_rings_comes_first_and_ones_own_has_the_actions(
    morning: Any, people: Any, signed_in: Page
) -> None:
    page = page_of(signed_in(people.bea))
    assert "Squillano due telefoni." in page
    assert page.index("Squilla a te") < page.index("Squilla a Fiamma Corradi")
    assert "interno 1001," in page
    assert page.count("Apri scheda") == 1


def test_who_waits_too_long_is_said_in_the_opening_sentence(
    morning: Any, people: Any, signed_in: Page
) -> None:
    page = page_of(signed_in(people.bea))
    assert "<em>Una richiesta aspetta da troppo.</em>" in page
    assert "Nessun agente era disponibile." in page


def test_the_figures_have_their_denominators(morning: Any, people: Any, signed_in: Page) -> None:
    page = page_of(signed_in(people.bea))
    assert "<dt>Arrivati</dt><dd>8</dd>" in page
    assert "<dt>Chiamati entro 5 min</dt><dd>6 <small>su 8</small></dd>" in page
    assert "<dt>Hanno risposto</dt><dd>3 <small>su 6</small></dd>" in page
    assert "<dt>Attesa mediana</dt><dd>0:38</dd>" in page


def test_a_missed_call_is_a_callback_of_its_person(morning: Any, people: Any, signed_in: Page) -> None:
    assert "1, una scaduta" in page_of(signed_in(people.bea))


def test_a_number_nobody_can_call_and_requests_nobody_can_read_are_to_be_fixed(
    morning: Any, people: Any, signed_in: Page
) -> None:
    page = page_of(signed_in(people.ada))
    assert "Il numero 348 0001 non si può chiamare. Correggilo e la chiamata parte." in page
    assert "Fonte Modulo del sito" in page


def test_the_other_brand_sees_nothing_of_it(morning: Any, people: Any, signed_in: Page) -> None:
    page = page_of(signed_in(people.carl))
    assert "Brunetti" not in page
    assert "Il primo lead di Quadranorma arriverà qui" in page


def test_the_page_speaks_english_to_who_reads_english(morning: Any, people: Any, signed_in: Page) -> None:
    User.objects.filter(pk=people.bea.pk).update(language="en")
    page = page_of(signed_in(people.bea))
    assert '<html lang="en"' in page
    assert "Two phones are ringing." in page


def test_the_first_page_is_oggi(people: Any, signed_in: Page) -> None:
    for path in ("/", "/dashboard"):
        assert signed_in(people.ada).get(path)["Location"] == "/oggi"


def test_a_person_switches_to_another_of_their_brands(people: Any, quadranorma: Any, signed_in: Page) -> None:
    from filiera.identity.models import UserRole
    from filiera.platform import brand_scope

    with brand_scope.use(quadranorma.id):
        UserRole.objects.create(user=people.ada, role="admin")
    client = signed_in(people.ada)
    client.post("/brands/select", {"brand": str(quadranorma.id)})
    assert "Nuovo lead in Quadranorma" in page_of(client)


def test_a_brand_one_does_not_work_in_looks_missing(people: Any, quadranorma: Any, signed_in: Page) -> None:
    client = signed_in(people.bea)
    assert client.post("/brands/select", {"brand": str(quadranorma.id)}).status_code == 404
    assert "Nuovo lead in Vegliasì" in page_of(client)


def test_look_language_and_keys_are_kept_per_person(people: Any, signed_in: Page) -> None:
    client = signed_in(people.ada)
    for choice in ({"theme": "dark"}, {"keys": "off"}, {"language": "en"}):
        assert client.post("/me/preferences", {**choice, "next": "/leads"})["Location"] == "/leads"
    page = page_of(client)
    assert 'data-bs-theme="dark"' in page
    assert 'data-keys="off"' in page
    assert '<html lang="en"' in page


def test_an_agent_pauses_and_routing_reads_it(morning: Any, people: Any, signed_in: Page) -> None:
    from filiera.platform import brand_scope
    from filiera.routing.models import Agent

    client = signed_in(people.bea)
    client.post("/me/availability", {"state": "off", "next": "/oggi"})
    with brand_scope.use(morning.id):
        assert not Agent.objects.get(user=people.bea).is_enabled
    assert "In pausa" in page_of(client)


def test_who_is_no_agent_has_no_switch(morning: Any, people: Any, signed_in: Page) -> None:
    client = signed_in(people.ada)
    assert "me/availability" not in page_of(client)
    assert client.post("/me/availability", {"state": "off"}).status_code == 404
