"""What the top room adds to pages of earlier rooms, which cannot know it: calls on the board, people in the try-it.

Filled in at start (`WorkspaceConfig.ready`).
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _

from filiera.capture import inbound, trial
from filiera.capture.adapters import LeadFields
from filiera.capture.models import Source
from filiera.contacts import phones, rules
from filiera.contacts.merging import references
from filiera.contacts.merging.references import Fate
from filiera.contacts.models import Contact, ContactPhone
from filiera.pipeline import board
from filiera.pipeline.models import LeadEvent
from filiera.routing import queries as routing
from filiera.routing.models import CallAttempt, Process
from filiera.workspace import bulk_actions, holdings


def register() -> None:
    """Hand the functions below to the rooms that show their results."""
    board.also_note(calls_of)
    inbound.also_link(people_of)
    trial.also_check(who_it_is)
    trial.also_check(who_would_be_rung)
    bulk_actions.register(*bulk_actions.OURS)
    holdings.register()
    references.say("workspace_bulkrow", "contact_id", Fate.STAYS)


def calls_of(contact_ids: Sequence[UUID], me: UUID) -> dict[UUID, board.Note]:
    """Return what rings, talks or waits for an agent right now, by person."""
    waiting = Process.objects.filter(contact__in=contact_ids, state=Process.State.WAITING)
    notes = {
        contact_id: board.Note("is-warn", "clock", _("Aspetta un agente"))
        for contact_id in waiting.values_list("contact_id", flat=True)
    }
    live = CallAttempt.objects.filter(
        process__contact__in=contact_ids, state__in=CallAttempt.LIVE, ended_at__isnull=True
    )
    for contact_id, name, user_id, answered_at in live.values_list(
        "process__contact_id", "agent__name", "agent__user_id", "agent_answered_at"
    ):
        notes[contact_id] = _call_note(name, user_id, answered_at, me=me)
    return notes


def _call_note(name: str, user_id: UUID | None, answered_at: datetime | None, *, me: UUID) -> board.Note:
    if answered_at:
        return board.Note("is-live", "phone", _("Al telefono con %(name)s") % {"name": name})
    if user_id == me:
        return board.Note("is-live", "phone-call", _("Squilla ora a te"))
    return board.Note("is-live", "phone-call", _("Squilla a %(name)s") % {"name": name})


def people_of(submission_id: UUID) -> Iterator[inbound.Link]:
    """Return the people that came of a request."""
    events = LeadEvent.objects.filter(submission_id=submission_id).select_related("contact")
    for event in events.order_by("created_at")[:5]:
        yield inbound.Link(
            reverse("lead", args=[event.contact_id]), event.contact.full_name or _("Senza nome")
        )


def who_it_is(lead: LeadFields, source: Source) -> Iterable[trial.Check]:
    """Say whether intake would recognise the person, and what becomes of the number."""
    number = phones.normalise(lead.phone) if lead.phone else None
    known = _known_by_phone(number) or _known_by_email(lead.email)
    if known:
        since = date_format(timezone.localtime(known.created_at), "F Y").lower()
        yield trial.Check(
            "ok",
            _("Già tra i contatti da %(since)s: %(name)s") % {"since": since, "name": known.full_name},
            reverse("lead", args=[known.pk]),
        )
    else:
        yield trial.Check("ok", _("Persona nuova"))
    if number is None:
        return
    if number.is_valid:
        words = {"typed": lead.phone, "number": phones.display(number.e164)}
        if words["typed"] != words["number"]:
            yield trial.Check("ok", _("Il telefono %(typed)s diventa %(number)s") % words)
    else:
        yield trial.Check("warn", phones.explain(number))


def who_would_be_rung(lead: LeadFields, source: Source) -> Iterable[trial.Check]:
    """Say whether the call would leave by itself, and whose turn it is now."""
    if not source.auto_call:
        yield trial.Check("ok", _("Chiamata automatica spenta: il lead aspetta in Oggi"))
        return
    if not lead.phone or not phones.normalise(lead.phone).is_valid:
        yield trial.Check(
            "warn", _("La chiamata automatica non parte: manca un numero che si possa chiamare")
        )
        return
    agent = routing.agents_board(now=timezone.now()).next_agent
    if agent is None:
        yield trial.Check("warn", _("Chiamata automatica: adesso nessun agente è libero, aspetterebbe"))
    else:
        yield trial.Check("ok", _("Chiamata automatica: partirebbe, tocca a %(name)s") % {"name": agent.name})


def _known_by_phone(number: phones.NormalisedPhone | None) -> Contact | None:
    if number is None or not number.normalised:
        return None
    match = (
        ContactPhone.objects.filter(phone_norm=number.normalised, is_match_key=True)
        .select_related("contact")
        .first()
    )
    return match.contact if match else None


def _known_by_email(email: str) -> Contact | None:
    key = rules.email_key(email) if email else None
    return Contact.objects.filter(email_norm=key, deleted_at=None).first() if key else None
