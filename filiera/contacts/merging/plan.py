"""Who lives on and with what: decided before anything is written, the same for the page that shows it and the merge."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.utils import timezone

from filiera.contacts.models import Contact

FEWEST, MOST = 2, 50
CHOOSABLE: Final = (
    *("first_name", "last_name", "email", "city", "cap", "company_name", "age"),
    *("marketing_source_id", "assigned_user_id"),
)
"""Fields of which a person may choose whose value stays."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The people of a merge, the oldest first, who of them lives on, and the fields that change in them."""

    people: Sequence[Contact]
    survivor: Contact
    changes: Mapping[str, Any]

    @property
    def losers(self) -> list[Contact]:
        """Return who lives on in the survivor, the oldest first."""
        return [one for one in self.people if one.id != self.survivor.id]

    @property
    def ids(self) -> list[UUID]:
        return [one.id for one in self.people]


def plan(
    people: Iterable[Contact], *, survivor_id: UUID | None = None, chosen: Mapping[str, UUID] | None = None
) -> Plan:
    """Return what a merge makes of these people.

    The oldest lives on unless another is named; what they lack comes from the others, the oldest first (CON-23, §4.3).
    `chosen` names for a field whose value stays. Raises KeyError for somebody who is not among them.
    """
    ordered = sorted(people, key=lambda one: (one.created_at, one.id))
    by_id = {one.id: one for one in ordered}
    survivor = by_id[survivor_id] if survivor_id else ordered[0]
    others = [one for one in ordered if one.id != survivor.id]
    values: dict[str, Any] = {}
    for name in CHOOSABLE:
        owner = by_id[chosen[name]] if chosen and name in chosen else _first_with(name, [survivor, *others])
        values[name] = getattr(owner, name)
        if name == "email":
            values["email_norm"] = owner.email_norm
    values |= {
        "notes": _notes(survivor, others),
        "external_ids": {k: v for one in reversed([survivor, *others]) for k, v in one.external_ids.items()},
        "last_lead_at": max(one.last_lead_at for one in ordered),
        "lead_count": sum(one.lead_count for one in ordered),
    }
    if restricted := next((one for one in [survivor, *others] if one.restricted_at), None):
        values |= {
            name: getattr(restricted, name)
            for name in ("restricted_at", "restricted_reason", "restricted_by_id")
        }
    return Plan(
        ordered,
        survivor,
        {name: value for name, value in values.items() if getattr(survivor, name) != value},
    )


def _first_with(name: str, people: Sequence[Contact]) -> Contact:
    return next((one for one in people if getattr(one, name) not in (None, "")), people[0])


def _notes(survivor: Contact, others: Sequence[Contact]) -> str:
    parts = [survivor.notes] if survivor.notes else []
    for one in others:
        created = timezone.localtime(one.created_at).strftime("%d/%m/%Y")
        parts.append(f"--- unito da {one.full_name or '…'} ({created}) ---")
        if one.notes:
            parts.append(one.notes)
    return "\n".join(parts)
