"""Tags as a person keeps them, on a wide screen, in the dark and on a phone."""

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import House
from tests.workspace.test_in_the_browser import BEA, findings, record_of
from tests.workspace.test_merge_browser import picture


@pytest.mark.parametrize("look", ["wide", "phone"])
def test_a_tag_is_made_put_on_a_record_and_deleted(browser: Browser, house: House, look: str) -> None:
    visit = house.visit(browser, email=BEA, phone=look == "phone", dark=look == "phone")
    page = visit.goto("/etichette")
    for name, parent in (("Fiere", ""), ("Milano", "Fiere")):
        page.fill("#t-name", name)
        if parent:
            page.select_option("#t-parent", label=parent)
        page.locator("#new-tag button").click()
        expect(page.locator("#tree")).to_contain_text(name)
    page.locator("#tree summary").first.click()
    found = findings(page)
    picture(page, f"tags-{look}")
    page = visit.goto(record_of(visit))
    page.select_option("#tag-add", label="Fiere / Milano")
    page.locator(".fi-tagadd button").click()
    expect(page.locator("#tags .fi-chips")).to_contain_text("Milano")
    found += findings(page)
    picture(page, f"record-tags-{look}")
    page = visit.goto("/etichette")
    page.locator("#tree summary").first.click()
    page.locator("#tree input[name=anche_sotto]").first.check()
    page.locator("#tree .btn-bad").first.click()
    expect(page.locator("main")).to_contain_text("Ancora nessuna etichetta")
    visit.page.context.close()
    assert found == []
    assert visit.refused == []
