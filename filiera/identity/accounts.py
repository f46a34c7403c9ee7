"""What people do with their own account: their profile, and leaving."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from filiera.identity import people, queries, sessions
from filiera.identity.models import User, UserProfile
from filiera.identity.permissions import Principal
from filiera.platform.refusals import Invalid

LANGUAGES = {"it": "it_IT", "en": "en_US"}
PROFILE = (
    *(
        "first_name",
        "last_name",
        "phone",
        "company_name",
        "vat_number",
        "fiscal_code",
        "pec_email",
        "sdi_code",
    ),
    *("billing_address", "shipping_address", "timezone"),
)
ADDRESS = ("street", "city", "zip", "province", "country")


def told_of(user: User, principal: Principal | None) -> dict[str, Any]:
    """Return what GET /users/me says of a person (identity.md 3)."""
    profile = profile_of(user)
    roles = queries.roles_of(user.id) if principal else {}
    fields: dict[str, Any] = {name: getattr(profile, name) for name in PROFILE}
    fields["billing_address"] = {part: profile.billing_address.get(part, "") for part in ADDRESS}
    fields["language"] = LANGUAGES[user.language]
    return {
        "id": str(user.id),
        "email": user.email,
        "name": user.name,
        "profile": fields,
        "brands": [
            {
                "id": str(brand.id),
                "slug": brand.slug,
                "name": brand.name,
                "roles": sorted(roles.get(brand.id, [])),
            }
            for brand in (principal.brands if principal else ())
        ],
        "permissions": sorted(principal.permissions) if principal else [],
    }


def profile_of(user: User) -> UserProfile:
    """Return the person's profile; who never filled one in has an empty one, not stored."""
    return UserProfile.objects.filter(user=user).first() or UserProfile(user=user)


@transaction.atomic
def change_profile(*, user: User, name: str | None = None, changes: dict[str, Any]) -> None:
    """Write the fields given; `language` is the user's own. Raises Invalid."""
    profile = UserProfile.objects.select_for_update().filter(user=user).first() or UserProfile(user=user)
    changes = dict(changes)
    if (language := changes.pop("language", None)) is not None:
        user.language = next(ours for ours, theirs in LANGUAGES.items() if theirs == language)
    if name is not None:
        if not name.strip():
            raise Invalid(_("Alcuni campi non vanno bene."), details={"name": [_("Non può essere vuoto.")]})
        user.name = name.strip()
    user.save(update_fields=["name", "language", "updated_at"])
    for field, value in changes.items():
        setattr(profile, field, value)
    if changes:
        profile.save()


@transaction.atomic
def leave(*, user: User, password: str, now: datetime) -> None:
    """Close the account of who asks, with the password; the data goes after the days of grace (IDN-35).

    Raises Invalid for a wrong password, people.LastAdministrator when a brand would have nobody left (IDN-37).
    """
    if not user.check_password(password):
        raise Invalid(
            _("Alcuni campi non vanno bene."), details={"password": [_("La password non è questa.")]}
        )
    people.keep_administrators_without(user)
    user.is_active, user.deleted_at = False, now
    user.save(update_fields=["is_active", "deleted_at", "updated_at"])
    sessions.end_all(user=user, now=now, reason="account closed")
