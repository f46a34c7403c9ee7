"""Whose turn it is: the one row per brand that every choice locks, reads and moves on (ROU-06)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from filiera.identity.models import User
from filiera.platform import brand_scope, events, live
from filiera.platform.refusals import Invalid, Refused
from filiera.routing.models import RoutingState
from filiera.routing.rules import Rule, State

UNDO_FOR: Final = timedelta(minutes=10)


class NothingToUndo(Refused):
    """There is no reset to take back, or it is too old."""


def locked(now: datetime) -> RoutingState:
    """Return the brand's row under its lock, made when missing; the lock is held until the transaction ends."""
    brand_id = brand_scope.current()
    turn = RoutingState.objects.select_for_update(no_key=True).filter(brand_id=brand_id).first()
    if turn is None:
        RoutingState.objects.bulk_create(
            [RoutingState(brand_id=brand_id, updated_at=now)], ignore_conflicts=True
        )
        turn = RoutingState.objects.select_for_update(no_key=True).get(brand_id=brand_id)
    return turn


def read(turn: RoutingState) -> State:
    """Return the row as the rules see it."""
    return State.from_json(
        {
            "last": str(turn.last_agent_id) if turn.last_agent_id else None,
            "sort": turn.last_sort_order,
            "n": turn.total_assigned,
            "credits": turn.credits,
        }
    )


def write(turn: RoutingState, state: State, *, now: datetime) -> None:
    """Keep what the rules made of the state."""
    turn.last_agent_id = UUID(state.last) if state.last else None
    turn.last_sort_order = state.last_sort_order
    turn.total_assigned = state.total
    turn.credits = state.credits_json()
    turn.last_assigned_at = turn.updated_at = now
    turn.save(
        update_fields=[
            "last_agent_id",
            "last_sort_order",
            "total_assigned",
            "credits",
            "last_assigned_at",
            "updated_at",
        ]
    )


@transaction.atomic
def reset_state(*, user: User | None, now: datetime) -> RoutingState:
    """Start the turn again from the first agent, with no credits (ROU-33). Can be taken back for ten minutes."""
    turn = locked(now)
    turn.before_reset = read(turn).as_json() | {"reset_at": turn.reset_at and turn.reset_at.isoformat()}
    turn.last_agent_id, turn.last_sort_order, turn.credits = None, None, {}
    turn.reset_at, turn.reset_by, turn.updated_at = now, user, now
    turn.save()
    events.record(kind="routing.reset", subject_id=turn.brand_id, at=now, data=_by(user))
    live.announce("agents")
    return turn


@transaction.atomic
def undo_reset(*, user: User | None, now: datetime) -> RoutingState:
    """Give the turn back what the last reset threw away. Raises NothingToUndo.

    Leads assigned since then keep their agents; the turn goes on from where it stood before the reset.
    """
    turn = locked(now)
    if not turn.before_reset or turn.reset_at is None or now - turn.reset_at > UNDO_FOR:
        raise NothingToUndo(_("Non c’è più un azzeramento da annullare."))
    before = State.from_json(turn.before_reset)
    turn.last_agent_id = UUID(before.last) if before.last else None
    turn.last_sort_order, turn.credits = before.last_sort_order, before.credits_json()
    previous = turn.before_reset.get("reset_at")
    turn.reset_at = datetime.fromisoformat(previous) if previous else None
    turn.before_reset, turn.updated_at = None, now
    turn.save()
    events.record(kind="routing.reset_undone", subject_id=turn.brand_id, at=now, data=_by(user))
    live.announce("agents")
    return turn


@transaction.atomic
def set_policy(*, policy: str, user: User | None, now: datetime) -> RoutingState:
    """Choose the rule of the brand; its version grows when it changes. Raises Invalid."""
    if policy not in set(Rule):
        raise Invalid(
            _("Questa regola non c’è."), details={"policy": [_("Scegli a turno o credito pesato.")]}
        )
    turn = locked(now)
    if turn.policy != policy:
        turn.policy, turn.rule_version = policy, turn.rule_version + 1
        turn.rule_since, turn.rule_by, turn.updated_at = now, user, now
        turn.save()
        events.record(
            kind="routing.policy_changed",
            subject_id=turn.brand_id,
            at=now,
            data=_by(user) | {"policy": policy, "version": turn.rule_version},
        )
        live.announce("agents")
    return turn


def _by(user: User | None) -> dict[str, str | None]:
    return {"user_id": str(user.id) if user else None}
