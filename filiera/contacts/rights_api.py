"""What a person permitted and whether they are left alone: the commands of the privacy page, for programs."""

from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import get_language
from ninja import Field, Router, Schema, Status

from filiera.contacts import consents, queries, restriction
from filiera.contacts.models import Consent, Contact
from filiera.identity.api import Text
from filiera.identity.permissions import demand
from filiera.platform.api import Moment, ok

router = Router(tags=["privacy"])

MOST_TOLD = 200

Words = Annotated[Text, Field(min_length=1, max_length=10_000)]
Purpose = Literal["marketing", "newsletter", "profiling", "third_party"]
Channel = Literal["call", "email", "sms", "whatsapp", "post"]


class Given(Schema):
    """A permission that somebody collected: its exact words, how it was given and where its proof is."""

    purpose: Purpose
    channel: Channel | Literal[""] = ""
    text: Words
    collected_by: Annotated[Text, Field(min_length=1, max_length=200)]
    given_at: Moment | None = None


class TakenBack(Schema):
    channel: Channel | Literal["any"] = "any"
    reason: Literal["withdrawn", "opposed"] = "withdrawn"


class Why(Schema):
    reason: Annotated[Text, Field(max_length=restriction.LONGEST_REASON)]


@router.get("/leads/{lead_id}/consents")
def list_consents(request: HttpRequest, lead_id: UUID) -> Any:
    """Return what a person permits now, what stands against it, and the latest 200 acts with their words."""
    demand(request, "view_contacts")
    return ok(request, _told(queries.contact_for(lead_id)))


@router.post("/leads/{lead_id}/consents", response={201: dict[str, Any]})
def record_consent(request: HttpRequest, lead_id: UUID, given: Given) -> Any:
    """Keep a permission with its proof. It ends no opposition: that takes an act of the person's own."""
    principal, now = demand(request, "edit_contacts"), timezone.now()
    contact = queries.contact_for(lead_id)
    given_at = given.given_at or now
    consents.record(
        contact,
        purpose=given.purpose,
        channel=given.channel,
        text=given.text,
        given_at=given_at if timezone.is_aware(given_at) else timezone.make_aware(given_at),
        collected_by=given.collected_by,
        language=get_language() or "",
        user_name=principal.user.name,
        now=now,
    )
    return Status(201, ok(request, _told(contact)))


@router.post("/leads/{lead_id}/consents/withdraw")
def withdraw_consents(request: HttpRequest, lead_id: UUID, given: TakenBack) -> Any:
    """Take back what a person permitted on a channel or on all, as they asked; it holds in every queue at once."""
    principal = demand(request, "edit_contacts")
    contact = queries.contact_for(lead_id)
    consents.take_back(
        contact,
        channel=given.channel,
        reason=given.reason,
        user_name=principal.user.name,
        now=timezone.now(),
    )
    return ok(request, _told(contact))


@router.get("/leads/{lead_id}/restriction")
def read_restriction(request: HttpRequest, lead_id: UUID) -> Any:
    """Return whether a person's processing is restricted, since when, why and by whom."""
    demand(request, "view_contacts")
    return ok(request, _restriction(queries.contact_for(lead_id)))


@router.post("/leads/{lead_id}/restriction")
def restrict(request: HttpRequest, lead_id: UUID, given: Why) -> Any:
    """Let nothing happen by itself about a person any more; their data are kept (GDPR art. 18)."""
    principal = demand(request, "edit_contacts")
    contact = restriction.restrict(
        contact_id=lead_id, reason=given.reason, user_id=principal.user.pk, now=timezone.now()
    )
    return ok(request, _restriction(contact))


@router.delete("/leads/{lead_id}/restriction")
def lift_restriction(request: HttpRequest, lead_id: UUID) -> Any:
    """Let things take their course again; an administrator's to decide."""
    principal = demand(request, "system_settings")
    contact = restriction.lift(contact_id=lead_id, user_id=principal.user.pk, now=timezone.now())
    return ok(request, _restriction(contact))


def _told(contact: Contact) -> dict[str, Any]:
    found = consents.permissions_of(contact)
    acts = Consent.objects.filter(contact_id=contact.pk).order_by("-at", "-id")[:MOST_TOLD]
    return {
        "lead_id": str(contact.pk),
        "permissions": [
            {
                "purpose": one.purpose,
                "channel": one.channel,
                "holds": one.holds,
                "since": one.consent.at if one.consent else None,
                "blocked_by": one.block.reason if one.block and not one.holds else None,
            }
            for one in found.rows
        ],
        # One for each number and address of the person, told once.
        "blocks": [
            {"channel": channel, "reason": reason, "since": at}
            for at, channel, reason in sorted({(one.at, one.channel, one.reason) for one in found.blocks})
        ],
        "history": [
            {
                "id": str(act.pk),
                "purpose": act.purpose,
                "channel": act.channel,
                "given": act.given,
                "by_person": act.by_person,
                "text": act.text,
                "text_version": act.text_version,
                "language": act.language,
                "collected_by": act.collected_by,
                "at": act.at,
                "double_opt_in_at": act.double_opt_in_at,
                "record_hash": act.record_hash,
            }
            for act in acts
        ],
    }


def _restriction(contact: Contact) -> dict[str, Any]:
    return {
        "lead_id": str(contact.pk),
        "is_restricted": contact.restricted_at is not None,
        "since": contact.restricted_at,
        "reason": contact.restricted_reason or None,
        "by": str(contact.restricted_by_id) if contact.restricted_by_id else None,
    }
