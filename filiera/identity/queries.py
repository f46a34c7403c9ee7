"""Reads of identity. Roles are read before a brand is known, by one function of the schema's owner."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from filiera.identity import permissions
from filiera.identity.models import Brand, User
from filiera.identity.permissions import Principal


def principal_of(user: Any, *, wanted: UUID | None = None) -> Principal | None:
    """Return who acts in which brand, or None for a guest or a user without a role anywhere.

    `wanted` is taken when the user has a role there; otherwise the oldest of the user’s brands. A request has its
    principal already, from the look at its session (`sessions.look_up`).
    """
    if not isinstance(user, User) or not user.is_active:
        return None
    roles = roles_of(user.id)
    brands = tuple(Brand.objects.filter(id__in=roles, is_active=True).order_by("created_at", "id"))
    return principal_in(user, brands=brands, roles=roles, wanted=(wanted,))


def principal_in(
    user: User,
    *,
    brands: Sequence[Brand],
    roles: Mapping[UUID, Iterable[str]],
    wanted: Iterable[UUID | None] = (),
) -> Principal | None:
    """Return who acts in the first wanted brand that is theirs, else in their oldest; `brands` are in that order."""
    if not brands:
        return None
    by_id = {brand.id: brand for brand in brands}
    brand = next((by_id[each] for each in wanted if each in by_id), brands[0])
    own = frozenset(roles[brand.id])
    return Principal(
        user=user,
        brand=brand,
        brands=tuple(brands),
        roles=own,
        permissions=permissions.of_roles(own, brand.role_grants),
    )


def roles_of(user_id: UUID) -> dict[UUID, list[str]]:
    """Return the user's roles by brand."""
    with connection.cursor() as cursor:
        cursor.execute("select brand_id, role from identity_roles_of(%s)", [user_id])
        found: dict[UUID, list[str]] = {}
        for brand_id, role in cursor.fetchall():
            found.setdefault(brand_id, []).append(role)
    return found
