"""The record of who did what: what happens to it, since the database itself writes it (decision 14).

Changes of rows need nobody's help. What is no change (a sign-in, an export) is told here, in one call.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.utils import timezone

from filiera.identity.models import AuditEntry, User
from filiera.platform import actor
from filiera.platform.models import JobRun

log = logging.getLogger("filiera.identity.audit")

SEALED_AT_ONCE = 2_000
VERIFICATION = "audit.verify"
VERIFIED_EVERY = timedelta(hours=26)
"""Once a day, and two hours for the night it runs late."""


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain of seals: how many entries stand, where it ends, and where and how it is broken, if it is."""

    name: str
    standing: int
    head: int
    head_seal: str
    broken_at: int | None
    trouble: str


def record(
    action: str, *, entity_type: str, entity_id: UUID | None = None, detail: Mapping[str, Any] | None = None
) -> None:
    """Record what was done in the open brand scope, by who acts there: an export, a look across brands.

    Changes of rows are refused: the database records those.
    """
    _tell(action, entity_type, entity_id, detail, person=None)


def signed_in(user: User) -> None:
    """Record that a person came in; each brand of theirs hears of it."""
    with actor.acting(replace(actor.current(), kind=actor.PERSON, user_id=user.id, name=user.name)):
        _tell(AuditEntry.Action.LOGIN, "users", user.id, None, person=user.id)


def signed_out(user_id: UUID, *, reason: str, sessions: int = 1) -> None:
    """Record that sessions of a person ended, by them or by somebody else; each brand of theirs hears of it."""
    detail = {"reason": reason, "sessions": sessions}
    _tell(AuditEntry.Action.LOGOUT, "users", user_id, detail, person=user_id)


def not_signed_in(*, email: str, reason: str) -> None:
    """Record a failed sign-in; the brands of the person whose e-mail it is hear of it, and nobody of a stranger."""
    user_id = User.objects.filter(email=email).values_list("id", flat=True).first()
    detail = {"email": email[:255], "reason": reason}
    _tell(AuditEntry.Action.LOGIN_FAILED, "users", user_id, detail, person=user_id)


def secured(user: User, action: str) -> None:
    """Record what a person did to the safety of their own account; each brand of theirs hears of it."""
    _tell(action, "users", user.id, None, person=user.id)


def mask(
    *, subjects: Sequence[UUID], people: Sequence[UUID] = (), texts: Sequence[str] = (), reason: str
) -> int:
    """Mask what the record of the open brand tells of erased people, and return how many entries that changed.

    Values of entries about the rows `subjects`, or with one of `texts` in them (an address, a number), become "***";
    of what `people` did, address and browser are forgotten. The masking is an entry itself. To be called after the
    rows are erased, in the same transaction: that erasure's own entries hold the values too.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "select identity_audit_mask(%s::uuid[], %s::uuid[], %s::text[], %s)",
            [list(subjects), list(people), [text for text in texts if text], reason],
        )
        row: tuple[int] = cursor.fetchone()
        return row[0]


def seal() -> int:
    """Add what has been written since the last time to the chains, in order, and return how many entries that were."""
    total, sealed = 0, 1
    with connection.cursor() as cursor:
        while sealed:
            cursor.execute("select identity_audit_seal(%s)", [SEALED_AT_ONCE])
            [sealed] = cursor.fetchone()
            total += sealed
    return total


def verify(now: datetime) -> list[Chain]:
    """Compute every seal again, keep what was found as a run of VERIFICATION, and return the state of each chain.

    Where the chains ended at the last run that found them whole is part of the question: whoever could write all
    seals anew could not write those.
    """
    runs = JobRun.objects.filter(name=VERIFICATION)
    last = runs.filter(status="done").order_by("-started_at").first()
    known = {name: [end["head"], end["seal"]] for name, end in last.detail.items()} if last else {}
    with connection.cursor() as cursor:
        cursor.execute(
            "select chain, standing, head, head_seal, broken_at, trouble from identity_audit_verify(%s::jsonb)",
            [orjson.dumps(known).decode()],
        )
        chains = [Chain(*row) for row in cursor.fetchall()]
    broken = [chain for chain in chains if chain.trouble]
    JobRun.objects.create(
        name=VERIFICATION,
        started_at=now,
        finished_at=timezone.now(),
        status="failed" if broken else "done",
        detail={
            chain.name: {
                "head": chain.head,
                "seal": chain.head_seal,
                "standing": chain.standing,
                "broken_at": chain.broken_at,
                "trouble": chain.trouble,
            }
            for chain in chains
        },
    )
    for chain in chains:
        if chain.trouble:
            log.error("the audit chain %s is broken at %s: %s", chain.name, chain.broken_at, chain.trouble)
        else:
            log.info("the audit chain %s is whole: %s entries, ends with %s", *_end(chain))
    return chains


def _end(chain: Chain) -> tuple[str, int, str]:
    return chain.name, chain.standing, chain.head_seal


def forget(now: datetime) -> dict[str, int]:
    """Delete entries whose term is over (24 months, 12 for sign-in and sign-out); return how many, by chain."""
    with connection.cursor() as cursor:
        cursor.execute("select chain, forgotten from identity_audit_forget(%s)", [now])
        return dict(cursor.fetchall())


def _tell(
    action: str,
    entity_type: str,
    entity_id: UUID | None,
    detail: Mapping[str, Any] | None,
    *,
    person: UUID | None,
) -> None:
    told = orjson.dumps(dict(detail), default=str).decode() if detail else None
    with connection.cursor() as cursor:
        cursor.execute(
            "select identity_audit_action(%s, %s, %s, %s::jsonb, %s)",
            [str(action), entity_type, entity_id, told, person],
        )
