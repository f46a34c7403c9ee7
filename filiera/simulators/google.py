"""Google's OpenID Connect: discovery, the page where one picks an account, tokens and the keys that sign them.

Facts: https://developers.google.com/identity/openid-connect/openid-connect, OpenID Connect Core 1.0, RFC 7636. Nobody
types a password here: whoever opens the page picks an invented account.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from html import escape
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from filiera.simulators import page
from filiera.simulators.base import Simulator, endpoint
from filiera.simulators.http import Answer, Request, json_answer, redirect, text_answer
from filiera.simulators.knobs import Json, Knobs, Says, loopback_url

AUTHORIZE, TOKEN, CERTS = "/o/oauth2/v2/auth", "/token", "/oauth2/v3/certs"
CODE_LIVES_S = 600
TOKEN_LIVES_S = 3600
ACCOUNTS: list[Json] = [
    {"email": "adele.brunetti@gmail.example", "name": "Adele Brunetti"},
    {"email": "oreste.nardulli@posta.example", "name": "Oreste Nardulli", "email_verified": False},
]
Fault = Literal[
    "",
    "wrong_nonce",
    "wrong_signature",
    "alg_none",
    "alg_hs256",
    "wrong_audience",
    "wrong_issuer",
    "expired",
    "unverified_email",
    "no_email",
    "wrong_state",
]


@dataclass
class GoogleKnobs(Knobs):
    client_id: Annotated[str, Says("Identificativo del client registrato.")] = (
        "sim.apps.googleusercontent.example"
    )
    client_secret: Annotated[str, Says("Segreto del client registrato.")] = "google-sim-secret"
    accounts: Annotated[
        list[Json], Says("Chi si può scegliere: email, name, e se serve email_verified, hd, sub.")
    ] = field(default_factory=lambda: [dict(one) for one in ACCOUNTS])
    fault: Annotated[Fault, Says("Che cosa c’è di sbagliato nelle prossime risposte; vuoto: niente.")] = ""

    def check(self, name: str, value: Any) -> None:
        super().check(name, value)
        if name == "accounts" and not all(isinstance(one.get("email"), str) for one in value):
            raise ValueError("every account needs an email")


@dataclass(frozen=True, slots=True)
class Consent:
    """What a code stands for: who was picked, and what the client asked for."""

    account: Json
    redirect_uri: str
    challenge: str
    nonce: str
    given_at: float


class Google(Simulator):
    name: ClassVar[str] = "google"
    title: ClassVar[str] = "Google"
    knobs_type: ClassVar[type[Knobs]] = GoogleKnobs
    knobs: GoogleKnobs

    def __init__(self, **knobs: Any) -> None:
        super().__init__(**knobs)
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.forget()

    def forget(self) -> None:
        self.codes: dict[str, Consent] = {}

    def urls(self) -> Json:
        return super().urls() | {"client_id": self.knobs.client_id}

    def error(self, status: int, *, message: str | None = None, code: int | None = None) -> Answer:
        return json_answer({"error": "server_error", "error_description": message or "Error"}, status)

    @endpoint("GET", r"/\.well-known/openid-configuration", "discovery")
    def discovery(self, request: Request) -> Answer:
        return json_answer(
            {
                "issuer": self.base_url,
                "authorization_endpoint": self.base_url + AUTHORIZE,
                "token_endpoint": self.base_url + TOKEN,
                "jwks_uri": self.base_url + CERTS,
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "email", "profile"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
                "code_challenge_methods_supported": ["plain", "S256"],
            }
        )

    @endpoint("GET", CERTS, "certs")
    def certs(self, request: Request) -> Answer:
        numbers = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        public = {name: numbers[name] for name in ("kty", "n", "e")}
        return json_answer({"keys": [public | {"kid": self._kid(), "alg": "RS256", "use": "sig"}]})

    # ── the person ──────────────────────────────────────────────────────────

    @endpoint("GET", AUTHORIZE, "auth")
    def authorize(self, request: Request) -> Answer:
        """Show whom one may be; with `account` (a number, or "none" for a refusal) send the browser back."""
        asked = request.query
        if trouble := self._trouble_with(asked):
            return text_answer(f"Errore 400: {trouble}", 400)
        picked = asked.get("account")
        if picked is None:
            return text_answer(self._picker(request), content_type="text/html; charset=utf-8")
        state = asked["state"] + ("x" if self.knobs.fault == "wrong_state" else "")
        if not picked.isdigit() or int(picked) >= len(self.knobs.accounts):
            return self._back(asked, error="access_denied", state=state)
        code = f"4/{secrets.token_urlsafe(32)}"
        self.codes[code] = Consent(
            self.knobs.accounts[int(picked)],
            asked["redirect_uri"],
            asked["code_challenge"],
            asked.get("nonce", ""),
            time.monotonic(),
        )
        return self._back(asked, code=code, state=state, scope=asked["scope"])

    def _trouble_with(self, asked: dict[str, str]) -> str:
        """Return what Google would refuse on a page of its own; a careful client sends all of it."""
        if asked.get("client_id") != self.knobs.client_id:
            return "invalid_client"
        try:
            loopback_url(asked.get("redirect_uri", ""))
        except ValueError:
            return "redirect_uri_mismatch"
        if not asked.get("redirect_uri") or asked.get("response_type") != "code":
            return "invalid_request"
        if "openid" not in asked.get("scope", "").split() or not asked.get("state") or not asked.get("nonce"):
            return "invalid_request: openid, state, nonce"
        if asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
            return "invalid_request: PKCE S256"
        return ""

    def _back(self, asked: dict[str, str], **told: str) -> Answer:
        return redirect(f"{asked['redirect_uri']}?{urlencode(told)}")

    def _picker(self, request: Request) -> str:
        words = page.words_for(request)
        rows = [
            [
                f'<a href="{AUTHORIZE}?{escape(urlencode(request.query | {"account": str(number)}))}">'
                f"{escape(one.get('name') or one['email'])}</a>",
                escape(one["email"]),
                escape("" if one.get("email_verified", True) else words.gettext("e-mail non verificata")),
            ]
            for number, one in enumerate(self.knobs.accounts)
        ]
        heads = [words.gettext("Nome"), "E-mail", ""]
        refuse = f"{AUTHORIZE}?{urlencode(request.query | {'account': 'none'})}"
        body = page.table(heads, rows, words.gettext("Nessun account."))
        return page.standing(
            self,
            request,
            page.panel(words.gettext("Scegli un account"), body)
            + f'<p><a href="{escape(refuse)}">{escape(words.gettext("Annulla"))}</a></p>',
        )

    # ── the client ──────────────────────────────────────────────────────────

    @endpoint("POST", TOKEN, "token")
    def token(self, request: Request) -> Answer:
        """Take a code once, for the client that asked for it and proves it with its verifier."""
        form = request.form()
        if not self._is_client(request, form):
            return _refused("invalid_client", 401)
        consent = self.codes.pop(form.get("code", ""), None)
        if (
            form.get("grant_type") != "authorization_code"
            or consent is None
            or consent.redirect_uri != form.get("redirect_uri")
            or time.monotonic() - consent.given_at > CODE_LIVES_S
            or _challenge(form.get("code_verifier", "")) != consent.challenge
        ):
            return _refused("invalid_grant", 400)
        return json_answer(
            {
                "access_token": f"ya29.{secrets.token_urlsafe(32)}",
                "expires_in": TOKEN_LIVES_S,
                "scope": "openid email profile",
                "token_type": "Bearer",
                "id_token": self._id_token(consent),
            }
        )

    def _is_client(self, request: Request, form: dict[str, str]) -> bool:
        given = f"{form.get('client_id', '')}:{form.get('client_secret', '')}"
        scheme, _space, encoded = request.header("authorization").partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(encoded).decode()
            except ValueError:
                return False
        wanted = f"{self.knobs.client_id}:{self.knobs.client_secret}"
        return hmac.compare_digest(given.encode(), wanted.encode())

    def _id_token(self, consent: Consent) -> str:
        now, fault, account = int(time.time()), self.knobs.fault, consent.account
        digest = hashlib.sha256(account["email"].encode()).hexdigest()
        claims: Json = {
            "iss": self.base_url + (".example" if fault == "wrong_issuer" else ""),
            "azp": self.knobs.client_id,
            "aud": self.knobs.client_id + ("x" if fault == "wrong_audience" else ""),
            "sub": account.get("sub") or str(int(digest[:16], 16)),
            "email": account["email"],
            "email_verified": account.get("email_verified", True) and fault != "unverified_email",
            "name": account.get("name", ""),
            "nonce": consent.nonce + ("x" if fault == "wrong_nonce" else ""),
            "iat": now - (2 * TOKEN_LIVES_S if fault == "expired" else 0),
            "exp": now + (-TOKEN_LIVES_S if fault == "expired" else TOKEN_LIVES_S),
        }
        if "hd" in account:
            claims["hd"] = account["hd"]
        if fault == "no_email":
            del claims["email"], claims["email_verified"]
        headers = {"kid": self._kid()}
        if fault == "alg_none":
            return jwt.encode(claims, "", algorithm="none", headers=headers)
        if (
            fault == "alg_hs256"
        ):  # signed with what everybody may read, for who takes the algorithm from the token
            return _signed_with_public_number(claims, self.key, headers)
        key = self.key
        if fault == "wrong_signature":
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return jwt.encode(claims, key, algorithm="RS256", headers=headers)

    def _kid(self) -> str:
        return hashlib.sha256(str(self.key.public_key().public_numbers().n).encode()).hexdigest()[:40]


def _refused(error: str, status: int) -> Answer:
    return json_answer({"error": error, "error_description": error.replace("_", " ")}, status)


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode("ascii", "replace")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _signed_with_public_number(claims: Json, key: rsa.RSAPrivateKey, headers: Json) -> str:
    number = key.public_key().public_numbers().n
    return jwt.encode(claims, number.to_bytes(256, "big"), algorithm="HS256", headers=headers)
