"""The board as people use it: columns, cards, moves, closing, the way back. Carl of the other brand sees nothing."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse

from filiera.contacts.models import Contact
from filiera.pipeline import board, commands
from filiera.pipeline.models import Deal, Stage, StageHistory
from filiera.platform import brand_scope
from filiera.platform.ids import new_id

NOW = datetime.now(UTC)
ROME = ZoneInfo("Europe/Rome")


@pytest.fixture
def person(vegliasi):
    """Make a contact with an open deal in the first stage; answers the deal."""

    def make(name="Adele Brunetti", *, brand=vegliasi, amount=None, at=NOW, stage=None):
        first, _space, last = name.partition(" ")
        with brand_scope.use(brand.id):
            contact = Contact.objects.create(
                id=new_id(),
                first_name=first,
                last_name=last,
                last_lead_at=at,
                created_at=at,
                updated_at=at,
            )
            stage_id = Stage.objects.get(name=stage).id if stage else None
            return commands.open_deal(contact_id=contact.id, now=at, amount=amount, stage_id=stage_id)

    return make


@pytest.fixture
def stage(vegliasi):
    """Return a stage of Vegliasì by its name."""

    def find(name):
        with brand_scope.use(vegliasi.id):
            return Stage.objects.get(name=name)

    return find


@pytest.fixture
def fresh(vegliasi):
    """Read a row again, in its brand."""

    def read(deal):
        with brand_scope.use(vegliasi.id):
            return Deal.objects.select_related("current_stage", "contact").get(pk=deal.pk)

    return read


def move(client, *deals, to, **fields):
    return client.post(
        reverse("board-move"),
        {"stage": str(to.pk), "deal": [f"{deal.pk}:{deal.version}" for deal in deals], **fields},
    )


def test_columns_show_count_total_and_weighted_total(signed_in, bea, person):
    person("Adele Brunetti", amount=Decimal(480))
    person("Mafalda Zorzi", amount=Decimal(1000))
    page = signed_in(bea).get("/board").content.decode()
    assert "Adele Brunetti" in page
    assert re.search(r"Nuovo</span> <span class=\"fi-n\">2</span>", page)
    assert "1.480\xa0€" in page
    assert "pesati 148\xa0€" in page


def test_an_empty_brand_is_told_what_will_be_here(signed_in, bea):
    page = signed_in(bea).get("/board").content.decode()
    assert "La prima trattativa starà qui" in page
    assert 'id="board"' not in page


def test_filters_that_match_nothing_offer_to_be_taken_away(signed_in, bea, person):
    person()
    page = signed_in(bea).get("/board?owner=me").content.decode()
    assert "Nessuna trattativa con questo filtro." in page


def test_a_column_shows_a_few_cards_and_the_rest_on_scroll(signed_in, bea, person, stage):
    for at in range(board.PER_COLUMN + 3):
        person(f"Persona {at:02}", at=NOW - timedelta(minutes=at))
    client = signed_in(bea)
    page = client.get("/board").content.decode()
    assert page.count('<article class="fi-deal') == board.PER_COLUMN
    assert "altre 3, scorri" in page
    more = re.search(r'data-more="([^"]+)"', page)[1].replace("&amp;", "&")
    rest = client.get(more).content.decode()
    assert re.findall(r"Persona \d\d</a>", rest) == [
        f"Persona {at:02}</a>" for at in range(board.PER_COLUMN, board.PER_COLUMN + 3)
    ]
    assert "data-more" not in rest


def test_a_card_moves_with_its_version_and_leaves_a_history(signed_in, bea, person, stage, fresh, vegliasi):
    deal = person()
    answer = move(signed_in(bea), deal, to=stage("Caldo"))
    body = answer.json()
    assert answer.status_code == 200
    assert body["text"] == "Spostata in Caldo."
    assert body["cards"][0]["stage"] == str(stage("Caldo").pk)
    assert set(body["heads"]) == {str(stage("Nuovo").pk), str(stage("Caldo").pk)}
    moved = fresh(deal)
    assert (moved.current_stage.name, moved.contact.status) == ("Caldo", "caldo")
    with brand_scope.use(vegliasi.id):
        last = StageHistory.objects.filter(deal=deal).order_by("-entered_at").first()
        assert (last.change_reason, last.changed_by_user_id) == ("manual", bea.id)


def test_a_stale_card_stays_and_shows_how_it_is_now(signed_in, bea, person, stage, fresh):
    deal = person()
    client = signed_in(bea)
    move(client, deal, to=stage("In Contatto"))
    answer = move(client, deal, to=stage("Caldo"))
    assert answer.status_code == 409
    assert "Nel frattempo qualcuno" in answer.json()["text"]
    assert answer.json()["cards"][0]["stage"] == str(stage("In Contatto").pk)
    assert fresh(deal).current_stage.name == "In Contatto"


def test_several_cards_move_together_and_come_back_together(signed_in, bea, person, stage, fresh):
    first, second = person("Adele Brunetti"), person("Mafalda Zorzi")
    client = signed_in(bea)
    body = move(client, first, second, to=stage("Caldo")).json()
    assert body["text"] == "2 spostate in Caldo."
    back = client.post(body["undo"]).json()
    assert back["text"] == "Le trattative sono tornate dov’erano."
    assert {fresh(deal).current_stage.name for deal in (first, second)} == {"Nuovo"}


def test_lost_asks_for_a_reason_and_keeps_it(signed_in, bea, person, stage, fresh):
    deal, client = person(), signed_in(bea)
    refused = move(client, deal, to=stage("Perso"))
    assert refused.status_code == 400
    assert "lost_reason" in refused.json()["details"]
    assert fresh(deal).status == "open"
    body = move(client, deal, to=stage("Perso"), lost_reason="Costa troppo").json()
    assert body["cards"] == [{"id": str(deal.pk), "stage": "", "html": ""}]
    lost = fresh(deal)
    assert (lost.status, lost.lost_reason) == ("lost", "Costa troppo")


def test_won_asks_for_amount_and_day(signed_in, bea, person, stage, fresh):
    deal, client = person(), signed_in(bea)
    today = datetime.now(ROME).date()
    tomorrow = (today + timedelta(days=1)).isoformat()
    refused = move(client, deal, to=stage("Chiuso / Vinto"), amount="molto", closed_on=tomorrow)
    assert set(refused.json()["details"]) == {"amount", "closed_on"}
    body = move(
        client, deal, to=stage("Chiuso / Vinto"), amount="1.140,50", closed_on=today.isoformat()
    ).json()
    assert body["text"] == "Una trattativa vinta."
    won = fresh(deal)
    assert (won.status, won.amount) == ("won", Decimal("1140.50"))
    client.post(body["undo"])
    assert (fresh(deal).status, fresh(deal).current_stage.name) == ("open", "Nuovo")


def test_a_sale_of_another_day_counts_on_that_day(signed_in, bea, person, stage, fresh):
    deal = person(at=NOW - timedelta(days=9))
    day = datetime.now(ROME).date() - timedelta(days=3)
    move(signed_in(bea), deal, to=stage("Chiuso / Vinto"), amount="480", closed_on=day.isoformat())
    assert fresh(deal).closed_at.astimezone(ROME).date() == day


@pytest.mark.parametrize(
    ("typed", "amount"),
    [
        ("1.140,00", "1140.00"),
        ("1140", "1140.00"),
        ("1140.5", "1140.50"),
        ("1.140", "1140.00"),
        ("1 140 €", "1140.00"),
        ("", None),
        ("-3", None),
        ("NaN", None),
    ],
)
def test_amounts_are_read_as_italians_type_them(typed, amount):
    from filiera.pipeline import pages_board

    assert pages_board._amount(typed) == (Decimal(amount) if amount else None)


def test_what_is_next_on_a_card_says_when(signed_in, bea, person, vegliasi):
    deal = person()
    with brand_scope.use(vegliasi.id):
        commands.record_activity(
            contact_id=deal.contact_id,
            type="chiamata",
            now=NOW,
            status="planned",
            scheduled_at=NOW - timedelta(days=1),
            user_id=bea.id,
            deal_id=deal.pk,
        )
    page = signed_in(bea).get("/board").content.decode()
    assert "Chiamata, scaduta ieri" in page


def test_an_old_card_says_so_in_words(signed_in, bea, person, stage, vegliasi):
    with brand_scope.use(vegliasi.id):
        commands.edit_stage(stage_id=stage("Nuovo").pk, changes={"age_limit_days": 2}, now=NOW)
    person("Gualtiero Peron", at=NOW - timedelta(days=2, minutes=1))
    person("Saverio Contarin", at=NOW - timedelta(days=8))
    page = signed_in(bea).get("/board").content.decode()
    assert "2 g su 2" in page
    assert "8 g su 2" in page
    assert 'class="fi-deal is-old"' in page


def test_carl_of_another_brand_moves_nothing_and_cannot_tell(signed_in, carl, person, stage, fresh):
    deal = person()
    client = signed_in(carl)
    assert "Adele Brunetti" not in client.get("/board").content.decode()
    theirs = client.get(reverse("board-column", args=[stage("Nuovo").pk]))
    random = client.get(reverse("board-column", args=[uuid4()]))
    assert (theirs.status_code, random.status_code) == (404, 404)
    assert move(client, deal, to=stage("Caldo")).status_code == 404
    undone = client.post(f"{reverse('board-undo')}?deal={deal.pk}:1:{stage('Caldo').pk}")
    assert undone.status_code == 404
    assert fresh(deal).current_stage.name == "Nuovo"


def test_nobody_sees_the_board_without_signing_in(client, db):
    assert client.get("/board").status_code == 302
