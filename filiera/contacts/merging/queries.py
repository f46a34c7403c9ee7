"""Reads of merges: what is told of one, and those that were."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext as _
from psycopg import sql

from filiera.contacts.merging import consents, references
from filiera.contacts.merging.plan import Plan
from filiera.contacts.merging.references import Fate
from filiera.contacts.models import Merge
from filiera.platform import bulk
from filiera.platform.prepared import Prepared

MOST_COUNTED: Final = 10_000


def told(record: Merge) -> dict[str, Any]:
    """Return a merge as programs are told of it."""
    return {
        "survivorId": str(record.survivor_id),
        "mergedIds": [str(one) for one in record.merged_ids],
        "mergeId": str(record.id),
    }


def past(*, offset: int, limit: int) -> tuple[Sequence[Merge], int]:
    """Return merges, newest first, without what it takes to undo them, and how many there are, up to MOST_COUNTED."""
    rows = (
        Merge.objects.order_by("-at", "-id")
        .select_related("survivor", "by_user", "undone_by")
        .defer("manifest")
    )
    return list(rows[offset : offset + limit]), Merge.objects.values("id")[:MOST_COUNTED].count()


_MERGES = Merge.objects.select_related("by_user", "undone_by").defer("manifest")
_OF_ONE = Prepared(lambda one: _MERGES.filter(survivor_id=one).order_by("-at", "-id"))


def of(contact_ids: Sequence[UUID], limit: int) -> Sequence[Merge]:
    """Return the merges in which these people lived on, newest first."""
    if len(contact_ids) == 1:  # every record asks this
        return _OF_ONE(contact_ids[0])[:limit]
    return list(_MERGES.filter(survivor_id__in=list(contact_ids)).order_by("-at", "-id")[:limit])


def counts(contact_ids: Sequence[UUID]) -> dict[str, dict[UUID, int]]:
    """Return how many rows of each table these people have that a merge would move, the tables that have any."""
    found: dict[str, dict[UUID, int]] = {}
    for one in references.found():
        if references.fate_of(one) is Fate.STAYS or one.table.startswith(
            ("contacts_contact", "contacts_duplicate")
        ):
            continue
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("select {column}, count(*) from {table} where {column} = any(%s::uuid[]) group by 1")
                .format(table=sql.Identifier(one.table), column=sql.Identifier(one.column))
                .as_string(),
                [bulk.uuids(contact_ids)],
            )
            if rows := dict(cursor.fetchall()):
                found[one.table] = rows
    return found


def warnings(plan: Plan) -> list[str]:
    """Return what a merge would do that is not seen at once, as sentences."""
    told = [sentence for room in references.rooms() if room.warn is not None for sentence in room.warn(plan)]
    addresses: Mapping[str, None] = dict.fromkeys(one.email_norm for one in plan.people if one.email_norm)
    if len(addresses) > 1:
        told.append(
            _("Hanno indirizzi e-mail diversi: resta quello scelto, e anche gli altri la riconosceranno.")
        )
    if consents.denied(plan.people):
        told.append(_("Una ha dato un permesso che un’altra ha rifiutato: dopo l’unione resta rifiutato."))
    if any(one.restricted_at for one in plan.people):
        told.append(_("Il trattamento dei dati di una è limitato: lo sarà per la scheda unita."))
    return told
