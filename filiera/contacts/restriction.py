"""Restriction of processing: a person's data are kept, and nothing is done with them by itself (GD-29, GDPR art. 18).

What acts by itself asks `Contact.restricted_at`: choosing an agent and ringing (routing), confirmations and other
messages, the nightly letting go. Their letters that wait are held back until it is lifted.
"""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from filiera.contacts.commands import locked
from filiera.contacts.models import Contact
from filiera.identity import emails
from filiera.identity.models import OutgoingEmail
from filiera.platform import events, live
from filiera.platform.refusals import Invalid, Refused

HELD: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""When a letter is due that must not leave for now."""
LONGEST_REASON: Final = 2_000


class NotSo(Refused):
    """The person's processing is restricted already, or is not."""


@transaction.atomic
def restrict(*, contact_id: UUID, reason: str, user_id: UUID | None, now: datetime) -> Contact:
    """Freeze what happens by itself about a person. Raises ContactMissing, NotSo, Invalid without a reason."""
    reason = _reason(reason)
    contact = locked(contact_id)
    if contact.restricted_at is not None:
        raise NotSo(_("Il trattamento dei suoi dati è già limitato."))
    contact.restricted_at, contact.restricted_reason, contact.restricted_by_id = now, reason, user_id
    _save(contact, "contact.restricted", user_id, now)
    _letters_of(contact).update(due_at=HELD)
    return contact


@transaction.atomic
def lift(*, contact_id: UUID, user_id: UUID | None, now: datetime) -> Contact:
    """Let things take their course again; letters that were held back leave. Raises ContactMissing, NotSo."""
    contact = locked(contact_id)
    if contact.restricted_at is None:
        raise NotSo(_("Il trattamento dei suoi dati non è limitato."))
    contact.restricted_at, contact.restricted_reason, contact.restricted_by_id = None, "", None
    _save(contact, "contact.restriction_lifted", user_id, now)
    _letters_of(contact).filter(due_at=HELD).update(due_at=now)
    return contact


def _reason(typed: str) -> str:
    plain = typed.replace("\x00", "").strip()
    if not plain:
        raise Invalid(_("Serve il motivo."), details={"reason": [_("Scrivi chi lo ha chiesto e perché.")]})
    return plain[:LONGEST_REASON]


def _save(contact: Contact, kind: str, user_id: UUID | None, now: datetime) -> None:
    contact.updated_at = now
    contact.save(update_fields=["restricted_at", "restricted_reason", "restricted_by", "updated_at"])
    by = {"user_id": str(user_id) if user_id else None}
    events.record(kind=kind, subject_id=contact.id, at=now, data=by)
    live.announce("leads", "calls")


def _letters_of(contact: Contact) -> QuerySet[OutgoingEmail]:
    """Return a person's letters that wait; those of an account are a colleague's, who may have the same address."""
    waiting = OutgoingEmail.objects.filter(
        status=OutgoingEmail.Status.QUEUED, to_address__iexact=contact.email or ""
    )
    return waiting.exclude(kind__startswith=emails.SECRET).exclude(kind=emails.INVITATION)
