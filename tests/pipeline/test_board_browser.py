"""The board under real hands: mouse, keyboard, menu, finger; what one does is there after a reload."""

import re
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.database import ROOT

DEALS = """
import django
django.setup()
from datetime import timedelta
from decimal import Decimal
from django.utils import timezone
from filiera.contacts.models import Contact
from filiera.identity.models import Brand
from filiera.pipeline import commands
from filiera.pipeline.models import Stage
from filiera.platform import brand_scope
now = timezone.now()
people = ["Irma Lazzari", "Bruno Marin", "Gina Moro", "Piera Zanon", "Tullio Bassi", "Wanda Fabris",
          "Lino Sartor", "Zeno Rigoni"]
with brand_scope.use(Brand.objects.get(slug="vegliasi").id):
    stages = {stage.name: stage.id for stage in Stage.objects.all()}
    for place, name in enumerate(people):
        at = now - timedelta(seconds=place)
        first, last = name.split()
        contact = Contact.objects.create(first_name=first, last_name=last, last_lead_at=now - timedelta(days=90),
                                         created_at=at, updated_at=at)
        stage = "In Contatto" if name in ("Lino Sartor", "Zeno Rigoni") else "Nuovo"
        commands.open_deal(contact_id=contact.id, now=at, stage_id=stages[stage], amount=Decimal(2380))
"""


@pytest.fixture(scope="module", autouse=True)
def deals(house):
    """Eight deals of people whom no other test knows."""
    subprocess.run([sys.executable, "-c", DEALS], cwd=ROOT, env=house.environment, check=True)


@pytest.fixture
def board(house, browser):
    """Open the board as Bea, who sells; nothing may be refused by the content security policy."""
    visit = house.visit(browser, email="bea@vegliasi.example")
    page = visit.goto("/board")
    page.wait_for_selector(".fi-deal[data-deal]")
    yield page
    assert visit.refused == []
    page.context.close()


def card(page, name):
    return page.locator(".fi-deal[data-deal]:not(.is-lifted)", has_text=name)


def column(page, name):
    return page.locator(f'.fi-col[data-name="{name}"]')


def expect_in(page, name, stage):
    expect(column(page, stage).locator(".fi-deal[data-deal]", has_text=name)).to_have_count(1)


def drag(page, name, stage):
    start = card(page, name).bounding_box()
    target = column(page, stage).bounding_box()
    page.mouse.move(start["x"] + 60, start["y"] + 40)
    page.mouse.down()
    page.mouse.move(start["x"] + 80, start["y"] + 50)
    page.mouse.move(target["x"] + target["width"] / 2, target["y"] + 160, steps=8)


def test_a_card_is_dragged_to_another_column_and_stays_there(board):
    drag(board, "Gina Moro", "Caldo")
    expect(board.locator(".fi-drop")).to_have_text("Lascia qui per spostare in Caldo")
    expect(board.locator(".fi-deal.is-lifted")).to_have_count(1)
    board.mouse.up()
    expect(board.locator("#toasts")).to_contain_text("Spostata in Caldo.")
    expect_in(board, "Gina Moro", "Caldo")
    board.reload()
    expect_in(board, "Gina Moro", "Caldo")


def test_escape_puts_a_dragged_card_back(board):
    drag(board, "Lino Sartor", "Attesa Ordine")
    board.keyboard.press("Escape")
    board.mouse.up()
    expect(board.locator(".is-lifted")).to_have_count(0)
    expect_in(board, "Lino Sartor", "In Contatto")


def test_arrows_move_the_focused_card_and_z_takes_it_back(board):
    card(board, "Piera Zanon").focus()
    board.keyboard.press("ArrowRight")
    expect_in(board, "Piera Zanon", "In Contatto")
    expect(board.locator("#toasts")).to_contain_text("Spostata in In Contatto.")
    expect(card(board, "Piera Zanon")).to_be_focused()
    board.keyboard.press("z")
    expect_in(board, "Piera Zanon", "Nuovo")
    expect(card(board, "Piera Zanon")).to_be_focused()


def test_m_opens_the_menu_and_a_digit_chooses_the_column(board):
    card(board, "Tullio Bassi").focus()
    board.keyboard.press("m")
    menu = board.locator("#move-menu")
    expect(menu).to_be_visible()
    expect(menu.locator("[role=menuitem]:not([hidden])")).to_have_count(5)
    board.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(card(board, "Tullio Bassi")).to_be_focused()
    board.keyboard.press("m")
    board.keyboard.press("4")
    expect_in(board, "Tullio Bassi", "Attesa Ordine")


def test_j_and_k_walk_the_cards_and_shift_arrows_look_into_other_columns(board):
    first = column(board, "Nuovo").locator(".fi-deal[data-deal]").first
    first.focus()
    board.keyboard.press("j")
    expect(column(board, "Nuovo").locator(".fi-deal[data-deal]").nth(1)).to_be_focused()
    board.keyboard.press("k")
    expect(first).to_be_focused()
    board.keyboard.press("Shift+ArrowRight")
    expect(column(board, "In Contatto").locator(".fi-deal[data-deal]").first).to_be_focused()


def test_lost_asks_why_and_can_be_thought_over(board):
    card(board, "Wanda Fabris").focus()
    board.keyboard.press("m")
    board.keyboard.press("6")
    dialog = board.locator("#close-lost")
    expect(dialog).to_be_visible()
    board.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect_in(board, "Wanda Fabris", "Nuovo")
    board.keyboard.press("m")
    board.keyboard.press("6")
    dialog.get_by_role("button", name="Chiudi come persa").click()
    expect(dialog.locator("[data-error=lost_reason]")).to_contain_text("Scegli un motivo")
    dialog.get_by_label("Costa troppo").check()
    dialog.get_by_role("button", name="Chiudi come persa").click()
    expect(board.locator("#toasts")).to_contain_text("Una trattativa persa.")
    expect(card(board, "Wanda Fabris")).to_have_count(0)
    expect(column(board, "Perso").locator("h2 .fi-n")).not_to_have_text("0")
    board.locator("#toasts [data-undo]").click()
    expect_in(board, "Wanda Fabris", "Nuovo")


def test_won_asks_amount_and_day(board):
    card(board, "Zeno Rigoni").focus()
    board.keyboard.press("m")
    board.keyboard.press("5")
    dialog = board.locator("#close-won")
    expect(dialog.locator("[name=amount]")).to_have_value("2380,00")
    dialog.locator("[name=amount]").fill("2.000,50")
    dialog.get_by_role("button", name="Chiudi come vinta").click()
    expect(board.locator("#toasts")).to_contain_text("Una trattativa vinta.")
    expect(column(board, "Chiuso / Vinto")).to_contain_text(re.compile(r"2\.000,50"))


def test_a_card_that_somebody_else_moved_says_so_and_shows_where_it_is(house, browser, board):
    other = house.visit(browser, email="ada@vegliasi.example")
    theirs = other.goto("/oggi")
    theirs.locator(".fi-brands").get_by_title(re.compile("Vegliasì")).click()
    other.goto("/board")
    card(theirs, "Irma Lazzari").focus()
    theirs.keyboard.press("m")
    theirs.keyboard.press("4")
    expect_in(theirs, "Irma Lazzari", "Attesa Ordine")
    stale = card(board, "Irma Lazzari")
    board.evaluate("document.querySelectorAll('.fi-deal').forEach((each) => (each.dataset.version = '1'))")
    stale.focus()
    board.keyboard.press("m")
    board.keyboard.press("3")
    expect(board.locator("#toasts")).to_contain_text("Nel frattempo qualcuno l’ha cambiata")
    expect_in(board, "Irma Lazzari", "Attesa Ordine")
    theirs.context.close()


def test_two_chosen_cards_move_together(board):
    for name in ("Bruno Marin", "Piera Zanon"):
        card(board, name).focus()
        board.keyboard.press("x")
    board.keyboard.press("m")
    board.keyboard.press("3")
    expect(board.locator("#toasts")).to_contain_text("2 spostate in Caldo.")
    expect_in(board, "Bruno Marin", "Caldo")
    expect_in(board, "Piera Zanon", "Caldo")


def test_a_lead_is_written_on_top_of_a_column(board):
    column(board, "Nuovo").locator("[data-quick-add]").click()
    form = board.locator(".fi-quickadd")
    form.get_by_label("Nome e cognome").fill("Gilda Trevisan")
    form.get_by_label("Telefono").fill("351")
    form.get_by_label("Provenienza").select_option("Sito")
    form.get_by_role("button", name="Aggiungi").click()
    expect(form.locator(".fi-field-error")).to_contain_text("Mancano cifre")
    form.get_by_label("Telefono").fill("351 000 7788")
    form.get_by_role("button", name="Aggiungi").click()
    expect(board.locator("#toasts")).to_contain_text("Gilda Trevisan è in bacheca.")
    expect_in(board, "Gilda Trevisan", "Nuovo")


def test_on_a_phone_the_menu_of_a_card_moves_it(house, browser):
    visit = house.visit(browser, email="bea@vegliasi.example", phone=True)
    page = visit.goto("/board")
    card(page, "Gilda Trevisan").get_by_role("button", name="Sposta Gilda Trevisan").tap()
    page.locator("#move-menu").get_by_role("menuitem", name="In Contatto").tap()
    expect_in(page, "Gilda Trevisan", "In Contatto")
    assert visit.refused == []
    page.context.close()
