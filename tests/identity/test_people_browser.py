"""The pages of people, brands and notifications as one meets them: every look, axe-core, a strict policy."""

import subprocess
import sys

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import House
from tests.database import ROOT
from tests.workspace.test_in_the_browser import findings

ADA = "ada@vegliasi.example"
PAGES = ("/notifiche", "/notifiche?vista=da-leggere", "/utenti", "/marchi", "/marchi/tutti?q=ne")

START = """
import os, django
django.setup()
from django.utils import timezone
from filiera.identity import notifications, people, queries
from filiera.identity.models import Brand, Notification, OutgoingEmail, User, UserRole
from filiera.identity.notifications import Notice
from filiera.platform import brand_scope
from filiera.platform.ids import new_id
brand, ada, now = Brand.objects.get(slug="vegliasi"), User.objects.get(email="ada@vegliasi.example"), timezone.now()
with brand_scope.use(brand.id):
    UserRole.objects.get_or_create(user=ada, role="super_admin")
"""
READ = """
    notifications.mark_all(user=ada, now=now)
"""
TELL = """
    names = ("Adele Brunetti", "Corrado Mezzasalma", "Nives Pellegrin")
    for name in names:
        notifications.tell(
            [Notice("lead_assigned", ada.id, str(new_id()), lambda: (f"Un lead nuovo per te: {name}", ""), "/leads")],
            now=now,
        )
    alarm = "Da più di 5 minuti nessun agente è disponibile."
    notifications.tell([Notice("routing_alert", ada.id, str(new_id()), lambda: (alarm, ""), "/agents")], now=now)
"""
INVITE = """
    person = queries.principal_of(ada, wanted=brand.id)
    guest = f"gaia.delle.montagne.{new_id().hex[-6:]}@posta.example"
    people.invite(principal=person, email=guest, roles=["sales", "support"], now=now)
    letter = OutgoingEmail.objects.filter(kind="identity.invitation").latest("created_at")
    print(next(word for word in letter.body_text.split() if "/invito/" in word).partition("/invito/")[2])
"""


def run(house: House, program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=house.environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.strip().rpartition("\n")[2]


@pytest.fixture(scope="module")
def invitation(house: House) -> str:
    """Return the address of an invitation's door; Ada has been told of some things."""
    return "/invito/" + run(house, START + READ + TELL + INVITE)


@pytest.mark.parametrize("look", ["wide", "dark", "phone"])
def test_no_page_of_people_has_an_accessibility_finding(
    browser: Browser, house: House, invitation: str, look: str
) -> None:
    visit = house.visit(browser, email=ADA, phone=look == "phone", dark=look == "dark")
    page = visit.goto("/utenti")
    settings = str(
        page.goto(house.base + "/marchi") and page.locator("a[href^='/marchi/0']").get_attribute("href")
    )
    visit.goto("/utenti")
    person = str(page.locator("a.fi-name", has_text="Bea Neri").get_attribute("href"))
    found = []
    for path in (*PAGES, person, settings):
        found += findings(visit.goto(path))
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            found.append(f"{path} is {wide} px too wide")
    visit.page.context.close()
    guest = house.visit(browser, phone=look == "phone", dark=look == "dark")
    found += findings(guest.goto(invitation))
    guest.page.context.close()
    assert found == []
    assert visit.refused == guest.refused == []


def test_the_bell_counts_while_one_looks_and_leads_to_the_list(
    browser: Browser, house: House, invitation: str
) -> None:
    visit = house.visit(browser, email=ADA)
    page = visit.goto("/agents")
    bell = page.locator("#bell")
    expect(bell).to_have_accessible_name("Notifiche, 4 da leggere")
    run(house, START + TELL)
    expect(bell).to_have_accessible_name("Notifiche, 8 da leggere")
    page.keyboard.press("g")
    page.keyboard.press("n")
    page.wait_for_url("**/notifiche")
    page.get_by_role("button", name="Segna tutte come lette").click()
    expect(bell).to_have_accessible_name("Notifiche")
    page.keyboard.press("z")
    expect(bell).to_have_accessible_name("Notifiche, 8 da leggere")
    page.get_by_role("button", name="Apri").first.click()
    page.wait_for_url("**/agents")
    expect(page.locator("#bell")).to_have_accessible_name("Notifiche, 7 da leggere")
    visit.page.context.close()
    assert visit.refused == []
