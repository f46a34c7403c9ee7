"""The agents of a brand as the rules see them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import orjson
from django.db import connection

from filiera.routing import rules
from filiera.routing.models import CallAttempt
from filiera.routing.rules import Candidate


def candidates() -> list[Candidate]:
    """Return all agents of the brand in the order of the sequence, with their calls under way; one statement.

    Without models: every batch of leads and every look at the calls asks for the whole team.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TEAM)
        return [_read(row) for row in cursor.fetchall()]


# All calls under way are counted once, whatever the planner believes: agent by agent, or joined, it may read all of
# them for each agent, as long as its statistics know of hardly any.
_TEAM: Final = """
with live as materialized (
    select c.agent_id, count(*) as calls from routing_callattempt c
    where c.state in ({live}) and c.ended_at is null group by c.agent_id)
select a.id::text, a.name, a.sort_order, a.provider_agent_id, a.user_id::text, a.is_enabled, a.provider_status,
       a.status_outbound, a.is_daily_limit_ok, a.weight, a.skills, a.schedule::text, a.on_leave_until,
       coalesce(live.calls, 0), a.max_concurrent_calls
from routing_agent a left join live on live.agent_id = a.id
order by a.sort_order, a.provider_agent_id
""".format(live=", ".join(f"'{state.value}'" for state in CallAttempt.LIVE))


def _read(row: tuple[Any, ...]) -> Candidate:
    *plain, skills, schedule, on_leave_until, live_calls, most_calls = row
    return Candidate(*(*plain, frozenset(skills), _hours(schedule), on_leave_until, live_calls, most_calls))


@lru_cache(maxsize=1024)
def _hours(text: str | None) -> rules.Hours | None:
    return rules.read_hours(orjson.loads(text)) if text is not None else None
