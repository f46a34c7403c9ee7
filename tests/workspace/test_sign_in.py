"""The door (IDN-26, IDN-27): who comes in, who does not, and what stays shut without signing in."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from filiera.identity.models import LoginAttempt, User
from tests.workspace.seed import PASSWORD

# Doors that are open on purpose: what answers programs has its own keys, and signing in must be reachable.
OPEN = (
    *("login", "login/language", "login/code", "login/passkey", "login/passkey/options", "logout"),
    *("account/register", "account/verify", "account/forgotten", "account/reset"),
    *("health", "api/", "webhook", "metrics", "l/", "sdk/", "permessi/", "invito/"),
)


@pytest.fixture
def client(people: Any) -> Client:
    return Client()


def sign_in(client: Client, password: str, email: str = "bea@vegliasi.example") -> Any:
    return client.post("/login", {"email": email, "password": password})


def test_signing_in_leads_to_oggi(client: Client) -> None:
    answer = sign_in(client, PASSWORD)
    assert (answer.status_code, answer["Location"]) == (302, "/oggi")
    assert client.get("/oggi").status_code == 200
    assert LoginAttempt.objects.get().success


def test_signing_in_goes_on_to_the_page_that_was_asked_for(client: Client) -> None:
    assert client.get("/leads?stato=caldo")["Location"] == "/login?next=/leads%3Fstato%3Dcaldo"
    answer = client.post("/login", {"email": "bea@vegliasi.example", "password": PASSWORD, "next": "/leads"})
    assert answer["Location"] == "/leads"


def test_a_foreign_address_to_go_on_to_is_not_followed(client: Client) -> None:
    credentials = {"email": "bea@vegliasi.example", "password": PASSWORD, "next": "https://evil.example/"}
    assert client.post("/login", credentials)["Location"] == "/oggi"


def test_a_wrong_password_counts_down_and_says_nothing_of_the_account(client: Client) -> None:
    known, unknown = sign_in(client, "no"), sign_in(client, "no", "nobody@vegliasi.example")
    assert known.status_code == unknown.status_code == 401
    assert "Puoi riprovare altre 4 volte" in known.content.decode()
    assert "Puoi riprovare altre 4 volte" in unknown.content.decode()


def test_after_five_failures_the_door_is_shut_also_to_the_right_password(client: Client) -> None:
    for _try in range(5):
        sign_in(client, "no")
    answer = sign_in(client, PASSWORD)
    assert answer.status_code == 429
    assert "pausa di 15 minuti" in answer.content.decode()
    assert "auth-token" not in answer.cookies


def test_an_inactive_person_stays_out(client: Client) -> None:
    User.objects.filter(email="bea@vegliasi.example").update(is_active=False)
    answer = sign_in(client, PASSWORD)
    assert answer.status_code == 403
    assert "Questo account è chiuso" in answer.content.decode()
    assert "auth-token" not in answer.cookies
    assert sign_in(client, "no").status_code == 401


def test_signing_out_ends_the_session(client: Client) -> None:
    sign_in(client, PASSWORD)
    assert client.post("/logout")["Location"] == "/login"
    assert client.get("/oggi").status_code == 302


def test_a_guest_reads_the_door_in_english_when_they_ask(client: Client) -> None:
    client.post("/login/language", {"language": "en"})
    page = client.get("/login").content.decode()
    assert '<html lang="en"' in page
    assert "Sign in" in page


def test_every_address_of_the_workspace_asks_to_sign_in(client: Client) -> None:
    reached = []
    for route in routes(get_resolver()):
        if route.startswith(OPEN):
            continue
        answer = client.get("/" + route)
        reached.append(route)
        assert answer.status_code in {302, 405}, f"{route} answers {answer.status_code} to a guest"
        if answer.status_code == 302:
            assert answer["Location"].startswith(("/login", "/oggi")), route
    assert len(reached) > 20


def routes(resolver: URLResolver, before: str = "") -> Iterator[str]:
    """Yield every address with its parameters filled in."""
    samples: dict[str, str] = {
        "uuid": "0192f3a7-6c41-7000-8000-000000000000",
        "int": "1",
        "slug": "phone",
        "str": "x",
        "path": "x",
    }
    for entry in resolver.url_patterns:
        address = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, address)
        elif isinstance(entry, URLPattern):
            yield _filled(address, samples)


def _filled(address: str, samples: dict[str, str]) -> str:
    return re.sub(r"<(?:(\w+):)?\w+>", lambda found: samples.get(found[1] or "str", "x"), address).strip("^$")
