"""Passkeys in Chromium with a virtual authenticator: added, used at the door and after the password, removed."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import House, Visit
from tests.identity.test_pages_browser import looked_at
from tests.workspace.seed import PASSWORD

BEA = "bea@vegliasi.example"


@pytest.fixture
def visit(browser: Browser, house: House) -> Iterator[Visit]:
    """Bea, at a computer that asks for a finger and gets one; without a passkey again afterwards."""
    visit = house.visit(browser, email=BEA)
    devices = visit.page.context.new_cdp_session(visit.page)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    yield visit
    remove_all(visit)
    visit.page.context.close()


DEVICE = {
    "protocol": "ctap2",
    "ctap2Version": "ctap2_1",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def remove_all(visit: Visit) -> None:
    page = visit.goto("/account")
    while page.locator("a[href^='/account/passkeys/']").count():
        page.locator("a[href^='/account/passkeys/']").first.click()
        page.fill("#pw", PASSWORD)
        page.get_by_role("button", name="Togli la passkey").click()
        page.wait_for_url("**/account")


def add(visit: Visit, name: str) -> Page:
    page = visit.goto("/account/passkeys")
    page.fill("#name", name)
    page.fill("#pw", PASSWORD)
    page.keyboard.press("Enter")
    return page


def leave(visit: Visit) -> Page:
    page = visit.goto("/account")
    page.get_by_role("button", name="Esci", exact=True).click()
    page.wait_for_url("**/login")
    return page


def test_a_passkey_is_added_and_opens_the_door_in_both_ways(visit: Visit) -> None:
    visit.goto("/account/passkeys")
    assert looked_at(visit).input_value("#name") == "Chrome · Linux"
    page = add(visit, "Portatile")
    expect(page.get_by_role("heading", name="Codici di recupero")).to_be_visible()

    page = leave(visit)
    looked_at(visit).get_by_role("button", name="Entra con una passkey").click()
    page.wait_for_url("**/oggi")

    leave(visit)
    page.fill("#email", BEA)
    page.fill("#pw", PASSWORD)
    page.get_by_role("button", name="Entra", exact=True).click()
    looked_at(visit).get_by_role("button", name="Usa una passkey").click()
    page.wait_for_url("**/oggi")

    visit.goto("/account")
    assert "Portatile" in looked_at(visit).inner_text("main")
    page.get_by_role("link", name="Modifica Portatile").click()
    looked_at(visit).fill("#name", "Portatile nuovo")
    page.get_by_role("button", name="Salva il nome").click()
    assert "Portatile nuovo" in page.inner_text("main")
    assert visit.refused == []


def test_a_refusal_stands_beside_the_form_and_nothing_is_made(visit: Visit) -> None:
    page = visit.goto("/account/passkeys")
    page.fill("#pw", "sbagliata-davvero")
    page.get_by_role("button", name="Crea la passkey").click()
    expect(page.get_by_role("alert")).to_have_text("La password non è questa.")
    add(visit, "Portatile")
    expect(page.get_by_role("heading", name="Codici di recupero")).to_be_visible()
    add(visit, "Un’altra")
    expect(page.get_by_role("alert")).to_have_text("Questo dispositivo ha già una tua passkey.")
    leave(visit)
    page.get_by_role("button", name="Entra con una passkey").click()
    page.wait_for_url("**/oggi")


def test_the_door_fits_a_phone_in_the_dark_and_speaks_english(browser: Browser, house: House) -> None:
    visit = house.visit(browser, phone=True, dark=True)
    page = visit.goto("/login")
    page.get_by_role("button", name="English").click()
    expect(looked_at(visit).get_by_role("button", name="Sign in with a passkey")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.context.close()
