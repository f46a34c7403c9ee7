"""The story of a person in one stream: requests, calls, decisions, states, activities.

People and house look different: `look` is "human" for a person's deed, "auto" for a rule's, "live" for what
happens now, and empty for what the lead did.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from filiera.contacts.models import Contact
from filiera.identity.models import User
from filiera.pipeline.models import Activity, LeadEvent, StageHistory
from filiera.platform import formats
from filiera.routing.models import CallAttempt, Decision
from filiera.workspace import calls

MOST = 200
"""Entries of one kind that are read; a person with more has the older ones in the export."""

KINDS = ("chiamate", "moduli", "stato", "note")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `actor` and `strong` are set in bold around `text`; `until` counts down."""

    at: datetime
    kind: str
    look: str
    icon: str
    text: str
    actor: str = ""
    strong: str = ""
    quote: str = ""
    meta: str = ""
    link: str = ""
    link_text: str = ""
    is_drawer: bool = False
    state: str = ""
    until: datetime | None = None

    @property
    def day(self) -> date:
        """Return the day in the zone of the brand."""
        return timezone.localtime(self.at).date()


def of(contact: Contact) -> list[Entry]:
    """Return everything about a person, newest first, in a fixed number of statements."""
    names = dict(User.objects.values_list("pk", "name").filter(pk__in=_people(contact)))
    # What one transaction wrote has one instant: then the later step of the path stands above.
    found = [
        *_activities(contact, names),
        *_attempts(contact),
        *_decisions(contact),
        *_states(contact, names),
        *_requests(contact),
    ]
    return sorted(found, key=lambda entry: entry.at, reverse=True)


def counts(entries: Iterable[Entry]) -> dict[str, int]:
    """Return how many entries each filter would show."""
    found = dict.fromkeys((*KINDS, "persone"), 0)
    for entry in entries:
        found[entry.kind] += 1
        found["persone"] += entry.look == "human"
    return found


def shown(entries: Sequence[Entry], only: str) -> list[Entry]:
    """Return the entries of one kind, of people only, or all."""
    if only == "persone":
        return [entry for entry in entries if entry.look == "human"]
    return [entry for entry in entries if only not in KINDS or entry.kind == only]


def to_do(contact: Contact) -> list[Activity]:
    """Return what is planned about a person, the next first."""
    planned = Activity.objects.filter(contact=contact, status=Activity.Status.PLANNED)
    return list(planned.select_related("user").order_by("scheduled_at", "created_at")[:MOST])


def _people(contact: Contact) -> set[UUID]:
    history = StageHistory.objects.filter(deal__contact=contact, changed_by_user__isnull=False)
    activities = Activity.objects.filter(contact=contact, user__isnull=False)
    return {*history.values_list("changed_by_user", flat=True), *activities.values_list("user", flat=True)}


def _requests(contact: Contact) -> list[Entry]:
    events = (
        LeadEvent.objects.filter(contact=contact)
        .select_related("submission", "marketing_source")
        .order_by("-received_at")[:MOST]
    )
    return [_request(event) for event in events]


def _request(event: LeadEvent) -> Entry:
    wishes = []
    if event.wants_contract:
        wishes.append(_("Vuole il contratto."))
    if event.wants_brochure:
        wishes.append(_("Vuole la brochure."))
    origin = event.marketing_source.name if event.marketing_source else event.source
    wished = " · ".join(part for part in (event.requested_service, event.requested_package) if part)
    link = reverse("inbound") + f"?request={event.submission_id}" if event.submission_id else ""
    return Entry(
        at=event.received_at,
        kind="moduli",
        look="",
        icon="world",
        strong=_("Ha chiesto informazioni") if not wished else _("Ha chiesto %(wish)s") % {"wish": wished},
        text=_("da %(origin)s") % {"origin": origin},
        quote=event.message,
        meta=" ".join(wishes),
        link=link,
        link_text=_("richiesta %(id)s") % {"id": event.submission.lead_id} if event.submission else "",
    )


def _states(contact: Contact, names: dict[UUID, str]) -> list[Entry]:
    history = (
        StageHistory.objects.filter(deal__contact=contact)
        .select_related("stage", "deal")
        .order_by("-entered_at")[:MOST]
    )
    return [_state(stay, names) for stay in history]


def _state(stay: StageHistory, names: dict[UUID, str]) -> Entry:
    who = names.get(stay.changed_by_user_id) if stay.changed_by_user_id else None
    opened = stay.change_reason == StageHistory.Reason.CREATED
    amount = formats.money(stay.deal.amount) if opened and stay.deal.amount else ""
    return Entry(
        at=stay.entered_at,
        kind="stato",
        look="human" if who else "auto",
        icon="target",
        actor=who or "",
        text=_("Trattativa aperta in") if opened else _("ha spostato in") if who else _("Passa in"),
        strong=stay.stage.name,
        state=stay.stage.lead_state or "",
        meta=amount
        if opened
        else ""
        if who
        else _("Per %(reason)s.") % {"reason": stay.get_change_reason_display()},
    )


def _activities(contact: Contact, names: dict[UUID, str]) -> list[Entry]:
    activities = Activity.objects.filter(contact=contact, status=Activity.Status.DONE).order_by(
        "-created_at"
    )[:MOST]
    return [_activity(activity, names) for activity in activities]


def _activity(activity: Activity, names: dict[UUID, str]) -> Entry:
    who = names.get(activity.user_id) if activity.user_id else None
    human = activity.origin == Activity.Origin.HUMAN and who is not None
    label = str(activity.get_type_display())
    icons = {
        Activity.Type.CHIAMATA: "phone",
        Activity.Type.VISITA: "map-pin",
        Activity.Type.PREVENTIVO: "file-invoice",
        Activity.Type.ORDINE: "circle-check",
        Activity.Type.RIFIUTO: "circle-x",
        Activity.Type.EMAIL: "mail",
        Activity.Type.NOTA: "note",
    }
    talked = formats.clock(activity.talking_seconds) if activity.talking_seconds else ""
    return Entry(
        at=activity.occurred_at or activity.created_at,
        kind="chiamate" if activity.type == Activity.Type.CHIAMATA else "note",
        look="human" if human else "auto",
        icon=icons[Activity.Type(activity.type)],
        actor=who or "",
        text=_("ha registrato:") if human else _("Registrata da sola:"),
        strong=label,
        quote=activity.note,
        meta=_("In conversazione %(length)s.") % {"length": talked} if talked else "",
    )


def _decisions(contact: Contact) -> list[Entry]:
    decisions = (
        Decision.objects.filter(contact=contact).select_related("agent").order_by("-created_at")[:MOST]
    )
    return [_decision(decision) for decision in decisions]


def _decision(decision: Decision) -> Entry:
    excluded = sum(1 for candidate in decision.candidates if candidate.get("why"))
    eligible = len(decision.candidates) - excluded
    pool = ngettext("%(n)s candidato", "%(n)s candidati", eligible) % {"n": eligible}
    out = ngettext("%(n)s escluso", "%(n)s esclusi", excluded) % {"n": excluded}
    return Entry(
        at=decision.created_at,
        kind="chiamate",
        look="auto",
        icon="route",
        text=_("Assegnato a") if decision.agent else _("Nessun agente poteva riceverlo"),
        strong=decision.agent.name if decision.agent else "",
        meta=f"{pool}, {out}.",
        link=f"{reverse('lead-why', args=[decision.contact_id])}?decisione={decision.pk}",
        link_text=_("Perché?"),
        is_drawer=True,
    )


def _attempts(contact: Contact) -> list[Entry]:
    attempts = (
        CallAttempt.objects.filter(process__contact=contact)
        .select_related("agent", "process")
        .order_by("-requested_at")[:MOST]
    )
    return [_attempt(attempt) for attempt in attempts]


def _attempt(attempt: CallAttempt) -> Entry:
    who = attempt.agent.name
    ringing = attempt.ended_at is None and attempt.state in calls.RINGING
    sentences = {
        CallAttempt.State.REQUESTED: _("Chiediamo al centralino di far squillare"),
        CallAttempt.State.ACCEPTED: _("Squilla il telefono di"),
        CallAttempt.State.RINGING: _("Squilla il telefono di"),
        CallAttempt.State.ANSWERED: _("Ha risposto"),
        CallAttempt.State.MISSED: _("Non ha risposto"),
        CallAttempt.State.REFUSED: _("Il centralino non ha fatto squillare"),
        CallAttempt.State.UNKNOWN: _("Non sappiamo se ha squillato, lo verifichiamo:"),
        CallAttempt.State.FAILED: _("La chiamata non è riuscita, a"),
    }
    icons = {CallAttempt.State.ANSWERED: "phone-check", CallAttempt.State.MISSED: "phone-x"}
    ended = attempt.state in {CallAttempt.State.ACCEPTED, CallAttempt.State.RINGING} and attempt.ended_at
    details = []
    if attempt.http_status:
        details.append(_("Il centralino ha risposto %(status)s.") % {"status": attempt.http_status})
    if attempt.talking_seconds:
        details.append(_("In conversazione %(length)s.") % {"length": formats.clock(attempt.talking_seconds)})
    if attempt.error_message:
        details.append(attempt.error_message)
    return Entry(
        at=attempt.requested_at,
        kind="chiamate",
        look="live" if ringing else "auto",
        icon="phone-call" if ringing else icons.get(CallAttempt.State(attempt.state), "phone"),
        text=_("Ha squillato il telefono di") if ended else sentences[CallAttempt.State(attempt.state)],
        strong=who,
        meta=" ".join(details),
        until=calls.rings_until(attempt) if ringing else None,
    )
