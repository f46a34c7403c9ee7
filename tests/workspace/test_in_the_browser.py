"""The pages as a person meets them: a real browser, the real server, the keyboard, a phone, axe-core."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from tests.browser import House, Visit
from tests.database import ROOT

BEA = "bea@vegliasi.example"
PAGES = (
    "/oggi",
    "/leads",
    "/leads?stato=caldo&arrivato=oggi",
    "/leads/new",
    "{lead}",
    "{lead}/why",
    "{lead}/privacy",
    "/nowhere",
    "/board",
    "/agents",
    "/figures",
    "/sources",
    "/inbound",
    "/system",
)

ARRIVES = """
import os, sys, django
django.setup()
from django.utils import timezone
from filiera.identity.models import Brand, User
from filiera.journeys import manual
from filiera.platform import brand_scope
brand = Brand.objects.get(slug="vegliasi")
with brand_scope.use(brand.id):
    manual.create_lead(name=sys.argv[1], phone=sys.argv[2], provenance="Sito",
                       actor=User.objects.get(email="ada@vegliasi.example"), now=timezone.now())
"""


def arrives(house: House, name: str, phone: str) -> None:
    """Let a lead arrive from another process."""
    subprocess.run([sys.executable, "-c", ARRIVES, name, phone], cwd=ROOT, env=house.environment, check=True)


@pytest.fixture
def visit(browser: Browser, house: House) -> Iterator[Visit]:
    """Bea at a wide screen."""
    opened = house.visit(browser, email=BEA)
    yield opened
    opened.page.context.close()
    assert opened.refused == []


def record_of(visit: Visit, name: str = "Nives Pellegrin") -> str:
    visit.goto("/leads")
    return str(visit.page.locator("a.fi-name", has_text=name).get_attribute("href"))


def findings(page: Page) -> list[str]:
    """Return what axe-core finds against WCAG 2.2 A and AA, in words."""
    page.wait_for_timeout(300)  # what enters has entered
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": tags}}).response["violations"]
    return [
        f"{page.url} {rule['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for rule in found
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("look", ["wide", "dark", "phone"])
def test_no_page_has_an_accessibility_finding(browser: Browser, house: House, look: str) -> None:
    visit = house.visit(browser, email=BEA, phone=look == "phone", dark=look == "dark")
    lead = record_of(visit)
    found = []
    for path in PAGES:
        found += findings(visit.goto(path.format(lead=lead)))
    visit.page.context.close()
    assert found == []
    assert visit.refused == []


@pytest.mark.parametrize("look", ["wide", "dark", "phone"])
def test_the_door_has_no_accessibility_finding(browser: Browser, house: House, look: str) -> None:
    visit = house.visit(browser, phone=look == "phone", dark=look == "dark")
    found = findings(visit.goto("/login"))
    visit.page.context.close()
    assert found == []
    assert visit.refused == []


def test_what_opens_over_the_page_has_no_accessibility_finding(visit: Visit) -> None:
    page = visit.goto(record_of(visit))
    found = []
    for key in ("Control+k", "?", "a"):
        page.keyboard.press(key)
        expect(page.locator("dialog[open]")).to_have_count(1)
        found += findings(page)
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)
    assert found == []


@pytest.mark.parametrize("path", PAGES)
def test_no_page_scrolls_sideways_on_a_phone(browser: Browser, house: House, path: str) -> None:
    visit = house.visit(browser, email=BEA, phone=True)
    page = visit.goto(path.format(lead=record_of(visit)))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.page.context.close()


def test_what_a_thumb_presses_is_big_enough(browser: Browser, house: House) -> None:
    visit = house.visit(browser, email=BEA, phone=True)
    for path in ("/oggi", "/leads", record_of(visit)):
        page = visit.goto(path)
        for box in page.eval_on_selector_all(
            ".fi-tabbar a, .fi-tabbar button, .fi-thumb .btn, .fi-leadcard-call",
            "all => all.filter(e => e.checkVisibility()).map(e => e.getBoundingClientRect().height)",
        ):
            assert box >= 44
    visit.page.context.close()


# Keyboard


def test_the_first_stop_of_the_tab_key_leads_to_the_content(visit: Visit) -> None:
    page = visit.goto("/oggi")
    page.keyboard.press("Tab")
    expect(page.locator(".fi-skip")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_g_and_a_letter_go_to_a_page_and_c_to_a_new_lead(visit: Visit) -> None:
    page = visit.goto("/oggi")
    page.keyboard.press("g")
    page.keyboard.press("l")
    page.wait_for_url("**/leads")
    page.keyboard.press("c")
    page.wait_for_url("**/leads/new")


def test_keys_never_fire_inside_a_field(visit: Visit) -> None:
    page = visit.goto("/leads/new")
    page.locator("#n-Nome").focus()
    page.keyboard.type("gl?c")
    assert page.locator("#n-Nome").input_value() == "gl?c"
    assert page.url.endswith("/leads/new")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_the_list_is_walked_selected_and_opened_by_keys(visit: Visit) -> None:
    page = visit.goto("/leads")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("[data-row].is-focus.is-selected")).to_have_count(1)
    expect(page.locator("[data-bulk-count]")).to_have_text("1 selezionato")
    page.keyboard.press("Escape")
    expect(page.locator("[data-bulk]")).to_be_hidden()
    page.keyboard.press("k")
    href = page.locator("[data-row].is-focus a.fi-name").get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{href}")


def test_the_number_is_edited_in_its_cell_and_escape_brings_it_back(visit: Visit) -> None:
    page = visit.goto("/leads")
    row = page.locator("[data-row]", has_text="Fulvia Rinaldi")
    before = row.locator(".fi-cell").inner_text()
    row.locator(".fi-cell").click()
    field = row.locator("input[name=value]")
    expect(field).to_be_focused()
    field.fill("349 12")
    expect(row.locator("[role=alert]")).to_contain_text("Mancano cifre: ne ho contate 5.")
    field.press("Escape")
    expect(row.locator(".fi-cell")).to_have_text(before)


def test_tab_saves_a_cell_and_opens_the_next(visit: Visit) -> None:
    page = visit.goto("/leads")
    page.locator("[data-opens=columns]").click()
    page.locator("#columns [value=citta]").check()
    page.locator("#columns").get_by_role("button", name="Usa queste").click()
    row = page.locator("[data-row]", has_text="Fulvia Rinaldi")
    row.locator(".fi-lead-phone .fi-cell").click()
    row.locator("input[name=value]").press("Tab")
    city = row.locator("[id^=city-] input[name=value]")
    expect(city).to_be_focused()
    city.fill("Dolo")
    city.press("Enter")
    expect(row.locator("[id^=city-] .fi-cell")).to_have_text("Dolo")


def test_a_filter_is_put_together_and_many_leads_change_with_a_way_back(visit: Visit) -> None:
    page = visit.goto("/leads")
    page.keyboard.press("f")
    page.locator("[data-adds=same]").click()
    page.locator("[name=campo]").select_option("cognome")
    page.locator("[name=come]").select_option("inizia")
    page.locator(".fi-condition-v input:visible").fill("Scar")
    page.get_by_role("button", name="Mostra", exact=True).click()
    expect(page.locator(".fi-chips")).to_contain_text("Cognome comincia con Scar")
    expect(page.locator("[data-row]")).to_have_count(1)
    page.locator("[data-select-all]").check()
    page.locator("#bulk-assegna").select_option(label="Ada Rossi")
    page.locator("[data-does-chosen]").click()
    expect(page.locator(".fi-toast")).to_contain_text("Assegna a Ada Rossi: 1 lead.")
    page.locator("[data-undo]").click()
    expect(page.locator("[data-row] .fi-lead-owner")).to_contain_text("nessuno")


def test_the_palette_finds_a_person_and_opens_the_record(visit: Visit) -> None:
    page = visit.goto("/oggi")
    page.keyboard.press("Control+k")
    page.keyboard.type("pellegr")
    expect(page.locator("#palette [role=option]").first).to_contain_text("Nives Pellegrin")
    page.keyboard.press("Enter")
    page.wait_for_url("**/leads/*")
    expect(page.locator("h1")).to_have_text("Nives Pellegrin")


def test_keys_can_be_switched_off_and_on(visit: Visit) -> None:
    page = visit.goto("/oggi")
    page.locator(".fi-brand-me").click()
    page.get_by_role("button", name="Spente").click()
    page.wait_for_load_state()
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.locator(".fi-brand-me").click()
    page.get_by_role("button", name="Accese").click()
    page.wait_for_load_state()
    page.keyboard.press("?")
    expect(page.locator("dialog#keys[open]")).to_have_count(1)


def test_the_drawer_has_its_own_address_and_back_closes_it(visit: Visit) -> None:
    page = visit.goto(record_of(visit))
    record = page.url
    page.evaluate(
        "url => { const a = document.createElement('a'); a.href = url; a.dataset.drawer = ''; a.textContent = 'x';"
        "a.id = 'probe'; document.getElementById('main').prepend(a); }",
        record + "/why",
    )
    page.locator("#probe").click()
    expect(page.locator("#drawer[open]")).to_have_count(1)
    assert page.url.endswith("/why")
    page.go_back()
    expect(page.locator("#drawer[open]")).to_have_count(0)
    page.wait_for_url(record)
    page.goto(record + "/why")
    expect(page.locator("#drawer[open]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("#drawer[open]")).to_have_count(0)
    page.wait_for_url(record)


def test_a_draft_survives_a_reload_and_goes_with_the_note(visit: Visit) -> None:
    page = visit.goto(record_of(visit, "Duilio Ferrante"))
    page.fill("#note", "Da sentire dopo le 18.")
    expect(page.locator("[data-draft-sign]")).to_contain_text("Bozza salvata alle")
    page.reload()
    assert page.locator("#note").input_value() == "Da sentire dopo le 18."
    page.locator("#note").press("Control+Enter")
    expect(page.locator(".fi-toast")).to_contain_text("Nota salvata.")
    expect(page.locator("#timeline")).to_contain_text("Da sentire dopo le 18.")
    assert page.locator("#note").input_value() == ""


# Live


def test_a_lead_that_arrives_waits_behind_the_bar_and_nothing_jumps(visit: Visit, house: House) -> None:
    page = visit.goto("/oggi")
    rows = page.locator("#arrived-rows tr")
    shown = rows.count()
    page.wait_for_timeout(500)  # the stream is open
    arrives(house, "Zita Nuova", "348 000 5151")
    bar = page.locator("[data-newbar=arrived-rows]")
    expect(bar).to_contain_text("Mostra un nuovo arrivo", timeout=10_000)
    assert rows.count() == shown
    page.keyboard.press("n")
    expect(rows.first).to_contain_text("Zita Nuova")
    expect(bar).to_be_hidden()


def test_a_tab_hears_through_the_other_tab(visit: Visit, house: House) -> None:
    page = visit.goto("/leads")
    other: Any = page.context.new_page()
    other.goto(house.base + "/leads")
    page.wait_for_timeout(500)
    other.bring_to_front()
    arrives(house, "Ugo Secondo", "348 000 6262")
    expect(other.locator("[data-newbar=lead-rows]")).to_contain_text("nuovo lead", timeout=10_000)


def test_a_key_reaches_what_stands_in_a_closed_menu(visit: Visit) -> None:
    page = visit.goto(record_of(visit))
    page.keyboard.press("s")
    expect(page.locator("dialog#assign[open]")).to_have_count(1)


def test_the_check_for_accessibility_finds_what_is_wrong(visit: Visit) -> None:
    """The checker itself: a picture without a text and grey on grey are found."""
    page = visit.goto("/leads")
    page.evaluate(
        "document.getElementById('main').insertAdjacentHTML('afterbegin', '<img src=\"/favicon.ico\">')"
    )
    assert [finding for finding in findings(page) if "image-alt" in finding]
