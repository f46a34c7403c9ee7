"""Merging on pages and over the API: choose, see what it does, and take it back (CON-22, CON-25, CON-43)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from filiera.contacts import merging
from filiera.contacts.models import Contact, Merge
from filiera.platform import brand_scope
from filiera.platform.ids import new_id
from tests.leads import incoming, take_in

SignedIn = Callable[[Any], Client]


@pytest.fixture
def trio(vegliasi: Any) -> list[Contact]:
    return made(vegliasi, 3)


def made(brand: Any, number: int) -> list[Contact]:
    now = timezone.now() - timedelta(hours=1)
    with brand_scope.use(brand.id):
        leads = [
            incoming(
                first_name=f"Adele {n}", phone=f"351 000 20{n:02}", email=f"n{n}@posta.example", received_at=now,
                city="Bari" if n else "",
            )
            for n in range(number)
        ]  # fmt: skip
        return [
            Contact.objects.get(id=take_in(lead, now=now + timedelta(seconds=n))[0].contact.id)
            for n, lead in enumerate(leads)
        ]


def address(*people: Contact) -> str:
    return "/leads/unisci?ids=" + ",".join(str(one.id) for one in people)


def test_the_page_shows_people_side_by_side_with_the_rules_choice(
    signed_in: SignedIn, bea: Any, trio: list[Contact]
) -> None:
    page = signed_in(bea).get(address(*trio)).content.decode()
    assert "3 schede, una persona?" in page
    assert f'name="resta" value="{trio[0].id}" checked' in page
    assert f'name="da_first_name" value="{trio[0].id}" checked' in page
    assert f'name="da_email" value="{trio[2].id}"' in page
    assert 'name="da_city"' not in page, "there is but one value"
    assert "altre 2 si chiudono come unite" in page
    assert "Hanno indirizzi e-mail diversi" in page


def test_the_form_merges_as_chosen_and_the_toast_takes_it_back(
    signed_in: SignedIn, bea: Any, trio: list[Contact], vegliasi: Any
) -> None:
    first, second, third = trio
    client = signed_in(bea)
    answer = client.post(
        address(*trio), {"resta": str(second.id), "da_email": str(third.id), "da_first_name": str(second.id)}
    )
    assert answer["Location"] == f"/leads/{second.id}"
    with brand_scope.use(vegliasi.id):
        record = Merge.objects.get()
        survivor = Contact.objects.get(id=second.id)
    assert (survivor.email_norm, survivor.first_name, record.by_user_id) == (
        "n2@posta.example",
        "Adele 1",
        bea.id,
    )
    page = client.get(answer["Location"]).content.decode()
    undo = f"/leads/unioni/{record.id}/annulla"
    assert f'data-undo="{undo}"' in page
    assert "ha unito altre 2 schede" in page
    assert f'action="{undo}"' in page
    old = client.get(f"/leads/{first.id}?mostra=note")
    assert (old.status_code, old["Location"]) == (301, f"/leads/{second.id}?mostra=note")
    typed = client.post(f"/leads/{first.id}/delete")
    assert (typed.status_code, typed["Location"]) == (302, f"/leads/{second.id}")
    assert client.post(undo)["Location"] == f"/leads/{second.id}"
    with brand_scope.use(vegliasi.id):
        assert Contact.objects.filter(deleted_at=None).count() == 3
    assert client.get(f"/leads/{first.id}").status_code == 200


def test_past_merges_stand_on_a_page_with_what_stayed(
    signed_in: SignedIn, bea: Any, trio: list[Contact], vegliasi: Any
) -> None:
    client = signed_in(bea)
    assert "Ancora nessuna." in client.get("/leads/unioni").content.decode()
    with brand_scope.use(vegliasi.id):
        Contact.objects.filter(id=trio[0].id).update(city="")
        record = merging.merge(contact_ids=[one.id for one in trio], now=timezone.now(), user_id=bea.id)
        Contact.objects.filter(id=trio[0].id).update(city="Lecce")
    page = client.get("/leads/unioni").content.decode()
    assert "3 schede unite" in page
    assert "da Bea Neri" in page
    assert "Si annulla fino al" in page
    undo = f"/leads/unioni/{record.id}/annulla"
    assert client.post(undo)["Location"] == "/leads/unioni"
    assert (
        "Resta come è stato cambiato dopo: Anagrafica: Città" in client.get("/leads/unioni").content.decode()
    )
    client.post(undo)
    assert "è già stata annullata" in client.get("/leads/unioni").content.decode()


@pytest.mark.parametrize("ids", ["", "x", "one", "strangers"])
def test_an_address_that_names_nobody_to_merge_says_so(
    signed_in: SignedIn, bea: Any, trio: list[Contact], quadranorma: Any, ids: str
) -> None:
    strangers = made(quadranorma, 2)
    wanted = {
        "one": str(trio[0].id),
        "strangers": f"{trio[0].id},{strangers[0].id}",
    }.get(ids, ids)
    answer = signed_in(bea).get(f"/leads/unisci?ids={wanted}")
    assert answer.status_code == (404 if ids in ("x", "strangers") else 400)


@pytest.mark.parametrize("path", ["/api/leads/merge", "/api/v1/leads/merge"])
def test_programs_merge_and_old_ids_lead_to_the_survivor(
    signed_in: SignedIn, bea: Any, trio: list[Contact], quadranorma: Any, path: str
) -> None:
    client = signed_in(bea)
    ids = [str(one.id) for one in trio]

    def post(to: str, body: Any = None) -> Any:
        return client.post(to, body or {}, content_type="application/json")

    stranger = str(made(quadranorma, 1)[0].id)
    for wrong, status in (
        (ids[:1], 400),
        ([ids[0], ids[0]], 400),
        ([str(new_id()) for _ in range(51)], 400),
        ([ids[0], str(new_id())], 404),
        ([ids[0], stranger], 404),
    ):
        assert post(path, {"leadIds": wrong}).status_code == status
    answer = post(path, {"leadIds": ids})
    told = answer.json()
    assert (answer.status_code, told["success"]) == (200, True)
    assert told["data"]["survivorId"] == ids[0]
    assert set(told["data"]["mergedIds"]) == set(ids[1:])
    assert post(path, {"leadIds": ids}).status_code == 404
    for lead in ("/api/leads/", "/api/v1/leads/"):
        old = client.get(lead + ids[1])
        assert (old.status_code, old["Location"], old.json()["data"]["mergedInto"]) == (
            301,
            lead + ids[0],
            ids[0],
        )
    moved = client.patch(f"/api/v1/leads/{ids[1]}", {"city": "Roma"}, content_type="application/json")
    assert (moved.status_code, moved["Location"]) == (308, f"/api/v1/leads/{ids[0]}")
    listed = client.get("/api/v1/leads/merges").json()
    assert (listed["pagination"]["total"], listed["data"][0]["by"]) == (1, "Bea Neri")
    undo = f"/api/v1/leads/merges/{told['data']['mergeId']}/undo"
    done = post(undo).json()["data"]
    assert (set(done["restoredIds"]), done["kept"]) == (set(ids[1:]), [])
    again = post(undo)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "NOT_UNDOABLE")
    assert post(f"/api/v1/leads/merges/{new_id()}/undo").status_code == 404


def test_another_brand_neither_sees_nor_undoes_a_merge(
    signed_in: SignedIn, bea: Any, carl: Any, trio: list[Contact], vegliasi: Any
) -> None:
    with brand_scope.use(vegliasi.id):
        record = merging.merge(contact_ids=[one.id for one in trio], now=timezone.now(), user_id=bea.id)
    client = signed_in(carl)
    assert client.get(f"/leads/{trio[1].id}").status_code == 404
    assert client.get("/api/v1/leads/merges").json()["data"] == []
    assert client.post(f"/leads/unioni/{record.id}/annulla").status_code == 404
