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


# One look into the index of live attempts for each agent: grouping them all reads the table, once it is small enough.
_TEAM: Final = """
select a.id::text, a.name, a.sort_order, a.provider_agent_id, a.user_id::text, a.is_enabled, a.provider_status,
       a.status_outbound, a.is_daily_limit_ok, a.weight, a.skills, a.schedule::text, a.on_leave_until,
       (select count(*) from routing_callattempt c
        where c.agent_id = a.id and c.state in ({live}) and c.ended_at is null),
       a.max_concurrent_calls
from routing_agent a
order by a.sort_order, a.provider_agent_id
""".format(live=", ".join(f"'{state.value}'" for state in CallAttempt.LIVE))


def _read(row: tuple[Any, ...]) -> Candidate:
    *plain, skills, schedule, on_leave_until, live_calls, most_calls = row
    return Candidate(*(*plain, frozenset(skills), _hours(schedule), on_leave_until, live_calls, most_calls))


@lru_cache(maxsize=1024)
def _hours(text: str | None) -> rules.Hours | None:
    return rules.read_hours(orjson.loads(text)) if text is not None else None
