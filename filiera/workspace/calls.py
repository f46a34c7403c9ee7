"""How a call went, in a word: one place that reads processes and attempts for the pages that compose them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from filiera.platform import formats
from filiera.platform.prepared import Prepared
from filiera.routing import codes
from filiera.routing.models import CallAttempt, Process

FIRST_CONTACT_S = 300
"""The promise to who asks: somebody calls within five minutes."""

RINGING = (CallAttempt.State.ACCEPTED, CallAttempt.State.RINGING)
BAD_NUMBER = frozenset({codes.INVALID_PHONE, codes.MISSING_PHONE})


@dataclass(frozen=True, slots=True)
class Outcome:
    """A tag: tone, icon and words. `who` is the agent's name; `mine` tells that it is the person who looks."""

    tone: str
    icon: str
    words: str
    who: str = ""
    mine: bool = False
    is_ringing: bool = False


def outcome(
    process: Process | None, attempt: CallAttempt | None, *, me: UUID, now: datetime
) -> Outcome | None:
    """Return how the call about a lead stands or went; None when none was asked for.

    `attempt` is the latest of the process, with its agent.
    """
    if process is None:
        return None
    agent = attempt.agent if attempt else process.agent
    who, mine = (agent.name, agent.user_id == me) if agent else ("", False)
    if attempt and attempt.ended_at is None:
        if attempt.state in RINGING:
            return Outcome("live", "phone-call", _("Squilla"), who, mine, is_ringing=True)
        if attempt.state == CallAttempt.State.ANSWERED:
            return Outcome("live", "headset", _("In chiamata"), who, mine)
        if attempt.state == CallAttempt.State.REQUESTED:
            return Outcome("live", "phone-outgoing", _("Sta per squillare"), who, mine)
        if attempt.state == CallAttempt.State.UNKNOWN:
            return Outcome("warn", "clock", _("Lo verifichiamo"), who, mine)
    if attempt and attempt.state == CallAttempt.State.ANSWERED:
        if attempt.talking_seconds == 0:  # the agent was there, the customer did not pick up
            return Outcome("hold", "phone-incoming", _("Non ha risposto"), who, mine)
        talked = formats.clock(attempt.talking_seconds or 0)
        return Outcome("ok", "phone-check", _("Risposto, %(length)s") % {"length": talked}, who, mine)
    if process.state != Process.State.DONE:
        return _waiting(process, now)
    if process.error_code in BAD_NUMBER or process.final_status in BAD_NUMBER:
        return Outcome("bad", "phone-x", _("Numero non valido"))
    if attempt and attempt.state == CallAttempt.State.MISSED:
        return Outcome("hold", "phone-incoming", _("Da richiamare"), who, mine)
    if process.error_code == codes.NOT_ALLOWED:
        return Outcome("hold", "phone-off", _("Non si può chiamare"))
    if process.success:
        return Outcome("", "phone", _("Chiamata partita"), who, mine)
    return Outcome("bad", "phone-off", _("Chiamata non riuscita"), who, mine)


def _waiting(process: Process, now: datetime) -> Outcome:
    if process.due_at and process.due_at > now + timedelta(seconds=60):
        when = formats.moment(process.due_at, now)
        return Outcome("warn", "clock", _("Riprova %(when)s") % {"when": when})
    return Outcome("warn", "clock", _("Aspetta un agente"))


def rings_until(attempt: CallAttempt) -> datetime:
    """Return when an agent's telephone stops ringing."""
    return attempt.requested_at + timedelta(seconds=settings.ROUTING_RING_S)


def latest_of(contact_id: UUID) -> tuple[Process | None, CallAttempt | None]:
    """Return the latest process of a person and the latest attempt of it, in two statements at most."""
    process = _PROCESS.first(contact_id)
    return process, _ATTEMPT.first(process.pk) if process else None


_PROCESS = Prepared(
    lambda one: Process.objects.filter(contact_id=one).select_related("agent").order_by("-created_at")[:1]
)
_ATTEMPT = Prepared(
    lambda one: (
        CallAttempt.objects.filter(process_id=one)
        .select_related("agent")
        .exclude(error_code__in=codes.NO_TRY)
        .order_by("-requested_at")[:1]
    )
)


def latest_attempts(processes: Iterable[Process]) -> dict[UUID, CallAttempt]:
    """Return the latest attempt of each process, with its agent, in one statement."""
    ids = [process.pk for process in processes]
    if not ids:
        return {}
    attempts = (
        CallAttempt.objects.filter(process__in=ids)
        .select_related("agent")
        .exclude(error_code__in=codes.NO_TRY)
        .order_by("process", "-requested_at")
        .distinct("process")
    )
    return {attempt.process_id: attempt for attempt in attempts}


def latest_processes(contact_ids: Iterable[UUID]) -> dict[UUID, Process]:
    """Return the latest process of each person, with its agent, in one statement."""
    processes = (
        Process.objects.filter(contact__in=list(contact_ids))
        .select_related("agent")
        .only(
            *("contact_id", "state", "due_at", "error_code", "final_status", "success"),
            *("agent__name", "agent__user_id"),
        )
        .order_by("contact", "-created_at")
        .distinct("contact")
    )
    return {process.contact_id: process for process in processes}
