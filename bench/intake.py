"""Q-3: how many leads a second are taken in from a backlog, on an empty base and beside a million contacts."""

from bench import draining, leads, load
from bench.big import big_house
from bench.figures import Figure, verify
from bench.house import House, Machine, say
from bench.million_people import FIRST_PERSON

PROCESSES = 2
BATCH = 500
BACKLOG_PER_S = 1_500
ONE_BY_ONE_PER_S = 60
WAITING = "select count(*) from capture_submission where queue_state = 'ready'"
TAKEN_IN = (
    "select count(*) from pipeline_leadevent e join pipeline_deal d on d.id = e.deal_id"
    " join contacts_contact c on c.id = e.contact_id join routing_decision r on r.lead_event_id = e.id"
)


def q3(machine: Machine, seconds: float) -> list[Figure]:
    """Drain the same backlog on an empty base, one lead per transaction, and beside the big base.

    Every tenth lead is of a person of the big base, every tenth of one who came a moment before.
    """
    backlog, singles = int(seconds * BACKLOG_PER_S), int(seconds * ONE_BY_ONE_PER_S)
    empty = machine.house()
    empty.furnish()
    rate, verified = _taken_in_per_s(empty, backlog, first=0, batch=BATCH)
    say(f"Q-3 empty base: {rate:,.0f}/s")
    single_rate, _verified = _taken_in_per_s(empty, singles, first=backlog, batch=1)
    say(f"Q-3 one lead per transaction: {single_rate:,.0f}/s")
    big_rate, big_verified = _taken_in_per_s(big_house(machine), backlog, first=0, batch=BATCH)
    say(f"Q-3 beside {machine.contacts:,} contacts: {big_rate:,.0f}/s")
    what = f"leads taken in from a backlog, batches of {BATCH}, {PROCESSES} worker processes"
    slower = f"{what}: slow-down from an empty base (baseline) to {machine.contacts:,} contacts"
    return [
        Figure("Q-3", f"{what}, to batches of one", rate, "leads/s", "≥ 15", verified, single_rate),
        Figure("Q-3", what, rate, "leads/s", "≥ 2 500", verified),
        Figure("Q-3", slower, big_rate, "leads/s", "≤ 1.3", big_verified, rate, ratio=rate / big_rate),
    ]


def _taken_in_per_s(house: House, backlog: int, *, first: int, batch: int) -> tuple[float, str]:
    _accept(house, backlog, first)
    before = house.count(TAKEN_IN)
    seconds, claimed = draining.drain(house, processes=PROCESSES, batch=batch)
    verify(sum(claimed), backlog, "claims")
    verified = verify(house.count(TAKEN_IN) - before, backlog, "lead events with contact, deal and decision")
    return backlog / seconds, verified


def _accept(house: House, backlog: int, first: int) -> None:
    """Let the backlog come in by the real door, while no worker runs."""
    posts = leads.webhook_posts(house.facts, first=first, person_of=_person)
    house.start_web()
    try:
        load.closed(house.port, (next(posts) for _ in range(backlog)), seconds=600)
    finally:
        house.stop()
    verify(house.count(WAITING), backlog, "waiting submissions")


def _person(number: int) -> int:
    match number % 10:
        case 3:
            return FIRST_PERSON + number
        case 7:
            return number - 1
        case _:
            return number
