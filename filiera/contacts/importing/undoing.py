"""Taking an import back: people it made go to the bin, fields get their old values, what stays is told."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from django.db import connection
from django.utils import timezone

from filiera.contacts import commands, rules
from filiera.contacts.importing.progress import Status, at_work
from filiera.contacts.models import Contact, ImportedContact, ImportRun
from filiera.platform import brand_scope, bulk, events, live

SET: Final = 1_000
TERM: Final = timedelta(days=30)
Undo = ImportedContact.Undo

InUse = Callable[[Sequence[UUID]], set[UUID]]
"""(contact ids) → those of them with whom somebody has begun to work."""

_in_use: dict[str, InUse] = {}


def keep_when_in_use(room: str, tell: InUse) -> None:
    """Let a room say which people it has something about: those are not taken back. Saying it again replaces it."""
    _in_use[room] = tell


def in_use(contact_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these people a later room has something about."""
    return {one for tell in _in_use.values() for one in tell(contact_ids)}


def undo(brand_id: UUID, run_id: UUID) -> None:
    """Take back what is not taken back yet, set by set; a second job on it finds nothing left to do."""
    while True:
        with brand_scope.use(brand_id), at_work(run_id, Status.UNDOING) as run:
            waiting = ImportedContact.objects.filter(run_id=run_id, undo=Undo.NOT).order_by(
                "row_number", "id"
            )
            together = list(waiting.select_for_update()[:SET])
            if not together:
                run.status, run.undone_at = Status.UNDONE, timezone.now()
                events.record(kind="import.undone", subject_id=run.id, at=run.undone_at, data=run.undo_counts)
                live.announce("leads")
                return
            counts = Counter(run.undo_counts)
            counts.update(_take_back(run, together))
            run.undo_counts = dict(counts)


def _take_back(run: ImportRun, deeds: list[ImportedContact]) -> "Counter[str]":
    now = timezone.now()
    ids = [deed.contact_id for deed in deeds]
    people = {
        one.id: one
        for one in Contact.objects.filter(id__in=ids).select_for_update(no_key=True).order_by("id")
    }
    used = in_use([deed.contact_id for deed in deeds if deed.was_created])
    binned, changed = [], []
    for deed in deeds:
        person = people[deed.contact_id]
        if person.deleted_at is not None:
            deed.undo = Undo.GONE
        elif not deed.was_created:
            deed.undo = _restore(person, deed)
            changed.append(deed)
        elif deed.contact_id in used:
            deed.undo = Undo.IN_USE
        elif person.updated_at > deed.at:
            deed.undo = Undo.EDITED
        else:
            deed.undo = Undo.DONE
            binned.append(deed.contact_id)
    restored = [people[deed.contact_id] for deed in changed]
    for person in restored:
        person.updated_at = now
    bulk.update(Contact, (*_COLUMNS, "name_key", "surname_key", "email_norm", "updated_at"), restored)
    _take_numbers_away(run, changed)
    if binned:
        commands.delete_contacts(contact_ids=binned, now=now, user_id=run.undone_by_id)
    _take_permissions_back(run, [deed for deed in deeds if deed.undo != Undo.GONE])
    bulk.update(ImportedContact, ("undo", "kept"), deeds)
    return Counter(
        key
        for deed in deeds
        for key in (deed.undo, *(["removed"] if deed.undo == Undo.DONE and deed.was_created else []))
    )


_COLUMNS = (
    *("first_name", "last_name", "email", "city", "cap", "company_name", "age", "notes"),
    *("marketing_source_id", "assigned_user_id", "external_ids"),
)


def _restore(person: Contact, deed: ImportedContact) -> str:
    """Give fields their old values back where they still are what the import made of them; keep the others."""
    kept = []
    for name, value in deed.after.items():
        if name not in _COLUMNS:
            continue
        if _plain(getattr(person, name)) == value:
            setattr(person, name, deed.before.get(name))
        else:
            kept.append(name)
    person.email_norm = rules.email_key(person.email or "")
    person.name_key, person.surname_key = rules.name_keys(person.first_name, person.last_name)
    deed.kept = kept
    return Undo.EDITED if kept else Undo.DONE


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value


def _take_numbers_away(run: ImportRun, deeds: Sequence[ImportedContact]) -> None:
    """Delete the numbers that the import added to people it knew, and make the old main ones main again."""
    added = [[str(deed.contact_id), *number] for deed in deeds for number in deed.numbers]
    mains = [
        [str(deed.contact_id), deed.before["main_number"]]
        for deed in deeds
        if deed.before.get("main_number") and deed.undo in (Undo.DONE, Undo.EDITED)
    ]
    people = bulk.uuids({deed.contact_id for deed in deeds if deed.numbers or "main_number" in deed.before})
    if not added and not mains:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            delete from contacts_contactphone phone using jsonb_array_elements(%s::jsonb) added
            where phone.contact_id = any(%s::uuid[]) and phone.contact_id = (added->>0)::uuid
              and phone.country_code is not distinct from added->>1 and phone.phone_norm = added->>2
              and phone.created_at >= %s
            """,
            [_json(added), people, run.started_at],
        )
        cursor.execute(
            """
            update contacts_contactphone phone set is_primary = false
            from jsonb_array_elements(%s::jsonb) main
            where phone.contact_id = any(%s::uuid[]) and phone.contact_id = (main->>0)::uuid
              and phone.phone_e164 <> main->>1 and phone.is_primary
            """,
            [_json(mains), people],
        )
        cursor.execute(
            """
            with wanted as (
                select distinct on (phone.contact_id) phone.id
                from contacts_contactphone phone
                left join jsonb_array_elements(%s::jsonb) main on (main->>0)::uuid = phone.contact_id
                where phone.contact_id = any(%s::uuid[]) and phone.is_active
                  and not exists (select from contacts_contactphone other
                                  where other.contact_id = phone.contact_id and other.is_primary)
                order by phone.contact_id, phone.phone_e164 is not distinct from main->>1 desc,
                         phone.created_at, phone.id
            )
            update contacts_contactphone phone set is_primary = true from wanted where phone.id = wanted.id
            """,
            [_json(mains), people],
        )


def _take_permissions_back(run: ImportRun, deeds: Iterable[ImportedContact]) -> None:
    """Say no where the list's own yes is the last word: consents are never deleted, so this one ends it."""
    if not run.origin.get("text"):
        return
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into contacts_consent (id, brand_id, contact_id, purpose, channel, given, by_person, text,
                                          text_version, language, form_url, user_agent, collected_by, record_hash,
                                          at, created_at)
            select gen_random_uuid(), last.brand_id, last.contact_id, last.purpose, last.channel, false, false,
                   last.text, last.text_version, last.language, '', '', %s, '', %s, %s
            from (select distinct on (contact_id, purpose, channel) * from contacts_consent
                  where contact_id = any(%s::uuid[]) order by contact_id, purpose, channel, at desc, id desc) last
            where last.given and not last.by_person and last.created_at >= %s and last.text = %s
            """,
            [
                f"import undone: {run.file_name}"[:255],
                now,
                now,
                bulk.uuids({deed.contact_id for deed in deeds}),
                run.started_at,
                run.origin["text"],
            ],
        )


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
