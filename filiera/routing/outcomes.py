"""What becomes of a call: the provider's answers, its events and its lists all end here, under the rows' locks.

Every function runs in an open brand scope, may be told the same thing twice, in any order, and then changes nothing.
The process is locked before the attempt, always, so that an answer and an event about one call take turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.utils.translation import gettext_noop

from filiera.identity.models import Brand
from filiera.platform import brand_scope, events, live
from filiera.routing import alerts, codes, rules, tracking, wake
from filiera.routing.cloudtalk import (
    AgentBusy,
    AgentUnavailable,
    AgentUnknown,
    CallAccepted,
    CallRefused,
    CallResult,
    CallUnknown,
    KeyRejected,
    NotSent,
    NumberRejected,
    RateLimited,
)
from filiera.routing.models import Agent, CallAttempt, Connection, Process

State = CallAttempt.State

# States a call has not yet come to an end of, from the point of view of the agent's leg.
UNDECIDED = (State.REQUESTED, State.ACCEPTED, State.UNKNOWN, State.RINGING)
RETRY_SOON = timedelta(seconds=5)
ANSWERED_CHECK = timedelta(minutes=3)
_MESSAGE_LIMIT = 500


def ring_window() -> timedelta:
    """How long an accepted call may ring the agent, with a margin for the provider's events."""
    return timedelta(seconds=settings.ROUTING_RING_S + settings.ROUTING_RING_MARGIN_S)


def locked(attempt_id: UUID) -> tuple[Process, CallAttempt]:
    """Return an attempt and its process under their locks."""
    process_id = CallAttempt.objects.values_list("process_id", flat=True).get(id=attempt_id)
    process = Process.objects.select_for_update(no_key=True).get(id=process_id)
    attempt = (
        CallAttempt.objects.select_for_update(no_key=True, of=("self",))
        .select_related("agent")
        .get(id=attempt_id)
    )
    return process, attempt


# The answer to a call request (ROU-67)


def accepted_requests(attempt_ids: Sequence[UUID], *, now: datetime) -> list[UUID]:
    """Take the answer 200 to many call requests at once; returns those that need the long way.

    Only for processes whose first call this is and attempts that nothing else was heard of: a fixed number of
    statements for all of them, and the same rows as `answered_request` would write.
    """
    processes = {
        process.id: process
        for process in Process.objects.select_for_update(no_key=True)
        .filter(
            id__in=CallAttempt.objects.filter(id__in=attempt_ids).values("process_id"), success__isnull=True
        )
        .order_by("id")
    }
    attempts = list(
        CallAttempt.objects.select_for_update(no_key=True, of=("self",))
        .select_related("agent")
        .filter(id__in=attempt_ids, process_id__in=processes, state=State.REQUESTED, ended_at__isnull=True)
        .order_by("id")
    )
    if not attempts:
        return list(attempt_ids)
    CallAttempt.objects.filter(id__in=[attempt.id for attempt in attempts]).update(
        state=State.ACCEPTED, http_status=200, check_at=F("requested_at") + ring_window()
    )
    rows = []
    for attempt in attempts:
        process = processes[attempt.process_id]
        elapsed = process.processing_time_ms
        if process.answered_at is None:
            elapsed = _elapsed_ms(process, now)
        rows.append(
            {"id": process.id, "agent": attempt.agent_id, "ms": elapsed, "at": process.answered_at or now}
        )
    with connection.cursor() as cursor:
        cursor.execute(
            """
            update routing_process p
               set state = %s, due_at = null, success = true, final_status = %s, error_code = '', error_message = '',
                   agent_id = (v->>'agent')::uuid, processing_time_ms = (v->>'ms')::int,
                   answered_at = (v->>'at')::timestamptz, completed_at = %s,
                   steps = p.steps || '{"callInitiation": {"success": true}}'
              from jsonb_array_elements(%s::jsonb) v
             where p.id = (v->>'id')::uuid and p.brand_id = %s
            """,
            [Process.State.CALLING, codes.STARTED, now, orjson.dumps(rows).decode(), brand_scope.current()],
        )
    events.record_all(
        [
            ("call.started", attempt.process_id, _data(processes[attempt.process_id], attempt))
            for attempt in attempts
        ],
        at=now,
    )
    tracking.append_later([attempt.process_id for attempt in attempts])
    live.announce("calls")
    taken = {attempt.id for attempt in attempts}
    return [attempt_id for attempt_id in attempt_ids if attempt_id not in taken]


def never_asked(attempt_id: UUID, *, now: datetime) -> Process:
    """Close an attempt whose request was never made; returns its process, locked, without the try."""
    process, attempt = locked(attempt_id)
    _end_attempt(attempt, State.FAILED, codes.NOT_SENT, "", now)
    process.attempts = max(0, process.attempts - 1)
    process.save(update_fields=["attempts"])
    return process


def answered_request(
    attempt_id: UUID, result: CallResult, *, now: datetime, sent_at: datetime | None = None
) -> None:
    """Take the provider's answer to a call request. What its events said meanwhile weighs more than the answer.

    `sent_at` is when the request really left, if that was later than the attempt was stored: ringing counts from it.
    """
    process, attempt = locked(attempt_id)
    if sent_at is not None and sent_at > attempt.requested_at:
        attempt.requested_at = sent_at
        CallAttempt.objects.filter(id=attempt.id).update(requested_at=sent_at)
    if attempt.http_status is not None or attempt.state not in UNDECIDED or attempt.ended_at is not None:
        if attempt.http_status is None and result.http_status is not None:
            attempt.http_status = result.http_status
            attempt.save(update_fields=["http_status"])
        return
    attempt.http_status = result.http_status
    match result:
        case CallAccepted():
            _accepted(process, attempt, now)
        case CallUnknown(message=message):
            _unknown(attempt, message, now)
        case _ if attempt.state != State.REQUESTED:
            attempt.save(update_fields=["http_status"])  # an event has already shown that the phone rings
        case AgentUnavailable(message=message):
            _refused(process, attempt, codes.AGENT_NOT_AVAILABLE, message, now)
        case AgentBusy(message=message):
            _refused(process, attempt, codes.AGENT_BUSY, message, now)
        case AgentUnknown(message=message):
            set_status(attempt.agent, "", at=now)
            alerts.open_alert(alerts.unknown_agent(attempt.agent_id), {"agent": attempt.agent.name}, now=now)
            _refused(process, attempt, codes.AGENT_NOT_AVAILABLE, message, now)
        case NumberRejected(message=message):
            _end_attempt(attempt, State.REFUSED, codes.INVALID_PHONE, message, now)
            fail(process, codes.INVALID_PHONE, message, now=now, attempt=attempt)
        case RateLimited(reset_at=reset_at):
            _end_attempt(attempt, State.REFUSED, codes.RATE_LIMITED, "", now)
            take_back_try(process, until=reset_at or now + timedelta(seconds=60))
        case KeyRejected(message=message):
            _end_attempt(attempt, State.REFUSED, codes.CALL_FAILED, message, now)
            disable_connection(message, now=now)
            fail(process, codes.CALL_FAILED, message, now=now, attempt=attempt)
        case CallRefused(message=message):
            _end_attempt(attempt, State.REFUSED, codes.CALL_FAILED, message, now)
            fail(process, codes.CALL_FAILED, message, now=now, attempt=attempt)
        case NotSent(message=message):
            _end_attempt(attempt, State.FAILED, codes.NOT_SENT, message, now)
            take_back_try(process, until=now + RETRY_SOON)
    live.announce("calls")


def _accepted(process: Process, attempt: CallAttempt, now: datetime) -> None:
    if attempt.state in (State.REQUESTED, State.UNKNOWN):
        attempt.state = State.ACCEPTED
    attempt.check_at = attempt.requested_at + ring_window()
    attempt.save(update_fields=["state", "http_status", "check_at"])
    started(process, attempt, now=now)


def _unknown(attempt: CallAttempt, message: str, now: datetime) -> None:
    if attempt.state == State.REQUESTED:
        attempt.state = State.UNKNOWN
    attempt.error_message = message[:_MESSAGE_LIMIT]
    attempt.check_at = attempt.requested_at + ring_window()
    attempt.save(update_fields=["state", "http_status", "error_message", "check_at"])


def _refused(process: Process, attempt: CallAttempt, code: str, message: str, now: datetime) -> None:
    """Close an attempt that the agent could not take, and go on to the next agent at once."""
    _end_attempt(attempt, State.REFUSED, code, message, now)
    next_try(process, code, message, now=now, attempt=attempt)


def _end_attempt(attempt: CallAttempt, state: str, code: str, message: str, now: datetime) -> None:
    attempt.state, attempt.error_code, attempt.error_message = state, code, message[:_MESSAGE_LIMIT]
    attempt.ended_at, attempt.check_at = now, None
    attempt.save()


# What its events and the lists of calls tell


def rings(attempt_id: UUID, *, now: datetime) -> None:
    """The agent's phone rings: also what the answer to the request did not say."""
    if not CallAttempt.objects.filter(
        id=attempt_id, state__in=[State.REQUESTED, State.ACCEPTED, State.UNKNOWN], ended_at__isnull=True
    ).exists():
        return
    process, attempt = locked(attempt_id)
    if attempt.state in (State.REQUESTED, State.ACCEPTED, State.UNKNOWN) and attempt.ended_at is None:
        attempt.state = State.RINGING
        attempt.check_at = attempt.requested_at + ring_window()
        attempt.save(update_fields=["state", "check_at"])
        started(process, attempt, now=now)
        live.announce("calls")


def agent_answered(attempt_id: UUID, *, now: datetime) -> None:
    """The agent picked up and the customer is dialled: for this process the search for an agent is over."""
    process, attempt = locked(attempt_id)
    if attempt.state not in UNDECIDED:
        return
    _pick_up(process, attempt, now)
    attempt.check_at = now + ANSWERED_CHECK if attempt.ended_at is None else None
    attempt.save()
    if attempt.ended_at is not None:  # the end came first
        _report_end(process, attempt, now)
    live.announce("calls")


def ended(
    attempt_id: UUID,
    *,
    talking_seconds: int,
    agent_picked_up: bool | None,
    at: datetime,
    now: datetime,
    recording_url: str = "",
) -> None:
    """The call is over. `agent_picked_up` None means not known: then it is asked, or taken as no when nobody talked."""
    process, attempt = locked(attempt_id)
    if attempt.state in (State.REFUSED, State.FAILED, State.MISSED):
        return
    if attempt.ended_at is not None and (attempt.state == State.ANSWERED or agent_picked_up is None):
        return
    attempt.ended_at = attempt.ended_at or at
    attempt.talking_seconds = max(talking_seconds, attempt.talking_seconds or 0)
    attempt.recording_url = recording_url or attempt.recording_url
    if attempt.state == State.REQUESTED:
        attempt.state = State.RINGING
    if attempt.state in UNDECIDED:
        started(process, attempt, now=now)
    if attempt.state == State.ANSWERED or talking_seconds > 0 or agent_picked_up:
        if attempt.state != State.ANSWERED:
            _pick_up(process, attempt, at)
        attempt.check_at = None
        attempt.save()
        _report_end(process, attempt, now)
        wake_for_free_agent(attempt.agent, now=now)
    elif agent_picked_up is None:
        attempt.check_at = now  # the detail of the call says whose silence it was
        attempt.save()
        wake.place_calls_soon(attempt.brand_id)
    else:
        _missed(process, attempt, now)
    live.announce("calls")


def no_trace(attempt_id: UUID, *, now: datetime) -> None:
    """Neither events, nor the list of calls, nor the agent's status show a call, and the phone can no longer ring."""
    process, attempt = locked(attempt_id)
    if attempt.state not in UNDECIDED or attempt.ended_at is not None:
        return
    if attempt.state in (State.ACCEPTED, State.RINGING):
        attempt.ended_at = now
        _missed(process, attempt, now)
    else:
        _end_attempt(attempt, State.FAILED, codes.CALL_FAILED, attempt.error_message, now)
        next_try(process, codes.CALL_FAILED, attempt.error_message, now=now, attempt=attempt)
    live.announce("calls")


def give_up_on(attempt_id: UUID, *, now: datetime) -> None:
    """Stop asking about a call that cannot be settled: it stays an attempt, and a person is told (ROU-46)."""
    process, attempt = locked(attempt_id)
    if attempt.ended_at is not None and attempt.state == State.ANSWERED:
        return
    was_answered = attempt.state == State.ANSWERED
    attempt.check_at, attempt.ended_at = None, attempt.ended_at or now
    if not was_answered:
        attempt.state, attempt.error_code = State.FAILED, codes.NOT_CONFIRMED
    attempt.save()
    if was_answered:
        _report_end(process, attempt, now)
    else:
        _exhaust(process, codes.NOT_CONFIRMED, "", now, attempt)
    live.announce("calls")


def _pick_up(process: Process, attempt: CallAttempt, at: datetime) -> None:
    attempt.state = State.ANSWERED
    attempt.agent_answered_at = attempt.agent_answered_at or at
    started(process, attempt, now=at)
    process.state, process.due_at = Process.State.DONE, None
    process.completed_at = process.completed_at or at
    process.save(update_fields=["state", "due_at", "completed_at"])
    _record("call.answered", process, attempt, now=at)


def _report_end(process: Process, attempt: CallAttempt, now: datetime) -> None:
    _record("call.ended", process, attempt, now=now)


def _missed(process: Process, attempt: CallAttempt, now: datetime) -> None:
    attempt.state, attempt.check_at = State.MISSED, None
    attempt.save()
    _record("call.missed", process, attempt, now=now)
    wake_for_free_agent(attempt.agent, now=now)
    next_try(process, codes.NOT_PICKED_UP, "", now=now, attempt=attempt)


# The process


def started(process: Process, attempt: CallAttempt, *, now: datetime) -> None:
    """A call of this process was accepted: the flag callStarted is true from here on."""
    process.due_at = None
    process.state = Process.State.CALLING
    process.agent_id = attempt.agent_id
    fields = ["due_at", "state", "agent_id"]
    if process.success is not True:
        process.success, process.final_status = True, codes.STARTED
        process.error_code = process.error_message = ""
        process.completed_at = now
        fields += ["success", "final_status", "error_code", "error_message", "completed_at"]
        fields += first_outcome(process, now=now)
        process.steps = process.steps | {"callInitiation": {"success": True}}
        fields.append("steps")
        _record("call.started", process, attempt, now=now)
        tracking.append_later([process.id])
    process.save(update_fields=fields)


def next_try(process: Process, code: str, message: str, *, now: datetime, attempt: CallAttempt) -> None:
    """Go on to the next agent at once, or end the round after the third try."""
    if process.state == Process.State.DONE:
        return
    if process.attempts < rules.MAX_TRIES:
        process.state, process.due_at = Process.State.WAITING, now
        process.error_code, process.error_message = code, message[:_MESSAGE_LIMIT]
        process.save(update_fields=["state", "due_at", "error_code", "error_message"])
        wake.place_calls_soon(process.brand_id)
    else:
        end_round(process, code, message, now=now, attempt=attempt)


def end_round(
    process: Process,
    code: str,
    message: str,
    *,
    now: datetime,
    attempt: CallAttempt | None = None,
    may_retry: bool = True,
) -> None:
    """End the tries of this round: a delayed re-try follows (ROU-49), or a person has to call.

    Agents who let it ring are no error: that ends with the visible task, unless others were busy (`may_retry`).
    """
    _note_failure(process, code, message, now)
    delays = settings.ROUTING_RETRY_DELAYS_S
    retryable = code in codes.RETRYABLE or (
        code == codes.NOT_PICKED_UP and process.attempts < rules.MAX_TRIES
    )
    due = None
    if retryable and may_retry and process.delays_used < len(delays):
        due = _in_working_hours(now + timedelta(seconds=delays[process.delays_used]))
    if due is None:
        _exhaust(process, code, message, now, attempt)
        return
    process.state, process.due_at = Process.State.WAITING, due
    process.round, process.delays_used, process.attempts = process.round + 1, process.delays_used + 1, 0
    process.save()


def fail(
    process: Process, code: str, message: str, *, now: datetime, attempt: CallAttempt | None = None
) -> None:
    """End a process for a reason that no other try would change."""
    _note_failure(process, code, message, now)
    process.state, process.due_at, process.completed_at = Process.State.DONE, None, now
    process.save()
    _record("call.failed", process, attempt, now=now, code=code, message=message)
    tracking.append_later([process.id])


def wait(process: Process, *, until: datetime) -> None:
    """Let a process wait for something else than an agent."""
    process.state, process.due_at = Process.State.WAITING, until
    process.save(update_fields=["state", "due_at"])


def contacts_made(steps: Mapping[UUID, dict[str, Any]]) -> None:
    """Note which processes' contacts the provider has, by process: the step contactCreation of routing.md 4.4."""
    if not steps:
        return
    made = [{"id": process_id, "step": {"contactCreation": step}} for process_id, step in steps.items()]
    with connection.cursor() as cursor:
        cursor.execute(
            "update routing_process p set steps = p.steps || (v->'step') from jsonb_array_elements(%s::jsonb) v"
            " where p.id = (v->>'id')::uuid and p.brand_id = %s",
            [orjson.dumps(made).decode(), brand_scope.current()],
        )


def take_back_try(process: Process, *, until: datetime) -> None:
    """Let a process wait for another request to the same agent: the one that was made counts as no try."""
    process.attempts = max(0, process.attempts - 1)
    process.state, process.due_at = Process.State.WAITING, until
    process.save(update_fields=["attempts", "state", "due_at"])


def _exhaust(process: Process, code: str, message: str, now: datetime, attempt: CallAttempt | None) -> None:
    process.state, process.due_at, process.completed_at = Process.State.DONE, None, now
    process.error_code = process.error_code or code
    process.save()
    _record("calls.exhausted", process, attempt, now=now, code=code, message=message)
    if process.success is not True:
        tracking.append_later([process.id])


def _note_failure(process: Process, code: str, message: str, now: datetime) -> None:
    process.error_code, process.error_message = code, message[:_MESSAGE_LIMIT]
    if process.success is not True:
        process.success = False
        process.final_status = code if code in codes.HTTP_STATUS else codes.CALL_FAILED
        first_outcome(process, now=now)
        if code == codes.NO_AGENTS_AVAILABLE:
            process.agent_id = None
            process.steps = process.steps | {"agentDistribution": {"success": False, "error": code}}
        elif code == codes.CONTACT_CREATION_FAILED:
            process.steps = process.steps | {"contactCreation": {"success": False, "error": code}}
        else:
            process.steps = process.steps | {"callInitiation": {"success": False, "error": code}}


def first_outcome(process: Process, *, now: datetime) -> list[str]:
    """Set when the first outcome was known and how long it took; returns the names of the fields it set."""
    if process.answered_at is not None:
        return []
    process.answered_at = now
    process.processing_time_ms = _elapsed_ms(process, now)
    return ["answered_at", "processing_time_ms"]


def _elapsed_ms(process: Process, now: datetime) -> int:
    return max(0, round((now - process.received_at).total_seconds() * 1000))


def _in_working_hours(at: datetime) -> datetime | None:
    brand = Brand.objects.get(id=brand_scope.current())
    return rules.next_open(working_hours(brand), at, ZoneInfo(brand.timezone))


def working_hours(brand: Brand) -> rules.Hours | None:
    """Return the brand's working hours; None, at any hour, when it has set none."""
    return rules.read_hours(brand.settings.get("working_hours"))


def _record(
    kind: str,
    process: Process,
    attempt: CallAttempt | None,
    *,
    now: datetime,
    code: str = "",
    message: str = "",
) -> None:
    data = _data(process, attempt, code=code, message=message)
    events.record(kind=kind, subject_id=process.id, at=now, data=data)


def _data(
    process: Process, attempt: CallAttempt | None, *, code: str = "", message: str = ""
) -> dict[str, Any]:
    user_id = attempt.agent.user_id if attempt is not None else None
    return {
        "process_id": str(process.id),
        "contact_id": str(process.contact_id),
        "lead_event_id": str(process.lead_event_id) if process.lead_event_id else None,
        "attempt_id": str(attempt.id) if attempt is not None else None,
        "agent_id": str(attempt.agent_id) if attempt is not None else None,
        "user_id": str(user_id) if user_id else None,
        "code": code,
        "message": message[:_MESSAGE_LIMIT],
        "talking_seconds": attempt.talking_seconds if attempt is not None else None,
    }


# Agents and the connection


def set_status(
    agent: Agent,
    word: str,
    *,
    at: datetime,
    status_outbound: bool | None = None,
    is_daily_limit_ok: bool | None = None,
) -> bool:
    """Keep the provider's word about an agent; returns whether they became available by it.

    News older than what is known is dropped: lists and events overtake each other.
    """
    if agent.last_status_at is not None and agent.last_status_at > at:
        return False
    outbound = agent.status_outbound if status_outbound is None else status_outbound
    limit_ok = agent.is_daily_limit_ok if is_daily_limit_ok is None else is_daily_limit_ok
    status = rules.own_status(word, status_outbound=outbound, is_daily_limit_ok=limit_ok)
    became_free = status == rules.Status.ONLINE and agent.last_status != rules.Status.ONLINE
    changed = (agent.provider_status, agent.last_status) != (word, status)
    if agent.last_status == rules.Status.ONLINE and status != rules.Status.ONLINE:
        agent.last_available_at = at
    Agent.objects.filter(id=agent.id).update(
        provider_status=word,
        last_status=status,
        status_outbound=outbound,
        is_daily_limit_ok=limit_ok,
        last_status_at=at,
        last_available_at=agent.last_available_at,
    )
    agent.provider_status, agent.last_status, agent.last_status_at = word, status, at
    agent.status_outbound, agent.is_daily_limit_ok = outbound, limit_ok
    if changed:
        live.announce("agents")
    return became_free


def wake_for_free_agent(agent: Agent, *, now: datetime) -> None:
    """An agent may have got free: the lead that waits longest for one goes at once."""
    if agent.last_status == rules.Status.ONLINE:
        wake_waiting(1, now=now)


def wake_waiting(number: int, *, now: datetime) -> None:
    """Let the leads that wait longest for an agent go at once, up to `number`."""
    waiting = (
        # Who is locked is being looked at anyway; waiting for them here could close a circle of locks.
        Process.objects.select_for_update(no_key=True, skip_locked=True)
        .filter(
            state=Process.State.WAITING,
            due_at__gt=now,
            error_code__in=codes.RETRYABLE | {codes.NOT_PICKED_UP},
        )
        .order_by("created_at")[:number]
    )
    if Process.objects.filter(id__in=[process.id for process in waiting]).update(due_at=now):
        wake.place_calls_soon(brand_scope.current())


def disable_connection(message: str, *, now: datetime) -> None:
    """The provider refuses the key: nothing goes out until somebody puts in a good one."""
    reason = gettext_noop("Il centralino rifiuta la chiave")
    Connection.objects.filter(provider="cloudtalk").update(is_enabled=False, disabled_reason=reason)
    alerts.open_alert(alerts.KEY_REFUSED, {"message": message[:_MESSAGE_LIMIT]}, now=now)


def bind(attempt_id: UUID, *, call_uuid: str = "", call_id: str = "") -> None:
    """Tie the provider's ids to an attempt, each once."""
    _process, attempt = locked(attempt_id)
    changes = {}
    if call_uuid and attempt.call_uuid is None:
        changes["call_uuid"] = call_uuid
    if call_id and attempt.call_id is None:
        changes["call_id"] = call_id
    if changes:
        CallAttempt.objects.filter(id=attempt.id).update(**changes)
