"""Tags: a tree without circles, put on people, deals and lead events, found with what stands below (CON-26, CON-27)."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from django.test import Client

from filiera.contacts import merging, tags
from filiera.contacts.models import Contact, ContactTag, Tag
from filiera.contacts.tags import TagCycle, TagExists, TaggedMissing, TagHasChildren, TagMissing
from filiera.identity.models import AuditEntry
from filiera.pipeline.models import Deal, LeadEvent
from filiera.platform import brand_scope
from filiera.platform.ids import new_id
from filiera.platform.refusals import Invalid
from tests.leads import NOW, incoming, take_in


@pytest.fixture
def tree(in_vegliasi: Any) -> dict[str, Tag]:
    fairs = tags.create(name="Fiere", color="terra", now=NOW)
    milan = tags.create(name="Milano", parent_id=fairs.id, now=NOW)
    spring = tags.create(name="Primavera", parent_id=milan.id, now=NOW)
    return {"fiere": fairs, "milano": milan, "primavera": spring}


def people(number: int) -> list[Contact]:
    leads = [incoming(phone=f"351 000 30{n:02}", email=f"t{n}@posta.example") for n in range(number)]
    return [lead.contact for lead in take_in(*leads)]


def put(tag: Tag, *rows: Any, on: str = "contact") -> int:
    return tags.assign(
        tag_id=tag.id, entity_type=on, entity_ids=[one.id for one in rows], now=NOW, user_id=None
    )


def test_the_tree_stands_in_its_order(tree: dict[str, Tag]) -> None:
    tags.create(name="Bonus casa", now=NOW)
    assert [(one.path, one.depth) for one in tags.tree()] == [
        ("Bonus casa", 0),
        ("Fiere", 0),
        ("Fiere / Milano", 1),
        ("Fiere / Milano / Primavera", 2),
    ]


def test_a_filter_by_a_tag_finds_what_has_one_below_it(tree: dict[str, Tag]) -> None:
    first, second, third = people(3)
    assert (put(tree["fiere"], first), put(tree["primavera"], second)) == (1, 1)
    assert put(tree["fiere"], first) == 0, "it has it already"
    assert set(tags.tagged(Contact.objects.all(), tree["fiere"].id)) == {first, second}
    assert set(tags.tagged(Contact.objects.all(), tree["milano"].id)) == {second}
    deal, event = Deal.objects.get(contact=third), LeadEvent.objects.get(contact=third)
    put(tree["milano"], deal, on="deal")
    put(tree["milano"], event, on="lead_event")
    assert list(tags.tagged(Deal.objects.all(), tree["fiere"].id)) == [deal]
    assert list(tags.tagged(LeadEvent.objects.all(), tree["fiere"].id)) == [event]
    assert tags.counts() == {tree["fiere"].id: 1, tree["primavera"].id: 1, tree["milano"].id: 2}
    assert tags.unassign(tag_id=tree["fiere"].id, entity_type="contact", entity_ids=[first.id]) == 1
    assert set(tags.tagged(Contact.objects.all(), tree["fiere"].id)) == {second}


@pytest.mark.parametrize("below", ["fiere", "milano", "primavera"])
def test_a_tag_never_stands_below_itself(tree: dict[str, Tag], below: str) -> None:
    with pytest.raises(TagCycle):
        tags.edit(tag_id=tree["fiere"].id, changes={"parent_id": tree[below].id})
    assert tags.edit(tag_id=tree["primavera"].id, changes={"parent_id": tree["fiere"].id}).parent_id


def test_a_tag_with_children_goes_only_with_them(tree: dict[str, Tag]) -> None:
    [first] = people(1)
    put(tree["primavera"], first)
    with pytest.raises(TagHasChildren):
        tags.delete(tag_id=tree["milano"].id)
    assert tags.delete(tag_id=tree["milano"].id, cascade=True) == 2
    assert [one.name for one in Tag.objects.all()] == ["Fiere"]
    assert ContactTag.objects.count() == 0


def test_siblings_have_different_names_and_what_is_not_there_is_refused(tree: dict[str, Tag]) -> None:
    with pytest.raises(TagExists):
        tags.create(name=" FIERE ", now=NOW)
    assert tags.create(name="Fiere", parent_id=tree["milano"].id, now=NOW).slug == "fiere"
    for wrong in ({"name": " "}, {"name": "x", "color": "rosso"}):
        with pytest.raises(Invalid):
            tags.create(now=NOW, **wrong)
    with pytest.raises(TagMissing):
        tags.create(name="x", parent_id=new_id(), now=NOW)
    with pytest.raises(TaggedMissing):
        tags.assign(
            tag_id=tree["fiere"].id, entity_type="contact", entity_ids=[new_id()], now=NOW, user_id=None
        )
    with pytest.raises(Invalid):
        tags.assign(tag_id=tree["fiere"].id, entity_type="order", entity_ids=[], now=NOW, user_id=None)


def test_a_merged_person_has_the_tags_of_all_once_and_an_undo_gives_them_back(tree: dict[str, Tag]) -> None:
    first, second = people(2)
    put(tree["fiere"], first, second)
    put(tree["milano"], second)
    record = merging.merge(contact_ids=[first.id, second.id], now=NOW, user_id=None)
    survivor = record.survivor_id
    assert {one.name for one in tags.of("contact", [survivor])[survivor]} == {"Fiere", "Milano"}
    tags.delete(tag_id=tree["milano"].id, cascade=True)
    merging.undo(merge_id=record.id, now=NOW, user_id=None)
    found = tags.of("contact", [first.id, second.id])
    assert {key: [one.name for one in own] for key, own in found.items()} == {
        first.id: ["Fiere"],
        second.id: ["Fiere"],
    }


def test_who_tagged_what_is_on_record(tree: dict[str, Tag]) -> None:
    [first] = people(1)
    put(tree["fiere"], first)
    assert AuditEntry.objects.filter(entity_type="tag_assignments", action="CREATE").count() == 1
    assert AuditEntry.objects.filter(entity_type="tags", action="CREATE").count() == 3


def test_programs_keep_the_tree_and_find_by_it(
    signed_in: Callable[[Any], Client], bea: Any, carl: Any, vegliasi: Any
) -> None:
    client = signed_in(bea)

    def send(method: str, path: str, body: Any = None) -> Any:
        return client.generic(method, f"/api/v1{path}", data=b"" if body is None else _json(body),
                              content_type="application/json")  # fmt: skip

    with brand_scope.use(vegliasi.id):
        first, _second = people(2)
    made = send("POST", "/tags", {"name": "Fiere"})
    parent = made.json()["data"]["id"]
    assert made.status_code == 201
    child = send("POST", "/tags", {"name": "Milano", "parent_id": parent, "color": "bosco"}).json()["data"][
        "id"
    ]
    assert send("POST", "/tags", {"name": "fiere"}).status_code == 409
    assert send("PATCH", f"/tags/{parent}", {"parent_id": child}).json()["error"]["code"] == "TAG_CYCLE"
    assert send("PATCH", f"/tags/{child}", {"name": "Milano 2026"}).json()["data"]["color"] == "bosco"
    body = {"entity_type": "contact", "entity_ids": [str(first.id)]}
    assert send("POST", f"/tags/{child}/assignments", body).json()["data"] == {"added": 1}
    assert [one["count"] for one in send("GET", "/tags").json()["data"]] == [0, 1]
    assert [one["id"] for one in send("GET", f"/leads?tag={parent}").json()["data"]] == [str(first.id)]
    found = client.get("/api/leads?loadAll=true&tag=fiere").json()["records"]
    assert [one["id"] for one in found] == [str(first.id)]
    assert client.get("/api/leads?loadAll=true&tag=ignota").json()["records"] == []
    assert send("GET", f"/leads/{first.id}").json()["data"]["tags"] == [
        {"id": child, "name": "Milano 2026", "color": "bosco"}
    ]
    assert signed_in(carl).get("/api/v1/tags").json()["data"] == []
    assert signed_in(carl).get(f"/api/v1/leads?tag={parent}").status_code == 404
    assert send("DELETE", f"/tags/{parent}").json()["error"]["code"] == "TAG_HAS_CHILDREN"
    assert send("DELETE", f"/tags/{child}/assignments", body).json()["data"] == {"removed": 1}
    assert send("DELETE", f"/tags/{parent}?cascade=true").json()["data"] == {"deleted": 2}


def test_people_keep_the_tree_on_its_page_and_tag_on_the_record(
    signed_in: Callable[[Any], Client], bea: Any, vegliasi: Any
) -> None:
    client = signed_in(bea)
    assert "Ancora nessuna etichetta" in client.get("/etichette").content.decode()
    assert client.post("/etichette", {"nome": "Fiere", "colore": "terra"})["Location"] == "/etichette"
    refused = client.post("/etichette", {"nome": "Fiere", "colore": "terra"})
    assert (refused.status_code, "c’è già un’etichetta" in refused.content.decode()) == (409, True)
    with brand_scope.use(vegliasi.id):
        tag = Tag.objects.get()
        [first] = people(1)
    record = f"/leads/{first.id}"
    assert client.post(f"{record}/etichette", {"tag": str(tag.id)})["Location"] == record
    assert "Togli Fiere" in client.get(record).content.decode()
    client.post(f"{record}/etichette", {"tag": str(tag.id), "togli": "1"})
    assert "Togli Fiere" not in client.get(record).content.decode()
    client.post(f"/etichette/{tag.id}", {"nome": "Eventi", "colore": "oliva", "sotto": ""})
    assert "“Eventi” è cambiata." in client.get("/etichette").content.decode()
    client.post(f"/etichette/{tag.id}/elimina")
    assert "1 etichetta eliminata." in client.get("/etichette").content.decode()


def _json(body: Any) -> bytes:
    return orjson.dumps(body)
