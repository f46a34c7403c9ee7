"""Reads about the people of a brand: who works in it, who was invited, and why one may what."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext as _

from filiera.identity import permissions, words
from filiera.identity.models import Brand, ClosedAccess, Invitation, Role, User, UserRole
from filiera.platform.refusals import Missing


@dataclass(frozen=True, slots=True)
class Colleague:
    """A person of the brand; `closed` says since when they may not come in."""

    user: User
    roles: tuple[str, ...]
    closed: ClosedAccess | None = None

    @property
    def role_names(self) -> str:
        return ", ".join(str(Role(role).label) for role in self.roles)


@dataclass(frozen=True, slots=True)
class Way:
    """How a person comes by a permission: the role they have, where it inherits from, who gave it and when."""

    role: str
    inherited: tuple[str, ...]
    by: str
    at: datetime | None
    grant_by: str = ""
    grant_at: datetime | None = None

    @property
    def chain(self) -> str:
        """Return the role and what it inherits, down to the one that holds the permission."""
        return " ← ".join(str(Role(role).label) for role in (self.role, *self.inherited))


@dataclass(frozen=True, slots=True)
class Reason:
    """A permission in words with every way a person comes by it."""

    permission: str
    text: str
    ways: tuple[Way, ...]


def of_brand() -> list[Colleague]:
    """Return who works in the brand, by name, then who was closed out."""
    roles: dict[UUID, list[str]] = {}
    people: dict[UUID, User] = {}
    for row in UserRole.objects.select_related("user").filter(user__deleted_at=None):
        people[row.user_id] = row.user
        roles.setdefault(row.user_id, []).append(row.role)
    working = [Colleague(user, _ordered(roles[user.id])) for user in people.values()]
    closed = [
        Colleague(one.user, _ordered(one.roles), one)
        for one in ClosedAccess.objects.select_related("user").filter(user__deleted_at=None)
    ]
    return [*sorted(working, key=_by_name), *sorted(closed, key=_by_name)]


def one_of_brand(user_id: UUID) -> Colleague:
    """Return a person of the brand. Raises Missing, for another brand's as for none."""
    found = next((one for one in of_brand() if one.user.id == user_id), None)
    if found is None:
        raise Missing(_("Questa persona non c’è."))
    return found


def invitations() -> list[Invitation]:
    """Return the invitations that wait for an answer, the newest first."""
    waiting = Invitation.objects.select_related("invited_by").filter(accepted_at=None)
    return list(waiting.order_by("-created_at"))


def reasons(user: User, brand: Brand) -> list[Reason]:
    """Return all that a person may do in the open brand, and why."""
    granted = brand.settings.get("role_grants", {})
    names = _names(granted)
    found: dict[str, list[Way]] = {}
    rows = list(UserRole.objects.select_related("granted_by").filter(user=user))
    for row in sorted(rows, key=lambda row: Role.values.index(row.role)):
        chain = tuple(permissions.inheritance(row.role))
        by = row.granted_by.name if row.granted_by else ""
        for place, step in enumerate(chain):
            inherited = chain[1 : place + 1]
            for permission in permissions.own_of(step):
                found.setdefault(permission, []).append(Way(row.role, inherited, by, row.created_at))
            for permission in set(permissions.GRANTABLE) & set(granted.get(step, {})):
                told = granted[step][permission]
                at = datetime.fromisoformat(told["at"]) if told.get("at") else None
                way = Way(row.role, inherited, by, row.created_at, names.get(told.get("by"), ""), at)
                found.setdefault(permission, []).append(way)
    texts = words.of_permissions()
    return [Reason(one, texts[one], tuple(found[one])) for one in texts if one in found]


def _names(granted: dict[str, dict[str, dict[str, str]]]) -> dict[str | None, str]:
    ids = {told["by"] for those in granted.values() for told in those.values() if told.get("by")}
    return {str(pk): name for pk, name in User.objects.filter(pk__in=ids).values_list("pk", "name")}


def _ordered(roles: list[str]) -> tuple[str, ...]:
    return tuple(role for role in Role.values if role in roles)


def _by_name(one: Colleague) -> tuple[str, str]:
    return one.user.name.casefold(), one.user.email
