"""Find out what became of calls whose end no event told: by the list of finished calls and the agent's status.

A call under way is in no list, and an accepted one may ring the agent for 20 seconds. So an attempt is settled as "no
call" only after that, when the list does not have it and the agent, asked after the ringing, is not calling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings

from filiera.platform import brand_scope
from filiera.routing import outcomes
from filiera.routing.cloudtalk import (
    CloudTalkRejected,
    CloudTalkUnavailable,
    FinishedCall,
    TooManyRequests,
)
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


def due_checks(connection: Connection, *, now: datetime, limit: int) -> Iterator[FindCall | ReadDetail]:
    """Yield what has to be asked now, in an open scope; what needs no question is settled on the way."""
    due = CallAttempt.objects.filter(check_at__lte=now).order_by("check_at", "id")
    # Locked process first, in one order, as everywhere: an event about one of them may arrive meanwhile.
    for attempt_id, _process_id in sorted(
        due.values_list("id", "process_id")[:limit], key=lambda found: found[1]
    ):
        _process, attempt = outcomes.locked(attempt_id)
        if attempt.check_at is None or attempt.check_at > now:
            continue
        if attempt.ended_at is not None:
            yield from _ask_whose_silence(attempt, connection, now)
        elif now > attempt.requested_at + (
            TALKED_AFTER if attempt.state == State.ANSWERED else UNSETTLED_AFTER
        ):
            with outcomes.Calls(now=now, attempts=[attempt.id]) as calls:
                calls.give_up_on(attempt.id)
        else:
            if (
                attempt.state == State.REQUESTED
            ):  # whoever asked died before the answer: it may have been sent
                attempt.state = State.UNKNOWN
            attempt.check_at = now + ASKED_AGAIN
            attempt.save(update_fields=["state", "check_at"])
            yield FindCall(
                attempt.id, attempt.number_e164, attempt.requested_at - LIST_MARGIN, now + LIST_MARGIN
            )


def _ask_whose_silence(
    attempt: CallAttempt, connection: Connection, now: datetime
) -> Iterator[FindCall | ReadDetail]:
    assert attempt.ended_at is not None
    patient = now < attempt.ended_at + DETAIL_PATIENCE
    if attempt.state not in outcomes.UNDECIDED:
        CallAttempt.objects.filter(id=attempt.id).update(check_at=None)
    elif connection.analytics_url and attempt.call_id and patient:
        CallAttempt.objects.filter(id=attempt.id).update(check_at=now + DETAIL_AGAIN)
        yield ReadDetail(attempt.id, attempt.call_id)
    else:  # nobody can tell: an agent's silence, so that another agent is rung
        with outcomes.Calls(now=now, attempts=[attempt.id]) as calls:
            calls.ended(attempt.id, talking_seconds=0, agent_picked_up=False, at=attempt.ended_at)


def save_detail(errand: ReadDetail, *, now: datetime) -> None:
    """Keep whose silence it was; an answer that is missing is asked again by `check_at`."""
    if isinstance(errand.result, bool):
        with outcomes.Calls(now=now, attempts=[errand.attempt_id]) as calls:
            calls.ended(errand.attempt_id, talking_seconds=0, agent_picked_up=errand.result, at=now)


def save_find(errand: FindCall, *, now: datetime) -> None:
    """Settle an attempt by the list of finished calls, else by the agent's status, else ask again later."""
    if isinstance(errand.result, CloudTalkUnavailable | CloudTalkRejected | TooManyRequests):
        CallAttempt.objects.filter(id=errand.attempt_id, check_at__isnull=False).update(
            check_at=now + STILL_CALLING
        )
        return
    with outcomes.Calls(now=now, attempts=[errand.attempt_id]) as calls:
        attempt = calls.attempts[errand.attempt_id]
        call = _of(attempt, errand.result or [])
        if call is not None:
            calls.bind(attempt.id, call_id=call.id)
            calls.ended(
                attempt.id,
                talking_seconds=call.talking_seconds,
                agent_picked_up=True if call.talking_seconds else None,
                at=call.ended_at or now,
                recording_url=call.recording_url if call.talking_seconds else "",
            )
        elif (next_check := _next_check(attempt, now)) is not None:
            calls.check_again(attempt.id, at=next_check)
        else:
            calls.no_trace(attempt.id)


def _of(attempt: CallAttempt, calls: Sequence[FinishedCall]) -> FinishedCall | None:
    """Return the finished call that is this attempt's: same number and agent, begun after it, nobody else's."""
    mine = [
        call
        for call in calls
        if call.external_number == attempt.number_e164
        and call.agent_id in ("", attempt.agent.provider_agent_id)
        and (call.started_at is None or call.started_at >= attempt.requested_at - CLOCKS)
    ]
    if attempt.call_id is not None:
        return next((call for call in mine if call.id == attempt.call_id), None)
    taken = set(
        CallAttempt.objects.filter(call_id__in=[call.id for call in mine])
        .exclude(id=attempt.id)
        .values_list("call_id", flat=True)
    )
    free = [call for call in mine if call.id not in taken]
    return min(free, key=lambda call: call.started_at or attempt.requested_at, default=None)


def _next_check(attempt: CallAttempt, now: datetime) -> datetime | None:
    """Return when to ask again about a call that is in no list; None when it is certain that there is none."""
    if attempt.state == State.ANSWERED:
        return now + TALK_CHECK
    if attempt.agent.provider_status == "calling":
        return now + STILL_CALLING
    rung_out = attempt.requested_at + outcomes.ring_window()
    if now < rung_out:
        return rung_out
    asked_at = Connection.objects.values_list("agents_polled_at", flat=True).get(
        brand_id=brand_scope.current()
    )
    heard_at = attempt.agent.last_status_at
    silent_at = attempt.requested_at + timedelta(seconds=settings.ROUTING_RING_S)
    if heard_at is not None and heard_at >= silent_at:
        return None
    # The agent is in no list at all: nobody can be ringing.
    if not attempt.agent.provider_status and asked_at is not None and asked_at >= silent_at:
        return None
    return now + LIST_SOON
