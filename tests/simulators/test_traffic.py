"""The stream of invented leads: varied people, each sender's own shape, doors of every kind."""

import asyncio
import json
import random
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from filiera.capture import documents
from filiera.capture.adapters import ADAPTERS
from filiera.simulators import enquiries, traffic
from filiera.simulators.enquiries import Crowd, Enquiry
from filiera.simulators.gohighlevel import GoHighLevel
from filiera.simulators.meta import Meta
from filiera.simulators.testing import Running
from tests.simulators.conftest import Receiver

AT = datetime(2026, 1, 10, 9, 30, tzinfo=UTC)
KEY = "crm-test-secret-0001"


def crowd(count: int, seed: int = 1) -> list[Enquiry]:
    people = Crowd(random.Random(seed))
    return [people.next(AT) for _ in range(count)]


def plain() -> Enquiry:
    """Return somebody with a phone, an e-mail, and a sender that is set up."""
    return next(e for e in crowd(100) if "351" in e.phone and not e.is_awkward and "ò" in e.person.name)


def facts(receiver: Running[Receiver], simulators: dict[str, str], kinds: list[str]) -> dict[str, Any]:
    sources = [
        {
            "name": kind,
            "kind": kind,
            "url": f"{receiver.base_url}/{kind}",
            "api_key": KEY,
            "request_headers": {},
        }
        for kind in kinds
    ]
    return {
        "base_url": receiver.base_url,
        "brands": [{"slug": "vegliasi", "sources": sources}],
        "simulators": {name: {"base_url": url} for name, url in simulators.items()},
    }


def test_the_crowd_is_varied() -> None:
    many = crowd(2000)
    people = Counter(enquiry.person for enquiry in many)
    assert 200 < sum(times - 1 for times in people.values()) < 400, "some come back"
    assert 50 < sum(enquiry.phone in enquiries.WRONG_NUMBERS for enquiry in many) < 150
    assert 50 < sum(enquiry.phone.startswith(("+44", "+1", "+33")) for enquiry in many) < 150
    assert 30 < sum(enquiry.phone == "" for enquiry in many) < 100
    assert 40 < sum(enquiry.phone.startswith("051") for enquiry in many) < 130
    assert 50 < sum(enquiry.is_awkward for enquiry in many) < 150
    assert {enquiry.age for enquiry in many} >= {None, 0, 91}
    assert all(enquiry.person.email.endswith(".example") for enquiry in many)
    assert all(enquiry.person.phone.startswith("+39351000") for enquiry in many)


def test_the_same_seed_gives_the_same_people() -> None:
    assert crowd(50, seed=4) == crowd(50, seed=4)
    assert crowd(50, seed=4) != crowd(50, seed=5)


@pytest.mark.parametrize("kind", list(enquiries.WRITERS))
def test_every_shape_is_proved_and_read_as_its_sender_means_it(kind: str) -> None:
    enquiry, adapter = plain(), ADAPTERS[kind]
    sending = enquiries.say(kind, enquiry, KEY)
    assert sending is not None
    headers = {name.lower(): value for name, value in sending.headers.items()}
    document = documents.parse(sending.body, headers["content-type"])
    if adapter.auth_modes[0] == "signature":
        assert adapter.verify is not None
        assert adapter.verify(headers, sending.body, KEY.encode())
        assert not adapter.verify(headers, sending.body, b"another secret")
    if adapter.auth_modes[0] == "body_key":
        assert adapter.body_key(document) == KEY
    [lead] = adapter.read(document, {}, {})
    assert lead.phone == enquiry.phone
    assert lead.email == enquiry.person.email
    assert enquiry.person.first_name in f"{lead.first_name} {lead.last_name}"


@pytest.mark.parametrize("kind", ["webhook", "gravity_forms"])
def test_what_nobody_has_mapped_yet_comes_too(kind: str) -> None:
    awkward = next(e for e in crowd(200) if e.is_awkward)
    sending = enquiries.say(kind, awkward, KEY)
    assert sending is not None
    assert not {"telefono", "phone"} & set(json.loads(sending.body))


def test_leads_come_through_every_door(
    receiver: Running[Receiver], meta: Running[Meta], gohighlevel: Running[GoHighLevel]
) -> None:
    """Meta and GoHighLevel through their own simulators, everybody else straight."""
    kinds = [*enquiries.WRITERS, *traffic.THROUGH_SIMULATORS]
    told = facts(receiver, {"meta": meta.base_url, "gohighlevel": gohighlevel.base_url}, kinds)
    answers = asyncio.run(traffic.stream(told, per_minute=60_000, seed=2, count=120))
    assert set(answers) == {"200"}
    assert sum(answers.values()) == len(receiver.log) >= 120
    assert {entry["path"].strip("/") for entry in receiver.log} == set(kinds)
    [signed, *_] = receiver.received("/meta")
    assert "x-hub-signature-256" in signed["headers"]


def test_a_house_that_is_down_does_not_stop_the_stream(receiver: Running[Receiver]) -> None:
    receiver.set_knobs(down=True)
    told = facts(receiver, {}, ["landing"])
    answers = asyncio.run(traffic.stream(told, per_minute=60_000, seed=2, count=5))
    assert set(answers) == {"RemoteProtocolError"}


def test_doors_on_other_machines_are_refused(receiver: Running[Receiver]) -> None:
    told = facts(receiver, {}, ["landing", "manual"])
    assert [door.kind for door in traffic.doors(told)] == ["landing"]
    told["brands"][0]["sources"][0]["url"] = "https://www.example.it/api/lead"
    with pytest.raises(ValueError, match="this machine"):
        traffic.doors(told)


def test_gohighlevel_writes_as_its_door_wants() -> None:
    ledger = traffic.Door("ghl", "ghl", "http://127.0.0.1/x", "k1", {"X-API-Key": "k1"})
    workflow = traffic.Door("w", "ghl", "http://127.0.0.1/x/k1", "k1", {})
    marketplace = traffic.Door("m", "ghl", "http://127.0.0.1/x", "k1", {})
    assert [door.ghl_shape for door in (ledger, workflow, marketplace)] == [
        "ledger",
        "workflow",
        "marketplace",
    ]


def test_the_command_waits_for_the_facts_and_stops_when_told(
    receiver: Running[Receiver], tmp_path: Path
) -> None:
    path = tmp_path / "demo.json"
    command = [sys.executable, "-m", "filiera.simulators.traffic", str(path), "--per-minute", "6000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        path.write_text(json.dumps(facts(receiver, {}, ["landing"])))
        receiver.wait_for(lambda: len(receiver.log) >= 3, timeout_s=20)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert err == ""
    assert " 200\n" in out
