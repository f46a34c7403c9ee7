"""What a merge adds to a person's thread."""

from collections.abc import Sequence
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from filiera.contacts.merging import queries
from filiera.contacts.merging.commands import undoable_until
from filiera.contacts.models import Contact, Merge
from filiera.contacts.timeline import TimelineItem


def read(contact_ids: Sequence[UUID], limit: int) -> list[TimelineItem]:
    """Return the merges in which these people lived on: one statement, two where there are any."""
    merges = queries.of(contact_ids, limit)
    if not merges:
        return []
    people = Contact.objects.filter(id__in=[key for one in merges for key in one.merged_ids]).in_bulk()
    items = []
    for one in merges:
        names = [people[key].full_name or _("Senza nome") for key in one.merged_ids if key in people]
        items.append(_item(one, names))
        if one.undone_at is not None:
            items.append(_undone(one, len(one.merged_ids)))
    return items


def _item(one: Merge, names: Sequence[str]) -> TimelineItem:
    words = ngettext("ha unito un’altra scheda", "ha unito altre %(n)s schede", len(one.merged_ids))
    return TimelineItem(
        at=one.at,
        kind="contact.merged",
        icon="users",
        title=words % {"n": len(one.merged_ids)},
        detail=", ".join(names),
        actor=one.by_user.name if one.by_user else "",
        is_human=one.by_user is not None,
        subject_id=one.id,
        contact_id=one.survivor_id,
        data={
            "undoable_until": undoable_until(one).isoformat() if one.undone_at is None else None,
            "merged_ids": [str(key) for key in one.merged_ids],
        },
    )


def _undone(one: Merge, number: int) -> TimelineItem:
    words = ngettext(
        "ha annullato l’unione con un’altra scheda", "ha annullato l’unione con altre %(n)s schede", number
    )
    return TimelineItem(
        at=one.undone_at or one.at,
        kind="contact.merge_undone",
        icon="history",
        title=words % {"n": number},
        actor=one.undone_by.name if one.undone_by else "",
        is_human=one.undone_by is not None,
        subject_id=one.id,
        contact_id=one.survivor_id,
    )
