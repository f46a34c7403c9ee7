"""After a call: what people must know of it (ROU-44, ROU-46). Each step takes any number of calls together."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext as _

from filiera.journeys import notices
from filiera.pipeline import commands as pipeline
from filiera.pipeline.commands import AnsweredCall, PlannedTask
from filiera.pipeline.models import Activity, LeadEvent
from filiera.platform import bulk, live
from filiera.platform.models import Event
from filiera.routing import queries as routing
from filiera.routing.models import CallAttempt, Process


def record_calls(events: Sequence[Event], *, now: datetime) -> None:
    """The agents picked up and the customers were dialled: each call is an activity of its agent."""
    _record(_attempts(events), now=now)
    live.announce("leads", "calls", "board")


def complete_calls(events: Sequence[Event], *, now: datetime) -> None:
    """The calls ended: how long stands on each activity; a customer who was not reached is called again."""
    attempts = [attempt for attempt in _attempts(events) if attempt.agent_answered_at is not None]
    _record(attempts, now=now)
    ended = {_cause(attempt): attempt for attempt in attempts}
    activities = list(Activity.objects.select_for_update(no_key=True).filter(cause__in=ended).order_by("id"))
    for activity in activities:
        talked = ended[activity.cause or ""].talking_seconds
        activity.talking_seconds, activity.updated_at = talked, now
        activity.outcome = "answered" if talked else "no_answer"
    bulk.update(Activity, ("talking_seconds", "outcome", "updated_at"), activities)
    unreached = [attempt.process for attempt in attempts if not attempt.talking_seconds]
    _plan_callbacks(
        [(process, _("Il cliente non ha risposto.")) for process in unreached],
        now=now,
    )
    live.announce("leads", "calls")


def ask_for_callbacks(events: Sequence[Event], *, now: datetime) -> None:
    """No call came about and none will by itself: a person finds a task, with the reason."""
    wanted = {event.subject_id for event in events}
    processes = _processes(wanted)
    if missing := wanted - processes.keys():
        raise Process.DoesNotExist(f"no process {min(missing)}")
    by_hand = [
        process
        for process in processes.values()
        # There is nothing to call until the number is corrected, and that stands among the things to mend; who
        # may not be rung by the house may not be rung by hand either.
        if process.error_code not in {"MISSING_PHONE", "INVALID_PHONE", "CALL_NOT_ALLOWED"}
    ]
    _plan_callbacks(
        [(process, routing.error_sentence(process.error_code)) for process in by_hand],
        now=now,
    )
    notices.of_waiting(by_hand, now=now)
    live.announce("leads", "calls")


def _record(attempts: Sequence[CallAttempt], *, now: datetime) -> None:
    pipeline.record_calls(
        [
            AnsweredCall(
                contact_id=attempt.process.contact_id,
                deal_id=_deal_of(attempt.process),
                user_id=attempt.agent.user_id,
                occurred_at=attempt.agent_answered_at or now,
                talking_seconds=attempt.talking_seconds,
                title=_("Chiamata di risposta"),
                cause=_cause(attempt),
            )
            for attempt in attempts
        ],
        now=now,
    )


def _plan_callbacks(processes: Iterable[tuple[Process, str]], *, now: datetime) -> None:
    pipeline.plan_tasks(
        [
            PlannedTask(
                contact_id=process.contact_id,
                deal_id=_deal_of(process),
                type="chiamata",
                title=_("Chiamare"),
                note=note,
                user_id=process.agent.user_id if process.agent else None,
                scheduled_at=now,
                cause=f"callback:{process.id}",
            )
            for process, note in processes
        ],
        now=now,
    )


def _attempts(events: Sequence[Event]) -> list[CallAttempt]:
    """Return the attempts that these events are about. Raises CallAttempt.DoesNotExist."""
    wanted = {UUID(event.data["attempt_id"]) for event in events}
    found = CallAttempt.objects.select_related("agent").in_bulk(wanted)
    if missing := wanted - found.keys():
        raise CallAttempt.DoesNotExist(f"no attempt {min(missing)}")
    processes = _processes({attempt.process_id for attempt in found.values()})
    for attempt in found.values():
        attempt.process = processes[attempt.process_id]
    return list(found.values())


def _processes(ids: Collection[UUID]) -> dict[UUID, Process]:
    """Return processes with their agents and lead events, by id.

    Asked one after the other: with a join the planner reads all lead events of a brand for ten of them.
    """
    found = Process.objects.select_related("agent").in_bulk(ids)
    leads = LeadEvent.objects.only("deal_id").in_bulk(
        {process.lead_event_id for process in found.values() if process.lead_event_id}
    )
    for process in found.values():
        process.lead_event = leads.get(process.lead_event_id) if process.lead_event_id else None
    return found


def _deal_of(process: Process) -> UUID | None:
    return process.lead_event.deal_id if process.lead_event else None


def _cause(attempt: CallAttempt) -> str:
    return f"call:{attempt.id}"
