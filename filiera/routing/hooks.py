"""What the provider's events say, and which call or agent they are about (ROU-68).

There is no fixed payload: the customer names the fields in the provider's dashboard. We recommend one mapping and
accept the names seen in use. Events repeat, overtake each other and get lost; each changes at
most what is not known yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from django.db import OperationalError, transaction
from django.db.models import Q

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
        return next((body[name] for name in _ALIASES[field] if body.get(name) is not None), None)

    event = str(value("event") or "").strip().lower()
    event = _EVENT_NAMES.get(event.replace(" ", "_"), event)
    agent_id = value("agent_id")
    if agent_id is None and event == STATUS:
        agent_id = body.get("id")
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
        return f"{signal.event}:{signal.call_uuid or signal.call_id}"
    return f"{hashlib.sha256(body).hexdigest()}:{int(now.timestamp()) // SAME_BODY_S}"


def parse(body: bytes) -> Signal | None:
    """Return the event in a raw body; None when it is no JSON object."""
    try:
        content = orjson.loads(body)
    except ValueError:
        return None
    return read(content) if isinstance(content, dict) else None


def handle_waiting(brand_id: UUID, *, now: Callable[[], datetime]) -> int:
    """Apply the brand's stored events, oldest first, those of one call together; returns how many.

    Each call's events are one short transaction, so that no two locks are ever held together.
    """
    handled = 0
    while True:
        with brand_scope.use(brand_id):
            waiting = list(
                Received.objects.filter(provider=PROVIDER, handled_at__isnull=True)
                .order_by("received_at", "id")
                .values_list("id", "body")[:BATCH]
            )
        if not waiting:
            return handled
        groups: dict[str, list[UUID]] = {}
        for received_id, body in waiting:
            signal = parse(bytes(body))
            key = (signal.call_uuid or signal.call_id or signal.agent_id) if signal else ""
            groups.setdefault(key or str(received_id), []).append(received_id)
        for received_ids in groups.values():
            with brand_scope.use(brand_id):
                handled += _handle_together(received_ids, now=now())


def _handle_together(received_ids: Sequence[UUID], *, now: datetime) -> int:
    """Apply events that belong together; again, or beside another process that does it, changes nothing."""
    mine = list(
        Received.objects.select_for_update(no_key=True, skip_locked=True)
        .filter(id__in=received_ids, handled_at__isnull=True)
        .order_by("received_at", "id")
    )
    faults = {}
    for received in mine:
        try:
            with transaction.atomic():
                fault = _apply(received, now=now)
        except OperationalError:
            raise  # the database: all of it comes again
        except Exception as trouble:  # one event that we cannot read must not stop the others
            log.exception("event %s", received.id)
            fault = f"{type(trouble).__name__}: {trouble}"
        if fault:
            faults[received.id] = fault[:2000]
    Received.objects.filter(id__in=[received.id for received in mine]).update(handled_at=now)
    for received_id, fault in faults.items():
        Received.objects.filter(id=received_id).update(last_error=fault)
    return len(mine)


def _apply(received: Received, *, now: datetime) -> str:
    """Apply one event; returns what is wrong with it, "" when nothing is."""
    signal = parse(bytes(received.body))
    if signal is None:
        return "not a JSON object"
    if signal.event == STATUS:
        _change_status(signal, at=received.received_at, now=now)
    else:
        _tell_call(signal, at=received.received_at, now=now)
    return ""


def _change_status(signal: Signal, *, at: datetime, now: datetime) -> None:
    agent = (
        Agent.objects.select_for_update(no_key=True).filter(provider_agent_id=signal.agent_id).first()
        if signal.agent_id and signal.status
        else None
    )
    if agent is not None and outcomes.set_status(agent, signal.status, at=at):
        outcomes.wake_waiting(1, now=now)


def _tell_call(signal: Signal, *, at: datetime, now: datetime) -> None:
    attempt = None if signal.direction == "incoming" else _attempt_of(signal, at=at)
    if attempt is None:
        log.debug("%s is about no call of ours", signal.event)
        return
    log.debug("%s tells about attempt %s", signal.event, attempt.id)
    if (signal.call_uuid and attempt.call_uuid is None) or (signal.call_id and attempt.call_id is None):
        outcomes.bind(attempt.id, call_uuid=signal.call_uuid, call_id=signal.call_id)
    match signal.event:
        case "call.started" | "call.ringing":
            outcomes.rings(attempt.id, now=now)
        case "call.answered":
            outcomes.agent_answered(attempt.id, now=now)
        case "call.ended":
            outcomes.ended(
                attempt.id,
                talking_seconds=signal.talking_seconds or 0,
                agent_picked_up=True if signal.talking_seconds else None,
                at=at,
                now=now,
                recording_url=signal.recording_url,
            )
        case "recording.uploaded" if signal.recording_url:
            CallAttempt.objects.filter(id=attempt.id).update(recording_url=signal.recording_url)


def _attempt_of(signal: Signal, *, at: datetime) -> CallAttempt | None:
    """Return the attempt an event is about: the one its ids are bound to, else the one it can only be.

    That is a call to the same number by the same agent, asked for at most two minutes before and not bound yet; the
    end of one may come as late as people talk. When the event names no agent, only one such call may be under way.
    """
    bound = Q()
    if signal.call_uuid:
        bound |= Q(call_uuid=signal.call_uuid)
    if signal.call_id:
        bound |= Q(call_id=signal.call_id)
    if bound:
        found = CallAttempt.objects.filter(bound).first()
        if found is not None:
            return found
    if not signal.external_number:
        return None
    within = TALK_AT_MOST if signal.event == ENDED else BIND_WITHIN
    unbound = CallAttempt.objects.filter(
        number_e164=signal.external_number,
        requested_at__gte=at - within,
        requested_at__lte=at + CLOCKS,
        call_uuid__isnull=True,
        call_id__isnull=True,
    ).exclude(state__in=[CallAttempt.State.REFUSED])
    if signal.agent_id:
        return (
            unbound.filter(agent__provider_agent_id=signal.agent_id).order_by("-requested_at", "-id").first()
        )
    under_way = list(unbound.filter(ended_at__isnull=True)[:2])
    return under_way[0] if len(under_way) == 1 else None
