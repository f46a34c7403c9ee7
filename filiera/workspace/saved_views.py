"""Lists with a name, and how each person wants theirs: views, pins, columns, density (UI-20, UI-21)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.http import QueryDict
from django.utils.translation import gettext as _

from filiera.identity.models import Role, User, UserRole
from filiera.identity.permissions import Principal
from filiera.platform import live
from filiera.platform.prepared import Prepared
from filiera.platform.refusals import Forbidden, Invalid, Missing
from filiera.workspace.lead_list import Asked
from filiera.workspace.lead_rows import COLUMNS, USUAL
from filiera.workspace.models import ListChoice, SavedView

MOST = 50
OPENS_FOR = (Role.SALES, Role.SUPPORT, Role.EDITOR, Role.ADMIN)
"""The roles for which a view can open by itself; who has several gets the first one's."""
LONGEST_NAME = 60
Audience = SavedView.Audience
_CHOICE = Prepared(lambda one: ListChoice.objects.filter(user_id=one))


@dataclass(frozen=True, slots=True)
class Named:
    """A view that somebody may open. `is_mine` lets them change and delete it."""

    view: SavedView
    asked: Asked
    is_pinned: bool
    is_mine: bool


def choice_of(user: User) -> ListChoice:
    """Return how a person wants the list; the usual way until they say."""
    return _CHOICE.first(user.pk) or ListChoice(user=user, columns=list(USUAL))


def columns_of(choice: ListChoice) -> list[str]:
    """Return the keys of the columns that a person looks at."""
    return [key for key in choice.columns if key in COLUMNS] or list(USUAL)


@transaction.atomic
def choose(user: User, *, columns: Sequence[str], is_dense: bool, now: datetime) -> ListChoice:
    """Keep the columns, in this order, and the density. Unknown columns are left out; none means the usual ones."""
    wanted = [key for key in dict.fromkeys(columns) if key in COLUMNS] or list(USUAL)
    return _keep(user, {"columns": wanted, "is_dense": is_dense}, now)


@transaction.atomic
def pin(user: User, view_id: UUID, *, is_pinned: bool, now: datetime) -> None:
    """Let a view stand beside the ready-made ones with its count, or no longer."""
    others = [one for one in choice_of(user).pinned if one != str(view_id)]
    _keep(user, {"pinned": ([*others, str(view_id)] if is_pinned else others)[-MOST:]}, now)


def views_of(principal: Principal, choice: ListChoice) -> list[Named]:
    """Return the views that a person may open: their own, their team's and the brand's, by age."""
    pinned = set(choice.pinned)
    rows = SavedView.objects.filter(_visible(principal.user)).order_by("created_at", "id")[: MOST * 4]
    return [
        Named(
            view,
            replace(Asked.read(QueryDict(view.query)), view=view.pk),
            str(view.pk) in pinned,
            view.owner_id == principal.user.pk or principal.may("system_settings"),
        )
        for view in rows
    ]


def opened_first(principal: Principal, saved: Sequence[Named]) -> Named | None:
    """Return the view of the brand that opens by itself for one of a person's roles, or None."""
    roles = [role for role in OPENS_FOR if role in principal.roles]
    of_role = {one.view.opens_for: one for one in saved if one.view.audience == Audience.BRAND}
    return next((of_role[role] for role in roles if role in of_role), None)


@transaction.atomic
def save_as(
    principal: Principal,
    *,
    name: str,
    query: str,
    audience: str,
    now: datetime,
    is_pinned: bool = True,
    opens_for: str = "",
) -> SavedView:
    """Keep a list under a name; one that opens by itself for a role takes the place of the one before.

    Raises Invalid; Forbidden for a view of the brand by who may not set things for all.
    """
    name = _checked_name(name)
    if opens_for and (opens_for not in OPENS_FOR or audience != Audience.BRAND):
        raise Invalid(_("Si apre da sola solo una vista di tutto il marchio."))
    if audience not in Audience.values:
        raise Invalid(_("Scegli per chi è la vista."))
    if audience == Audience.BRAND and not principal.may("system_settings"):
        raise Forbidden(_("Le viste di tutto il marchio le salva chi lo amministra."))
    if SavedView.objects.filter(owner=principal.user).count() >= MOST:
        raise Invalid(_("Hai già %(n)s viste: eliminane una.") % {"n": MOST})
    if opens_for:
        SavedView.objects.filter(opens_for=opens_for).update(opens_for="")
    view = SavedView.objects.create(
        name=name,
        query=Asked.read(QueryDict(query)).query,
        audience=audience,
        role=_role_of(principal.user) if audience == Audience.TEAM else "",
        opens_for=opens_for,
        owner=principal.user,
        created_at=now,
        updated_at=now,
    )
    if is_pinned:
        pin(principal.user, view.pk, is_pinned=True, now=now)
    live.announce("leads")
    return view


@transaction.atomic
def change(
    principal: Principal, view_id: UUID, *, now: datetime, query: str | None = None, name: str | None = None
) -> SavedView:
    """Give a view another query or name. Raises Missing, Forbidden, Invalid."""
    view = _own(principal, view_id)
    if query is not None:
        view.query = Asked.read(QueryDict(query)).query
    if name is not None:
        view.name = _checked_name(name)
    view.updated_at = now
    view.save(update_fields=["query", "name", "updated_at"])
    live.announce("leads")
    return view


@transaction.atomic
def delete(principal: Principal, view_id: UUID) -> SavedView:
    """Delete a view. Raises Missing, Forbidden."""
    view = _own(principal, view_id)
    SavedView.objects.filter(pk=view.pk).delete()
    live.announce("leads")
    return view


def visible(principal: Principal, view_id: UUID) -> SavedView:
    """Return a view that a person may open. Raises Missing."""
    view = SavedView.objects.filter(_visible(principal.user), pk=view_id).first()
    if view is None:
        raise Missing(_("Questa vista non c’è, o non è più qui."))
    return view


def _own(principal: Principal, view_id: UUID) -> SavedView:
    view = visible(principal, view_id)
    if view.owner_id != principal.user.pk and not principal.may("system_settings"):
        raise Forbidden(_("Questa vista è di chi l’ha salvata."))
    return view


def _visible(user: User) -> Q:
    mine = UserRole.objects.filter(user=user).values("role")
    return Q(owner=user) | Q(audience=Audience.BRAND) | Q(audience=Audience.TEAM, role__in=mine)


def _role_of(user: User) -> str:
    """Return the role whose team a person's views are for: the one they work with, before that of setting things up."""
    roles = set(UserRole.objects.filter(user=user).values_list("role", flat=True))
    order = (Role.SALES, Role.SUPPORT, Role.EDITOR, Role.ADMIN, Role.SUPER_ADMIN)
    return next((role.value for role in order if role.value in roles), Role.CUSTOMER.value)


def _checked_name(name: str) -> str:
    name = " ".join(name.replace("\x00", "").split())[:LONGEST_NAME]
    if not name:
        raise Invalid(_("Dai un nome alla vista."), details={"name": [_("Serve un nome.")]})
    return name


def _keep(user: User, changes: dict[str, object], now: datetime) -> ListChoice:
    choice, _is_new = ListChoice.objects.update_or_create(
        user=user,
        defaults={**changes, "updated_at": now},
        create_defaults={"columns": list(USUAL), **changes, "updated_at": now},
    )
    return choice
