"""Who may do what: the one place that decides, for pages, API and jobs alike (identity.md 4.2)."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar
from uuid import UUID

from django.http import HttpRequest
from django.utils.translation import gettext as _

from filiera.identity.models import Brand, Role, User
from filiera.platform.refusals import Forbidden

F = TypeVar("F", bound=Callable[..., Any])

EVERYTHING = "*"
EXPORT = "export_data"
_OWN: dict[str, frozenset[str]] = {
    Role.GUEST: frozenset({"view_products", "view_blog"}),
    Role.CUSTOMER: frozenset(
        {"create_order", "view_own_orders", "create_ticket", "view_own_tickets", "update_profile"}
    ),
    Role.EDITOR: frozenset({"create_blog_post", "edit_blog_post", "publish_blog_post", "manage_pages"}),
    Role.ADMIN: frozenset(
        {"manage_users", "manage_products", "manage_orders", "view_analytics", "system_settings", EVERYTHING}
    ),
    Role.SUPPORT: frozenset({"manage_tickets", "view_contacts"}),
    Role.SALES: frozenset(
        {
            "create_lead",
            "view_contacts",
            "edit_contacts",
            "manage_deals",
            "manage_activities",
            "manage_appointments",
            "view_routing",
            "create_order",
        }
    ),
    Role.SUPER_ADMIN: frozenset({EVERYTHING, "manage_brands", "view_all_brands"}),
}
_INHERITS: dict[str, str] = {
    Role.CUSTOMER: Role.GUEST,
    Role.EDITOR: Role.CUSTOMER,
    Role.ADMIN: Role.EDITOR,
    Role.SUPPORT: Role.CUSTOMER,
    Role.SALES: Role.CUSTOMER,
    Role.SUPER_ADMIN: Role.ADMIN,
}


GRANTABLE = ("manage_intake", "manage_routing", "manage_pipeline", "manage_newsletter")
"""Held through `*` only, unless a brand grants them to a role."""
ABOVE_BRANDS = ("manage_brands", "view_all_brands")
"""Of the installation, and of no brand: "everything" of a brand does not hold them, and no key does."""
NAMED: frozenset[str] = (frozenset().union(*_OWN.values()) | set(GRANTABLE)) - {EVERYTHING}
"""Every permission that has a name."""

Grants = Mapping[str, Iterable[str]]
"""What a brand grants beyond the matrix, by role (`Brand.role_grants`)."""


def of_roles(roles: Iterable[str], grants: Grants | None = None) -> frozenset[str]:
    """Return what these roles allow together, with all that they inherit and what their brand grants them."""
    return frozenset(
        permission
        for role in roles
        for step in inheritance(role)
        for permission in (*_OWN.get(step, ()), *set(GRANTABLE).intersection((grants or {}).get(step, ())))
    )


def inheritance(role: str) -> Iterator[str]:
    """Yield a role and, one after the other, those it inherits from."""
    step: str | None = role
    while step:
        yield step
        step = _INHERITS.get(step)


def own_of(role: str) -> frozenset[str]:
    """Return what the matrix gives a role by itself, without what it inherits."""
    return _OWN.get(role, frozenset())


def allows(granted: Container[str], permission: str) -> bool:
    """Say whether these permissions hold one: by its name, or by everything that a brand has."""
    return permission in granted or (EVERYTHING in granted and permission not in ABOVE_BRANDS)


def takes_data_out(granted: Iterable[str]) -> bool:
    """Say whether these permissions let a person take the data of others away: everything, or exports (IDN-43)."""
    return bool({EVERYTHING, EXPORT} & set(granted))


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts, in which brand, with which rights."""

    user: User
    brand: Brand
    brands: tuple[Brand, ...]
    roles: frozenset[str]
    permissions: frozenset[str] = field(default=frozenset())
    api_key_id: UUID | None = None  # set where a key for our API acts for the person who made it

    @property
    def brand_id(self) -> UUID:
        return self.brand.id

    def may(self, permission: str) -> bool:
        """Say whether the permission is granted in the current brand."""
        return allows(self.permissions, permission)


def requires(permission: str) -> Callable[[F], F]:
    """Let a view through only with the permission; otherwise raise Forbidden, shown like a missing page (UI-46)."""

    def decorate(view: F) -> F:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            demand(request, permission)
            return view(request, *args, **kwargs)

        return guarded  # type: ignore[return-value]

    return decorate


def demand(request: HttpRequest, permission: str) -> Principal:
    """Return who acts. Raises Forbidden when the permission is missing."""
    principal: Principal | None = getattr(request, "principal", None)
    if principal is None or not principal.may(permission):
        raise Forbidden(
            _("Questa pagina non c’è, o non è per te. Chiedi l’accesso a chi amministra il marchio.")
        )
    return principal


def in_person(request: HttpRequest) -> Principal:
    """Return who acts, for what is a person's own: a key never acts on its maker's account. Raises Forbidden."""
    principal: Principal | None = getattr(request, "principal", None)
    if principal is None or principal.api_key_id is not None:
        raise Forbidden(
            _("Questa pagina non c’è, o non è per te. Chiedi l’accesso a chi amministra il marchio.")
        )
    return principal


def demand_in_person(request: HttpRequest, permission: str) -> Principal:
    """Return who acts, when it is a person: a key makes no keys. Raises Forbidden."""
    principal = demand(request, permission)
    if principal.api_key_id is not None:
        raise Forbidden(_("Le chiavi si gestiscono di persona, non con una chiave."))
    return principal
