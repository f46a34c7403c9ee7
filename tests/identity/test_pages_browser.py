"""The sign-in story as a person meets it: a browser, both languages, a phone, axe-core, a strict policy."""

import subprocess
import sys
import time

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page

from filiera.identity import totp
from tests.browser import House, Visit
from tests.database import ROOT
from tests.workspace.seed import PASSWORD

NEW, WORDS = "dora@posta.example", "tre-gatti-viola"
INVITED = "gino@posta.example"
LOCKED_OUT = "bea@vegliasi.example"

LAST_LETTER = """
import os, sys, django
django.setup()
from filiera.identity import accounts
from filiera.identity.models import Brand, OutgoingEmail
from filiera.platform import brand_scope
from django.utils import timezone
if len(sys.argv) > 2:
    accounts.write_reset_letter(email=sys.argv[1], now=timezone.now())
for brand in Brand.objects.order_by("created_at"):
    with brand_scope.use(brand.id):
        letter = OutgoingEmail.objects.filter(to_address=sys.argv[1]).order_by("-created_at", "-id").first()
        if letter:
            print(next(line for line in letter.body_text.splitlines() if line.startswith("http")))
            break
"""


def link_for(house: House, email: str, *more: str) -> str:
    """Return path and query of the link in the last letter; with "reset" the worker's job is done first."""
    done = subprocess.run(
        [sys.executable, "-c", LAST_LETTER, email, *more],
        cwd=ROOT,
        env=house.environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return "/" + done.stdout.splitlines()[-1].split("/", 3)[3]


A_PAUSE_LATER = """
import sys, django
django.setup()
from datetime import timedelta
from django.db.models import F
from filiera.identity.models import LoginAttempt
from filiera.platform import brand_scope
with brand_scope.use(None):
    LoginAttempt.objects.filter(email=sys.argv[1]).update(attempted_at=F("attempted_at") - timedelta(minutes=15))
"""


def looked_at(visit: Visit) -> Page:
    """Return the page when nothing was refused and axe finds nothing to say."""
    found = [each["id"] for each in Axe().run(visit.page).response["violations"]]
    assert found == [], f"{visit.page.url}: {found}"
    assert visit.refused == []
    return visit.page


def sign_in(visit: Visit, password: str) -> Page:
    visit.goto("/login")
    visit.page.fill("#email", NEW)
    visit.page.fill("#pw", password)
    visit.page.click("button.btn-primary")
    return visit.page


def test_the_whole_story_from_registering_to_a_recovery_code(browser: Browser, house: House) -> None:
    visit = house.visit(browser)
    page = visit.goto("/account/register")
    looked_at(visit)
    for name, value in (("first", "Dora"), ("last", "Verdi"), ("email", NEW), ("pw", WORDS)):
        page.fill(f"#{name}", value)
    page.click("button.btn-primary")
    assert "Ti abbiamo scritto" in looked_at(visit).inner_text("h1")
    assert "Prima conferma il tuo indirizzo" in sign_in(visit, WORDS).inner_text("main")
    visit.goto(link_for(house, NEW))
    looked_at(visit).click("button.btn-primary")
    assert "Indirizzo confermato" in page.inner_text("h1")
    sign_in(visit, WORDS).wait_for_url("**/account")
    assert "Nessun marchio ti ha ancora dato accesso" in looked_at(visit).inner_text("main")

    page.click("text=Attivala")
    looked_at(visit)
    assert page.locator(".fi-gate-qr svg path").count() == 1
    secret = page.inner_text("code")
    page.fill("#code", totp.code_now(secret))
    page.click("button.btn-primary")
    codes = looked_at(visit).locator(".fi-codes code").all_inner_texts()
    assert len(codes) == 10

    phone = house.visit(browser, phone=True, dark=True)
    sign_in(phone, WORDS)
    looked_at(phone).fill("#code", codes[0])
    phone.page.click("button.btn-primary")
    phone.page.wait_for_url("**/account")
    looked_at(phone)
    page = visit.goto("/account")
    assert page.locator(".fi-devices li").count() == 2
    page.click("text=Fai uscire tutti gli altri")
    assert page.locator(".fi-devices li").count() == 1
    assert "/login" in phone.goto("/account").url

    page = phone.goto("/account/forgotten")
    looked_at(phone)
    page.fill("#email", NEW)
    page.click("button.btn-primary")
    assert "Guarda la posta" in looked_at(phone).inner_text("h1")
    page = phone.goto(link_for(house, NEW, "reset"))
    looked_at(phone)
    page.fill("#pw", "sei-cavalli-verdi")
    page.click("button.btn-primary")
    assert "Password cambiata" in page.inner_text("h1")
    assert "/login" in visit.goto("/account").url
    assert "sei cifre" in sign_in(phone, "sei-cavalli-verdi").inner_text("main")
    phone.page.context.close()
    visit.page.context.close()


def test_google_asks_an_administrator_for_a_code_and_an_invited_person_comes_in(
    browser: Browser, house: House
) -> None:
    from tests.workspace.seed import SECRET

    phone = house.visit(browser, phone=True, dark=True)
    phone.goto("/login").click("text=Continua con Google")
    phone.page.click("text=Nessuno")
    assert "Chiedi un invito" in looked_at(phone).inner_text("main")
    phone.page.context.close()

    visit = house.visit(browser)
    visit.goto("/login")
    looked_at(visit).click("text=Continua con Google")
    visit.page.click("text=Ada Rossi")
    assert "sei cifre" in looked_at(visit).inner_text("main")
    visit.page.fill("#code", totp.code_at(SECRET, totp.step_at(time.time())))
    visit.page.click("button.btn-primary")
    visit.page.wait_for_url("**/oggi")
    visit.goto("/utenti")
    looked_at(visit).fill("#invite-email", INVITED)
    visit.page.click("text=Manda l’invito")
    assert INVITED in looked_at(visit).inner_text("#invitations")

    guest = house.visit(browser)
    guest.goto(link_for(house, INVITED))
    looked_at(guest).fill("#name", "Gino Blu")
    guest.page.fill("#pw", WORDS)
    guest.page.click("button.btn-primary")
    guest.page.wait_for_url("**/oggi")

    guest.goto("/account")
    looked_at(guest).fill("#close-pw", WORDS)
    guest.page.click("button.btn-bad")
    assert "Il tuo account è chiuso" in looked_at(guest).inner_text("h1")
    visit.goto("/utenti")
    assert "Gino Blu" in looked_at(visit).inner_text("#leaving")
    visit.page.click("#leaving button")
    assert "è riaperto" in visit.page.inner_text("body")
    guest.page.context.close()
    visit.page.context.close()


def test_five_wrong_passwords_close_the_door_for_a_while(browser: Browser, house: House) -> None:
    """IDN-27, on a phone: what is said on the way, the pause, and that the right password opens again after it."""
    visit = house.visit(browser, phone=True)
    visit.goto("/login")
    for left in (
        "altre 4 volte",
        "altre 3 volte",
        "altre 2 volte",
        "un’altra volta",
        "una pausa di 15 minuti",
    ):
        visit.page.fill("#email", LOCKED_OUT)
        visit.page.fill("#pw", "non-questa-parola")
        visit.page.click("button.btn-primary")
        assert left in looked_at(visit).inner_text("main")
    for _again in range(2):
        visit.page.fill("#email", LOCKED_OUT)
        visit.page.fill("#pw", PASSWORD)
        visit.page.click("button.btn-primary")
        assert "Troppi tentativi" in looked_at(visit).inner_text("main")
    subprocess.run(
        [sys.executable, "-c", A_PAUSE_LATER, LOCKED_OUT], cwd=ROOT, env=house.environment, check=True
    )
    visit.page.fill("#email", LOCKED_OUT)
    visit.page.fill("#pw", PASSWORD)
    visit.page.click("button.btn-primary")
    visit.page.wait_for_url("**/oggi")
    visit.page.context.close()


def test_the_pages_before_the_workspace_speak_english_to_who_asks(browser: Browser, house: House) -> None:
    visit = house.visit(browser)
    visit.goto("/login").click("text=English")
    for path, words in (
        ("/login", "Sign in"),
        ("/account/register", "Register"),
        ("/account/forgotten", "Forgotten password"),
        ("/account/verify?token=x", "Confirm the address"),
        ("/account/reset?token=x", "The link is no longer good"),
    ):
        visit.goto(path)
        assert looked_at(visit).inner_text("h1") == words
    visit.page.context.close()


def test_an_administrator_signs_in_with_a_code(browser: Browser, house: House) -> None:
    from tests.workspace.seed import SECRET

    visit = house.visit(browser)
    visit.goto("/login")
    visit.page.fill("#email", "carl@quadranorma.example")
    visit.page.fill("#pw", PASSWORD)
    visit.page.click("button.btn-primary")
    looked_at(visit).fill("#code", totp.code_at(SECRET, totp.step_at(time.time())))
    visit.page.click("button.btn-primary")
    visit.page.wait_for_url("**/oggi")
    visit.page.context.close()
