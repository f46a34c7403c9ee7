"""After a call: what people must know of it (ROU-44, ROU-46)."""

from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext as _

from filiera.pipeline import commands as pipeline
from filiera.pipeline.commands import Ownership, PlannedTask
from filiera.pipeline.models import Activity
from filiera.platform import live
from filiera.platform.models import Event
from filiera.routing import queries as routing
from filiera.routing.models import CallAttempt, Process


def record_call(event: Event, *, now: datetime) -> None:
    """The agent picked up and the customer was dialled: the call is an activity of the agent."""
    attempt = _attempt(event)
    _hand_over(attempt, now=now)
    pipeline.record_activity(
        contact_id=attempt.process.contact_id,
        deal_id=_deal_of(attempt.process),
        type="chiamata",
        title=_("Chiamata di risposta"),
        user_id=attempt.agent.user_id,
        occurred_at=attempt.agent_answered_at or event.at,
        direction="outgoing",
        origin="human",
        talking_seconds=attempt.talking_seconds,
        cause=_cause(attempt),
        now=now,
    )
    live.announce("leads", "calls", "board")


def complete_call(event: Event, *, now: datetime) -> None:
    """The call ended: how long it lasted stands on its activity; a customer who was not reached is called again."""
    attempt = _attempt(event)
    if attempt.agent_answered_at is None:
        return
    reached = bool(attempt.talking_seconds)
    if not Activity.objects.filter(cause=_cause(attempt)).exists():
        record_call(event, now=now)
    Activity.objects.filter(cause=_cause(attempt)).update(
        talking_seconds=attempt.talking_seconds,
        outcome="answered" if reached else "no_answer",
        updated_at=now,
    )
    if not reached:
        _plan_callback(attempt.process, note=_("Il cliente non ha risposto."), now=now)
    live.announce("leads", "calls")


def ask_for_a_callback(event: Event, *, now: datetime) -> None:
    """No call came about and none will by itself: a person finds a task, with the reason."""
    process = Process.objects.select_related("lead_event", "agent").get(id=event.subject_id)
    if process.error_code in {"MISSING_PHONE", "INVALID_PHONE"}:
        return  # there is nothing to call until the number is corrected, and that stands among the things to mend
    _plan_callback(process, note=routing.error_sentence(process.error_code), now=now)
    live.announce("leads", "calls")


def _hand_over(attempt: CallAttempt, *, now: datetime) -> None:
    """Make who picked up the owner of a deal that had none: its lead waited until somebody was free."""
    event = attempt.process.lead_event
    deal = event.deal if event else None
    if deal is None or deal.owner_user_id is not None or attempt.agent.user_id is None:
        return
    pipeline.give_owners([Ownership(deal.id, deal.contact_id, attempt.agent.user_id)], now=now)


def _plan_callback(process: Process, *, note: str, now: datetime) -> None:
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
        ],
        now=now,
    )


def _attempt(event: Event) -> CallAttempt:
    return CallAttempt.objects.select_related(
        "process", "process__lead_event", "process__lead_event__deal", "process__agent", "agent"
    ).get(id=UUID(event.data["attempt_id"]))


def _deal_of(process: Process) -> UUID | None:
    return process.lead_event.deal_id if process.lead_event else None


def _cause(attempt: CallAttempt) -> str:
    return f"call:{attempt.id}"
