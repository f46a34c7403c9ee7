"""What becomes of calls: the provider's answers, its events and its lists all end here, under the rows' locks.

`Calls` takes any number of them together: their rows are locked, changed in memory by plain rules, and written with a
fixed number of statements. It is used in an open brand scope; whatever it is told may come twice and in any order, and
then changes nothing. Processes are locked before attempts, always, so that an answer and an event about one call take
turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection
from django.utils.translation import gettext_noop

from filiera.identity.models import Brand
from filiera.platform import brand_scope, bulk, events, live
from filiera.routing import alerts, codes, rules, tracking, wake
from filiera.routing.calendar import WorkingTime
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
# What changes of a row after it was made.
_PROCESS_COLUMNS: Final = (
    *("state", "due_at", "round", "delays_used", "attempts", "success", "final_status", "processing_time_ms"),
    *("steps", "agent_id", "error_code", "error_message", "answered_at", "completed_at"),
)
_ATTEMPT_COLUMNS: Final = (
    *(
        "requested_at",
        "http_status",
        "state",
        "error_code",
        "error_message",
        "check_at",
        "call_uuid",
        "call_id",
    ),
    *("agent_answered_at", "talking_seconds", "recording_url", "ended_at"),
)
_STATUS_COLUMNS: Final = (
    *("provider_status", "last_status", "status_outbound", "is_daily_limit_ok"),
    *("last_status_at", "last_available_at"),
)


def ring_window() -> timedelta:
    """How long an accepted call may ring the agent, with a margin for the provider's events."""
    return timedelta(seconds=settings.ROUTING_RING_S + settings.ROUTING_RING_MARGIN_S)


class _Happened(NamedTuple):
    at: datetime
    kind: str
    process_id: UUID
    data: dict[str, Any]


class Calls:
    """Some calls under their locks; what is told of them is written when the `with` ends without an exception.

    `attempts` names call attempts, which are locked with their processes; `processes` are rows that the caller has
    locked or claimed. `now` is the moment of all of it.
    """

    def __init__(
        self, *, now: datetime, attempts: Iterable[UUID] = (), processes: Iterable[Process] = ()
    ) -> None:
        self.now = now
        self.processes = {process.id: process for process in processes}
        self.attempts: dict[UUID, CallAttempt] = {}
        self._changed: dict[UUID, CallAttempt | Process] = {}
        self._happened: list[_Happened] = []
        self._finished: list[UUID] = []
        self._free_agents = 0
        self._is_due = False
        self._lock(set(attempts))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._write()

    def _lock(self, attempt_ids: set[UUID]) -> None:
        if not attempt_ids:
            return
        mine = CallAttempt.objects.filter(id__in=attempt_ids)
        # Asked one after the other: together, the planner reads a whole brand to find ten of its rows.
        wanted = list(mine.values_list("process_id", flat=True))
        processes = Process.objects.select_for_update(no_key=True).filter(id__in=wanted)
        self.processes |= {process.id: process for process in processes.order_by("id")}
        attempts = mine.select_for_update(no_key=True, of=("self",)).select_related("agent").order_by("id")
        self.attempts = {attempt.id: attempt for attempt in attempts}

    def _write(self) -> None:
        changed = self._changed.values()
        bulk.update(CallAttempt, _ATTEMPT_COLUMNS, [row for row in changed if isinstance(row, CallAttempt)])
        bulk.update(Process, _PROCESS_COLUMNS, [row for row in changed if isinstance(row, Process)])
        events.record_all(
            [(one.kind, one.process_id, one.data) for one in self._happened],
            at=[one.at for one in self._happened],
        )
        if self._finished:
            tracking.append_later(self._finished)
        if self._free_agents:
            wake_waiting(self._free_agents, now=self.now)
        if self._is_due:
            wake.place_calls_soon(brand_scope.current())
        if self._changed:
            live.announce("calls")

    def _of(self, attempt_id: UUID) -> tuple[Process, CallAttempt]:
        attempt = self.attempts[attempt_id]
        return self.processes[attempt.process_id], attempt

    def _keep(self, *rows: CallAttempt | Process) -> None:
        self._changed |= {row.id: row for row in rows}

    # The answer to a call request (ROU-67)

    def never_asked(self, attempt_id: UUID) -> Process:
        """Close an attempt whose request was never made; returns its process without the try."""
        process, attempt = self._of(attempt_id)
        self._end_attempt(attempt, State.FAILED, codes.NOT_SENT, "")
        process.attempts = max(0, process.attempts - 1)
        self._keep(process)
        return process

    def answered_request(
        self, attempt_id: UUID, result: CallResult, *, sent_at: datetime | None = None
    ) -> None:
        """Take the provider's answer to a call request. What its events said meanwhile weighs more than the answer.

        `sent_at` is when the request really left, if that was later than the attempt was stored: ringing counts
        from it.
        """
        process, attempt = self._of(attempt_id)
        self._keep(attempt)
        if sent_at is not None and sent_at > attempt.requested_at:
            attempt.requested_at = sent_at
        is_first = attempt.http_status is None
        if is_first:
            attempt.http_status = result.http_status
        if not is_first or attempt.state not in UNDECIDED or attempt.ended_at is not None:
            return
        match result:
            case CallAccepted():
                if attempt.state in (State.REQUESTED, State.UNKNOWN):
                    attempt.state = State.ACCEPTED
                attempt.check_at = attempt.requested_at + ring_window()
                self._started(process, attempt, self.now)
            case CallUnknown(message=message):
                if attempt.state == State.REQUESTED:
                    attempt.state = State.UNKNOWN
                attempt.error_message = message[:_MESSAGE_LIMIT]
                attempt.check_at = attempt.requested_at + ring_window()
            case _ if attempt.state != State.REQUESTED:
                pass  # an event has already shown that the phone rings
            case AgentUnavailable(message=message):
                self._refused(process, attempt, codes.AGENT_NOT_AVAILABLE, message)
            case AgentBusy(message=message):
                self._refused(process, attempt, codes.AGENT_BUSY, message)
            case AgentUnknown(message=message):
                set_status(attempt.agent, "", at=self.now)
                condition = alerts.unknown_agent(attempt.agent_id)
                alerts.open_alert(condition, {"agent": attempt.agent.name}, now=self.now)
                self._refused(process, attempt, codes.AGENT_NOT_AVAILABLE, message)
            case NumberRejected(message=message):
                self._end_attempt(attempt, State.REFUSED, codes.INVALID_PHONE, message)
                self.fail(process, codes.INVALID_PHONE, message, attempt=attempt)
            case RateLimited(reset_at=reset_at):
                self._end_attempt(attempt, State.REFUSED, codes.RATE_LIMITED, "")
                self._take_back_try(process, until=reset_at or self.now + timedelta(seconds=60))
            case KeyRejected(message=message):
                self._end_attempt(attempt, State.REFUSED, codes.CALL_FAILED, message)
                disable_connection(message, now=self.now)
                self.fail(process, codes.CALL_FAILED, message, attempt=attempt)
            case CallRefused(message=message):
                self._end_attempt(attempt, State.REFUSED, codes.CALL_FAILED, message)
                self.fail(process, codes.CALL_FAILED, message, attempt=attempt)
            case NotSent(message=message):
                self._end_attempt(attempt, State.FAILED, codes.NOT_SENT, message)
                self._take_back_try(process, until=self.now + RETRY_SOON)

    def _refused(self, process: Process, attempt: CallAttempt, code: str, message: str) -> None:
        """Close an attempt that the agent could not take, and go on to the next agent at once."""
        self._end_attempt(attempt, State.REFUSED, code, message)
        self._next_try(process, code, message, attempt)

    def _end_attempt(self, attempt: CallAttempt, state: str, code: str, message: str) -> None:
        attempt.state, attempt.error_code, attempt.error_message = state, code, message[:_MESSAGE_LIMIT]
        attempt.ended_at, attempt.check_at = self.now, None
        self._keep(attempt)

    # What its events and the lists of calls tell

    def bind(self, attempt_id: UUID, *, call_uuid: str = "", call_id: str = "") -> None:
        """Tie the provider's ids to an attempt, each once."""
        _process, attempt = self._of(attempt_id)
        if call_uuid and attempt.call_uuid is None:
            attempt.call_uuid = call_uuid
            self._keep(attempt)
        if call_id and attempt.call_id is None:
            attempt.call_id = call_id
            self._keep(attempt)

    def rings(self, attempt_id: UUID) -> None:
        """The agent's phone rings: also what the answer to the request did not say."""
        process, attempt = self._of(attempt_id)
        if attempt.state in (State.REQUESTED, State.ACCEPTED, State.UNKNOWN) and attempt.ended_at is None:
            attempt.state = State.RINGING
            attempt.check_at = attempt.requested_at + ring_window()
            self._keep(attempt)
            self._started(process, attempt, self.now)

    def agent_answered(self, attempt_id: UUID) -> None:
        """The agent picked up and the customer is dialled: for this process the search for an agent is over."""
        process, attempt = self._of(attempt_id)
        if attempt.state not in UNDECIDED:
            return
        self._pick_up(process, attempt, self.now)
        attempt.check_at = self.now + ANSWERED_CHECK if attempt.ended_at is None else None
        if attempt.ended_at is not None:  # the end came first
            self._record("call.ended", process, attempt)

    def ended(
        self,
        attempt_id: UUID,
        *,
        talking_seconds: int,
        agent_picked_up: bool | None,
        at: datetime,
        recording_url: str = "",
    ) -> None:
        """The call is over. `agent_picked_up` None: not known; then it is asked, or taken as no when nobody talked."""
        process, attempt = self._of(attempt_id)
        if attempt.state in (State.REFUSED, State.FAILED, State.MISSED):
            return
        if attempt.ended_at is not None and (attempt.state == State.ANSWERED or agent_picked_up is None):
            return
        self._keep(attempt)
        attempt.ended_at = attempt.ended_at or at
        attempt.talking_seconds = max(talking_seconds, attempt.talking_seconds or 0)
        attempt.recording_url = recording_url or attempt.recording_url
        if attempt.state == State.REQUESTED:
            attempt.state = State.RINGING
        if attempt.state in UNDECIDED:
            self._started(process, attempt, self.now)
        if attempt.state == State.ANSWERED or talking_seconds > 0 or agent_picked_up:
            if attempt.state != State.ANSWERED:
                self._pick_up(process, attempt, at)
            attempt.check_at = None
            self._record("call.ended", process, attempt)
            self._may_be_free(attempt.agent)
        elif agent_picked_up is None:
            attempt.check_at = self.now  # the detail of the call says whose silence it was
            self._is_due = True
        else:
            self._missed(process, attempt)

    def recorded(self, attempt_id: UUID, recording_url: str) -> None:
        """Keep where the conversation can be heard."""
        _process, attempt = self._of(attempt_id)
        attempt.recording_url = recording_url
        self._keep(attempt)

    def asks_about(self, attempt_id: UUID, *, again_at: datetime) -> None:
        """The lists are asked about a call whose end nobody told; once more at `again_at`, should no answer come."""
        _process, attempt = self._of(attempt_id)
        if attempt.state == State.REQUESTED:  # whoever asked died before the answer: it may have been sent
            attempt.state = State.UNKNOWN
        attempt.check_at = again_at
        self._keep(attempt)

    def check_again(self, attempt_id: UUID, *, at: datetime | None) -> None:
        """Ask about a call again at `at` (None: never), unless it needs no question any more."""
        _process, attempt = self._of(attempt_id)
        if attempt.check_at is not None:
            attempt.check_at = at
            self._keep(attempt)

    def no_trace(self, attempt_id: UUID) -> None:
        """Neither events, nor the list of calls, nor the agent's status show a call, and no phone can ring any more."""
        process, attempt = self._of(attempt_id)
        if attempt.state not in UNDECIDED or attempt.ended_at is not None:
            return
        if attempt.state in (State.ACCEPTED, State.RINGING):
            attempt.ended_at = self.now
            self._missed(process, attempt)
        else:
            self._end_attempt(attempt, State.FAILED, codes.CALL_FAILED, attempt.error_message)
            self._next_try(process, codes.CALL_FAILED, attempt.error_message, attempt)

    def give_up_on(self, attempt_id: UUID) -> None:
        """Stop asking about a call that cannot be settled: it stays an attempt, and a person is told (ROU-46)."""
        process, attempt = self._of(attempt_id)
        if attempt.ended_at is not None and attempt.state == State.ANSWERED:
            return
        was_answered = attempt.state == State.ANSWERED
        attempt.check_at, attempt.ended_at = None, attempt.ended_at or self.now
        self._keep(attempt)
        if was_answered:
            self._record("call.ended", process, attempt)
        else:
            attempt.state, attempt.error_code = State.FAILED, codes.NOT_CONFIRMED
            self._exhaust(process, codes.NOT_CONFIRMED, "", attempt)

    def _pick_up(self, process: Process, attempt: CallAttempt, at: datetime) -> None:
        attempt.state = State.ANSWERED
        attempt.agent_answered_at = attempt.agent_answered_at or at
        self._started(process, attempt, at)
        process.state, process.due_at = Process.State.DONE, None
        process.completed_at = process.completed_at or at
        self._keep(process, attempt)
        self._record("call.answered", process, attempt, at=at)

    def _missed(self, process: Process, attempt: CallAttempt) -> None:
        attempt.state, attempt.check_at = State.MISSED, None
        self._keep(attempt)
        self._record("call.missed", process, attempt)
        self._may_be_free(attempt.agent)
        self._next_try(process, codes.NOT_PICKED_UP, "", attempt)

    def _may_be_free(self, agent: Agent) -> None:
        """An agent may have got free: the lead that waits longest for one goes at once."""
        self._free_agents += agent.last_status == rules.Status.ONLINE

    # The process

    def _started(self, process: Process, attempt: CallAttempt, at: datetime) -> None:
        """A call of this process was accepted: the flag callStarted is true from here on."""
        process.due_at, process.state, process.agent_id = None, Process.State.CALLING, attempt.agent_id
        if process.success is not True:
            process.success, process.final_status = True, codes.STARTED
            process.error_code = process.error_message = ""
            process.completed_at = at
            _first_outcome(process, at)
            process.steps = process.steps | {"callInitiation": {"success": True}}
            self._record("call.started", process, attempt, at=at)
            self._finished.append(process.id)
        self._keep(process)

    def _next_try(self, process: Process, code: str, message: str, attempt: CallAttempt) -> None:
        """Go on to the next agent at once, or end the round after the third try."""
        if process.state == Process.State.DONE:
            return
        if process.attempts < rules.MAX_TRIES:
            process.state, process.due_at = Process.State.WAITING, self.now
            process.error_code, process.error_message = code, message[:_MESSAGE_LIMIT]
            self._keep(process)
            self._is_due = True
        else:
            self.end_round(process, code, message, attempt=attempt)

    def end_round(
        self,
        process: Process,
        code: str,
        message: str,
        *,
        attempt: CallAttempt | None = None,
        may_retry: bool = True,
    ) -> None:
        """End the tries of this round: a delayed re-try follows (ROU-49), or a person has to call.

        Agents who let it ring are no error: that ends with the visible task, unless others were busy (`may_retry`).
        """
        self._note_failure(process, code, message)
        delays = settings.ROUTING_RETRY_DELAYS_S
        retryable = code in codes.RETRYABLE or (
            code == codes.NOT_PICKED_UP and process.attempts < rules.MAX_TRIES
        )
        due = None
        if retryable and may_retry and process.delays_used < len(delays):
            due = _in_working_hours(self.now + timedelta(seconds=delays[process.delays_used]))
        if due is None:
            self._exhaust(process, code, message, attempt)
            return
        process.state, process.due_at = Process.State.WAITING, due
        process.round, process.delays_used, process.attempts = process.round + 1, process.delays_used + 1, 0

    def fail(self, process: Process, code: str, message: str, *, attempt: CallAttempt | None = None) -> None:
        """End a process for a reason that no other try would change."""
        self._note_failure(process, code, message)
        process.state, process.due_at, process.completed_at = Process.State.DONE, None, self.now
        self._record("call.failed", process, attempt, code=code, message=message)
        self._finished.append(process.id)

    def wait(self, process: Process, *, until: datetime) -> None:
        """Let a process wait for something else than an agent."""
        process.state, process.due_at = Process.State.WAITING, until
        self._keep(process)

    def _take_back_try(self, process: Process, *, until: datetime) -> None:
        """Let a process wait for another request to the same agent: the one that was made counts as no try."""
        process.attempts = max(0, process.attempts - 1)
        self.wait(process, until=until)

    def _exhaust(self, process: Process, code: str, message: str, attempt: CallAttempt | None) -> None:
        process.state, process.due_at, process.completed_at = Process.State.DONE, None, self.now
        process.error_code = process.error_code or code
        self._keep(process)
        self._record("calls.exhausted", process, attempt, code=code, message=message)
        if process.success is not True:
            self._finished.append(process.id)

    def _note_failure(self, process: Process, code: str, message: str) -> None:
        self._keep(process)
        process.error_code, process.error_message = code, message[:_MESSAGE_LIMIT]
        if process.success is True:
            return
        process.success = False
        process.final_status = code if code in codes.HTTP_STATUS else codes.CALL_FAILED
        _first_outcome(process, self.now)
        step = "callInitiation"
        if code == codes.NO_AGENTS_AVAILABLE:
            process.agent_id, step = None, "agentDistribution"
        elif code == codes.CONTACT_CREATION_FAILED:
            step = "contactCreation"
        process.steps = process.steps | {step: {"success": False, "error": code}}

    def _record(
        self,
        kind: str,
        process: Process,
        attempt: CallAttempt | None,
        *,
        at: datetime | None = None,
        code: str = "",
        message: str = "",
    ) -> None:
        user_id = attempt.agent.user_id if attempt is not None else None
        data = {
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
        self._happened.append(_Happened(at or self.now, kind, process.id, data))


def contacts_made(steps: Mapping[UUID, dict[str, Any]]) -> None:
    """Note which processes' contacts the provider has, by process: the step contactCreation of routing.md 4.4."""
    if not steps:
        return
    made = [{"id": process_id, "step": {"contactCreation": step}} for process_id, step in steps.items()]
    with connection.cursor() as cursor:
        cursor.execute(
            "update routing_process p set steps = p.steps || (v->'step') from jsonb_array_elements(%s::jsonb) v"
            " where p.id = (v->>'id')::uuid and p.id = any(%s::uuid[])",
            [orjson.dumps(made).decode(), bulk.uuids(steps)],
        )


def _first_outcome(process: Process, at: datetime) -> None:
    """Set when the first outcome was known and how long it took, once."""
    if process.answered_at is None:
        process.answered_at = at
        process.processing_time_ms = max(0, round((at - process.received_at).total_seconds() * 1000))


def _in_working_hours(at: datetime) -> datetime | None:
    return WorkingTime.of(Brand.objects.get(id=brand_scope.current())).next_open(at)


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
    news = AgentNews(agent, word, status_outbound, is_daily_limit_ok)
    return set_statuses([news], at=at) == 1


class AgentNews(NamedTuple):
    """The provider's word about an agent; of what is None it said nothing."""

    agent: Agent
    word: str
    status_outbound: bool | None = None
    is_daily_limit_ok: bool | None = None


def set_statuses(told: Iterable[AgentNews], *, at: datetime) -> int:
    """Keep the provider's word about agents, as `set_status` does; returns how many became available by it."""
    became_free = 0
    has_changed = False
    heard_of = []
    for agent, word, status_outbound, is_daily_limit_ok in told:
        if agent.last_status_at is not None and agent.last_status_at > at:
            continue
        outbound = agent.status_outbound if status_outbound is None else status_outbound
        limit_ok = agent.is_daily_limit_ok if is_daily_limit_ok is None else is_daily_limit_ok
        status = rules.own_status(word, status_outbound=outbound, is_daily_limit_ok=limit_ok)
        became_free += status == rules.Status.ONLINE and agent.last_status != rules.Status.ONLINE
        has_changed |= (agent.provider_status, agent.last_status) != (word, status)
        if agent.last_status == rules.Status.ONLINE and status != rules.Status.ONLINE:
            agent.last_available_at = at
        agent.provider_status, agent.last_status, agent.last_status_at = word, str(status), at
        agent.status_outbound, agent.is_daily_limit_ok = outbound, limit_ok
        heard_of.append(agent)
    bulk.update(Agent, _STATUS_COLUMNS, heard_of)
    if has_changed:
        live.announce("agents")
    return became_free


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
