"""Reads of identity. Roles are read before a brand is known, by one function of the schema's owner."""

from typing import Any
from uuid import UUID

from django.db import connection

from filiera.identity import permissions
from filiera.identity.models import Brand, User
from filiera.identity.permissions import Principal


def principal_of(user: Any, *, wanted: UUID | None = None) -> Principal | None:
    """Return who acts in which brand, or None for a guest or a user without a role anywhere.

    `wanted` is taken when the user has a role there; otherwise the oldest of the user’s brands.
    """
    if not isinstance(user, User) or not user.is_active:
        return None
    roles = roles_of(user.id)
    brands = tuple(Brand.objects.filter(id__in=roles, is_active=True).order_by("created_at", "id"))
    if not brands:
        return None
    brand = next((brand for brand in brands if brand.id == wanted), brands[0])
    own = frozenset(roles[brand.id])
    return Principal(user=user, brand=brand, brands=brands, roles=own, permissions=permissions.of_roles(own))


def roles_of(user_id: UUID) -> dict[UUID, list[str]]:
    """Return the user's roles by brand."""
    with connection.cursor() as cursor:
        cursor.execute("select brand_id, role from identity_roles_of(%s)", [user_id])
        found: dict[UUID, list[str]] = {}
        for brand_id, role in cursor.fetchall():
            found.setdefault(brand_id, []).append(role)
    return found
