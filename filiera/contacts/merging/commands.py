"""Merge people into one, and take it back: one transaction each, everybody locked in one order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import gettext as _
from psycopg import sql

from filiera.contacts import tasks
from filiera.contacts.commands import ContactMissing, take_turns
from filiera.contacts.consents import keys_of
from filiera.contacts.merging import consents, references
from filiera.contacts.merging import contacts as own
from filiera.contacts.merging.ledger import Back, Change, Ledger, move_back, take_back
from filiera.contacts.merging.plan import CHOOSABLE, FEWEST, MOST, plan
from filiera.contacts.models import Contact, Erasure, Merge
from filiera.platform import brand_scope, bulk, events, live
from filiera.platform.ids import new_id
from filiera.platform.refusals import Invalid, Missing, Refused

TERM: Final = timedelta(days=30)
"""How long a merge can be undone."""
GATHERED_AFTER_S: Final = 60


class MergedMeanwhile(Refused):
    """Somebody else merged one of these people, or took them away, while this one waited."""

    code = "MERGED_MEANWHILE"

    def __init__(self) -> None:
        super().__init__(
            _("Nel frattempo qualcuno ha unito o tolto una di queste schede. Riapri l’elenco e riprova.")
        )


class MergeMissing(Missing):
    """There is no such merge in this brand."""

    def __init__(self) -> None:
        super().__init__(_("Questa unione non c’è."))


class NotUndoable(Refused):
    """The merge cannot be undone: its term is over, it was undone, or one of the people is gone for good."""

    code = "NOT_UNDOABLE"


def chosen_people(contact_ids: Sequence[UUID]) -> list[Contact]:
    """Return the people of a merge that is asked for. Raises Invalid under 2 or over 50, ContactMissing."""
    ids = set(contact_ids)
    if not FEWEST <= len(ids) <= MOST:
        raise Invalid(
            _("Si uniscono da %(fewest)s a %(most)s schede.") % {"fewest": FEWEST, "most": MOST},
            details={"leadIds": [_("Ne hai indicate %(n)s.") % {"n": len(ids)}]},
        )
    living = Contact.objects.filter(id__in=ids, deleted_at=None)
    people = list(living.select_related("marketing_source", "assigned_user"))
    if len(people) != len(ids):
        raise ContactMissing
    return people


@transaction.atomic
def merge(
    *,
    contact_ids: Sequence[UUID],
    now: datetime,
    user_id: UUID | None,
    survivor_id: UUID | None = None,
    chosen: Mapping[str, UUID] | None = None,
) -> Merge:
    """Make one person of two to fifty, and return the record by which it can be undone.

    The oldest lives on unless `survivor_id` names another; `chosen` names for a field (CHOOSABLE) whose value stays.
    Raises Invalid, ContactMissing, MergedMeanwhile when somebody else was faster.
    """
    _check_choice(contact_ids, survivor_id, chosen)
    ids = [one.id for one in chosen_people(contact_ids)]
    people = _locked(ids)
    if any(one.deleted_at is not None for one in people):
        raise MergedMeanwhile
    planned = plan(people, survivor_id=survivor_id, chosen=chosen)
    survivor, losers = planned.survivor, [one.id for one in planned.losers]
    refused = consents.denied(planned.people)
    record = Merge(id=new_id(), survivor=survivor, merged_ids=losers, at=now, by_user_id=user_id)
    ledger = Ledger()
    with ledger.watching(own.PEOPLE, survivor.id, own.watched_people(planned)):
        for room in references.rooms():
            if room.before is not None:
                room.before(planned, ledger, now, user_id)
        with ledger.watching(own.PHONES, survivor.id, own.watched_phones(planned)):
            own.unite_phones(planned)
        with ledger.watching(own.SUGGESTIONS, survivor.id, own.watched_suggestions(planned)):
            own.unite_suggestions(planned)
        with ledger.watching(own.TAGS, survivor.id, own.watched_tags(planned)):
            own.unite_tags(planned)
        own.write_people(planned, now=now)
        for one in references.moving():
            # A tombstone of this merge points to the survivor already.
            ledger.move(one, losers, survivor.id)
        consents.move(ledger, losers, survivor.id)
        consents.refuse(survivor, refused, merge_id=record.id, now=now)
    record.manifest = ledger.manifest()
    record.save(force_insert=True)
    tasks.gather.configure(schedule_in={"seconds": GATHERED_AFTER_S}).defer(
        brand_id=str(record.brand_id), merge_id=str(record.id)
    )
    _tell("contact.merged", record, now, user_id, merged=[str(one) for one in losers])
    return record


@transaction.atomic
def gather(*, merge_id: UUID) -> int:
    """Let what was written about the losers while they were merged point to the survivor; returns how many rows.

    Who writes without locking people, as whoever chooses an agent does, may write the old id a moment after.
    """
    record = Merge.objects.select_for_update().filter(id=merge_id, undone_at=None).first()
    if record is None or not record.manifest:
        return 0
    ledger = Ledger()
    gathered = 0
    for one in references.moving():
        gathered += ledger.move(one, record.merged_ids, record.survivor_id)
    for table, columns in ledger.moved.items():
        for column, owners in columns.items():
            known = record.manifest["moved"].setdefault(table, {}).setdefault(column, {})
            for owner, row_ids in owners.items():
                known.setdefault(owner, []).extend(row_ids)
    if gathered:
        record.save(update_fields=["manifest"])
    return gathered


def let_go(*, now: datetime) -> int:
    """Empty the manifests whose term is over: they hold people's values; returns how many."""
    return Merge.objects.filter(at__lt=now - TERM, undone_at=None).exclude(manifest={}).update(manifest={})


@dataclass(frozen=True, slots=True)
class Undone:
    """A merge that was taken back: `kept` says what stays as it was edited since, `followed` what came since and went
    along with its deal or request."""

    record: Merge
    kept: list[dict[str, Any]]
    followed: int


@transaction.atomic
def undo(*, merge_id: UUID, now: datetime, user_id: UUID | None) -> Undone:
    """Take a merge back: every row as it was and whose it was, but for what was edited since, which stays and is told.

    What came since belongs to the survivor, unless it belongs to a deal or request that goes back. Raises MergeMissing,
    NotUndoable.
    """
    record = Merge.objects.filter(id=merge_id).first()
    if record is None:
        raise MergeMissing
    ids = sorted({record.survivor_id, *record.merged_ids})
    people = {one.id: one for one in _locked(ids)}
    record = Merge.objects.select_for_update().get(id=merge_id)
    _check_undoable(record, people, now)
    back, manifest = Back(), record.manifest
    survivor = people[record.survivor_id]
    counted = (survivor.lead_count, survivor.last_lead_at)
    _edited_since(manifest, record, back)
    consents.take_back_refusals(record.id)
    for table, columns in manifest["moved"].items():
        for column, owners in columns.items():
            for owner, row_ids in owners.items():
                if references.Reference(table, column) == consents.OWNED:
                    consents.rehome(row_ids, owner)
                elif stayed := len(row_ids) - move_back(table, column, owner, row_ids, record.survivor_id):
                    back.keep(table, owner, [str(stayed)])
    followed = _follow(record)
    for told in reversed(manifest["changes"]):
        change = Change(**told)
        if change.about == own.PHONES:
            own.without_taken_keys(change, ids)
        if change.about == own.TAGS:
            own.without_deleted_tags(change)
        take_back(change, back, column_by_column=change.about in (own.PEOPLE, own.PHONES, own.TAGS))
    if followed or counted != _counts_of(manifest, survivor):
        for room in references.rooms():
            if room.after_undo is not None:
                room.after_undo(ids)
    record.undone_at, record.undone_by_id, record.manifest, record.kept = now, user_id, {}, back.kept
    record.save(update_fields=["undone_at", "undone_by", "manifest", "kept"])
    _tell("contact.merge_undone", record, now, user_id, restored=[str(one) for one in record.merged_ids])
    return Undone(record, back.kept, followed)


def undoable_until(record: Merge) -> datetime:
    """Return until when a merge can be undone, if nothing else stands against it."""
    return record.at + TERM


def why_not(record: Merge, now: datetime) -> str:
    """Return why a merge cannot be undone, as a sentence, or "" when it can."""
    people = {one.id: one for one in Contact.objects.filter(id__in=[record.survivor_id, *record.merged_ids])}
    try:
        _check_undoable(record, people, now)
    except NotUndoable as refusal:
        return str(refusal)
    return ""


def _check_choice(
    contact_ids: Sequence[UUID], survivor_id: UUID | None, chosen: Mapping[str, UUID] | None
) -> None:
    wrong: dict[str, list[str]] = {}
    if survivor_id is not None and survivor_id not in contact_ids:
        wrong["survivorId"] = [_("Chi resta è una delle schede da unire.")]
    for name, owner in (chosen or {}).items():
        if name not in CHOOSABLE:
            wrong[name] = [_("Questo campo non si sceglie.")]
        elif owner not in contact_ids:
            wrong[name] = [_("Il valore viene da una delle schede da unire.")]
    if wrong:
        raise Invalid(_("Alcune scelte non vanno bene."), details=wrong)


def _locked(ids: Sequence[UUID]) -> list[Contact]:
    """Lock people in the order of their ids.

    First come the turns of their numbers and addresses, which intake takes before it looks people up: a lead that
    arrives meanwhile waits and then finds the survivor.
    """
    take_turns(brand_scope.current(), keys_of(ids))
    for room in references.rooms():
        if room.lock is not None:
            room.lock(ids)
    return list(Contact.objects.select_for_update(no_key=True).filter(id__in=ids).order_by("id"))


def _check_undoable(record: Merge, people: Mapping[UUID, Contact], now: datetime) -> None:
    if record.undone_at is not None:
        raise NotUndoable(_("Questa unione è già stata annullata."))
    if Erasure.objects.filter(contact_id__in=list(people)).exists():
        raise NotUndoable(_("Una di queste persone è stata cancellata: l’unione non si annulla più."))
    if now > undoable_until(record) or not record.manifest:
        raise NotUndoable(_("Sono passati più di 30 giorni: questa unione non si annulla più."))
    survivor = people[record.survivor_id]
    if survivor.merged_into_id is not None:
        raise NotUndoable(
            _("Dopo, anche questa scheda è stata unita a un’altra: annulla prima quell’unione.")
        )


def _follow(record: Merge) -> int:
    """Let rows that came since go with the deal or request they belong to; returns how many went."""
    followed = 0
    went = -1
    while went != followed:
        went = followed
        for bond in references.bonds():
            names = {
                name: sql.Identifier(getattr(bond, name)) for name in ("table", "owner", "column", "parent")
            }
            with connection.cursor() as cursor:
                cursor.execute(
                    sql.SQL(
                        "update {table} as child set {owner} = parent.{parent_owner} from {parent} as parent"
                        " where child.{column} = parent.id and child.{owner} = %s and child.id > %s"
                        " and parent.{parent_owner} = any(%s::uuid[])"
                    )
                    .format(**names, parent_owner=sql.Identifier(bond.parent_owner))
                    .as_string(),
                    [record.survivor_id, record.id, bulk.uuids(record.merged_ids)],
                )
                followed += cursor.rowcount
    return followed


def _edited_since(manifest: Mapping[str, Any], record: Merge, back: Back) -> None:
    """Tell of rows that go back with what was edited in them since."""
    for table, columns in manifest["moved"].items():
        if not references.keeps_time(table):
            continue
        ids = [row_id for owners in columns.values() for rows in owners.values() for row_id in rows]
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("select id::text from {} where id = any(%s::uuid[]) and updated_at > %s")
                .format(sql.Identifier(table))
                .as_string(),
                [ids, record.at],
            )
            for (row_id,) in cursor.fetchall():
                back.keep(table, row_id)


def _counts_of(manifest: Mapping[str, Any], survivor: Contact) -> tuple[int, datetime]:
    """Return count and moment of the survivor's leads as the merge left them."""
    changed: Mapping[str, list[Any]] = {}
    for told in manifest["changes"]:
        if told["about"] == own.PEOPLE:
            changed = told["changed"]["contacts_contact"].get(str(survivor.id), {})
    count = changed.get("lead_count", [0, survivor.lead_count])[1]
    last = changed.get("last_lead_at", [None, None])[1]
    return count, datetime.fromisoformat(last) if last else survivor.last_lead_at


def _tell(kind: str, record: Merge, now: datetime, user_id: UUID | None, **more: Any) -> None:
    facts = {"merge_id": str(record.id), "user_id": str(user_id) if user_id else None, **more}
    events.record(kind=kind, subject_id=record.survivor_id, at=now, data=facts)
    live.announce("leads", "board", "calls")
