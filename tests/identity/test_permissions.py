"""The matrix of identity.md 4.2 with its inheritance, its scope and what a brand adds (IDN-04 … IDN-07)."""

from typing import Any

import pytest

from filiera.identity import permissions, queries
from filiera.identity.models import Role, UserRole
from filiera.platform import brand_scope

GUEST = {"view_products", "view_blog"}
CUSTOMER = GUEST | {"create_order", "view_own_orders", "create_ticket", "view_own_tickets", "update_profile"}
EDITOR = CUSTOMER | {"create_blog_post", "edit_blog_post", "publish_blog_post", "manage_pages"}
SUPPORT = CUSTOMER | {"manage_tickets", "view_contacts"}
SALES = CUSTOMER | {
    *("create_lead", "view_contacts", "edit_contacts", "manage_deals", "manage_activities"),
    *("manage_appointments", "view_routing"),
}
ADMIN = EDITOR | {
    "manage_users",
    "manage_products",
    "manage_orders",
    "view_analytics",
    "system_settings",
    "*",
}
ABOVE_BRANDS = {"manage_brands", "view_all_brands"}
MATRIX = {
    Role.GUEST: GUEST,
    Role.CUSTOMER: CUSTOMER,
    Role.EDITOR: EDITOR,
    Role.SUPPORT: SUPPORT,
    Role.SALES: SALES,
    Role.ADMIN: ADMIN,
    Role.SUPER_ADMIN: ADMIN | ABOVE_BRANDS,
}
ONLY_BY_GRANT = {"manage_intake", "manage_routing", "manage_pipeline", "manage_newsletter"}


def principal_with(ada: Any, brand: Any, *roles: str) -> permissions.Principal:
    found = queries.principal_in(ada, brands=[brand], roles={brand.id: roles})
    assert found
    return found


def test_the_table_has_every_role_and_every_name() -> None:
    assert set(MATRIX) == set(Role)
    assert set().union(*MATRIX.values()) | ONLY_BY_GRANT == permissions.NAMED | {"*"}


@pytest.mark.parametrize("role", list(Role))
def test_a_role_may_what_the_matrix_says_and_no_more(role: Role, ada: Any, vegliasi: Any) -> None:
    assert permissions.of_roles([role]) == MATRIX[role]
    someone = principal_with(ada, vegliasi, role)
    for permission in permissions.NAMED | {"something_new"}:
        by_everything = "*" in MATRIX[role] and permission not in ABOVE_BRANDS
        assert someone.may(permission) == (by_everything or permission in MATRIX[role]), permission


@pytest.mark.parametrize("one", list(Role))
@pytest.mark.parametrize("other", list(Role))
def test_two_roles_may_what_either_may(one: Role, other: Role) -> None:
    assert permissions.of_roles([one, other]) == MATRIX[one] | MATRIX[other]


def test_a_role_counts_in_its_brand_alone(ada: Any, vegliasi: Any, quadranorma: Any) -> None:
    with brand_scope.use(quadranorma.id):
        UserRole.objects.create(user=ada, role=Role.SUPPORT)
    here, there = (queries.principal_of(ada, wanted=brand.id) for brand in (vegliasi, quadranorma))
    assert here
    assert there
    assert (here.roles, here.may("manage_users")) == ({Role.ADMIN}, True)
    assert (there.roles, there.may("manage_users"), there.may("manage_tickets")) == (
        {Role.SUPPORT},
        False,
        True,
    )


@pytest.mark.parametrize("permission", sorted(ONLY_BY_GRANT))
def test_a_brand_grants_a_permission_to_a_role_and_to_who_inherits_it(
    permission: str, ada: Any, vegliasi: Any, quadranorma: Any
) -> None:
    vegliasi.settings = {"role_grants": {"customer": {permission: {}}}}
    for role in Role:
        inherits = role != Role.GUEST
        assert principal_with(ada, vegliasi, role).may(permission) == inherits, role
        assert principal_with(ada, quadranorma, role).may(permission) == ("*" in MATRIX[role]), role


def test_a_brand_grants_nothing_but_those_four(ada: Any, vegliasi: Any) -> None:
    vegliasi.settings = {"role_grants": {"guest": {"*": {}, "manage_users": {}, "view_contacts": {}}}}
    assert principal_with(ada, vegliasi, Role.GUEST).permissions == GUEST
