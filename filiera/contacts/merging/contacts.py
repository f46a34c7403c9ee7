"""What a merge does with this room's own rows, where the survivor may have the same already."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from filiera.contacts import rules
from filiera.contacts.merging import references
from filiera.contacts.merging.ledger import Change, Watched
from filiera.contacts.merging.plan import Plan
from filiera.contacts.merging.references import Fate
from filiera.contacts.models import Contact, ContactPhone, ContactTag, DuplicateSuggestion, Tag
from filiera.platform import bulk

PHONES, SUGGESTIONS, PEOPLE, TAGS = "phones", "suggestions", "people", "tags"


def register() -> None:
    """Say what becomes of what points to people in this room and below."""
    say = references.say
    say(
        "contacts_contactphone",
        "contact_id",
        Fate.OWN_WAY,
        "a number once per person, one of them the main one",
    )
    say("contacts_duplicatesuggestion", "contact_id", Fate.OWN_WAY, "a pair once, and nobody with themselves")
    say("contacts_duplicatesuggestion", "other_id", Fate.OWN_WAY, "a pair once, and nobody with themselves")
    say("contacts_consent", "contact_id", Fate.OWN_WAY, "sealed proofs: moved by the database's own function")
    say("contacts_contacttag", "contact_id", Fate.OWN_WAY, "a tag once per person")
    say("contacts_contact", "merged_into_id", Fate.MOVES)
    say("contacts_erasure", "contact_id", Fate.MOVES)
    say("contacts_merge", "survivor_id", Fate.STAYS, "the record of an earlier merge, undone after this one")
    say("contacts_importedcontact", "contact_id", Fate.STAYS, "what a file said of whom, and once per file")
    soft = references.soft
    soft("platform_event", "subject_id", "what happened, to whom it happened")
    soft("identity_notification", "subject_id", "a link, and old links lead to the survivor")
    soft("audit_log", "entity_id", "append-only: what was changed is told of the row it was")


def watched_people(plan: Plan) -> Watched:
    return Watched("contacts_contact", "row.id = any(%s::uuid[])", (bulk.uuids(plan.ids),))


def watched_phones(plan: Plan) -> Watched:
    return Watched("contacts_contactphone", "row.contact_id = any(%s::uuid[])", (bulk.uuids(plan.ids),))


def watched_suggestions(plan: Plan) -> Watched:
    ids = bulk.uuids(plan.ids)
    where = "(row.contact_id = any(%s::uuid[]) or row.other_id = any(%s::uuid[]))"
    return Watched("contacts_duplicatesuggestion", where, (ids, ids))


def unite_phones(plan: Plan) -> None:
    """Leave each number once, the survivor's own row before others, with all that any of them said; one is the main."""
    place = {
        contact_id: n for n, contact_id in enumerate([plan.survivor.id, *(one.id for one in plan.losers)])
    }
    rows = sorted(
        ContactPhone.objects.filter(contact_id__in=plan.ids),
        key=lambda one: (place[one.contact_id], one.created_at, one.id),
    )
    same: dict[tuple[str | None, str], list[ContactPhone]] = defaultdict(list)
    for row in rows:
        same[row.country_code, row.phone_norm].append(row)
    main = next((row for row in rows if row.is_primary and row.is_active), None) or next(
        (row for row in rows if row.is_primary), None
    )
    kept = [_united(group) for group in same.values()]
    gone = [row.id for group in same.values() for row in group[1:]]
    main_id = next((group[0].id for group in same.values() if main in group), None)
    ContactPhone.objects.filter(id__in=gone).delete()
    if main_id is not None:  # the place is free before another takes it
        ContactPhone.objects.filter(contact_id__in=plan.ids, is_primary=True).exclude(id=main_id).update(
            is_primary=False
        )
    for row in kept:
        row.contact_id, row.is_primary = plan.survivor.id, row.id == main_id
    bulk.update(
        ContactPhone, ("contact_id", "is_primary", "is_match_key", "is_active", "assumed_country"), kept
    )


def _united(group: Sequence[ContactPhone]) -> ContactPhone:
    first = group[0]
    if len(group) > 1:
        first.is_active = any(one.is_active for one in group)
        first.is_match_key = any(one.is_match_key for one in group) and first.is_active
        first.assumed_country = all(one.assumed_country for one in group)
    return first


def watched_tags(plan: Plan) -> Watched:
    return Watched("contacts_contacttag", "row.contact_id = any(%s::uuid[])", (bulk.uuids(plan.ids),))


def unite_tags(plan: Plan) -> None:
    """Give the survivor the tags of all, each once."""
    rows = list(ContactTag.objects.filter(contact_id__in=plan.ids).order_by("created_at", "id"))
    rows.sort(key=lambda row: row.contact_id != plan.survivor.id)
    kept: dict[UUID, ContactTag] = {}
    for row in rows:
        kept.setdefault(row.tag_id, row)
    standing = {row.id for row in kept.values()}
    ContactTag.objects.filter(id__in=[row.id for row in rows if row.id not in standing]).delete()
    ContactTag.objects.filter(id__in=standing).update(contact_id=plan.survivor.id)


def unite_suggestions(plan: Plan) -> None:
    """Forget that these people may be one, and ask of the survivor what was asked of the others.

    Where two of them were suggested with the same third, the verdict "not one" stays before a question.
    """
    ids, survivor = set(plan.ids), plan.survivor.id
    rows = list(DuplicateSuggestion.objects.filter(Q(contact_id__in=ids) | Q(other_id__in=ids)))
    kept: dict[tuple[UUID, UUID], DuplicateSuggestion] = {}
    for row in sorted(rows, key=lambda one: (one.dismissed_at is None, one.created_at, one.id)):
        first, second = sorted(survivor if one in ids else one for one in (row.contact_id, row.other_id))
        if first != second:
            kept.setdefault((first, second), row)
    standing = {row.id for row in kept.values()}
    DuplicateSuggestion.objects.filter(id__in=[row.id for row in rows if row.id not in standing]).delete()
    for (first, second), row in kept.items():
        if (row.contact_id, row.other_id) != (first, second):
            row.contact_id, row.other_id = first, second
            row.save(update_fields=["contact", "other"])


def write_people(plan: Plan, *, now: datetime) -> None:
    """Give the survivor their fields, and make tombstones of the others."""
    survivor = plan.survivor
    for name, value in plan.changes.items():
        setattr(survivor, name, value)
    survivor.name_key, survivor.surname_key = rules.name_keys(survivor.first_name, survivor.last_name)
    survivor.updated_at = now
    survivor.save(update_fields=[*plan.changes, "name_key", "surname_key", "updated_at"])
    Contact.objects.filter(id__in=[one.id for one in plan.losers]).update(
        merged_into_id=survivor.id, deleted_at=now, updated_at=now
    )


def without_taken_keys(change: Change, ours: Iterable[UUID]) -> None:
    """Let numbers come back without being the key, where somebody else is recognised by them since."""
    back = [row for row in change.removed.get("contacts_contactphone", []) if row["is_match_key"]]
    taken = set(
        ContactPhone.objects.filter(
            phone_e164__in=[row["phone_e164"] for row in back], is_match_key=True, is_active=True
        )
        .exclude(contact_id__in=list(ours))
        .values_list("phone_e164", flat=True)
    )
    for row in back:
        row["is_match_key"] = row["phone_e164"] not in taken


def without_deleted_tags(change: Change) -> None:
    """Let no tag come back that was deleted meanwhile."""
    removed = change.removed.get("contacts_contacttag", [])
    there = set(
        map(str, Tag.objects.filter(id__in=[row["tag_id"] for row in removed]).values_list("id", flat=True))
    )
    removed[:] = [row for row in removed if row["tag_id"] in there]
