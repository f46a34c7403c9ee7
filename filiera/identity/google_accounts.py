"""Signing in with Google: who Google vouches for, and whether that person may come in (IDN-20, IDN-21).

Two visits of one browser. The first leaves a step, the second uses it up; between them and inside the second stand
waits for Google, which happen outside any transaction.
"""

import hashlib
import hmac
import logging
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from filiera.identity import audit, commands, google, people, sessions
from filiera.identity.google import Account, GoogleRejected, GoogleUnavailable
from filiera.identity.models import GoogleStep, User
from filiera.platform import brand_scope
from filiera.platform.refusals import Refused

log = logging.getLogger("filiera.identity.google")

PROVIDER = "google"
STEP_LIVES = timedelta(minutes=10)


class NotAnswering(Refused):
    code = "GOOGLE_UNAVAILABLE"
    status = 503


class NotBelieved(Refused):
    """What came back is not an answer to what this browser asked, or Google's word could not be proven."""

    code = "INVALID_CREDENTIALS"
    status = 401


class NotInvited(Refused):
    """Google knows the person, and nobody here does."""

    code = "NOT_INVITED"
    status = 403


@dataclass(frozen=True, slots=True)
class Asked:
    """Where the browser goes, and what it must bring back besides what the address says."""

    address: str
    ticket: str


@dataclass(frozen=True, slots=True)
class CameBack:
    """Who Google vouched for, and where they wanted to go. `code_step` is not empty where a code is still asked for."""

    user: User
    onward: str
    code_step: str


def ask(*, onward: str, now: datetime) -> Asked:
    """Begin: keep what the answer will be held against, and return where to go. Raises NotAnswering."""
    state, ticket, nonce = (secrets.token_urlsafe(32) for _one in range(3))
    verifier = secrets.token_urlsafe(48)
    try:
        address = google.address_to_ask(state=state, nonce=nonce, verifier=verifier)
    except (GoogleUnavailable, GoogleRejected) as trouble:
        raise _not_answering(trouble) from trouble
    with brand_scope.use(None):
        GoogleStep.objects.create(
            state_hash=_hash(state),
            browser_hash=_hash(ticket),
            nonce=nonce,
            verifier=verifier,
            onward=onward[:500],
            created_at=now,
        )
    return Asked(address, ticket)


def sign_in(*, state: str, ticket: str, code: str, ip_address: str | None, now: datetime) -> CameBack:
    """Return who came back from Google; every try is kept. Google's word takes the place of the password alone.

    Raises NotBelieved, NotInvited, NotAnswering, commands.TooManyAttempts, AccountDisabled, EmailNotVerified.
    """
    with brand_scope.use(None):
        is_shut = commands.is_shut_to(ip_address, now)
        step = _used_up(state, ticket, now)
    if is_shut:
        raise _refused("", ip_address, now, "too many attempts", commands.too_many())
    if step is None:
        raise _refused("", ip_address, now, f"{commands.GOOGLE}unknown state", _not_ours())
    try:
        account = google.account_of(code=code, verifier=step.verifier, nonce=step.nonce)
    except GoogleUnavailable as trouble:
        raise _not_answering(trouble) from trouble
    except GoogleRejected as trouble:
        log.warning("google was not believed: %s", trouble.reason)
        raise _refused(
            "", ip_address, now, f"{commands.GOOGLE}{trouble.reason}"[:100], _not_proven()
        ) from trouble
    with brand_scope.use(None):
        found = _person(account, now)
        if isinstance(found, User):
            code_step = commands.vouched_for(found, ip_address=ip_address, now=now)
            return CameBack(found, step.onward, code_step)
    raise _refused(account.email, ip_address, now, *found)


def went_back(*, state: str, ticket: str, now: datetime) -> None:
    """Forget a step whose person chose no account."""
    with brand_scope.use(None):
        _used_up(state, ticket, now)


def is_linked(user: User) -> bool:
    """Say whether the person has signed in with Google."""
    return bool(SocialAccount.objects.filter(user=user, provider=PROVIDER).exists())


def tidy(now: datetime) -> int:
    """Delete steps whose browser never came back; return how many."""
    return GoogleStep.objects.filter(created_at__lt=now - STEP_LIVES).delete()[0]


def _used_up(state: str, ticket: str, now: datetime) -> GoogleStep | None:
    """Return the step of a state, which from here on is gone; None when it is not this browser's, or too old."""
    step = GoogleStep.objects.select_for_update().filter(state_hash=_hash(state)).first()
    if step is None:
        return None
    step.delete()
    is_ours = hmac.compare_digest(step.browser_hash, _hash(ticket))
    return step if is_ours and step.created_at > now - STEP_LIVES else None


def _person(account: Account, now: datetime) -> User | tuple[str, Refused]:
    """Return whom the account is here, linked and perhaps new, or the reason and the refusal."""
    if not account.is_verified or not account.email:
        return f"{commands.GOOGLE}email not verified", commands.EmailNotVerified(
            _("Google non ha verificato questo indirizzo: con lui non si entra.")
        )
    link = SocialAccount.objects.filter(provider=PROVIDER, uid=account.subject).first()
    user = link.user if link else User.objects.select_for_update().filter(email=account.email).first()
    if user is None:
        user = _new_person(account, now)
        if user is None:
            sentence = _(
                "Con %(email)s non c’è un account. Chiedi un invito a chi amministra il tuo marchio."
            )
            return f"{commands.GOOGLE}not invited", NotInvited(sentence % {"email": account.email})
    if not user.is_active:
        return f"{commands.GOOGLE}account disabled", commands.AccountDisabled(
            _("Questo account è chiuso. Chiedi a chi amministra il tuo marchio.")
        )
    if link is None and not _is_of(user, account):  # the same account may have come twice at once
        if is_linked(user):
            return f"{commands.GOOGLE}another account is linked", NotBelieved(
                _("Qui entri già con un altro account Google: scegli quello.")
            )
        _link(user, account, now)
    return user


def _is_of(user: User, account: Account) -> bool:
    return bool(SocialAccount.objects.filter(user=user, provider=PROVIDER, uid=account.subject).exists())


def _new_person(account: Account, now: datetime) -> User | None:
    """Make the account of who was invited, or whose company's accounts a brand lets in; None for anybody else."""
    openings = people.openings_for(email=account.email, domain=account.domain, now=now)
    if not openings:
        return None
    user = User(
        email=account.email,
        name=account.name or account.email,
        language=translation.get_language() or "it",
    )
    user.set_unusable_password()
    user.save()
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    people.take_openings(user, openings, now=now)
    return user


def _link(user: User, account: Account, now: datetime) -> None:
    """Let this Google account be the person's from here on.

    Whoever opened the account here may not own the address: until that was proven, their password must not live on.
    """
    unproven = EmailAddress.objects.filter(user=user, email=user.email, verified=False)
    if unproven.update(verified=True):
        user.set_unusable_password()
        user.save(update_fields=["password", "updated_at"])
        sessions.end_all(user=user, now=now, reason="address proven by Google")
    with transaction.atomic():
        SocialAccount.objects.create(user=user, provider=PROVIDER, uid=account.subject, extra_data={})
    audit.secured(user, "GOOGLE_LINKED")


def _refused(email: str, ip_address: str | None, now: datetime, reason: str, refusal: Refused) -> Refused:
    """Keep the try, in a transaction of its own that the refusal does not undo, and return the refusal."""
    with brand_scope.use(None):
        commands.keep(email, ip_address, now, reason=reason)
    return refusal


def _not_answering(trouble: Exception) -> NotAnswering:
    log.warning("google does not answer: %s", trouble)
    return NotAnswering(_("Google non risponde. Riprova tra poco, o entra con la password."))


def _not_ours() -> NotBelieved:
    return NotBelieved(
        _("Questo accesso con Google non è partito da qui, è già stato usato o è troppo vecchio: ricomincia.")
    )


def _not_proven() -> NotBelieved:
    return NotBelieved(_("Google non ha confermato chi sei. Ricomincia, o entra con la password."))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
