"""Who the people of a set of rows are, and what changes: recognised as intake does, written as the import says."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from filiera.capture.leads import IncomingLead
from filiera.contacts import phones, rules, suppressions
from filiera.contacts.commands import Recognition
from filiera.contacts.importing import fields
from filiera.contacts.importing.fields import FILL, NEVER, OVERWRITE
from filiera.contacts.importing.rows import Fault, Plan, Row, all_keys, keys_of
from filiera.contacts.models import Contact, ImportedContact, Suppression
from filiera.contacts.phones import NormalisedPhone
from filiera.platform import bulk
from filiera.platform.ids import new_id

CREATED, UPDATED, UNCHANGED, REPEATED, OUT = "created", "updated", "unchanged", "repeated", "out"
OUTCOMES = (CREATED, UPDATED, UNCHANGED, REPEATED, OUT)
_TEXTS = ("first_name", "last_name", "city", "cap", "company_name")


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission that came with the list: one row of `Consent` for each person who was never asked for it."""

    purpose: str
    channel: str
    text: str
    text_version: str
    collected_by: str
    language: str
    at: datetime


@dataclass(slots=True)
class Deed:
    """What the rows of a set do to one person."""

    contact: Contact
    row: int
    was_created: bool
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    numbers: list[list[str | None]] = field(default_factory=list)


class Arrivals(Recognition):
    """A set of rows and their people. `outcomes` says what becomes of each row, `write` makes it so.

    `touched` are people whom an earlier set of the same file was about, with their first row: rows that come again only
    fill what is missing of those it made. Rows of erased people, and those with grave faults, are out and recognise
    nobody (GD-28).
    """

    filled_columns = (*Recognition.filled_columns, "notes", "assigned_user_id")

    def __init__(
        self,
        rows: list[Row],
        plan: Plan,
        *,
        writes: bool,
        now: datetime,
        touched: Mapping[UUID, int] | None = None,
    ) -> None:
        self.writes = writes
        self.plan = plan
        self.rows = rows
        erased = suppressions.with_reason(
            all_keys(row for row in rows if not row.is_out), Suppression.Reason.ERASED
        )
        for row in rows:
            if erased and not row.is_out and not erased.isdisjoint(all_keys([row])):
                row.faults.append(Fault("", "erased"))
        self.taken = [row for row in rows if not row.is_out]
        self.deeds: dict[UUID, Deed] = {}
        self.promoted: dict[UUID, str] = {}
        self.made_earlier: set[UUID] = set()
        self.touched = dict(touched or {})
        super().__init__([row.lead for row in self.taken], now)

    def _find_known(self) -> None:
        super()._find_known()
        if not self.writes:
            return
        ids = {one.id for one in (*self.by_phone.values(), *self.by_email.values())}
        for one in ImportedContact.objects.filter(run_id=self.plan.run_id, contact_id__in=ids).only(
            "contact_id", "row_number", "was_created"
        ):
            self.touched[one.contact_id] = one.row_number
            if one.was_created:
                self.made_earlier.add(one.contact_id)

    def _further_numbers(self) -> set[str]:
        numbers = (
            phones.normalise(row.phone_2, self.plan.default_country) for row in self.taken if row.phone_2
        )
        return {number.e164 for number in numbers if number.is_valid}

    def _matches(self, phone: NormalisedPhone, email: str | None) -> tuple[Contact | None, Contact | None]:
        by_phone, by_email = super()._matches(phone, email)
        return (
            None if self.plan.match == fields.MATCH_EMAIL else by_phone,
            None if self.plan.match == fields.MATCH_PHONE else by_email,
        )

    def _person(self, lead: IncomingLead, phone: NormalisedPhone, email: str | None) -> Contact:
        row = self._row = lead.custom["row"]
        person = super()._person(lead, phone, email)
        self._deed(person)
        if row.phone_2:
            self._keep_number(person, phones.normalise(row.phone_2, self.plan.default_country))
        return person

    def _deed(self, person: Contact) -> Deed:
        known = self.deeds.get(person.id)
        if known is None:
            known = self.deeds[person.id] = Deed(person, self._row.number, not person.was_known)
        return known

    def _new_person(self, lead: IncomingLead, email: str | None) -> Contact:
        row: Row = lead.custom["row"]
        person = super()._new_person(lead, email)
        person.notes = lead.notes
        person.external_ids = dict(row.external_ids)
        person.assigned_user_id = row.owner_id
        person.status = row.status or person.status
        person.last_lead_at = row.arrived_at or self.now
        person.lead_count = 0  # nobody has asked for anything
        return person

    def _is_ours(self, contact: Contact) -> bool:
        return not contact.was_known or contact.id in self.made_earlier

    def _policy(self, contact: Contact, name: str) -> str:
        return FILL if self._is_ours(contact) else self.plan.policies.get(name, FILL)

    def _fill(self, contact: Contact, lead: IncomingLead, email: str | None) -> None:
        row: Row = lead.custom["row"]
        given: dict[str, Any] = {
            **{name: rules.present(getattr(lead, _OF.get(name, name)))[: _MOST[name]] for name in _TEXTS},
            "age": lead.age,
            "notes": lead.notes,
            "marketing_source_id": lead.marketing_source_id,
            "assigned_user_id": row.owner_id,
        }
        changes = {
            name: value
            for name, value in given.items()
            if value not in (None, "") and self._takes(contact, name, getattr(contact, name), value)
        }
        if contact.first_name or contact.last_name:  # a name is one thing: half of another's is nobody's
            for name in ("first_name", "last_name"):
                if self._policy(contact, name) == FILL:
                    changes.pop(name, None)
        if email and self._takes(contact, "email", contact.email_norm, email):
            changes |= {"email": lead.email.strip()[: rules.LONGEST_EMAIL], "email_norm": email}
        if fresh := {name: one for name, one in row.external_ids.items() if name not in contact.external_ids}:
            changes["external_ids"] = contact.external_ids | fresh
        self._change(contact, changes)

    def _takes(self, contact: Contact, name: str, has: Any, value: Any) -> bool:
        policy = self._policy(contact, _FIELD_OF.get(name, name))
        return has != value and (policy == OVERWRITE or (policy == FILL and has in (None, "")))

    def _change(self, contact: Contact, changes: dict[str, Any]) -> None:
        if not changes:
            return
        if contact.was_known:
            deed = self._deed(contact)
            for name, value in changes.items():
                deed.before.setdefault(name, getattr(contact, name))
                deed.after[name] = value
            self.filled[contact.id] = contact
        for name, value in changes.items():
            setattr(contact, name, value)
        contact.name_key, contact.surname_key = rules.name_keys(contact.first_name, contact.last_name)
        contact.updated_at = self.now

    def _keep_number(self, contact: Contact, phone: NormalisedPhone) -> None:
        policy = self._policy(contact, fields.PHONE)
        if policy == NEVER:
            return
        had = contact.dial_e164
        before = len(self.new_phones)
        super()._keep_number(contact, phone)
        if phone.is_valid:
            self.by_phone.setdefault(phone.e164, contact)
        added = self.new_phones[before:]
        deed = self._deed(contact)
        deed.numbers += [[one.phone.country_code, one.kept_digits] for one in added]
        if policy == OVERWRITE and phone.is_valid and had and had != phone.e164:
            self._make_main(contact, phone)

    def _make_main(self, contact: Contact, phone: NormalisedPhone) -> None:
        deed = self.deeds[contact.id]
        deed.before.setdefault("main_number", contact.dial_e164)
        deed.after["main_number"] = contact.dial_e164 = phone.e164
        self.promoted[contact.id] = phone.e164

    def outcomes(self, seen: dict[str, int] | None = None) -> Counter[str]:
        """Count what becomes of the rows: created, updated, unchanged, repeated or out. Who comes again is told it.

        `seen` are the keys of earlier rows of the file with their first row; those of these rows are added. A trial
        needs it, because nothing of those rows is in the database.
        """
        counts = Counter(dict.fromkeys(OUTCOMES, 0))
        counts[OUT] = len(self.rows) - len(self.taken)
        first = dict(self.touched)
        for row, person in zip(self.taken, self.people, strict=True):
            deed = self.deeds[person.id]
            keys = keys_of(row, self.plan.match) if seen is not None else []
            earlier = first.get(person.id) or (
                next((seen[key] for key in keys if key in seen), 0) if seen else 0
            )
            if earlier:
                row.faults.append(Fault("", "repeated", {"row": earlier}, is_grave=False))
                counts[REPEATED] += 1
            elif deed.was_created:
                counts[CREATED] += 1
            else:
                counts[UPDATED if deed.after or deed.numbers else UNCHANGED] += 1
            first.setdefault(person.id, earlier or row.number)
            if seen is not None:
                for key in keys:
                    seen.setdefault(key, earlier or row.number)
        return counts

    def save(self, grants: list[Grant]) -> None:
        """Write the people, what was done to each of them, and the permissions that came with the list."""
        self.write()
        if self.promoted:
            _promote(self.promoted)
        _remember(self, list(self.deeds.values()))
        _grant(self.brand_id, list(self.deeds), grants, self.now)


_OF = {"company_name": "company"}
_MOST = {**dict.fromkeys(("first_name", "last_name", "city"), 100), "cap": 10, "company_name": 255}
_FIELD_OF = {"marketing_source_id": fields.SOURCE, "assigned_user_id": fields.OWNER}


def _promote(numbers: dict[UUID, str]) -> None:
    """Make one number of each of these people their main one."""
    people = bulk.uuids(numbers)
    wanted = orjson.dumps([[str(one), number] for one, number in numbers.items()]).decode()
    with connection.cursor() as cursor:
        cursor.execute(
            "update contacts_contactphone set is_primary = false"
            " where contact_id = any(%s::uuid[]) and is_primary",
            [people],
        )
        cursor.execute(
            """
            update contacts_contactphone phone set is_primary = true
            from jsonb_array_elements(%s::jsonb) wanted
            where phone.contact_id = any(%s::uuid[]) and phone.contact_id = (wanted->>0)::uuid
              and phone.phone_e164 = wanted->>1 and phone.is_active
            """,
            [wanted, people],
        )


def _remember(arrivals: Arrivals, deeds: list[Deed]) -> None:
    """Keep what was done to each person; what an earlier set of this file did to them stays the first word."""
    bulk.insert(
        ImportedContact,
        (
            *(
                "id",
                "brand_id",
                "run_id",
                "contact_id",
                "row_number",
                "was_created",
                "before",
                "after",
                "numbers",
            ),
            *("at", "undo", "kept"),
        ),
        [
            (
                *(new_id(), arrivals.brand_id, arrivals.plan.run_id, deed.contact.id, deed.row),
                *(deed.was_created, deed.before, deed.after, deed.numbers, arrivals.now, "", []),
            )
            for deed in deeds
        ],
        on_conflict=(
            "(brand_id, run_id, contact_id) do update set before = excluded.before || contacts_importedcontact.before,"
            " after = contacts_importedcontact.after || excluded.after,"
            " numbers = contacts_importedcontact.numbers || excluded.numbers, at = excluded.at"
        ),
    )


def _grant(brand_id: UUID, people: list[UUID], grants: list[Grant], now: datetime) -> None:
    """Record permissions of who was never asked for them; whatever a person said before counts for more."""
    if not people or not grants:
        return
    told = [
        [one.purpose, one.channel, one.text, one.text_version, one.collected_by, one.language, one.at]
        for one in grants
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into contacts_consent (id, brand_id, contact_id, purpose, channel, given, by_person, text,
                                          text_version, language, form_url, user_agent, collected_by, record_hash,
                                          at, created_at)
            select gen_random_uuid(), %s, person.id, told->>0, told->>1, true, false, told->>2, told->>3, told->>5,
                   '', '', told->>4, '', (told->>6)::timestamptz, %s
            from unnest(%s::uuid[]) person(id) cross join jsonb_array_elements(%s::jsonb) told
            where not exists (select from contacts_consent known
                              where known.contact_id = person.id and known.purpose = told->>0
                                and known.channel = told->>1)
            """,
            [brand_id, now, bulk.uuids(people), orjson.dumps(told).decode()],
        )
