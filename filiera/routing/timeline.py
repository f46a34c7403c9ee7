"""What routing adds to a person's thread: who was chosen and why, and every telephone that rang."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from filiera.contacts.timeline import TimelineItem
from filiera.platform import formats
from filiera.routing import codes
from filiera.routing.models import CallAttempt, Decision

State = CallAttempt.State

ICONS = {
    State.ANSWERED: "phone-check",
    State.MISSED: "phone-x",
    State.REFUSED: "phone-off",
    State.FAILED: "phone-off",
}


def read(contact_ids: Sequence[UUID], limit: int) -> list[TimelineItem]:
    """Return the newest items of these people in two statements."""
    return [*_attempts(contact_ids, limit), *_decisions(contact_ids, limit)]


def _decisions(contact_ids: Sequence[UUID], limit: int) -> list[TimelineItem]:
    rows = (
        Decision.objects.filter(contact_id__in=contact_ids)
        .select_related("agent")
        .only("contact_id", "created_at", "candidates", "rule", "rule_version", "reason", "agent__name")
    )
    return [_decision(decision) for decision in rows.order_by("-created_at", "-id")[:limit]]


def _decision(decision: Decision) -> TimelineItem:
    excluded = sum(1 for candidate in decision.candidates if candidate.get("why"))
    eligible = len(decision.candidates) - excluded
    pool = ngettext("%(n)s candidato", "%(n)s candidati", eligible) % {"n": eligible}
    out = ngettext("%(n)s escluso", "%(n)s esclusi", excluded) % {"n": excluded}
    chosen = decision.agent.name if decision.agent else ""
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


def _attempts(contact_ids: Sequence[UUID], limit: int) -> list[TimelineItem]:
    rows = (
        CallAttempt.objects.filter(process__contact_id__in=contact_ids)
        .select_related("agent", "process")
        .only(
            *("requested_at", "ended_at", "state", "http_status", "error_code", "talking_seconds"),
            *("agent__name", "process__contact_id"),
        )
    )
    return [_attempt(attempt) for attempt in rows.order_by("-requested_at", "-id")[:limit]]


def _attempt(attempt: CallAttempt) -> TimelineItem:
    ringing = attempt.ended_at is None and attempt.state in (State.ACCEPTED, State.RINGING)
    until = attempt.requested_at + timedelta(seconds=settings.ROUTING_RING_S) if ringing else None
    return TimelineItem(
        at=attempt.requested_at,
        kind="call.attempted",
        icon="phone-call" if ringing else ICONS.get(State(attempt.state), "phone"),
        title=_sentence(attempt) % {"name": attempt.agent.name},
        detail=_detail(attempt),
        rule="routing",
        subject_id=attempt.pk,
        contact_id=attempt.process.contact_id,
        data={
            "state": attempt.state,
            "agent": attempt.agent.name,
            "http_status": attempt.http_status,
            "error_code": attempt.error_code,
            "talking_seconds": attempt.talking_seconds,
            "rings_until": until.isoformat() if until else None,
        },
    )


def _sentence(attempt: CallAttempt) -> str:
    if attempt.ended_at is not None and attempt.state in (State.ACCEPTED, State.RINGING):
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


def _detail(attempt: CallAttempt) -> str:
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
