"""Agents (who may be rung, who is next) and figures (how many leads get a call), as pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from filiera.identity.permissions import Principal, demand
from filiera.platform import formats
from filiera.platform.refusals import Missing, Refused
from filiera.routing import charts, commands, forms, queries, rules
from filiera.routing.commands import turn
from filiera.routing.models import Agent, CallAttempt, Process

PROVIDER_LIMIT = 60
"""Requests a minute that the provider allows; ours are fewer, so that other programs of the account have some."""

FEW = 20
"""Below this many a percentage says nothing (design, do and don't)."""

GOOD_PERCENT, ALERT_PERCENT = 85, 80
"""ROU-36 and ROU-37: above the first all is well, below the second somebody is told."""

LONGEST_DAYS = 366


@dataclass(frozen=True, slots=True)
class Now:
    """What an agent is doing, as a tag. `since` lets the browser count on."""

    level: str
    icon: str
    text: str
    since: datetime | None = None
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One agent on the page."""

    agent: Agent
    note: str
    now: Now
    provider_word: str
    assigned: int
    expected_text: str
    share: charts.Bar
    credit: Fraction
    credit_drawing: charts.Credit
    week: charts.Week
    week_title: str
    is_dim: bool
    is_next: bool
    is_last: bool
    turn_text: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something about the provider or the hours that a person should know, as a note."""

    level: str
    icon: str
    what: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Budget:
    """The requests of the last minute to the provider's account."""

    used: int
    limit: int
    kept: int
    bar: charts.Bar


@require_GET
def agents(request: HttpRequest) -> HttpResponse:
    """Show who may be rung now, today's share of each, and the rule in use."""
    principal = demand(request, "view_routing")
    now = timezone.now()
    return render(request, "routing/agents.html", _agents_context(request, principal, now))


@require_POST
def sync(request: HttpRequest) -> HttpResponse:
    """Ask the provider for its agents, as soon as the budget allows."""
    demand(request, "manage_routing")
    commands.request_agents_sync()
    messages.info(request, _("Sto leggendo gli agenti dal centralino: la lista si aggiorna da sola."))
    return redirect("agents")


@require_POST
def reset(request: HttpRequest) -> HttpResponse:
    """Start the turn from the first agent again; what was there can be taken back for ten minutes."""
    principal = demand(request, "manage_routing")
    commands.reset_state(user=principal.user, now=timezone.now())
    messages.success(request, _("Turno azzerato."), extra_tags=f"undo:{reverse('agents-reset-undo')}")
    return redirect("agents")


@require_POST
def undo_reset(request: HttpRequest) -> HttpResponse:
    """Bring back the turn as it was before the reset."""
    principal = demand(request, "manage_routing")
    try:
        commands.undo_reset(user=principal.user, now=timezone.now())
    except Refused as refusal:
        messages.warning(request, str(refusal))
    else:
        messages.success(request, _("Il turno è tornato com’era."))
    return redirect("agents")


@require_POST
def switch(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Let an agent receive leads, or not; answers the agent's row."""
    principal = demand(request, "manage_routing")
    _agent(agent_id)
    commands.set_agent_enabled(agent_id=agent_id, is_enabled=request.POST.get("on") == "on")
    if not request.headers.get("HX-Request"):
        return redirect("agents")
    context = _agents_context(request, principal, timezone.now())
    row = next(row for row in context["rows"] if row.agent.pk == agent_id)
    return render(request, "routing/_agent_row.html", {**context, "row": row})


@require_http_methods(["GET", "POST"])
def agent(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    """Change how much, when and what an agent receives."""
    demand(request, "manage_routing")
    one = _agent(agent_id)
    form = forms.AgentForm(request.POST or None, agent=one)
    if request.method == "POST" and form.is_valid():
        try:
            commands.update_agent(agent_id=one.pk, changes=form.changes())
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("%(name)s: salvato.") % {"name": one.name})
            return redirect("agents")
    context = {
        "page": "agents",
        "page_title": one.name,
        "agent": one,
        "form": form,
        "days": form.days(),
        "now": timezone.now(),
    }
    return render(request, "routing/agent.html", context, status=400 if form.errors else 200)


@require_http_methods(["GET", "POST"])
def rule(request: HttpRequest) -> HttpResponse:
    """Choose the rule by which the next agent is found; each change is a new version."""
    principal = demand(request, "manage_routing")
    now = timezone.now()
    board = queries.agents_board(now=now)
    if request.method == "POST":
        wanted = request.POST.get("rule", "")
        if wanted in {each.value for each in rules.Rule}:
            commands.set_policy(policy=wanted, user=principal.user, now=now)
            messages.success(request, _("Da adesso vale questa regola."))
            return redirect("agents")
    context = {
        "page": "agents",
        "page_title": _("Regola del turno"),
        "rule": board.policy,
        "rule_version": board.rule_version,
    }
    return render(request, "routing/rule.html", context)


def _agents_context(request: HttpRequest, principal: Principal, now: datetime) -> dict[str, Any]:
    board = queries.agents_board(now=now)
    state = board.state
    undo_until = state.reset_at + turn.UNDO_FOR if state.reset_at and state.before_reset is not None else None
    rows = _rows(board, now)
    may_manage = principal.may("manage_routing")
    free = sum(1 for line in board.agents if not line.excluded)
    return {
        "page": "agents",
        "page_title": _("Agenti"),
        "now": now,
        "may_manage": may_manage,
        "rows": rows,
        "weighted": board.policy == rules.Rule.CREDIT,
        "rule_version": board.rule_version,
        "rule_since": state.rule_since,
        "rule_by": state.rule_by,
        "opening": _opening(free, len(board.agents)),
        "next_turn": _next_turn(board.next_agent) if free else "",
        "read_at": board.polled_at,
        "asking": may_manage and request.GET.get("ask") == "reset",
        "first_in_line": next((line.agent for line in board.agents if not line.excluded), None),
        "undo_until": timezone.localtime(undo_until) if undo_until and now < undo_until else None,
        "assigned_today": sum(line.assigned_today for line in board.agents),
        "credit_sum": sum((line.credit for line in board.agents), Fraction(0)),
        "connected": board.connection is not None and board.connection.is_enabled,
        "troubles": _troubles(board, now),
        "budget": _budget(board),
        "weekdays": [date_format(date(2024, 1, day), "D")[:2] for day in range(1, 8)],
    }


def _rows(board: queries.AgentsBoard, now: datetime) -> list[Row]:
    here = timezone.localtime(now)
    weeks = {line.agent.pk: rules.read_hours(line.agent.schedule) for line in board.agents}
    largest = max([1.0, *(max(line.assigned_today, line.expected_today) for line in board.agents)])
    return [
        Row(
            agent=line.agent,
            note=_note(line, here),
            now=_now(line, now),
            provider_word=line.agent.provider_status or "–",
            assigned=line.assigned_today,
            expected_text=formats.number(line.expected_today, 1),
            share=charts.bar(line.assigned_today, line.expected_today, largest),
            credit=line.credit,
            credit_drawing=charts.credit(float(line.credit)),
            week=_week(line.agent, weeks[line.agent.pk], weeks.values(), here),
            week_title=_("Settimana di %(name)s") % {"name": line.agent.name},
            is_dim=bool(line.excluded) and line.excluded not in rules.BUSY_REASONS and line.live is None,
            is_next=board.next_agent is not None and board.next_agent.pk == line.agent.pk,
            is_last=board.state.last_agent_id == line.agent.pk,
            turn_text="–",
        )
        for line in board.agents
    ]


def _now(line: queries.AgentLine, now: datetime) -> Now:
    """Return what an agent is doing: a live call first, then what the rules say of them."""
    if line.live is not None:
        return _on_call(line.live, now)
    looks = {
        rules.Excluded.DISABLED: ("", "player-pause", _("Spento qui")),
        rules.Excluded.ON_LEAVE: ("", "calendar-off", _("Assente")),
        rules.Excluded.OUT_OF_HOURS: ("", "moon", _("Fuori orario")),
        rules.Excluded.PAUSED: ("is-warn", "player-pause", _("In pausa")),
        rules.Excluded.OFFLINE: ("", "plug-x", _("Non collegato")),
        rules.Excluded.UNKNOWN_STATUS: ("is-warn", "help-circle", _("Stato sconosciuto")),
        rules.Excluded.OUTBOUND_OFF: ("is-warn", "phone-off", _("Non può chiamare")),
        rules.Excluded.DAILY_LIMIT: ("is-warn", "alert-triangle", _("Limite raggiunto")),
        rules.Excluded.BUSY: ("is-hold", "headset", _("In chiamata")),
        rules.Excluded.AT_CAPACITY: ("is-hold", "headset", _("In chiamata")),
    }
    if not line.excluded:
        return Now("is-ok", "circle-check", _("Disponibile"))
    return Now(*looks.get(rules.Excluded(line.excluded), ("is-warn", "alert-triangle", line.why)))


def _on_call(attempt: CallAttempt, now: datetime) -> Now:
    if attempt.agent_answered_at:
        since = attempt.agent_answered_at
        return Now("is-hold", "headset", _("In chiamata"), since, int((now - since).total_seconds()))
    if attempt.state == CallAttempt.State.UNKNOWN:
        return Now("is-warn", "help-circle", _("Chiamata da verificare"))
    since = attempt.requested_at
    return Now("is-live", "phone-call", _("Sta squillando"), since, int((now - since).total_seconds()))


def _note(line: queries.AgentLine, here: datetime) -> str:
    """Return the line under the name: the extension, and when they come back if they are away."""
    parts = []
    if line.agent.extension:
        parts.append(_("interno %(n)s") % {"n": line.agent.extension})
    leave = line.agent.on_leave_until
    if leave and leave >= here.date():
        parts.append(_("assente fino al %(day)s") % {"day": formats.day_month(leave)})
    elif line.excluded == rules.Excluded.OUT_OF_HOURS:
        hours = rules.read_hours(line.agent.schedule)
        back = rules.next_open(hours, here, here.tzinfo)  # type: ignore[arg-type]
        if back:
            parts.append(_("riprende %(moment)s") % {"moment": formats.moment(back, here)})
    if not parts and line.user_name:
        parts.append(line.user_name)
    return ", ".join(parts)


def _week(agent: Agent, hours: rules.Hours | None, all_hours: Any, here: datetime) -> charts.Week:
    """Draw an agent's week between the earliest and the latest hour that anybody works."""
    minutes = [minute for week in all_hours if week for day in week for opening in day for minute in opening]
    first = min([8, *(minute // 60 for minute in minutes)])
    last = max([20, *(-(-minute // 60) for minute in minutes)])
    presence = None
    if hours is not None:
        presence = [[(_clock_time(start), _clock_time(end)) for start, end in day] for day in hours]
    monday = here.date() - timedelta(days=here.weekday())
    leave = agent.on_leave_until
    away = [leave is not None and here.date() <= monday + timedelta(days=day) <= leave for day in range(7)]
    return charts.week(presence, away=away, now=here, first_hour=first, last_hour=last)


def _clock_time(minute: int) -> time:
    return time(minute // 60 % 24, minute % 60)


def _opening(free: int, everybody: int) -> str:
    if not everybody:
        return _("Ancora nessun agente.")
    if not free:
        return _("Nessun agente è libero.")
    return ngettext("Un agente è libero.", "%(n)s agenti sono liberi.", free) % {"n": free}


def _next_turn(agent: Agent | None) -> str:
    return _("Tocca a %(name)s.") % {"name": agent.name} if agent else ""


def _troubles(board: queries.AgentsBoard, now: datetime) -> list[Trouble]:
    """Return what stands between leads and phones right now."""
    found = []
    connection = board.connection
    if connection is not None and not connection.is_enabled:
        reason = connection.disabled_reason or _("Le chiavi non sono più valide.")
        found.append(Trouble("is-bad", "plug-x", _("Il centralino è scollegato."), reason))
    elif board.circuit_state == "open":
        last = connection.last_ok_at if connection else None
        what = (
            _("Il centralino non risponde: ultima risposta %(ago)s.") % {"ago": formats.ago(last, now)}
            if last
            else _("Il centralino non risponde.")
        )
        found.append(Trouble("is-bad", "plug-x", what, _("Nessun lead va perso: riproviamo da soli.")))
    if board.is_dry_run:
        found.append(
            Trouble(
                "is-warn",
                "shield-lock",
                _("Modalità di prova: nessuna chiamata parte."),
                _("I turni si assegnano come sempre."),
            )
        )
    found.extend(
        Trouble("is-warn", "alert-triangle", queries.alert_sentence(alert), "")
        for alert in queries.alerts_open()
    )
    return found


def _budget(board: queries.AgentsBoard) -> Budget | None:
    if board.connection is None:
        return None
    used, limit = board.requests_used, board.requests_limit
    scale = 100 / PROVIDER_LIMIT
    bar = charts.Bar(f"{min(used, PROVIDER_LIMIT) * scale:.1f}", f"{limit * scale:.1f}")
    return Budget(used, limit, PROVIDER_LIMIT - limit, bar)


def _agent(agent_id: UUID) -> Agent:
    found = Agent.objects.filter(pk=agent_id).first()
    if found is None:
        raise Missing(_("Questo agente non c’è."))
    return found


# ── figures ──


@dataclass(frozen=True, slots=True)
class Period:
    """The days a page of figures is about, both included."""

    code: str
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class PeriodChoice:
    """One of the periods offered."""

    code: str
    label: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a figure means. `level` is ok, warn or bad."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class AgentShare:
    """What an agent had in the period, against what weight and presence made expect."""

    name: str
    assigned: int
    expected: float
    succeeded: int
    bar: charts.Bar

    @property
    def is_few(self) -> bool:
        return self.assigned < FEW

    @property
    def is_low(self) -> bool:
        return self.succeeded * 100 < self.assigned * ALERT_PERCENT

    @property
    def success_percent(self) -> str:
        """Return the share that got a call, a dash of none."""
        return formats.percent(self.succeeded, self.assigned, 0)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why leads got no call."""

    code: str
    label: str
    count: int
    bar: charts.Bar


@require_GET
def figures(request: HttpRequest) -> HttpResponse:
    """Show how many leads got a call, after how long, from whom, and why not."""
    principal = demand(request, "view_routing")
    now = timezone.now()
    period, refusal = _period(request, timezone.localdate(now))
    found = queries.figures(start=period.first, end=period.last, now=now)
    analytics = found.analytics
    total, started = found.total, found.started
    days = analytics["daily"]
    context = {
        "page": "figures",
        "page_title": _("Cifre"),
        "now": now,
        "period": period,
        "periods": [PeriodChoice(code, label) for code, label in _period_labels().items()],
        "refusal": refusal,
        "may_export": principal.may("manage_routing"),
        "export_url": "/api/v1/routing/export",
        "figures": {
            "total": total,
            "started": started,
            "failed": total - started,
            "tests": found.excluded,
            "started_percent": _share_text(started, total),
            "started_verdict": _rate_verdict(started, total),
            "median_wait_s": found.wait_median_s,
            "p90_wait_s": found.wait_p90_s,
            "wait_verdict": _wait_verdict(found.wait_median_s, found.wait_median_before_s),
            "answered": found.answered,
            "calls": found.started,
            "answered_percent": _share_text(found.answered, found.started),
            "answered_verdict": _answer_verdict(found.answered, found.started),
            "idle_minutes": found.no_agent_minutes,
            "idle_verdict": _idle_verdict(found.no_agent_minutes, analytics["errorsByType"]),
        },
        "opening": _figures_opening(started, total),
        "remark": _figures_remark(found.wait_median_s),
        "days": _days_chart(days),
        "days_title": _days_title(days),
        "worst_text": _worst_text(days),
        "last_text": _last_text(days),
        "hours": charts.column_chart(found.hours_good, found.hours_bad),
        "hours_title": _hours_title(found.hours_good, found.hours_bad),
        "agents": _agent_shares(found.agents),
        "reasons": _reasons(analytics["errorsByType"]),
        "anything_ever": bool(total) or Process.objects.exists(),
    }
    return render(request, "routing/figures.html", context)


def _period(request: HttpRequest, today: date) -> tuple[Period, str]:
    """Read the period of the address; one that cannot be read becomes today, with the reason."""
    code = request.GET.get("period", "14" if not request.GET.get("from") else "")
    lengths = {"today": 1, "7": 7, "14": 14}
    if code in lengths:
        return Period(code, today - timedelta(days=lengths[code] - 1), today), ""
    if code == "month":
        return Period(code, today.replace(day=1), today), ""
    try:
        first = date.fromisoformat(request.GET.get("from", ""))
        last = date.fromisoformat(request.GET.get("to", ""))
    except ValueError:
        return Period("today", today, today), _("Servono due giorni: ti mostro oggi.")
    if first > last:
        return Period("today", today, today), _("Il periodo finisce prima di iniziare: ti mostro oggi.")
    if (last - first).days >= LONGEST_DAYS:
        return Period("today", today, today), _("Al massimo un anno alla volta: ti mostro oggi.")
    return Period("", first, last), ""


def _period_labels() -> dict[str, str]:
    return {"today": _("Oggi"), "7": _("7 giorni"), "14": _("14 giorni"), "month": _("Mese")}


def _share_text(part: int, whole: int) -> str:
    """Return a percentage, or the bare count where a percentage would say nothing."""
    if not whole:
        return "–"
    if whole < FEW:
        return _("%(part)s su %(whole)s") % {"part": part, "whole": whole}
    return formats.percent(part, whole)


def _rate_verdict(part: int, whole: int) -> Verdict | None:
    if whole < FEW:
        return Verdict("", _("pochi")) if whole else None
    percent = part * 100 / whole
    if percent > GOOD_PERCENT:
        return Verdict("ok", _("bene, sopra %(percent)s %%") % {"percent": GOOD_PERCENT})
    if percent < ALERT_PERCENT:
        return Verdict("bad", _("sotto %(percent)s %%") % {"percent": ALERT_PERCENT})
    return Verdict("warn", _("tra %(low)s e %(high)s %%") % {"low": ALERT_PERCENT, "high": GOOD_PERCENT})


def _answer_verdict(part: int, whole: int) -> Verdict | None:
    if whole < FEW:
        return Verdict("", _("pochi")) if whole else None
    if part * 100 > whole * ALERT_PERCENT:
        return Verdict("ok", _("bene, sopra %(percent)s %%") % {"percent": ALERT_PERCENT})
    return Verdict("warn", _("sotto %(percent)s %%") % {"percent": ALERT_PERCENT})


def _wait_verdict(median_s: float | None, before_s: float | None) -> Verdict | None:
    """Compare the median wait with that of the same number of days before."""
    if median_s is None or before_s is None:
        return None
    gain = int(before_s) - int(median_s)
    if not gain:
        return Verdict("ok", _("come prima"))
    text = f"{'−' if gain > 0 else '+'}{formats.clock(abs(gain))}"
    return Verdict("ok" if gain > 0 else "warn", _("%(gain)s su prima") % {"gain": text})


def _idle_verdict(minutes: int, errors: dict[str, int]) -> Verdict:
    left = errors.get("NO_AGENTS_AVAILABLE", 0)
    if not minutes and not left:
        return Verdict("ok", _("mai"))
    return Verdict("warn", ngettext("%(n)s lead", "%(n)s lead", left) % {"n": left})


def _figures_opening(started: int, total: int) -> str:
    if not total:
        return _("Nessun lead in questo periodo.")
    if total < FEW:
        return ngettext(
            "%(part)s lead su %(whole)s ha ricevuto una chiamata.",
            "%(part)s lead su %(whole)s hanno ricevuto una chiamata.",
            started,
        ) % {"part": started, "whole": total}
    if started == total:
        return _("Tutti i lead ricevono una chiamata.")
    if not started:
        return _("Nessun lead riceve una chiamata.")
    tenths = (
        _("Un lead su dieci riceve una chiamata."),
        _("Due lead su dieci ricevono una chiamata."),
        _("Tre lead su dieci ricevono una chiamata."),
        _("Quattro lead su dieci ricevono una chiamata."),
        _("Metà dei lead riceve una chiamata."),
        _("Sei lead su dieci ricevono una chiamata."),
        _("Sette lead su dieci ricevono una chiamata."),
        _("Otto lead su dieci ricevono una chiamata."),
        _("Nove lead su dieci ricevono una chiamata."),
    )
    return tenths[min(max(round(started * 10 / total), 1), 9) - 1]


def _figures_remark(median_s: float | None) -> str:
    if median_s is None:
        return ""
    seconds = int(median_s)
    if seconds < 60:
        return ngettext("Dopo %(n)s secondo.", "Dopo %(n)s secondi.", seconds) % {"n": seconds}
    minutes = round(seconds / 60)
    return ngettext("Dopo %(n)s minuto.", "Dopo %(n)s minuti.", minutes) % {"n": minutes}


def _percent_of(day: dict[str, Any]) -> float | None:
    total = day["totalProcesses"]
    return day["successfulCalls"] * 100 / total if total else None


def _days_chart(days: list[dict[str, Any]]) -> charts.LineChart:
    shares = []
    for day in days:
        at = date.fromisoformat(day["date"])
        percent = formats.percent(day["successfulCalls"], day["totalProcesses"])
        shares.append(charts.Share(str(at.day), _percent_of(day), f"{formats.day_month(at)}: {percent}"))
    return charts.line_chart(
        shares,
        good=GOOD_PERCENT,
        alert=ALERT_PERCENT,
        good_text=_("bene da %(percent)s %%") % {"percent": GOOD_PERCENT},
        alert_text=_("avviso a %(percent)s %%") % {"percent": ALERT_PERCENT},
    )


def _known_days(days: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [day for day in days if day["totalProcesses"]]


def _worst_text(days: list[dict[str, Any]]) -> str:
    worst = min(_known_days(days), key=lambda day: _percent_of(day) or 0, default=None)
    if worst is None:
        return ""
    return _("%(part)s su %(whole)s, il %(day)s") % {
        "part": worst["successfulCalls"],
        "whole": worst["totalProcesses"],
        "day": date_format(date.fromisoformat(worst["date"]), "j/n"),
    }


def _last_text(days: list[dict[str, Any]]) -> str:
    known = _known_days(days)
    return formats.percent(known[-1]["successfulCalls"], known[-1]["totalProcesses"]) if known else ""


def _days_title(days: list[dict[str, Any]]) -> str:
    known = _known_days(days)
    if not known:
        return _("Nessun lead in questo periodo.")
    worst = min(known, key=lambda day: _percent_of(day) or 0)
    return _("Lead chiamati giorno per giorno: minimo %(low)s il %(day)s, ultimo giorno %(last)s") % {
        "low": formats.percent(worst["successfulCalls"], worst["totalProcesses"]),
        "day": formats.day_month(date.fromisoformat(worst["date"])),
        "last": _last_text(days),
    }


def _hours_title(good: Sequence[int], bad: Sequence[int]) -> str:
    totals = [well + badly for well, badly in zip(good, bad, strict=True)]
    most = max(totals, default=0)
    if not most:
        return _("Nessun lead in questo periodo.")
    return ngettext(
        "Lead per ora: il massimo alle %(hour)s, %(n)s lead",
        "Lead per ora: il massimo alle %(hour)s, %(n)s lead",
        most,
    ) % {"hour": totals.index(most), "n": most}


def _agent_shares(agents: Sequence[Any]) -> list[AgentShare]:
    largest = max([1.0, *(max(agent.assigned, agent.expected) for agent in agents)])
    return [
        AgentShare(
            name=agent.name,
            assigned=agent.assigned,
            expected=agent.expected,
            succeeded=agent.succeeded,
            bar=charts.bar(agent.assigned, agent.expected, largest),
        )
        for agent in sorted(agents, key=lambda agent: -agent.assigned)
    ]


def _reasons(errors: dict[str, int]) -> list[Reason]:
    most = max(errors.values(), default=1)
    return [
        Reason(code, queries.error_sentence(code), count, charts.bar(count, None, most))
        for code, count in sorted(errors.items(), key=lambda item: -item[1])
    ]


urlpatterns = [
    path("agents", agents, name="agents"),
    path("agents/sync", sync, name="agents-sync"),
    path("agents/reset", reset, name="agents-reset"),
    path("agents/reset/undo", undo_reset, name="agents-reset-undo"),
    path("agents/rule", rule, name="routing-rule"),
    path("agents/<uuid:agent_id>", agent, name="agent"),
    path("agents/<uuid:agent_id>/switch", switch, name="agent-switch"),
    path("figures", figures, name="figures"),
]
