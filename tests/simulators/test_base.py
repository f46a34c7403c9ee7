"""What every simulator does: log, knobs, page, reset; and the processes that run them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import httpx
import pytest

from filiera.platform import translations
from filiera.simulators import page
from filiera.simulators.base import Simulator
from filiera.simulators.cloudtalk import CloudTalk
from filiera.simulators.gohighlevel import GoHighLevel
from filiera.simulators.knobs import BadKnobs
from filiera.simulators.mailbox import Mailbox
from filiera.simulators.meta import Meta
from filiera.simulators.testing import Running, running

EVERY = pytest.mark.parametrize("kind", [CloudTalk, GoHighLevel, Meta, Mailbox])


def test_the_log_tells_each_request_oldest_first_with_secrets_cut(
    cloudtalk: Running[CloudTalk], api: httpx.Client, http: httpx.Client
) -> None:
    api.get("/agents/index.json", params={"id": "493933"})
    api.put("/contacts/add.json", json={"name": "Niccolò"})
    api.put("/contacts/add.json", content=b"{not json", headers={"Content-Type": "application/json"})
    first, second, third = http.get(f"{cloudtalk.base_url}/_sim/log").json()
    assert set(first) == {"at", "method", "path", "headers", "body", "status"}
    assert (first["method"], first["path"], first["body"], first["status"]) == (
        "GET",
        "/api/agents/index.json?id=493933",
        None,
        200,
    )
    assert first["headers"]["authorization"] == "Basic c2lt…"
    assert (second["body"], second["status"]) == ({"name": "Niccolò"}, 201)
    assert (third["body"], third["status"]) == ("{not json", 406)
    assert first["at"] <= second["at"] <= third["at"]
    assert first["at"].endswith("Z")


def test_a_request_is_in_the_log_before_it_is_answered(
    cloudtalk: Running[CloudTalk], api: httpx.Client
) -> None:
    cloudtalk.set_knobs(delay_s=30)
    with pytest.raises(httpx.ReadTimeout):
        api.get("/agents/index.json", timeout=0.2)
    assert [entry["status"] for entry in cloudtalk.log] == [None]


def test_deleting_the_log_empties_it_and_control_requests_are_not_in_it(
    cloudtalk: Running[CloudTalk], api: httpx.Client, http: httpx.Client
) -> None:
    api.get("/agents/index.json")
    http.delete(f"{cloudtalk.base_url}/_sim/log")
    assert http.get(f"{cloudtalk.base_url}/_sim/log").json() == []


def test_knobs_are_given_and_taken_as_json_a_few_at_a_time(
    cloudtalk: Running[CloudTalk], http: httpx.Client
) -> None:
    url = f"{cloudtalk.base_url}/_sim/knobs"
    before = http.get(url).json()
    assert http.put(url, json={"ring_s": 5, "lose_events": True}).json() == before | {
        "ring_s": 5.0,
        "lose_events": 1.0,
    }
    assert http.put(url, json=before).json() == before


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"colour": "red"}, {"colour": "unknown knob"}),
        ({"ring_s": "long"}, {"ring_s": "expected float"}),
        ({"pickup_probability": 1.5}, {"pickup_probability": "expected 0 to 1"}),
        ({"rate_limit_per_min": True}, {"rate_limit_per_min": "expected int"}),
        ({"down_how": "softly"}, {"down_how": "expected one of reset, hang, 503"}),
        ({"next_responses": [{"statu": 500}]}, {"next_responses": "unknown key statu"}),
        ({"next_responses": [{"status": "500"}]}, {"next_responses": "expected int or NoneType"}),
        (
            {"webhook_url": "https://crm.example.it/"},
            {"webhook_url": "a simulator posts to this machine only"},
        ),
        ({"next_calls": [{"sings": True}]}, {"next_calls": "a call's plan has no sings"}),
        ([], {"*": "expected a JSON object"}),
    ],
)
def test_a_wrong_knob_is_refused_and_none_is_changed(
    cloudtalk: Running[CloudTalk], http: httpx.Client, values: object, problem: dict[str, str]
) -> None:
    url = f"{cloudtalk.base_url}/_sim/knobs"
    before = http.get(url).json()
    if isinstance(values, dict):
        values = {"wrap_up_s": 99, **values}
    answer = http.put(url, json=values)
    assert (answer.status_code, answer.json()["details"]) == (400, problem)
    assert http.get(url).json() == before


def test_a_wrong_knob_at_the_start_is_refused() -> None:
    with pytest.raises(BadKnobs):
        CloudTalk(ring_s=-1)


def test_the_form_of_the_page_sets_the_knobs(cloudtalk: Running[CloudTalk], http: httpx.Client) -> None:
    form = {"ring_s": "7,5", "down_how": "503", "stay_online": "1", "behaviours": '{"493933": {"talk_s": 3}}'}
    answer = http.post(f"{cloudtalk.base_url}/_sim/knobs", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    knobs = cloudtalk.simulator.knobs
    assert (knobs.ring_s, knobs.down_how, knobs.stay_online) == (7.5, "503", True)
    assert knobs.behaviours == {"493933": {"talk_s": 3}}
    assert http.post(f"{cloudtalk.base_url}/_sim/knobs", data={"ring_s": "molto"}).status_code == 400


def test_a_reset_returns_to_how_it_was_set_up(
    cloudtalk: Running[CloudTalk], api: httpx.Client, http: httpx.Client
) -> None:
    cloudtalk.set_knobs(stay_online=True)
    api.put("/contacts/add.json", json={"name": "Niccolò"})
    api.post("/calls/create.json", json={"agent_id": 493933, "callee_number": "+393510004127"})
    assert http.post(f"{cloudtalk.base_url}/_sim/reset").json() == {"reset": True}
    account = cloudtalk.simulator.accounts["sim-key-id"]
    assert (account.calls, account.contacts, cloudtalk.log) == ([], {}, [])
    assert [agent.status for agent in account.agents.values()] == ["online", "online"]
    assert cloudtalk.simulator.knobs.stay_online is False
    assert cloudtalk.simulator.knobs.time_scale == 100


@EVERY
def test_every_simulator_has_a_page_in_two_languages_that_loads_nothing_from_elsewhere(
    kind: type[Simulator], http: httpx.Client
) -> None:
    with running(kind()) as simulator:
        page = http.get(f"{simulator.base_url}/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert '<html lang="it">' in page.text
        assert "Manopole" in page.text
        assert not any(outside in page.text for outside in ('src="http', 'href="http', "style=", "onclick="))
        assert '<html lang="en">' in http.get(simulator.base_url, headers={"Accept-Language": "en"}).text
        assert http.get(f"{simulator.base_url}/_sim/live").status_code == 200
        assert (
            http.get(f"{simulator.base_url}/_sim/simulators.css")
            .headers["content-type"]
            .startswith("text/css")
        )
        assert http.get(f"{simulator.base_url}/_sim/simulators.js").status_code == 200
        assert http.get(f"{simulator.base_url}/_sim/nothing").status_code == 404
        assert http.get(f"{simulator.base_url}/_sim/knobs").json()["seed"] == 0


@EVERY
def test_every_knob_is_explained_in_english_too(kind: type[Simulator]) -> None:
    catalog = translations.read(Path(page.__file__).parent / translations.CATALOG)
    explained = [get_args(hint)[1].text for hint in kind.knobs_type.hints().values()]
    assert [text for text in explained if not (text in catalog and catalog[text].string)] == []


def test_a_second_start_does_not_repeat_the_ids_of_the_first() -> None:
    """Whoever kept the first run's data would drop the second's as repetitions."""

    def ids() -> set[str]:
        with running(Meta()) as meta, running(CloudTalk([{"agents": [{"id": 5}]}])) as cloudtalk:
            account = cloudtalk.simulator.accounts["sim-key-id"]
            call = cloudtalk.do(
                lambda: cloudtalk.simulator.place(account, account.agents["5"], "+393510004127")
            )
            lead = meta.do(meta.simulator.add_lead)
            return {call.call_uuid, cloudtalk.simulator.new_contact_id(), lead["id"]}

    assert not ids() & ids()


def test_what_was_received_is_shown_as_text_never_as_markup(
    cloudtalk: Running[CloudTalk], api: httpx.Client, http: httpx.Client
) -> None:
    api.put("/contacts/add.json", json={"name": "<script>alert(1)</script>"})
    page = http.get(f"{cloudtalk.base_url}/").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


@EVERY
def test_it_starts_and_stops_at_once(kind: type[Simulator]) -> None:
    began = time.monotonic()
    with running(kind()):
        pass
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"no http at all\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"GET /_sim/log HTTP/1.0\r\n\r\n", b"200"),
    ],
)
def test_what_is_not_http_is_refused(meta: Running[Meta], sent: bytes, status: bytes) -> None:
    port = int(meta.base_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(sent)
        assert connection.recv(100).split(b" ")[1] == status


def test_a_chunked_body_is_put_together(cloudtalk: Running[CloudTalk], api: httpx.Client) -> None:
    chunks = (part for part in (b'{"name": ', b'"Niccolo"}'))
    assert api.put("/contacts/add.json", content=chunks).status_code == 201


def test_it_listens_on_loopback_only(cloudtalk: Running[CloudTalk]) -> None:
    server = cloudtalk.simulator._server._server
    assert server is not None
    assert {listening.getsockname()[0] for listening in server.sockets} == {"127.0.0.1"}


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_one_process_runs_all_of_them_and_stops_when_told(
    tmp_path: Path, http: httpx.Client, stop: signal.Signals
) -> None:
    config = tmp_path / "simulators.json"
    config.write_text(
        json.dumps({"cloudtalk": {"accounts": [{"agents": [{"id": 5}]}], "knobs": {"ring_s": 3}}})
    )
    command = [sys.executable, "-m", "filiera.simulators", "--config", str(config), "--meta-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        urls = json.loads(process.stdout.readline())
        assert set(urls) == {"cloudtalk", "gohighlevel", "meta", "google", "mailbox"}
        assert http.get(urls["cloudtalk"]["knobs_url"]).json()["ring_s"] == 3
        for simulator in urls.values():
            assert http.get(simulator["log_url"]).json() == []
        os.kill(process.pid, stop)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_port_that_is_taken_is_said_in_one_line(meta: Running[Meta]) -> None:
    port = meta.base_url.rpartition(":")[2]
    command = [sys.executable, "-m", "filiera.simulators", "--cloudtalk-port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
