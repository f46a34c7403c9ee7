"""The whole story of a lead, in order; every verb takes the batch."""

import logging
from collections import defaultdict
from collections.abc import Callable, Container
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone

from filiera.capture import leads as incoming_leads
from filiera.capture import queue
from filiera.capture.models import Submission
from filiera.contacts import commands as contacts
from filiera.contacts.tasks import look_around
from filiera.journeys import confirmations, notices
from filiera.journeys.growth import Growth
from filiera.pipeline import commands as pipeline
from filiera.pipeline.commands import Lead
from filiera.platform import actor, brand_scope, live
from filiera.routing import commands as routing

log = logging.getLogger("filiera.leads")
growth = Growth()


@transaction.atomic
def take_in_leads(submissions: list[Submission], *, now: datetime) -> list[Lead]:
    """Take the leads of one brand's submissions from request to phone, all or none.

    Returns one Lead for each lead in them, also for one that had come before. Runs a fixed number of statements,
    whatever the size of the batch, and may run twice: the second run adds nothing.
    """
    incoming = incoming_leads.read(submissions)
    people = contacts.recognise(incoming, now=now)
    opening = pipeline.open_leads(incoming, people.people, now=now)  # lead events, each in its deal
    leads = opening.leads
    confirmations.confirm(leads, now=now)
    tasks = [*confirmations.contracts(leads, now=now), *confirmations.frozen(leads, now=now)]
    queue.finish(submissions, now=now)

    def write_leads() -> None:
        people.write(but=opening.unneeded)
        opening.write()

    # From here to the commit the brand's turn is locked: what another batch need not wait for stands above.
    decisions = routing.assign(leads, now=now, write_leads=write_leads)
    routing.request_calls(decisions, now=now)
    notices.of_assigned(decisions, now=now)
    pipeline.plan_tasks(tasks, now=now)
    _look_for_twins(people, opening.unneeded)
    live.announce("leads", "calls")
    return leads


def _look_for_twins(people: contacts.Recognition, unneeded: Container[UUID]) -> None:
    """Enqueue the look for duplicates of who is new: one job for the batch, when it is committed."""
    new = [str(person.id) for person in people.new_contacts if person.id not in unneeded]
    if new:
        look_around.defer(brand_id=str(people.brand_id), contact_ids=new)


@actor.acting(actor.Actor(actor.MACHINE, "lead-in"))
def drain(*, worker: str, stopping: Callable[[], bool] = lambda: False) -> int:
    """Take in what waits, batch after batch, until the queue is empty; returns how many submissions were claimed."""
    claimed = 0
    while not stopping() and (
        batch := queue.claim(settings.QUEUE_BATCH_SIZE, now=timezone.now(), worker=worker)
    ):
        log.info("Ricevuti %s messaggi dalla queue", len(batch))
        claimed += len(batch)
        by_brand: dict[UUID, list[Submission]] = defaultdict(list)
        for submission in batch:
            by_brand[submission.brand_id].append(submission)
        for brand_id, submissions in by_brand.items():
            _take_in_or_isolate(brand_id, submissions)
        growth.add(len(batch))
    log.debug("Coda vuota")
    return claimed


def _take_in_or_isolate(brand_id: UUID, submissions: list[Submission]) -> None:
    """Take a batch in; where it fails, split it until the poison stands alone and the rest is taken in (CAP-49)."""
    try:
        with brand_scope.use(brand_id):
            take_in_leads(submissions, now=timezone.now())
    except OperationalError:
        raise  # the database is away: the lease lapses and all of them come again
    except Exception as fault:
        if len(submissions) > 1:
            middle = len(submissions) // 2
            _take_in_or_isolate(brand_id, submissions[:middle])
            _take_in_or_isolate(brand_id, submissions[middle:])
            return
        log.exception("Errore lead %s", submissions[0].lead_id)
        with brand_scope.use(brand_id):
            queue.fail(
                submissions[0],
                error=f"{type(fault).__name__}: {fault}",
                now=timezone.now(),
                delay_s=settings.QUEUE_RETRY_DELAY_S,
            )
