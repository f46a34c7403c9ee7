"""What people do with their own account: opening it, proving its address, a new password, their profile."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from filiera.identity import audit, emails, queries, second_factor, sessions
from filiera.identity.models import AuthToken, Brand, User, UserProfile
from filiera.identity.permissions import Principal
from filiera.platform import brand_scope
from filiera.platform.refusals import Invalid, Refused

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
VERIFY_WITHIN, RESET_WITHIN = timedelta(hours=24), timedelta(hours=1)
MOST_LETTERS_AN_HOUR = 5


class EmailTaken(Refused):
    code = "EMAIL_TAKEN"


class UselessToken(Refused):
    """A token that we did not send, or that was used, or is too old."""

    code = "INVALID_TOKEN"
    status = 400


@transaction.atomic
def register(
    *, email: str, password: str, first_name: str, last_name: str, language: str, now: datetime
) -> User:
    """Open an account without any role, and write to its address: until that is proven nobody signs in.

    Raises Invalid for an address or a password that cannot be taken, EmailTaken.
    """
    email = email.strip().lower()
    faults: dict[str, list[str]] = {}
    try:
        validate_email(email)
    except ValidationError:
        faults["email"] = [_("Non sembra un indirizzo e-mail.")]
    user = User(email=email, name=f"{first_name} {last_name}".strip() or email, language=language)
    if problems := _faults_of(password, user):
        faults["password"] = problems
    if faults:
        raise Invalid(_("Alcuni campi non vanno bene."), details=faults)
    if User.objects.filter(email=email).exists():
        raise EmailTaken(_("Con questa e-mail c’è già un account."))
    user.set_password(password)
    user.save()
    UserProfile.objects.create(user=user, first_name=first_name, last_name=last_name)
    EmailAddress.objects.create(user=user, email=email, verified=False, primary=True)
    _write(user, AuthToken.Purpose.VERIFY, now)
    return user


def is_verified(user: User) -> bool:
    """Say whether the address is proven. Accounts that an administrator opened are: nobody registered them."""
    return not EmailAddress.objects.filter(user=user, email=user.email, verified=False).exists()


@transaction.atomic
def verify_email(*, token: str, now: datetime) -> User:
    """Note that the address is proven by the token sent to it. Raises UselessToken."""
    user = _use(token, AuthToken.Purpose.VERIFY, now)
    EmailAddress.objects.filter(user=user, email=user.email).update(verified=True)
    audit.secured(user, "EMAIL_VERIFIED")
    return user


def ask_for_reset(*, email: str) -> None:
    """Have a letter written, if the address has an account: a job looks, so that asking costs the same for all."""
    from filiera.identity.tasks import write_reset_letter

    write_reset_letter.defer(email=email.strip().lower()[:255])


@transaction.atomic
def write_reset_letter(*, email: str, now: datetime) -> None:
    """Write the letter with which a password is replaced; to an unknown address nothing is written."""
    user = User.objects.select_for_update().filter(email=email, is_active=True).first()
    if user is None:
        return
    lately = AuthToken.objects.filter(user=user, created_at__gt=now - timedelta(hours=1))
    if lately.filter(purpose=AuthToken.Purpose.RESET).count() < MOST_LETTERS_AN_HOUR:
        _write(user, AuthToken.Purpose.RESET, now)


@transaction.atomic
def reset_password(*, token: str, password: str, now: datetime) -> User:
    """Replace the password and end every session; the letter proves the address too. Raises UselessToken, Invalid."""
    user = _owner_of(token, AuthToken.Purpose.RESET, now)
    if problems := _faults_of(password, user):
        raise Invalid(_("Alcuni campi non vanno bene."), details={"password": problems})
    _use(token, AuthToken.Purpose.RESET, now)
    user.set_password(password)
    user.save(update_fields=["password", "updated_at"])
    AuthToken.objects.filter(user=user, purpose=AuthToken.Purpose.RESET, used_at=None).update(used_at=now)
    EmailAddress.objects.filter(user=user, email=user.email).update(verified=True)
    audit.secured(user, "PASSWORD_RESET")
    sessions.end_all(user=user, now=now, reason="password replaced")
    return user


@transaction.atomic
def may_reset(*, token: str, now: datetime) -> bool:
    """Say whether a letter's token still replaces a password."""
    try:
        _owner_of(token, AuthToken.Purpose.RESET, now)
    except UselessToken:
        return False
    return True


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
        "email_verified": is_verified(user),
        "mfa_enabled": second_factor.is_on(user),
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


def _faults_of(password: str, user: User) -> list[str]:
    """Return what is wrong with a password, each a sentence."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        return list(error.messages)
    return []


def _write(user: User, purpose: str, now: datetime) -> None:
    """Send a token to the person, in their language. The letter goes out through the first brand they work in."""
    token = secrets.token_urlsafe(32)
    lives = VERIFY_WITHIN if purpose == AuthToken.Purpose.VERIFY else RESET_WITHIN
    kept = AuthToken.objects.create(
        user=user, purpose=purpose, token_hash=_hash(token), expires_at=now + lives, created_at=now
    )
    principal = queries.principal_of(user)
    brand = (
        principal.brand if principal else Brand.objects.filter(is_active=True).order_by("created_at").first()
    )
    if brand is None:
        return  # an installation without a company writes to nobody
    with translation.override(user.language), brand_scope.use(brand.id):
        subject, text = _letter(user, purpose, token)
        emails.queue(
            [emails.Letter(f"{emails.SECRET}{purpose}", kept.id, user.email, user.name, subject, text)],
            now=now,
        )


def _letter(user: User, purpose: str, token: str) -> tuple[str, str]:
    words = {"name": user.name, "link": f"{settings.BASE_URL}/account/{purpose}?token={token}"}
    if purpose == AuthToken.Purpose.VERIFY:
        return _("Conferma il tuo indirizzo"), _(
            "Ciao %(name)s,\n\napri questo link entro 24 ore per confermare il tuo indirizzo:\n\n%(link)s\n\n"
            "Se non hai aperto tu un account su Filiera, non fare niente."
        ) % words
    return _("Scegli una nuova password"), _(
        "Ciao %(name)s,\n\napri questo link entro un’ora per scegliere una nuova password:\n\n%(link)s\n\n"
        "Se non l’hai chiesto tu, non fare niente: la tua password resta quella di prima."
    ) % words


def _owner_of(token: str, purpose: str, now: datetime) -> User:
    found = (
        AuthToken.objects.select_for_update(of=("self",))
        .select_related("user")
        .filter(
            token_hash=_hash(token), purpose=purpose, used_at=None, expires_at__gt=now, user__is_active=True
        )
        .first()
    )
    if found is None:
        raise UselessToken(_("Questo link non vale più. Chiedine uno nuovo."))
    return found.user


def _use(token: str, purpose: str, now: datetime) -> User:
    user = _owner_of(token, purpose, now)
    AuthToken.objects.filter(token_hash=_hash(token)).update(used_at=now)
    return user


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
