"""Whom to tell of what happened (IDN-31): the words, and to whom they go. No kind without an event that is there.

Nobody is told of what they did themselves.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from filiera.contacts.models import Contact
from filiera.identity import notifications
from filiera.identity.notifications import Kind, Notice
from filiera.pipeline.models import Activity
from filiera.platform.models import Event
from filiera.routing import alerts
from filiera.routing import queries as routing
from filiera.routing.commands import Assigned
from filiera.routing.models import Alert, Process

LEAD, WAITING, DUE, ALERT = "lead_assigned", "lead_waiting", "activity_due", "routing_alert"
MINE = "/leads?titolare=io"
STILL_DUE = timedelta(hours=1)
"""What fell due while no worker ran is told for this long."""
MOST_AT_ONCE = 500


def register() -> None:
    """Say what people are told of."""
    notifications.register(
        Kind(LEAD, gettext_lazy("Un lead è per te"), "user", "view_contacts"),
        Kind(WAITING, gettext_lazy("Un lead aspetta te"), "phone-x", "view_contacts"),
        Kind(DUE, gettext_lazy("È ora di un’attività"), "clock", "manage_activities"),
        Kind(ALERT, gettext_lazy("Le chiamate vanno male"), "alert-triangle", "manage_routing"),
    )


def of_assigned(assigned: Sequence[Assigned], *, now: datetime) -> None:
    """Tell the agents whose telephone will ring: one line for each agent of the batch, one statement for all."""
    told = [
        _Told(LEAD, UUID(one.agent.user_id), f"{LEAD}:{one.lead.event.id}", one.lead.contact, _new_lead)
        for one in assigned
        if one.agent is not None and one.agent.user_id
    ]
    notifications.tell(_by_person(told, _many_new, MINE), now=now)


def of_new_owners(events: Sequence[Event], *, now: datetime) -> None:
    """Tell the new owners of deals that somebody else gave them; who gave is in the record, and not in these words."""
    given = [
        (event, UUID(event.data["owner_user_id"]))
        for event in events
        if event.data["owner_user_id"] and event.data["owner_user_id"] != event.data["user_id"]
    ]
    people = _people(UUID(event.data["contact_id"]) for event, _owner in given)
    told = [
        _Told(LEAD, owner, f"{event.kind}:{event.id}", people[contact_id], _given)
        for event, owner in given
        if (contact_id := UUID(event.data["contact_id"])) in people
    ]
    notifications.tell(_by_person(told, _many_given, MINE), now=now)


def of_waiting(waiting: Sequence[Process], *, now: datetime) -> None:
    """Tell who has to call by hand: the last agent tried, or those who look after calls."""
    people = _people(process.contact_id for process in waiting)
    if not people:
        return
    desk = notifications.who_may("manage_routing")
    told = [
        _Told(
            WAITING,
            user_id,
            f"{WAITING}:{process.id}",
            people[process.contact_id],
            _waits(process.error_code),
        )
        for process in waiting
        if process.contact_id in people
        for user_id in ([process.agent.user_id] if process.agent and process.agent.user_id else desk)
    ]
    notifications.tell(_by_person(told, _many_wait, reverse("today")), now=now)


def of_alerts(events: Sequence[Event], *, now: datetime) -> None:
    """Tell those who look after calls of a condition that somebody has to know about."""
    opened = Alert.objects.filter(id__in=[event.subject_id for event in events], cleared_at=None)
    desk = notifications.who_may("manage_routing")
    notices = [
        Notice(ALERT, user_id, f"{ALERT}:{alert.id}", _alarm(alert), reverse("agents"))
        for alert in opened
        for user_id in desk
    ]
    notifications.tell(notices, now=now)


def of_due(*, now: datetime) -> None:
    """Tell people of their activities whose hour has come. A call that a rule asks for is told when it is asked."""
    due = (
        Activity.objects.select_related("contact")
        .filter(
            status=Activity.Status.PLANNED,
            scheduled_at__gt=now - STILL_DUE,
            scheduled_at__lte=now,
            user_id__isnull=False,
            contact__deleted_at=None,
        )
        .exclude(cause__startswith="callback:")
        .order_by("scheduled_at")[:MOST_AT_ONCE]
    )
    told = []
    for activity in due:
        assert activity.scheduled_at
        assert activity.user_id
        cause = f"{DUE}:{activity.id}:{int(activity.scheduled_at.timestamp())}"
        told.append(_Told(DUE, activity.user_id, cause, activity.contact, _it_is_time(activity)))
    notifications.tell([one.alone() for one in told], now=now)


# Inside

Saying = Callable[[str], tuple[str, str]]
"""Title and message about a person, in the language that is active."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What one person is told about another."""

    kind: str
    user_id: UUID
    cause: str
    about: Contact
    saying: Saying

    def alone(self) -> Notice:
        """Return a notice that names the person, and goes with them when they are erased."""
        return Notice(
            kind=self.kind,
            user_id=self.user_id,
            cause=self.cause,
            words=lambda: self.saying(self.about.full_name or _("una persona senza nome")),
            address=reverse("lead", args=[self.about.id]),
            subject_id=self.about.id,
        )


def _by_person(told: Sequence[_Told], many: Callable[[int], str], address: str) -> list[Notice]:
    """Return one notice for each who is told: of one lead by its name, of several by how many they are."""
    by_user: dict[UUID, list[_Told]] = {}
    for one in told:
        by_user.setdefault(one.user_id, []).append(one)
    return [
        theirs[0].alone()
        if len(theirs) == 1
        else Notice(theirs[0].kind, user_id, theirs[0].cause, partial(_count, many, len(theirs)), address)
        for user_id, theirs in by_user.items()
    ]


def _people(ids: Iterable[UUID]) -> dict[UUID, Contact]:
    return Contact.objects.filter(deleted_at=None).in_bulk(set(ids))


def _count(many: Callable[[int], str], count: int) -> tuple[str, str]:
    return many(count), ""


def _many_new(count: int) -> str:
    return ngettext("%(n)s lead nuovo per te", "%(n)s lead nuovi per te", count) % {"n": count}


def _many_given(count: int) -> str:
    return ngettext("%(n)s lead adesso è tuo", "%(n)s lead adesso sono tuoi", count) % {"n": count}


def _many_wait(count: int) -> str:
    return ngettext("%(n)s lead aspetta te", "%(n)s lead aspettano te", count) % {"n": count}


def _new_lead(name: str) -> tuple[str, str]:
    return _("Un lead nuovo per te: %(name)s") % {"name": name}, ""


def _given(name: str) -> tuple[str, str]:
    return _("%(name)s adesso è un tuo lead") % {"name": name}, _("Te l’ha affidato un collega.")


def _waits(code: str) -> Saying:
    return lambda name: (_("Aspetta te: %(name)s") % {"name": name}, routing.error_sentence(code))


def _it_is_time(activity: Activity) -> Saying:
    def words(name: str) -> tuple[str, str]:
        what = activity.title or Activity.Type(activity.type).label
        return _("È ora: %(what)s, %(name)s") % {"what": what, "name": name}, ""

    return words


def _alarm(alert: Alert) -> Callable[[], tuple[str, str]]:
    return lambda: (alerts.sentence(alert), "")
