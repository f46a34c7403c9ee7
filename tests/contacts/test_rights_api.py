"""Consents and restriction over the API: what the privacy page does, for programs, with the same proofs."""

from typing import Any

import pytest
from django.test import Client

from filiera.contacts.models import Contact
from filiera.platform import brand_scope
from filiera.routing import gate
from tests.leads import NOW, incoming, take_in

TEXT = "Acconsento a ricevere telefonate promozionali da Vegliasì."
GIVEN = {"purpose": "marketing", "channel": "call", "text": TEXT, "collected_by": "Modulo in fiera"}


@pytest.fixture
def adele(vegliasi: Any) -> Contact:
    with brand_scope.use(vegliasi.id):
        [lead] = take_in(incoming())
        return Contact.objects.get(id=lead.contact.id)


def send(client: Client, method: str, path: str, body: Any = None) -> Any:
    answer = getattr(client, method)(f"/api/v1/leads/{path}", data=body, content_type="application/json")
    return answer.status_code, answer.json().get("data") or answer.json().get("error")


def test_a_permission_is_recorded_listed_and_taken_back(signed_in: Any, bea: Any, adele: Contact) -> None:
    client = signed_in(bea)
    status, told = send(client, "post", f"{adele.pk}/consents", GIVEN | {"given_at": "2026-01-10T10:30:00Z"})
    assert status == 201
    (holds,) = told["permissions"]
    assert (holds["purpose"], holds["channel"], holds["holds"]) == ("marketing", "call", True)
    (act,) = told["history"]
    assert (act["text"], act["collected_by"], act["by_person"]) == (
        TEXT,
        "Modulo in fiera (Bea Neri)",
        False,
    )
    assert (act["at"], len(act["text_version"])) == ("2026-01-10T10:30:00+00:00", 12)
    assert len(send(client, "get", f"{adele.pk}/consents")[1]["history"][0]["record_hash"]) == 64
    status, told = send(client, "post", f"{adele.pk}/consents/withdraw", {"channel": "call"})
    assert status == 200
    assert told["permissions"][0] | {"since": ""} == {
        "purpose": "marketing",
        "channel": "call",
        "holds": False,
        "since": "",
        "blocked_by": "withdrawn",
    }
    assert [one["channel"] for one in told["blocks"]] == ["call"]
    send(client, "post", f"{adele.pk}/consents", GIVEN)
    assert not send(client, "get", f"{adele.pk}/consents")[1]["permissions"][0]["holds"], (
        "paper ends no block"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": ""},
        {"collected_by": " "},
        {"channel": ""},
        {"purpose": "notice"},
        {"given_at": "2099-01-01T00:00:00Z"},
    ],
)
def test_a_permission_without_its_proof_is_none(
    signed_in: Any, bea: Any, adele: Contact, wrong: dict[str, str]
) -> None:
    client = signed_in(bea)
    assert send(client, "post", f"{adele.pk}/consents", GIVEN | wrong)[0] == 400
    assert send(client, "get", f"{adele.pk}/consents")[1]["history"] == []


def test_restriction_is_put_by_who_edits_and_lifted_by_an_administrator(
    signed_in: Any, people: Any, adele: Contact, vegliasi: Any
) -> None:
    beas = signed_in(people.bea)
    put, told = send(beas, "post", f"{adele.pk}/restriction", {"reason": "Contesta i dati."})
    assert (put, told["is_restricted"], told["reason"], told["by"]) == (
        200,
        True,
        "Contesta i dati.",
        str(people.bea.pk),
    )
    with brand_scope.use(vegliasi.id):
        assert not gate.verdict_of(adele.pk, now=NOW, brand=vegliasi).may
    assert send(beas, "post", f"{adele.pk}/restriction", {"reason": "Ancora."})[0] == 409
    assert send(beas, "delete", f"{adele.pk}/restriction")[0] == 403
    lifted, told = send(signed_in(people.ada), "delete", f"{adele.pk}/restriction")
    assert (lifted, told["is_restricted"], told["since"]) == (200, False, None)
    assert not send(beas, "get", f"{adele.pk}/restriction")[1]["is_restricted"]


def test_another_brand_finds_nobody(signed_in: Any, carl: Any, adele: Contact) -> None:
    client = signed_in(carl)
    for method, path, body in (
        ("get", "consents", None),
        ("post", "consents", GIVEN),
        ("post", "consents/withdraw", {}),
        ("get", "restriction", None),
        ("post", "restriction", {"reason": "x"}),
        ("delete", "restriction", None),
    ):
        assert send(client, method, f"{adele.pk}/{path}", body)[0] == 404
