"""Ask for calls: a process per lead, which is the call queue (ROU-18, ROU-19, ROU-45)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from filiera.pipeline.commands import Lead
from filiera.platform import brand_scope, bulk, events, live
from filiera.platform.ids import new_id
from filiera.platform.refusals import Missing, Refused
from filiera.routing import codes, gate, tracking, wake
from filiera.routing.commands.assignment import Assigned
from filiera.routing.models import CallAttempt, Process

_COLUMNS = [
    "id",
    "brand_id",
    "number",
    "contact_id",
    "lead_event_id",
    "submission_id",
    "type",
    "state",
    "due_at",
    "round",
    "delays_used",
    "attempts",
    "success",
    "final_status",
    "processing_time_ms",
    "number_e164",
    "lead",
    "steps",
    "agent_id",
    "error_code",
    "error_message",
    "day_of_week",
    "hour_of_day",
    "received_at",
    "created_at",
    "answered_at",
    "completed_at",
]


class CallUnderWay(Refused):
    """A call for this lead is being made: a second one must not start."""


class NoNumber(Refused):
    """There is no number to call."""

    code = "MISSING_PHONE"
    status = 400


def request_calls(assigned: Sequence[Assigned], *, now: datetime) -> None:
    """Start a process for each lead that asks for a call, and wake whoever places them.

    Test leads are never dialled, nor is whom the gate stops: who opposed and did not come back by a form of their own,
    or had their processing restricted. A person who waits for a call already gets that one, at once, and no second.
    A missing or wrong number ends the process here, where people see it. A fixed number of statements.
    """
    wanted = [
        item
        for item in assigned
        if item.lead.incoming.auto_call and not item.lead.event.is_test and gate.may_answer(item.lead.contact)
    ]
    if not wanted:
        return
    brand_id = brand_scope.current()
    known = {item.lead.contact.id for item in wanted if item.lead.is_returning}
    taken = _called_already(known, now=now) if known else set()
    rows = []
    for item in wanted:
        if item.lead.contact.id not in taken:
            taken.add(item.lead.contact.id)
            rows.append(_row(brand_id, item, now))
    if rows:
        bulk.insert(Process, _COLUMNS, rows)
        _tell_of_impossible_calls([dict(zip(_COLUMNS, row, strict=True)) for row in rows], now=now)
    wake.place_calls_soon(brand_id)


@transaction.atomic
def retry_process(*, process_id: UUID, now: datetime, number_e164: str | None = None) -> Process:
    """Start a process again from its first try, as somebody asked, to a corrected number when one is given.

    Raises Missing, CallUnderWay, NoNumber, and CallNotAllowed when the gate says no.
    """
    process = Process.objects.select_for_update(no_key=True).filter(id=process_id).first()
    if process is None:
        raise Missing(_("Questa chiamata non c’è, o non è più qui."))
    attempts = CallAttempt.objects.filter(process=process)
    is_live = attempts.filter(state__in=CallAttempt.LIVE, ended_at__isnull=True).exists()
    if is_live or process.state == Process.State.CALLING:
        raise CallUnderWay(_("C’è già una chiamata in corso per questo lead."))
    process.number_e164 = number_e164 or process.number_e164
    if not process.number_e164:
        raise NoNumber(_("Manca un numero che si possa chiamare: correggilo nella scheda, poi riprova."))
    process.basis = gate.demand(process.contact_id, now=now).basis or process.basis
    process.lead = process.lead | {"phone": process.number_e164}
    process.state, process.due_at = Process.State.WAITING, now
    process.round, process.attempts, process.delays_used = process.round + 1, 0, 0
    process.save(
        update_fields=[
            *("number_e164", "lead", "basis", "state", "due_at", "round", "attempts", "delays_used")
        ]
    )
    wake.place_calls_soon(process.brand_id)
    live.announce("calls")
    return process


def _called_already(contacts: set[UUID], *, now: datetime) -> set[UUID]:
    """Return who has a process under way, and let those that only wait go at once."""
    under_way = Process.objects.filter(contact_id__in=contacts).exclude(state=Process.State.DONE)
    found = set(under_way.values_list("contact_id", flat=True))
    if found:
        # Who is locked is being placed already.
        waiting = under_way.filter(state=Process.State.WAITING, due_at__gt=now).select_for_update(
            no_key=True, skip_locked=True
        )
        Process.objects.filter(id__in=[process.id for process in waiting]).update(due_at=now)
    return found


def _row(brand_id: UUID, item: Assigned, now: datetime) -> tuple[Any, ...]:
    lead = item.lead
    number, problem = _number(lead)
    at = now.astimezone(UTC)
    return (
        new_id(),
        brand_id,
        # Digits only, unique in the brand: the moment and the place of the decision.
        f"lead_{int(now.timestamp() * 1000)}{item.sequence % 100_000:05}",
        lead.contact.id,
        lead.event.id,
        lead.event.submission_id,
        "LEAD_PROCESS",
        Process.State.DONE if problem else Process.State.WAITING,
        None if problem else now,
        0,
        0,
        0,
        False if problem else None,
        problem or "",
        _elapsed_ms(lead.incoming.received_at, now) if problem else None,
        number,
        {
            "id": lead.incoming.external_id or str(lead.event.id),
            "name": lead.contact.full_name,
            "phone": number or lead.incoming.phone,
            "skills": sorted(item.skills),
        },
        {},
        item.agent.id if item.agent is not None and not problem else None,
        problem or "",
        "",
        at.weekday(),
        at.hour,
        lead.incoming.received_at,
        now,
        now if problem else None,
        now if problem else None,
    )


def _number(lead: Lead) -> tuple[str, str]:
    """Return the number to dial, or the code of what is wrong: the lead's own number, else one we know."""
    if lead.dial_e164:
        return lead.dial_e164, ""
    return "", codes.INVALID_PHONE if lead.incoming.phone.strip() else codes.MISSING_PHONE


def _tell_of_impossible_calls(rows: list[dict[str, Any]], *, now: datetime) -> None:
    failed = [row for row in rows if row["error_code"]]
    if not failed:
        return
    events.record_all(
        [
            (
                "call.failed",
                row["id"],
                {
                    "process_id": str(row["id"]),
                    "contact_id": str(row["contact_id"]),
                    "lead_event_id": str(row["lead_event_id"]),
                    "attempt_id": None,
                    "agent_id": None,
                    "user_id": None,
                    "code": row["error_code"],
                    "message": "",
                    "talking_seconds": None,
                },
            )
            for row in failed
        ],
        at=now,
    )
    tracking.append_later([row["id"] for row in failed])


def _elapsed_ms(start: datetime, end: datetime) -> int:
    return max(0, round((end - start).total_seconds() * 1000))
