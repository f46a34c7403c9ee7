"""Sources, inbound log and what looks after the house, in a real browser: typing, copying, replaying, axe-core."""

import subprocess
import sys

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.database import ROOT

ARRIVED = """
import json, django
django.setup()
from datetime import timedelta
from django.utils import timezone
from filiera.capture import commands
from filiera.capture.models import Submission
from filiera.identity.models import Brand, User
from filiera.platform import brand_scope
now = timezone.now()
ada = User.objects.get(email="ada@vegliasi.example")
with brand_scope.use(Brand.objects.get(slug="vegliasi").id):
    source, _key = commands.create_source(
        name="moduli-autunno", kind="webhook", actor=ada, now=now, auto_call=True,
        mapping={"dati.nome": "full_name", "dati.telefono": "phone", "dati.mail": "email"},
    )
    bodies = [
        {"id": "271", "modulo": "autunno", "dati": {"nome": "Onorina Baggio", "telefono": "+39 351 000 3321",
                                                    "email": "onorina@posta.example"}},
        {"id": "268", "dati": {"nome": "Rina Dalla Libera", "recapito_serale": "351 000 9914"}},
    ]
    for place, body in enumerate(bodies):
        dead = place == 1
        Submission.objects.create(
            source=source, request_id=f"arrived-{place}", lead_id=f"LEAD_arrived_{place}", method="POST",
            path="/webhook-ingest/moduli-autunno", content_type="application/json", body=json.dumps(body).encode(),
            headers={"user-agent": "WordPress/6.6", "x-api-key": "[redacted]"},
            body_hash=str(place) * 64, status="dead" if dead else "processed", queue_state="dead" if dead else "done",
            error_code="NO_CONTACT" if dead else "", attempts=4 if dead else 0, dead_at=now if dead else None,
            received_at=now - timedelta(minutes=place), visible_at=now,
        )
"""


@pytest.fixture(scope="module")
def arrived(house):
    """A source with a request that became a lead and one that could not."""
    subprocess.run([sys.executable, "-c", ARRIVED], cwd=ROOT, env=house.environment, check=True)
    return house


def ada(arrived, browser, **look):
    """Open the browser of Ada, who owns both brands, in Vegliasì."""
    opened = arrived.visit(browser, email="ada@vegliasi.example", **look)
    page = opened.page
    # The band is not shown on a phone: the button is pressed, not clicked.
    page.locator(".fi-brands [title*=Vegliasì]").evaluate("(button) => button.click()")
    page.wait_for_load_state()
    page.wait_for_selector("[data-accent=laguna] .fi-top")
    return opened


@pytest.fixture
def visit(arrived, browser):
    """Ada at a wide screen."""
    opened = ada(arrived, browser)
    yield opened
    assert opened.refused == []
    opened.page.context.close()


def open_source(visit):
    page = visit.goto("/sources")
    page.get_by_role("link", name="moduli-autunno").click()
    page.wait_for_selector("#mapping")
    return page


def test_a_mapping_answers_as_one_types_and_is_saved_with_the_keyboard(visit):
    page = open_source(visit)
    email = page.get_by_label("E-mail")
    expect(page.locator("#map-rows")).to_contain_text("Non c’è, forse dati.email")
    email.fill("dati.email")
    expect(page.locator("#map-rows")).to_contain_text("onorina@posta.example")
    expect(page.locator("#trial")).to_contain_text("Passa")
    expect(page.locator("#trial")).not_to_contain_text("con un avviso")
    expect(page.locator("#unused")).to_contain_text("modulo")
    expect(email).to_be_focused()
    page.keyboard.press("Control+Enter")
    expect(page.locator("#toasts")).to_contain_text("Mappatura salvata.")
    expect(page.get_by_label("E-mail")).to_have_value("dati.email")


def test_the_new_key_is_copied_and_gone_after_a_reload(visit):
    page = open_source(visit)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Cambia chiave").click()
    key = page.locator("#new-key").inner_text()
    page.locator(".fi-key").get_by_role("button", name="Copia").click()
    expect(page.locator("#toasts")).to_contain_text("Chiave copiata.")
    assert page.evaluate("navigator.clipboard.readText()") == key
    page.get_by_role("link", name="Fatto, l’ho salvata").click()
    page.wait_for_url("**/address")
    assert key not in page.content()


def test_a_dead_letter_is_discarded_brought_back_and_offered_again(visit):
    page = visit.goto("/inbound?view=dead")
    page.locator("#inbound-rows a.fi-name").first.click()
    expect(page.locator("#one")).to_contain_text("Non sappiamo chi richiamare.")
    page.keyboard.press("Delete")
    expect(page.locator("#toasts")).to_contain_text("Richiesta scartata.")
    expect(page.locator("#inbound-rows tr")).to_have_count(0)
    page.locator("#toasts [data-undo]").click()
    expect(page.locator("#inbound-rows tr")).to_have_count(1)
    page.locator("#inbound-rows").get_by_role("button", name="Riproponi").click()
    expect(page.locator("#toasts")).to_contain_text("1 richiesta riproposta.")
    expect(page.get_by_text("Niente da recuperare")).to_be_visible()


def test_an_agent_is_switched_off_and_on_again(visit):
    page = visit.goto("/agents")
    row = page.locator("#agents tr", has_text="Oreste Belluno")
    switch = row.get_by_role("switch")
    expect(switch).to_be_checked()
    switch.click()
    expect(row).to_contain_text("Spento")
    page.reload()
    expect(row.get_by_role("switch")).not_to_be_checked()
    row.get_by_role("switch").click()
    expect(row).to_contain_text("Riceve")


@pytest.mark.parametrize("look", ["wide", "dark", "phone"])
def test_no_page_has_an_accessibility_finding(arrived, browser, look):
    visit = ada(arrived, browser, phone=look == "phone", dark=look == "dark")
    page = open_source(visit)
    own = page.url.removeprefix(arrived.base).split("?")[0]
    page = visit.goto("/inbound")
    one = page.locator("#inbound-rows a.fi-name").first.get_attribute("href")
    page = visit.goto("/agents")
    agent = page.locator("#agents a.fi-name").first.get_attribute("href")
    found = []
    paths = [
        "/sources",
        "/sources/new",
        own,
        f"{own}/address",
        f"{own}/limits",
        f"{own}/history",
        "/inbound",
        f"/inbound{one}",
        "/inbound?view=dead",
        "/board",
        "/agents?ask=reset",
        agent,
        "/agents/rule",
        "/figures",
        "/system",
    ]
    for path in paths:
        page = visit.goto(path)
        page.wait_for_timeout(200)  # what enters has entered
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
        answer = Axe().run(page, options={"runOnly": {"type": "tag", "values": tags}}).response
        found += [
            f"{path} {rule['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
            for rule in answer["violations"]
            for node in rule["nodes"]
        ]
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            found.append(f"{path} is {wide} px wider than the screen")
    assert not found, "\n".join(found)
    assert visit.refused == []
    page.context.close()
