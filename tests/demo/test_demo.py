"""The main job, on the running demo: through every door, a lead rings an agent's phone."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.demo.conftest import Demo, running_demo

PAYLOADS = Path(__file__).parent.parent / "capture" / "payloads"
Send = Callable[[Demo, dict[str, Any], str], httpx.Response]


def _landing(phone: str) -> dict[str, Any]:
    return {
        "nome": "Adele",
        "cognome": "Brunetti",
        "email": f"adele{phone[-4:]}@posta.example",
        "telefono": phone,
        "servizio": "FAMILY",
        "pacchetto": "BASE",
        "vuoleContratto": False,
        "vuoleBrochure": True,
        "eta": 78,
        "source": "vegliasi.example",
        "timestamp": "2026-01-15T10:30:00.000Z",
    }


@pytest.mark.parametrize("path", ["/api/lead", "/api/submit-lead"])
def test_a_lead_posted_as_the_form_does_rings_an_agent_of_its_brand(demo: Demo, path: str) -> None:
    """CAP-30, CAP-31."""
    phone = "+393510004127" if path == "/api/lead" else "+393510004128"
    source = demo.source("vegliasi", "landing")
    answer = httpx.post(demo.facts["base_url"] + path, json=_landing(phone), headers=source["request_headers"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["success"] is True
    assert str(demo.call_to(phone, within_s=5)["agent_id"]) in demo.agent_ids("vegliasi")


def test_a_lead_of_another_program_rings_an_agent_of_the_other_brand(demo: Demo) -> None:
    """CAP-62."""
    source = demo.source("quadranorma", "webhook")
    body = {"nome": "Corrado", "telefono": "352 000 7740", "email": "corrado@posta.example", "brand_id": "x"}
    answer = httpx.post(source["url"], json=body, headers=source["request_headers"])
    assert answer.status_code == 200, answer.text
    assert str(demo.call_to("+393520007740", within_s=5)["agent_id"]) in demo.agent_ids("quadranorma")


def test_a_new_contact_of_gohighlevel_is_answered_with_the_call_that_started(demo: Demo) -> None:
    """ROU-15."""
    source = demo.source("vegliasi", "ghl")
    body = {"id": "ghl-contact-123", "name": "Mario Rossi", "phone": "+393501234567", "email": "mario@posta.example"}
    answer = httpx.post(source["url"], json=body, headers=source["request_headers"], timeout=10)
    said = answer.json()
    assert answer.status_code == 200, said
    assert said["success"] is True
    assert said["callInitiated"] is True
    assert said["steps"] == {"contactCreated": True, "agentSelected": True, "callStarted": True}
    assert str(said["selectedAgent"]["id"]) in demo.agent_ids("vegliasi")
    again = httpx.post(source["url"], json=body, headers=source["request_headers"], timeout=10)
    assert again.json()["processId"] == said["processId"]
    asked = [entry for entry in demo.calls() if "+393501234567" in json.dumps(entry["body"])]
    assert len(asked) == 1


def _signed(header: str, sign: Callable[[bytes, bytes], str]) -> Send:
    def send(demo: Demo, source: dict[str, Any], payload: str) -> httpx.Response:
        body = (PAYLOADS / payload).read_bytes()
        signature = sign(source["api_key"].encode(), body)
        return httpx.post(
            source["url"], content=body, headers={header: signature, "Content-Type": "application/json"}
        )

    return send


def _plain(demo: Demo, source: dict[str, Any], payload: str) -> httpx.Response:
    body = (PAYLOADS / payload).read_bytes()
    return httpx.post(source["url"], content=body, headers={"Content-Type": "application/json"})


def _hex(key: bytes, body: bytes) -> str:
    return hmac.new(key, body, hashlib.sha256).hexdigest()


def _base64(key: bytes, body: bytes) -> str:
    return base64.b64encode(hmac.new(key, body, hashlib.sha256).digest()).decode()


def test_a_second_start_finds_its_data(tmp_path: Path) -> None:
    home = tmp_path / "dati"
    with running_demo(home) as first:
        source = first.source("vegliasi", "landing")
        sent = httpx.post(
            first.facts["base_url"] + "/api/lead",
            json=_landing("+393510004129"),
            headers=source["request_headers"],
        )
        assert sent.status_code == 200
        first.call_to("+393510004129", within_s=5)
    with running_demo(home) as second:
        assert [user["password"] for user in second.facts["users"]] == [
            user["password"] for user in first.facts["users"]
        ]
        assert second.source("vegliasi", "webhook")["api_key"] == first.source("vegliasi", "webhook")["api_key"]
        time.sleep(1)
        assert second.calls() == [], "a lead that was called already is not called again"
