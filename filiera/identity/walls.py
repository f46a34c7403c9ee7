"""How often one may knock: per address, per e-mail and per account, one budget for all processes.

Checked before a request's transaction begins, so a refused one costs no password hash and holds no row. What waits for
a person (five failures of an e-mail close its door, IDN-27) is in `commands`; these are the limits of programs.
"""

import hashlib
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from filiera.identity import google
from filiera.identity.permissions import Principal
from filiera.platform import api, limiter

NAMES_BEGIN: Final = "wall:"
PER_EMAIL: Final = 10  # tries to sign in, in a minute
WRONG_CREDENTIALS: Final = 20  # tokens and keys that open nothing, from one address
WRONG_FOR_S: Final = 15 * 60
PORTION: Final = 20
"""An account's requests are taken from the shared budget in portions: one small commit for twenty requests."""
_DOORS: Final = (
    *("/login", "/api/auth/", "/api/v1/auth/", "/account/register", "/account/verify", "/account/forgotten"),
    "/account/passkeys",
    *("/account/close", "/account/reset", "/account/second-factor", "/account/recovery-codes", "/invito/"),
)
_NO_GUESSING: Final = ("/logout", "/language")
_MOST_REMEMBERED: Final = 10_000


@dataclass(slots=True)
class _Purse:
    left: int
    ends_at: datetime


_lock = threading.Lock()
_purses: dict[str, _Purse] = {}
_shut_until: dict[str, datetime] = {}


def refuse(
    request: HttpRequest, *, principal: Principal | None, shows_credentials: bool, now: datetime
) -> HttpResponse | None:
    """Return the answer 429 to who asks too often, None to everybody else. Raises RuntimeError inside a transaction."""
    address = request.META.get("REMOTE_ADDR") or "unknown"
    wait_s = 0.0
    if is_door(request):
        wait_s = _at_the_door(request, address, now)
    elif request.path.startswith("/api/") and principal is not None:
        account = f"key:{principal.api_key_id}" if principal.api_key_id else f"user:{principal.user.id}"
        wait_s = _spend(account, settings.API_LIMIT_PER_MIN, now)
    elif request.path.startswith("/api/") and shows_credentials:
        wait_s = _guess(address, now)
    return _too_many(request, wait_s) if wait_s else None


def is_door(request: HttpRequest) -> bool:
    """Say whether a request tries a password, a code or a token of a message, or comes from Google."""
    path = request.path
    if path in google.ADDRESSES:
        return True
    return (
        request.method == "POST"
        and path.startswith(_DOORS)
        and not path.endswith(_NO_GUESSING)
        and not path.endswith("/auth/refresh")
    )


def tidy(now: datetime) -> int:
    """Delete the budgets that nobody has used for a while; return how many."""
    from filiera.platform.models import RequestBudget

    longest = timedelta(seconds=WRONG_FOR_S + limiter.MARGIN_S)
    before = int((now - longest).timestamp() * 1000)
    budgets = RequestBudget.objects.filter(account__startswith=NAMES_BEGIN)
    old = [
        budget.account
        for budget in budgets.iterator()
        if not budget.granted_at or budget.granted_at[-1][0] < before
    ]
    return budgets.filter(account__in=old).delete()[0]


def _at_the_door(request: HttpRequest, address: str, now: datetime) -> float:
    limit = settings.SIGN_IN_LIMIT_PER_MIN
    if not limit:
        return 0.0
    wait_s = _reserve(f"door:{address}", limit, now)
    email = _email_of(request)
    if wait_s or not email:
        return wait_s
    return _reserve(f"email:{hashlib.sha256(email.encode()).hexdigest()[:32]}", PER_EMAIL, now)


def _guess(address: str, now: datetime) -> float:
    """Count a credential that opened nothing. Once there were too many, nothing is counted until the pause is over."""
    if not settings.SIGN_IN_LIMIT_PER_MIN:
        return 0.0
    with _lock:
        shut = _shut_until.get(address)
        if shut is not None and shut > now:
            return (shut - now).total_seconds()
    wait_s = _reserve(f"guess:{address}", WRONG_CREDENTIALS, now, window_s=WRONG_FOR_S)
    if wait_s:
        with _lock:
            _forget_some(_shut_until)
            _shut_until[address] = now + timedelta(seconds=wait_s)
    return wait_s


def _spend(account: str, limit: int, now: datetime) -> float:
    """Take one request out of the account's purse of this process, filled from the budget that all share."""
    if not limit:
        return 0.0
    with _lock:
        purse = _purses.get(account)
        if purse is not None and purse.left and purse.ends_at > now:
            purse.left -= 1
            return 0.0
    reservation = limiter.reserve(
        f"{NAMES_BEGIN}{account}", limit=limit, now=now, many=min(PORTION, max(1, limit // 10))
    )
    if not reservation.granted:
        return reservation.wait_s
    with _lock:
        _forget_some(_purses)
        _purses[account] = _Purse(reservation.granted - 1, now + timedelta(seconds=limiter.WINDOW_S))
    return 0.0


def _reserve(name: str, limit: int, now: datetime, *, window_s: int = limiter.WINDOW_S) -> float:
    reservation = limiter.reserve(f"{NAMES_BEGIN}{name}", limit=limit, now=now, window_s=window_s)
    return 0.0 if reservation.granted else max(reservation.wait_s, 1.0)


def _forget_some(kept: dict[str, _Purse] | dict[str, datetime]) -> None:
    while len(kept) >= _MOST_REMEMBERED:
        kept.pop(next(iter(kept)))


def _email_of(request: HttpRequest) -> str:
    """Return the e-mail that a try to sign in names, in the form in which accounts have it; "" without one."""
    if request.content_type == "application/json":
        try:
            given = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            return ""
        email = given.get("email", "") if isinstance(given, dict) else ""
    else:
        email = request.POST.get("email", "")
    return email.strip().lower() if isinstance(email, str) else ""


def _too_many(request: HttpRequest, wait_s: float) -> HttpResponse:
    seconds = ceil(wait_s)
    sentence = _("Troppe richieste. Riprova tra poco.")
    if request.path == "/login" or request.path in google.ADDRESSES:
        from filiera.identity.pages import door

        answer = door(request, {"refusal": sentence}, 429)
    elif not request.path.startswith("/api/"):
        from filiera.identity.pages import door

        told = {
            "headline": _("Facciamo una pausa"),
            "sentence": sentence,
            "onward": "login",
            "onward_label": _("Torna all’ingresso"),
        }
        answer = door(request, told, 429, page="identity/told.html")
    else:
        code = "TOO_MANY_ATTEMPTS" if is_door(request) else "RATE_LIMITED"
        answer = api.failure(request, code=code, message=sentence, status=429)
    answer["Retry-After"] = str(seconds)
    return answer
