"""Reads that several rooms share on one page. Each is a fixed number of statements on leading-brand indexes."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import orjson
from django.db import connection

from filiera.capture.models import Submission
from filiera.pipeline.models import LeadEvent
from filiera.routing.models import Agent


@dataclass(frozen=True, slots=True)
class Around:
    """What the frame of every page shows of its person and brand.

    `ringing` counts the telephones that ring now in each of the person's brands; `to_recover` and `unread` are counted
    up to a limit; `agent` is who the person is at the exchange, with no more than what says whether they are free.
    """

    ringing: dict[UUID, int]
    to_recover: int
    unread: int
    agent: Agent | None


def around(user_id: UUID, *, most: int) -> Around:
    """Read what stands around every page, in one statement; requests and notices are counted up to `most`.

    What rings in other brands is out of sight, so one function of the schema's owner counts it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_AROUND, [user_id, _TO_RECOVER, most, user_id, most, user_id])
        ringing, to_recover, unread, agent = cursor.fetchone() or ("{}", 0, 0, None)
    return Around(
        {UUID(brand_id): number for brand_id, number in orjson.loads(ringing).items()},
        to_recover,
        unread,
        Agent(**orjson.loads(agent)) if agent else None,
    )


_TO_RECOVER: Final = [Submission.Status.DEAD.value, Submission.Status.REJECTED.value]
_AROUND: Final = """
select (select coalesce(jsonb_object_agg(brand_id, ringing), '{}')::text from workspace_ringing_for(%s)),
       (select count(*) from (select from capture_submission where status = any(%s) limit %s) waiting),
       (select count(*) from (
           select from identity_notification where user_id = %s and read_at is null limit %s
       ) notices),
       (select jsonb_build_object('id', id, 'last_status', last_status, 'provider_status', provider_status,
                                  'is_enabled', is_enabled)::text
        from routing_agent where user_id = %s order by sort_order limit 1)
"""


def has_any_lead() -> bool:
    """Say whether the brand ever had a lead: until then pages explain how the first one comes."""
    return LeadEvent.objects.exists()
