"""A lead beside the list and the board, and who else looks at a record, in a real browser."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import House, Visit
from tests.workspace.test_in_the_browser import BEA, findings


@pytest.fixture
def visit(browser: Browser, house: House) -> Iterator[Visit]:
    """Bea at a wide screen."""
    opened = house.visit(browser, email=BEA)
    yield opened
    opened.page.context.close()
    assert opened.refused == []


def test_a_lead_is_looked_at_beside_the_list_by_keys(visit: Visit) -> None:
    """UI-08: P opens, J goes on, Esc closes and gives the focus to the row where one arrived."""
    page = visit.goto("/leads")
    names = page.locator("#lead-rows a.fi-name").all_inner_texts()
    page.keyboard.press("j")
    page.keyboard.press("p")
    drawer = page.locator("#drawer[open]")
    expect(drawer.locator("h2")).to_have_text(names[0])
    expect(drawer.locator("[data-step='-1']")).to_be_hidden()
    page.keyboard.press("j")
    expect(drawer.locator("h2")).to_have_text(names[1])
    assert "accanto=" in page.url
    assert findings(page) == []
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    page.wait_for_url(lambda url: "accanto" not in url)
    expect(page.locator("#lead-rows a.fi-name").nth(1)).to_be_focused()
    page.keyboard.press("p")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(names[1])


def test_what_is_open_beside_has_an_address_and_back_closes_it(visit: Visit) -> None:
    page = visit.goto("/leads?stato=nuovo&stato=in_contatto")
    row = page.locator("#lead-rows [data-row]").nth(1)
    name = row.locator("a.fi-name").inner_text()
    row.locator(".fi-lead-state").click()
    expect(page.locator("#drawer[open] h2")).to_have_text(name)
    there = page.url
    page.go_back()
    expect(page.locator("#drawer[open]")).to_have_count(0)
    page.goto(there)
    expect(page.locator("#drawer[open] h2")).to_have_text(name)
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "accanto" not in url and "stato=nuovo" in url)


def test_a_card_of_the_board_is_looked_at_and_its_column_walked(visit: Visit) -> None:
    page = visit.goto("/board")
    cards = page.locator(".fi-col", has=page.locator(".fi-deal + .fi-deal")).first.locator(
        ".fi-deal[data-deal]"
    )
    cards.first.focus()
    page.keyboard.press("p")
    expect(page.locator("#drawer[open] h2")).to_have_text(str(cards.nth(0).get_attribute("data-name")))
    page.keyboard.press("j")
    expect(page.locator("#drawer[open] h2")).to_have_text(str(cards.nth(1).get_attribute("data-name")))
    page.keyboard.press("Escape")
    expect(cards.nth(1)).to_be_focused()


def test_two_who_look_at_one_record_see_each_other_until_one_leaves(
    browser: Browser, house: House, visit: Visit
) -> None:
    """UI-57: told from page to page, gone with the page."""
    address = str(visit.goto("/leads").locator("a.fi-name").first.get_attribute("href"))
    page = visit.goto(address)
    ada = house.visit(browser, email="ada@vegliasi.example")
    ada.goto(address)
    expect(page.locator("[data-looking]")).to_contain_text("La guarda anche Ada")
    expect(ada.page.locator("[data-looking]")).to_contain_text("La guarda anche Bea")
    assert findings(page) == []
    if shots := os.environ.get("SHOTS"):
        page.screenshot(path=f"{shots}/looking.png")
    ada.page.context.close()
    expect(page.locator("[data-looking]")).to_have_text("")


def test_what_is_typed_in_a_cell_stands_at_once_and_comes_back_when_the_line_is_down(visit: Visit) -> None:
    """UI-28: shown before the answer; a save that fails gives the field back with what was typed."""
    page = visit.goto("/leads")
    cell = page.locator("[data-row]", has_text="Ottavio Scarpa").locator("td.fi-lead-phone")
    held = []
    page.route(
        "**/cells/phone",
        lambda route: held.append(route) if route.request.method == "POST" else route.continue_(),
    )
    cell.locator("button").click()
    cell.locator("[name=value]").fill("348 000 2232")
    cell.locator("[name=value]").press("Enter")
    expect(cell).to_have_attribute("data-typed", "348 000 2232")
    expect(cell).to_have_class("fi-lead-phone fi-celledit is-optimistic")
    held.pop().abort()
    expect(cell).to_have_class("fi-lead-phone fi-celledit")
    expect(cell.locator("[name=value]")).to_be_focused()
    cell.locator("[name=value]").press("Enter")
    expect(cell).to_have_attribute("data-typed", "348 000 2232")
    held.pop().continue_()
    expect(cell.locator(".fi-cell")).to_have_text("348 000 2232")
