"""Submissions that bring ids only: fetch what the sender tells about them, then let them wait for the worker.

Read the ids and the token, ask outside any transaction, save: three steps, so that a slow provider holds no row.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from django.conf import settings
from django.db import connection
from django.utils import timezone

from filiera.capture import commands, documents, intake, meta_graph, queue
from filiera.capture.meta_graph import MetaRejected, MetaUnavailable
from filiera.capture.models import Submission
from filiera.platform import brand_scope, live

log = logging.getLogger("filiera.capture.lookups")

PER_BATCH = 50
AT_ONCE = 8
RETRY_DELAYS_S = (30, 120, 600)


@dataclass(frozen=True, slots=True)
class _Asked:
    submission: Submission
    lead_ids: list[str]
    token: str


def run(*, worker: str) -> int:
    """Look up everything that waits and is due; return how many submissions were claimed."""
    claimed = 0
    while batch := queue.claim(PER_BATCH, now=timezone.now(), worker=worker, lookup=True):
        claimed += len(batch)
        asked = [_asked(submission) for submission in batch]
        told = asyncio.run(_ask_all(asked))
        for one, answer in zip(asked, told, strict=True):
            _keep(one.submission, answer, timezone.now())
    return claimed


def _asked(submission: Submission) -> _Asked:
    with brand_scope.use(submission.brand_id):
        adapter = intake.adapter_of(submission.source.kind)
        token = commands.access_token_of(submission.source_id)
    document = documents.parse(bytes(submission.body), submission.content_type or "application/json")
    return _Asked(submission, adapter.lookups(document), token)


async def _ask_all(asked: list[_Asked]) -> list[dict[str, Any] | Exception]:
    at_once = asyncio.Semaphore(AT_ONCE)
    async with meta_graph.client() as client:

        async def ask(one: _Asked) -> dict[str, Any] | Exception:
            async with at_once:
                return await _ask(client, one)

        return await asyncio.gather(*map(ask, asked))


async def _ask(client: httpx.AsyncClient, one: _Asked) -> dict[str, Any] | Exception:
    if not one.token:
        return MetaRejected("META_TOKEN", "the source has no access token")
    try:
        return await meta_graph.leads(
            client, base_url=settings.META_GRAPH_URL, lead_ids=one.lead_ids, token=one.token
        )
    except (MetaUnavailable, MetaRejected) as trouble:
        return trouble


def _keep(submission: Submission, told: dict[str, Any] | Exception, now: datetime) -> None:
    with brand_scope.use(submission.brand_id):
        if isinstance(told, MetaRejected):
            queue.give_up(submission, reason=told.code, error=str(told), now=now)
        elif isinstance(told, Exception):
            asked_s = told.wait_s if isinstance(told, MetaUnavailable) else 0.0
            delay_s = RETRY_DELAYS_S[min(submission.attempts, len(RETRY_DELAYS_S) - 1)]
            queue.fail(submission, error=str(told), now=now, delay_s=max(asked_s, delay_s))
        else:
            _ready(submission, told, now)


def _ready(submission: Submission, told: dict[str, Any], now: datetime) -> None:
    """Put a submission into the queue with what was told about it; whoever lost its lease leaves it alone."""
    held = queue.held([submission])
    if held.update(
        retrieved=told,
        needs_lookup=False,
        queue_state=Submission.Queue.READY,
        attempts=0,
        visible_at=now,
        leased_by="",
        leased_until=None,
    ):
        with connection.cursor() as cursor:
            cursor.execute("select pg_notify(%s, '')", [commands.ARRIVED])
        live.announce("inbound")
