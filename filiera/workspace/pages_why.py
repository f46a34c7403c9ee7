"""Why an agent was chosen: the decision with names and arithmetic."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET

from filiera.contacts import queries as contacts
from filiera.contacts.models import Contact
from filiera.identity.permissions import requires
from filiera.routing import charts
from filiera.routing import queries as routing_queries
from filiera.workspace import pages_leads, timeline
from filiera.workspace.pages import principal_of


@require_GET
@requires("view_routing")
def why(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Explain a decision with names and arithmetic; over the record when its address is opened straight."""
    contact = contacts.contact_for(contact_id)
    context = _why(request, contact)
    if request.headers.get("X-Drawer"):
        return render(request, "workspace/why.html", context)
    under = reverse("lead", args=[contact.pk])
    return pages_leads.record_page(
        request, contact, context | {"drawer": "workspace/why.html", "drawer_under": under}
    )


def _why(request: HttpRequest, contact: Contact) -> dict[str, Any]:
    me, now = principal_of(request).user, timezone.now()
    decisions = routing_queries.decisions_of(contact.pk)
    wanted = _uuid(request.GET.get("decisione", ""))
    decision = next((one for one in decisions if one.pk == wanted), decisions[0] if decisions else None)
    title = _("Perché a me?")
    if decision is None:
        return {"contact": contact, "why": None, "title": _("Perché?")}
    explanation = routing_queries.explain(decision)
    chosen = next((line for line in explanation.candidates if line.is_chosen), None)
    mine = chosen is not None and str(chosen.user_id or "") == str(me.pk)
    if not mine:
        title = _("Perché a %(name)s?") % {"name": chosen.name} if chosen else _("Perché a nessuno?")
    return {
        "contact": contact,
        "now": now,
        "title": title,
        "why": explanation,
        "sentence": _why_sentence(explanation, chosen, mine, me.name),
        "by_credit": explanation.rule == "credit",
        "weights": sum(line.weight for line in explanation.candidates),
        "candidates": _candidates(explanation, me.pk),
        "excluded": [_excluded(line) for line in explanation.excluded],
        "attempts": [
            entry
            for entry in timeline.of(contact.pk)
            if entry.kind == "chiamate" and entry.look in {"live", "auto"} and not entry.link
        ],
        "short_id": str(decision.pk)[:13],
        "for_support": f"decision {decision.pk} rule {explanation.rule} v{explanation.version} "
        f"at {decision.created_at.isoformat()} replays {explanation.replays}",
    }


def _why_sentence(explanation: Any, chosen: Any, mine: bool, my_name: str) -> str:
    if chosen is None:
        return str(explanation.reason)
    free = len(explanation.candidates)
    who = _("te, %(name)s") % {"name": my_name.split()[0]} if mine else chosen.name
    if explanation.rule == "credit":
        words = ngettext(
            "Tocca a %(who)s: era l’unica persona libera.",
            "Tocca a %(who)s: il credito più alto tra i %(n)s agenti liberi.",
            free,
        )
    else:
        words = ngettext(
            "Tocca a %(who)s: di turno, e nessun altro era libero.",
            "Tocca a %(who)s: il primo di turno tra i %(n)s agenti liberi.",
            free,
        )
    return words % {"who": who, "n": free}


def _candidates(explanation: Any, me: UUID) -> list[dict[str, Any]]:
    lines = []
    for place, line in enumerate(explanation.candidates, 1):
        note = _("riceve il lead") if line.is_chosen else _("libero")
        if line.is_chosen and explanation.rule == "credit":
            note = _("riceve il lead, paga 1")
        lines.append(
            {
                "name": line.name,
                "mine": str(line.user_id or "") == str(me),
                "weight": line.weight,
                "credit_before": line.credit_before,
                "share": line.share,
                "credit": line.credit,
                "credit_after": line.credit_after,
                "is_chosen": line.is_chosen,
                "note": note,
                "place": place,
                "bar": charts.credit(float(line.credit)),
            }
        )
    return lines


def _excluded(line: Any) -> dict[str, Any]:
    looks = {
        "busy": ("live", "phone-call"),
        "at_capacity": ("live", "phone-call"),
        "out_of_hours": ("", "calendar-week"),
        "on_leave": ("", "calendar-week"),
        "daily_limit": ("warn", "alert-triangle"),
        "unknown_status": ("warn", "alert-triangle"),
        "outbound_off": ("warn", "alert-triangle"),
        "paused": ("", "player-pause"),
        "disabled": ("", "player-pause"),
    }
    tone, glyph = looks.get(line.reason, ("", "moon"))
    return {
        "name": line.name,
        "mine": False,
        "credit": line.credit,
        "sentence": line.sentence,
        "tone": tone,
        "icon": glyph,
    }


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
