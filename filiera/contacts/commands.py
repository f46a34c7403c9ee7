"""The verbs that write people: recognise them at intake, correct them, take them away and back."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.utils.translation import gettext as _

from filiera.capture.models import MarketingSource
from filiera.contacts import consents, phones, rules, suppressions
from filiera.contacts.models import Contact, ContactPhone, DuplicateSuggestion
from filiera.contacts.phones import NormalisedPhone
from filiera.platform import brand_scope, bulk, events, instances
from filiera.platform.ids import new_id
from filiera.platform.refusals import Invalid, Missing, Moved

if TYPE_CHECKING:
    from filiera.capture.leads import IncomingLead


class ContactMissing(Missing):
    """There is no such person in this brand."""

    def __init__(self) -> None:
        super().__init__(_("Questo lead non c’è, o non è più qui."))


class ContactMerged(ContactMissing, Moved):
    """The person was merged into another one, who is here."""

    def __init__(self, was: UUID, now_is: UUID) -> None:
        super().__init__()
        self.was, self.now_is = was, now_is


class InvalidPhone(Invalid):
    """The number cannot be dialled; `details` says what is wrong with it."""

    code = "INVALID_PHONE"

    def __init__(self, phone: NormalisedPhone) -> None:
        why = phones.explain(phone)
        super().__init__(why, details={"phone": [why]})


# Intake


def recognise(incoming: "list[IncomingLead]", *, now: datetime) -> "Recognition":
    """Find the person of each lead: by phone, else by e-mail, else somebody new (CON-35).

    When phone and e-mail belong to two people the phone decides, and the pair is suggested as one. A text that is no
    number is kept as typed and recognises nobody. Nothing is written before `write`, so that who is new can be
    written with their owner.

    Runs at most eleven statements with `write`, whatever the size of the batch. Two batches that carry the same new
    number or address take turns at `take_turns`, so together they make one person (CON-13).
    """
    return Recognition(incoming, now)


class Recognition:
    """Who is known by what, and what is to be written.

    `people` are the persons of the leads, in the same order. One met twice in the batch is the same object. `was_known`
    says whether they were here before the batch, `dial_e164` is their number. What a known person lacks is filled in;
    nothing they have is overwritten. An import (`importing.arrivals`) has rules of its own for what it changes, and the
    same ones for who is who.
    """

    writes = True  # a trial locks nobody
    filled_columns: tuple[str, ...]

    def __init__(self, incoming: "list[IncomingLead]", now: datetime) -> None:
        self.brand_id = brand_scope.current()
        self.incoming = incoming
        self.now = now
        self.numbers = [phones.normalise(lead.phone, lead.default_country) for lead in incoming]
        self.emails = [rules.email_key(lead.email) if lead.email else None for lead in incoming]
        self.by_phone: dict[str, Contact] = {}
        self.by_email: dict[str, Contact] = {}
        # (contact, number as kept) → is it their primary one; and who has a primary number that can be dialled.
        self.numbers_of: dict[UUID, set[str]] = {}
        self.new_contacts: list[Contact] = []
        self.new_phones: list[_PhoneRow] = []
        self.filled: dict[UUID, Contact] = {}
        self.demoted: list[UUID] = []
        self.suggestions: dict[tuple[UUID, UUID], None] = {}
        self._find_known()
        # Asked in one set: nobody who opposed or was erased comes back by an import or another program (GD-28).
        self.suppressed = suppressions.suppressed(self._keys_from_elsewhere())
        self.people = [
            self._person(lead, phone, email)
            for lead, phone, email in zip(incoming, self.numbers, self.emails, strict=True)
        ]

    def _find_known(self) -> None:
        numbers = {phone.e164 for phone in self.numbers if phone.is_valid} | self._further_numbers()
        addresses = {key for key in self.emails if key}
        if not numbers and not addresses:
            return
        if self.writes:
            take_turns(self.brand_id, numbers | addresses)
        found = _known(numbers, addresses)
        if not found:
            return
        # Locked in one order, so that two batches or a person's click wait for each other instead of deadlocking.
        people = Contact.objects.filter(id__in={contact_id for _, contact_id in found}).order_by("id")
        contacts = {
            contact.id: contact
            for contact in (people.select_for_update(no_key=True) if self.writes else people)
        }
        for key, contact_id in found:
            contact = contacts.get(contact_id)
            if contact is not None and contact.deleted_at is None:
                (self.by_email if "@" in key else self.by_phone)[key] = contact
        for phone in ContactPhone.objects.filter(contact_id__in=contacts, is_active=True):
            self.numbers_of.setdefault(phone.contact_id, set()).add(phone.phone_e164 or phone.phone_norm)
            if phone.is_primary and phone.is_valid:
                contacts[phone.contact_id].dial_e164 = phone.phone_e164

    def _further_numbers(self) -> set[str]:
        """Return numbers that recognise nobody here and may recognise somebody else."""
        return set()

    def _matches(self, phone: NormalisedPhone, email: str | None) -> tuple[Contact | None, Contact | None]:
        """Return who has this number, and who this address."""
        by_phone = self.by_phone.get(phone.e164) if phone.is_valid else None
        return by_phone, self.by_email.get(email) if email else None

    def _person(self, lead: "IncomingLead", phone: NormalisedPhone, email: str | None) -> Contact:
        by_phone, by_email = self._matches(phone, email)
        person = by_phone or by_email
        if person is None:
            person = self._new_person(lead, email)
        else:
            self._fill(person, lead, email)
        if by_phone and by_email and by_phone is not by_email:
            first, second = sorted((by_phone.id, by_email.id))
            self.suggestions[first, second] = None
        if phone.is_valid:
            self.by_phone.setdefault(phone.e164, person)
        if email:
            self.by_email.setdefault(email, person)
        if lead.phone.strip():
            self._keep_number(person, phone)
        person.is_suppressed = not lead.is_own_act and not self.suppressed.isdisjoint(
            {phone.e164, email, person.email_norm, person.dial_e164}
        )
        return person

    def _keys_from_elsewhere(self) -> set[str]:
        """Return the numbers and addresses of leads that are no act of the person, with those known of the person."""
        keys: set[str | None] = set()
        for lead, phone, email in zip(self.incoming, self.numbers, self.emails, strict=True):
            if lead.is_own_act:
                continue
            keys |= {phone.e164 if phone.is_valid else None, email}
            for known in (self.by_phone.get(phone.e164), self.by_email.get(email or "")):
                if known is not None:
                    keys |= {known.dial_e164, known.email_norm}
        return {key for key in keys if key}

    def _new_person(self, lead: "IncomingLead", email: str | None) -> Contact:
        first, last = rules.present(lead.first_name), rules.present(lead.last_name)
        name_key, surname_key = rules.name_keys(first, last)
        contact = instances.made(
            Contact,
            {
                "id": new_id(),
                "brand_id": self.brand_id,
                "first_name": first[: rules.LONGEST_NAME],
                "last_name": last[: rules.LONGEST_NAME],
                "name_key": name_key,
                "surname_key": surname_key,
                "email": rules.present(lead.email)[: rules.LONGEST_EMAIL] or None,
                "email_norm": email,
                "city": rules.present(lead.city)[:100],
                "cap": rules.present(lead.cap)[:10],
                "company_name": rules.present(lead.company)[:255],
                "age": _human_age(lead.age),
                "marketing_source_id": lead.marketing_source_id,
                "external_ids": _external_ids(lead),
                "last_lead_at": lead.received_at,
                "lead_count": 1,
                "created_at": self.now,
                "updated_at": self.now,
            },
        )
        contact.was_known = False
        contact._state.adding = True
        self.new_contacts.append(contact)
        return contact

    def _fill(self, contact: Contact, lead: "IncomingLead", email: str | None) -> None:
        changed = False
        given: dict[str, Any] = {
            "city": rules.present(lead.city)[:100],
            "cap": rules.present(lead.cap)[:10],
            "company_name": rules.present(lead.company)[:255],
            "age": _human_age(lead.age),
            "marketing_source_id": lead.marketing_source_id,
        }
        if not contact.first_name and not contact.last_name:
            given["first_name"] = rules.present(lead.first_name)[: rules.LONGEST_NAME]
            given["last_name"] = rules.present(lead.last_name)[: rules.LONGEST_NAME]
        if not contact.email_norm and email:
            given |= {"email": rules.present(lead.email)[: rules.LONGEST_EMAIL], "email_norm": email}
        for name, value in given.items():
            if value not in (None, "") and getattr(contact, name) in (None, ""):
                setattr(contact, name, value)
                changed = True
        if missing_ids := _external_ids(lead).items() - contact.external_ids.items():
            contact.external_ids = dict(missing_ids) | contact.external_ids
            changed = True
        if changed:
            contact.name_key, contact.surname_key = rules.name_keys(contact.first_name, contact.last_name)
            contact.updated_at = self.now
            if contact.was_known:  # the others are written whole
                self.filled[contact.id] = contact

    def _keep_number(self, contact: Contact, phone: NormalisedPhone) -> None:
        kept = _PhoneRow.of(contact, phone)
        kept.recognises = phone.is_valid and self.by_phone.get(phone.e164, contact) is contact
        known = self.numbers_of.setdefault(contact.id, set())
        if kept.key in known:
            return
        known.add(kept.key)
        if phone.is_valid and not contact.dial_e164:
            contact.dial_e164 = phone.e164
            kept.is_primary = True
            if len(known) > 1:  # the primary one so far cannot be dialled
                self.demoted.append(contact.id)
        elif len(known) == 1:
            kept.is_primary = True
        self.new_phones.append(kept)

    def write(self, *, but: Container[UUID] = ()) -> None:
        """Write the new people, leaving out those in `but`, and what was learnt about the known ones."""
        new = [contact for contact in self.new_contacts if contact.id not in but]
        bulk.insert(Contact, _CONTACT_COLUMNS, [_contact_row(contact) for contact in new])
        for contact in new:
            contact._state.adding = False
        _demote(self.demoted)
        for (
            row
        ) in self.new_phones:  # a number that became primary in this very batch steps back for a better one
            if row.is_primary and not row.phone.is_valid and row.contact.id in self.demoted:
                row.is_primary = False
        _insert_phones(self.brand_id, [row for row in self.new_phones if row.contact.id not in but], self.now)
        bulk.update(Contact, self.filled_columns, list(self.filled.values()))
        bulk.insert(
            DuplicateSuggestion,
            ("id", "brand_id", "contact_id", "other_id", "reason", "created_at"),
            [
                (new_id(), self.brand_id, first, second, "phone_and_email", self.now)
                for first, second in self.suggestions
                if first not in but and second not in but
            ],
            on_conflict="(brand_id, contact_id, other_id) do nothing",
        )
        kept = [pair for pair in zip(self.incoming, self.people, strict=True) if pair[1].id not in but]
        consents.keep([lead for lead, _person in kept], [person for _lead, person in kept], now=self.now)


def take_turns(brand_id: UUID, keys: Iterable[str]) -> None:
    """Wait until no other transaction is making people with one of these numbers or addresses.

    Locks of the transaction, taken in one order; what the other one made is visible to the next statement.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select from (
                select distinct hashtextextended(value, 0) as key
                from jsonb_array_elements_text(%s::jsonb) order by 1
            ) keys
            where pg_advisory_xact_lock(key) is null
            """,
            [_json([f"{brand_id}:{key}" for key in keys])],
        )


def _known(numbers: set[str], addresses: set[str]) -> list[tuple[str, UUID]]:
    """Return (E.164 number or address, contact id) of what this brand knows; the oldest person of an address.

    An address that only somebody merged had names the survivor.

    One look into the index for each key, whatever the planner believes about a brand that is growing fast: hence
    the lateral joins with a limit, which it cannot turn into a scan of the brand.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select wanted, found.contact_id
            from jsonb_array_elements_text(%s::jsonb) as wanted
            cross join lateral (
                select contact_id from contacts_contactphone
                where phone_e164 = wanted and is_match_key and is_active
                order by created_at, id limit 1
            ) found
            union all
            select wanted, found.id
            from jsonb_array_elements_text(%s::jsonb) as wanted
            cross join lateral (
                select coalesce(merged_into_id, id) as id from contacts_contact
                where email_norm = wanted and (deleted_at is null or merged_into_id is not null)
                order by merged_into_id is not null, created_at, contacts_contact.id limit 1
            ) found
            """,
            [_json(list(numbers)), _json(list(addresses))],
        )
        found: list[tuple[str, UUID]] = cursor.fetchall()
    return found


_CONTACT_COLUMNS = (
    "id",
    "brand_id",
    "first_name",
    "last_name",
    "name_key",
    "surname_key",
    "email",
    "email_norm",
    "city",
    "cap",
    "company_name",
    "age",
    "status",
    "notes",
    "marketing_source_id",
    "assigned_user_id",
    "external_ids",
    "last_lead_at",
    "lead_count",
    "created_at",
    "updated_at",
)


def _contact_row(contact: Contact) -> list[Any]:
    values = contact.__dict__
    return [values[name] for name in _CONTACT_COLUMNS]


_FILLED_COLUMNS = (
    "first_name",
    "last_name",
    "name_key",
    "surname_key",
    "email",
    "email_norm",
    "city",
    "cap",
    "company_name",
    "age",
    "marketing_source_id",
    "external_ids",
    "updated_at",
)
Recognition.filled_columns = _FILLED_COLUMNS


@dataclass(slots=True)
class _PhoneRow:
    contact: Contact
    phone: NormalisedPhone
    kept_digits: str
    is_primary: bool = False
    recognises: bool = False

    @classmethod
    def of(cls, contact: Contact, phone: NormalisedPhone) -> "_PhoneRow":
        """A number that cannot be dialled is told from another by its digits, as far as the column holds them."""
        return cls(contact, phone, phone.normalised if phone.is_valid else phones.digits_of(phone.raw)[:20])

    @property
    def key(self) -> str:
        return self.phone.e164 or self.kept_digits


def _insert_phones(brand_id: UUID, rows: Sequence[_PhoneRow], now: datetime) -> None:
    bulk.insert(
        ContactPhone,
        (
            *("id", "brand_id", "contact_id", "phone_raw", "phone_norm", "country_code", "assumed_country"),
            *("phone_e164", "is_valid", "is_match_key", "is_primary", "is_active", "created_at"),
        ),
        [
            (
                new_id(),
                brand_id,
                row.contact.id,
                row.phone.raw,
                row.kept_digits,
                row.phone.country_code,
                row.phone.assumed_country,
                row.phone.e164,
                row.phone.is_valid,
                row.recognises,
                row.is_primary,
                True,
                now,
            )
            for row in rows
        ],
        # The person had this number once and it was taken away: it is theirs again.
        on_conflict=(
            "(brand_id, contact_id, country_code, phone_norm) do update set is_active = true, "
            "is_match_key = excluded.is_match_key, is_primary = excluded.is_primary, phone_raw = excluded.phone_raw"
        ),
    )


def _demote(contact_ids: Sequence[UUID]) -> None:
    if contact_ids:
        ContactPhone.objects.filter(contact_id__in=contact_ids, is_primary=True).update(is_primary=False)


def _human_age(age: int | None) -> int | None:
    return age if age is not None and 0 <= age <= 120 else None


def _external_ids(lead: "IncomingLead") -> dict[str, str]:
    """The sender's id of the person, where the sender has one: GoHighLevel, whose sources are called ghl or ghl-…"""
    contact_id = lead.custom.get("contact_id")
    return {"ghl": str(contact_id)} if contact_id and lead.source_name.startswith("ghl") else {}


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


# By hand

EDITABLE = (
    *("first_name", "last_name", "email", "city", "cap", "company_name", "age", "notes"),
    *("marketing_source_id", "assigned_user_id"),
)
_LONGEST = {"first_name": 100, "last_name": 100, "email": 255, "city": 100, "cap": 10, "company_name": 255}


@transaction.atomic
def edit_contact(
    *,
    contact_id: UUID,
    changes: dict[str, Any],
    now: datetime,
    user_id: UUID | None,
    default_country: str = "IT",
) -> Contact:
    """Change fields of a person: EDITABLE, and `phone`, the text of the main number.

    A corrected number takes the place of the main one, which stays on record without recognising anybody. Raises
    ContactMissing, Invalid with a sentence at each wrong field, InvalidPhone.
    """
    contact = locked(contact_id)
    changes = dict(changes)
    typed_phone = changes.pop("phone", None)
    _check_fields(changes)
    before = {name: getattr(contact, name) for name in changes}
    for name, value in changes.items():
        plain = value.strip() if isinstance(value, str) else value
        setattr(contact, name, (plain or None) if name == "email" else plain)
    contact.email_norm = rules.email_key(contact.email or "")
    contact.name_key, contact.surname_key = rules.name_keys(contact.first_name, contact.last_name)
    contact.updated_at = now
    contact.save()
    changed = [name for name, value in before.items() if getattr(contact, name) != value]
    if typed_phone is not None and _change_main_number(contact, typed_phone, default_country, now):
        changed.append("phone")
    if changed:
        events.record(
            kind="contact.updated",
            subject_id=contact.id,
            at=now,
            data={"fields": changed, "user_id": str(user_id) if user_id else None},
        )
    return contact


@transaction.atomic
def add_phone(*, contact_id: UUID, typed: str, now: datetime, default_country: str = "IT") -> ContactPhone:
    """Give a person another number. Raises ContactMissing, InvalidPhone."""
    contact = locked(contact_id)
    phone = phones.normalise(typed, default_country)
    if not phone.is_valid:
        raise InvalidPhone(phone)
    has_main = ContactPhone.objects.filter(contact_id=contact_id, is_primary=True).exists()
    return _own_number(contact, phone, is_primary=not has_main, now=now)


@transaction.atomic
def delete_contacts(*, contact_ids: Sequence[UUID], now: datetime, user_id: UUID | None) -> list[Contact]:
    """Put people into the bin: out of every list, and recognised by no new lead. Raises ContactMissing."""
    found = list(
        Contact.objects.select_for_update(no_key=True)
        .filter(id__in=contact_ids, deleted_at=None)
        .order_by("id")
    )
    if len(found) != len(set(contact_ids)):
        raise ContactMissing
    Contact.objects.filter(id__in=contact_ids).update(deleted_at=now, updated_at=now)
    ContactPhone.objects.filter(contact_id__in=contact_ids).update(is_match_key=False)
    _record_all("contact.deleted", found, now, user_id)
    return found


@transaction.atomic
def restore_contacts(*, contact_ids: Sequence[UUID], now: datetime, user_id: UUID | None) -> list[Contact]:
    """Take people out of the bin. Their numbers recognise them again, unless somebody else has them since."""
    found = list(
        Contact.objects.select_for_update(no_key=True)
        .filter(id__in=contact_ids, deleted_at__isnull=False, merged_into=None)
        .order_by("id")
    )
    Contact.objects.filter(id__in=[contact.id for contact in found]).update(deleted_at=None, updated_at=now)
    numbers = ContactPhone.objects.filter(contact__in=found, is_active=True, is_valid=True).order_by("id")
    for number in numbers:
        take_turns(number.brand_id, [number.phone_e164])
        number.is_match_key = not _somebody_has(number.phone_e164)
        number.save(update_fields=["is_match_key"])
    _record_all("contact.restored", found, now, user_id)
    return found


def locked(contact_id: UUID) -> Contact:
    """Return a person, locked until the transaction ends. Raises ContactMissing, ContactMerged."""
    contact = Contact.objects.select_for_update(no_key=True).filter(id=contact_id).first()
    if contact is not None and contact.merged_into_id is not None:
        raise ContactMerged(contact.id, contact.merged_into_id)
    if contact is None or contact.deleted_at is not None:
        raise ContactMissing
    return contact


def _check_fields(changes: dict[str, Any]) -> None:
    wrong: dict[str, list[str]] = {}
    for name, value in changes.items():
        if name not in EDITABLE:
            wrong[name] = [_("Non si cambia qui.")]
        elif name in _LONGEST and len(value or "") > _LONGEST[name]:
            wrong[name] = [_("Troppo lungo: al massimo %(letters)s lettere.") % {"letters": _LONGEST[name]}]
    if changes.get("email") and rules.email_key(changes["email"]) is None:
        wrong["email"] = [_("Un indirizzo ha una chiocciola: nome@dominio.it.")]
    age = changes.get("age")
    if age is not None and not 0 <= age <= 120:
        wrong["age"] = [_("L’età va da 0 a 120.")]
    origin = changes.get("marketing_source_id")
    if origin is not None and not MarketingSource.objects.filter(pk=origin).exists():
        wrong["marketing_source_id"] = [_("Provenienza sconosciuta")]
    if wrong:
        raise Invalid(_("Alcuni campi non vanno bene."), details=wrong)


def _change_main_number(contact: Contact, typed: str, default_country: str, now: datetime) -> bool:
    phone = phones.normalise(typed, default_country)
    if not phone.is_valid:
        raise InvalidPhone(phone)
    main = ContactPhone.objects.filter(contact_id=contact.id, is_primary=True).first()
    if main is not None and main.phone_e164 == phone.e164 and main.is_active:
        return False
    ContactPhone.objects.filter(contact_id=contact.id, is_primary=True).update(
        is_primary=False, is_active=False, is_match_key=False
    )
    _own_number(contact, phone, is_primary=True, now=now)
    return True


def _own_number(contact: Contact, phone: NormalisedPhone, *, is_primary: bool, now: datetime) -> ContactPhone:
    """Write a number to a person; it recognises them unless it recognises somebody else (people share numbers)."""
    take_turns(contact.brand_id, [phone.e164])
    number, _created = ContactPhone.objects.update_or_create(
        contact_id=contact.id,
        country_code=phone.country_code,
        phone_norm=phone.normalised,
        defaults={
            "phone_raw": phone.raw,
            "phone_e164": phone.e164,
            "assumed_country": phone.assumed_country,
            "is_valid": True,
            "is_active": True,
            "is_primary": is_primary,
            "is_match_key": not _somebody_has(phone.e164),
        },
        create_defaults={
            "brand_id": contact.brand_id,
            "phone_raw": phone.raw,
            "phone_e164": phone.e164,
            "assumed_country": phone.assumed_country,
            "is_primary": is_primary,
            "is_match_key": not _somebody_has(phone.e164),
            "created_at": now,
        },
    )
    return number


def _somebody_has(e164: str) -> bool:
    """Say whether a number recognises a person already."""
    return ContactPhone.objects.filter(phone_e164=e164, is_match_key=True, is_active=True).exists()


def _record_all(kind: str, found: Sequence[Contact], now: datetime, user_id: UUID | None) -> None:
    actor = {"user_id": str(user_id) if user_id else None}
    events.record_all([(kind, contact.id, actor) for contact in found], at=now)
