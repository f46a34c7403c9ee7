"""Google's simulator: a careful client gets an account's word once, a careless one is refused."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest

from filiera.simulators.google import Google
from filiera.simulators.testing import Running, start_google

VERIFIER = "a-verifier-of-forty-three-letters-at-the-very-least"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
CLIENT = ("sim.apps.googleusercontent.example", "google-sim-secret")
ASKED = {
    "client_id": CLIENT[0],
    "redirect_uri": "http://localhost:8000/back",
    "response_type": "code",
    "scope": "openid email",
    "state": "s",
    "nonce": "n",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@pytest.fixture
def google() -> Iterator[Running[Google]]:
    with start_google() as google:
        yield google


@pytest.fixture
def facts(google: Running[Google], http: httpx.Client) -> dict[str, Any]:
    told: dict[str, Any] = http.get(f"{google.base_url}/.well-known/openid-configuration").json()
    return told


def code_for(facts: dict[str, Any], http: httpx.Client, account: str = "0") -> str:
    back = http.get(facts["authorization_endpoint"], params=ASKED | {"account": account})
    told = httpx.URL(back.headers["Location"])
    assert (str(told.copy_with(query=None)), told.params["state"]) == (ASKED["redirect_uri"], "s")
    return told.params["code"]


def token_for(facts: dict[str, Any], http: httpx.Client, code: str, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": ASKED["redirect_uri"],
        "code_verifier": VERIFIER,
    }
    return http.post(facts["token_endpoint"], data=form | changes, auth=CLIENT)


def test_a_person_picks_an_account_and_the_client_gets_a_signed_token(
    facts: dict[str, Any], http: httpx.Client
) -> None:
    page = http.get(facts["authorization_endpoint"], params=ASKED)
    assert "Adele Brunetti" in page.text
    assert "e-mail non verificata" in page.text
    token = token_for(facts, http, code_for(facts, http)).json()["id_token"]
    keys = jwt.PyJWKSet.from_dict(http.get(facts["jwks_uri"]).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=CLIENT[0], issuer=facts["issuer"])
    assert (claims["email"], claims["email_verified"], claims["nonce"]) == (
        "adele.brunetti@gmail.example",
        True,
        "n",
    )


def test_a_code_is_good_once_and_for_who_asked_for_it(facts: dict[str, Any], http: httpx.Client) -> None:
    code = code_for(facts, http)
    assert token_for(facts, http, code, code_verifier="x" * 43).status_code == 400
    code = code_for(facts, http)
    assert token_for(facts, http, code).status_code == 200
    assert token_for(facts, http, code).json()["error"] == "invalid_grant"
    refused = http.post(facts["token_endpoint"], data={"code": code_for(facts, http)}, auth=(CLIENT[0], "no"))
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_id", "another"),
        ("redirect_uri", "https://elsewhere.example/back"),
        ("response_type", "token"),
        ("scope", "email"),
        ("state", ""),
        ("nonce", ""),
        ("code_challenge_method", "plain"),
    ],
)
def test_what_a_careful_client_would_not_ask_is_refused(
    facts: dict[str, Any], http: httpx.Client, name: str, value: str
) -> None:
    assert http.get(facts["authorization_endpoint"], params=ASKED | {name: value}).status_code == 400


def test_who_picks_nobody_is_sent_back_without_a_code(facts: dict[str, Any], http: httpx.Client) -> None:
    back = http.get(facts["authorization_endpoint"], params=ASKED | {"account": "none"})
    assert httpx.URL(back.headers["Location"]).params["error"] == "access_denied"
