"""The public form and its SDK in a real browser, against the real web server over a database of its own."""

import gzip
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from filiera.platform import ports
from tests.database import ROOT, fresh_database

PATIENCE_S = 30.0
KEY = "vegliasi_lead_queue"
FORM = "/l/landing-vegliasi"
OPENED_AT = datetime(2026, 1, 15, 10, 31, tzinfo=UTC)
SDK = ROOT / "filiera/workspace/static/built/filiera-forms.min.js"

SEED = """
import sys
import django
django.setup()
from filiera.capture.models import Source
from filiera.identity.models import Brand
from filiera.platform import brand_scope
brand = Brand.objects.create(name="Vegliasì", slug="vegliasi", accent="laguna", tagline="Teleassistenza")
with brand_scope.use(brand.id):
    Source.objects.create(
        name="landing-vegliasi", kind="landing", auth_mode="public", rate_limit_per_min=10_000,
        required_fields=["first_name", "email"], allowed_origins=[sys.argv[1]],
    )
"""

# Written down in the page, in its own order and on its own clock: what is stored, shown, emptied and asked for.
WITNESS = """
window.seen = []; window.tries = [];
const note = (what) => { if (!window.seen.includes(what)) window.seen.push(what); };
const setItem = Storage.prototype.setItem;
Storage.prototype.setItem = function (...given) { note("stored"); return setItem.apply(this, given); };
const replace = Element.prototype.replaceChildren;
Element.prototype.replaceChildren = function (...given) {
  if (this.id === "status") note("confirmed");
  return replace.apply(this, given);
};
const reset = HTMLFormElement.prototype.reset;
HTMLFormElement.prototype.reset = function () { note("emptied"); return reset.apply(this); };
const ask = window.fetch;
window.fetch = function (...given) { note("sent"); window.tries.push(Date.now()); return ask.apply(this, given); };
"""


@dataclass
class Server:
    """The web server, which a test may stop and start again on its port."""

    port: int
    home: Path
    environment: dict[str, str]
    customer: str  # the origin of the one other site that may post
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait for its first answer. Raises AssertionError when none comes."""
        log = self.home / "web.log"
        with log.open("ab") as output:
            command = [sys.executable, "-m", "filiera.cli", "web"]
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=output, stderr=output
            )
        until = time.monotonic() + 60
        while time.monotonic() < until:
            assert self.process.poll() is None, log.read_text()[-3000:]
            try:
                with urllib.request.urlopen(self.base + FORM, timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError(log.read_text()[-3000:])

    def stop(self) -> None:
        """Stop it, so that nothing listens any more."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)
            self.process = None

    def stored(self, name: str) -> list[dict[str, Any]]:
        """Return what the database holds of the visitor with this first name, oldest first."""
        with psycopg.connect(self.environment["FILIERA_APP_DATABASE_URL"]) as connection:
            brand = connection.execute(
                "select brand_id from capture_find_source('landing-vegliasi')"
            ).fetchone()
            assert brand is not None
            connection.execute("select set_config('app.brand_id', %s, true)", [str(brand[0])])
            rows = connection.execute(
                "select request_id, status, error_code, convert_from(body, 'utf8') from capture_submission"
                " where convert_from(body, 'utf8') like %s order by id",
                [f"%{name}%"],
            ).fetchall()
        names = ("request_id", "status", "error_code", "body")
        return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    port = ports.free(2)
    customers_port = port + 1
    with fresh_database("landing") as urls:
        environment = {
            **os.environ,
            **urls,
            "FILIERA_HOME": str(home),
            "FILIERA_PORT": str(port),
            "FILIERA_WEB_PROCESSES": "1",
            "DJANGO_SETTINGS_MODULE": "filiera.settings",
        }
        customer = f"http://localhost:{customers_port}"
        subprocess.run([sys.executable, "-c", SEED, customer], cwd=ROOT, env=environment, check=True)
        server = Server(port, home, environment, customer)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@dataclass
class Visitor:
    """Somebody's browser: its storage outlives the pages opened in it."""

    server: Server
    context: BrowserContext
    said: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    unanswered: list[Route] = field(default_factory=list)

    def open(self, path: str = FORM, *, clock: bool = False) -> Page:
        """Open a page; with `clock`, time stands still in it until the test moves it."""
        page = self.context.new_page()
        if clock:
            page.clock.install(time=OPENED_AT)
            page.clock.pause_at(OPENED_AT + timedelta(seconds=1))
        page.goto(self.server.base + path)
        return page

    def answer_with(self, answer: Callable[[Route], None]) -> None:
        """Let `answer` stand in for the server on the intake door."""
        self.context.unroute("**/api/lead*")
        self.context.route("**/api/lead*", answer)

    def leave_unanswered(self) -> list[Route]:
        """Let the intake door be silent; returns the list of the requests that wait."""
        self.answer_with(lambda route: self.unanswered.append(route))
        return self.unanswered

    def said_of(self, lead_id: str) -> list[str]:
        """Return the console lines about a lead."""
        return [line for line in self.said if lead_id in line]


@pytest.fixture
def visitor(browser: Browser, server: Server) -> Iterator[Visitor]:
    visitor = Visitor(server, browser.new_context(locale="it-IT"))
    visitor.context.on("console", lambda message: visitor.said.append(message.text))
    visitor.context.on("weberror", lambda error: visitor.trouble.append(str(error.error)))
    visitor.context.add_init_script(WITNESS)
    yield visitor
    for route in visitor.unanswered:
        route.abort()
    visitor.context.close()
    assert [line for line in visitor.said if "Content Security Policy" in line] == []
    assert visitor.trouble == []


def refuse(status: int, error: str = "", **headers: str) -> Callable[[Route], None]:
    body = json.dumps({"success": False, "error": error} if error else {"success": False})
    return lambda route: route.fulfill(
        status=status, body=body, headers={"Content-Type": "application/json", **headers}
    )


def accept(route: Route) -> None:
    route.fulfill(status=200, json={"success": True, "leadId": "LEAD_1_a"})


def fill_in(page: Page, nome: str = "Adele", **fields: str) -> None:
    given = {"nome": nome, "cognome": "Brunetti", "email": "adele@posta.example", "telefono": "351 000 4127"}
    for name, value in (given | fields).items():
        page.fill(f"[name={name}]", value)
    page.select_option("[name=servizio]", "PRO")
    page.select_option("[name=pacchetto]", "AVANZATO")


def submit(page: Page) -> str:
    """Press the button and return the code that the page shows at once."""
    page.click("text=Invia Richiesta")
    return page.locator("#status code").inner_text()


def queue_of(page: Page) -> list[dict[str, Any]]:
    return list(json.loads(page.evaluate(f"localStorage.getItem('{KEY}') || '[]'")))


def eventually(look: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE_S
    while not (seen := look()):
        assert time.monotonic() < until, f"still {seen!r}"
        time.sleep(0.02)
    return seen


def wait_for(page: Page, **wanted: Any) -> dict[str, Any]:
    """Wait until the only item of the queue has these values, and return it."""

    def look() -> dict[str, Any] | None:
        [item] = queue_of(page)
        return item if all(item.get(name) == value for name, value in wanted.items()) else None

    return dict(eventually(look))


# What the visitor sees


def test_the_form_has_the_fields_and_words_of_the_contract(visitor: Visitor) -> None:
    """CAP-04 … CAP-07, CAP-09."""
    page = visitor.open()
    assert page.title() == "Vegliasì - Form Richiesta"
    assert page.locator("html").get_attribute("lang") == "it"
    assert page.evaluate("document.characterSet") == "UTF-8"
    expect(page.locator("h1")).to_have_text("Richiedi Informazioni Vegliasì")
    described = page.eval_on_selector_all(
        "#richiesta [name]:not([name=sito])",
        "all => all.map(f => [f.name, f.type, f.required, f.placeholder || ''])",
    )
    assert described == [
        ["nome", "text", True, "Nome"],
        ["cognome", "text", True, "Cognome"],
        ["email", "email", True, "Email"],
        ["telefono", "tel", True, "Telefono"],
        ["servizio", "select-one", True, ""],
        ["pacchetto", "select-one", True, ""],
        ["eta", "number", False, "Età"],
        ["vuoleContratto", "checkbox", False, ""],
        ["vuoleBrochure", "checkbox", False, ""],
    ]
    options = "all => all.map(o => [o.value, o.text])"
    assert page.eval_on_selector_all("#servizio option", options) == [
        ["", "Seleziona Servizio"],
        ["FAMILY", "FAMILY"],
        ["PRO", "PRO"],
        ["PREMIUM", "PREMIUM"],
    ]
    assert [value for value, _text in page.eval_on_selector_all("#pacchetto option", options)][1:] == [
        "BASE",
        "AVANZATO",
    ]
    age = page.locator("#eta")
    assert (age.get_attribute("min"), age.get_attribute("max")) == ("0", "120")
    for name, words in (
        ("vuoleContratto", "Voglio ricevere il contratto"),
        ("vuoleBrochure", "Voglio ricevere la brochure"),
    ):
        assert page.get_by_label(words).get_attribute("name") == name
        assert page.get_by_label(words).evaluate("box => box.value") == "on"


def test_a_submit_stores_confirms_empties_and_only_then_sends(visitor: Visitor) -> None:
    """CAP-03, CAP-11: the confirmation waits for nobody."""
    visitor.leave_unanswered()
    page = visitor.open()
    fill_in(page)
    submit(page)
    assert page.evaluate("seen") == ["stored", "confirmed", "emptied", "sent"]
    assert page.input_value("[name=nome]") == ""
    assert page.url == visitor.server.base + FORM


def test_the_confirmation_shows_the_code_in_the_box_of_the_contract(visitor: Visitor) -> None:
    """CAP-12, CAP-14."""
    visitor.answer_with(accept)
    page = visitor.open()
    fill_in(page)
    code = submit(page)
    assert re.fullmatch(r"LEAD_\d{13}_[0-9a-z]{9}", code)
    box = page.locator("#status > div")
    assert box.inner_text().split("\n") == [
        "✅ Richiesta ricevuta!",
        f"Codice: {code}",
        "Stiamo inviando i tuoi dati al sistema. Riceverai conferma via email.",
    ]
    style = box.evaluate(
        "box => (({padding, backgroundColor, borderLeft, marginTop}) =>"
        " [padding, backgroundColor, borderLeft, marginTop])(getComputedStyle(box))"
    )
    assert style == ["15px", "rgb(224, 242, 254)", "4px solid rgb(2, 132, 199)", "20px"]


# What is sent and stored


def test_what_is_sent_is_what_was_typed(visitor: Visitor) -> None:
    """CAP-06, CAP-10, CAP-17, CAP-18."""
    page = visitor.open()
    fill_in(page, nome=" Benedetta ", eta="81")
    page.get_by_label("Voglio ricevere la brochure").check()
    with page.expect_request("**/api/lead") as asked:
        code = submit(page)
    request = asked.value
    sent = request.post_data_json
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", sent.pop("timestamp"))
    assert sent == {
        "nome": "Benedetta",
        "cognome": "Brunetti",
        "email": "adele@posta.example",
        "telefono": "351 000 4127",
        "servizio": "PRO",
        "pacchetto": "AVANZATO",
        "vuoleContratto": False,
        "vuoleBrochure": True,
        "eta": 81,
        "source": "127.0.0.1",
    }
    assert (request.method, request.headers["content-type"]) == ("POST", "application/json")
    assert request.headers["x-request-id"] == code
    eventually(lambda: queue_of(page) == [])
    [stored] = visitor.server.stored("Benedetta")
    assert (stored["request_id"], stored["status"]) == (code, "queued")
    eventually(lambda: len(visitor.said_of(code)) == 2)
    assert visitor.said_of(code) == [
        f"📤 [LEAD {code}] Tentativo 1/3",
        f"✅ [LEAD {code}] Inviato con successo!",
    ]


@pytest.mark.parametrize(("typed", "sent"), [("0", 0), ("", None), ("007", 7)])
def test_an_age_is_a_whole_number_or_null(visitor: Visitor, typed: str, sent: int | None) -> None:
    """CAP-07, CAP-08: zero is an age."""
    visitor.answer_with(accept)
    page = visitor.open()
    fill_in(page, eta=typed)
    with page.expect_request("**/api/lead") as asked:
        submit(page)
    assert asked.value.post_data_json["eta"] == sent


def test_an_age_of_130_is_refused_by_the_form_and_by_the_server(visitor: Visitor) -> None:
    page = visitor.open()
    fill_in(page, nome="Matusalemme", eta="130")
    page.click("text=Invia Richiesta")
    assert page.eval_on_selector("#eta", "age => age.validity.rangeOverflow")
    assert queue_of(page) == []
    page.eval_on_selector("#richiesta", "form => form.noValidate = true")
    submit(page)
    item = wait_for(page, status="failed")
    assert (item["attempts"], item["lastError"]) == (1, "Dati non validi")
    assert [row["status"] for row in visitor.server.stored("Matusalemme")] == ["rejected"]


def test_a_form_filled_in_by_a_program_is_told_that_all_is_well(visitor: Visitor) -> None:
    """CAP-90: the honeypot is out of sight and out of the way of the keyboard."""
    page = visitor.open()
    trap = page.locator("[name=sito]")
    assert (trap.get_attribute("tabindex"), trap.get_attribute("aria-hidden")) == ("-1", "true")
    assert trap.evaluate("field => field.getBoundingClientRect().right < 0")
    fill_in(page, nome="Robot")
    trap.evaluate("field => field.value = 'https://spam.example'")
    submit(page)
    eventually(lambda: queue_of(page) == [])
    [stored] = visitor.server.stored("Robot")
    assert (stored["status"], stored["error_code"]) == ("rejected", "HONEYPOT")


def test_a_waiting_item_has_the_shape_of_the_contract(visitor: Visitor) -> None:
    """CAP-13, CAP-15, CAP-19, CAP-21."""
    visitor.answer_with(refuse(500, "Errore server"))
    page = visitor.open(clock=True)
    fill_in(page)
    code = submit(page)
    item = wait_for(page, attempts=1, status="retrying")
    assert item["id"] == code
    assert item["data"]["nome"] == "Adele"
    assert item["lastError"] == "Errore server"
    assert item["lockedUntil"] == 0
    for moment in (item["createdAt"], item["lastAttempt"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment)
    assert page.evaluate("Object.keys(localStorage)") == [KEY]


# When the server does not answer as it should


def test_a_failing_server_is_tried_at_0_2_and_6_seconds_and_then_left_alone(visitor: Visitor) -> None:
    """CAP-20, CAP-21, CAP-29."""
    visitor.answer_with(refuse(503))
    page = visitor.open(clock=True)
    fill_in(page)
    code = submit(page)
    for tries, wait_ms in ((1, 2000), (2, 4000)):
        wait_for(page, attempts=tries, status="retrying")
        page.clock.run_for(wait_ms - 1)
        assert page.evaluate("tries.length") == tries
        page.clock.run_for(1)
    item = wait_for(page, attempts=3, status="failed")
    assert item["lastError"] == "Errore backend"
    page.clock.run_for(120_000)
    moments = page.evaluate("tries")
    assert [moment - moments[0] for moment in moments] == [0, 2000, 6000]
    eventually(lambda: len(visitor.said_of(code)) == 9)
    assert visitor.said_of(code) == [
        f"📤 [LEAD {code}] Tentativo 1/3",
        f"❌ [LEAD {code}] Errore tentativo 1: Errore backend",
        f"🔄 [LEAD {code}] Retry tra 2000ms...",
        f"📤 [LEAD {code}] Tentativo 2/3",
        f"❌ [LEAD {code}] Errore tentativo 2: Errore backend",
        f"🔄 [LEAD {code}] Retry tra 4000ms...",
        f"📤 [LEAD {code}] Tentativo 3/3",
        f"❌ [LEAD {code}] Errore tentativo 3: Errore backend",
        f"💀 [LEAD {code}] MAX RETRIES raggiunto. Lead salvato per invio manuale.",
    ]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 422])
def test_a_refusal_for_good_fails_at_once_and_waits_for_a_hand(visitor: Visitor, status: int) -> None:
    """CAP-27, CAP-26."""
    visitor.answer_with(refuse(status, "Dati mancanti"))
    page = visitor.open(clock=True)
    fill_in(page)
    submit(page)
    item = wait_for(page, status="failed")
    assert (item["attempts"], item["lastError"]) == (1, "Dati mancanti")
    page.clock.run_for(60_000)
    page.evaluate("dispatchEvent(new Event('online'))")
    assert page.evaluate("tries.length") == 1
    expect(page.locator("#kept")).to_contain_text("PRO, AVANZATO")
    visitor.answer_with(accept)
    page.click("text=Riprova invio")
    eventually(lambda: queue_of(page) == [])
    expect(page.locator("#kept")).to_be_hidden()


@pytest.mark.parametrize("status", [408, 500, 502])
def test_a_passing_trouble_is_tried_again(visitor: Visitor, status: int) -> None:
    """CAP-27."""
    visitor.answer_with(refuse(status))
    page = visitor.open(clock=True)
    fill_in(page)
    submit(page)
    wait_for(page, attempts=1, status="retrying")
    visitor.answer_with(accept)
    page.clock.run_for(2000)
    eventually(lambda: queue_of(page) == [])


def test_a_server_that_asks_for_patience_gets_it(visitor: Visitor) -> None:
    """CAP-27: 429 honours Retry-After."""
    visitor.answer_with(refuse(429, "Rate limit exceeded", **{"Retry-After": "7"}))
    page = visitor.open(clock=True)
    fill_in(page)
    submit(page)
    wait_for(page, attempts=1, status="retrying", lastError="Rate limit exceeded")
    visitor.answer_with(accept)
    page.clock.run_for(6999)
    assert page.evaluate("tries.length") == 1
    page.clock.run_for(1)
    eventually(lambda: queue_of(page) == [])


def test_a_server_that_is_silent_for_ten_seconds_is_given_up_for_now(visitor: Visitor) -> None:
    """CAP-28."""
    visitor.leave_unanswered()
    page = visitor.open(clock=True)
    fill_in(page)
    submit(page)
    page.clock.run_for(9999)
    assert wait_for(page, attempts=0)["status"] == "pending"
    page.clock.run_for(1)
    assert wait_for(page, attempts=1)["status"] == "retrying"


@pytest.mark.parametrize("body", ["<html>Bentornati</html>", "", '{"success": false}', "[]", "null"])
def test_an_answer_that_does_not_say_success_is_not_one(visitor: Visitor, body: str) -> None:
    """CAP-18, CAP-28."""
    visitor.answer_with(lambda route: route.fulfill(status=200, body=body))
    page = visitor.open(clock=True)
    fill_in(page)
    submit(page)
    assert wait_for(page, attempts=1, status="retrying")["lastError"] == "Errore backend"


# Closed pages, several tabs, no network


def test_a_lead_submitted_while_the_server_is_down_arrives_once_after_it_is_back(visitor: Visitor) -> None:
    """CAP-01, CAP-24; acceptance 1."""
    page = visitor.open()
    fill_in(page, nome="Clotilde")
    visitor.server.stop()
    code = submit(page)
    assert wait_for(page, status="retrying")["id"] == code
    page.close()
    visitor.server.start()
    assert visitor.server.stored("Clotilde") == []
    page = visitor.open()
    eventually(lambda: queue_of(page) == [])
    assert [row["request_id"] for row in visitor.server.stored("Clotilde")] == [code]
    assert "🔄 Trovati 1 lead pendenti. Riprovo invio..." in visitor.said
    page.reload()
    assert len(visitor.server.stored("Clotilde")) == 1


def waiting(**changes: Any) -> str:
    """Return a script that leaves one item in the queue, as an earlier page did."""
    item = {
        "id": "LEAD_1737000000000_ab12cd34e",
        "data": {"nome": "Dorotea", "email": "dorotea@posta.example", "telefono": "351 000 4128"},
        "attempts": 1,
        "createdAt": "2026-01-15T10:30:00.000Z",
        "status": "retrying",
        "lastAttempt": "2026-01-15T10:30:00.000Z",
        "lastError": "Errore backend",
        "lockedUntil": 0,
    }
    stored = json.dumps(json.dumps([item | changes]))
    return f"if (origin.startsWith('http') && !localStorage.{KEY}) localStorage.{KEY} = {stored};"


def test_an_item_left_behind_is_sent_a_second_after_the_load_from_its_own_count_on(visitor: Visitor) -> None:
    """CAP-22, CAP-24."""
    visitor.answer_with(refuse(500))
    visitor.context.add_init_script(waiting())
    page = visitor.open(clock=True)
    page.clock.run_for(999)
    assert page.evaluate("tries") == []
    page.clock.run_for(1)
    wait_for(page, attempts=2, status="retrying")
    assert "📤 [LEAD LEAD_1737000000000_ab12cd34e] Tentativo 2/3" in visitor.said


def test_an_item_that_no_timer_looks_after_is_found_by_the_background_pass(visitor: Visitor) -> None:
    """CAP-23."""
    visitor.answer_with(accept)
    page = visitor.open(clock=True)
    page.clock.run_for(2000)
    page.evaluate(waiting())
    page.clock.run_for(30_000)
    eventually(lambda: queue_of(page) == [])
    assert "🔄 [Background] Riprovo 1 lead pendenti..." in visitor.said


@pytest.mark.parametrize("locks", [True, False], ids=["web locks", "lock stamps"])
def test_two_tabs_send_one_item_once(visitor: Visitor, locks: bool) -> None:
    """CAP-25; acceptance 3."""
    asked = visitor.leave_unanswered()
    visitor.context.add_init_script(waiting())
    if not locks:
        visitor.context.add_init_script("Object.defineProperty(navigator, 'locks', {value: undefined});")
    tabs = [visitor.open(clock=True), visitor.open(clock=True)]
    for tab in tabs:
        tab.clock.run_for(1000)
    eventually(lambda: asked)
    for tab in tabs:
        tab.clock.run_for(100)
        tab.evaluate("FilieraForms.current.background()")
        tab.clock.run_for(100)
    assert len(asked) == 1
    accept(asked.pop())
    eventually(lambda: queue_of(tabs[0]) == [])


@pytest.mark.parametrize("how", ["load", "online"])
def test_what_failed_for_want_of_a_network_gets_a_new_round(visitor: Visitor, how: str) -> None:
    """CAP-26."""
    visitor.answer_with(refuse(502))
    visitor.context.add_init_script(waiting(status="failed", attempts=3, permanent=False))
    page = visitor.open(clock=True)
    page.clock.run_for(1000)
    wait_for(page, attempts=1, status="retrying")
    page.clock.run_for(2000)
    wait_for(page, attempts=2, status="retrying")
    page.clock.run_for(4000)
    wait_for(page, attempts=3, status="failed")
    visitor.answer_with(accept)
    if how == "load":
        page.reload()
        page.clock.run_for(1000)
    else:
        page.evaluate("dispatchEvent(new Event('online'))")
    eventually(lambda: queue_of(page) == [])


def test_a_visitor_without_network_is_told_that_the_request_is_safe(visitor: Visitor) -> None:
    """CAP-26, CAP-01."""
    page = visitor.open()
    fill_in(page, nome="Ersilia")
    visitor.context.set_offline(True)
    submit(page)
    expect(page.locator("#kept")).to_contain_text(
        "Sei senza rete. La richiesta è al sicuro su questo dispositivo."
    )
    visitor.context.set_offline(False)
    eventually(lambda: visitor.server.stored("Ersilia"))
    expect(page.locator("#kept")).to_be_hidden()
    assert len(visitor.server.stored("Ersilia")) == 1


def test_failed_items_are_listed_and_sent_again_by_hand(visitor: Visitor) -> None:
    """CAP-26."""
    visitor.answer_with(accept)
    visitor.context.add_init_script(waiting(status="failed", permanent=True, lastError="Dati mancanti"))
    page = visitor.open(clock=True)
    page.clock.run_for(60_000)
    failed = page.evaluate("FilieraForms.current.failed().map(item => item.id)")
    assert failed == ["LEAD_1737000000000_ab12cd34e"]
    answer = page.evaluate("id => FilieraForms.current.resend(id)", failed[0])
    assert answer == {"success": True, "result": {"success": True, "leadId": "LEAD_1_a"}}
    assert queue_of(page) == []


@pytest.mark.parametrize(("days", "left"), [(29, 1), (31, 0)])
def test_a_failed_item_leaves_the_device_after_thirty_days(visitor: Visitor, days: int, left: int) -> None:
    created = f"new Date(Date.now() - {days} * 86400000).toISOString()"
    made = waiting(status="failed", permanent=True, createdAt="then").replace(
        '\\"then\\"', '\\"" + then + "\\"'
    )
    visitor.context.add_init_script(f"const then = {created}; {made}")
    assert len(queue_of(visitor.open())) == left


def test_where_nothing_can_be_stored_the_lead_is_sent_all_the_same(visitor: Visitor) -> None:
    """4.1: quota, private mode."""
    visitor.context.add_init_script(
        "Storage.prototype.setItem = () => { throw new DOMException('pieno', 'QuotaExceededError'); };"
    )
    page = visitor.open()
    fill_in(page, nome="Fosca")
    submit(page)
    eventually(lambda: visitor.server.stored("Fosca"))


# Other pages than ours, and none of our script


def test_the_form_works_without_javascript(browser: Browser, server: Server) -> None:
    """CAP-90."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(server.base + FORM)
    fill_in(page, nome="Gelsomina", eta="0")
    page.get_by_label("Voglio ricevere il contratto").check()
    page.click("text=Invia Richiesta")
    page.wait_for_url("**/l/landing-vegliasi/ricevuta?codice=LEAD_*")
    expect(page.locator("#status")).to_contain_text("✅ Richiesta ricevuta!")
    code = page.locator("#status code").inner_text()
    assert re.fullmatch(r"LEAD_\d{13}_[0-9a-f-]{36}", code)
    context.close()
    [stored] = server.stored("Gelsomina")
    assert (stored["status"], "vuoleContratto=on" in stored["body"]) == ("queued", True)


def test_a_form_sent_incomplete_without_javascript_comes_back_with_its_gaps_marked(
    browser: Browser, server: Server
) -> None:
    form = {"nome": "", "cognome": "Brunetti", "email": "", "telefono": "351 000 4127"}
    answer = httpx.post(f"{server.base}/api/lead?source=landing-vegliasi", data=form)
    assert answer.status_code == 303
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(server.base + answer.headers["location"])
    marked = page.eval_on_selector_all(".is-invalid", "all => all.map(field => field.name)")
    assert marked == ["nome", "email"]
    expect(page.get_by_role("alert")).to_have_text("Manca ancora qualcosa: controlla i campi segnati.")
    context.close()


@contextmanager
def site(origin: str, html: str) -> Iterator[None]:
    """Serve one page at an address of this machine that is not ours."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", urlsplit(origin).port or 0), Site) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        try:
            yield
        finally:
            httpd.shutdown()
            thread.join()


def test_a_customers_own_page_sends_through_the_snippet(visitor: Visitor) -> None:
    """CAP-90: a page on another host, with a form of its own, one line of HTML and a place on the allow-list."""
    base, customer = visitor.server.base, visitor.server.customer
    script = httpx.get(f"{base}{FORM}").text.partition('<script src="')[2].partition('"')[0]
    html = f"""<!doctype html><form id="contatti"><input name="nome"><input name="email"><button>Vai</button></form>
    <p id="status"></p><script src="{base}{script}" defer data-form="#contatti" data-source="landing-vegliasi"
    data-endpoint="{base}/api/lead"></script>"""
    with site(customer, html):
        page = visitor.context.new_page()
        page.goto(f"{customer}/contatti")
        page.fill("[name=nome]", "Iolanda")
        page.fill("[name=email]", "iolanda@posta.example")
        page.click("text=Vai")
        expect(page.locator("#status")).to_contain_text("Richiesta ricevuta!")
        [stored] = eventually(lambda: visitor.server.stored("Iolanda"))
        page.close()
    assert json.loads(stored["body"])["source"] == "localhost"


def test_a_source_that_is_none_has_no_page(server: Server) -> None:
    assert httpx.get(f"{server.base}/l/landing-nessuno").status_code == 404


def test_the_sdk_is_smaller_than_four_kilobytes() -> None:
    assert len(gzip.compress(SDK.read_bytes(), 9)) <= 4096
