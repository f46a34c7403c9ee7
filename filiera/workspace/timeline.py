"""The story of a person as the record shows it: the knots that each room tells, dressed for the eye.

People and house look different: `look` is "human" for a person's deed, "auto" for a rule's, "live" for what
happens now, and empty for what the lead did.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from filiera.contacts import timeline as threads
from filiera.contacts.timeline import TimelineItem
from filiera.platform import formats
from filiera.routing import queries as routing

MOST = 200
"""Knots on one page; a person with more has the older ones in the export."""

STEPS = {"lead.received": 0, "deal.opened": 1, "decision.made": 2, "call.attempted": 3}

KINDS = ("chiamate", "moduli", "stato", "note")


@dataclass(frozen=True, slots=True)
class Entry:
    """One knot. `actor` goes before, bold; `quote` is somebody's own words; `until` counts down, `undo` takes it
    back.
    """

    at: datetime
    kind: str
    look: str
    icon: str
    title: str
    actor: str = ""
    verb: str = ""
    origin: str = ""
    quote: str = ""
    meta: str = ""
    link: str = ""
    link_text: str = ""
    is_drawer: bool = False
    until: datetime | None = None
    undo: str = ""

    @property
    def day(self) -> date:
        """Return the day in the zone of the brand."""
        return timezone.localtime(self.at).date()


def of(contact_id: UUID) -> list[Entry]:
    """Return what happened to a person, newest first, without what is still to be done."""
    items = threads.read([contact_id], limit=MOST)
    # What one transaction wrote has one instant: then the later step of the path stands above.
    items.sort(key=lambda item: (item.at, STEPS.get(item.kind, len(STEPS))), reverse=True)
    return [_entry(item) for item in items if item.kind != "activity.planned"]


def counts(entries: Iterable[Entry]) -> dict[str, int]:
    """Return how many entries each filter would show."""
    found = dict.fromkeys((*KINDS, "persone"), 0)
    for entry in entries:
        found[entry.kind] += 1
        found["persone"] += entry.look == "human"
    return found


def shown(entries: Sequence[Entry], only: str) -> list[Entry]:
    """Return the entries of one kind, of people only, or all."""
    if only == "persone":
        return [entry for entry in entries if entry.look == "human"]
    return [entry for entry in entries if only not in KINDS or entry.kind == only]


def _entry(item: TimelineItem) -> Entry:
    if item.kind == "lead.received":
        return _request(item)
    if item.kind == "decision.made":
        return _decision(item)
    if item.kind == "call.attempted":
        return _attempt(item)
    if item.kind in ("contact.merged", "contact.merge_undone"):
        return _merge(item)
    return _deed(item)


def _request(item: TimelineItem) -> Entry:
    data = item.data or {}
    wished = " · ".join(part for part in (data.get("service"), data.get("package")) if part)
    wishes = []
    if data.get("wants_contract"):
        wishes.append(_("Vuole il contratto."))
    if data.get("wants_brochure"):
        wishes.append(_("Vuole la brochure."))
    submission = data.get("submission_id")
    return Entry(
        at=item.at,
        kind="moduli",
        look="",
        icon="world",
        title=_("Ha chiesto %(wish)s") % {"wish": wished} if wished else _("Ha chiesto informazioni"),
        origin=_("da %(origin)s") % {"origin": data.get("marketing_source") or data.get("source", "")},
        quote=item.detail,
        meta=" ".join(wishes),
        link=reverse("inbound") + f"?request={submission}" if submission else "",
        link_text=_("Vedi la richiesta"),
    )


def _decision(item: TimelineItem) -> Entry:
    data = item.data or {}
    name = routing.rule_name(data.get("rule", ""))
    rule = _("%(rule)s, versione %(n)s.") % {"rule": name, "n": data.get("rule_version", "")}
    return Entry(
        at=item.at,
        kind="chiamate",
        look="auto",
        icon=item.icon,
        title=item.title,
        meta=f"{rule} {item.detail}",
        link=item.link,
        link_text=_("Perché?"),
        is_drawer=True,
    )


def _attempt(item: TimelineItem) -> Entry:
    until = (item.data or {}).get("rings_until")
    return Entry(
        at=item.at,
        kind="chiamate",
        look="live" if until else "auto",
        icon=item.icon,
        title=item.title,
        meta=item.detail,
        until=datetime.fromisoformat(until) if until else None,
    )


def _merge(item: TimelineItem) -> Entry:
    until = (item.data or {}).get("undoable_until")
    is_open = until is not None and timezone.now() <= datetime.fromisoformat(until)
    return Entry(
        at=item.at,
        kind="stato",
        look="human" if item.is_human else "auto",
        icon=item.icon,
        title=item.title,
        actor=item.actor,
        meta=item.detail,
        undo=reverse("merge-undo", args=[item.subject_id]) if is_open else "",
        link=reverse("merges"),
        link_text=_("Schede unite"),
    )


def _deed(item: TimelineItem) -> Entry:
    """Dress what a person or a rule did: an activity, a move, a closing."""
    data = item.data or {}
    is_activity = item.kind == "activity.done"
    is_call = data.get("type") == "chiamata"
    talked = data.get("talking_seconds")
    meta = _("In conversazione %(length)s.") % {"length": formats.clock(talked)} if talked else ""
    if not item.is_human and (why := _rule_words().get(item.rule)):
        meta = f"{meta} {why}".strip()
    return Entry(
        at=item.at,
        kind="chiamate" if is_call else "note" if is_activity else "stato",
        look="human" if item.is_human else "auto",
        icon=item.icon,
        title=item.title,
        actor=item.actor if item.is_human else "",
        verb=_("ha registrato:") if is_activity else ":",
        quote=item.detail,
        meta=meta,
    )


def _rule_words() -> dict[str, str]:
    """Return which rule did it, in words (UI-11)."""
    return {
        "intake": _("All’arrivo della richiesta."),
        "rule": _("Dalla regola sulle attività."),
        "automatic": _("Registrata dal centralino."),
        "import": _("Da un’importazione."),
        "merge": _("Dall’unione di due schede."),
        "ai": _("Dalla classificazione automatica."),
    }
