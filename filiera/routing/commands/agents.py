"""Agents: who they are, when they take leads, and what the provider says about them (ROU-47, ROU-48)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max, ProtectedError
from django.utils import timezone
from django.utils.translation import gettext as _
from procrastinate.exceptions import AlreadyEnqueued

from filiera.identity.models import User, UserRole
from filiera.platform import brand_scope, live
from filiera.platform.jobs import app
from filiera.platform.refusals import Invalid, Missing, Refused
from filiera.routing import outcomes, rules
from filiera.routing.cloudtalk import AgentInfo
from filiera.routing.models import Agent, RoutingState

_MOST_AGENTS: Final = 500
_CHANGEABLE: Final = frozenset(
    {
        "name",
        "extension",
        "user_id",
        "is_enabled",
        "on_leave_until",
        "sort_order",
        "weight",
        "skills",
        "schedule",
        "max_concurrent_calls",
    }
)


class AgentExists(Refused):
    """Another agent of the brand has this id at the provider."""


class AgentHasHistory(Refused):
    """An agent who has had leads stays, so that the decisions about them can be read."""


def agent_of(agent_id: UUID, *, lock: bool = False) -> Agent:
    """Return an agent of the open brand. Raises Missing."""
    agents = Agent.objects.select_for_update(no_key=True) if lock else Agent.objects
    found = agents.filter(id=agent_id).first()
    if found is None:
        raise Missing(_("Questo agente non c’è."))
    return found


@transaction.atomic
def create_agent(*, provider_agent_id: str, name: str, **changes: Any) -> Agent:
    """Add an agent at the end of the sequence unless a place is given. Raises Invalid, AgentExists."""
    provider_agent_id, name = _storable(provider_agent_id), _storable(name)
    missing = {
        field: [_("Serve.")]
        for field, value in (("provider_agent_id", provider_agent_id), ("name", name))
        if not value
    }
    if missing:
        raise Invalid(_("Alcuni campi non vanno bene."), details=missing)
    if len(provider_agent_id) > 64 or len(name) > 255:
        raise Invalid(_("Il nome o il numero di agente è troppo lungo."))
    if Agent.objects.count() >= _MOST_AGENTS:
        raise Refused(_("Ci sono già 500 agenti: più di così non li distribuiamo bene."))
    changes.setdefault("sort_order", (Agent.objects.aggregate(last=Max("sort_order"))["last"] or 0) + 1)
    agent = Agent(provider_agent_id=provider_agent_id, name=name)
    _apply(agent, changes)
    try:
        with transaction.atomic():
            agent.save(force_insert=True)
    except IntegrityError as clash:
        raise AgentExists(_("C’è già un agente con questo numero.")) from clash
    live.announce("agents")
    return agent


@transaction.atomic
def update_agent(*, agent_id: UUID, changes: dict[str, Any]) -> Agent:
    """Change some fields of an agent. Raises Missing, Invalid."""
    agent = agent_of(agent_id, lock=True)
    _apply(agent, changes)
    agent.save()
    live.announce("agents")
    return agent


def set_agent_enabled(*, agent_id: UUID, is_enabled: bool) -> Agent:
    """Let an agent take leads, or not. Raises Missing."""
    return update_agent(agent_id=agent_id, changes={"is_enabled": is_enabled})


@transaction.atomic
def delete_agent(*, agent_id: UUID) -> None:
    """Remove an agent who never had a lead. Raises Missing, AgentHasHistory."""
    agent = agent_of(agent_id, lock=True)
    RoutingState.objects.filter(last_agent=agent).update(last_agent=None)
    try:
        with transaction.atomic():
            agent.delete()
    except (IntegrityError, ProtectedError) as kept:
        raise AgentHasHistory(
            _("%(name)s ha già avuto dei lead. Spegnilo: la storia resta e non ne riceve altri.")
            % {"name": agent.name}
        ) from kept
    live.announce("agents")


def request_agents_sync() -> None:
    """Have the provider's list of agents read by a job: agents we do not know yet are added, switched on."""
    brand_id = brand_scope.current()
    with contextlib.suppress(AlreadyEnqueued), transaction.atomic():
        app.configure_task("routing.sync_agents", queueing_lock=f"agents:{brand_id}").defer(
            brand_id=str(brand_id)
        )


@transaction.atomic
def take_agents_list(listed: Sequence[AgentInfo], *, read_at: datetime, add_new: bool = False) -> None:
    """Keep what the provider's list says about our agents; who is not in it any more is not available.

    `read_at` is when the list was asked for: events that came later know better. Leads that wait for somebody go at
    once, one for each agent who became available.
    """
    known = {
        agent.provider_agent_id: agent
        for agent in Agent.objects.select_for_update(no_key=True).order_by("id")
    }
    told = []
    for info in listed:
        agent = known.pop(info.id, None)
        if agent is None:
            if add_new:
                _add_listed(info, read_at)
            continue
        told.append(outcomes.AgentNews(agent, info.status, info.status_outbound, info.is_daily_limit_ok))
        if add_new and info.extension is not None and agent.extension != info.extension:
            Agent.objects.filter(id=agent.id).update(extension=info.extension)
    told += [outcomes.AgentNews(agent, "") for agent in known.values()]
    if became_free := outcomes.set_statuses(told, at=read_at):
        outcomes.wake_waiting(became_free, now=timezone.now())
    if add_new:
        live.announce("agents")


def _add_listed(info: AgentInfo, read_at: datetime) -> None:
    agent = create_agent(provider_agent_id=info.id, name=info.name or info.id, extension=info.extension)
    outcomes.set_status(
        agent,
        info.status,
        at=read_at,
        status_outbound=info.status_outbound,
        is_daily_limit_ok=info.is_daily_limit_ok,
    )


def _apply(agent: Agent, changes: dict[str, Any]) -> None:
    """Set the fields after checking them. Raises Invalid with a sentence per field."""
    faults: dict[str, list[str]] = {
        field: [_("Questo campo non si cambia.")] for field in changes.keys() - _CHANGEABLE
    }
    for field, value in changes.items():
        if field in _CHANGEABLE and (fault := _fault(field, value)):
            faults[field] = [fault]
    if faults:
        raise Invalid(_("Alcuni campi non vanno bene."), details=faults)
    for field, value in changes.items():
        if field == "skills":
            agent.skills = sorted({skill.lower() for each in value if (skill := _storable(each))})
        elif field == "name":
            agent.name = _storable(value)
        else:
            setattr(agent, field, value)


def _fault(field: str, value: Any) -> str | None:
    """Return what is wrong with a value, or None."""
    match field:
        case "name" if not (isinstance(value, str) and 0 < len(_storable(value)) <= 255):
            return _("Serve un nome, di al massimo 255 caratteri.")
        case "weight" if not _whole(value, 1, rules.MAX_WEIGHT):
            return _("Il peso va da 1 a 1000.")
        case "max_concurrent_calls" if not _whole(value, 1, 10_000):
            return _("Le chiamate insieme vanno da 1 in su.")
        case "extension" if value is not None and not _whole(value, 0, 2**31 - 1):
            return _("L’interno è un numero.")
        case "sort_order" if not _whole(value, -(2**31), 2**31 - 1):
            return _("Il posto nel turno è un numero.")
        case "is_enabled" if not isinstance(value, bool):
            return _("Sì o no.")
        case "on_leave_until" if value is not None and not isinstance(value, date):
            return _("Serve una data.")
        case "skills" if not (
            isinstance(value, list)
            and len(value) <= 50
            and all(isinstance(s, str) and len(s) <= 100 for s in value)
        ):
            return _("Serve un elenco di parole.")
        case "schedule":
            return _schedule_fault(value)
        case "user_id" if value is not None and not _works_here(value):
            return _("Questa persona non lavora in questo marchio.")
    return None


def _storable(text: str) -> str:
    """Return a text as the database can hold it: without NUL, half characters and space around it."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode().strip()


def _schedule_fault(value: Any) -> str | None:
    try:
        rules.read_hours(value)
    except (ValueError, TypeError, AttributeError):
        return _("Gli orari si scrivono come 09:00–13:00, senza sovrapporsi.")
    return None


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _works_here(user_id: Any) -> bool:
    return User.objects.filter(id=user_id, is_active=True, id__in=UserRole.objects.values("user_id")).exists()
