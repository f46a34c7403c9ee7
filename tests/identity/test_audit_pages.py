"""The page, the API and the file of who did what (IDN-32): for who administers, of one brand, page by page."""

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from filiera.contacts.models import Contact
from filiera.identity import audit_search
from filiera.identity.models import AuditEntry, User
from filiera.platform import brand_scope
from tests.leads import incoming, take_in

API = "/api/v1/admin/audit"


@pytest.fixture
def adele(vegliasi: Any, people: Any, signed_in: Callable[[Any], Client]) -> Contact:
    """Adele, whose city Bea wrote down."""
    with brand_scope.use(vegliasi.id):
        contact = take_in(incoming())[0].contact
    signed_in(people.bea).post(f"/leads/{contact.id}/fields/city", {"value": "<b>Noale</b>", "was": ""})
    return contact


@pytest.fixture
def adas(signed_in: Callable[[Any], Client], ada: User) -> Client:
    return signed_in(ada)


def lines(client: Client, **wanted: Any) -> list[dict[str, Any]]:
    answer = client.get(API, wanted)
    assert answer.status_code == 200, answer.content
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def test_an_entry_over_the_api_has_the_shape_of_the_contract(adas: Client, adele: Contact, bea: User) -> None:
    [entry] = lines(adas, entity_type="contacts", action="UPDATE", entity_id=str(adele.id))
    assert (
        entry.items()
        >= {
            "brand_id": str(adele.brand_id),
            "actor_user_id": str(bea.id),
            "action": "UPDATE",
            "entity_type": "contacts",
            "entity_id": str(adele.id),
            "changes": {"before": {"city": ""}, "after": {"city": "<b>Noale</b>"}},
            "ip_address": "127.0.0.1",
            "user_agent": "",
        }.items()
    )
    assert entry["request_id"].startswith("req-")
    assert entry["actor"] == {"kind": "person", "name": "Bea Neri", "db_role": "filiera_app"}
    assert {one["actor_user_id"] for one in lines(adas, actor_user_id=str(bea.id))} == {str(bea.id)}
    assert lines(adas, entity_id=str(adele.id), to="2020-01-01T00:00:00Z") == []
    assert lines(adas, entity_id=str(adele.id), **{"from": "2020-01-01T00:00:00Z"})


def test_pages_follow_each_other_without_a_gap_or_a_repetition(adas: Client, adele: Contact) -> None:
    whole = [one["id"] for one in lines(adas, per_page=100)]
    assert len(whole) > 20
    seen: list[str] = []
    cursor = ""
    while True:
        body = adas.get(API, {"per_page": 7, "cursor": cursor}).json()
        seen += [one["id"] for one in body["data"]]
        cursor = body["pagination"]["next_cursor"]
        if cursor is None:
            break
    assert seen == whole
    assert adas.get(API, {"cursor": "x.y"}).json()["data"][0]["id"] == whole[0], "a cursor of nothing is none"


def test_only_who_administers_sees_it_and_of_their_brand_only(
    signed_in: Callable[[Any], Client], adele: Contact, bea: User, carl: User
) -> None:
    for path in ("/registro", "/registro/export", API, f"{API}/export"):
        assert signed_in(bea).get(path).status_code in {403, 404}, path
    carls = signed_in(carl)
    assert lines(carls, entity_id=str(adele.id)) == []
    assert "Noale" not in carls.get("/registro").content.decode()
    with brand_scope.use(adele.brand_id):
        entry = AuditEntry.objects.filter(entity_id=adele.id).first()
    assert entry is not None
    assert carls.get(f"/registro?id={entry.id}").status_code == 404


def test_the_page_tells_who_did_what_with_before_and_after(adas: Client, adele: Contact, bea: User) -> None:
    page = adas.get(f"/registro?entity=contacts&action=UPDATE&person={bea.id}").content.decode()
    assert "Bea Neri" in page
    [href] = re.findall(r'class="fi-name" href="(\?[^"]+)"', page)
    detail = adas.get("/registro" + href.replace("&amp;", "&")).content.decode()
    assert '<dt title="city">Città</dt>' in detail
    assert "→ <ins>&lt;b&gt;Noale&lt;/b&gt;</ins>" in detail
    assert "127.0.0.1" in detail
    assert "entro un minuto" in detail
    assert f"?subject={adele.id}" in detail
    history = adas.get(f"/registro?subject={adele.id}").content.decode()
    assert history.count('<tr id="entry-') == 2


def test_a_filter_that_finds_nothing_says_so_and_odd_ones_do_no_harm(adas: Client, adele: Contact) -> None:
    assert "Nessuna voce con questi 2 filtri." in (
        adas.get("/registro?action=EXPORT&since=2020-01-01").content.decode()
    )
    odd = "/registro?person=x&subject=%00&entity=%00&since=ieri&until=9999-12-31&before=9e9.x&action=%00"
    assert adas.get(odd).status_code == 200
    assert adas.get("/registro?id=x").status_code == 404


def test_in_english_it_is_english(adas: Client, ada: User, adele: Contact) -> None:
    User.objects.filter(pk=ada.pk).update(language="en")
    page = adas.get("/registro").content.decode()
    assert "Who did what" in page
    assert "SQL by hand" in page


def test_a_file_names_who_took_it_and_runs_no_formula_and_is_a_line_itself(
    adas: Client, vegliasi: Any, adele: Contact, ada: User
) -> None:
    with brand_scope.use(vegliasi.id):
        Contact.objects.filter(id=adele.id).update(notes="=HYPERLINK()")
    told = adas.get(f"/registro/export?format=csv&subject={adele.id}&action=UPDATE")
    assert told["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(
        r'attachment; filename="vegliasi-registro-\d{8}-\d{4}\.csv"', told["Content-Disposition"]
    )
    rows = list(csv.DictReader(io.StringIO(told.content.decode())))
    assert [row["after"] for row in rows] == ['{"notes":"=HYPERLINK()"}', '{"city":"<b>Noale</b>"}']
    assert {row["exported_by"] for row in rows} == {"ada@vegliasi.example"}
    assert [audit_search._cell(text) for text in ("=1+1", "+39", "-1", "@x", "\tx", "ok", None)] == [
        *("'=1+1", "'+39", "'-1", "'@x", "'\tx", "ok", ""),
    ]
    body = adas.get(f"{API}/export?entity_type=contacts").json()
    assert body["exported_by"] == "ada@vegliasi.example"
    assert body["entries"][0]["entity_type"] == "contacts"
    exports = lines(adas, action="EXPORT")
    assert [one["changes"]["after"]["format"] for one in exports] == ["json", "csv"]
    assert exports[1]["changes"]["after"] == {
        "entries": 2,
        "format": "csv",
        "filters": {"subject": str(adele.id), "action": "UPDATE"},
    }
    assert exports[0]["actor_user_id"] == str(ada.id)
