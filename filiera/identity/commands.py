"""The verbs of identity: signing in, with a door that closes after too many failures."""

from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from filiera.identity import audit
from filiera.identity.models import LoginAttempt, User
from filiera.platform.refusals import Refused

WINDOW = timedelta(minutes=15)
MOST_PER_EMAIL = 5
MOST_PER_ADDRESS = 20


class TooManyAttempts(Refused):
    code = "TOO_MANY_ATTEMPTS"
    status = 429


class WrongCredentials(Refused):
    code = "INVALID_CREDENTIALS"
    status = 401


class AccountDisabled(Refused):
    """The credentials are right and the account is closed: said only to who knows them."""

    code = "ACCOUNT_DISABLED"
    status = 403


def sign_in(*, email: str, password: str, ip_address: str | None, now: datetime) -> User:
    """Return the person these credentials belong to; every try is kept.

    Raises WrongCredentials, or TooManyAttempts after 5 failures of an e-mail or 20 of an address in 15 minutes
    (IDN-27), or AccountDisabled. Whether an e-mail has an account is never told: both look the same and take the same
    work. The door is closed also to the right password, so that a list of passwords cannot be tried to its end.
    """
    email = email.strip().lower()
    failures = _failures(email, now)
    if failures >= MOST_PER_EMAIL or _failures_of_address(ip_address, now) >= MOST_PER_ADDRESS:
        _keep(email, ip_address, now, reason="too many attempts")
        raise TooManyAttempts(
            _("Troppi tentativi. Facciamo una pausa di 15 minuti: il tuo account è al sicuro.")
        )
    user = _with_password(email, password)
    if user is None:
        _keep(email, ip_address, now, reason="wrong credentials")
        left = MOST_PER_EMAIL - failures - 1
        if not left:
            raise WrongCredentials(_("Ora c’è una pausa di 15 minuti."))
        raise WrongCredentials(
            ngettext(
                "Puoi riprovare un’altra volta, poi c’è una pausa di 15 minuti.",
                "Puoi riprovare altre %(left)s volte, poi c’è una pausa di 15 minuti.",
                left,
            )
            % {"left": left}
        )
    if not user.is_active:
        _keep(email, ip_address, now, reason="account disabled")
        raise AccountDisabled(_("Questo account è chiuso. Chiedi a chi amministra il tuo marchio."))
    _keep(email, ip_address, now, reason="")
    return user


def _with_password(email: str, password: str) -> User | None:
    """Return the person of an e-mail whose password this is; where there is none, a password is hashed all the same."""
    user = User.objects.filter(email=email).first()
    if user is None or not user.has_usable_password():
        make_password(password)
        return None
    return user if user.check_password(password) else None


def _failures(email: str, now: datetime) -> int:
    """Return the failures of an e-mail in the window, since its last success."""
    recent = LoginAttempt.objects.filter(email=email, attempted_at__gt=now - WINDOW)
    last_success = recent.filter(success=True).order_by("-attempted_at").first()
    failed = recent.filter(success=False).exclude(failure_reason="too many attempts")
    if last_success:
        failed = failed.filter(attempted_at__gt=last_success.attempted_at)
    return failed.count()


def _failures_of_address(ip_address: str | None, now: datetime) -> int:
    if ip_address is None:
        return 0
    return LoginAttempt.objects.filter(
        ip_address=ip_address, success=False, attempted_at__gt=now - WINDOW
    ).count()


def _keep(email: str, ip_address: str | None, now: datetime, *, reason: str) -> None:
    LoginAttempt.objects.create(
        email=email[:255],
        ip_address=ip_address,
        success=not reason,
        failure_reason=reason,
        attempted_at=now,
    )
    if reason:
        audit.not_signed_in(email=email, reason=reason)
