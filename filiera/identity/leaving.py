"""Closing one's account: out at once, thirty days to think again, then nobody's (IDN-35).

What stays is what others need: documents of the tax law, who sold what, the record of changes without the values. The
row of the person stays too, as the row of nobody.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from filiera.identity import audit, emails, people, queries, sessions
from filiera.identity.commands import demand_password
from filiera.identity.models import (
    ApiKey,
    AuthToken,
    Brand,
    ClosedAccess,
    Invitation,
    LoginAttempt,
    Notification,
    OutgoingEmail,
    PasskeyStep,
    Session,
    User,
    UserProfile,
    UserRole,
)
from filiera.identity.permissions import Principal
from filiera.platform import actor, brand_scope, events
from filiera.platform.ids import new_id
from filiera.platform.refusals import Missing, Refused

GRACE = timedelta(days=30)
NOBODY = "Persona cancellata"
Forget = Callable[[UUID, str, str], Sequence[UUID]]
"""Takes the person, what they were called and what they are called now; returns the rows whose record of changes is
masked too."""
_elsewhere: list[Forget] = []


class TooLate(Refused):
    """The days to think again are over."""

    code = "GRACE_OVER"


def also(forget: Forget) -> None:
    """Let a room forget what it copied of a person with an account; called at start, used in each brand's scope."""
    _elsewhere.append(forget)


def ends_at(user: User) -> datetime:
    """Return when the data of who asked to leave goes."""
    assert user.deleted_at
    return user.deleted_at + GRACE


@transaction.atomic
def leave(*, user: User, password: str, now: datetime) -> None:
    """Close the account of who asks, with the password, and end every session; the data goes after the days of grace.

    Raises WrongPassword, people.LastAdministrator when a brand would have nobody left (IDN-37).
    """
    demand_password(user, password)
    people.keep_administrators_without(user)
    brand = _brand_of(user)
    user.is_active, user.deleted_at = False, now
    user.save(update_fields=["is_active", "deleted_at", "updated_at"])
    sessions.end_all(user=user, now=now, reason="account closed")
    if brand:
        _write_farewell(user, brand, now)


@transaction.atomic
def reopen(*, principal: Principal, user_id: UUID, now: datetime) -> User:
    """Give a person who asked to leave their account back, with the roles they had, and tell them.

    Raises Missing for who is not of the brand or did not ask, Forbidden, TooLate.
    """
    people.demand_of_brand(principal, user_id)
    user = User.objects.select_for_update().filter(pk=user_id, deleted_at__isnull=False).first()
    if user is None:
        raise Missing(_("Questa persona non c’è."))
    if user.erased_at or ends_at(user) <= now:
        raise TooLate(_("I trenta giorni sono passati: i suoi dati non ci sono più."))
    user.is_active, user.deleted_at = True, None
    user.save(update_fields=["is_active", "deleted_at", "updated_at"])
    audit.secured(user, "ACCOUNT_REOPENED")
    with translation.override(user.language):
        words = {"name": user.name, "brand": principal.brand.name, "link": f"{settings.BASE_URL}/login"}
        text = _(
            "Ciao %(name)s,\n\nchi amministra %(brand)s ha riaperto il tuo account: i tuoi dati restano e puoi entrare"
            " di nuovo.\n\n%(link)s\n\nSe non lo volevi, chiudilo ancora dalla pagina del tuo accesso."
        )
        _send(
            "identity.account_reopened",
            user,
            principal.brand,
            _("Il tuo account è riaperto"),
            text % words,
            now,
        )
    return user


def erase_due(now: datetime) -> int:
    """Make everybody anonymous whose days are over, each in a transaction of their own; return how many."""
    due = User.objects.filter(deleted_at__lte=now - GRACE, erased_at=None).order_by("deleted_at")
    return sum(_erase(user_id, now) for user_id in list(due.values_list("id", flat=True)))


def _erase(user_id: UUID, now: datetime) -> bool:
    # The machine acts where a record of the old values would bring them back.
    with actor.acting(actor.Actor(actor.MACHINE, "account erasure")), brand_scope.use(None):
        user = User.objects.select_for_update().get(pk=user_id)
        if user.erased_at or user.deleted_at is None or ends_at(user) > now:
            return False
        email, name, profile = user.email, user.name, UserProfile.objects.filter(user=user).first()
        rows = [user.pk, *([profile.pk] if profile else [])]
        texts = [email, *(_values_of(profile) if profile else [])]
        for model in (
            UserProfile,
            EmailAddress,
            Authenticator,
            PasskeyStep,
            SocialAccount,
            AuthToken,
            Session,
        ):
            model._default_manager.filter(user=user).delete()
        LoginAttempt.objects.filter(email=email).update(email="", ip_address=None)
        user.email, user.name = f"{user.pk}@cancellato.invalid", NOBODY
        user.external_auth_id = user.last_login = None
        user.erased_at = now
        user.set_unusable_password()
        user.save()
        audit.mask(subjects=rows, people=[user.pk], texts=texts, reason="account erased")
        for brand_id in Brand.objects.order_by("id").values_list("id", flat=True):
            with brand_scope.use(brand_id):
                _erase_in_brand(user, email, name, rows, texts, now)
    return True


def _erase_in_brand(
    user: User, email: str, name: str, rows: Sequence[UUID], texts: Sequence[str], now: datetime
) -> None:
    roles = list(UserRole.objects.filter(user=user).values_list("id", flat=True))
    closed = list(ClosedAccess.objects.filter(user=user).values_list("id", flat=True))
    invited = list(Invitation.objects.filter(email=email).values_list("id", flat=True))
    UserRole.objects.filter(id__in=roles).delete()
    ClosedAccess.objects.filter(id__in=closed).delete()
    Invitation.objects.filter(id__in=invited).delete()
    Notification.objects.filter(user=user).delete()
    ApiKey.objects.filter(user=user, revoked_at=None).update(revoked_at=now)
    letters = OutgoingEmail.objects.filter(to_address__iexact=email)
    letters.filter(status=OutgoingEmail.Status.QUEUED).update(status=OutgoingEmail.Status.FAILED)
    letters.update(
        to_address="cancellato@invalid", to_name="", subject="", body_text="", body_html="", last_error=""
    )
    others = [row for forget in _elsewhere for row in forget(user.pk, name, NOBODY)]
    audit.mask(
        subjects=[*rows, *roles, *closed, *invited, *others],
        people=[user.pk],
        texts=texts,
        reason="account erased",
    )
    if roles or closed:
        audit.record("ERASE", entity_type="users", entity_id=user.pk)
        events.record(kind="account.erased", subject_id=user.pk, at=now)


def _values_of(profile: UserProfile) -> list[str]:
    """Return what is nobody else's: a name may be a customer's too, and is masked with the person's own rows."""
    return [profile.phone, profile.fiscal_code, profile.vat_number, profile.pec_email]


def _write_farewell(user: User, brand: Brand, now: datetime) -> None:
    with translation.override(user.language):
        words = {"name": user.name, "brand": brand.name, "day": date_format(ends_at(user), "j F Y")}
        text = _(
            "Ciao %(name)s,\n\nil tuo account è chiuso da adesso, su ogni dispositivo. Il %(day)s cancelliamo i tuoi"
            " dati personali; restano i documenti che la legge fiscale chiede di tenere.\n\nSe cambi idea prima di"
            " quel giorno, chiedi a chi amministra %(brand)s di riaprirlo."
        )
        _send("identity.account_closed", user, brand, _("Il tuo account è chiuso"), text % words, now)


def _send(kind: str, user: User, brand: Brand, subject: str, text: str, now: datetime) -> None:
    with brand_scope.use(brand.id):
        emails.queue([emails.Letter(kind, new_id(), user.email, user.name, subject, text)], now=now)


def _brand_of(user: User) -> Brand | None:
    principal = queries.principal_of(user)
    return (
        principal.brand if principal else Brand.objects.filter(is_active=True).order_by("created_at").first()
    )


def leaving_from_brand() -> list[User]:
    """Return who of the open brand asked to leave and can still be brought back, who goes first first."""
    wanted = UserRole.objects.filter(user__deleted_at__isnull=False, user__erased_at=None)
    shut = ClosedAccess.objects.filter(user__deleted_at__isnull=False, user__erased_at=None)
    ids = {*wanted.values_list("user_id", flat=True), *shut.values_list("user_id", flat=True)}
    return list(User.objects.filter(id__in=ids).order_by("deleted_at"))
