"""POST /api/ghl-webhooks/new-contact: accept the contact, then answer with what became of its call (ROU-15 … ROU-21).

The lead is stored before anything else happens. The answer waits for the worker at most `ROUTING_ANSWER_LIMIT_MS`;
beyond it the sender hears 202 and the process goes on.
"""

import asyncio
import time
from typing import Any
from uuid import UUID

import orjson
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from django.conf import settings
from django.db import close_old_connections

from filiera.capture import intake
from filiera.capture.accept import AcceptPath, Reply, Stored, json_reply, not_allowed, send_reply
from filiera.capture.models import Submission
from filiera.platform import brand_scope
from filiera.routing import queries as routing

PREFIX, LAST = "/api/ghl-webhooks/", "new-contact"
PLAIN_SOURCE = "ghl"
FIRST_LOOK_S, LONGEST_PAUSE_S = 0.02, 0.2

Answer = tuple[int, dict[str, Any]]


class NewContactDoor:
    """The ASGI door of the contacts that GoHighLevel sends, plain or with the name of the brand's source."""

    def __init__(self, accept: AcceptPath) -> None:
        self.accept = accept

    def handles(self, path: str) -> bool:
        """Say whether the path is this door: …/new-contact or …/{sourceName}/new-contact."""
        return self._source_of(path) is not None

    async def __call__(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["method"] == "OPTIONS":
            await self.accept(scope, receive, send)
            return
        if scope["method"] != "POST":
            await send_reply(send, not_allowed(b"POST, OPTIONS"))
            return
        started = time.monotonic()
        source_name = self._source_of(scope["path"]) or PLAIN_SOURCE
        taken = await self.accept.ingest(scope, receive, source_name=source_name)
        reply = json_reply(taken)
        if isinstance(taken, Stored) and taken.status == intake.REJECTED:
            reply = Reply(400, orjson.dumps(_nobody_to_reach(taken)), reply.headers)
        elif isinstance(taken, Stored):
            limit_s = settings.ROUTING_ANSWER_LIMIT_MS / 1000
            status, body = await _result(taken, until=started + limit_s)
            lead_id = taken.answer.get("leadId", "")
            reply = Reply(status, orjson.dumps(body | {"leadId": lead_id}), reply.headers)
        await send_reply(send, reply)

    def _source_of(self, path: str) -> str | None:
        if not path.startswith(PREFIX) or not path.endswith(LAST):
            return None
        match path[len(PREFIX) :].split("/"):
            case [_]:
                return PLAIN_SOURCE
            case [name, _]:
                return name
            case _:
                return None


def _nobody_to_reach(taken: Stored) -> dict[str, Any]:
    """Return the refusal of a contact without phone and e-mail; it stays in the inbound log (CAP-77)."""
    return {
        "success": False,
        "message": f"Lead-to-Call fallito: {routing.error_sentence('MISSING_PHONE')}",
        "error": "MISSING_PHONE",
        "steps": {"contactCreated": False, "agentSelected": False, "callStarted": False},
        "leadId": taken.answer.get("leadId", ""),
    }


async def _result(taken: Stored, *, until: float) -> Answer:
    """Return the answer as soon as it is certain; at `until` (monotonic seconds) the one of a process that goes on."""
    pause_s = FIRST_LOOK_S
    while True:
        is_certain, answer = await asyncio.to_thread(_look, taken.brand_id, taken.submission_id)
        left_s = until - time.monotonic()
        if is_certain or left_s <= 0:
            return answer
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)


def _look(brand_id: UUID, submission_id: UUID) -> tuple[bool, Answer]:
    """Return whether the outcome is certain, and the answer that fits what is known."""
    try:
        with brand_scope.use(brand_id):
            process = routing.process_for(submission_id=submission_id)
            if process is not None:
                status, body = routing.process_answer(process)
                return status != 202, (status, body)
            submission = Submission.objects.only("queue_state").get(id=submission_id)
            taken_in = submission.queue_state not in {Submission.Queue.READY, Submission.Queue.LEASED}
            return taken_in, routing.process_answer(None)
    finally:
        close_old_connections()
