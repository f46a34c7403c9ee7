"""Permissions of people who become one: the proofs go with them, and what one of them refused stays refused."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from filiera.contacts import consent_rules, suppressions
from filiera.contacts.consent_rules import Act, Block
from filiera.contacts.consents import PERMITTING
from filiera.contacts.merging.ledger import Ledger
from filiera.contacts.merging.references import Reference
from filiera.contacts.models import Consent, Contact, ContactPhone

OWNED = Reference("contacts_consent", "contact_id")
Permission = tuple[str, str]


def denied(people: Sequence[Contact]) -> set[Permission]:
    """Return the (purpose, channel) of which one of these people said no, though as one person they would hold."""
    latest = _latest([one.id for one in people])
    blocks = _blocks(people)
    asked = {key for said in latest.values() for key in said if key[0] in PERMITTING}
    everybody = [block for of_one in blocks.values() for block in of_one]
    return {
        key
        for key in asked
        if consent_rules.holds(_newest(latest, key), everybody, key[1])
        and any(_refuses(latest.get(one.id, {}).get(key), blocks[one.id], key[1]) for one in people)
    }


def move(ledger: Ledger, losers: Sequence[UUID], survivor: UUID) -> None:
    """Give the survivor the proofs of the others, who must be tombstones already. The database seals each anew."""
    rows = Consent.objects.filter(contact_id__in=losers).order_by("id").values_list("id", "contact_id")
    owners: dict[str, list[str]] = {}
    for row_id, owner in rows:
        owners.setdefault(str(owner), []).append(str(row_id))
    rehome([row_id for ids in owners.values() for row_id in ids], survivor)
    ledger.note_moved(OWNED, owners)


def rehome(row_ids: Sequence[str], owner: UUID | str) -> int:
    """Give proofs to the one their person was merged into, or back; returns how many moved."""
    with connection.cursor() as cursor:
        cursor.execute("select contacts_rehome_consents(%s::uuid[], %s)", [list(row_ids), owner])
        return int(cursor.fetchone()[0])


def refuse(survivor: Contact, permissions: set[Permission], *, merge_id: UUID, now: datetime) -> None:
    """Write that these permissions hold no more: the most restrictive of all (CON-23)."""
    last = (
        Consent.objects.filter(contact_id=survivor.id).order_by("-at").values_list("at", flat=True).first()
        or now
    )
    for purpose, channel in sorted(permissions):
        Consent.objects.create(
            contact=survivor,
            purpose=purpose,
            channel=channel,
            given=False,
            by_person=False,
            text="Unione di schede: vale il permesso più restrittivo.",
            text_version="merge",
            collected_by=f"merge {merge_id}",
            at=max(now, last + timedelta(microseconds=1)),
            created_at=now,
        )


def take_back_refusals(merge_id: UUID) -> int:
    """Remove what `refuse` wrote for a merge, and nothing else."""
    with connection.cursor() as cursor:
        cursor.execute("select contacts_take_back_refusals(%s)", [merge_id])
        return int(cursor.fetchone()[0])


def _latest(ids: Sequence[UUID]) -> Mapping[UUID, dict[Permission, Act]]:
    rows = (
        Consent.objects.filter(contact_id__in=ids)
        .order_by("contact_id", "purpose", "channel", "-at", "-id")
        .distinct("contact_id", "purpose", "channel")
    )
    found: dict[UUID, dict[Permission, Act]] = {}
    for one in rows:
        found.setdefault(one.contact_id, {})[one.purpose, one.channel] = Act(one.given, one.by_person, one.at)
    return found


def _newest(latest: Mapping[UUID, dict[Permission, Act]], key: Permission) -> Act | None:
    return max((said[key] for said in latest.values() if key in said), key=lambda act: act.at, default=None)


def _blocks(people: Sequence[Contact]) -> Mapping[UUID, list[Block]]:
    keys: dict[UUID, set[str]] = {one.id: {one.email_norm} if one.email_norm else set() for one in people}
    numbers = ContactPhone.objects.filter(contact_id__in=keys).exclude(phone_e164="")
    for contact_id, number in numbers.values_list("contact_id", "phone_e164"):
        keys[contact_id].add(number)
    wanted = set().union(*keys.values())
    found = suppressions.blocks_of(wanted) if wanted else []
    return {one: [block for key, block in found if key in own] for one, own in keys.items()}


def _refuses(said: Act | None, blocks: Sequence[Block], channel: str) -> bool:
    if said is not None and not said.given:
        return True
    against = [block for block in blocks if block.channel in ("any", channel)]
    return bool(against) and not consent_rules.holds(said, against, channel)
