"""The parts of the workspace as template tags: icon, tag, stage, priority, avatar, time left.

The markup and the classes are those of the design; words come in already translated.
"""

from datetime import date, datetime
from functools import lru_cache

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.dateformat import format as date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from filiera.contacts import phones
from filiera.contacts.models import LeadState
from filiera.pipeline.models import Activity
from filiera.platform import formats

register = template.Library()

# The ring of each lead state, by the name its drawing and its class have.
STAGE_LOOKS = {
    LeadState.NUOVO: "nuovo",
    LeadState.IN_CONTATTO: "contatto",
    LeadState.CALDO: "caldo",
    LeadState.ATTESA_ORDINE: "attesa",
    LeadState.CHIUSO_VINTO: "vinto",
    LeadState.PERSO: "perso",
}


@register.simple_tag
@lru_cache(maxsize=1024)
def icon(name: str, size: str = "", label: str = "") -> SafeString:
    """Return an icon of the sprite, silent unless it has a `label`. `size` is xs, sm or lg."""
    classes = f"icon {size}".strip()
    address = f"{static('built/icons.svg')}#i-{name}"
    if label:
        return format_html(
            '<svg class="{}" role="img" aria-label="{}"><use href="{}"/></svg>',
            classes,
            label,
            address,
        )
    return format_html('<svg class="{}" aria-hidden="true"><use href="{}"/></svg>', classes, address)


@register.simple_tag
def tag(tone: str, glyph: str, text: str) -> SafeString:
    """Return a condition in a word. `tone` is ok, warn, bad, live, hold, bare or empty."""
    return format_html(
        '<span class="fi-tag{}">{}{}</span>',
        f" is-{tone}" if tone else "",
        icon(glyph),
        text,
    )


@register.simple_tag
def stage(state: str, name: str = "") -> SafeString:
    """Return a lead state as a ring that fills and its word; a brand's own stage brings its `name`."""
    return _stage(state, name, get_language() or "")


@lru_cache(maxsize=256)
def _stage(state: str, name: str, _language: str) -> SafeString:
    look = STAGE_LOOKS.get(LeadState(state), "nuovo") if state else "nuovo"
    words = name or LeadState(state).label
    return format_html('<span class="fi-stage fi-stage-{}">{}{}</span>', look, icon(f"s-{look}"), words)


@register.simple_tag
@lru_cache(maxsize=1024)
def avatar(name: str, me: bool = False, size: str = "") -> SafeString:
    """Return the initials in a circle; the name stands beside them, so they are silent."""
    classes = "fi-ava" + (" fi-ava-me" if me else "") + (f" fi-ava-{size}" if size else "")
    return format_html('<span class="{}" aria-hidden="true">{}</span>', classes, formats.initials(name))


@register.simple_tag
def person(name: str, me: bool = False, short: bool = True) -> SafeString:
    """Return who: the avatar and the first name, or "Tu"."""
    return _person(name, me, short, get_language() or "")


@lru_cache(maxsize=1024)
def _person(name: str, me: bool, short: bool, _language: str) -> SafeString:
    words = _("Tu") if me else (name.split()[0] if short and name else name)
    return format_html('<span class="fi-person">{}{}</span>', avatar(name, me), words)


@register.simple_tag
def sla(due_at: datetime, now: datetime, total_s: int, prefix: str = "") -> SafeString:
    """Return the time left of a promise; the browser counts on from here."""
    left_s = (due_at - now).total_seconds()
    prefix = f"{prefix} " if prefix else ""
    tone = "bad" if left_s < 0 else "warn" if left_s < total_s * 0.4 else "ok"
    ahead, late = _("entro {t}"), _("in ritardo di {t}")
    words = (ahead if left_s >= 0 else late).replace("{t}", formats.clock(abs(left_s)))
    return format_html(
        '<span class="fi-sla is-{tone}"><svg class="fi-clock" viewBox="0 0 20 20" aria-hidden="true">'
        '<circle cx="10" cy="10" r="8"/><circle cx="10" cy="10" r="8" pathLength="100" stroke-dasharray="{share} 100"/>'
        '</svg><span data-until="{due}" data-total="{total}" data-ahead="{ahead}" data-late="{late}">{words}</span>'
        "</span>",
        tone=tone,
        share=round(min(max(left_s / total_s, 0), 1) * 100),
        due=due_at.isoformat(),
        total=total_s,
        ahead=f"{prefix}{ahead}",
        late=f"{prefix}{late}",
        words=f"{prefix}{words}",
    )


@register.simple_tag
def to_do(kind: str, scheduled_at: datetime | None, now: datetime) -> str:
    """Return a planned activity and its moment; one that is late stands out."""
    what = str(Activity.Type(kind).label)
    if scheduled_at is None:
        return what
    when = formats.moment(scheduled_at, now)
    if scheduled_at < now:
        return tag("bad", "alert-circle", _("%(what)s, scaduta %(when)s") % {"what": what, "when": when})
    return f"{what}, {when}"


@register.filter
def when(at: datetime, now: datetime) -> str:
    """Return a past moment in the room of a column: `10:41`, `ieri`, `11 ott`, `11/10/25`."""
    there, here = timezone.localtime(at), timezone.localtime(now)
    if there.date() == here.date():
        return date_format(there, "H:i")
    if (here.date() - there.date()).days == 1:
        return _("ieri")
    return _said(there, "j M" if there.year == here.year else "j/n/y")


@register.filter
def day(at: datetime | date) -> str:
    """Return a day as one says it: `martedì 13 ottobre`."""
    return _said(at, "l j F")


@register.filter
def stamp(at: datetime) -> str:
    """Return a moment in full: `13 ottobre 2026, 10:41:59`."""
    return _said(timezone.localtime(at), "j F Y, H:i:s")


@register.filter
def hover(at: datetime) -> str:
    """Return a moment in figures, for a title: `13/10/2026, 10:41:59`."""
    return f"{timezone.localtime(at):%d/%m/%Y, %H:%M:%S}"


@register.filter
def date_in_full(at: datetime | date) -> str:
    """Return a date in full: `13 ottobre 2026`."""
    return _said(at, "j F Y")


@register.filter
def month(at: datetime | date) -> str:
    """Return the name of a month: `ottobre`, `October`."""
    return _said(at, "F")


def _said(at: datetime | date, pattern: str) -> str:
    """Return a date in words; Italian writes days and months small."""
    if isinstance(at, datetime):
        at = timezone.localtime(at)
    words = date_format(at, pattern)
    return words.lower() if get_language() == "it" else words


@register.filter
def js_time(at: datetime) -> int:
    """Return a moment in milliseconds since 1970, for the page's clock."""
    return int(at.timestamp() * 1000)


@register.filter
def yesno_is(value: object, other: object) -> str:
    """Return "true" or "false", for aria-pressed and its like."""
    return "true" if value == other else "false"


@register.filter
def undo_address(tags: str) -> str:
    """Return the address that takes a message's deed back, from its extra tag `undo:/address`."""
    return next(
        (part.removeprefix("undo:") for part in tags.split() if part.startswith("undo:")),
        "",
    )


register.filter("phone", phones.display)
