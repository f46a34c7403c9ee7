"""The people of the open brand as columns, for both searches."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from filiera.contacts.duplicates import names, rule, score
from filiera.platform import bulk

_PEOPLE = """
    select contact.id, contact.first_name, contact.last_name, coalesce(contact.email_norm, ''),
           contact.city, contact.cap, contact.company_name, coalesce(contact.external_ids ->> 'tax_code', '')
"""
_NUMBERS = "select phone.contact_id, phone.phone_e164"


@dataclass(frozen=True, slots=True)
class Everybody:
    """People oldest first, as the two searches take them; `ids` says who stands at which place."""

    ids: Sequence[UUID]
    facts: score.Facts

    def for_rule(self) -> rule.People:
        facts = self.facts
        return rule.People(
            [names.normalised(*each) for each in zip(facts.first, facts.last, strict=True)],
            facts.emails,
            facts.numbers,
        )

    def places(self) -> dict[UUID, int]:
        """Return where each person stands."""
        return {contact_id: place for place, contact_id in enumerate(self.ids)}


def everybody() -> Everybody:
    """Return all people of the brand who are not in the bin. Two statements."""
    return _read(
        f"{_PEOPLE} from contacts_contact contact where deleted_at is null order by created_at, id",
        f"""{_NUMBERS} from contacts_contactphone phone join contacts_contact contact on contact.id = phone.contact_id
        where phone.is_active and phone.is_valid and contact.deleted_at is null""",
    )


def some(ids: Collection[UUID]) -> Everybody:
    """Return these people, without those in the bin. Two statements, a look into an index for each person."""
    wanted = bulk.uuids(ids)
    return _read(
        f"""{_PEOPLE} from unnest(%s::uuid[]) wanted cross join lateral (
            select * from contacts_contact where id = wanted and deleted_at is null limit 1
        ) contact order by contact.created_at, contact.id""",
        f"""{_NUMBERS} from unnest(%s::uuid[]) wanted cross join lateral (
            select contact_id, phone_e164 from contacts_contactphone
            where contact_id = wanted and is_active and is_valid limit 20
        ) phone""",
        wanted,
    )


def _read(people: str, numbers: str, *given: str) -> Everybody:
    with connection.cursor() as cursor:
        cursor.execute(people, given)
        rows = cursor.fetchall()
        columns = list(zip(*rows, strict=True)) or [()] * 8
        places = {contact_id: place for place, contact_id in enumerate(columns[0])}
        cursor.execute(numbers, given)
        owned = [(places[owner], number) for owner, number in cursor.fetchall() if owner in places and number]
    first, last, emails, cities, caps, companies, tax_codes = columns[1:]
    return Everybody(columns[0], score.Facts(first, last, emails, owned, cities, caps, companies, tax_codes))
