"""Every sender's payload becomes the lead it tells, and no payload makes an adapter stumble."""

import base64
import hashlib
import hmac
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.capture import documents
from filiera.capture.adapters import ADAPTERS, LeadFields, Unmappable
from filiera.capture.adapters.gohighlevel import PUBLIC_KEY
from filiera.capture.adapters.reading import glance

PAYLOADS = Path(__file__).parent / "payloads"
SECRET = b"segreto-di-prova"


def body_of(name: str) -> bytes:
    return (PAYLOADS / name).read_bytes()


def document_of(name: str) -> dict[str, Any]:
    return documents.parse(body_of(name), documents.FORM if name.endswith(".form") else "application/json")


def read(
    name: str, mapping: dict[str, str] | None = None, retrieved: dict[str, Any] | None = None
) -> list[LeadFields]:
    return ADAPTERS[name.split("/")[0]].read(document_of(name), mapping or {}, retrieved or {})


def told(lead: LeadFields) -> dict[str, Any]:
    """What a lead says, without what it leaves empty."""
    names = [name for name in LeadFields.__dataclass_fields__ if name not in ("given", "problems")]
    said = {name: getattr(lead, name) for name in names}
    return {name: value for name, value in said.items() if (value == 0 and value is not False) or value}


EXPECTED: dict[str, dict[str, Any]] = {
    "landing/request.json": {
        "first_name": "Onorina",
        "last_name": "Baggio",
        "email": "onorina.baggio@posta.example",
        "phone": "351 000 4127",
        "service_code": "PRO",
        "package_code": "AVANZATO",
        "wants_contract": True,
        "age": 0,
        "source_label": "vegliasi.example",
        "occurred_at": datetime(2026, 10, 13, 8, 37, 12, tzinfo=UTC),
    },
    "webhook/nested.json": {
        "first_name": "Onorina Baggio",
        "email": "onorina.baggio@posta.example",
        "phone": "p:+39 351 000 3321",
        "city": "Chioggia",
        "service_code": "premium",
        "external_id": "4410000000271",
        "occurred_at": datetime(2026, 10, 13, 8, 37, 12, tzinfo=UTC),
        "custom": {
            "field_data.piano": "terzo",
            "attribution": {"form_id": "9980000000415", "utm_source": "autunno"},
        },
    },
    "ghl/contract.json": {
        "first_name": "Rina",
        "last_name": "Dalla Libera",
        "email": "rina@posta.example",
        "phone": "+393510009914",
        "company": "Libera Sas",
        "external_id": "ghl-contact-77",
    },
    "ghl/marketplace.json": {
        "first_name": "Rina",
        "last_name": "Dalla Libera",
        "email": "rina@posta.example",
        "phone": "+393510009914",
        "city": "Mira",
        "cap": "30034",
        "source_label": "pagina autunno",
        "external_id": "cOnTaCt0000000000042",
        "occurred_at": datetime(2026, 10, 13, 8, 41, 2, 193_000, tzinfo=UTC),
        "custom": {"country": "IT", "tags": ["lead"], "cF0001": "Scala a chiocciola"},
    },
    "ghl/workflow.json": {
        "first_name": "Rina",
        "last_name": "Dalla Libera",
        "email": "rina@posta.example",
        "phone": "351 000 9914",
        "source_label": "modulo autunno",
        "external_id": "cOnTaCt0000000000042",
        "custom": {
            "tags": "lead,autunno",
            "country": "IT",
            "Quale servizio ti interessa?": "Montascale",
            "origine": "ghl",
            "attribution": {"session_source": "Paid Social", "medium": "facebook", "utm_source": "fb"},
        },
    },
    "ghl/workflow_minimal.json": {
        "first_name": "Ivo",
        "last_name": "Zen",
        "phone": "+393510000143",
        "external_id": "cOnTaCt0000000000043",
    },
    "google_ads/full_name.json": {
        "first_name": "Alba Però",
        "email": "alba@azienda.example",
        "phone": "+39 041 000 0133",
        "city": "Chioggia",
        "cap": "30015",
        "service_code": "Telesoccorso",
        "external_id": "lead-chioggia-0001",
        "occurred_at": datetime(2026, 10, 13, 8, 30, tzinfo=UTC),
        "custom": {
            "con_chi_vive?": "Da sola",
            "attribution": {
                "campaign_id": "21000000001",
                "adgroup_id": "156000000001",
                "form_id": "178000000001",
                "gclid": "Cj0-inventato",
            },
        },
    },
    "google_ads/test.json": {
        "first_name": "FirstName LastName",
        "email": "test@example.com",
        "phone": "+16505550123",
        "external_id": "TeSter-0001",
        "is_test": True,
        "custom": {"attribution": {"form_id": "1"}},
    },
    "typeform/response.json": {
        "first_name": "Martina Zen",
        "email": "martina@posta.example",
        "phone": "+393510000137",
        "external_id": "tok-0001",
        "occurred_at": datetime(2026, 10, 13, 8, 0, 44, tzinfo=UTC),
        "custom": {
            "Che dispositivo?": "Da polso",
            "Quali giorni?": ["Lunedì", "Sabato"],
            "attribution": {"utm_source": "instagram", "form_id": "fOrM1"},
            "consents": [{"question": "Accetti l'informativa?", "answer": True, "form_id": "fOrM1"}],
        },
    },
    "tally/response.json": {
        "first_name": "Riccardo Zen",
        "email": "riccardo@posta.example",
        "phone": "+393510000120",
        "external_id": "rEsP1",
        "occurred_at": datetime(2026, 10, 13, 8, 20, 21, tzinfo=UTC),
        "custom": {
            "Di cosa hai bisogno?": "Preventivo",
            "Quando?": ["Mattina", "Sera"],
            "attribution": {"utm_campaign": "autunno", "form_id": "fM1", "form_name": "Contatti"},
        },
    },
    "contact_form_7/default.json": {
        "first_name": "Lorenzo Zen",
        "email": "lorenzo@posta.example",
        "phone": "351 000 0126",
        "notes": "Buongiorno,\nvorrei un preventivo.",
        "custom": {"your-subject": "Preventivo", "consents": [{"question": "privacy", "answer": "1"}]},
    },
    "contact_form_7/tags.json": {
        "first_name": "Beatrice",
        "last_name": "Zen",
        "email": "bea@posta.example",
        "phone": "+39 041 000 0181",
        "service_code": "Telesoccorso",
        "custom": {
            "preferenze": ["Mattina", "Sabato"],
            "attribution": {"page_url": "https://www.vegliasi.example/contatti/"},
            "consents": [{"question": "accettazione-privacy", "answer": "Ho letto l'informativa"}],
        },
    },
    "elementor/simple.form": {
        "first_name": "Davide Zen",
        "email": "davide@posta.example",
        "phone": "+393510000170",
        "notes": "Vorrei una prova",
        "custom": {
            "attribution": {
                "page_url": "https://www.vegliasi.example/prova/",
                "form_id": "7f0c",
                "form_name": "Prova",
            },
            "consents": [{"question": "No Label privacy", "answer": "on", "form_id": "7f0c"}],
        },
    },
    "elementor/advanced.form": {
        "first_name": "Chiara Zen",
        "email": "chiara@posta.example",
        "phone": "351-000-0109",
        "custom": {
            "Servizi": ["Da polso", "Da collo"],
            "attribution": {
                "form_id": "7f0d",
                "form_name": "Contatti home",
                "page_url": "https://www.vegliasi.example/contatti/",
            },
            "consents": [{"question": "Informativa letta", "answer": "on", "form_id": "7f0d"}],
        },
    },
    "gravity_forms/selected_fields.json": {
        "first_name": "Salvatore",
        "last_name": "Zen",
        "email": "salvatore@posta.example",
        "phone": "041 000 0188",
        "external_id": "3234",
        "custom": {"attribution": {"page_url": "https://www.vegliasi.example/lp/"}},
    },
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_payload_becomes_the_lead_it_tells(name: str) -> None:
    [lead] = read(name)
    assert told(lead) == EXPECTED[name]
    assert lead.problems == ()


def test_meta_leads_are_read_from_what_the_graph_api_told_about_each() -> None:
    [lead] = read("meta/webhook.json", retrieved={"900000000000001": document_of("meta/graph.json")})
    assert told(lead) == {
        "first_name": "Niccolò D'Angelo",
        "email": "niccolo@posta.example",
        "phone": "+39 351 000 7788",
        "city": "Spinea",
        "external_id": "900000000000001",
        "occurred_at": datetime(2026, 10, 13, 8, 36, 40, tzinfo=UTC),
        "custom": {
            "quando_ti_serve?": "entro_3_mesi",
            "per_chi?": ["madre", "padre"],
            "attribution": {
                "ad_id": "120000000000001",
                "ad_name": "Nonna sicura",
                "adset_name": "Veneto 50-70",
                "adgroup_id": "120000000000001",
                "campaign_name": "Autunno",
                "form_id": "300000000000001",
                "page_id": "100000000000001",
                "platform": "ig",
                "is_organic": "false",
            },
            "consents": [
                {"question": "consenso_marketing", "answer": True, "form_id": "300000000000001"},
                {"question": "consenso_terzi", "answer": False, "form_id": "300000000000001"},
            ],
        },
    }


def test_a_meta_batch_names_each_lead_once_and_skips_other_changes() -> None:
    assert ADAPTERS["meta"].lookups(document_of("meta/webhook_batch.json")) == [
        "900000000000002",
        "900000000000003",
    ]


def test_a_meta_delivery_waits_for_what_was_not_retrieved_and_lives_without_what_is_gone() -> None:
    graph = document_of("meta/graph.json")
    with pytest.raises(Unmappable, match="NOT_RETRIEVED"):
        read("meta/webhook_batch.json", retrieved={"900000000000002": graph})
    assert (
        len(read("meta/webhook_batch.json", retrieved={"900000000000002": graph, "900000000000003": None}))
        == 1
    )
    with pytest.raises(Unmappable, match="NO_CONTACT"):
        read("meta/webhook_batch.json", retrieved={"900000000000002": None, "900000000000003": None})


def test_a_meta_test_lead_is_marked() -> None:
    graph = {"id": "1", "field_data": [{"name": "email", "values": ["test@fb.example"]}]}
    dummy = {"name": "full_name", "values": ["<test lead: dummy data for full_name>"]}
    [lead] = ADAPTERS["meta"].read({**graph, "field_data": [*graph["field_data"], dummy]}, {}, {})
    assert lead.is_test


def test_a_tiktok_delivery_gives_each_of_its_leads_with_ids_as_text() -> None:
    first, second = read("tiktok/batch.json")
    assert (first.external_id, first.first_name, first.phone) == (
        "7600000000000000301",
        "Thomas Müller",
        "0471 000 190",
    )
    assert first.custom["attribution"]["campaign_id"] == "1780000000000000234"
    assert (second.external_id, second.phone, second.email) == ("7600000000000000302", "+39 351 000 0161", "")
    assert second.custom["scheduled_time"] == "Mercoledì / 12:00 - 13:00"


def test_numbered_gravity_fields_wait_for_a_mapping() -> None:
    with pytest.raises(Unmappable, match="NO_CONTACT"):
        read("gravity_forms/all_fields.json")
    [lead] = read(
        "gravity_forms/all_fields.json",
        {
            "1.3": "first_name",
            "1.6": "last_name",
            "2": "email",
            "3": "phone",
            "4": "service_code",
            "5.2": "consent",
            "7": "notes",
            "6.1": "ignore",
        },
    )
    assert (lead.first_name, lead.last_name, lead.phone) == ("Federica", "Zen", "(+39) 351 000 0145")
    assert (lead.service_code, lead.notes, lead.external_id) == ("Da polso", "Abita al terzo piano", "1:3233")
    assert lead.occurred_at == datetime(2026, 10, 13, 8, 15, 41, tzinfo=UTC)
    assert lead.custom["consents"] == [
        {"question": "5.2", "answer": "Acconsento al trattamento", "form_id": "1"}
    ]
    assert "6.1" not in lead.custom
    assert lead.custom["6.3"] == "Sera"


def test_the_mapping_of_a_source_wins_over_names_and_the_loser_is_kept() -> None:
    document = {
        "email": "ufficio@posta.example",
        "referente": {"mail": "ada@posta.example"},
        "tel": "351 000 0001",
    }
    [lead] = ADAPTERS["webhook"].read(document, {"referente.mail": "email", "tel": "custom.interno"}, {})
    assert lead.email == "ada@posta.example"
    assert lead.phone == ""
    assert lead.custom == {"email": "ufficio@posta.example", "interno": "351 000 0001"}


def test_a_brand_in_the_body_leaves_no_trace() -> None:
    [lead] = read("webhook/nested.json")
    assert "brand_id" not in json.dumps(lead.custom)


@pytest.mark.parametrize(
    ("typed", "age", "problem"),
    [
        ("0", 0, False),
        (0, 0, False),
        ("", None, False),
        (None, None, False),
        ("120", 120, False),
        (67.0, 67, False),
    ]
    + [(wrong, None, True) for wrong in ("130", -1, "abc", "6.5", 1e400, "NaN", True, "1" * 60)],
)
def test_an_age_is_a_whole_number_from_0_to_120(typed: Any, age: int | None, problem: bool) -> None:
    [lead] = ADAPTERS["landing"].read({"email": "a@b.example", "eta": typed}, {}, {})
    assert lead.age == age
    assert [(p.key, p.field) for p in lead.problems] == ([("eta", "age")] if problem else [])


def test_nothing_to_reach_a_person_by_is_unmappable() -> None:
    for name in ("landing", "webhook", "contact_form_7", "elementor", "ghl"):
        with pytest.raises(Unmappable, match="NO_CONTACT"):
            ADAPTERS[name].read({"nome": "Ada", "email": "null", "telefono": "  "}, {}, {})


def test_an_event_that_announces_no_lead_says_so() -> None:
    for name, document in {
        "ghl": {"type": "ContactDelete", "locationId": "x", "id": "1", "email": "a@b.example"},
        "typeform": {"event_type": "form_response_partial", "form_response": {"token": "t"}},
        "tally": {"eventType": "OTHER", "data": {"responseId": "1"}},
        "meta": {"object": "page", "entry": [{"changes": [{"field": "feed", "value": {}}]}]},
        "tiktok": {"object": 1},
    }.items():
        with pytest.raises(Unmappable, match="NOT_A_LEAD"):
            ADAPTERS[name].read(document, {}, {})


# Signatures


def hmac_bytes(body: bytes) -> bytes:
    return hmac.new(SECRET, body, hashlib.sha256).digest()


SIGNED = {
    "meta/webhook.json": ("x-hub-signature-256", lambda body: "sha256=" + hmac_bytes(body).hex()),
    "tiktok/batch.json": ("x-open-signature", lambda body: hmac_bytes(body).hex()),
    "typeform/response.json": (
        "typeform-signature",
        lambda body: "sha256=" + base64.b64encode(hmac_bytes(body)).decode(),
    ),
    "tally/response.json": ("tally-signature", lambda body: base64.b64encode(hmac_bytes(body)).decode()),
}


@pytest.mark.parametrize("name", SIGNED)
def test_a_signature_holds_for_the_exact_bytes_and_the_right_secret_only(name: str) -> None:
    header, sign = SIGNED[name]
    body, verify = body_of(name), ADAPTERS[name.split("/")[0]].verify
    assert verify is not None
    assert verify({header: sign(body)}, body, SECRET)
    assert not verify({header: sign(body)}, body[:-1] + b" }", b"altro")
    assert not verify({header: sign(body)}, body.replace(b"a", b"b", 1), SECRET)
    assert not verify({header: sign(body)}, body, b"altro")
    for wrong in ("", "sha256=", "ù", sign(body)[:-1]):
        assert not verify({header: wrong}, body, SECRET)
    assert not verify({}, body, SECRET)


def test_tiktok_may_sign_the_escaped_form_of_the_body() -> None:
    body = '{"nome":"Niccolò 😀"}'.encode()
    signature = hmac_bytes(rb'{"nome":"Niccol\u00f2 \ud83d\ude00"}').hex()
    assert ADAPTERS["tiktok"].verify({"x-open-signature": signature}, body, SECRET)  # type: ignore[misc]


def test_tally_may_sign_the_body_without_spaces() -> None:
    body = b'{ "a": "Niccol\xc3\xb2" }'
    signature = base64.b64encode(hmac_bytes(b'{"a":"Niccol\xc3\xb2"}')).decode()
    assert ADAPTERS["tally"].verify({"tally-signature": signature}, body, SECRET)  # type: ignore[misc]


def test_a_marketplace_event_is_verified_with_the_public_key_over_the_raw_bytes() -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body, verify = body_of("ghl/marketplace.json"), ADAPTERS["ghl"].verify
    assert verify is not None
    signature = base64.b64encode(key.sign(body)).decode()
    assert verify({"x-ghl-signature": signature}, body, public)
    assert verify({"x-wh-signature": signature}, body, PUBLIC_KEY + public)  # old header, new kind of key
    assert not verify({"x-ghl-signature": signature}, body + b"\n", public)
    assert not verify({"x-ghl-signature": signature}, body, PUBLIC_KEY)
    for wrong in ("N/A", "", "AAAA", "ù"):
        assert not verify({"x-ghl-signature": wrong}, body, public)


def test_an_old_copy_of_a_marketplace_event_is_not_fresh() -> None:
    document = document_of("ghl/marketplace.json")
    sent_at = datetime(2026, 10, 13, 8, 41, 6, tzinfo=UTC)
    assert ADAPTERS["ghl"].is_fresh(document, sent_at + timedelta(hours=2))
    assert not ADAPTERS["ghl"].is_fresh(document, sent_at + timedelta(days=2))


def test_google_gives_its_key_in_the_body() -> None:
    assert ADAPTERS["google_ads"].body_key(document_of("google_ads/full_name.json")) == "chiave-di-prova"
    assert ADAPTERS["google_ads"].body_key({"google_key": {"a": 1}}) == ""


# What names a delivery


@pytest.mark.parametrize(
    ("name", "request_id"),
    [
        ("google_ads/full_name.json", "lead:lead-chioggia-0001"),
        ("typeform/response.json", "response:tok-0001"),
        ("tally/response.json", "response:rEsP1"),
        ("meta/webhook.json", "leadgen:900000000000001"),
        ("gravity_forms/all_fields.json", "entry:1:3233"),
        ("ghl/marketplace.json", "webhook:0192f3a7-6c41-7000-8000-000000000001"),
        ("ghl/workflow.json", ""),
        ("contact_form_7/default.json", ""),
    ],
)
def test_a_delivery_is_named_by_what_its_sender_repeats(name: str, request_id: str) -> None:
    assert ADAPTERS[name.split("/")[0]].request_id(document_of(name)) == request_id


def test_gohighlevel_repeats_are_known_by_the_contact_in_all_three_shapes() -> None:
    key = ADAPTERS["ghl"].dedupe_key
    assert key(document_of("ghl/marketplace.json")) == "contact:cOnTaCt0000000000042"
    assert key(document_of("ghl/workflow.json")) == "contact:cOnTaCt0000000000042"
    assert key(document_of("ghl/contract.json")) == "contact:ghl-contact-77"
    assert key({"workflow": {}, "id": "opp-1", "phone": "1"}) == ""


def test_a_form_without_ids_repeats_itself_when_it_says_the_same() -> None:
    for name, change in (
        ("contact_form_7/tags.json", {"time": "10:43"}),
        ("elementor/simple.form", {"Ora": "11:06"}),
    ):
        key, document = ADAPTERS[name.split("/")[0]].dedupe_key, document_of(name)
        assert key(document) == key({**document, **change}) != key({**document, "Messaggio": "altro"})


# No payload makes an adapter stumble

WORDS = st.sampled_from(
    [
        "entry",
        "changes",
        "field",
        "value",
        "leadgen",
        "leadgen_id",
        "field_data",
        "values",
        "name",
        "user_column_data",
        "column_id",
        "string_value",
        "form_response",
        "answers",
        "definition",
        "fields",
        "type",
        "text",
        "choice",
        "data",
        "options",
        "key",
        "label",
        "email",
        "phone",
        "eta",
        "timestamp",
        "id",
        "contact_id",
        "customFields",
        "customData",
        "attributionSource",
        "contact",
        "meta",
        "form",
        "raw_value",
        "fields",
        "title",
        "create_time",
        "custom_disclaimer_responses",
        "checkbox_key",
        "FULL_NAME",
        "EMAIL",
        "CHECKBOXES",
        "1.3",
        "ContactCreate",
        "locationId",
        "0",
        "ù",
    ]
)
ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    WORDS,
    st.sampled_from(["a@b", "+39 351 000 0001", "\0", "\ud800", "😀", "\u202e\u05d0", "9" * 400, 10**400]),
)
JSON = st.recursive(
    ATOMS,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(WORDS | st.text(), below, max_size=6),
    max_leaves=25,
)
DOCUMENTS = st.dictionaries(WORDS | st.text(), JSON, max_size=8)
MAPPINGS = st.dictionaries(
    WORDS, st.sampled_from(["email", "phone", "age", "notes", "custom.x", "ignore", "consent"])
)


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
@settings(deadline=None, max_examples=60)
@given(document=DOCUMENTS, mapping=MAPPINGS, retrieved=st.dictionaries(WORDS, JSON, max_size=2))
def test_no_adapter_raises_anything_but_unmappable(
    adapter: Any, document: dict[str, Any], mapping: dict[str, str], retrieved: dict[str, Any]
) -> None:
    try:
        leads = adapter.read(document, mapping, retrieved)
    except Unmappable:
        return
    finally:
        for name in (adapter.request_id(document), adapter.dedupe_key(document), adapter.body_key(document)):
            assert isinstance(name, str)
            assert len(name) <= 255
        adapter.lookups(document)
        adapter.is_fresh(document, datetime(2026, 10, 13, tzinfo=UTC))
    assert any(lead.has_contact for lead in leads)
    for lead in leads:
        assert "\0" not in orjson.dumps(lead.custom).decode()
        assert lead.email == "" or "@" in lead.email


FLAT = st.dictionaries(
    st.sampled_from(
        ["nome", "Nome e cognome", "name", "E-mail", "email", "tel", "telefono", "eta", "timestamp", "x"]
    ),
    ATOMS,
)


@settings(deadline=None, max_examples=150)
@given(document=FLAT)
def test_the_glance_of_the_door_sees_what_the_full_reading_sees(document: dict[str, Any]) -> None:
    glimpsed = glance(document, frozenset(("first_name", "full_name", "email", "phone", "age")))
    try:
        [lead] = ADAPTERS["landing"].read(document, {}, {})
    except Unmappable as refusal:
        [lead] = refusal.leads
    assert glimpsed is not None
    for name in ("first_name", "email", "phone", "age"):
        assert (glimpsed.values.get(name) or None) == (getattr(lead, name) or None)
    assert tuple(glimpsed.problems) == lead.problems


@settings(deadline=None, max_examples=100)
@given(body=st.binary(max_size=300), header=st.text(max_size=80))
def test_no_signature_check_stumbles(body: bytes, header: str) -> None:
    names = (
        "x-hub-signature-256",
        "x-open-signature",
        "typeform-signature",
        "tally-signature",
        "x-ghl-signature",
    )
    for adapter in ADAPTERS.values():
        if adapter.verify is not None:
            assert adapter.verify(dict.fromkeys(names, header), body, PUBLIC_KEY) is False


# Payloads of somebody else, when there are some

FOLDERS = {
    "contact-form-7": "contact_form_7",
    "elementor-pro": "elementor",
    "gohighlevel-marketplace": "ghl",
    "gohighlevel-workflow": "ghl",
    "google-ads-lead-form": "google_ads",
    "gravity-forms": "gravity_forms",
    "meta-lead-ads": "meta",
    "tally": "tally",
    "tiktok-lead-gen": "tiktok",
    "typeform": "typeform",
}
EXTRA = Path(os.environ["FILIERA_EXTRA_PAYLOADS"]) if "FILIERA_EXTRA_PAYLOADS" in os.environ else None
EXTRA_FILES = sorted(EXTRA.glob("*/*.json")) if EXTRA else []


@pytest.mark.skipif(not EXTRA_FILES, reason="FILIERA_EXTRA_PAYLOADS names no folder")
@pytest.mark.parametrize("path", EXTRA_FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_payloads_from_elsewhere_become_leads_too(path: Path) -> None:
    adapter = ADAPTERS[FOLDERS[path.parent.name]]
    body, kind = path.read_bytes(), "application/json"
    if path.name.endswith(".request.json"):
        body, kind = json.loads(body)["raw_body"].encode(), documents.FORM
    document = documents.parse(body, kind)
    mapping = {"2": "email", "3": "phone"} if path.name == "all-fields.json" else {}
    graph = {"field_data": [{"name": "email", "values": ["a@b.example"]}]}
    leads = adapter.read(
        document, mapping, {lead_id: {"id": lead_id, **graph} for lead_id in adapter.lookups(document)}
    )
    assert all(lead.has_contact for lead in leads)
    signed = json.loads((path.parent.parent / "SIGNATURES.json").read_bytes())
    headers = signed.get(f"{path.parent.name}/{path.name}")
    if headers:
        secret = signed["_secret"].encode()
        assert adapter.verify is not None
        assert adapter.verify({name.lower(): value for name, value in headers.items()}, body, secret)
