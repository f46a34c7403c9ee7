"""The figures of routing as a page: verdicts with their denominator, drawings with their title, any period."""

from datetime import UTC, datetime, timedelta

import pytest

from filiera.contacts.models import Contact
from filiera.platform import brand_scope
from filiera.platform.ids import new_id
from filiera.routing.models import Process

NOW = datetime.now(UTC)


@pytest.fixture
def processes(vegliasi):
    """Make settled processes: `processes(well=38, badly=7, at=…)`."""

    def make(*, well=0, badly=0, at=NOW, brand=vegliasi, code="NO_AGENTS_AVAILABLE"):
        with brand_scope.use(brand.id):
            contact = Contact.objects.create(
                id=new_id(), first_name="Adele", last_lead_at=at, created_at=at, updated_at=at
            )
            Process.objects.bulk_create(
                Process(
                    id=new_id(),
                    brand_id=brand.id,
                    number=f"lead_{new_id().int}"[:50],
                    contact=contact,
                    state="done",
                    success=number < well,
                    final_status="CALL_INITIATED_SUCCESSFULLY" if number < well else code,
                    error_code="" if number < well else code,
                    processing_time_ms=41_000,
                    day_of_week=at.weekday(),
                    hour_of_day=at.hour,
                    received_at=at,
                    created_at=at,
                    completed_at=at,
                )
                for number in range(well + badly)
            )

    return make


def test_before_the_first_lead_the_page_says_what_will_be_here(signed_in, bea):
    page = signed_in(bea).get("/figures").content.decode()
    assert "Le cifre nascono con il primo lead" in page


def test_figures_stand_with_their_denominator_and_their_verdict(signed_in, bea, processes):
    processes(well=38, badly=7)
    page = signed_in(bea).get("/figures?period=today").content.decode()
    assert "84,4\xa0%" in page
    assert "38 su 45 lead" in page
    assert "tra 80 e 85 %" in page
    assert "0:41" in page
    assert "Otto lead su dieci ricevono una chiamata." in page
    assert "NO_AGENTS_AVAILABLE" in page


def test_few_leads_get_no_percentage(signed_in, bea, processes):
    processes(well=3, badly=1)
    page = signed_in(bea).get("/figures?period=today").content.decode()
    assert "3 su 4" in page
    assert "75" not in page.split("fi-figures")[1].split("</dl>")[0]


def test_drawings_say_their_result_in_a_title(signed_in, bea, processes):
    processes(well=25, badly=5)
    processes(well=10, badly=10, at=NOW - timedelta(days=2))
    page = signed_in(bea).get("/figures?period=7").content.decode()
    assert "minimo 50,0\xa0%" in page
    assert "<polyline" in page
    assert "style=" not in page


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("from=2026-10-13&to=2026-10-01", "Il periodo finisce prima di iniziare"),
        ("from=2020-01-01&to=2026-10-01", "Al massimo un anno alla volta"),
        ("from=ieri&to=oggi", "Servono due giorni"),
    ],
)
def test_a_period_that_cannot_be_shown_says_why(signed_in, bea, processes, query, sentence):
    processes(well=1)
    assert sentence in signed_in(bea).get(f"/figures?{query}").content.decode()


def test_a_period_without_leads_offers_a_longer_one(signed_in, bea, processes):
    processes(well=1, at=NOW - timedelta(days=40))
    page = signed_in(bea).get("/figures?period=today").content.decode()
    assert "In questo periodo non è arrivato nessun lead" in page


def test_carl_of_another_brand_sees_none_of_it(signed_in, carl, processes):
    processes(well=30)
    page = signed_in(carl).get("/figures").content.decode()
    assert "Le cifre nascono con il primo lead" in page


def test_only_who_manages_routing_may_export(signed_in, ada, bea, processes):
    processes(well=1)
    assert "format=csv" in signed_in(ada).get("/figures?period=today").content.decode()
    assert "format=csv" not in signed_in(bea).get("/figures?period=today").content.decode()
