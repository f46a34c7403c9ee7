"""The verbs of routing: who gets a lead, who is rung, and what an operator changes about it."""

from filiera.routing.commands.agents import (
    create_agent,
    delete_agent,
    request_agents_sync,
    set_agent_enabled,
    update_agent,
)
from filiera.routing.commands.assignment import Assigned, assign
from filiera.routing.commands.calls import CallUnderWay, NoNumber, request_calls, retry_process
from filiera.routing.commands.turn import NothingToUndo, reset_state, set_policy, undo_reset

__all__ = [
    "Assigned",
    "CallUnderWay",
    "NoNumber",
    "NothingToUndo",
    "assign",
    "create_agent",
    "delete_agent",
    "request_agents_sync",
    "request_calls",
    "reset_state",
    "retry_process",
    "set_agent_enabled",
    "set_policy",
    "undo_reset",
    "update_agent",
]
