"""A brand with a source and agents that are online, and a way to let requests come in."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from django.utils import timezone

from filiera.capture.models import MarketingSource, Source, Submission
from filiera.platform.ids import new_id
from filiera.routing.models import Agent

NOON = datetime(2026, 1, 14, 11, 0, tzinfo=UTC)

Receive = Callable[..., Submission]


@pytest.fixture
def source(in_vegliasi: Any) -> Source:
    site = MarketingSource.objects.create(name="Sito")
    return Source.objects.create(
        name="landing-vegliasi", kind="landing", auth_mode="public", marketing_source=site, auto_call=True
    )


@pytest.fixture
def agents(in_vegliasi: Any, people: Any) -> list[Agent]:
    """Teodora (who is Bea's user), Oreste and Fiamma, all online at the provider."""
    now = timezone.now()
    return [
        Agent.objects.create(
            name=name,
            provider_agent_id=str(493933 + place),
            extension=1001 + place,
            sort_order=place,
            last_status="online",
            provider_status="online",
            last_status_at=now,
            user=people.bea if place == 0 else None,
        )
        for place, name in enumerate(("Teodora Vanzi", "Oreste Belluno", "Fiamma Corradi"))
    ]


@pytest.fixture
def receive(source: Source) -> Receive:
    """Store a request of the landing form as the accept path leaves it."""

    def store(*, request_id: str = "", **fields: Any) -> Submission:
        body = {
            "nome": "Adele",
            "cognome": "Brunetti",
            "email": "adele@posta.example",
            "telefono": "+39 351 000 4127",
        }
        submission_id = new_id()
        now = timezone.now()
        return Submission.objects.create(
            id=submission_id,
            source=source,
            request_id=request_id or f"req-{submission_id}",
            lead_id=f"LEAD_1_{submission_id}",
            method="POST",
            path="/api/lead",
            content_type="application/json",
            body=orjson.dumps(body | fields),
            body_hash="0" * 64,
            received_at=now,
            visible_at=now,
        )

    return store
