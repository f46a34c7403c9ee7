"""What the pipeline adds to a person's thread: leads that came, deals that moved, what people did."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from django.db import connection
from django.utils.translation import gettext as _

from filiera.contacts.models import LeadState
from filiera.contacts.timeline import TimelineItem
from filiera.pipeline.models import Activity, StageHistory
from filiera.platform import bulk

ICONS = {
    Activity.Type.CHIAMATA.value: "phone",
    Activity.Type.VISITA.value: "map-pin",
    Activity.Type.PREVENTIVO.value: "file-invoice",
    Activity.Type.ORDINE.value: "shopping-cart",
    Activity.Type.RIFIUTO.value: "x",
    Activity.Type.EMAIL.value: "mail",
    Activity.Type.NOTA.value: "note",
}


def read(contact_ids: Sequence[UUID], limit: int) -> list[TimelineItem]:
    """Return the newest items of these people, `limit` of each part at most, in one statement."""
    ids = bulk.uuids(contact_ids)
    with connection.cursor() as cursor:
        cursor.execute(_ALL, [ids, limit] * len(_PARTS))
        return [
            _TOLD[part](_Row(at, contact_id, subject_id, user_id, name or "", orjson.loads(facts)))
            for part, at, contact_id, subject_id, user_id, name, facts in cursor.fetchall()
        ]


class _Row(NamedTuple):
    """What every part has: its moment, whose it is, what it is about and who did it; `facts` is what differs."""

    at: datetime
    contact_id: UUID
    subject_id: UUID
    user_id: UUID | None
    name: str
    facts: dict[str, Any]


_PARTS: Final = (
    """
    select 'lead', e.received_at, e.contact_id, e.id, null::uuid, null::text, jsonb_build_object(
               'source', e.source, 'marketing_source', coalesce(m.name, ''), 'service', e.requested_service,
               'package', e.requested_package, 'wants_contract', e.wants_contract,
               'wants_brochure', e.wants_brochure, 'occurred_at', e.occurred_at,
               'submission_id', e.submission_id, 'is_test', e.is_test, 'message', e.message)::text
    from pipeline_leadevent e left join capture_marketingsource m on m.id = e.marketing_source_id
    where e.contact_id = any(%s::uuid[]) order by e.received_at desc, e.id desc limit %s
    """,
    """
    select 'move', h.entered_at, d.contact_id, d.id, h.changed_by_user_id, u.name, jsonb_build_object(
               'stage', s.name, 'state', s.lead_state, 'reason', h.change_reason, 'title', d.title,
               'by', h.changed_by, 'lost_reason', d.lost_reason)::text
    from pipeline_deal d
    join pipeline_stagehistory h on h.deal_id = d.id
    join pipeline_stage s on s.id = h.stage_id
    left join identity_user u on u.id = h.changed_by_user_id
    where d.contact_id = any(%s::uuid[]) order by h.entered_at desc, h.id desc limit %s
    """,
    """
    select 'reopening', c.reopened_at, d.contact_id, d.id, c.reopened_by_user_id, u.name, '{}'
    from pipeline_deal d
    join pipeline_dealclosing c on c.deal_id = d.id
    left join identity_user u on u.id = c.reopened_by_user_id
    where d.contact_id = any(%s::uuid[]) and c.reopened_at is not null order by c.reopened_at desc limit %s
    """,
    """
    select 'activity', case a.status when 'planned' then a.created_at else coalesce(a.occurred_at, a.created_at) end,
           a.contact_id, a.id, a.user_id, u.name, jsonb_build_object(
               'type', a.type, 'status', a.status, 'scheduled_at', a.scheduled_at, 'outcome', a.outcome,
               'direction', a.direction, 'talking_seconds', a.talking_seconds, 'title', a.title, 'note', a.note,
               'origin', a.origin)::text
    from pipeline_activity a left join identity_user u on u.id = a.user_id
    where a.contact_id = any(%s::uuid[]) and a.status <> 'cancelled' order by a.created_at desc, a.id desc limit %s
    """,
)
_ALL: Final = " union all ".join(f"({part})" for part in _PARTS)


def _lead(row: _Row) -> TimelineItem:
    message = row.facts.pop("message")
    return TimelineItem(
        at=row.at,
        kind="lead.received",
        icon="forms",
        title=_("Ha mandato una richiesta"),
        detail=message,
        subject_id=row.subject_id,
        contact_id=row.contact_id,
        data=row.facts,
    )


def _move(row: _Row) -> TimelineItem:
    facts = row.facts
    stage, state, by, lost_reason = facts["stage"], facts["state"], facts.pop("by"), facts.pop("lost_reason")
    if facts["reason"] == StageHistory.Reason.CREATED:
        kind, icon, title = (
            "deal.opened",
            "circle-plus",
            _("Trattativa aperta in %(stage)s") % {"stage": stage},
        )
    elif state == LeadState.CHIUSO_VINTO:
        kind, icon, title = "deal.won", "trophy", _("Trattativa vinta")
    elif state == LeadState.PERSO:
        kind, icon, title = "deal.lost", "circle-x", _("Trattativa persa")
    else:
        kind, icon, title = "deal.moved", "arrow-right", _("Spostata in %(stage)s") % {"stage": stage}
    return TimelineItem(
        at=row.at,
        kind=kind,
        icon=icon,
        title=title,
        detail=lost_reason if kind == "deal.lost" else "",
        actor=row.name,
        is_human=row.user_id is not None,
        rule="" if row.user_id else by,
        subject_id=row.subject_id,
        contact_id=row.contact_id,
        data=facts,
    )


def _reopening(row: _Row) -> TimelineItem:
    return TimelineItem(
        at=row.at,
        kind="deal.reopened",
        icon="rotate",
        title=_("Trattativa riaperta"),
        actor=row.name,
        is_human=row.user_id is not None,
        rule="" if row.user_id else "rule",
        subject_id=row.subject_id,
        contact_id=row.contact_id,
    )


def _activity(row: _Row) -> TimelineItem:
    facts = row.facts
    title, note, origin = facts.pop("title"), facts.pop("note"), facts.pop("origin")
    return TimelineItem(
        at=row.at,
        kind="activity.planned" if facts["status"] == Activity.Status.PLANNED else "activity.done",
        icon=ICONS.get(facts["type"], "note"),
        title=_(title) if title else str(Activity.Type(facts["type"]).label),
        detail=note,
        actor=row.name,
        is_human=row.user_id is not None and origin == Activity.Origin.HUMAN,
        rule="" if row.user_id else origin,
        subject_id=row.subject_id,
        contact_id=row.contact_id,
        data=facts,
    )


_TOLD: Final[dict[str, Callable[[_Row], TimelineItem]]] = {
    "lead": _lead,
    "move": _move,
    "reopening": _reopening,
    "activity": _activity,
}
