"""What routing adds to a person's thread: who was chosen and why, and every telephone that rang."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from filiera.contacts.timeline import TimelineItem
from filiera.platform import bulk, formats
from filiera.routing import codes
from filiera.routing.models import CallAttempt

State = CallAttempt.State

ICONS = {
    State.ANSWERED: "phone-check",
    State.MISSED: "phone-x",
    State.REFUSED: "phone-off",
    State.FAILED: "phone-off",
}


class _Decision(NamedTuple):
    pk: UUID
    contact_id: UUID
    created_at: datetime
    agent: str
    rule: str
    rule_version: int
    reason: str
    eligible: int
    excluded: int


class _Attempt(NamedTuple):
    pk: UUID
    contact_id: UUID
    requested_at: datetime
    agent: str
    state: str
    is_ended: bool
    http_status: int | None
    error_code: str
    talking_seconds: int | None


def read(contact_ids: Sequence[UUID], limit: int) -> list[TimelineItem]:
    """Return the newest items of these people, `limit` of decisions and of attempts at most, in one statement."""
    ids = bulk.uuids(contact_ids)
    with connection.cursor() as cursor:
        cursor.execute(_BOTH, [ids, limit, ids, limit])
        return [
            _decision(_Decision(key, contact_id, at, agent or "", *orjson.loads(facts)))
            if is_decision
            else _attempt(_Attempt(key, contact_id, at, agent or "", *orjson.loads(facts)))
            for is_decision, key, contact_id, at, agent, facts in cursor.fetchall()
        ]


_BOTH: Final = """
(select false, c.id, p.contact_id, c.requested_at, a.name, jsonb_build_array(
            c.state, c.ended_at is not null, c.http_status, c.error_code, c.talking_seconds)::text
 from routing_process p
 join routing_callattempt c on c.process_id = p.id
 left join routing_agent a on a.id = c.agent_id
 where p.contact_id = any(%s::uuid[]) order by c.requested_at desc, c.id desc limit %s)
union all
(select true, d.id, d.contact_id, d.created_at, a.name, jsonb_build_array(
            d.rule, d.rule_version, d.reason,
            (select count(*) from jsonb_array_elements(d.candidates) one where coalesce(one->>'why', '') = ''),
            (select count(*) from jsonb_array_elements(d.candidates) one where one->>'why' <> ''))::text
 from routing_decision d left join routing_agent a on a.id = d.agent_id
 where d.contact_id = any(%s::uuid[]) order by d.created_at desc, d.id desc limit %s)
"""


def _decision(decision: _Decision) -> TimelineItem:
    eligible, excluded = decision.eligible, decision.excluded
    pool = ngettext("%(n)s candidato", "%(n)s candidati", eligible) % {"n": eligible}
    out = ngettext("%(n)s escluso", "%(n)s esclusi", excluded) % {"n": excluded}
    chosen = decision.agent
    return TimelineItem(
        at=decision.created_at,
        kind="decision.made",
        icon="route",
        title=_("Assegnato a %(name)s") % {"name": chosen} if chosen else _("Nessun agente poteva riceverlo"),
        detail=f"{pool}, {out}.",
        rule=decision.rule,
        link=f"{reverse('lead-why', args=[decision.contact_id])}?decisione={decision.pk}",
        subject_id=decision.pk,
        contact_id=decision.contact_id,
        data={
            "rule": decision.rule,
            "rule_version": decision.rule_version,
            "agent": chosen,
            "reason": decision.reason,
        },
    )


def _attempt(attempt: _Attempt) -> TimelineItem:
    ringing = not attempt.is_ended and attempt.state in (State.ACCEPTED, State.RINGING)
    until = attempt.requested_at + timedelta(seconds=settings.ROUTING_RING_S) if ringing else None
    return TimelineItem(
        at=attempt.requested_at,
        kind="call.attempted",
        icon="phone-call" if ringing else ICONS.get(State(attempt.state), "phone"),
        title=_sentence(attempt) % {"name": attempt.agent},
        detail=_detail(attempt),
        rule="routing",
        subject_id=attempt.pk,
        contact_id=attempt.contact_id,
        data={
            "state": attempt.state,
            "agent": attempt.agent,
            "http_status": attempt.http_status,
            "error_code": attempt.error_code,
            "talking_seconds": attempt.talking_seconds,
            "rings_until": until.isoformat() if until else None,
        },
    )


def _sentence(attempt: _Attempt) -> str:
    if attempt.is_ended and attempt.state in (State.ACCEPTED, State.RINGING):
        return _("Ha squillato il telefono di %(name)s")
    return {
        State.REQUESTED: _("Chiediamo al centralino di far squillare %(name)s"),
        State.ACCEPTED: _("Il telefono di %(name)s squilla"),
        State.RINGING: _("Il telefono di %(name)s squilla"),
        State.ANSWERED: _("%(name)s ha risposto allo squillo"),
        State.MISSED: _("%(name)s non ha risposto allo squillo"),
        State.REFUSED: _("Il centralino non ha fatto squillare %(name)s"),
        State.UNKNOWN: _("Non sappiamo se ha squillato %(name)s: lo verifichiamo"),
        State.FAILED: _("La chiamata a %(name)s non è riuscita"),
    }[State(attempt.state)]


def _detail(attempt: _Attempt) -> str:
    parts = []
    if attempt.talking_seconds:
        length = formats.clock(attempt.talking_seconds)
        parts.append(_("In conversazione %(length)s.") % {"length": length})
    if attempt.error_code in codes.SENTENCES:
        parts.append(f"{codes.SENTENCES[attempt.error_code]}.")
    if attempt.http_status:
        parts.append(
            _("Il centralino ha risposto con il codice %(status)s.") % {"status": attempt.http_status}
        )
    return " ".join(parts)
