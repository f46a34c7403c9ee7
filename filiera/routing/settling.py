"""Find out what became of calls whose end no event told: by the list of finished calls and the agent's status.

A call under way is in no list, and an accepted one may ring the agent for 20 seconds. So an attempt is settled as "no
call" only after that, when the list does not have it and the agent, asked after the ringing, is not calling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings

from filiera.routing import outcomes
from filiera.routing.cloudtalk import FinishedCall
from filiera.routing.errands import FindCall, ReadDetail
from filiera.routing.models import CallAttempt, Connection

ASKED_AGAIN: Final = timedelta(seconds=60)  # while an answer is awaited; also after a crash
STILL_CALLING: Final = timedelta(seconds=15)
LIST_SOON: Final = timedelta(seconds=2)
TALK_CHECK: Final = timedelta(minutes=3)
DETAIL_AGAIN: Final = timedelta(seconds=5)
DETAIL_PATIENCE: Final = timedelta(seconds=15)
UNSETTLED_AFTER: Final = timedelta(minutes=30)
TALKED_AFTER: Final = timedelta(hours=4)
LIST_MARGIN: Final = timedelta(minutes=1)
CLOCKS: Final = timedelta(seconds=5)

State = CallAttempt.State


def due_checks(connection: Connection, *, now: datetime, limit: int) -> list[FindCall | ReadDetail]:
    """Return what has to be asked now, in an open scope; what needs no question is settled on the way."""
    due = CallAttempt.objects.filter(check_at__lte=now).order_by("check_at", "id")
    with outcomes.Calls(now=now, attempts=due.values_list("id", flat=True)[:limit]) as calls:
        # An event about one of them may have come before its lock.
        still_due = [each for each in calls.attempts.values() if each.check_at and each.check_at <= now]
        checks = [_due_check(calls, attempt, connection) for attempt in still_due]
    return [check for check in checks if check is not None]


def _due_check(
    calls: outcomes.Calls, attempt: CallAttempt, connection: Connection
) -> FindCall | ReadDetail | None:
    now = calls.now
    if attempt.ended_at is not None:
        return _ask_whose_silence(calls, attempt, attempt.ended_at, connection)
    patience = TALKED_AFTER if attempt.state == State.ANSWERED else UNSETTLED_AFTER
    if now > attempt.requested_at + patience:
        calls.give_up_on(attempt.id)
        return None
    calls.asks_about(attempt.id, again_at=now + ASKED_AGAIN)
    return FindCall(attempt.id, attempt.number_e164, attempt.requested_at - LIST_MARGIN, now + LIST_MARGIN)


def _ask_whose_silence(
    calls: outcomes.Calls, attempt: CallAttempt, ended_at: datetime, connection: Connection
) -> ReadDetail | None:
    if attempt.state not in outcomes.UNDECIDED:
        calls.check_again(attempt.id, at=None)
    elif connection.analytics_url and attempt.call_id and calls.now < ended_at + DETAIL_PATIENCE:
        calls.check_again(attempt.id, at=calls.now + DETAIL_AGAIN)
        return ReadDetail(attempt.id, attempt.call_id)
    else:  # nobody can tell: an agent's silence, so that another agent is rung
        calls.ended(attempt.id, talking_seconds=0, agent_picked_up=False, at=ended_at)
    return None


def save_answers(asked: Sequence[FindCall | ReadDetail], *, now: datetime) -> None:
    """Settle attempts by what was asked about them, all together; what is still open is asked again later."""
    if not asked:
        return
    with outcomes.Calls(now=now, attempts=[errand.attempt_id for errand in asked]) as calls:
        taken = _taken(asked)
        polled_at = Connection.objects.values_list("agents_polled_at", flat=True).get()
        for errand in asked:
            match errand:
                case ReadDetail(result=bool() as agent_picked_up):
                    calls.ended(errand.attempt_id, talking_seconds=0, agent_picked_up=agent_picked_up, at=now)
                case FindCall(result=list() as listed):
                    _settle_by_list(calls, calls.attempts[errand.attempt_id], listed, taken, polled_at)
                case FindCall():
                    calls.check_again(errand.attempt_id, at=now + STILL_CALLING)


def _taken(asked: Sequence[FindCall | ReadDetail]) -> dict[str, UUID]:
    """Return which of the listed calls are some attempt's already."""
    listed = {call.id for errand in asked if isinstance(errand.result, list) for call in errand.result}
    if not listed:
        return {}
    bound = CallAttempt.objects.filter(call_id__in=listed).values_list("call_id", "id")
    return {call_id: attempt_id for call_id, attempt_id in bound if call_id is not None}


def _settle_by_list(
    calls: outcomes.Calls,
    attempt: CallAttempt,
    listed: Sequence[FinishedCall],
    taken: dict[str, UUID],
    polled_at: datetime | None,
) -> None:
    """Settle an attempt by the list of finished calls, else by the agent's status, else ask again later."""
    call = _of(attempt, listed, taken)
    if call is not None:
        taken[call.id] = attempt.id
        calls.bind(attempt.id, call_id=call.id)
        calls.ended(
            attempt.id,
            talking_seconds=call.talking_seconds,
            agent_picked_up=True if call.talking_seconds else None,
            at=call.ended_at or calls.now,
            recording_url=call.recording_url if call.talking_seconds else "",
        )
    elif (next_check := _next_check(attempt, polled_at, calls.now)) is not None:
        calls.check_again(attempt.id, at=next_check)
    else:
        calls.no_trace(attempt.id)


def _of(
    attempt: CallAttempt, listed: Sequence[FinishedCall], taken: Mapping[str, UUID]
) -> FinishedCall | None:
    """Return the finished call that is this attempt's: same number and agent, begun after it, nobody else's."""
    mine = [
        call
        for call in listed
        if call.external_number == attempt.number_e164
        and call.agent_id in ("", attempt.agent.provider_agent_id)
        and (call.started_at is None or call.started_at >= attempt.requested_at - CLOCKS)
    ]
    if attempt.call_id is not None:
        return next((call for call in mine if call.id == attempt.call_id), None)
    free = [call for call in mine if taken.get(call.id, attempt.id) == attempt.id]
    return min(free, key=lambda call: call.started_at or attempt.requested_at, default=None)


def _next_check(attempt: CallAttempt, polled_at: datetime | None, now: datetime) -> datetime | None:
    """Return when to ask again about a call that is in no list; None when it is certain that there is none."""
    if attempt.state == State.ANSWERED:
        return now + TALK_CHECK
    if attempt.agent.provider_status == "calling":
        return now + STILL_CALLING
    rung_out = attempt.requested_at + outcomes.ring_window()
    if now < rung_out:
        return rung_out
    heard_at = attempt.agent.last_status_at
    silent_at = attempt.requested_at + timedelta(seconds=settings.ROUTING_RING_S)
    if heard_at is not None and heard_at >= silent_at:
        return None
    # The agent is in no list at all: nobody can be ringing.
    if not attempt.agent.provider_status and polled_at is not None and polled_at >= silent_at:
        return None
    return now + LIST_SOON
