"""What the provider's events say, and which call or agent they are about (ROU-68).

There is no fixed payload: the customer names the fields in the provider's dashboard. We recommend one mapping and
accept the names seen in use. Events repeat, overtake each other and get lost; each changes at
most what is not known yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from django.db import OperationalError, transaction

from filiera.platform import brand_scope
from filiera.platform.ids import new_id
from filiera.platform.models import Received
from filiera.routing import areas, outcomes
from filiera.routing.cloudtalk import read_id, read_number, read_seconds
from filiera.routing.models import Agent, CallAttempt

PROVIDER: Final = "cloudtalk"
BATCH: Final = 200
BIND_WITHIN: Final = timedelta(minutes=2)
TALK_AT_MOST: Final = timedelta(hours=4)
# An event may be written down by the provider before our own request has come back and been written.
CLOCKS: Final = timedelta(seconds=5)
SAME_BODY_S: Final = 60

STARTED, RINGING, ANSWERED, ENDED = "call.started", "call.ringing", "call.answered", "call.ended"
RECORDING, STATUS = "recording.uploaded", "user.status_changed"

_EVENT_NAMES: Final[dict[str, str]] = {
    "call_started": STARTED,
    "started": STARTED,
    "ringing_on_agent": RINGING,
    "call_ringing": RINGING,
    "ringing": RINGING,
    "answered": ANSWERED,
    "call_answered": ANSWERED,
    "ended": ENDED,
    "call_ended": ENDED,
    "recording_uploaded": RECORDING,
    "agent_status_changed": STATUS,
    "user_status_changed": STATUS,
}
_ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "event": ("event", "action", "type", "event_name"),
    "call_uuid": ("call_uuid", "uuid", "callUuid"),
    "call_id": ("call_id", "cdr_id", "callId"),
    "external_number": ("external_number", "public_external", "phone", "number", "callee_number"),
    "agent_id": ("agent_id", "user_id", "agentId"),
    "talking_time": ("talking_time", "talkingTime", "billsec"),
    "recording_url": ("recording_url", "recording_link"),
    "direction": ("direction",),
    "status": ("status", "availability_status"),
}

log = areas.logger("lead-to-call:events")


@dataclass(frozen=True, slots=True)
class Signal:
    """An event with our names for what it says; "" and None where it does not say."""

    event: str
    call_uuid: str
    call_id: str
    external_number: str
    agent_id: str
    direction: str
    talking_seconds: int | None
    recording_url: str
    status: str


def read(body: Mapping[str, Any]) -> Signal:
    """Read an event's body, whatever names its fields have; an event we do not know keeps its own name."""

    def value(field: str) -> Any:
        found = next((body[name] for name in _ALIASES[field] if body.get(name) is not None), None)
        return found.replace("\0", "") if isinstance(found, str) else found  # no column of ours takes a NUL

    event = str(value("event") or "").strip().lower()
    event = _EVENT_NAMES.get(event.replace(" ", "_"), event)
    agent_id = value("agent_id")
    if agent_id is None and event == STATUS:
        agent_id = str(body.get("id") or "").replace("\0", "")
    recording = str(value("recording_url") or "")
    return Signal(
        event=event,
        call_uuid=read_id(value("call_uuid"))[:64],
        call_id=read_id(value("call_id"))[:64],
        external_number=read_number(value("external_number")),
        agent_id=read_id(agent_id),
        direction=str(value("direction") or "").strip().lower(),
        talking_seconds=read_seconds(value("talking_time")),
        recording_url=recording if recording.startswith("https://") and len(recording) <= 500 else "",
        status=str(value("status") or "").strip().lower(),
    )


def external_id(body: bytes, signal: Signal | None, *, now: datetime) -> str:
    """Return what makes two deliveries one: (event, call), else the same bytes within a minute.

    A change of status has no id of its own and may truly come back within the minute, so each one counts.
    """
    if signal is not None and signal.event == STATUS:
        return f"{STATUS}:{new_id()}"
    if signal is not None and signal.event and (signal.call_uuid or signal.call_id):
        return f"{signal.event[:64]}:{signal.call_uuid or signal.call_id}"
    return f"{hashlib.sha256(body).hexdigest()}:{int(now.timestamp()) // SAME_BODY_S}"


def parse(body: bytes) -> Signal | None:
    """Return the event in a raw body; None when it is no JSON object."""
    try:
        content = orjson.loads(body)
    except ValueError:
        return None
    return read(content) if isinstance(content, dict) else None


def handle_waiting(brand_id: UUID, *, now: Callable[[], datetime]) -> int:
    """Apply the brand's stored events, oldest first, a batch in one transaction; returns how many."""
    handled = 0
    while True:
        with brand_scope.use(brand_id):
            taken = _handle_batch(now())
        handled += taken
        if taken < BATCH:
            return handled


def _handle_batch(now: datetime) -> int:
    """Apply a batch of events; beside another process that does it too, each is applied by one of the two."""
    waiting = list(
        Received.objects.select_for_update(no_key=True, skip_locked=True)
        .filter(provider=PROVIDER, handled_at__isnull=True)
        .order_by("received_at", "id")[:BATCH]
    )
    of_agents, of_calls = [], []
    for received in waiting:
        signal = parse(bytes(received.body))
        if signal is None:
            received.last_error = "not a JSON object"
        elif signal.event == STATUS:
            of_agents.append((received, signal))
        elif signal.direction != "incoming":
            of_calls.append((received, signal))
    _apply_or_isolate(_change_status, of_agents, now)
    _apply_or_isolate(_tell_calls, of_calls, now)
    Received.objects.filter(id__in=[received.id for received in waiting]).update(handled_at=now)
    for received in waiting:
        if received.last_error:
            Received.objects.filter(id=received.id).update(last_error=received.last_error)
    return len(waiting)


Told = Sequence[tuple[Received, Signal]]


def _apply_or_isolate(apply: Callable[[Told, datetime], None], told: Told, now: datetime) -> None:
    """Apply events together; where that fails, in halves, until the one that cannot be applied stands alone."""
    if not told:
        return
    try:
        with transaction.atomic():
            apply(told, now)
    except OperationalError:
        raise  # the database: all of it comes again
    except Exception as trouble:
        if len(told) > 1:
            middle = len(told) // 2
            _apply_or_isolate(apply, told[:middle], now)
            _apply_or_isolate(apply, told[middle:], now)
            return
        ((received, _signal),) = told
        log.exception("event %s", received.id)
        received.last_error = f"{type(trouble).__name__}: {trouble}"[:2000]


def _change_status(told: Told, now: datetime) -> None:
    known = Agent.objects.filter(provider_agent_id__in=[signal.agent_id for _received, signal in told])
    agents = {agent.provider_agent_id: agent for agent in known.select_for_update(no_key=True).order_by("id")}
    for received, signal in told:
        agent = agents.get(signal.agent_id)
        if agent and signal.status and outcomes.set_status(agent, signal.status, at=received.received_at):
            outcomes.wake_waiting(1, now=now)


def _tell_calls(told: Told, now: datetime) -> None:
    """Tell calls what events say of them: their rows are locked once, and written once, for all of these events."""
    with outcomes.Calls(now=now, attempts=_meant_by(told)) as calls:
        book = _Book(calls.attempts.values())
        for received, signal in told:
            at = received.received_at
            attempt = book.attempt_of(signal, at=at)
            if attempt is None:
                log.debug("%s is about no call of ours", signal.event)
                continue
            log.debug("%s tells about attempt %s", signal.event, attempt.id)
            calls.bind(attempt.id, call_uuid=signal.call_uuid, call_id=signal.call_id)
            book.enter(attempt)
            match signal.event:
                case "call.started" | "call.ringing":
                    calls.rings(attempt.id)
                case "call.answered":
                    calls.agent_answered(attempt.id)
                case "call.ended":
                    calls.ended(
                        attempt.id,
                        talking_seconds=signal.talking_seconds or 0,
                        agent_picked_up=True if signal.talking_seconds else None,
                        at=at,
                        recording_url=signal.recording_url,
                    )
                case "recording.uploaded" if signal.recording_url:
                    calls.recorded(attempt.id, signal.recording_url)


def _meant_by(told: Told) -> set[UUID]:
    """Return the attempts that events can be about: those with their ids, and the unbound ones to their numbers."""
    signals = [signal for _received, signal in told]
    earliest = min(received.received_at for received, _signal in told)
    meant = [
        CallAttempt.objects.filter(call_uuid__in={signal.call_uuid for signal in signals} - {""}),
        CallAttempt.objects.filter(call_id__in={signal.call_id for signal in signals} - {""}),
        CallAttempt.objects.filter(
            number_e164__in={signal.external_number for signal in signals} - {""},
            requested_at__gte=earliest - TALK_AT_MOST,
            call_uuid__isnull=True,
            call_id__isnull=True,
        ),
    ]
    # One statement for each index: the planner would rather read all attempts than combine the three.
    return {attempt_id for attempts in meant for attempt_id in attempts.values_list("id", flat=True)}


class _Book:
    """Some attempts, found by the provider's ids and by number."""

    def __init__(self, attempts: Iterable[CallAttempt]) -> None:
        self._by_uuid: dict[str, CallAttempt] = {}
        self._by_id: dict[str, CallAttempt] = {}
        self._by_number: dict[str, list[CallAttempt]] = {}
        for attempt in attempts:
            self.enter(attempt)
            self._by_number.setdefault(attempt.number_e164, []).append(attempt)

    def enter(self, attempt: CallAttempt) -> None:
        """Note the ids that an attempt is bound to by now."""
        if attempt.call_uuid:
            self._by_uuid[attempt.call_uuid] = attempt
        if attempt.call_id:
            self._by_id[attempt.call_id] = attempt

    def attempt_of(self, signal: Signal, *, at: datetime) -> CallAttempt | None:
        """Return the attempt an event is about: the one its ids are bound to, else the one it can only be.

        That is a call to the same number by the same agent, asked for at most two minutes before and not bound yet;
        the end of one may come as late as people talk. When the event names no agent, only one such call may be
        under way.
        """
        bound = self._by_uuid.get(signal.call_uuid) or self._by_id.get(signal.call_id)
        if bound is not None:
            return bound
        within = TALK_AT_MOST if signal.event == ENDED else BIND_WITHIN
        unbound = [
            attempt
            for attempt in self._by_number.get(signal.external_number, ())
            if attempt.call_uuid is None
            and attempt.call_id is None
            and at - within <= attempt.requested_at <= at + CLOCKS
            and attempt.state != CallAttempt.State.REFUSED
        ]
        if signal.agent_id:
            unbound = [attempt for attempt in unbound if attempt.agent.provider_agent_id == signal.agent_id]
            return max(unbound, key=lambda attempt: (attempt.requested_at, attempt.id), default=None)
        under_way = [attempt for attempt in unbound if attempt.ended_at is None]
        return under_way[0] if len(under_way) == 1 else None
