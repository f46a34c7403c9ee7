"""The agents of a brand as the rules see them."""

from __future__ import annotations

from django.db.models import Count, IntegerField, OuterRef, Subquery
from django.db.models.functions import Coalesce

from filiera.routing import rules
from filiera.routing.models import Agent, CallAttempt
from filiera.routing.rules import Candidate


def candidates() -> list[Candidate]:
    """Return all agents of the brand in the order of the sequence, with their calls under way; one statement."""
    under_way = (
        CallAttempt.objects.filter(agent=OuterRef("pk"), state__in=CallAttempt.LIVE, ended_at__isnull=True)
        .order_by()
        .values("agent")
        .annotate(number=Count("pk"))
        .values("number")
    )
    agents = Agent.objects.annotate(
        live_calls=Coalesce(Subquery(under_way, output_field=IntegerField()), 0)
    ).order_by("sort_order", "provider_agent_id")
    return [candidate(agent, live_calls=agent.live_calls) for agent in agents]


def candidate(agent: Agent, *, live_calls: int = 0) -> Candidate:
    """Return an agent as the rules see it."""
    return Candidate(
        id=str(agent.id),
        name=agent.name,
        sort_order=agent.sort_order,
        provider_agent_id=agent.provider_agent_id,
        user_id=str(agent.user_id) if agent.user_id else None,
        is_enabled=agent.is_enabled,
        provider_status=agent.provider_status,
        status_outbound=agent.status_outbound,
        is_daily_limit_ok=agent.is_daily_limit_ok,
        weight=agent.weight,
        skills=frozenset(agent.skills),
        hours=rules.read_hours(agent.schedule),
        on_leave_until=agent.on_leave_until,
        live_calls=live_calls,
        max_concurrent_calls=agent.max_concurrent_calls,
    )
