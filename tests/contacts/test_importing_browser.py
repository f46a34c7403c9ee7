"""An import walked by the keyboard alone: file, reading, columns, origin, trial, result, undo, history."""

import os
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser import House
from tests.database import ROOT
from tests.workspace.test_in_the_browser import findings

LIST = """Nome;Cognome;Cellulare;E-mail;Città;Colore
Ersilia;Costa;+39 351 000 7781;ersilia.costa@posta.example;Noale;blu
Nino;Zanin;041 000 7790;;Mestre;
Nives;Pellegrin;347 000 1186;;Spinea;
=1+1;Formula;;;Mira;rosso
Nino;Zanin;041 000 7790;;Mestre;
"""
WORK = """
import sys, django
django.setup()
from uuid import UUID
from filiera.contacts.importing import running
from filiera.identity.models import Brand
running.work(Brand.objects.get(slug="vegliasi").id, UUID(sys.argv[1]))
"""


def works(house: House, page: Page) -> None:
    """Do what a worker does with the import that is open, from another process."""
    run_id = page.url.split("/importa/")[1][:36]
    subprocess.run([sys.executable, "-c", WORK, run_id], cwd=ROOT, env=house.environment, check=True)


def tab_to(page: Page, selector: str) -> None:
    """Reach an element by the Tab key alone."""
    for _stop in range(120):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the Tab key never reaches {selector}")


def looked_at(page: Page, name: str) -> list[str]:
    """Keep a picture where one asks for them, and return what axe finds where the page has most."""
    if shots := os.environ.get("SHOTS"):
        page.screenshot(path=f"{shots}/import-{name}.png", full_page=True)
    return findings(page) if name in ("3-columns", "4-origin", "7-result", "8-history") else []


def test_a_file_is_brought_in_and_taken_back_by_keys(browser: Browser, house: House, tmp_path: Path) -> None:
    """UI-36 to UI-41."""
    file = tmp_path / "clienti.csv"
    file.write_text(LIST)
    look = os.environ.get("LOOK_AS", "")
    visit = house.visit(browser, email="ada@vegliasi.example", phone="phone" in look, dark="dark" in look)
    page = visit.goto("/leads/importa")
    found = looked_at(page, "1-first")
    tab_to(page, "#i-file")
    page.locator("#i-file").set_input_files(file)  # choosing is the system's own dialog
    tab_to(page, "form[enctype] button[type=submit]")
    page.keyboard.press("Enter")
    expect(page.locator("h2", has_text="Come si legge il file")).to_be_visible()
    found += looked_at(page, "2-reading")
    tab_to(page, "main form .btn-primary")
    page.keyboard.press("Enter")
    expect(page.locator("h2", has_text="Che cosa c’è in ogni colonna")).to_be_visible()
    found += looked_at(page, "3-columns")
    tab_to(page, "#i-col-5")
    page.keyboard.type("Riga")
    tab_to(page, "main form .btn-primary")
    page.keyboard.press("Enter")
    expect(page.locator("h2", has_text="Da dove vengono queste persone")).to_be_visible()
    tab_to(page, "[name=basis]")
    page.keyboard.press("Space")
    tab_to(page, "#i-by")
    page.keyboard.type("Sportello di Noale")
    tab_to(page, "#i-on")
    page.keyboard.type("01032025")
    tab_to(page, "[name=consent]")
    page.keyboard.press("Space")
    found += looked_at(page, "4-origin")
    tab_to(page, "main form .btn-primary")
    page.keyboard.press("Enter")
    expect(page.locator("h2", has_text="Provo tutto il file")).to_be_visible()
    found += looked_at(page, "5-progress")
    works(house, page)
    expect(page.locator("h2", has_text="Che cosa succederà")).to_be_visible(timeout=10_000)
    found += looked_at(page, "6-trial")
    tab_to(page, "main form .btn-primary")
    page.keyboard.press("Enter")
    expect(page.locator("#import-progress")).to_be_visible()
    works(house, page)
    expect(page.locator("h2", has_text="Che cosa è successo")).to_be_visible(timeout=10_000)
    expect(page.locator("#import-page")).to_contain_text("Finita")
    found += looked_at(page, "7-result")
    there = page.url
    visit.goto("/leads/importa")
    found += looked_at(page, "8-history")
    page.goto(there)
    tab_to(page, "form[action$=annulla] button")
    page.keyboard.press("Enter")
    expect(page.locator("#import-progress")).to_be_visible()
    works(house, page)
    expect(page.locator("#import-page")).to_contain_text("Annullata", timeout=10_000)
    found += looked_at(page, "9-undone")
    visit.goto("/leads/importa")
    found += looked_at(page, "10-history-undone")
    expect(page.locator("#import-list")).to_contain_text("Annullata")
    page.context.close()
    assert found == []
    assert visit.refused == []
