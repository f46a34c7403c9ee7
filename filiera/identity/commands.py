"""The verbs of identity: signing in, with a door that closes after too many failures."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.core import signing
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from filiera.identity import audit, passkeys, second_factor
from filiera.identity.models import LoginAttempt, User
from filiera.platform.refusals import Invalid, Refused

WINDOW = timedelta(minutes=15)
MOST_PER_EMAIL = 5
MOST_PER_ADDRESS = 20
_STEP_SALT = "filiera second step"
SECOND_STEP_WITHIN = timedelta(minutes=5)
# Tries that say nothing about a wrong password or code: they do not close the door.
_NO_FAILURES = ("too many attempts", "second factor asked", "email not verified", "account disabled")
GOOGLE = "google: "
"""What Google's word was worth begins so: no password was guessed, so only the address it came from is counted."""
PASSKEY = "passkey: "
"""So does what a passkey's answer was worth."""
_ONLY_ASKED = ("second factor asked", "email not verified")


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


class EmailNotVerified(Refused):
    code = "EMAIL_NOT_VERIFIED"
    status = 403


class SecondFactorAsked(Refused):
    """The password is right, and a code is asked for. `step` takes the place of the password, for five minutes."""

    code = "MFA_REQUIRED"
    status = 401

    def __init__(self, message: str, *, step: str) -> None:
        super().__init__(message)
        self.step = step


class WrongPassword(Invalid):
    """Who is signed in said a password that is not theirs."""

    def __init__(self, sentence: str) -> None:
        super().__init__(_("Alcuni campi non vanno bene."), details={"password": [sentence]})


class WrongCode(WrongCredentials):
    """The code of the second factor is wrong or was used."""


def sign_in(*, email: str, password: str, ip_address: str | None, now: datetime, code: str = "") -> User:
    """Return the person these credentials belong to; every try is kept.

    Raises WrongCredentials, or TooManyAttempts after 5 failures of an e-mail or 20 of an address in 15 minutes
    (IDN-27). Whether an e-mail has an account is never told: both look the same and take the same work. The door is
    closed also to the right password, so that a list of passwords cannot be tried to its end. To who knows the
    password it may say AccountDisabled, EmailNotVerified or SecondFactorAsked, which `code` answers.
    """
    email = email.strip().lower()
    failures = _open_door(email, ip_address, now)
    user = _with_password(email, password)
    if user is None:
        keep(email, ip_address, now, reason="wrong credentials")
        raise WrongCredentials(_left(failures))
    _demand_open_account(user, ip_address, now)
    if second_factor.is_on(user):
        if not code:
            keep(email, ip_address, now, reason="second factor asked")
            raise SecondFactorAsked(_("Serve il codice della tua app di verifica."), step=_step_of(user))
        _check_code(user, code, failures, ip_address, now)
    keep(email, ip_address, now, reason="")
    return user


def vouched_for(user: User, *, ip_address: str | None, now: datetime) -> str:
    """Keep that somebody else proved who a person is; return the step to their code, "" where they need none."""
    is_asked = second_factor.is_on(user)
    keep(user.email, ip_address, now, reason="second factor asked" if is_asked else "")
    return _step_of(user) if is_asked else ""


def second_step(*, step: str, code: str, ip_address: str | None, now: datetime) -> User:
    """Return the person whose password was right a moment ago and whose code is right now.

    Raises WrongCredentials when that moment is longer than five minutes ago, WrongCode, TooManyAttempts.
    """
    user = at_second_step(step)
    failures = _open_door(user.email, ip_address, now)
    _check_code(user, code, failures, ip_address, now)
    keep(user.email, ip_address, now, reason="")
    return user


def at_second_step(step: str) -> User:
    """Return whose password was right, at most five minutes ago. Raises WrongCredentials."""
    too_late = WrongCredentials(_("È passato troppo tempo: ricomincia da e-mail e password."))
    try:
        user_id = signing.loads(step, salt=_STEP_SALT, max_age=SECOND_STEP_WITHIN)
    except signing.BadSignature as error:
        raise too_late from error
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        raise too_late
    return user


def with_passkey(*, answer: str, step: str, ip_address: str | None, now: datetime) -> User:
    """Return the person whose passkey answered; every try is kept. With `step` it must be the person of that step.

    Nobody can guess a passkey, so wrong passwords that others tried do not close this way: only too many wrong answers
    from one address do. Raises passkeys.NotRecognised, passkeys.NotPossible, WrongCredentials, TooManyAttempts, and to
    who proved who they are AccountDisabled or EmailNotVerified.
    """
    expected = at_second_step(step) if step else None
    known_as = expected.email if expected else ""
    if is_shut_to(ip_address, now):
        keep(known_as, ip_address, now, reason="too many attempts")
        raise too_many()
    try:
        user = passkeys.whose(answer, user=expected, now=now)
    except passkeys.NotRecognised:
        keep(known_as, ip_address, now, reason=f"{PASSKEY}not recognised")
        raise
    _demand_open_account(user, ip_address, now)
    keep(user.email, ip_address, now, reason="")
    return user


def demand_password(user: User, password: str) -> None:
    """Raise WrongPassword unless this is the password of who is signed in already."""
    if not user.has_usable_password():
        raise WrongPassword(_("Non hai ancora una password: falla arrivare da «L’ho dimenticata»."))
    if not user.check_password(password):
        raise WrongPassword(_("La password non è questa."))


@contextmanager
def counting_codes(user: User, *, ip_address: str | None, now: datetime) -> Iterator[None]:
    """Count wrong codes and passwords of who is signed in with the failures of their e-mail. Raises TooManyAttempts."""
    _open_door(user.email, ip_address, now)
    try:
        yield
    except second_factor.WrongCode:
        keep(user.email, ip_address, now, reason="wrong code")
        raise
    except WrongPassword:
        keep(user.email, ip_address, now, reason="wrong credentials")
        raise


def _open_door(email: str, ip_address: str | None, now: datetime) -> int:
    """Return the failures of an e-mail so far. Raises TooManyAttempts."""
    failures = _failures(email, now)
    if failures >= MOST_PER_EMAIL or is_shut_to(ip_address, now):
        keep(email, ip_address, now, reason="too many attempts")
        raise too_many()
    return failures


def is_shut_to(ip_address: str | None, now: datetime) -> bool:
    """Say whether too many tries of an address failed lately."""
    return _failures_of_address(ip_address, now) >= MOST_PER_ADDRESS


def too_many() -> TooManyAttempts:
    return TooManyAttempts(
        _("Troppi tentativi. Facciamo una pausa di 15 minuti: il tuo account è al sicuro.")
    )


def _demand_open_account(user: User, ip_address: str | None, now: datetime) -> None:
    """Raise AccountDisabled or EmailNotVerified for who proved who they are and may not come in."""
    if not user.is_active:
        keep(user.email, ip_address, now, reason="account disabled")
        raise AccountDisabled(_("Questo account è chiuso. Chiedi a chi amministra il tuo marchio."))
    if EmailAddress.objects.filter(user=user, email=user.email, verified=False).exists():
        keep(user.email, ip_address, now, reason="email not verified")
        raise EmailNotVerified(
            _("Prima conferma il tuo indirizzo: ti abbiamo scritto un’e-mail con il link.")
        )


def _step_of(user: User) -> str:
    """Return what takes the place of the password for five minutes."""
    return signing.dumps(str(user.pk), salt=_STEP_SALT)


def _check_code(user: User, code: str, failures: int, ip_address: str | None, now: datetime) -> None:
    if not second_factor.verify(user, code=code, now=now):
        keep(user.email, ip_address, now, reason="wrong code")
        raise WrongCode(_left(failures))


def _left(failures: int) -> str:
    """Return how many tries are left after one more failure."""
    left = MOST_PER_EMAIL - failures - 1
    if not left:
        return _("Ora c’è una pausa di 15 minuti.")
    return ngettext(
        "Puoi riprovare un’altra volta, poi c’è una pausa di 15 minuti.",
        "Puoi riprovare altre %(left)s volte, poi c’è una pausa di 15 minuti.",
        left,
    ) % {"left": left}


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
    failed = recent.filter(success=False).exclude(failure_reason__in=_NO_FAILURES)
    failed = failed.exclude(failure_reason__startswith=GOOGLE).exclude(failure_reason__startswith=PASSKEY)
    if last_success:
        failed = failed.filter(attempted_at__gt=last_success.attempted_at)
    return failed.count()


def _failures_of_address(ip_address: str | None, now: datetime) -> int:
    if ip_address is None:
        return 0
    recent = LoginAttempt.objects.filter(ip_address=ip_address, success=False, attempted_at__gt=now - WINDOW)
    return recent.exclude(failure_reason__in=_ONLY_ASKED).count()


def keep(email: str, ip_address: str | None, now: datetime, *, reason: str) -> None:
    """Keep a try to sign in; without a reason it succeeded."""
    LoginAttempt.objects.create(
        email=email[:255],
        ip_address=ip_address,
        success=not reason,
        failure_reason=reason,
        attempted_at=now,
    )
    if reason:
        audit.not_signed_in(email=email, reason=reason)
