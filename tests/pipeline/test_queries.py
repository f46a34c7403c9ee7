"""Lists, records and the board: order, filters, pages and totals, exact, and never another brand's."""

from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from filiera.capture.models import MarketingSource
from filiera.contacts import queries as people
from filiera.contacts.commands import ContactMissing
from filiera.contacts.models import Contact
from filiera.pipeline import commands, queries
from filiera.pipeline.models import Deal, Stage
from filiera.pipeline.queries import Cursor, LeadFilter
from filiera.platform import brand_scope
from tests.leads import NOW, incoming, take_in

MOMENTS = {"created_at": NOW, "updated_at": NOW}


def at(minutes):
    return NOW + timedelta(minutes=minutes)


def arrive(number, **fields):
    """Let a person of their own arrive, `number` minutes after the first."""
    when = at(number)
    facts = {
        "first_name": f"Nome{number}",
        "last_name": f"Cognome{number}",
        "phone": f"+39 351 {number:07d}",
        "email": f"n{number}@posta.example",
        "received_at": when,
    }
    return take_in(incoming(**(facts | fields)), now=when)[0].contact


@pytest.fixture
def seven(in_vegliasi):
    """Seven people, one a minute."""
    return [arrive(number) for number in range(7)]


def walk(wanted, limit):
    """Page through a list forward, then backward, and return both ways as names."""
    forward, pages = [], []
    page = queries.lead_page(wanted, limit=limit)
    while True:
        pages.append(page)
        forward += [row.contact.first_name for row in page.rows]
        if page.next is None:
            break
        page = queries.lead_page(wanted, limit=limit, after=Cursor.read(str(page.next)))
    backward = [row.contact.first_name for row in page.rows]
    while page.previous is not None:
        page = queries.lead_page(wanted, limit=limit, before=page.previous)
        backward = [row.contact.first_name for row in page.rows] + backward
    return forward, backward


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
def test_pages_go_forward_and_back_without_losing_or_repeating_anybody(seven, limit):
    forward, backward = walk(LeadFilter(), limit)
    assert forward == backward == [f"Nome{number}" for number in reversed(range(7))]


def test_people_who_arrived_at_the_same_instant_are_not_lost_between_pages(in_vegliasi):
    for number in range(5):
        arrive(number, received_at=NOW)
    forward, backward = walk(LeadFilter(), 2)
    assert forward == backward
    assert len(set(forward)) == 5


def test_a_row_shows_person_number_request_deal_and_what_is_next(in_vegliasi, bea):
    person = arrive(1)
    deal = Deal.objects.get()
    commands.edit_deal(deal_id=deal.id, changes={"amount": Decimal("480"), "owner_user_id": bea.id}, now=NOW)
    for days in (3, 1):
        commands.record_activity(
            contact_id=person.id, type="chiamata", status="planned", scheduled_at=at(days), now=NOW
        )
    (row,) = queries.lead_page(LeadFilter()).rows
    assert (row.phone.phone_e164, row.event.requested_service, row.deal.amount) == (
        *("+393510000001", "FAMILY"),
        Decimal("480.00"),
    )
    assert (row.next_activity.scheduled_at, row.contact.assigned_user, row.is_returning) == (
        at(1),
        bea,
        False,
    )
    (line,), follows = queries.listed_page(LeadFilter(), limit=1)
    assert (line.full_name, line.owner_id, line.owner, line.lead_count) == (
        "Nome1 Cognome1",
        bea.id,
        bea.name,
        1,
    )
    assert (line.phone_e164, line.service, line.amount) == ("+393510000001", "FAMILY", Decimal("480.00"))
    assert (line.next_type, line.next_at, line.cursor, follows) == ("chiamata", at(1), row.cursor, None)


def test_a_line_shows_the_open_deal_before_a_later_one_that_is_closed(in_vegliasi, bea):
    person = arrive(1)
    deal = Deal.objects.get()
    commands.edit_deal(deal_id=deal.id, changes={"amount": Decimal("480")}, now=NOW)
    Deal.objects.create(
        contact=person, status="lost", amount=Decimal(9), opened_at=at(60), closed_at=at(70), **MOMENTS
    )
    (line,) = queries.listed([person.id])
    assert line.amount == queries.lead_rows([person.id])[0].deal.amount == Decimal("480.00")


def test_filters_keep_what_they_say_together_and_alone(seven, bea):
    meta = MarketingSource.objects.create(name="Meta")
    commands.set_lead_state(contact_id=seven[1].id, state="caldo", now=NOW, user_id=bea.id)
    commands.set_lead_state(contact_id=seven[2].id, state="caldo", now=NOW, user_id=bea.id)
    commands.set_lead_state(contact_id=seven[3].id, state="perso", now=NOW, user_id=bea.id)
    Contact.objects.filter(id__in=[seven[2].id, seven[3].id, seven[4].id]).update(marketing_source=meta)
    Contact.objects.filter(id=seven[2].id).update(assigned_user=bea)
    arrive(20, phone="+39 351 0000005")
    commands.record_activity(
        contact_id=seven[6].id, type="chiamata", status="planned", scheduled_at=NOW, user_id=bea.id, now=NOW
    )

    def listed(**fields):
        wanted = LeadFilter(**fields)
        names = [int(row.contact.first_name[4:]) for row in queries.lead_page(wanted).rows]
        assert queries.count_leads(wanted) == len(names)
        found = [row.contact.id for row in queries.lead_page(wanted).rows]
        assert [row.contact.id for row in queries.lead_page_at(wanted, offset=0, limit=50)] == found
        assert [line.contact_id for line in queries.listed_page(wanted, limit=50)[0]] == found
        return names

    assert listed() == [5, 6, 4, 3, 2, 1, 0]
    assert listed(states=("caldo",)) == [2, 1]
    assert listed(states=("caldo", "perso")) == [3, 2, 1]
    assert listed(states=("caldo", "perso"), marketing_source_ids=(meta.id,)) == [3, 2]
    assert listed(owner_ids=(bea.id,)) == [2]
    assert listed(owner_ids=(None,), states=("caldo", "perso")) == [3, 1]
    assert listed(owner_ids=(None, bea.id)) == [5, 6, 4, 3, 2, 1, 0]
    assert listed(arrived_from=at(2), arrived_to=at(4)) == [3, 2]
    assert listed(only_returning=True) == [5]
    assert listed(without_next_activity=True) == [5, 4, 3, 2, 1, 0]
    assert listed(to_call_by=bea.id) == [6]
    assert listed(text="Cognome3") == [3]


def test_neighbours_and_place_follow_the_list_one_came_from(seven):
    assert queries.neighbours(LeadFilter(), seven[3]) == (seven[4].id, seven[2].id)
    assert queries.neighbours(LeadFilter(), seven[6]) == (None, seven[5].id)
    assert queries.place_of(LeadFilter(), seven[3]) == 4
    assert queries.place_of(LeadFilter(), seven[0], most=3) is None


def test_counting_stops_where_it_is_told_to(seven):
    assert queries.count_leads(LeadFilter(), most=5) == 6
    assert queries.count_leads(LeadFilter(), most=7) == 7
    lists = [
        LeadFilter(),
        LeadFilter(text="Cognome3"),
        LeadFilter(text="Cognome3", states=("perso", "caldo")),
    ]
    assert queries.count_lists(lists) == [7, 1, 0]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("adele", [0]),
        ("Adele Bru", [0]),
        ("brunetti", [0]),
        ("BRUNETTI ADELE", [0]),
        ("dal pozzo", [1]),
        ("niccolò", [1]),
        ("NICCOLO", [1]),
        ("351 000 41", [0]),
        ("+39 351 000 4127", [0]),
        ("347", []),
        ("3470001", [1]),
        ("nicco@posta.example", [1]),
        ("nicco@", [1]),
        ("4127", [0]),
        ("04127", [0]),
        ("00 041", [0]),
        ("10 00 4", [0]),
        ("0039 351 00", [0]),
        ("70001", [1]),
        ("51099", []),
        ("@posta.example", [0, 1]),
        ("posta.example", [0, 1]),
        ("@POSTA", [0, 1]),
        ("example", []),
        ("zzz", []),
        ("", []),
    ],
)
def test_people_are_found_by_a_part_of_what_they_are_called_or_reached_by(in_vegliasi, typed, found):
    one, two = (
        take_in(incoming())[0].contact,
        take_in(
            incoming(
                first_name="Niccolò", last_name="Dal Pozzo", phone="347 000 1186", email="nicco@posta.example"
            )
        )[0].contact,
    )
    assert sorted(people.find(typed)) == sorted([one.id, two.id][place] for place in found)


def test_digits_inside_a_number_are_looked_up_in_their_index_under_row_security(in_vegliasi, quadranorma):
    """The function looks in the open brand alone, and no more than the pieces' rows are read."""
    person = take_in(incoming())[0].contact
    with brand_scope.use(quadranorma.id):
        assert people.find("04127") == people.find("@posta.example") == []
    with connection.cursor() as cursor:
        cursor.execute("select contacts_with_digits('04127', 5), contacts_at_domain('posta.example', 5)")
        assert cursor.fetchall() == [(person.id, person.id)]
        cursor.execute("select contacts_with_digits('041', 5)")
        assert cursor.fetchall() == []
        cursor.execute("select prosrc from pg_proc where proname = 'contacts_with_digits'")
        looks = cursor.fetchone()[0].replace("digits", "'04127'").replace("most", "5")
    with psycopg.connect(settings.DATABASE_URLS.owner) as owner:  # as the function runs
        owner.execute("set enable_seqscan = off")
        plan = "\n".join(row[0] for row in owner.execute(f"explain {looks}"))
    assert "Bitmap Index Scan on phone_by_digits" in plan


def test_the_record_holds_everything_of_one_lead(in_vegliasi, bea):
    person = take_in(incoming())[0].contact
    other = take_in(incoming(phone="041 000 2290", email="zanin@posta.example"))[0].contact
    take_in(incoming(email="zanin@posta.example", received_at=at(5)))
    commands.record_activity(
        contact_id=person.id, type="chiamata", status="planned", scheduled_at=at(9), now=NOW
    )
    record = queries.lead_record(person.id)
    assert [phone.phone_e164 for phone in record.phones] == ["+393510004127"]
    assert (len(record.deals), len(record.events), len(record.tasks)) == (1, 2, 1)
    assert [suggested.contact.id for suggested in record.suggestions] == [other.id]
    assert record.deal == record.deals[0]


def test_nobody_reads_another_brands_lead(in_vegliasi, quadranorma):
    person = take_in(incoming())[0].contact
    with brand_scope.use(quadranorma.id):
        with pytest.raises(ContactMissing):
            queries.lead_record(person.id)
        assert queries.lead_rows([person.id]) == queries.listed([person.id]) == []
        assert queries.count_leads(LeadFilter()) == 0
        assert people.find("adele") == []
        assert queries.latest_events() == []
        assert all(column.count == 0 for column in queries.board())


def test_the_board_counts_and_adds_up_each_stage(seven, bea):
    hot = Stage.objects.get(lead_state="caldo")
    for number, person in enumerate(seven[:3]):
        deal = Deal.objects.get(contact=person)
        commands.edit_deal(deal_id=deal.id, changes={"amount": Decimal(100 * (number + 1))}, now=NOW)
        commands.move_deal(deal_id=deal.id, stage_id=hot.id, now=at(30 + number), user_id=bea.id)
    board = {column.stage.name: column for column in queries.board(per_stage=2)}
    assert (board["Caldo"].count, board["Caldo"].total_amount) == (3, Decimal("600.00"))
    assert [deal.contact_id for deal in board["Caldo"].deals] == [seven[2].id, seven[1].id]
    assert (board["Nuovo"].count, board["Nuovo"].total_amount, len(board["Nuovo"].deals)) == (4, 0, 2)
    assert board["Perso"].count == 0


def test_work_that_is_due_comes_earliest_first(seven, ada, bea):
    for minutes, user in ((30, bea), (10, None), (20, ada), (900, bea)):
        commands.record_activity(
            contact_id=seven[0].id,
            type="chiamata",
            status="planned",
            scheduled_at=at(minutes),
            user_id=user.id if user else None,
            now=NOW,
        )
    due = [task.scheduled_at for task in queries.tasks_due(until=at(60))]
    assert due == [at(10), at(20), at(30)]
    mine = [task.scheduled_at for task in queries.tasks_due(until=at(60), user_ids=[bea.id, None])]
    assert mine == [at(10), at(30)]


def test_reading_a_list_takes_as_many_statements_for_one_as_for_all(seven):
    def statements(limit):
        with CaptureQueriesContext(connection) as captured:
            rows = queries.lead_page(LeadFilter(), limit=limit).rows
            assert all(row.contact.full_name and row.phone and row.deal.current_stage.name for row in rows)
        return len(captured)

    assert statements(1) == statements(7) <= 7


@pytest.mark.parametrize(
    "typed",
    ["brunneti", "bruentti", "brnetti", "brunettti", "adle brunetti", "adele brunettx", "brunetxi adele"],
)
def test_a_name_with_a_slip_is_found(in_vegliasi, typed):
    """UI-14, CON-39: a letter too many, too few, swapped; two words help each other."""
    adele = arrive(1, first_name="Adele", last_name="Brunetti")
    arrive(2, first_name="Bruna", last_name="Etti")
    assert people.find(typed)[0] == adele.id


def test_what_resembles_nobody_finds_nobody(in_vegliasi):
    arrive(1, first_name="Adele", last_name="Brunetti")
    assert people.find("zanardelli") == []
