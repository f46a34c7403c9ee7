"""The tokens of a session: JSON web tokens, signed with one algorithm that is fixed here and never read from them.

The header says which key signed (`kid`), so that keys can change while tokens live, and what the token is for (`typ`),
so that one for renewing opens nothing. A token alone proves nothing yet: its session is asked on every request.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import jwt
from django.conf import settings

from filiera.platform.ids import new_id

ALGORITHM = "HS256"
ACCESS_FOR = timedelta(minutes=15)
SESSION_FOR = timedelta(days=7)
ACCESS, REFRESH = "at+jwt", "rt+jwt"
_CLAIMS = ("sub", "sid", "iat", "exp", "jti")
_LONGEST = 4096


class BadToken(Exception):
    """Not a token of ours, or not any more, or not for this: nothing in it counts."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. `brand` is the one it was made for, if any."""

    user_id: UUID
    session_id: UUID
    brand_id: UUID | None


def make(
    *, kind: str, user_id: UUID, session_id: UUID, brand_id: UUID | None, now: datetime, lives: timedelta
) -> str:
    """Return a signed token of a session that lives until `now + lives`."""
    claims = {
        "sub": str(user_id),
        "sid": str(session_id),
        "brand": str(brand_id) if brand_id else None,
        "iat": int(now.timestamp()),
        "exp": int((now + lives).timestamp()),
        "jti": str(new_id()),
    }
    secret = settings.JWT_SECRET
    return jwt.encode(claims, secret, algorithm=ALGORITHM, headers={"kid": key_id(secret), "typ": kind})


def read(token: str, *, kind: str, now: datetime) -> Claims:
    """Return the claims of a token of this kind. Raises BadToken for whatever else, without saying why."""
    if len(token) > _LONGEST:
        raise BadToken
    try:
        header = jwt.get_unverified_header(token)
        key = _keys().get(str(header.get("kid")))
        if key is None or header.get("typ") != kind:
            raise BadToken
        # The end is compared here, with the moment the caller acts at.
        options: Any = {"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False}
        claims = jwt.decode(token, key, algorithms=[ALGORITHM], options=options)
        if datetime.fromtimestamp(claims["exp"], UTC) <= now:
            raise BadToken
        brand = claims.get("brand")
        return Claims(UUID(claims["sub"]), UUID(claims["sid"]), UUID(brand) if brand else None)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise BadToken from error


def digest(token: str) -> str:
    """Return what is kept of a token: enough to recognise it, not enough to use it."""
    return hashlib.sha256(token.encode()).hexdigest()


@lru_cache(maxsize=16)
def key_id(secret: str) -> str:
    """Return the public name of a key."""
    return hashlib.sha256(b"kid:" + secret.encode()).hexdigest()[:12]


def _keys() -> dict[str, str]:
    return {key_id(secret): secret for secret in (settings.JWT_SECRET, *settings.JWT_EARLIER_SECRETS)}
