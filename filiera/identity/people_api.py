"""The people of a brand and the brands one works in, over HTTP (identity.md 3)."""

from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema, Status

from filiera.identity import colleagues, people, sessions
from filiera.identity.api import Text
from filiera.identity.colleagues import Colleague
from filiera.identity.models import Brand, Invitation, Role
from filiera.identity.permissions import Principal, demand_in_person
from filiera.platform.api import MOST_PER_PAGE, PER_PAGE, ok, paginated
from filiera.platform.refusals import Missing

MANAGE = "manage_users"
router = Router(tags=["identity"])


class Paging(Schema):
    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    per_page: Annotated[int, Field(ge=1, le=MOST_PER_PAGE)] = PER_PAGE


Roles = Annotated[list[Annotated[Text, Field(max_length=20)]], Field(max_length=len(Role))]


class NewUser(Schema):
    email: Annotated[Text, Field(max_length=255)]
    roles: Roles


class UserChanges(Schema):
    is_active: bool | None = None


class GivenRoles(Schema):
    roles: Roles


class ChosenBrand(Schema):
    brand_id: UUID


@router.get("/admin/users")
def list_users(request: HttpRequest, wanted: Query[Paging]) -> Any:
    """Return who works in the brand, then who was closed out, then who was invited."""
    demand_in_person(request, MANAGE)
    rows = [*map(_user, colleagues.of_brand()), *map(_invited, colleagues.invitations())]
    start = (wanted.page - 1) * wanted.per_page
    shown = rows[start : start + wanted.per_page]
    return paginated(request, shown, total=len(rows), page=wanted.page, per_page=wanted.per_page)


@router.post("/admin/users", response={201: dict[str, Any]})
def invite_user(request: HttpRequest, given: NewUser) -> Any:
    """Invite somebody by e-mail; they say their name and password themselves."""
    principal = demand_in_person(request, MANAGE)
    invitation = people.invite(principal=principal, email=given.email, roles=given.roles, now=timezone.now())
    return Status(201, ok(request, _invited(invitation)))


@router.patch("/admin/users/{uuid:user_id}")
def change_user(request: HttpRequest, user_id: UUID, given: UserChanges) -> Any:
    """Close a person out of the brand, or let them in again."""
    principal = demand_in_person(request, MANAGE)
    if given.is_active:
        people.open_access(principal=principal, user_id=user_id)
    elif given.is_active is False:
        people.close_access(principal=principal, user_id=user_id, now=timezone.now())
    return ok(request, _user(colleagues.one_of_brand(user_id)))


@router.post("/admin/users/{uuid:user_id}/roles")
def set_roles(request: HttpRequest, user_id: UUID, given: GivenRoles) -> Any:
    """Give a person these roles in the brand and no others."""
    principal = demand_in_person(request, MANAGE)
    people.set_roles(principal=principal, user_id=user_id, roles=given.roles)
    return ok(request, _user(colleagues.one_of_brand(user_id)))


@router.get("/brands")
def list_brands(request: HttpRequest) -> Any:
    """Return the brands one works in; the first page of each is the same as the person's."""
    principal = _principal(request)
    return ok(request, [told_brand(brand, principal) for brand in principal.brands])


@router.post("/brands/select")
def select_brand(request: HttpRequest, given: ChosenBrand) -> Any:
    """Work in another of one's brands, with this session, from the next request."""
    principal = _principal(request)
    brand = next((one for one in principal.brands if one.id == given.brand_id), None)
    if brand is None:
        raise Missing(_("Questo marchio non c’è, o non ci lavori."))
    session = getattr(request, "auth_session", None)
    if session is not None:
        sessions.work_in(session, brand)
    return ok(request, told_brand(brand, principal, in_use=brand.id))


def _principal(request: HttpRequest) -> Principal:
    principal: Principal = request.principal  # type: ignore[attr-defined]
    return principal


Condition = Literal["active", "closed", "invited"]


def _user(one: Colleague) -> dict[str, Any]:
    return _told(
        user_id=one.user.id,
        email=one.user.email,
        name=one.user.name,
        roles=one.roles,
        status="closed" if one.closed else "active",
        last_login=one.user.last_login,
        created_at=one.user.created_at,
    )


def _invited(one: Invitation) -> dict[str, Any]:
    return _told(
        user_id=one.id, email=one.email, name="", roles=one.roles, status="invited", created_at=one.created_at
    )


def _told(
    *,
    user_id: UUID,
    email: str,
    name: str,
    roles: Any,
    status: Condition,
    created_at: Any,
    last_login: Any = None,
) -> dict[str, Any]:
    return {
        "id": str(user_id),
        "email": email,
        "name": name,
        "roles": list(roles),
        "is_active": status == "active",
        "status": status,
        "last_login": last_login,
        "created_at": created_at,
    }


def told_brand(brand: Brand, principal: Principal, *, in_use: UUID | None = None) -> dict[str, Any]:
    return {
        "id": str(brand.id),
        "slug": brand.slug,
        "name": brand.name,
        "tagline": brand.tagline,
        "accent": brand.accent,
        "timezone": brand.timezone,
        "working_hours": brand.settings.get("working_hours"),
        "holidays": brand.settings.get("holidays") or {"patron_day": "", "closed": []},
        "is_current": brand.id == (in_use or principal.brand_id),
    }
