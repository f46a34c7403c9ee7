"""What stands beside a person: who shares a way to reach them or a company, who became them, their files."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from uuid import UUID

from django.db.models import QuerySet

from filiera.contacts.models import Contact, ContactPhone, ImportedContact

MOST = 12


class Tie(Enum):
    """What two people share."""

    NUMBER = "number"
    ADDRESS = "address"
    COMPANY = "company"


@dataclass(slots=True)
class Relative:
    """Another person and what they share with the one looked at."""

    person: Contact
    ties: list[Tie] = field(default_factory=list)


def of(person: Contact) -> list[Relative]:
    """Return who shares a number, an address or a company with somebody, who shares most first: three statements."""
    others = Contact.objects.filter(deleted_at=None).exclude(id=person.id)
    company = others.filter(company_name=person.company_name).exclude(company_name="")
    found: dict[UUID, Relative] = {}
    for tie, people in (
        (Tie.NUMBER, _with_their_numbers(person)),
        (Tie.ADDRESS, others.filter(email_norm=person.email_norm)[:MOST] if person.email_norm else ()),
        (Tie.COMPANY, company[:MOST] if person.company_name else ()),
    ):
        for one in people:
            found.setdefault(one.id, Relative(one)).ties.append(tie)
    return sorted(found.values(), key=lambda relative: -len(relative.ties))[:MOST]


def merged_into(person: Contact) -> QuerySet[Contact]:
    """Return who lives on in somebody."""
    return Contact.objects.filter(merged_into=person).order_by("deleted_at", "id")[:MOST]


def files_of(person: Contact) -> QuerySet[ImportedContact]:
    """Return the rows of files that made or changed somebody in the last 30 days, the latest first."""
    rows = ImportedContact.objects.filter(contact=person, undo=ImportedContact.Undo.NOT)
    return rows.select_related("run", "run__created_by").order_by("-at")[:3]


def _with_their_numbers(person: Contact) -> Iterable[Contact]:
    own = ContactPhone.objects.filter(contact=person, is_active=True).exclude(phone_e164="")
    numbers = list(own.values_list("phone_e164", flat=True))
    rows = ContactPhone.objects.filter(phone_e164__in=numbers, is_active=True, contact__deleted_at=None)
    seen = rows.exclude(contact=person).select_related("contact")[:MOST]
    return {row.contact_id: row.contact for row in seen}.values()
