"""A lead that a person types in (CAP-79 … CAP-86)."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from filiera.capture.models import MarketingSource, Submission
from filiera.contacts.models import Contact
from filiera.pipeline.models import Deal, LeadEvent
from filiera.platform import brand_scope

GIVEN = {"Nome": "Mario Rossi", "Telefono": "333 1234567", "Provenienza": "Google Ads"}


@pytest.fixture
def google(vegliasi: Any) -> MarketingSource:
    with brand_scope.use(vegliasi.id):
        return MarketingSource.objects.create(name="Google Ads", aliases=["Adwords"])


@pytest.fixture
def bea_browses(signed_in: Callable[[Any], Client], bea: Any) -> Client:
    return signed_in(bea)


def test_a_lead_typed_in_is_there_when_the_answer_comes(
    bea_browses: Client, google: MarketingSource, vegliasi: Any
) -> None:
    """CAP-81, CAP-83: a read that follows the answer shows it."""
    answer = bea_browses.post("/api/leads", GIVEN, content_type="application/json")
    said = answer.json()
    assert answer.status_code == 200, said
    assert said["success"] is True
    assert (said["lead"]["Nome"], said["lead"]["Stato"]) == ("Mario Rossi", "Nuovo")
    assert said["lead"]["Fonte"] == [str(google.id)]
    assert set(said["_timing"]) == {"lookup", "create", "total"}
    listed = bea_browses.get("/api/leads").json()["records"]
    assert [lead["id"] for lead in listed] == [said["lead"]["id"]]
    with brand_scope.use(vegliasi.id):
        contact = Contact.objects.get()
        assert (contact.first_name, contact.last_name) == ("Mario", "Rossi")
        assert LeadEvent.objects.get().marketing_source_id == google.id
        assert Deal.objects.get().status == "open"
        assert Submission.objects.get().status == "processed"


def test_the_versioned_path_answers_201_in_the_envelope(bea_browses: Client, google: MarketingSource) -> None:
    answer = bea_browses.post(
        "/api/v1/leads", GIVEN | {"Provenienza": "Adwords"}, content_type="application/json"
    )
    assert answer.status_code == 201, answer.json()
    assert answer.json()["data"]["Fonte"] == [str(google.id)]
    assert set(answer.json()["meta"]) == {"timestamp", "request_id"}


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"Provenienza": "Volantino"}, "Provenienza", "Provenienza sconosciuta"),
        ({"Provenienza": "') OR 1=1 --"}, "Provenienza", "Provenienza sconosciuta"),
        ({"Nome": " "}, "Nome", "Campo obbligatorio"),
        ({"Telefono": "333 12"}, "Telefono", "Mancano cifre"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_created(
    bea_browses: Client,
    google: MarketingSource,
    vegliasi: Any,
    change: dict[str, str],
    field: str,
    sentence: str,
) -> None:
    """CAP-84, CAP-86."""
    answer = bea_browses.post("/api/leads", GIVEN | change, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["details"][field][0].startswith(sentence)
    with brand_scope.use(vegliasi.id):
        assert not Contact.objects.exists()
        assert not Submission.objects.exists()


def test_nobody_creates_a_lead_without_signing_in_or_without_the_right(
    google: MarketingSource, signed_in: Callable[[Any], Client], carl: Any, vegliasi: Any
) -> None:
    assert Client().post("/api/leads", GIVEN, content_type="application/json").status_code == 401
    assert Client().post("/api/v1/leads", GIVEN, content_type="application/json").status_code == 401
    other = signed_in(carl).post("/api/leads", GIVEN, content_type="application/json")
    assert other.json()["details"]["Provenienza"] == ["Provenienza sconosciuta"]


def test_a_cookie_alone_does_not_write(bea: Any, google: MarketingSource) -> None:
    """Q-32: the CSRF token is asked for, on the versioned path too."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(bea)
    assert client.post("/api/v1/leads", GIVEN, content_type="application/json").status_code == 403
    assert client.post("/api/leads", GIVEN, content_type="application/json").status_code == 403


def test_the_inbound_log_leads_to_the_lead_event(
    bea_browses: Client, google: MarketingSource, vegliasi: Any, signed_in: Callable[[Any], Client], ada: Any
) -> None:
    """The event points back to the submission; the log's `lead_event_id` is read from there (PLT-44)."""
    bea_browses.post("/api/leads", GIVEN, content_type="application/json")
    [request] = signed_in(ada).get("/api/v1/capture/requests").json()["data"]
    with brand_scope.use(vegliasi.id):
        assert request["lead_event_id"] == str(LeadEvent.objects.get().id)
