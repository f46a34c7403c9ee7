"""Google as the one who vouches for a person: OpenID Connect with state, nonce and PKCE. No models here.

Where its endpoints are it says itself, in its discovery document; which key signed a token, in its key set. What an
ID token says is believed only after all of it was checked (OpenID Connect Core 1.0, 3.1.3.7; RFC 8725).
"""

import asyncio
import base64
import hashlib
import hmac
import threading
import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx
import jwt
from django.conf import settings

from filiera.platform import http

SCOPE: Final = "openid email profile"
ALGORITHM: Final = "RS256"
LEEWAY_S: Final = 60
KNOWN_FOR_S: Final = 3600
LONGEST_ANSWER: Final = 256 * 1024
BACK: Final = "/api/auth/callback/google"
ADDRESSES: Final = frozenset({"/api/v1/auth/google", "/api/auth/google", BACK})
"""Ours that wait for Google: no transaction is open around them, they open their own."""
_NEEDED: Final = ["iss", "sub", "aud", "exp", "iat"]


class GoogleUnavailable(Exception):
    """Google did not answer, or answered nothing that can be used: to be tried again."""


class GoogleRejected(Exception):
    """Google took nothing for granted, or told what we do not believe; `reason` is for the record, in English."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where Google wants browsers to go, codes to be brought, and its keys to be read."""

    authorize: str
    token: str
    keys: str


@dataclass(frozen=True, slots=True)
class Account:
    """Whom Google vouches for. `subject` never changes; an e-mail may. `domain` is set for a company's own accounts."""

    subject: str
    email: str
    is_verified: bool
    name: str
    domain: str


_lock = threading.Lock()
_known: dict[str, tuple[float, Endpoints]] = {}


def is_configured() -> bool:
    """Say whether this installation was given a client of Google's."""
    return bool(settings.GOOGLE_OAUTH_CLIENT_ID and settings.GOOGLE_OAUTH_CLIENT_SECRET)


def redirect_uri() -> str:
    """Return where Google sends the browser back to; it must stand among the client's addresses at Google."""
    return f"{settings.BASE_URL}{BACK}"


def address_to_ask(*, state: str, nonce: str, verifier: str) -> str:
    """Return where the browser goes to. Raises GoogleUnavailable."""
    query = {
        "client_id": settings.GOOGLE_OAUTH_CLIENT_ID,
        "redirect_uri": redirect_uri(),
        "response_type": "code",
        "scope": SCOPE,
        "state": state,
        "nonce": nonce,
        "code_challenge": _challenge(verifier),
        "code_challenge_method": "S256",
        "prompt": "select_account",
    }
    return f"{asyncio.run(_asked_where()).authorize}?{urlencode(query)}"


def account_of(*, code: str, verifier: str, nonce: str) -> Account:
    """Return whom a code stands for. Raises GoogleUnavailable, GoogleRejected."""
    token, keys = asyncio.run(_asked_who(code, verifier))
    claims = _believed(token, keys, nonce)
    return Account(
        subject=claims["sub"],
        email=_text(claims, "email").strip().lower(),
        is_verified=claims.get("email_verified") is True,
        name=_text(claims, "name").strip(),
        domain=_text(claims, "hd").strip().lower(),
    )


async def _asked_where() -> Endpoints:
    async with http.client() as client:
        return await _endpoints(client)


async def _asked_who(code: str, verifier: str) -> tuple[str, dict[str, Any]]:
    """Return the ID token for a code, and the keys of this moment: a sign-in is rare, and keys change."""
    async with http.client() as client:
        endpoints = await _endpoints(client)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri(),
            "code_verifier": verifier,
        }
        as_client = httpx.BasicAuth(settings.GOOGLE_OAUTH_CLIENT_ID, settings.GOOGLE_OAUTH_CLIENT_SECRET)
        told = await _ask(client, "POST", endpoints.token, data=form, auth=as_client)
        token = told.get("id_token")
        if not isinstance(token, str):
            raise GoogleRejected("no id token")
        return token, await _ask(client, "GET", endpoints.keys)


async def _endpoints(client: httpx.AsyncClient) -> Endpoints:
    issuer = settings.GOOGLE_ISSUER
    with _lock:
        at, known = _known.get(issuer, (0.0, None))
    if known is not None and time.monotonic() - at < KNOWN_FOR_S:
        return known
    told = await _ask(client, "GET", f"{issuer}/.well-known/openid-configuration")
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    found = [told.get(name) for name in names]
    # Plain http only where the issuer itself is asked so: a simulator on this machine.
    scheme = urlsplit(issuer).scheme
    if told.get("issuer") != issuer or not all(
        isinstance(url, str) and urlsplit(url).scheme in ("https", scheme) for url in found
    ):
        raise GoogleUnavailable("the discovery document is not of this issuer")
    endpoints = Endpoints(*map(str, found))
    with _lock:
        _known[issuer] = (time.monotonic(), endpoints)
    return endpoints


async def _ask(client: httpx.AsyncClient, method: str, url: str, **options: Any) -> dict[str, Any]:
    try:
        answer = await client.request(method, url, **options)
        if answer.status_code in (400, 401, 403):
            raise GoogleRejected(f"{urlsplit(url).path} answered {answer.status_code}")
        answer.raise_for_status()
        if answer.status_code != 200 or len(answer.content) > LONGEST_ANSWER:
            raise GoogleUnavailable(f"{urlsplit(url).path} answered {answer.status_code}")
        told = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as trouble:
        raise GoogleUnavailable(f"{urlsplit(url).path}: {type(trouble).__name__}") from trouble
    if not isinstance(told, dict):
        raise GoogleUnavailable(f"{urlsplit(url).path} answered no object")
    return told


def _believed(token: str, keys: dict[str, Any], nonce: str) -> dict[str, Any]:
    """Return what a token says, once signature, issuer, client, times and nonce are right. Raises GoogleRejected."""
    issuer = settings.GOOGLE_ISSUER
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") != ALGORITHM:
            raise GoogleRejected("the token is signed in another way")
        listed = keys.get("keys")
        key = next(
            one
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, dict) and one.get("kid") == header.get("kid") and one.get("kty") == "RSA"
        )
        claims: dict[str, Any] = jwt.decode(
            token,
            jwt.PyJWK(key, algorithm=ALGORITHM),
            algorithms=[ALGORITHM],
            audience=settings.GOOGLE_OAUTH_CLIENT_ID,
            issuer=[issuer, issuer.removeprefix("https://")],
            leeway=LEEWAY_S,
            options={"require": _NEEDED, "strict_aud": True},
        )
    except StopIteration:
        raise GoogleRejected("no key of this name") from None
    except (jwt.PyJWTError, ValueError, TypeError) as trouble:
        raise GoogleRejected(f"the token is not right: {type(trouble).__name__}") from trouble
    if claims.get("azp", settings.GOOGLE_OAUTH_CLIENT_ID) != settings.GOOGLE_OAUTH_CLIENT_ID:
        raise GoogleRejected("the token is for another client")
    if not hmac.compare_digest(_text(claims, "nonce").encode(), nonce.encode()):
        raise GoogleRejected("the token answers another question")
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= 191:
        raise GoogleRejected("the token names nobody")
    return claims


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        return ""
    return value.replace("\x00", "").encode("utf-8", "ignore").decode()[:255]


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
