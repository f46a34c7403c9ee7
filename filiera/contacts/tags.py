"""Tags in a tree: make, move and delete them, put them on things, and find what carries one (CON-26, CON-27)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model, QuerySet
from django.utils.text import slugify
from django.utils.translation import gettext as _

from filiera.contacts import rules
from filiera.contacts.models import Contact, ContactTag, Tag, TagAssignment
from filiera.platform import brand_scope, bulk, events, live
from filiera.platform.ids import new_id
from filiera.platform.prepared import Prepared
from filiera.platform.refusals import Invalid, Missing, Refused

MOST_TAGS: Final = 2_000
MOST_AT_ONCE: Final = 1_000
Row = TypeVar("Row", bound=Model)


class TagMissing(Missing):
    """There is no such tag in this brand."""

    def __init__(self) -> None:
        super().__init__(_("Questa etichetta non c’è, o non c’è più."))


class TaggedMissing(Missing):
    """What was to be tagged is not there."""

    def __init__(self) -> None:
        super().__init__(_("Quello che vuoi etichettare non c’è, o non è più qui."))


class TagExists(Refused):
    """There is a tag of this name in this place already."""

    code = "TAG_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(_("Qui c’è già un’etichetta “%(name)s”.") % {"name": name})


class TagCycle(Refused):
    """A tag cannot stand below itself."""

    code = "TAG_CYCLE"

    def __init__(self) -> None:
        super().__init__(_("Un’etichetta non può stare sotto sé stessa."))


class TagHasChildren(Refused):
    """Other tags stand below this one."""

    code = "TAG_HAS_CHILDREN"

    def __init__(self) -> None:
        super().__init__(_("Sotto questa etichetta ce ne sono altre: spostale, o elimina anche quelle."))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing that carries tags: its rows, the join table and the column there."""

    entity: type[Model]
    join: type[TagAssignment]
    column: str


@dataclass(frozen=True, slots=True)
class Branch:
    """A tag in its place: how deep it stands, and its name with those above it."""

    tag: Tag
    depth: int
    path: str


_kinds: dict[str, Kind] = {"contact": Kind(Contact, ContactTag, "contact_id")}


_TAGS = Prepared(lambda _one: Tag.objects.order_by("name", "id")[:MOST_TAGS])
_OF_PERSON = Prepared(
    lambda one: ContactTag.objects.filter(contact_id=one).select_related("tag").order_by("tag__name", "id")
)


def register(name: str, kind: Kind) -> None:
    """Let a later room's things carry tags."""
    _kinds[name] = kind


def kinds() -> Sequence[str]:
    """Return what can carry tags, by name."""
    return list(_kinds)


def tree() -> list[Branch]:
    """Return all tags of the brand, each below its parent, siblings by name: one statement."""
    children: dict[UUID | None, list[Tag]] = {}
    for tag in _TAGS():
        children.setdefault(tag.parent_id, []).append(tag)
    found: list[Branch] = []

    def walk(parent_id: UUID | None, depth: int, above: str) -> None:
        for tag in children.get(parent_id, []):
            path = f"{above} / {tag.name}" if above else tag.name
            found.append(Branch(tag, depth, path))
            walk(tag.id, depth + 1, path)

    walk(None, 0, "")
    return found


def with_below(tag_id: UUID) -> set[UUID]:
    """Return a tag and all that stand below it. Raises TagMissing."""
    children: dict[UUID | None, list[UUID]] = {}
    for one, parent in Tag.objects.values_list("id", "parent_id"):
        children.setdefault(parent, []).append(one)
    if not any(tag_id in ids for ids in children.values()):
        raise TagMissing
    found, waiting = {tag_id}, [tag_id]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting += below
    return found


def named(word: str) -> set[UUID]:
    """Return the tags that an id, a slug or a name means, with all below them; none for another word."""
    try:
        meant = Tag.objects.filter(id=UUID(word))
    except ValueError:
        meant = Tag.objects.filter(slug=_slug(word))
    return {one for tag_id in meant.values_list("id", flat=True) for one in with_below(tag_id)}


def tagged(rows: "QuerySet[Row]", tag_id: UUID) -> "QuerySet[Row]":
    """Return those of `rows` (people, deals or lead events) that carry a tag or one below it. Raises TagMissing."""
    kind = next(kind for kind in _kinds.values() if kind.entity is rows.model)
    carrying = kind.join._default_manager.filter(tag_id__in=with_below(tag_id)).values(kind.column)
    return rows.filter(pk__in=carrying)


def of(name: str, entity_ids: Iterable[UUID]) -> dict[UUID, list[Tag]]:
    """Return the tags of things of one kind, by name, with one statement."""
    kind = _kinds[name]
    ids = list(entity_ids)
    rows = kind.join._default_manager.filter(**{f"{kind.column}__in": ids}).select_related("tag")
    found: dict[UUID, list[Tag]] = {}
    for row in rows.order_by("tag__name", "id"):
        found.setdefault(getattr(row, kind.column), []).append(row.tag)
    return found


def of_person(contact_id: UUID) -> list[Tag]:
    """Return the tags of a person, by name."""
    return [row.tag for row in _OF_PERSON(contact_id)]


def counts() -> dict[UUID, int]:
    """Return how many things carry each tag itself, all kinds together: one statement for each kind."""
    found: dict[UUID, int] = {}
    for kind in _kinds.values():
        with connection.cursor() as cursor:
            cursor.execute(f"select tag_id, count(*) from {kind.join._meta.db_table} group by 1")
            for tag_id, number in cursor.fetchall():
                found[tag_id] = found.get(tag_id, 0) + number
    return found


# Writing


@transaction.atomic
def create(*, name: str, now: datetime, color: str = "", parent_id: UUID | None = None) -> Tag:
    """Make a tag. Raises Invalid, TagExists, TagMissing for a parent that is none."""
    _one_at_a_time()
    if parent_id is not None:
        _tag(parent_id)
    if Tag.objects.values("id")[:MOST_TAGS].count() >= MOST_TAGS:
        raise Invalid(_("Le etichette sono al massimo %(most)s.") % {"most": MOST_TAGS})
    tag = Tag(id=new_id(), parent_id=parent_id, created_at=now)
    _set(tag, name, color or tag.color)
    tag.save(force_insert=True)
    return tag


@transaction.atomic
def edit(*, tag_id: UUID, changes: dict[str, Any]) -> Tag:
    """Change `name`, `color` or `parent_id`. Raises TagMissing, Invalid, TagExists, TagCycle."""
    _one_at_a_time()
    tag = _tag(tag_id)
    if "parent_id" in changes:
        parent_id = changes["parent_id"]
        if parent_id is not None:
            _tag(parent_id)
            if parent_id in with_below(tag_id):
                raise TagCycle
        tag.parent_id = parent_id
    _set(tag, changes.get("name", tag.name), changes.get("color") or tag.color)
    tag.save()
    live.announce("leads")
    return tag


@transaction.atomic
def delete(*, tag_id: UUID, cascade: bool = False) -> int:
    """Delete a tag and take it off everything; returns how many tags went. Raises TagMissing, TagHasChildren."""
    _one_at_a_time()
    doomed = with_below(tag_id)
    if len(doomed) > 1 and not cascade:
        raise TagHasChildren
    for kind in _kinds.values():
        kind.join._default_manager.filter(tag_id__in=doomed).delete()
    with connection.cursor() as cursor:  # one statement: a tag and its children at once
        cursor.execute("delete from contacts_tag where id = any(%s::uuid[])", [bulk.uuids(doomed)])
    live.announce("leads")
    return len(doomed)


@transaction.atomic
def assign(
    *, tag_id: UUID, entity_type: str, entity_ids: Sequence[UUID], now: datetime, user_id: UUID | None
) -> int:
    """Put a tag on things of one kind; returns how many had it not. Raises TagMissing, TaggedMissing, Invalid."""
    kind = _kind(entity_type, entity_ids)
    tag = _tag(tag_id)
    wanted = set(entity_ids)
    there = kind.entity._default_manager.filter(pk__in=wanted)
    if kind.entity is Contact:
        there = there.filter(deleted_at=None)
    if there.count() != len(wanted):
        raise TaggedMissing
    added = bulk.insert(
        kind.join,
        ("id", "brand_id", "tag_id", kind.column, "assigned_by_id", "created_at"),
        [(new_id(), tag.brand_id, tag.id, one, user_id, now) for one in sorted(wanted)],
        on_conflict=f"(brand_id, {kind.column}, tag_id) do nothing",
        returning=("id",),
    )
    if added:
        facts = {
            "entity_type": entity_type,
            "number": len(added),
            "user_id": str(user_id) if user_id else None,
        }
        events.record(kind="tag.assigned", subject_id=tag.id, at=now, data=facts)
        live.announce("leads")
    return len(added)


@transaction.atomic
def unassign(*, tag_id: UUID, entity_type: str, entity_ids: Sequence[UUID]) -> int:
    """Take a tag off things of one kind; returns how many had it. Raises TagMissing, Invalid."""
    kind = _kind(entity_type, entity_ids)
    _tag(tag_id)
    rows = kind.join._default_manager.filter(tag_id=tag_id, **{f"{kind.column}__in": list(entity_ids)})
    gone, _by_model = rows.delete()
    if gone:
        live.announce("leads")
    return gone


def _kind(entity_type: str, entity_ids: Sequence[UUID]) -> Kind:
    if entity_type not in _kinds:
        raise Invalid(_("Questo non si etichetta."), details={"entity_type": [", ".join(_kinds)]})
    if len(entity_ids) > MOST_AT_ONCE:
        raise Invalid(_("Al massimo %(most)s alla volta.") % {"most": MOST_AT_ONCE})
    return _kinds[entity_type]


def _tag(tag_id: UUID) -> Tag:
    tag = Tag.objects.filter(id=tag_id).first()
    if tag is None:
        raise TagMissing
    return tag


def _set(tag: Tag, name: str, color: str) -> None:
    """Give a tag its name and colour, where no sibling has the name."""
    plain = " ".join(name.replace("\x00", "").split())
    wrong: dict[str, list[str]] = {}
    if not plain or len(plain) > 100:
        wrong["name"] = [_("Un nome ha da 1 a 100 lettere.")]
    if color not in Tag.Color:
        wrong["color"] = [", ".join(Tag.Color.values)]
    if wrong:
        raise Invalid(_("Alcuni campi non vanno bene."), details=wrong)
    tag.name, tag.color = plain, color
    tag.slug = _slug(plain)
    if Tag.objects.filter(parent_id=tag.parent_id, slug=tag.slug).exclude(id=tag.id).exists():
        raise TagExists(plain)


def _slug(name: str) -> str:
    folded = rules.folded(name)
    return (slugify(folded) or folded)[:100]


def _one_at_a_time() -> None:
    """Let one transaction at a time change the brand's tree: two moves together could close a circle."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"tags:{brand_scope.current()}"]
        )
