"""Q-32 for what exists: how often one may knock, forged forms, strict headers, and logs that tell no secret."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.utils import timezone

from filiera.identity import vault, walls
from filiera.identity.models import LoginAttempt
from filiera.platform import brand_scope, logs
from filiera.platform.models import RequestBudget
from tests.identity.test_keys import asked, make_key
from tests.security.routes import Route, ask, operations, pages, values_of
from tests.security.test_other_brands import OPEN_TO_ALL
from tests.security.world import World, digest, undone

SignedIn = Callable[[Any], Client]


# ── how often one may knock ──


@pytest.fixture
def limits(settings: Any) -> Iterator[None]:
    """The limits of the house, small; this process has no purse yet."""
    settings.API_LIMIT_PER_MIN, settings.SIGN_IN_LIMIT_PER_MIN = 40, 8
    another_process()
    yield
    another_process()


def another_process() -> None:
    """Go on as a process that remembers nothing: all that holds is in the database."""
    walls._purses.clear()
    walls._shut_until.clear()


def knock(email: str, address: str = "203.0.113.7", **options: Any) -> Any:
    return Client().post(
        "/login", {"email": email, "password": "sbagliata-ogni-volta"}, REMOTE_ADDR=address, **options
    )


def test_an_address_tries_so_many_sign_ins_a_minute_whatever_process_it_meets(db: None, limits: None) -> None:
    for place in range(8):
        another_process()
        assert knock(f"nessuno-{place}@posta.example").status_code == 401
    another_process()
    refused = knock("nessuno@posta.example")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 61
    assert "Troppe richieste" in refused.content.decode()
    assert LoginAttempt.objects.count() == 8, "a refused try costs no look and no hash"
    assert knock("nessuno@posta.example", "203.0.113.8").status_code == 401
    program = Client().post(
        "/api/v1/auth/login", {"email": "a@b.example", "password": "x"},
        content_type="application/json", REMOTE_ADDR="203.0.113.7",
    )  # fmt: skip
    assert (program.status_code, program.json()["error"]["code"]) == (429, "TOO_MANY_ATTEMPTS")


def test_an_e_mail_is_tried_so_often_a_minute_wherever_from(db: None, limits: None) -> None:
    met = [
        knock("ADA@vegliasi.example ", f"203.0.113.{place}").status_code
        for place in range(walls.PER_EMAIL + 1)
    ]
    assert met[-1] == 429
    assert Client().get("/login").status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        *("/account/register", "/account/verify", "/account/forgotten", "/account/reset", "/account/close"),
        *(
            "/login/code",
            "/login/passkey",
            "/login/passkey/options",
            "/invito/" + "0" * 32 + "gettone-tirato-a-caso",
        ),
    ],
)
def test_a_link_or_a_form_of_the_door_is_tried_so_often_a_minute(
    signed_in: SignedIn, bea: Any, limits: None, address: str
) -> None:
    """Accounts, links of e-mails and invitations: guessing meets the wall, reading the page does not."""
    client = signed_in(bea) if address == "/account/close" else Client()
    given = {"token": "gettone-tirato-a-caso", "password": "una-parola-lunga", "code": "000000"}
    for _place in range(8):
        another_process()
        assert client.post(address, given).status_code != 429
    another_process()
    refused = client.post(address, given)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 61
    assert "Facciamo una pausa" in refused.content.decode()
    assert client.get(address).status_code != 429
    assert client.post(address, given, REMOTE_ADDR="203.0.113.9").status_code != 429


def test_an_account_uses_the_api_so_often_a_minute_in_all_processes_together(
    signed_in: SignedIn, ada: Any, bea: Any, limits: None
) -> None:
    client, passed = signed_in(ada), 0
    for place in range(60):
        if place % 7 == 0:
            another_process()
        answer = client.get("/api/v1/pipeline/stages" if place % 2 else "/api/v1/leads")
        passed += answer.status_code != 429
    assert 0 < passed <= 40
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "RATE_LIMITED"
    assert int(answer.headers["Retry-After"]) > 0
    assert signed_in(bea).get("/api/v1/leads").status_code == 200
    assert client.get("/leads").status_code == 200, "pages are not the API"


def test_wrong_keys_from_an_address_are_counted_and_right_ones_still_open(
    vegliasi: Any, ada: Any, limits: None
) -> None:
    met = [asked("fil_" + "x" * 42 + str(n % 10)).status_code for n in range(walls.WRONG_CREDENTIALS + 2)]
    assert met == [401] * walls.WRONG_CREDENTIALS + [429] * 2
    another_process()
    assert asked("fil_" + "y" * 43).status_code == 429
    assert asked(make_key(ada, vegliasi)[1]).status_code == 200
    assert Client().get("/api/v1/leads").status_code == 401


def test_budgets_of_who_did_not_come_back_are_tidied_away(db: None, limits: None) -> None:
    knock("nessuno@posta.example")
    assert RequestBudget.objects.filter(account__startswith="wall:").count() == 2
    assert walls.tidy(timezone.now()) == 0
    assert walls.tidy(timezone.now() + timedelta(minutes=16)) == 2
    assert not RequestBudget.objects.filter(account__contains="nessuno").exists()


@pytest.mark.parametrize(
    ("peer", "named", "counted"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("203.0.113.5", "198.51.100.1", "203.0.113.5"),
    ],
)
def test_the_word_of_our_proxy_counts_and_nobody_elses(
    db: None, settings: Any, peer: str, named: str, counted: str
) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.1"]
    knock("nessuno@posta.example", peer, headers={"X-Forwarded-For": named})
    assert LoginAttempt.objects.get().ip_address == counted


# ── forged forms ──

# Where no cookie counts: a program's sign-in and refresh, providers who sign, landing pages that are open to anybody,
# and the page of one's own consents, opened by its address alone.
NO_COOKIE_COUNTS = {
    *(f"{base}/auth/{name}" for base in ("/api", "/api/v1") for name in OPEN_TO_ALL),
    "/l/<str:source_name>",
    "/l/<str:source_name>/ricevuta",
    "/permessi/<str:token>",
}


def unsafe_routes() -> list[Route]:
    every = [route for route in (*pages(), *operations()) if route.method not in ("GET", "HEAD", "OPTIONS")]
    return [
        route for route in every if route.address not in NO_COOKIE_COUNTS and "webhooks" not in route.address
    ]


def test_no_change_is_made_with_the_cookie_alone(own: World) -> None:
    client, wrong, tried = Client(enforce_csrf_checks=True, raise_request_exception=False), [], 0
    client.force_login(own.owner)
    cookies = client.cookies.output(header="", sep=";")
    before = digest(own)
    for route in unsafe_routes():
        with undone():
            answer = ask(client, route, values_of(own))
            if answer.status_code not in (403, 405):
                wrong.append(f"{route}: {answer.status_code}")
            if digest(own) != before:
                wrong.append(f"{route}: something changed")
        tried += 1
        client.cookies.load(cookies)
    assert not wrong, "\n".join(wrong)
    assert tried > 60


def test_a_form_of_another_site_is_refused_also_with_a_token_of_its_own(own: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(own.owner)
    client.cookies["csrftoken"] = "t" * 32
    for headers in ({"X-CSRFToken": "u" * 32}, {"Origin": "https://evil.example", "X-CSRFToken": "t" * 32}):
        assert client.post("/logout", headers=headers).status_code == 403
        assert (
            client.post("/api/v1/leads", {}, content_type="application/json", headers=headers).status_code
            == 403
        )


# ── headers ──

STRICT: dict[str, str | tuple[str, ...]] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "X-XSS-Protection": "1; mode=block",
    "Referrer-Policy": ("same-origin", "no-referrer"),  # the second on pages whose address is a secret
}
INLINE = re.compile(
    r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")[^>]*>|\sstyle\s*=|\son[a-z]+\s*=\s*[\"']|javascript:|<style",
    re.IGNORECASE,
)


def test_every_page_is_strict_and_has_nothing_inline(own: World) -> None:
    client, wrong, seen = Client(raise_request_exception=False), [], 0
    client.force_login(own.owner)
    guest = Client(raise_request_exception=False)
    answers = [
        (str(route), ask(one, route, values_of(own)))
        for route in (*pages(), *operations())
        if route.method == "GET"
        for one in (client, guest)
    ]
    answers += [("missing", client.get("/non-esiste")), ("missing", guest.get("/non-esiste"))]
    for name, answer in answers:
        policy = answer.headers.get("Content-Security-Policy", "")
        directives = dict(one.strip().partition(" ")[::2] for one in policy.split(";"))
        if (
            "unsafe" in policy
            or directives.get("default-src") != "'none'"
            or directives.get("script-src") != "'self'"
        ):
            wrong.append(f"{name}: {policy or 'no policy'}")
        for header, value in STRICT.items():
            if answer.headers.get(header) not in (value if isinstance(value, tuple) else (value,)):
                wrong.append(f"{name}: {header} is {answer.headers.get(header)}")
        if answer.headers.get("Content-Type", "").startswith("text/html") and not answer.streaming:
            seen += 1
            if found := INLINE.search(answer.content.decode()):
                wrong.append(f"{name}: {found[0]}")
    assert not wrong, "\n".join(wrong)
    assert seen > 40


# ── logs ──


class Everything(logging.Handler):
    """Keeps the lines as they leave the process."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.dumps(logs.fields_of(record), default=str, ensure_ascii=False))


@pytest.fixture
def lines() -> Iterator[list[str]]:
    handler, root = Everything(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(level)


def test_no_secret_reaches_the_log_whatever_is_done_with_it(
    own: World, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every address is asked with secrets in headers, cookies, query and body; some of them break on the way."""
    secrets = {
        "cookie": "", "csrf": "c" * 12 + "Ciao" * 5, "bearer": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.firma-segreta",
        "token": "Gettone" * 6 + "0",
        "key": "fil_" + "Segreta0123" * 4, "password": "una-parola-molto-segreta", "secret": "pat.SegretissimaABCDEF99",
    }  # fmt: skip
    client = Client(raise_request_exception=False)
    client.force_login(own.owner)
    secrets["cookie"] = client.cookies["auth-token"].value
    _key, clear = make_key(own.owner, own.brand)
    secrets["own key"] = clear
    values = {**values_of(own), "key": secrets["secret"], "signing_secret": secrets["secret"]}
    values["token"] = secrets["token"]
    for route in (*pages(), *operations()):
        for headers in (
            {},
            {"X-API-Key": secrets["key"], "Authorization": f"Bearer {secrets['bearer']}"},
            {"X-API-Key": clear, "Cookie": f"auth-token={secrets['cookie']}"},
        ):
            with undone():
                ask(client, route, values, **headers)
    Client().post("/login", {"email": "ada@vegliasi.example", "password": secrets["password"]})
    for address in ("/account/verify", "/account/reset"):
        Client().get(f"{address}?token={secrets['token']}")
        Client().post(address, {"token": secrets["token"], "password": secrets["password"]})
    Client().post(f"/invito/{secrets['token']}", {"name": "Gaia", "password": secrets["password"]})
    Client().get(f"/login?next=/x&password={secrets['password']}&access_token={secrets['secret']}")
    for fault in (
        RuntimeError(f"password={secrets['password']}"),
        ValueError(f"Authorization: Bearer {secrets['bearer']}"),
        ImproperlyConfigured(f"{{'api_key': '{secrets['secret']}'}}"),
    ):

        def broken(*_args: Any, _fault: Exception = fault, **_options: Any) -> None:
            raise _fault

        monkeypatch.setattr("filiera.identity.keys_api._list", broken)
        client.force_login(own.owner)
        assert client.get("/api/v1/api-keys").status_code == 500
    with brand_scope.use(own.brand.id):
        vault.store(service="airtable", secret=secrets["secret"])
        vault.get("airtable")
    assert len(lines) > 300
    told = [f"{name}: {line[:300]}" for line in lines for name, secret in secrets.items() if secret in line]
    assert not told, "\n".join(told[:20])
