"""One's own notifications: the list, read and unread, and what one wants to be told of (IDN-31)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from filiera.identity import notifications
from filiera.identity.notifications import MOST_COUNTED
from filiera.identity.permissions import Principal, in_person
from filiera.platform import formats

PER_PAGE = 50
UNREAD = "da-leggere"


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """Show what one was told in this brand, the newest first, and where one wants each kind."""
    principal, now = in_person(request), timezone.now()
    unread = request.GET.get("vista") == UNREAD
    page = _page(request.GET.get("pagina", ""))
    rows = list(notifications.of(principal.user, unread=unread)[page * PER_PAGE : (page + 1) * PER_PAGE + 1])
    context: dict[str, Any] = {
        "page": "notifications",
        "page_title": _("Notifiche"),
        "rows": [(one, _icon(one.type)) for one in rows[:PER_PAGE]],
        "unread": notifications.count_unread(principal.user),
        "most": MOST_COUNTED,
        "only_unread": unread,
        "newer": page,
        "older": page + 2 if len(rows) > PER_PAGE else 0,
        "wanted": notifications.wanted_by(principal),
        "later": notifications.LATER.items(),
        "now": now,
    }
    return render(request, "identity/notifications.html", context)


@require_POST
def mark(request: HttpRequest, notification_id: UUID) -> HttpResponse:
    """Mark one as read, or as unread again, or put it off; opened, go on to what it is about."""
    principal, does = in_person(request), request.POST.get("fa") or request.GET.get("fa", "")
    if does in notifications.LATER:
        return _put_off(request, notification_id, does)
    one = notifications.mark(
        user=principal.user,
        notification_id=notification_id,
        is_read=does != "da-leggere",
        now=timezone.now(),
    )
    if does == "apri" and one.action_url:
        return redirect(one.action_url)
    return _back(request)


def _put_off(request: HttpRequest, notification_id: UUID, choice: str) -> HttpResponse:
    now = timezone.now()
    until = notifications.later(choice, now)
    notifications.snooze(user=in_person(request).user, notification_id=notification_id, until=until, now=now)
    undo = f"{reverse('notification', args=[notification_id])}?fa=da-leggere"
    text = _("Te lo ricordiamo %(when)s.") % {"when": formats.moment(until, now)}
    messages.success(request, text, extra_tags=f"undo:{undo}")
    return _back(request)


@require_POST
def mark_all(request: HttpRequest) -> HttpResponse:
    """Mark all as read, with a way back."""
    principal, now = in_person(request), timezone.now()
    count = notifications.mark_all(user=principal.user, now=now)
    if count:
        undo = f"{reverse('notifications-undo')}?da={now.timestamp():.6f}"
        text = ngettext("Un avviso segnato come letto.", "%(n)s avvisi segnati come letti.", count)
        messages.success(request, text % {"n": count}, extra_tags=f"undo:{undo}")
    return _back(request)


@require_POST
def undo(request: HttpRequest) -> HttpResponse:
    """Take back the marking of all at a moment."""
    principal = in_person(request)
    try:
        at = datetime.fromtimestamp(float(request.GET.get("da", "")), tz=timezone.now().tzinfo)
    except (ValueError, OverflowError, OSError):
        return redirect("notifications")
    notifications.unmark_all(user=principal.user, at=at)
    return redirect("notifications")


@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Keep what one wants to be told of, and where."""
    principal: Principal = in_person(request)
    notifications.choose(
        principal=principal,
        in_workspace=set(request.POST.getlist("qui")),
        by_email=set(request.POST.getlist("email")),
    )
    messages.success(request, _("Scelte salvate."))
    return redirect("notifications")


def _icon(kind: str) -> str:
    known = notifications.kinds().get(kind)
    return known.icon if known else "bell"


def _page(text: str) -> int:
    """Return the place of a page, the first being 0; whatever is no page is the first."""
    return min(int(text) - 1, 10_000) if text.isascii() and text.isdecimal() and int(text[:9]) > 0 else 0


def _back(request: HttpRequest) -> HttpResponse:
    view = f"?vista={UNREAD}" if request.POST.get("vista") == UNREAD else ""
    return redirect(reverse("notifications") + view)
