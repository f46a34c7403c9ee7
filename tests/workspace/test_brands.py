"""Opening brands, their settings, and the view over all of them (identity.md 3; the view is super_admin's alone)."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from filiera.capture.models import MarketingSource
from filiera.contacts.models import Contact
from filiera.identity import queries
from filiera.identity.models import AuditEntry, Brand, Role, User, UserRole
from filiera.journeys import manual, openings
from filiera.pipeline.models import Stage
from filiera.platform import brand_scope
from filiera.routing.calendar import Calendar, Closure
from tests.identity.conftest import Clock, Program, clock, program
from tests.security.routes import told
from tests.signing_in import code

__all__ = ["clock", "program"]

SignedIn = Callable[[Any], Client]
WEEK = {"timezone": "Europe/Rome", "accent": "terra", "mon": "9-13, 14:30-18", "tue": "9-13"}


@pytest.fixture
def over_all(people: Any, vegliasi: Any) -> User:
    """Ada administers the installation; in Quadranorma she has no role."""
    with brand_scope.use(vegliasi.id):
        UserRole.objects.create(user=people.ada, role=Role.SUPER_ADMIN)
    ada: User = people.ada
    return ada


def a_lead(brand: Brand, name: str, phone: str, actor: User) -> None:
    from django.utils import timezone

    with brand_scope.use(brand.id):
        MarketingSource.objects.get_or_create(name="Sito")
        manual.create_lead(name=name, phone=phone, provenance="Sito", actor=actor, now=timezone.now())


def looks(brand: Brand) -> list[AuditEntry]:
    with brand_scope.use(brand.id):
        return list(AuditEntry.objects.filter(action="LOOK").order_by("created_at"))


def test_who_administers_all_sees_all_brands_and_each_of_them_knows(
    signed_in: SignedIn, over_all: User, people: Any, vegliasi: Any, quadranorma: Any
) -> None:
    a_lead(vegliasi, "Zelinda Uno", "+39 351 000 4127", people.ada)
    a_lead(quadranorma, "Zelinda Due", "+39 351 000 4128", people.carl)
    client = signed_in(over_all)
    page = client.get("/marchi").content.decode()
    assert "/marchi/tutti" in page
    assert looks(quadranorma) == [], "nothing is opened by standing at the door"
    page = client.get("/marchi/tutti").content.decode()
    assert "Quadranorma" in page
    assert "Zelinda" not in page
    page = client.get("/marchi/tutti?q=zelinda").content.decode()
    assert ("Zelinda Uno" in page, "Zelinda Due" in page) == (True, True)
    for brand in (vegliasi, quadranorma):
        entries = looks(brand)
        assert [(one.actor_user_id, one.entity_id) for one in entries] == [(over_all.id, brand.id)] * 2
        assert [one.after["searched"] for one in entries if one.after] == [False, True]
        assert "zelinda" not in str([one.after for one in entries]).lower(), "the record names nobody"
    client.post("/brands/select", {"brand": str(vegliasi.id)})
    assert "Zelinda Due" not in client.get("/leads").content.decode(), "other pages stay in their brand"


def test_for_everybody_else_the_view_is_a_page_that_is_not_there(
    signed_in: SignedIn, over_all: User, people: Any, quadranorma: Any, clock: Clock
) -> None:
    for person in (people.carl, people.bea):
        client = signed_in(person)
        nowhere = told(client.get("/questa-pagina-non-esiste"))
        met = told(client.get("/marchi/tutti?q=zelinda"))
        assert met[0] == nowhere[0] == 404
        assert met[3].replace("/marchi/tutti?q=zelinda", "") == nowhere[3].replace(
            "/questa-pagina-non-esiste", ""
        )
        assert "/marchi/tutti" not in client.get("/marchi").content.decode()
    assert looks(quadranorma) == []


def test_looking_changes_nothing_and_its_statements_do_not_grow_with_what_is_there(
    signed_in: SignedIn,
    over_all: User,
    people: Any,
    vegliasi: Any,
    quadranorma: Any,
    django_assert_num_queries: Any,
) -> None:
    client = signed_in(over_all)
    a_lead(quadranorma, "Zelinda Uno", "+39 351 000 4127", people.carl)
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as few:
        client.get("/marchi/tutti?q=zelinda")
    for place in range(5):
        a_lead(quadranorma, f"Zelinda Altra {place}", f"+39 351 000 500{place}", people.carl)
    with brand_scope.use(quadranorma.id):
        before = list(Contact.objects.order_by("id").values())
    with CaptureQueriesContext(connection) as many:
        client.get("/marchi/tutti?q=zelinda")
    with brand_scope.use(quadranorma.id):
        assert list(Contact.objects.order_by("id").values()) == before
    assert len(many) == len(few)
    written = [one["sql"] for one in many if one["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    assert written == []


def test_a_brand_is_opened_on_its_page_and_its_opener_works_in_it(
    signed_in: SignedIn, over_all: User, people: Any
) -> None:
    client = signed_in(over_all)
    made = client.post("/marchi", {"name": "Casa Serena", "tagline": "Cura", **WEEK})
    assert made.status_code == 302
    brand = Brand.objects.get(slug="casa-serena")
    assert (brand.accent, brand.timezone) == ("terra", "Europe/Rome")
    assert brand.settings["working_hours"] == {
        "mon": [["09:00", "13:00"], ["14:30", "18:00"]],
        "tue": [["09:00", "13:00"]],
    }
    with brand_scope.use(brand.id):
        assert Stage.objects.count() == 6
        assert [one.user_id for one in UserRole.objects.all()] == [over_all.id]
        assert AuditEntry.objects.filter(entity_type="user_roles", actor_user_id=over_all.id).exists()
    principal = queries.principal_of(over_all, wanted=brand.id)
    assert principal
    assert principal.may("manage_brands")
    again = client.post("/marchi", {"name": "Casa Serena", **WEEK})
    assert (again.status_code, "È già preso: scegline un altro." in again.content.decode()) == (400, True)
    wrong = client.post(
        "/marchi", {**WEEK, "name": " ", "timezone": "Roma", "mon": "dalle nove"}
    ).content.decode()
    for sentence in (
        "Scrivi come si chiama il marchio.",
        "Questo fuso non c’è. Scrivilo come Europe/Rome.",
        "Scrivi gli orari così",
    ):
        assert sentence in wrong
    assert signed_in(people.carl).post("/marchi", {"name": "Mia", **WEEK}).status_code == 404
    assert Brand.objects.count() == 3


def test_the_settings_of_the_brand_in_use_are_changed_on_its_page(
    signed_in: SignedIn, ada: User, bea: User, vegliasi: Any, quadranorma: Any
) -> None:
    client, address = signed_in(ada), f"/marchi/{vegliasi.id}"
    assert "Impostazioni di Vegliasì" in client.get(address).content.decode()
    closed = {"patron_day": "7/12", "closed": "24/12 Vigilia\n10/08/2027-21/08/2027 Ferie"}
    saved = client.post(address, {**WEEK, **closed, "name": "Vegliasì Casa", "any_hour": "on"})
    vegliasi.refresh_from_db()
    assert (saved.status_code, vegliasi.name, vegliasi.slug) == (302, "Vegliasì Casa", "vegliasi")
    assert vegliasi.settings["working_hours"] is None
    assert Calendar.of(vegliasi.settings) == Calendar(
        (12, 7), (Closure("12-24", "12-24", "Vigilia"), Closure("2027-08-10", "2027-08-21", "Ferie"))
    )
    page = client.get(address).content.decode()
    assert 'value="07/12"' in page
    assert "24/12 Vigilia\n10/08/2027-21/08/2027 Ferie</textarea>" in page
    for wrong in ({"patron_day": "31/02"}, {"closed": "Natale"}):
        assert client.post(address, {**WEEK, **wrong, "name": "Vegliasì"}).status_code == 400
    assert client.post(address, {**WEEK, "name": "Vegliasì", "mon": "18-9"}).status_code == 400
    assert client.get(f"/marchi/{quadranorma.id}").status_code == 404
    assert signed_in(bea).get("/marchi").status_code == 404


def test_brands_over_the_api(program: Program, over_all: User, people: Any, vegliasi: Any) -> None:
    from django.utils import timezone

    program.sign_in(over_all.email, totp=code(timezone.now()))
    made = program("post", "/api/v1/brands", {"name": "Casa Serena", "accent": "bosco"})
    assert made.status_code == 201, made.content
    brand = made.json()["data"]
    assert (brand["slug"], brand["working_hours"]) == ("casa-serena", openings.WORKING_WEEK)
    taken = program("post", "/api/v1/brands", {"name": "Casa Serena"})
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "SLUG_TAKEN")
    assert taken.json()["error"]["details"] == {"slug": ["È già preso: scegline un altro."]}
    for wrong in (
        {"name": "  "},
        {"name": "Uno", "accent": "rosso"},
        {"name": "Uno", "timezone": "Luna/Mare"},
        {"name": "Uno", "working_hours": {"mon": [["18:00", "09:00"]]}},
        {"name": "Uno", "working_hours": {"lun": []}},
        {"name": "Uno", "working_hours": {"mon": [["9"]]}},
    ):
        answer = program("post", "/api/v1/brands", wrong)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR"), wrong
    assert program("post", "/api/v1/brands/select", {"brand_id": brand["id"]}).status_code == 200
    hours = {"working_hours": {"sat": [["09:00", "12:00"]]}, "timezone": "Europe/Vienna"}
    changed = program("patch", f"/api/v1/brands/{brand['id']}", hours).json()["data"]
    assert (changed["working_hours"], changed["timezone"]) == (hours["working_hours"], "Europe/Vienna")
    anyone = program("patch", f"/api/v1/brands/{brand['id']}", {"working_hours": None}).json()["data"]
    assert anyone["working_hours"] is None
    eve = {"from": "12-24", "to": "12-24", "name": "Vigilia"}
    address = f"/api/v1/brands/{brand['id']}"
    closed = program("patch", address, {"holidays": {"patron_day": "12-07", "closed": [eve]}}).json()["data"]
    assert closed["holidays"] == {"patron_day": "12-07", "closed": [eve]}
    assert program("patch", address, {"holidays": {}}).json()["data"]["holidays"]["closed"] == []
    for wrong in ({"patron_day": "24-13"}, {"closed": [{"from": "12-24", "to": "2027-01-01"}]}):
        assert program("patch", address, {"holidays": wrong}).status_code == 400, wrong
    assert program("patch", f"/api/v1/brands/{vegliasi.id}", {"name": "Mia"}).status_code == 404


def test_an_administrator_of_one_brand_opens_none_over_the_api(program: Program, ada: User) -> None:
    from django.utils import timezone

    program.sign_in(ada.email, totp=code(timezone.now()))
    refused = program("post", "/api/v1/brands", {"name": "Mia"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "FORBIDDEN")
