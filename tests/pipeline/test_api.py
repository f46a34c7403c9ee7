"""Leads, deals and activities over HTTP: contacts.md 3, pipeline.md 3, under /api/v1 and the older paths."""

import json
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.utils import timezone

from filiera.capture.models import MarketingSource
from filiera.contacts.models import Contact, ContactPhone
from filiera.pipeline import commands, historic
from filiera.pipeline.models import Activity, Deal, Stage, StageHistory
from filiera.platform import brand_scope
from tests.leads import NOW, incoming, take_in


@pytest.fixture
def adele(vegliasi):
    """Adele's lead in Vegliasì."""
    with brand_scope.use(vegliasi.id):
        return take_in(incoming(notes="Vive sola"))[0]


class Caller:
    """A client that speaks JSON."""

    def __init__(self, client):
        self.client = client

    def __call__(self, method, path, body=None):
        """Return status and decoded body."""
        kwargs = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        answer = getattr(self.client, method)(path, **kwargs)
        return answer.status_code, answer.json()


@pytest.fixture
def call(signed_in, bea):
    return Caller(signed_in(bea))


@pytest.fixture
def carls_call(signed_in, carl):
    return Caller(signed_in(carl))


@pytest.fixture
def adas_call(signed_in, ada):
    return Caller(signed_in(ada))


def test_the_list_of_leads_comes_in_the_paginated_envelope(call, adele, vegliasi):
    with brand_scope.use(vegliasi.id):
        take_in(*(incoming(phone=f"351 {n:07d}", email=f"n{n}@posta.example") for n in range(24)))
    status, body = call("get", "/api/v1/leads?page=2&per_page=20")
    assert status == 200
    assert body["success"] is True
    assert body["pagination"] == {
        "total": 25,
        "page": 2,
        "per_page": 20,
        "total_pages": 2,
        "has_next": False,
        "has_prev": True,
    }
    assert len(body["data"]) == 5
    assert set(body["meta"]) == {"timestamp", "request_id"}


def test_a_lead_is_person_deal_and_last_request_in_one(call, adele):
    status, body = call("get", "/api/v1/leads?status=nuovo&q=adele")
    (lead,) = body["data"]
    assert status == 200
    assert (lead["first_name"], lead["phone_e164"], lead["status"]) == ("Adele", "+393510004127", "nuovo")
    assert (lead["deal"]["title"], lead["deal"]["stage"]["name"]) == ("FAMILY · BASE", "Nuovo")
    assert (lead["last_event"]["message"], lead["is_returning"]) == ("Vive sola", False)
    status, body = call("get", f"/api/v1/leads/{adele.contact.id}")
    assert [phone["e164"] for phone in body["data"]["phones"]] == ["+393510004127"]
    assert len(body["data"]["last_events"]) == 1


def test_a_lead_is_changed_and_read_back_at_once(call, adele, bea):
    """CON-34."""
    path = f"/api/v1/leads/{adele.contact.id}"
    status, body = call(
        "patch", path, {"city": "Noale", "status": "caldo", "phone": "333 000 4480", "owner_id": str(bea.id)}
    )
    assert status == 200
    assert body["data"]["deal"]["stage"]["name"] == "Caldo"
    assert call("get", path)[1]["data"] | {"updated_at": 0} == body["data"] | {"updated_at": 0}
    assert (body["data"]["city"], body["data"]["owner"]["name"]) == ("Noale", "Bea Neri")
    assert [phone["e164"] for phone in body["data"]["phones"]] == ["+393330004480"]
    assert body["data"]["deal"]["owner"]["name"] == "Bea Neri"


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"phone": "351 000 4"}, "INVALID_PHONE", "phone"),
        ({"email": "adele"}, "VALIDATION_ERROR", "email"),
        ({"status": "tiepido"}, "VALIDATION_ERROR", None),
        ({"age": 400}, "VALIDATION_ERROR", None),
        ({"owner_id": str(uuid4())}, "VALIDATION_ERROR", "owner_id"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field_and_changes_nothing(
    call, adele, vegliasi, changes, code, field
):
    status, body = call("patch", f"/api/v1/leads/{adele.contact.id}", {"city": "Noale"} | changes)
    assert (status, body["success"], body["error"]["code"]) == (400, False, code)
    assert field is None or field in body["error"]["details"]
    with brand_scope.use(vegliasi.id):
        assert Contact.objects.get().city == ""


def test_the_thread_of_a_lead_is_newest_first(call, adele):
    call(
        "post",
        "/api/v1/activities",
        {"type": "visita", "contact_id": str(adele.contact.id), "note": "Due gatti"},
    )
    status, body = call("get", f"/api/v1/leads/{adele.contact.id}/timeline")
    assert status == 200
    kinds = [item["kind"] for item in body["data"]]
    assert {"activity.done", "deal.moved", "deal.opened", "lead.received"} <= set(kinds)
    moments = [item["at"] for item in body["data"]]
    assert moments == sorted(moments, reverse=True)


def test_deals_are_opened_moved_closed_and_reopened(call, adele, vegliasi):
    contact = str(adele.contact.id)
    assert call("post", "/api/v1/deals", {"contact_id": contact, "title": "PRO"})[1]["error"]["code"] == (
        "OPEN_DEAL_EXISTS"
    )
    with brand_scope.use(vegliasi.id):
        stages = {stage.lead_state: str(stage.id) for stage in Stage.objects.all()}
    path = f"/api/v1/deals/{adele.deal.id}"
    status, body = call(
        "post", f"{path}/move", {"stage_id": stages["caldo"], "version": 1, "reason": "manual"}
    )
    assert (status, body["data"]["stage"]["name"], body["data"]["version"]) == (200, "Caldo", 2)
    status, body = call("post", f"{path}/move", {"stage_id": stages["nuovo"], "version": 1})
    assert (status, body["error"]["code"]) == (409, "STALE_OBJECT")
    status, body = call("patch", path, {"amount": "480.00", "version": 2})
    assert (status, body["data"]["amount"]) == (200, "480.00")
    status, body = call("post", f"{path}/close", {"status": "lost", "lost_reason": "prezzo"})
    assert (status, body["data"]["status"], body["data"]["lost_reason"]) == (200, "lost", "prezzo")
    status, body = call("post", "/api/v1/deals", {"contact_id": contact, "title": "PRO"})
    assert (status, body["data"]["stage"]["name"]) == (201, "Nuovo")
    status, body = call("post", f"{path}/reopen", {})
    assert (status, body["error"]["code"]) == (409, "OPEN_DEAL_EXISTS")
    call("post", f"/api/v1/deals/{_other(vegliasi, adele)}/close", {"status": "lost", "is_void": True})
    bare = call.client.post(
        f"{path}/reopen", data=b"", content_type="application/json"
    )  # as curl -X POST sends it
    status, body = bare.status_code, bare.json()
    assert (status, body["data"]["status"], body["data"]["stage"]["name"]) == (200, "open", "Caldo")
    status, body = call("get", f"{path}/history")
    assert [row["stage"]["name"] for row in body["data"]] == ["Nuovo", "Caldo", "Perso", "Caldo"]
    assert body["data"][-1]["exited_at"] is None
    assert all(row["duration_seconds"] >= 0 for row in body["data"])


def _other(vegliasi, adele):
    with brand_scope.use(vegliasi.id):
        return Deal.objects.exclude(id=adele.deal.id).get().id


def test_the_board_adds_up_each_stage(call, adele, vegliasi):
    with brand_scope.use(vegliasi.id):
        commands.edit_deal(deal_id=adele.deal.id, changes={"amount": Decimal("480")}, now=NOW)
    status, body = call("get", "/api/v1/pipeline/board")
    assert status == 200
    first = body["data"]["stages"][0]
    assert (first["name"], first["order_index"], first["total_amount"]) == ("Nuovo", 0, "480.00")
    assert [deal["contact"]["full_name"] for deal in first["deals"]] == ["Adele Brunetti"]


def test_stages_are_for_who_manages_the_pipeline(call, adas_call, adele, vegliasi):
    """PIP-29."""
    assert call("post", "/api/v1/pipeline/stages", {"name": "Sopralluogo"})[0] == 403
    status, body = adas_call("post", "/api/v1/pipeline/stages", {"name": "Sopralluogo", "probability": 60})
    assert (status, body["data"]["order_index"], body["data"]["version"]) == (201, 6, 1)
    stage = body["data"]["id"]
    status, body = adas_call("patch", f"/api/v1/pipeline/stages/{stage}", {"probability": "65.5"})
    assert (status, body["data"]["version"]) == (200, 2)
    status, body = adas_call("post", "/api/v1/pipeline/stages/reorder", {"stage_ids": [stage]})
    assert [each["name"] for each in body["data"]][:2] == ["Sopralluogo", "Nuovo"]
    status, body = adas_call("delete", f"/api/v1/pipeline/stages/{stage}")
    assert status == 200
    nuovo = call("get", "/api/v1/pipeline/stages")[1]["data"][0]
    assert adas_call("delete", f"/api/v1/pipeline/stages/{nuovo['id']}")[0] == 409


def test_activities_are_recorded_planned_done_and_taken_back(call, adele, vegliasi):
    contact = str(adele.contact.id)
    status, body = call(
        "post",
        "/api/v1/activities",
        {
            "type": "chiamata",
            "contact_id": contact,
            "status": "planned",
            "scheduled_at": "2026-10-20T10:00:00",
        },
    )
    assert (status, body["data"]["status"], body["data"]["lead_state"]) == (201, "planned", "nuovo")
    assert body["data"]["scheduled_at"].startswith("2026-10-20T10:00:00+02:00")
    path = f"/api/v1/activities/{body['data']['id']}"
    status, body = call("patch", path, {"status": "done", "outcome": "answered", "talking_seconds": 95})
    assert (status, body["data"]["lead_state"]) == (200, "in_contatto")
    assert call("delete", path)[0] == 200
    assert call("get", f"/api/v1/activities?contact_id={contact}")[1]["data"] == []


# The older paths


def test_the_older_list_has_its_shape(call, adele, vegliasi, rf, bea):
    status, body = call("get", f"/api/leads/{adele.contact.id}")
    assert (status, body["success"]) == (200, True)
    lead = body["data"]
    assert (lead["Nome"], lead["Cognome"], lead["Telefono"], lead["Stato"]) == (
        *("Adele", "Brunetti"),
        *("+393510004127", "Nuovo"),
    )
    assert lead["Data"] == "2026-10-13 10:41"  # in the brand's zone
    assert (len(lead["phones"]), lead["deal"]["title"], len(lead["events"]), lead["tags"]) == (
        *(1, "FAMILY · BASE"),
        *(1, []),
    )


def listed(rf, vegliasi, user, query):
    """Ask for the older list through its handler: the address itself is the journeys room's."""
    from filiera.identity import queries as identity

    request = rf.get(f"/api/leads?{query}")
    request.user = user
    with brand_scope.use(vegliasi.id):
        request.principal = identity.principal_of(user, wanted=vegliasi.id)
        return json.loads(historic.historic(get=historic.list_leads)(request).content)


def test_the_older_list_loads_all_or_pages(adele, vegliasi, rf, bea):
    with brand_scope.use(vegliasi.id):
        meta = MarketingSource.objects.create(name="Meta")
        take_in(
            *(
                incoming(phone=f"351 {n:07d}", email=f"n{n}@posta.example", marketing_source_id=meta.id)
                for n in range(24)
            )
        )
    everything = listed(rf, vegliasi, bea, "loadAll=true")
    assert set(everything) == {"records", "fromCache"}
    assert (len(everything["records"]), everything["fromCache"]) == (25, False)
    page = listed(rf, vegliasi, bea, "page=2&per_page=10")
    assert (len(page["records"]), page["pagination"]["total_pages"]) == (10, 3)
    assert len(listed(rf, vegliasi, bea, "loadAll=true&fonte=Meta")["records"]) == 24
    assert len(listed(rf, vegliasi, bea, f"loadAll=true&fonte={meta.id}&stato=In Contatto")["records"]) == 0
    assert len(listed(rf, vegliasi, bea, "loadAll=true&stato=Nuovo&q=adele brunetti")["records"]) == 25
    assert listed(rf, vegliasi, bea, "fonte=Sconosciuta")["records"] == []
    assert listed(rf, vegliasi, bea, "stato=Tiepido")["code"] == "VALIDATION_ERROR"
    assert listed(rf, vegliasi, bea, "per_page=1000")["code"] == "VALIDATION_ERROR"


def test_an_activity_in_the_older_shape_moves_the_lead(call, adele, vegliasi, bea):
    """PIP-21, PIP-22."""
    tomorrow = (timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    status, body = call(
        "post",
        "/api/activities",
        {
            "tipo": "Visita",
            "nota": "Porta i cataloghi",
            "leadId": str(adele.contact.id),
            "data": tomorrow,
            "syncGoogleCalendar": True,
        },
    )
    assert (status, body["success"]) == (200, True)
    assert set(body["data"]) == {
        *("id", "tipo", "nota", "leadId", "data", "googleCalendarEventId", "calendarLink", "leadState"),
    }
    assert (body["data"]["tipo"], body["data"]["leadState"]) == ("Visita", "Caldo")
    with brand_scope.use(vegliasi.id):
        kept = Activity.objects.get()
        assert (kept.status, kept.user_id, kept.sync_google_calendar) == ("planned", bea.id, True)
    listing = call("get", f"/api/activities?leadId={adele.contact.id}&from=2026-01-01&to=2999-01-01")[1][
        "data"
    ]
    assert [row["nota"] for row in listing] == ["Porta i cataloghi"]
    path = f"/api/activities/{body['data']['id']}"
    assert call("patch", path, {"nota": "Alle 15"})[1]["data"]["nota"] == "Alle 15"
    assert call("delete", path)[0] == 200


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"tipo": "Telefonata"}, 400, "VALIDATION_ERROR"),
        ({"leadId": ""}, 400, "VALIDATION_ERROR"),
        ({"leadId": "abc"}, 404, "NOT_FOUND"),
        ({"leadId": str(uuid4())}, 404, "NOT_FOUND"),
        ({"data": "domani"}, 400, "VALIDATION_ERROR"),
    ],
)
def test_a_wrong_activity_is_refused_in_the_older_shape(call, adele, vegliasi, changes, status, code):
    given = {"tipo": "Chiamata", "nota": "", "leadId": str(adele.contact.id)} | changes
    answer, body = call("post", "/api/activities", given)
    assert (answer, body["success"], body["code"]) == (status, False, code)
    assert isinstance(body["error"], str)
    with brand_scope.use(vegliasi.id):
        assert Activity.objects.count() == 0


def test_a_lead_is_edited_with_italian_or_english_keys(call, adele, vegliasi):
    path = f"/api/leads/{adele.contact.id}"
    status, body = call(
        "patch", path, {"Nome": "Adelina", "Città": "Noale", "Stato": "In Contatto", "email": "a@b.example"}
    )
    assert status == 200
    assert (body["data"]["Nome"], body["data"]["Città"], body["data"]["Stato"], body["data"]["Email"]) == (
        *("Adelina", "Noale"),
        *("In Contatto", "a@b.example"),
    )
    status, body = call("patch", path, {"Telefono": "351 000 4", "Nome": "X"})
    assert (status, body["code"]) == (400, "INVALID_PHONE")
    assert body["details"]["phone"] == ["Mancano cifre: ne ho contate 7. Un cellulare italiano ne ha 9 o 10."]
    assert call("patch", path, {"Colore": "blu"})[1]["details"] == {"Colore": ["Non si cambia qui."]}
    assert call("get", path)[1]["data"]["Nome"] == "Adelina"
    assert call("delete", path)[0] == 200
    assert call("get", path)[0] == 404
    with brand_scope.use(vegliasi.id):
        assert ContactPhone.objects.get().is_match_key is False


PATHS = [
    ("get", "/api/v1/leads/{contact}"),
    ("patch", "/api/v1/leads/{contact}"),
    ("delete", "/api/v1/leads/{contact}"),
    ("get", "/api/v1/leads/{contact}/timeline"),
    ("get", "/api/v1/deals/{deal}"),
    ("patch", "/api/v1/deals/{deal}"),
    ("post", "/api/v1/deals/{deal}/close"),
    ("post", "/api/v1/deals/{deal}/reopen"),
    ("get", "/api/v1/deals/{deal}/history"),
    ("patch", "/api/v1/pipeline/stages/{stage}"),
    ("delete", "/api/v1/pipeline/stages/{stage}"),
    ("patch", "/api/v1/activities/{activity}"),
    ("delete", "/api/v1/activities/{activity}"),
    ("get", "/api/leads/{contact}"),
    ("patch", "/api/leads/{contact}"),
    ("delete", "/api/leads/{contact}"),
    ("get", "/api/leads/{contact}/timeline"),
    ("patch", "/api/activities/{activity}"),
    ("delete", "/api/activities/{activity}"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_carl_of_another_brand_cannot_tell_our_ids_from_random_ones(
    carls_call, adele, vegliasi, method, path
):
    """Q-31."""
    with brand_scope.use(vegliasi.id):
        activity = commands.record_activity(contact_id=adele.contact.id, type="nota", now=NOW)
        before = StageHistory.objects.count(), Activity.objects.get().status
    ids = {
        "contact": adele.contact.id,
        "deal": adele.deal.id,
        "stage": adele.deal.current_stage_id,
        "activity": activity.id,
    }
    body = None if method in ("get", "delete") else {"status": "lost"} if path.endswith("close") else {}
    ours = carls_call(method, path.format(**ids), body)
    random = carls_call(method, path.format(**dict.fromkeys(ids, uuid4())), body)
    for _status, answer in (ours, random):
        answer.pop("meta", None)
    assert ours == random
    assert ours[0] == 404
    with brand_scope.use(vegliasi.id):
        assert before == (StageHistory.objects.count(), Activity.objects.get().status)
        assert Contact.objects.get().deleted_at is None


@pytest.mark.parametrize(
    "path", ["/api/v1/leads", "/api/v1/deals", "/api/v1/pipeline/board", "/api/activities"]
)
def test_nobody_reads_without_signing_in(client, adele, path):
    assert client.get(path).status_code == 401


@pytest.mark.parametrize("junk", ["{", "[]", "null", '"a"', "\ud83d".encode("utf-16", "surrogatepass").hex()])
def test_broken_json_is_told_so(signed_in, bea, adele, junk):
    client = signed_in(bea)
    for path in ("/api/activities", "/api/v1/activities"):
        answer = client.post(path, data=junk, content_type="application/json")
        assert answer.status_code == 400
        assert answer.json()["success"] is False
