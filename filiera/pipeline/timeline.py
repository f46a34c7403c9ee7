"""What the pipeline adds to a person's thread: leads that came, deals that moved, what people did."""

from collections.abc import Sequence
from uuid import UUID

from django.utils.translation import gettext as _

from filiera.contacts.models import LeadState
from filiera.contacts.timeline import TimelineItem
from filiera.pipeline.models import Activity, DealClosing, LeadEvent, StageHistory

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
    """Return the newest items of these people in four statements."""
    return [
        *_leads(contact_ids, limit),
        *_moves(contact_ids, limit),
        *_reopenings(contact_ids, limit),
        *_activities(contact_ids, limit),
    ]


def _leads(contact_ids: Sequence[UUID], limit: int) -> list[TimelineItem]:
    rows = (
        LeadEvent.objects.filter(contact_id__in=contact_ids)
        .select_related("marketing_source")
        .only(
            *(
                "contact_id",
                "received_at",
                "occurred_at",
                "message",
                "source",
                "marketing_source__name",
                "is_test",
            ),
            *("requested_service", "requested_package", "wants_contract", "wants_brochure", "submission_id"),
        )
    )
    return [
        TimelineItem(
            at=event.received_at,
            kind="lead.received",
            icon="forms",
            title=_("Ha mandato una richiesta"),
            detail=event.message,
            subject_id=event.id,
            contact_id=event.contact_id,
            data={
                "source": event.source,
                "marketing_source": event.marketing_source.name if event.marketing_source else "",
                "service": event.requested_service,
                "package": event.requested_package,
                "wants_contract": event.wants_contract,
                "wants_brochure": event.wants_brochure,
                "occurred_at": event.occurred_at.isoformat(),
                "submission_id": str(event.submission_id) if event.submission_id else None,
                "is_test": event.is_test,
            },
        )
        for event in rows.order_by("-received_at", "-id")[:limit]
    ]


def _moves(contact_ids: Sequence[UUID], limit: int) -> list[TimelineItem]:
    rows = (
        StageHistory.objects.filter(deal__contact_id__in=contact_ids)
        .select_related("deal", "stage", "changed_by_user")
        .only(
            *("entered_at", "change_reason", "changed_by", "changed_by_user__name", "stage__name"),
            *("stage__lead_state", "deal__contact_id", "deal__lost_reason", "deal__title"),
        )
    )
    return [_move(stay) for stay in rows.order_by("-entered_at", "-id")[:limit]]


def _move(stay: StageHistory) -> TimelineItem:
    stage = stay.stage.name
    if stay.change_reason == StageHistory.Reason.CREATED:
        kind, icon, title = (
            "deal.opened",
            "circle-plus",
            _("Trattativa aperta in %(stage)s") % {"stage": stage},
        )
    elif stay.stage.lead_state == LeadState.CHIUSO_VINTO:
        kind, icon, title = "deal.won", "trophy", _("Trattativa vinta")
    elif stay.stage.lead_state == LeadState.PERSO:
        kind, icon, title = "deal.lost", "circle-x", _("Trattativa persa")
    else:
        kind, icon, title = "deal.moved", "arrow-right", _("Spostata in %(stage)s") % {"stage": stage}
    return TimelineItem(
        at=stay.entered_at,
        kind=kind,
        icon=icon,
        title=title,
        detail=stay.deal.lost_reason if kind == "deal.lost" else "",
        actor=stay.changed_by_user.name if stay.changed_by_user else "",
        is_human=stay.changed_by_user_id is not None,
        rule="" if stay.changed_by_user_id else stay.changed_by,
        subject_id=stay.deal_id,
        contact_id=stay.deal.contact_id,
        data={
            "stage": stage,
            "state": stay.stage.lead_state,
            "reason": stay.change_reason,
            "title": stay.deal.title,
        },
    )


def _reopenings(contact_ids: Sequence[UUID], limit: int) -> list[TimelineItem]:
    rows = (
        DealClosing.objects.filter(deal__contact_id__in=contact_ids, reopened_at__isnull=False)
        .select_related("deal", "reopened_by_user")
        .only("reopened_at", "reopened_by_user__name", "deal__contact_id")
    )
    return [
        TimelineItem(
            at=closing.reopened_at,
            kind="deal.reopened",
            icon="rotate",
            title=_("Trattativa riaperta"),
            actor=closing.reopened_by_user.name if closing.reopened_by_user else "",
            is_human=closing.reopened_by_user_id is not None,
            rule="" if closing.reopened_by_user_id else "rule",
            subject_id=closing.deal_id,
            contact_id=closing.deal.contact_id,
        )
        for closing in rows.order_by("-reopened_at")[:limit]
        if closing.reopened_at is not None
    ]


def _activities(contact_ids: Sequence[UUID], limit: int) -> list[TimelineItem]:
    rows = (
        Activity.objects.filter(contact_id__in=contact_ids)
        .exclude(status=Activity.Status.CANCELLED)
        .select_related("user")
        .only(
            *("contact_id", "type", "status", "title", "note", "scheduled_at", "occurred_at", "created_at"),
            *("origin", "outcome", "direction", "talking_seconds", "user__name"),
        )
    )
    return [_activity(activity) for activity in rows.order_by("-created_at", "-id")[:limit]]


def _activity(activity: Activity) -> TimelineItem:
    is_planned = activity.status == Activity.Status.PLANNED
    return TimelineItem(
        at=activity.created_at if is_planned else activity.occurred_at or activity.created_at,
        kind="activity.planned" if is_planned else "activity.done",
        icon=ICONS.get(activity.type, "note"),
        title=_(activity.title) if activity.title else str(activity.get_type_display()),
        detail=activity.note,
        actor=activity.user.name if activity.user else "",
        is_human=activity.user_id is not None and activity.origin == Activity.Origin.HUMAN,
        rule="" if activity.user_id else activity.origin,
        subject_id=activity.id,
        contact_id=activity.contact_id,
        data={
            "type": activity.type,
            "status": activity.status,
            "scheduled_at": activity.scheduled_at.isoformat() if activity.scheduled_at else None,
            "outcome": activity.outcome,
            "direction": activity.direction,
            "talking_seconds": activity.talking_seconds,
        },
    )
