"""Reads of people: the door to one, and finding them by what somebody types."""

import re
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext as _
from rapidfuzz import fuzz

from filiera.contacts import phones, rules
from filiera.contacts.commands import ContactMerged, ContactMissing
from filiera.contacts.models import Contact, ContactPhone
from filiera.platform.prepared import Prepared
from filiera.platform.refusals import Refused

MOST_FOUND = 200
_FEW = 20
"""Fewer by the beginning of a number than this, and those who have the digits further inside are looked for too."""
_FEWEST_DIGITS_SEARCHED = 4
_MOST_NEAR = 20
_MOST_OF_A_BEGINNING = 60
_LIKE_ENOUGH = 75
_DOMAIN = re.compile(r"@\S+|[\w-]+(\.[\w-]+)+")
_PERSON = Prepared(
    lambda one: Contact.objects.select_related("assigned_user", "marketing_source").filter(id=one)
)
_NUMBERS = Prepared(
    lambda one: ContactPhone.objects.filter(contact_id=one, is_active=True).order_by(
        "-is_primary", "created_at"
    )
)


def contact_for(contact_id: UUID, *, with_deleted: bool = False) -> Contact:
    """Return a person of the open brand. Raises ContactMissing, also for one of another brand or in the bin.

    Somebody who was merged raises ContactMerged, or is the one they live on in with `with_deleted`.
    """
    contact = _PERSON.first(contact_id)
    if contact is not None and contact.merged_into_id is not None:
        if with_deleted:
            return contact_for(contact.merged_into_id, with_deleted=True)
        raise ContactMerged(contact.id, contact.merged_into_id)
    if contact is None or (contact.deleted_at is not None and not with_deleted):
        raise ContactMissing
    return contact


def the_one(text: str) -> Contact:
    """Return the one person whom an id, an address or a number names, also one in the bin.

    Raises ContactMissing for none and Refused when it names several: then the id must say which.
    """
    try:
        return contact_for(UUID(text), with_deleted=True)
    except ValueError:
        pass
    key, number = rules.email_key(text), phones.normalise(text)
    found = Contact.objects.filter(merged_into=None)
    if key:
        found = found.filter(email_norm=key)
    elif number.is_valid:
        found = found.filter(phones__phone_e164=number.e164)
    else:
        raise ContactMissing
    people = list(found.distinct()[:2])
    if not people:
        raise ContactMissing
    if len(people) > 1:
        raise Refused(_("Più persone hanno questo recapito: indica l’identificativo di quella giusta."))
    return people[0]


def survivor_of(contact_id: UUID) -> UUID | None:
    """Return whom a merged person lives on in, or None: old addresses lead there for ever (CON-43)."""
    return Contact.objects.filter(id=contact_id).values_list("merged_into_id", flat=True).first()


def survivors_of(contact_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Return whom the merged ones among these people live on in."""
    merged = Contact.objects.filter(id__in=list(contact_ids), merged_into__isnull=False)
    return {one: survivor for one, survivor in merged.values_list("id", "merged_into_id") if survivor}


def phones_of(contact_ids: Sequence[UUID]) -> dict[UUID, list[ContactPhone]]:
    """Return the numbers in use of these people, the main one first."""
    found: dict[UUID, list[ContactPhone]] = {}
    rows = ContactPhone.objects.filter(contact_id__in=contact_ids, is_active=True)
    for phone in rows.order_by("contact_id", "-is_primary", "created_at"):
        found.setdefault(phone.contact_id, []).append(phone)
    return found


def numbers_of(contact_id: UUID) -> list[ContactPhone]:
    """Return the numbers in use of one person, the main one first."""
    return _NUMBERS(contact_id)


def main_phones(contact_ids: Sequence[UUID]) -> dict[UUID, ContactPhone]:
    """Return the main number of each of these people who has one."""
    rows = ContactPhone.objects.filter(contact_id__in=contact_ids, is_primary=True)
    return {phone.contact_id: phone for phone in rows}


def find(text: str, *, limit: int = MOST_FOUND, default_country: str = "IT") -> list[UUID]:
    """Return the people whom `text` may mean: an address, its domain, a number, the beginning of a name or surname.

    Of a number five digits in a row are enough wherever they stand, and four at its beginning or end. Beginnings are
    index ranges by a leakproof comparison, so row security costs nothing (Q-11); what stands inside a value is asked of
    one function of the schema's owner each.
    """
    wanted = text.strip()
    name = rules.folded(wanted)
    digits = phones.digits_of(wanted)
    number = phones.normalise(wanted, default_country)
    is_number = len(digits) >= _FEWEST_DIGITS_SEARCHED and not any(letter.isalpha() for letter in wanted)
    if not name:
        return []
    if is_number:
        return _by_number(digits, number.e164 if number.is_valid else "", limit, default_country)
    living = "from contacts_contact where deleted_at is null and"
    if _DOMAIN.fullmatch(wanted) and (found := _by_domain(wanted, limit)):
        return found
    if "@" in wanted:
        return _first(f"select id {living} starts_with(email_norm, %s)", [wanted.lower()], limit)
    by_name, by_surname = (
        f"select id {living} starts_with({key}, %s)" for key in ("name_key", "surname_key")
    )
    return _first(by_name, [name], limit, by_surname) or _nearly(name, living)


def _by_number(digits: str, whole: str, limit: int, country: str) -> list[UUID]:
    beginnings = {f"+{digits.removeprefix('00')}", f"+{phones.calling_code(country)}{digits}", whole} - {""}
    found = _first(
        "select contact_id from contacts_contactphone where starts_with(phone_e164, %s) and is_active",
        sorted(beginnings),
        limit,
    )
    if whole or len(found) >= _FEW:
        return found
    inside = _ids("select contacts_with_digits(%s, %s)", [digits, limit])
    return list(dict.fromkeys(found + inside))[:limit]


def _by_domain(typed: str, limit: int) -> list[UUID]:
    return _ids("select contacts_at_domain(%s, %s)", [typed.lower().removeprefix("@"), limit])


def _nearly(name: str, living: str) -> list[UUID]:
    """Return whom a name with a slip may mean, likeliest first: candidates by beginnings, ranked in Python (CON-39).

    Of the first word every letter left out, swapped with the next or doubled is tried, of two words also each with the
    other's first letters. A letter that is missing or wrong in a single word is found where few people begin alike.
    """
    beginnings = rules.near_beginnings(name)
    if not beginnings:
        return []
    branches = [
        f"(select id, {key} {living} starts_with({key}, %s) limit {_MOST_OF_A_BEGINNING})"
        for key in ("name_key", "surname_key")
        for _beginning in beginnings
    ]
    with connection.cursor() as cursor:
        cursor.execute(" union ".join(branches), beginnings * 2)
        found = cursor.fetchall()
    likeness: dict[UUID, float] = {}
    for contact_id, key in found:
        score = fuzz.ratio(name, key[: len(name) + 1])
        likeness[contact_id] = max(score, likeness.get(contact_id, 0))
    likely = [contact_id for contact_id, score in likeness.items() if score >= _LIKE_ENOUGH]
    return sorted(likely, key=lambda one: -likeness[one])[:_MOST_NEAR]


def _first(select: str, beginnings: Sequence[str], limit: int, *others: str) -> list[UUID]:
    """Return the first ids of each select for each beginning, each once.

    One branch for each, with the text in its place: from a column of a join, starts_with makes no index range.
    """
    branches = [(one, text) for one in (select, *others) for text in beginnings]
    statement = " union ".join(f"({one} limit %s)" for one, _text in branches)
    values = [*(value for _one, text in branches for value in (text, limit)), limit]
    return _ids(f"select * from ({statement}) found limit %s", values)


def _ids(statement: str, values: Sequence[Any]) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return [row[0] for row in cursor.fetchall()]
