"""Merging as a person does it: by keyboard and on a phone, with axe looking on, and back by the toast."""

import os
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import House, Visit
from tests.workspace.test_in_the_browser import BEA, findings

ADA = "ada@vegliasi.example"


def two_leads(visit: Visit) -> list[str]:
    visit.goto("/leads")
    addresses = visit.page.locator("#lead-rows a.fi-name").evaluate_all("all => all.map(a => a.pathname)")
    return [one.rpartition("/")[2] for one in addresses[:2]]


def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("FILIERA_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@pytest.mark.parametrize("look", ["wide", "dark", "phone"])
def test_two_records_are_merged_and_taken_apart(browser: Browser, house: House, look: str) -> None:
    visit = house.visit(browser, email=BEA, phone=look == "phone", dark=look == "dark")
    page: Any = visit.page
    first, second = two_leads(visit)
    visit.goto(f"/leads/unisci?ids={first},{second}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("2 schede, una persona?")
    assert findings(page) == []
    picture(page, f"merge-{look}")
    page.locator('input[name="resta"]:checked').focus()
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/leads/0*")
    expect(page.locator("#timeline")).to_contain_text("ha unito un’altra scheda")
    expect(page.locator("#toasts")).to_contain_text("due schede ora sono una")
    assert findings(page) == []
    picture(page, f"merged-{look}")
    visit.goto("/leads/unioni")
    assert findings(page) == []
    picture(page, f"merges-{look}")
    page.get_by_role("button", name="Annulla l’unione").first.click()
    expect(page.locator("#toasts")).to_contain_text("Annullata")
    visit.page.context.close()
    assert visit.refused == []
