"""What one person should know: told by the rooms where it happens, read in the workspace, or by e-mail (IDN-31).

Rooms say at start which kinds there are. Telling is one statement whatever the number of people, so that the path of a
lead can afford it (docs/decisions/021-notifications.md).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection, models, transaction
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from filiera.identity import emails, permissions
from filiera.identity.models import Brand, Notification, NotificationChoice, Role, User, UserRole
from filiera.identity.permissions import Principal
from filiera.platform import brand_scope, live
from filiera.platform.ids import new_id
from filiera.platform.refusals import Missing

TOPIC = "notifications"
MOST_COUNTED = 99
KEPT = timedelta(days=90)
_MOST_MAILED = 500
BACK_AT_HOUR = 9
LATER: Mapping[str, Promise | str] = MappingProxyType(
    {
        "ora": gettext_lazy("tra un’ora"),
        "domani": gettext_lazy("domani mattina"),
        "lunedi": gettext_lazy("lunedì mattina"),
    }
)
"""For how long a notification can be put off."""

Words = Callable[[], tuple[str, str]]
"""Return title and message in the language that is active: asked once for each language of the product."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Something people are told of: its name, in words, and the permission without which one is not told."""

    name: str
    label: Promise | str
    icon: str
    needs: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing for one person. `subject_id` is the contact that the words name, None when they name nobody.

    The same `cause` is told to a person once. `address` is a path of the workspace.
    """

    kind: str
    user_id: UUID
    cause: str
    words: Words
    address: str = ""
    subject_id: UUID | None = None


_kinds: dict[str, Kind] = {}


def register(*kinds: Kind) -> None:
    """Let a room say what it tells people of."""
    _kinds.update({kind.name: kind for kind in kinds})


def kinds() -> Mapping[str, Kind]:
    """Return every kind by name, in the order in which the rooms said them."""
    return MappingProxyType(_kinds)


# Telling


def tell(notices: Sequence[Notice], *, now: datetime) -> None:
    """Tell people of the open brand, each in their language, and their open pages: one statement.

    Left out is who turned the kind off, who may not see what it is about, and who works in the brand no more.
    """
    if not notices:
        return
    spoken: dict[str, list[tuple[str, str]]] = {}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            spoken[language] = [notice.words() for notice in notices]
    rows = [
        (
            new_id(),
            notice.user_id,
            notice.kind,
            notice.cause,
            notice.subject_id,
            notice.address,
            {language: (said[place][0][:255], said[place][1]) for language, said in spoken.items()},
            _roles_told(_kinds[notice.kind].needs),
        )
        for place, notice in enumerate(notices)
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            _TELL,
            {
                "rows": orjson.dumps(rows).decode(),
                "brand": brand_scope.current(),
                "now": now,
                "usual": settings.LANGUAGE_CODE,
                "channel": live.CHANNEL,
                "payload": live.payload(TOPIC),
            },
        )


_TELL = """
with told as (
    insert into identity_notification (id, brand_id, user_id, type, cause, subject_id, title, message, action_url,
                                       by_email, read_at, created_at)
    select (row->>0)::uuid, %(brand)s, person.id, row->>2, row->>3, (row->>4)::uuid,
           coalesce(row->6->person.language, row->6->%(usual)s)->>0,
           coalesce(row->6->person.language, row->6->%(usual)s)->>1, row->>5,
           coalesce(choice.by_email, false), case when not choice.in_workspace then %(now)s end, %(now)s
    from jsonb_array_elements(%(rows)s::jsonb) as row
    join identity_user person on person.id = (row->>1)::uuid and person.is_active
    left join identity_notificationchoice choice
           on choice.brand_id = %(brand)s and choice.user_id = person.id and choice.type = row->>2
    where (coalesce(choice.in_workspace, true) or coalesce(choice.by_email, false))
      and exists (select from identity_userrole role where role.brand_id = %(brand)s and role.user_id = person.id
                  and role.role in (select jsonb_array_elements_text(row->7)))
    on conflict (brand_id, user_id, cause) do nothing
    returning 1
)
select pg_notify(%(channel)s, %(payload)s) from told limit 1
"""


def who_may(permission: str) -> list[UUID]:
    """Return the people who hold a permission in the open brand."""
    grants = Brand.objects.get(pk=brand_scope.current()).role_grants
    roles = [role for role in Role if permissions.allows(permissions.of_roles([role], grants), permission)]
    found = UserRole.objects.filter(role__in=roles, user__is_active=True)
    return list(found.values_list("user_id", flat=True).distinct().order_by("user_id"))


@cache
def _roles_told(permission: str) -> list[str]:
    """Return the roles whose people are told. What a brand may grant is asked of `who_may` before."""
    if permission in permissions.GRANTABLE:
        return list(Role.values)
    return [role for role in Role.values if permissions.allows(permissions.of_roles([role]), permission)]


# Reading


def of(user: User, *, unread: bool = False) -> models.QuerySet[Notification]:
    """Return what a person was told in the open brand, the newest first."""
    found = Notification.objects.filter(user=user)
    return (found.filter(read_at=None) if unread else found).order_by("-created_at", "-id")


def count_unread(user: User) -> int:
    """Return how many a person has not read, counted up to one more than MOST_COUNTED."""
    return len(of(user, unread=True).values_list("pk", flat=True)[: MOST_COUNTED + 1])


@transaction.atomic
def mark(*, user: User, notification_id: UUID, is_read: bool, now: datetime) -> Notification:
    """Mark one of a person's own as read, or as unread again. Raises Missing, for another's as for none."""
    found = of(user).select_for_update().filter(pk=notification_id).first()
    if found is None:
        raise Missing(_("Questo avviso non c’è."))
    if found.is_read != is_read or found.snoozed_until is not None:
        _put(found, read_at=now if is_read else None, snoozed_until=None)
    return found


@transaction.atomic
def snooze(*, user: User, notification_id: UUID, until: datetime, now: datetime) -> Notification:
    """Put one of a person's own off until a moment, when it is told again. Raises Missing."""
    found = of(user).select_for_update().filter(pk=notification_id).first()
    if found is None:
        raise Missing(_("Questo avviso non c’è."))
    _put(found, read_at=now, snoozed_until=until)
    return found


def later(choice: str, now: datetime) -> datetime:
    """Return the moment that a choice of LATER means, in the zone of the brand."""
    if choice == "ora":
        return now + timedelta(hours=1)
    local = timezone.localtime(now)
    days = 1 if choice == "domani" else 7 - local.weekday()
    return (local + timedelta(days=days)).replace(hour=BACK_AT_HOUR, minute=0, second=0, microsecond=0)


def wake(*, now: datetime) -> int:
    """Tell again, as new, what was put off until now in the open brand; return how many."""
    due = Notification.objects.filter(snoozed_until__lte=now)
    return _changed(due.update(read_at=None, snoozed_until=None, created_at=now))


def _put(one: Notification, *, read_at: datetime | None, snoozed_until: datetime | None) -> None:
    one.read_at, one.snoozed_until = read_at, snoozed_until
    one.save(update_fields=["read_at", "snoozed_until"])
    live.announce(TOPIC)


@transaction.atomic
def mark_all(*, user: User, now: datetime) -> int:
    """Mark all that a person has not read, at one moment by which `unmark_all` finds them; return how many."""
    return _changed(of(user, unread=True).order_by().update(read_at=now))


@transaction.atomic
def unmark_all(*, user: User, at: datetime) -> int:
    """Take back what `mark_all` did at a moment; return how many."""
    return _changed(of(user).order_by().filter(read_at=at).update(read_at=None))


def _changed(many: int) -> int:
    if many:
        live.announce(TOPIC)
    return many


# Choosing


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where a person wants a kind."""

    kind: Kind
    in_workspace: bool
    by_email: bool


def wanted_by(principal: Principal) -> list[Wanted]:
    """Return the kinds that a person can be told of, and where they want each."""
    chosen = {one.type: one for one in NotificationChoice.objects.filter(user=principal.user)}
    usual = NotificationChoice(in_workspace=True, by_email=False)
    return [
        Wanted(kind, chosen.get(kind.name, usual).in_workspace, chosen.get(kind.name, usual).by_email)
        for kind in _kinds.values()
        if principal.may(kind.needs)
    ]


@transaction.atomic
def choose(*, principal: Principal, in_workspace: set[str], by_email: set[str]) -> None:
    """Keep where a person wants each kind; those they cannot be told of stay as they are."""
    for was in wanted_by(principal):
        name = was.kind.name
        wants = (name in in_workspace, name in by_email)
        if wants != (was.in_workspace, was.by_email):
            NotificationChoice.objects.update_or_create(
                user=principal.user,
                type=name,
                defaults={"in_workspace": wants[0], "by_email": wants[1]},
            )


# Once a minute, and once a night


def write_letters(*, now: datetime) -> int:
    """Queue one letter for each person with something to be told by e-mail, and return how many.

    It says how many of what, and names nobody: what is to be known stands where one signs in.
    """
    waiting = list(
        Notification.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(by_email=True, emailed_at=None)
        .order_by("created_at")[:_MOST_MAILED]
    )
    if not waiting:
        return 0
    brand = Brand.objects.get(pk=brand_scope.current())
    readers = User.objects.in_bulk({one.user_id for one in waiting})
    by_reader: dict[UUID, list[Notification]] = {}
    for one in waiting:
        by_reader.setdefault(one.user_id, []).append(one)
    letters = [_letter(brand, readers[user_id], told) for user_id, told in by_reader.items()]
    emails.queue(letters, now=now)
    Notification.objects.filter(pk__in=[one.pk for one in waiting]).update(emailed_at=now)
    return len(letters)


def forget(*, now: datetime) -> int:
    """Delete what is older than KEPT in the open brand; return how many."""
    return Notification.objects.filter(created_at__lt=now - KEPT).delete()[0]


def _letter(brand: Brand, reader: User, told: Sequence[Notification]) -> emails.Letter:
    with translation.override(reader.language):
        many: dict[str, int] = {}
        for one in told:
            many[one.type] = many.get(one.type, 0) + 1
        lines = [f"{_kinds[name].label}: {count}" for name, count in many.items() if name in _kinds]
        subject = ngettext("%(brand)s: un avviso per te", "%(brand)s: %(n)s avvisi per te", len(told))
        body = _(
            "Ciao %(name)s,\n\n%(lines)s\n\nLi trovi qui: %(link)s\n\nChe cosa ti scriviamo lo scegli lì."
        )
        words: dict[str, Any] = {
            "brand": brand.name,
            "n": len(told),
            "name": reader.name,
            "lines": "\n".join(lines),
            "link": settings.BASE_URL + reverse("notifications"),
        }
        return emails.Letter(
            kind="notifications",
            subject_id=told[0].pk,
            to_address=reader.email,
            to_name=reader.name,
            subject=subject % words,
            body_text=body % words,
        )
