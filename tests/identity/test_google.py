"""Signing in with Google: who comes in, what is refused, and that a code is still asked for (IDN-20, IDN-21)."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from filiera.identity import google, google_accounts
from filiera.identity.models import AuditEntry, GoogleStep, Invitation, LoginAttempt, Session, User, UserRole
from filiera.platform import brand_scope
from filiera.simulators.google import Google
from filiera.simulators.testing import Running, start_google
from tests.identity.conftest import PASSWORD, Clock, Program
from tests.identity.test_people import invite, roles_in
from tests.signing_in import code

ADA, BEA, CARL = "ada@vegliasi.example", "bea@vegliasi.example", "carl@quadranorma.example"
DORA, ENEA, FLORA = "dora@posta.example", "enea@studioverdi.example", "flora@studioverdi.example"
ACCOUNTS = [
    {"email": BEA, "name": "Bea Neri"},
    {"email": ADA, "name": "Ada Rossi"},
    {"email": DORA, "name": "Dora Viola"},
    {"email": ENEA, "name": "Enea Verdi", "hd": "studioverdi.example"},
    {"email": FLORA, "name": "Flora Verdi"},  # has the address, and no account of the company
]
NUMBER = {account["email"]: str(place) for place, account in enumerate(ACCOUNTS)}
START, BACK = "/api/v1/auth/google", "/api/auth/callback/google"


@pytest.fixture(scope="module")
def provider() -> Iterator[Running[Google]]:
    with start_google(accounts=ACCOUNTS) as provider:
        yield provider


@pytest.fixture(autouse=True)
def simulated(provider: Running[Google], settings: Any) -> Running[Google]:
    """A Google on this machine, as it was at the start, that this house is a client of."""
    provider.reset()
    settings.GOOGLE_ISSUER = provider.base_url
    settings.GOOGLE_OAUTH_CLIENT_ID = provider.simulator.knobs.client_id
    settings.GOOGLE_OAUTH_CLIENT_SECRET = provider.simulator.knobs.client_secret
    settings.ALLOW_PRIVATE_PROVIDERS = True
    return provider


def begin(client: Client, onward: str = "") -> str:
    """Return where the house sends a browser."""
    sent = client.get(START, {"next": onward} if onward else {})
    assert sent.status_code == 302
    return str(sent["Location"])


def picked(address: str, email: str) -> dict[str, str]:
    """Return what Google sends back for who picks an account on its page."""
    back = httpx.get(address, params=httpx.URL(address).params.set("account", NUMBER.get(email, "none")))
    assert back.status_code == 303, back.text
    told = urlsplit(back.headers["Location"])
    assert told.path == BACK
    return {name: values[0] for name, values in parse_qs(told.query).items()}


def come_back(email: str, *, client: Client | None = None, onward: str = "", **changes: str) -> Any:
    client = client or Client()
    return client.get(BACK, picked(begin(client, onward), email) | changes)


def last_try() -> tuple[str, bool, str]:
    attempt = LoginAttempt.objects.latest("attempted_at", "id")
    return attempt.email, attempt.success, attempt.failure_reason


def test_the_door_offers_google_where_it_is_set_up(client: Client, people: Any, settings: Any) -> None:
    page = client.get("/login?next=/leads").content.decode()
    assert "Continua con Google" in page
    assert f'href="{settings.BASE_URL}{START}?next=%2Fleads"' in page
    settings.GOOGLE_OAUTH_CLIENT_SECRET = ""
    assert "Google" not in client.get("/login").content.decode()
    assert (client.get(START).status_code, client.get(BACK).status_code) == (404, 404)
    assert not GoogleStep.objects.exists()


def test_the_browser_leaves_with_state_nonce_and_pkce_and_the_secret_stays(
    people: Any, settings: Any
) -> None:
    client = Client()
    asked = parse_qs(urlsplit(begin(client)).query)
    assert asked["redirect_uri"] == [f"{settings.BASE_URL}{BACK}"]
    assert (asked["scope"], asked["code_challenge_method"]) == (["openid email profile"], ["S256"])
    assert {len(asked[name][0]) for name in ("state", "nonce", "code_challenge")} == {43}
    cookie = client.cookies["google-step"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", BACK)
    step = GoogleStep.objects.get()
    assert asked["state"][0] not in str(vars(step))
    assert cookie.value not in str(vars(step))
    assert step.verifier not in str(asked)


def test_a_colleague_comes_in_is_linked_once_and_where_they_wanted_to(bea: User) -> None:
    client = Client()
    inside = come_back(BEA, client=client, onward="/leads?q=x")
    assert (inside.status_code, inside["Location"]) == (302, "/leads?q=x")
    assert client.get("/leads").status_code == 200
    linked = SocialAccount.objects.get()
    assert (linked.user, linked.provider, linked.extra_data) == (bea, "google", {})
    assert last_try() == (BEA, True, "")
    assert come_back(BEA)["Location"] == "/oggi"
    assert SocialAccount.objects.count() == 1
    with brand_scope.use(None):
        actions = set(AuditEntry.objects.filter(entity_id=bea.id).values_list("action", flat=True))
    assert actions == set()  # they stand in the person's brands
    assert not GoogleStep.objects.exists()


def test_what_happened_stands_in_the_record_of_the_brand(bea: User, vegliasi: Any) -> None:
    come_back(BEA)
    with brand_scope.use(vegliasi.id):
        told = list(
            AuditEntry.objects.filter(
                brand_id=vegliasi.id, entity_id=bea.id, action__in=["GOOGLE_LINKED", "LOGIN"]
            )
            .order_by("action")
            .values_list("action", flat=True)
        )
    assert told == ["GOOGLE_LINKED", "LOGIN"]


def test_the_account_is_the_one_that_was_linked_whatever_its_e_mail_is_now(
    bea: User, simulated: Running[Google]
) -> None:
    come_back(BEA)
    sub = SocialAccount.objects.get().uid
    renamed = [{"email": "bea.neri@altrove.example", "sub": sub}, *ACCOUNTS[1:]]
    simulated.set_knobs(accounts=renamed)
    assert come_back(BEA).status_code == 302
    # Another account of Google's that has her address now is not hers.
    simulated.set_knobs(accounts=[{"email": BEA, "sub": "4711"}, *ACCOUNTS[1:]])
    refused = come_back(BEA)
    assert (refused.status_code, "un altro account Google" in refused.content.decode()) == (401, True)
    assert last_try() == (BEA, False, "google: another account is linked")


def test_who_has_a_second_factor_is_still_asked_for_it(people: Any, clock: Clock) -> None:
    client = Client()
    asked = come_back(ADA, client=client, onward="/leads")
    page = asked.content.decode()
    # Under a stricter policy a browser sends a form without its origin, which is then refused as forged.
    assert asked["Referrer-Policy"] == "same-origin"
    assert (asked.status_code, "Codice di verifica" in page, Session.objects.count()) == (200, True, 0)
    assert last_try() == (ADA, False, "second factor asked")
    step = re.search(r'name="step" value="([^"]+)"', page)
    assert step
    wrong = client.post("/login/code", {"step": step[1], "code": "000000", "next": "/leads"})
    assert wrong.status_code == 401
    right = client.post("/login/code", {"step": step[1], "code": code(clock.now), "next": "/leads"})
    assert (right["Location"], client.get("/leads").status_code) == ("/leads", 200)


def test_an_administrator_without_a_second_factor_is_led_to_set_it_up(ada: User) -> None:
    from allauth.mfa.models import Authenticator

    Authenticator.objects.filter(user=ada).delete()
    client = Client()
    come_back(ADA, client=client)
    assert client.get("/leads")["Location"] == "/account/second-factor"


@pytest.mark.parametrize(
    ("fault", "reason", "says"),
    [
        ("unverified_email", "google: email not verified", "non ha verificato questo indirizzo"),
        ("no_email", "google: email not verified", "non ha verificato questo indirizzo"),
        ("wrong_nonce", "google: the token answers another question", "non ha confermato chi sei"),
        (
            "wrong_signature",
            "google: the token is not right: InvalidSignatureError",
            "non ha confermato chi sei",
        ),
        ("alg_none", "google: the token is signed in another way", "non ha confermato chi sei"),
        ("alg_hs256", "google: the token is signed in another way", "non ha confermato chi sei"),
        (
            "wrong_audience",
            "google: the token is not right: InvalidAudienceError",
            "non ha confermato chi sei",
        ),
        ("wrong_issuer", "google: the token is not right: InvalidIssuerError", "non ha confermato chi sei"),
        ("expired", "google: the token is not right: ExpiredSignatureError", "non ha confermato chi sei"),
        ("wrong_state", "google: unknown state", "non è partito da qui"),
    ],
)
def test_nobody_comes_in_on_a_word_that_is_not_googles(
    people: Any, simulated: Running[Google], fault: str, reason: str, says: str
) -> None:
    simulated.set_knobs(fault=fault)
    client = Client()
    refused = come_back(BEA, client=client)
    assert refused.status_code in (401, 403)
    assert says in refused.content.decode()
    assert last_try()[1:] == (False, reason)
    assert (Session.objects.count(), SocialAccount.objects.count()) == (0, 0)
    assert "auth-token" not in client.cookies
    simulated.set_knobs(fault="")
    assert come_back(BEA, client=client).status_code == 302


def test_a_state_is_good_once_in_its_own_browser_and_for_ten_minutes(people: Any, clock: Clock) -> None:
    client, thief = Client(), Client()
    told = picked(begin(client), BEA)
    ticket = client.cookies["google-step"].value
    assert client.get(BACK, told).status_code == 302
    client.cookies.clear()
    client.cookies["google-step"] = ticket
    again = client.get(BACK, told)
    assert (again.status_code, last_try()[2]) == (401, "google: unknown state")
    # A page that somebody else began: neither without a cookie nor with one of another beginning.
    others = picked(begin(client), BEA)
    assert thief.get(BACK, others).status_code == 401
    begin(thief)
    assert thief.get(BACK, picked(begin(client), BEA)).status_code == 401
    late = picked(begin(client), BEA)
    clock.now += timedelta(minutes=10, seconds=1)
    assert client.get(BACK, late).status_code == 401
    assert Session.objects.count() == 1
    begin(thief)
    clock.now += timedelta(minutes=11)
    assert google_accounts.tidy(clock.now) == GoogleStep.objects.count() + 2


def test_a_code_of_another_beginning_is_worth_nothing(people: Any) -> None:
    """What an attacker's own sign-in yields, put into somebody else's: PKCE and nonce are of another step."""
    client = Client()
    stolen = picked(begin(Client()), ADA)["code"]
    refused = client.get(BACK, picked(begin(client), BEA) | {"code": stolen})
    assert (refused.status_code, last_try()[2]) == (401, "google: /token answered 400")


def test_who_changes_their_mind_is_back_at_the_door(people: Any) -> None:
    refused = come_back("nobody")
    assert "non è stato scelto nessun account" in refused.content.decode()
    assert not GoogleStep.objects.exists()
    assert not LoginAttempt.objects.exists()


def test_a_closed_account_stays_closed_and_is_not_linked(bea: User) -> None:
    User.objects.filter(pk=bea.pk).update(is_active=False)
    refused = come_back(BEA)
    assert (refused.status_code, "Questo account è chiuso" in refused.content.decode()) == (403, True)
    assert last_try() == (BEA, False, "google: account disabled")
    assert not SocialAccount.objects.exists()


def test_whom_nobody_invited_gets_no_account(people: Any) -> None:
    before = User.objects.count()
    refused = come_back(DORA)
    assert (refused.status_code, "Chiedi un invito" in refused.content.decode()) == (403, True)
    assert last_try() == (DORA, False, "google: not invited")
    assert User.objects.count() == before


def test_an_invitation_of_that_e_mail_is_used_up(
    signed_in: Callable[[Any], Client], ada: User, vegliasi: Any, clock: Clock
) -> None:
    invite(signed_in(ada), DORA, "sales", "support")
    clock.now += timedelta(days=8)
    assert come_back(DORA).status_code == 403  # it was good for a week
    invite(signed_in(ada), DORA, "sales", "support")
    client = Client()
    assert come_back(DORA, client=client)["Location"] == "/oggi"
    dora = User.objects.get(email=DORA)
    assert (dora.name, dora.has_usable_password()) == ("Dora Viola", False)
    assert roles_in(vegliasi, dora) == ["sales", "support"]
    with brand_scope.use(vegliasi.id):
        assert Invitation.objects.get().accepted_at == clock.now
        assert set(UserRole.objects.filter(user=dora).values_list("granted_by", flat=True)) == {ada.pk}
    assert client.get("/leads").status_code == 200


def test_a_companys_accounts_are_let_in_by_what_google_says_of_them(
    signed_in: Callable[[Any], Client], ada: User, bea: User, vegliasi: Any, quadranorma: Any
) -> None:
    client = signed_in(ada)
    saved = client.post("/utenti/google", {"domains": "@StudioVerdi.example\n", "role": "support"})
    assert saved.status_code == 302
    page = client.get("/utenti").content.decode()
    assert "studioverdi.example</textarea>" in page
    assert '<option value="support" selected>' in page
    assert come_back(ENEA)["Location"] == "/oggi"
    enea = User.objects.get(email=ENEA)
    assert (roles_in(vegliasi, enea), roles_in(quadranorma, enea)) == (["support"], [])
    # The address alone is not the company's word: who left keeps it.
    assert come_back(FLORA).status_code == 403
    client.post("/utenti/google", {"domains": "", "role": "support"})
    User.objects.filter(pk=enea.pk).update(email="enea.di.prima@studioverdi.example")
    SocialAccount.objects.all().delete()
    assert come_back(ENEA).status_code == 403
    for domains, role in (("gmail.com", "sales"), ("niente", "sales"), ("studioverdi.example", "admin")):
        assert client.post("/utenti/google", {"domains": domains, "role": role}).status_code == 400
    assert signed_in(bea).post("/utenti/google", {"domains": "x.example", "role": "sales"}).status_code == 404


def test_who_registered_somebody_elses_address_does_not_wait_inside_for_them(
    program: Program, simulated: Running[Google]
) -> None:
    program("post", "/api/v1/auth/register", {"email": DORA, "password": PASSWORD, "first_name": "Ladra"})
    assert program.sign_in(DORA).json()["error"]["code"] == "EMAIL_NOT_VERIFIED"
    assert come_back(DORA)["Location"] == "/account"
    assert EmailAddress.objects.get(email=DORA).verified
    assert program.sign_in(DORA).json()["error"]["code"] == "INVALID_CREDENTIALS"


def test_while_google_is_away_the_password_still_opens(
    people: Any, simulated: Running[Google], monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    address = begin(client)
    told = picked(address, BEA)
    simulated.set_knobs(down=True, down_how="503")
    away = client.get(BACK, told)
    assert (away.status_code, "Google non risponde" in away.content.decode()) == (503, True)
    monkeypatch.setattr(google, "_known", {})
    assert client.get(START).status_code == 503
    assert client.post("/login", {"email": BEA, "password": PASSWORD})["Location"] == "/oggi"
    simulated.set_knobs(down=False, next_responses=[{"endpoint": "discovery", "garbage": "json"}])
    assert client.get(START).status_code == 503
    simulated.set_knobs(next_responses=[{"endpoint": "certs", "garbage": True}])
    assert come_back(BEA).status_code == 503


def test_an_internal_address_is_not_asked_unless_the_house_says_so(
    people: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ALLOW_PRIVATE_PROVIDERS = False
    monkeypatch.setattr(google, "_known", {})
    assert Client().get(START).status_code == 503


def test_twenty_bad_returns_close_the_door_to_their_address_and_no_account(people: Any) -> None:
    client = Client()
    for _try in range(20):
        client.get(BACK, {"state": "x", "code": "y"})
    assert come_back(BEA, client=client).status_code == 429
    assert LoginAttempt.objects.filter(failure_reason="too many attempts").count() == 1
    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    assert come_back(BEA, client=elsewhere).status_code == 302


def test_what_is_secret_travels_in_no_log(people: Any, simulated: Running[Google]) -> None:
    come_back(BEA)
    asked = simulated.received("/token")[0]
    assert asked["headers"]["authorization"].endswith("…")
    assert simulated.simulator.knobs.client_secret not in str(simulated.log)
