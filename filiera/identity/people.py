"""Who works in a brand: invited, given roles, closed out and let in again (IDN-36, IDN-37).

Every verb locks the brand's row first, so that two administrators who act at once cannot take each other away and
leave a brand with nobody. What is done here reaches the brand of the principal and no other.
"""

import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models, transaction
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from filiera.identity import emails, permissions, queries, sessions, tokens
from filiera.identity.models import Brand, ClosedAccess, Invitation, Role, User, UserRole
from filiera.identity.permissions import Principal
from filiera.platform import brand_scope
from filiera.platform.refusals import Forbidden, Invalid, Missing, Refused

INVITED_FOR = timedelta(days=7)
ADMINISTRATORS = (Role.ADMIN, Role.SUPER_ADMIN)
CLOSED = "access closed"
DOMAINS = "google_domains"
BY_DOMAIN = (Role.SALES, Role.SUPPORT, Role.EDITOR, Role.CUSTOMER, Role.GUEST)
"""What a brand may give to a whole company; the others are given to one person at a time."""
MOST_DOMAINS = 50
EVERYBODYS = frozenset({"gmail.com", "googlemail.com"})
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


class LastAdministrator(Refused):
    code = "LAST_ADMIN"


class AlreadyHere(Refused):
    code = "EMAIL_TAKEN"


class InvitationOver(Refused):
    """The link was used, taken back, replaced by another, or is older than a week; or never was one."""

    code = "INVALID_TOKEN"
    status = 400


@transaction.atomic
def invite(*, principal: Principal, email: str, roles: Collection[str], now: datetime) -> Invitation:
    """Send somebody the link that lets them work in the brand; an earlier one of theirs is good no more.

    Raises Invalid, Forbidden for a role that is not the principal's to give, AlreadyHere.
    """
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError as error:
        raise _invalid("email", _("Non sembra un indirizzo e-mail.")) from error
    roles = _to_give(principal, roles)
    _lock(principal.brand_id)
    here = UserRole.objects.filter(user__email=email).exists()
    if here or ClosedAccess.objects.filter(user__email=email).exists():
        raise AlreadyHere(_("Questa persona lavora già in %(brand)s.") % {"brand": principal.brand.name})
    secret = f"{principal.brand_id.hex}{secrets.token_urlsafe(32)}"
    Invitation.objects.filter(email=email, accepted_at=None).delete()
    invitation = Invitation.objects.create(
        email=email,
        roles=roles,
        token_hash=tokens.digest(secret),
        invited_by=principal.user,
        created_at=now,
        expires_at=now + INVITED_FOR,
    )
    emails.queue([_letter(invitation, principal, secret)], now=now)
    return invitation


@transaction.atomic
def withdraw(*, invitation_id: UUID) -> None:
    """Take an invitation back. Raises Missing."""
    deleted, _by_model = Invitation.objects.filter(pk=invitation_id, accepted_at=None).delete()
    if not deleted:
        raise Missing(_("Questo invito non c’è più."))


def invitation_of(secret: str, *, now: datetime) -> tuple[Brand, Invitation, User | None]:
    """Return the brand, the invitation and the account its e-mail has already, if any. Raises InvitationOver."""
    over = InvitationOver(_("Questo invito non vale più. Chiedine un altro a chi te l’ha mandato."))
    try:
        brand = Brand.objects.filter(pk=UUID(hex=secret[:32]), is_active=True).first()
    except ValueError as error:
        raise over from error
    if brand is None:
        raise over
    with brand_scope.use(brand.id):
        waiting = Invitation.objects.select_related("invited_by").filter(accepted_at=None, expires_at__gt=now)
        invitation = waiting.filter(token_hash=tokens.digest(secret)).first()
    if invitation is None:
        raise over
    return brand, invitation, User.objects.filter(email=invitation.email).first()


@transaction.atomic
def accept(*, secret: str, name: str, password: str, now: datetime) -> User:
    """Let the invited person in; who has no account yet says a name and a password (IDN-38).

    Raises InvitationOver, or Invalid for a name or password that cannot be taken.
    """
    brand, invitation, user = invitation_of(secret, now=now)
    if user is None:
        user = _new_account(invitation, name, password)
    elif not user.is_active:
        raise InvitationOver(_("Questo account è chiuso. Chiedi a chi amministra il tuo marchio."))
    with brand_scope.use(brand.id):
        _lock(brand.id)
        if not Invitation.objects.filter(pk=invitation.pk, accepted_at=None).update(accepted_at=now):
            raise InvitationOver(_("Questo invito non vale più. Chiedine un altro a chi te l’ha mandato."))
        _give(user, invitation.roles, by=invitation.invited_by)
    return user


@transaction.atomic
def set_roles(*, principal: Principal, user_id: UUID, roles: Collection[str]) -> User:
    """Let a person have these roles in the brand and no others; they count from the next request.

    Raises Missing, Invalid without a role, Forbidden for one that is not the principal's to give or take,
    LastAdministrator.
    """
    _lock(principal.brand_id)
    user, had, closed = _person(user_id)
    wanted = set(_to_give(principal, roles, held=had))
    if Role.SUPER_ADMIN in had - wanted:
        _demand_super_admin(principal)
    if closed is not None:
        closed.roles = sorted(wanted)
        closed.save(update_fields=["roles"])
        return user
    UserRole.objects.filter(user=user, role__in=had - wanted).delete()
    _give(user, wanted - had, by=principal.user)
    _keep_an_administrator(principal.brand)
    return user


@transaction.atomic
def close_access(*, principal: Principal, user_id: UUID, now: datetime) -> User:
    """Close a person out of the brand at once, also on the devices they are signed in with; elsewhere nothing changes.

    Raises Missing, Forbidden, LastAdministrator.
    """
    _lock(principal.brand_id)
    user, had, closed = _person(user_id)
    if closed is not None:
        return user
    if Role.SUPER_ADMIN in had:
        _demand_super_admin(principal)
    ClosedAccess.objects.create(user=user, roles=sorted(had), closed_by=principal.user, closed_at=now)
    UserRole.objects.filter(user=user).delete()
    _keep_an_administrator(principal.brand)
    sessions.end_all(user=user, now=now, reason=CLOSED, in_brand=principal.brand_id)
    return user


@transaction.atomic
def open_access(*, principal: Principal, user_id: UUID) -> User:
    """Let a person in again with the roles they had. Raises Missing, Forbidden."""
    _lock(principal.brand_id)
    user, _had, closed = _person(user_id)
    if closed is not None:
        if Role.SUPER_ADMIN in closed.roles:
            _demand_super_admin(principal)
        _give(user, closed.roles, by=principal.user)
        closed.delete()
    return user


@transaction.atomic
def end_sessions(*, principal: Principal, user_id: UUID, now: datetime) -> int:
    """Sign a person out of the brand on every device; return how many there were. Raises Missing."""
    user, _had, _closed = _person(user_id)
    return sessions.end_all(
        user=user, now=now, reason="ended by an administrator", in_brand=principal.brand_id
    )


@transaction.atomic
def grant(*, principal: Principal, role: str, permission: str, is_on: bool, now: datetime) -> None:
    """Let the brand grant one of the four permissions to a role, or no longer. Raises Invalid."""
    if role not in Role.values or permission not in permissions.GRANTABLE:
        raise _invalid("permission", _("Questo permesso non si concede."))
    brand = _lock(principal.brand_id)
    granted = brand.settings.setdefault("role_grants", {}).setdefault(role, {})
    if is_on and permission not in granted:
        granted[permission] = {"by": str(principal.user.id), "at": now.isoformat()}
    elif not is_on:
        granted.pop(permission, None)
    brand.save(update_fields=["settings"])


@transaction.atomic
def let_in_domains(
    *, principal: Principal, domains: Collection[str], role: str, now: datetime
) -> dict[str, Any]:
    """Let everybody with a Google account of these companies open one here, with this role in the brand; no others.

    Raises Invalid for what is no domain, one of everybody's mailboxes, or a role that only a person gives.
    """
    wanted = sorted({domain.strip().lower().removeprefix("@") for domain in domains if domain.strip()})
    wrong = [domain for domain in wanted if not _DOMAIN.fullmatch(domain) or domain in EVERYBODYS]
    if wrong or len(wanted) > MOST_DOMAINS:
        raise _invalid("domains", _("Scrivi domini della tua azienda, come azienda.it: uno per riga."))
    if role not in BY_DOMAIN:
        raise _invalid("role", _("Questo ruolo si dà solo con un invito."))
    brand = _lock(principal.brand_id)
    kept = brand.settings.get(DOMAINS, {})
    said = {"role": role, "by": str(principal.user.id), "at": now.isoformat()}
    brand.settings[DOMAINS] = {
        domain: kept[domain] if kept.get(domain, {}).get("role") == role else said for domain in wanted
    }
    brand.save(update_fields=["settings"])
    principal.brand.settings = brand.settings
    return dict(brand.settings[DOMAINS])


@dataclass(frozen=True, slots=True)
class Opening:
    """A brand that waits for a person: invited, or let in with their company."""

    brand: Brand
    roles: list[str]
    invitation: Invitation | None


def openings_for(*, email: str, domain: str, now: datetime) -> list[Opening]:
    """Return the brands that let a new person in: by an invitation of the e-mail, else by their company's domain.

    `domain` is what Google says the account belongs to, not the end of the address: who left a company keeps that.
    """
    found = []
    for brand in Brand.objects.filter(is_active=True).order_by("created_at", "id"):
        with brand_scope.use(brand.id):
            waiting = Invitation.objects.select_related("invited_by").filter(accepted_at=None)
            invitation = waiting.filter(email=email, expires_at__gt=now).first()
        by_domain = brand.settings.get(DOMAINS, {}).get(domain) if domain else None
        if invitation is not None:
            found.append(Opening(brand, invitation.roles, invitation))
        elif by_domain and by_domain.get("role") in BY_DOMAIN:
            found.append(Opening(brand, [by_domain["role"]], None))
    return found


def take_openings(user: User, openings: Collection[Opening], *, now: datetime) -> None:
    """Give a new person the roles that wait for them; an invitation is used up by it."""
    for one in openings:
        with brand_scope.use(one.brand.id):
            _lock(one.brand.id)
            if one.invitation is not None:
                Invitation.objects.filter(pk=one.invitation.pk).update(accepted_at=now)
            _give(user, one.roles, by=one.invitation.invited_by if one.invitation else None)


def demand_of_brand(principal: Principal, user_id: UUID) -> None:
    """Raise Missing for who is not of the brand, Forbidden where only another one may change them."""
    _lock(principal.brand_id)
    _user_there, had, _closed = _person(user_id)
    if Role.SUPER_ADMIN in had:
        _demand_super_admin(principal)


def keep_administrators_without(user: User) -> None:
    """Lock the brands a person administers. Raises LastAdministrator when one would have nobody left without them."""
    for brand_id in sorted(queries.roles_of(user.id)):
        with brand_scope.use(brand_id):
            if not UserRole.objects.filter(user=user, role__in=ADMINISTRATORS).exists():
                continue
            _lock(brand_id)
            if not _administrators().exclude(user=user).exists():
                raise LastAdministrator(
                    _("Sei l’unico amministratore di un marchio: prima danne il compito a qualcun altro.")
                )


# Inside


def _lock(brand_id: UUID) -> Brand:
    """Lock the brand's row against other changes of its people; references to it go on."""
    return Brand.objects.select_for_update(no_key=True).get(pk=brand_id)


def _person(user_id: UUID) -> tuple[User, set[str], ClosedAccess | None]:
    """Return a person of the brand, their roles, and how they were closed out, if they were. Raises Missing."""
    had = set(UserRole.objects.filter(user_id=user_id).values_list("role", flat=True))
    closed = ClosedAccess.objects.select_related("user").filter(user_id=user_id).first()
    if closed is not None:
        return closed.user, set(closed.roles), closed
    if not had:
        raise Missing(_("Questa persona non c’è."))
    return User.objects.get(pk=user_id), had, None


def _to_give(principal: Principal, roles: Collection[str], *, held: Collection[str] = ()) -> list[str]:
    wanted = sorted(set(roles))
    if not wanted:
        raise _invalid("roles", _("Scegli almeno un ruolo."))
    if set(wanted) - set(Role.values):
        raise _invalid("roles", _("Questo ruolo non c’è."))
    if Role.SUPER_ADMIN in wanted and Role.SUPER_ADMIN not in held:
        _demand_super_admin(principal)
    return wanted


def _demand_super_admin(principal: Principal) -> None:
    if Role.SUPER_ADMIN not in principal.roles:
        raise Forbidden(_("Questo ruolo lo dà e lo toglie solo chi amministra tutto."))


def _give(user: User, roles: Collection[str], *, by: User | None) -> None:
    for role in sorted(roles):
        UserRole.objects.get_or_create(user=user, role=role, defaults={"granted_by": by})


def _administrators() -> models.QuerySet[UserRole]:
    """Return the roles of who can administer the brand: an account that is open and has a way in."""
    return UserRole.objects.filter(role__in=ADMINISTRATORS, user__is_active=True)


def _keep_an_administrator(brand: Brand) -> None:
    if not _administrators().exists():
        raise LastAdministrator(
            _("%(brand)s resterebbe senza amministratore: prima danne il compito a qualcun altro.")
            % {"brand": brand.name}
        )


def _new_account(invitation: Invitation, name: str, password: str) -> User:
    name = name.replace("\x00", "").strip()
    user = User(email=invitation.email, name=name, language=translation.get_language() or "it")
    wrong: dict[str, list[str]] = {}
    if not name or len(name) > 255:
        wrong["name"] = [_("Come ti chiami?")]
    try:
        validate_password(password, user)
    except ValidationError as error:
        wrong["password"] = list(error.messages)
    if wrong:
        raise Invalid(_("Alcuni campi non vanno bene."), details=wrong)
    user.set_password(password)
    user.save()
    return user


def _letter(invitation: Invitation, principal: Principal, secret: str) -> emails.Letter:
    words = {
        "brand": principal.brand.name,
        "name": principal.user.name,
        "link": settings.BASE_URL + reverse("invitation", args=[secret]),
    }
    return emails.Letter(
        kind=emails.INVITATION,
        subject_id=invitation.pk,
        to_address=invitation.email,
        to_name="",
        subject=_("%(name)s ti invita in %(brand)s su Filiera") % words,
        body_text=_(
            "Ciao,\n\n%(name)s ti invita a lavorare in %(brand)s. Apri questo indirizzo entro sette giorni:\n\n"
            "%(link)s\n\nSe non te l’aspettavi, non fare niente: non succede nulla."
        )
        % words,
    )


def _invalid(field: str, sentence: str) -> Invalid:
    return Invalid(_("Alcuni campi non vanno bene."), details={field: [sentence]})
