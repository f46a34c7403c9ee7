"""Choose the agents for due processes and store the attempts to ring them, before any request leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from django.db import connection as database

from filiera.platform import bulk, live
from filiera.platform.ids import new_id
from filiera.routing import codes, outcomes, rules, team, tracking
from filiera.routing.cloudtalk import READ_TIMEOUT_S
from filiera.routing.commands import turn
from filiera.routing.commands.assignment import Subject, record_choices
from filiera.routing.errands import Call
from filiera.routing.models import CallAttempt, Decision, Process, RoutingState
from filiera.routing.rules import Ask, Candidate, Rule

# Longer than any request takes: whoever holds a claimed process that long is dead.
CLAIM_LEASE: Final = timedelta(seconds=READ_TIMEOUT_S + 25)


class _Chosen(NamedTuple):
    """The agent for a process, or nobody; `choice` when it was made anew, now."""

    process: Process
    agent: Candidate | None
    choice: rules.Choice | None


class Begun(NamedTuple):
    """The requests to make, and the processes for which nobody is free until the list of agents has come."""

    calls: list[Call]
    held: list[UUID]


def begin(
    ready: Sequence[Process],
    *,
    zone: ZoneInfo,
    without_contact: Set[UUID],
    list_comes: bool,
    now: datetime,
) -> Begun:
    """Store an attempt for each process, before anything is sent, in an open scope.

    The agent is looked at again: who is not free any more is chosen anew, with a decision of its own. With nobody free
    the round ends; but the contact is made before, and a list of agents on its way is waited for.
    """
    begun = Begun([], [])
    if not ready:
        return begun
    local = now.astimezone(zone)
    team_now = {candidate.id: candidate for candidate in team.candidates()}
    rung = _rung(ready)
    standing: RoutingState | None = None
    state = rules.State()
    chosen: list[_Chosen] = []
    for process in ready:
        tried, same = rung.get(process.id, (frozenset(), None))
        ask = Ask(local, frozenset(process.lead.get("skills", ())), tried)
        agent = team_now.get(same or (str(process.agent_id) if process.round == 0 else ""))
        choice = None
        if agent is None or rules.why_not(agent, ask) is not None:
            if standing is None:
                standing = turn.locked(now)
                state = turn.read(standing)
            rule, version = Rule(standing.policy), standing.rule_version
            choice = rules.decide(ask, team_now.values(), state, rule=rule, version=version)
            state, agent = choice.state_after, choice.agent
            if agent is None and process.id in without_contact:
                continue
            if agent is None and list_comes:
                begun.held.append(process.id)
                continue
        if agent is not None:
            team_now[agent.id] = replace(agent, live_calls=agent.live_calls + 1)
        chosen.append(_Chosen(process, agent, choice))
    live.announce("calls")
    renewed = _record_renewed(chosen, now=now)
    if standing is not None and any(one.agent is not None and one.choice is not None for one in chosen):
        turn.write(standing, state, now=now)
    _end_without_agent([one for one in chosen if one.agent is None], now=now)
    begun.calls.extend(_store_attempts(chosen, renewed, now=now))
    return begun


def _rung(processes: Sequence[Process]) -> dict[UUID, tuple[frozenset[str], str | None]]:
    """Return, per process, the agents tried in its round, and the one who is to be asked again (429, never sent)."""
    rounds = {process.id: process.round for process in processes}
    found: dict[UUID, tuple[frozenset[str], str | None]] = {}
    attempts = CallAttempt.objects.filter(process_id__in=rounds).order_by("requested_at", "id")
    for process_id, agent_id, round_, code in attempts.values_list(
        "process_id", "agent_id", "round", "error_code"
    ):
        if round_ != rounds[process_id]:
            continue
        tried, _same = found.get(process_id, (frozenset(), None))
        agent = str(agent_id)
        found[process_id] = (tried, agent) if code in codes.NO_TRY else (tried | {agent}, None)
    return found


def _record_renewed(chosen: Sequence[_Chosen], *, now: datetime) -> dict[UUID, UUID]:
    """Record the choices that were made anew; returns their decisions by process."""
    anew = [(one.choice, one.process) for one in chosen if one.choice is not None]
    if not anew:
        return {}
    subjects = [Subject(process.contact_id, process.lead_event_id, process.id) for _choice, process in anew]
    recorded = record_choices([choice for choice, _process in anew], subjects, now=now)
    return {
        process.id: decision_id
        for (_choice, process), (decision_id, _sequence) in zip(anew, recorded, strict=True)
    }


def _end_without_agent(left: Sequence[_Chosen], *, now: datetime) -> None:
    with outcomes.Calls(now=now, processes=[one.process for one in left]) as calls:
        for process, _agent, choice in left:
            assert choice is not None
            code = process.error_code if process.attempts else codes.NO_AGENTS_AVAILABLE
            # Agents who let it ring are no error; another round makes sense only when somebody else is merely busy.
            may_retry = code != codes.NOT_PICKED_UP or rules.reason_for(choice) == rules.ALL_BUSY
            calls.end_round(process, code, process.error_message, may_retry=may_retry)


def _store_attempts(chosen: Sequence[_Chosen], renewed: Mapping[UUID, UUID], *, now: datetime) -> list[Call]:
    """Write the attempts; they are committed before their requests leave (ROU-71). Four statements for all."""
    rung = [(one.process, one.agent) for one in chosen if one.agent is not None]
    if not rung:
        return []
    first = _first_decisions([process for process, _agent in rung if process.id not in renewed])
    calls, attempts, processes = [], [], []
    for process, agent in rung:
        attempt_id = new_id()
        decision_id = renewed.get(process.id) or first.get((process.lead_event_id, agent.id))
        attempts.append(
            (
                attempt_id,
                process.brand_id,
                process.id,
                decision_id,
                agent.id,
                process.number_e164,
                process.round,
                now,
                CallAttempt.State.REQUESTED,
                "",
                "",
                "",
                now + CLAIM_LEASE,
            )
        )
        steps = process.steps | {
            "agentDistribution": {
                "success": True,
                "selectedAgentId": tracking.outward_id(agent.provider_agent_id),
                "selectedAgentName": agent.name,
            }
        }
        processes.append({"id": process.id, "agent": agent.id, "steps": steps})
        calls.append(
            Call(
                attempt_id,
                process.id,
                agent.provider_agent_id,
                process.number_e164,
                stored_at=now.timestamp(),
            )
        )
    with database.cursor() as cursor:
        cursor.execute(
            """
            update routing_process p
               set state = %s, due_at = %s, attempts = p.attempts + 1, agent_id = (v->>'agent')::uuid,
                   steps = v->'steps'
              from jsonb_array_elements(%s::jsonb) v
             where p.id = (v->>'id')::uuid and p.id = any(%s::uuid[])
            """,
            [
                Process.State.CALLING,
                now + CLAIM_LEASE,
                orjson.dumps(processes).decode(),
                bulk.uuids(process["id"] for process in processes),
            ],
        )
    bulk.insert(CallAttempt, _ATTEMPT_COLUMNS, attempts)
    return calls


_ATTEMPT_COLUMNS: Final = (
    "id",
    "brand_id",
    "process_id",
    "decision_id",
    "agent_id",
    "number_e164",
    "round",
    "requested_at",
    "state",
    "error_code",
    "error_message",
    "recording_url",
    "check_at",
)


def _first_decisions(processes: Sequence[Process]) -> dict[tuple[UUID | None, str], UUID]:
    """Return the decisions made when the leads arrived: each stands as long as its agent is the one who is rung."""
    if not processes:
        return {}
    made = Decision.objects.filter(
        contact_id__in=[process.contact_id for process in processes],
        lead_event_id__in=[process.lead_event_id for process in processes],
        agent_id__isnull=False,
    ).values_list("lead_event_id", "agent_id", "id")
    return {(lead_event_id, str(agent_id)): pk for lead_event_id, agent_id, pk in made}
