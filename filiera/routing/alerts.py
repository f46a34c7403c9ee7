"""Conditions that somebody has to know about: told once, until they clear (routing.md 4.6, ROU-37)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import Avg, Count, Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from filiera.identity.models import Brand
from filiera.platform import brand_scope, events, live
from filiera.platform.models import EndpointHealth
from filiera.routing import codes, rules
from filiera.routing.calendar import WorkingTime
from filiera.routing.models import Agent, Alert, Connection, Process

WINDOW: Final = timedelta(minutes=60)
FEWEST_PROCESSES: Final = 5
SUCCESS_BELOW_PERCENT: Final = 80
SLOWER_THAN_MS: Final = 5000
CALL_FAILURES_OVER_PERCENT: Final = 20
NO_AGENT_FOR: Final = timedelta(minutes=5)

SUCCESS_RATE: Final = "success_rate"
RESPONSE_TIME: Final = "response_time"
CALL_FAILURES: Final = "call_failures"
NO_AGENT: Final = "no_agent"
PROVIDER_DOWN: Final = "provider_down"
KEY_REFUSED: Final = "key_refused"
NOT_CALLED: Final = "not_called"
ANSWER_RATE: Final = "answer_rate"
_UNKNOWN_AGENT: Final = "unknown_agent:"

# GD-13: of the customers that were dialled last, how many picked up, beside those before them.
LAST_DIALLED: Final = 40
DIALLED_BEFORE: Final = 400
FEWEST_DIALLED_BEFORE: Final = 100
ANSWERS_FALL_TO: Final = 0.5
USUAL_AT_LEAST: Final = 0.2

# Of the seven outcomes, those in which a call was tried and did not start.
_CALL_CODES: Final = (codes.AGENT_NOT_AVAILABLE, codes.AGENT_BUSY, codes.CALL_FAILED)

SENTENCES: Final[dict[str, Promise]] = {
    SUCCESS_RATE: _("Nell’ultima ora sono partite %(value)s chiamate su 100: la soglia è 80."),
    RESPONSE_TIME: _(
        "Nell’ultima ora tra l’arrivo e la chiamata passano in media %(value)s secondi: la soglia è 5."
    ),
    CALL_FAILURES: _("Nell’ultima ora %(value)s chiamate su 100 non sono riuscite: la soglia è 20."),
    NO_AGENT: _("Da più di 5 minuti nessun agente è disponibile."),
    PROVIDER_DOWN: _("Il centralino non risponde. Nessun lead va perso: riproviamo da soli."),
    KEY_REFUSED: _("Il centralino rifiuta la chiave: le chiamate sono ferme finché non ne metti una buona."),
    NOT_CALLED: _("Lead dell’ultima ora da chiamare a mano: %(value)s."),
    ANSWER_RATE: _(
        "Alle ultime chiamate hanno risposto %(value)s clienti su 100, di solito sono %(usual)s: forse i nostri numeri"
        " vengono bloccati. Chiedi al fornitore del centralino da dove partono le chiamate."
    ),
    _UNKNOWN_AGENT: _("Il centralino non conosce %(agent)s: controlla il suo numero di agente."),
}


def unknown_agent(agent_id: UUID) -> str:
    """Return the condition "the provider does not know this agent"."""
    return f"{_UNKNOWN_AGENT}{agent_id}"


def sentence(alert: Alert) -> str:
    """Return an alert in words, in the reader's language."""
    words = SENTENCES.get(_UNKNOWN_AGENT if alert.condition.startswith(_UNKNOWN_AGENT) else alert.condition)
    return str(words) % alert.detail if words is not None else alert.condition


def open_alert(condition: str, detail: dict[str, Any], *, now: datetime) -> None:
    """Tell of a condition, unless it has been told and has not cleared since."""
    if Alert.objects.filter(condition=condition, cleared_at__isnull=True).exists():
        return
    made = Alert(condition=condition, detail=detail, opened_at=now)
    if Alert.objects.bulk_create([made], ignore_conflicts=True) and Alert.objects.filter(id=made.id).exists():
        events.record(
            kind="alert.opened", subject_id=made.id, at=now, data={"condition": condition, "detail": detail}
        )
        live.announce("agents")


def clear_alert(condition: str, *, now: datetime) -> None:
    """Close a condition that holds no more."""
    for alert in Alert.objects.select_for_update().filter(condition=condition, cleared_at__isnull=True):
        alert.cleared_at = now
        alert.save(update_fields=["cleared_at"])
        events.record(kind="alert.cleared", subject_id=alert.id, at=now, data={"condition": condition})
        live.announce("agents")


@dataclass(frozen=True, slots=True)
class LastHour:
    """What the rates are made of: processes of the last 60 minutes whose outcome is known."""

    processes: int
    succeeded: int
    average_ms: float
    call_failures: int
    not_called: int


def evaluate(*, now: datetime) -> None:
    """Open and clear the brand's alerts as things stand. Run every minute."""
    hour = _last_hour(now)
    enough = hour.processes >= FEWEST_PROCESSES
    success = 100 * hour.succeeded / hour.processes if enough else 100.0
    failures = 100 * hour.call_failures / hour.processes if enough else 0.0
    _hold(SUCCESS_RATE, success < SUCCESS_BELOW_PERCENT, lambda: {"value": int(success)}, now)
    _hold(
        RESPONSE_TIME,
        enough and hour.average_ms > SLOWER_THAN_MS,
        lambda: {"value": round(hour.average_ms / 1000)},
        now,
    )
    _hold(CALL_FAILURES, failures > CALL_FAILURES_OVER_PERCENT, lambda: {"value": round(failures)}, now)
    _hold(NOT_CALLED, hour.not_called > 0, lambda: {"value": hour.not_called}, now)
    last, usual = _answer_rates()
    has_fallen = usual >= USUAL_AT_LEAST and last < usual * ANSWERS_FALL_TO
    rates = {"value": round(100 * last), "usual": round(100 * usual)}
    _hold(ANSWER_RATE, has_fallen, lambda: rates, now)
    _hold(NO_AGENT, _nobody_for_too_long(now), dict, now)
    account = Connection.objects.select_related("circuit").first()
    circuit = account.circuit if account else None
    _hold(PROVIDER_DOWN, circuit is not None and circuit.state != EndpointHealth.State.CLOSED, dict, now)
    if account is not None and account.is_enabled:
        clear_alert(KEY_REFUSED, now=now)
    for alert in Alert.objects.filter(condition__startswith=_UNKNOWN_AGENT, cleared_at__isnull=True):
        known = Agent.objects.filter(id=alert.condition.removeprefix(_UNKNOWN_AGENT)).first()
        if known is None or not known.is_enabled or known.provider_status:
            clear_alert(alert.condition, now=now)


def _hold(condition: str, holds: bool, detail: Callable[[], dict[str, Any]], now: datetime) -> None:
    if holds:
        open_alert(condition, detail(), now=now)
    else:
        clear_alert(condition, now=now)


def _last_hour(now: datetime) -> LastHour:
    # A call that the gate stopped went as it should.
    asked = Process.objects.filter(created_at__gt=now - WINDOW, created_at__lte=now)
    found = asked.exclude(error_code=codes.NOT_ALLOWED).aggregate(
        processes=Count("id", filter=Q(success__isnull=False)),
        succeeded=Count("id", filter=Q(success=True)),
        average_ms=Avg("processing_time_ms"),
        call_failures=Count("id", filter=Q(success=False, final_status__in=_CALL_CODES)),
        not_called=Count(
            "id",
            filter=Q(state=Process.State.DONE)
            & (Q(success=False) | Q(error_code__in=[codes.NOT_PICKED_UP, codes.NOT_CONFIRMED])),
        ),
    )
    return LastHour(
        found["processes"],
        found["succeeded"],
        found["average_ms"] or 0.0,
        found["call_failures"],
        found["not_called"],
    )


def _answer_rates() -> tuple[float, float]:
    """Return the share of customers who picked up, of those dialled last and of those before; 0 where they are few.

    Dialled is whom an agent who picked up was put through to. Looks at the newest processes only, by their index.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with dialled as (
                select attempt.talking_seconds > 0 as answered, row_number() over (order by p.created_at desc) as place
                from (select id, created_at from routing_process order by created_at desc, id desc limit %s) p
                join routing_callattempt attempt on attempt.process_id = p.id
                where attempt.agent_answered_at is not null and attempt.talking_seconds is not null
            )
            select count(*) filter (where place <= %s), count(*) filter (where place <= %s and answered),
                   count(*) filter (where place > %s), count(*) filter (where place > %s and answered) from dialled
            """,
            [2 * DIALLED_BEFORE, *[LAST_DIALLED] * 4],
        )
        last, answered, before, answered_before = cursor.fetchone()
    if last < LAST_DIALLED or before < FEWEST_DIALLED_BEFORE:
        return 0.0, 0.0
    return answered / last, answered_before / before


def _nobody_for_too_long(now: datetime) -> bool:
    """Tell whether all enabled agents have been unavailable for more than five minutes, inside working hours."""
    brand = Brand.objects.get(id=brand_scope.current())
    working, start = WorkingTime.of(brand), now - NO_AGENT_FOR
    if not (working.is_open(now) and working.is_open(start)):
        return False
    agents = list(Agent.objects.filter(is_enabled=True))
    if not agents or any(agent.last_status == rules.Status.ONLINE for agent in agents):
        return False
    return all((agent.last_available_at or agent.created_at) < start for agent in agents)
