"""The second factor: set up, asked for, used once, required of who may take data out (IDN-22, IDN-23, IDN-43)."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client

from filiera.identity import second_factor, totp
from filiera.identity.models import Session, User, UserRole
from filiera.platform import brand_scope
from tests.identity.conftest import PASSWORD, Clock, Program
from tests.signing_in import SECRET, code

ADA, BEA = "ada@vegliasi.example", "bea@vegliasi.example"


def code_of(secret: str, clock: Clock, steps: int = 0) -> str:
    return totp.code_at(secret, totp.step_at(clock.now.timestamp()) + steps)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_the_codes_are_those_of_rfc_6238(seconds: int, shown: str) -> None:
    assert totp.code_at("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", totp.step_at(seconds)) == shown


def set_up(program: Program, clock: Clock) -> tuple[str, list[str]]:
    """Turn the second factor on; return its secret and the recovery codes."""
    secret = program("post", "/api/v1/auth/mfa/setup").json()["data"]["secret"]
    answer = program("post", "/api/v1/auth/mfa/enable", {"code": code_of(secret, clock)})
    return secret, answer.json()["data"]["backup_codes"]


def test_setting_up_counts_with_the_first_code_and_gives_ten_recovery_codes(
    program: Program, clock: Clock
) -> None:
    program.sign_in(BEA)
    setup = program("post", "/api/v1/auth/mfa/setup").json()["data"]
    assert setup["otpauth_url"].startswith("otpauth://totp/bea%40vegliasi.example?secret=" + setup["secret"])
    assert setup["qr_svg"].startswith("<svg")
    assert "style" not in setup["qr_svg"]
    assert program.sign_in(BEA).status_code == 200  # not yet on
    wrong = program("post", "/api/v1/auth/mfa/enable", {"code": "000000"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    secret, codes = set_up(program, clock)
    assert secret == setup["secret"]
    assert len(set(codes)) == 10
    assert {len(one) for one in codes} == {10}
    assert program("get", "/api/v1/users/me").json()["data"]["mfa_enabled"] is True
    assert program("post", "/api/v1/auth/mfa/setup").json()["error"]["code"] == "MFA_ALREADY_ENABLED"
    stored = str(list(Authenticator.objects.filter(user__email=BEA).values_list("data", flat=True)))
    assert secret not in stored
    assert not [one for one in codes if one in stored]


def test_signing_in_asks_for_a_code_and_takes_each_step_once(program: Program, clock: Clock) -> None:
    program.sign_in(BEA)
    secret, _codes = set_up(program, clock)
    asked = program.sign_in(BEA)
    assert (asked.status_code, asked.json()["error"]["code"]) == (401, "MFA_REQUIRED")
    used = program.sign_in(BEA, totp=code_of(secret, clock))  # the one it was set up with
    assert (used.status_code, used.json()["error"]["code"]) == (401, "INVALID_CREDENTIALS")
    assert program.sign_in(BEA, totp=code_of(secret, clock, 1)).status_code == 200
    assert program.sign_in(BEA, totp=code_of(secret, clock, 1)).status_code == 401
    assert program.sign_in(BEA, totp=code_of(secret, clock, -2)).status_code == 401
    clock.now += timedelta(seconds=60)
    assert program.sign_in(BEA, totp=code_of(secret, clock, -1)).status_code == 401  # used as the one after
    assert program.sign_in(BEA, totp=code_of(secret, clock)).status_code == 200


def test_a_recovery_code_is_good_once(program: Program, clock: Clock) -> None:
    program.sign_in(BEA)
    _secret, codes = set_up(program, clock)
    assert program.sign_in(BEA, totp=codes[3].upper()).status_code == 200
    assert program.sign_in(BEA, totp=codes[3]).status_code == 401
    renewed = program("post", "/api/v1/auth/mfa/backup-codes", {"code": codes[4]}).json()["data"][
        "backup_codes"
    ]
    assert len(renewed) == 10
    assert program.sign_in(BEA, totp=codes[5]).status_code == 401
    assert program.sign_in(BEA, totp=renewed[0]).status_code == 200


def test_wrong_codes_close_the_door_like_wrong_passwords(program: Program, clock: Clock) -> None:
    program.sign_in(BEA)
    secret, _codes = set_up(program, clock)
    clock.now += timedelta(seconds=1)
    for _try in range(5):
        assert program.sign_in(BEA, totp="000000").status_code == 401
    assert program.sign_in(BEA, totp=code_of(secret, clock, 1)).status_code == 429
    inside = program("post", "/api/v1/auth/mfa/backup-codes", {"code": code_of(secret, clock, 1)})
    assert inside.status_code == 429


def test_the_second_factor_is_turned_off_with_a_code_where_no_role_asks_for_it(
    program: Program, clock: Clock
) -> None:
    program.sign_in(BEA)
    secret, _codes = set_up(program, clock)
    assert program("post", "/api/v1/auth/mfa/disable", {"code": "000000"}).status_code == 400
    assert program("post", "/api/v1/auth/mfa/disable", {"code": code_of(secret, clock, 1)}).status_code == 200
    assert program.sign_in(BEA).status_code == 200
    program.sign_in(ADA, totp=code(clock.now))
    refused = program("post", "/api/v1/auth/mfa/disable", {"code": totp.code_at(SECRET, 0)})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "MFA_REQUIRED")


def test_an_administrator_without_one_is_led_to_set_it_up_and_gets_nothing_else(
    program: Program, ada: User, signed_in: Callable[[User], Client], clock: Clock
) -> None:
    Authenticator.objects.filter(user=ada).delete()
    client = signed_in(ada)
    for address in ("/oggi", "/leads", "/account", "/sources", "/developers/api-keys", "/nowhere-at-all"):
        answer = client.get(address)
        assert answer.headers.get("Location") == "/account/second-factor" or answer.status_code == 404, (
            address
        )
    assert client.get("/leads")["Location"] == "/account/second-factor"
    for address in ("/api/v1/leads", "/api/v1/users/me", "/api/leads", "/api/v1/capture/sources"):
        answer = client.get(address)
        assert answer.status_code == 403, address
    program.sign_in(ADA)
    assert program("get", "/api/v1/leads").json()["error"]["code"] == "MFA_SETUP_REQUIRED"
    page = client.get("/account/second-factor").content.decode()
    assert "<svg" in page
    secret = re.search(r"<code>(\w+)</code>", page)
    assert secret
    saved = client.post("/account/second-factor", {"code": code_of(secret[1], clock)})
    assert len(re.findall(r"<li><code>\w{10}</code></li>", saved.content.decode())) == 10
    assert client.get("/leads").status_code == 200
    assert program("get", "/api/v1/leads").status_code == 200


def test_a_role_that_asks_for_one_counts_from_any_brand(
    bea: User, quadranorma: Any, signed_in: Callable[[User], Client]
) -> None:
    client = signed_in(bea)
    assert client.get("/oggi").status_code == 200
    with brand_scope.use(quadranorma.id):
        UserRole.objects.create(user=bea, role="admin")
    assert client.get("/oggi")["Location"] == "/account/second-factor"


def test_only_who_must_have_a_second_factor_may_export(program: Program, clock: Clock) -> None:
    program.sign_in(BEA)
    assert program("get", "/api/v1/routing/export").status_code == 403
    program.sign_in(ADA, totp=code(clock.now))
    assert program("get", "/api/v1/routing/export").status_code == 200
    assert not second_factor.is_required_of(["sales", "support", "editor", "customer"])
    assert second_factor.is_required_of(["admin"])
    assert second_factor.is_required_of(["super_admin"])


def test_the_browser_is_asked_on_a_page_of_its_own(people: Any, clock: Clock) -> None:
    client = Client()
    form = {"email": ADA, "password": PASSWORD, "next": "/leads"}
    page = client.post("/login", form)
    assert "auth-token" not in page.cookies
    step = re.search(r'name="step" value="([^"]+)"', page.content.decode())
    assert step
    again = client.post("/login/code", {"step": step[1], "code": "000000", "next": "/leads"})
    assert (again.status_code, "Puoi riprovare altre 4 volte" in again.content.decode()) == (401, True)
    forged = client.post("/login/code", {"step": step[1] + "x", "code": code(clock.now)})
    assert (forged.status_code, Session.objects.count()) == (401, 0)
    assert client.post("/login/code", {"step": step[1], "code": code(clock.now), "next": "/leads"})[
        "Location"
    ] == ("/leads")
    assert client.get("/leads").status_code == 200


def test_the_browsers_door_in_json_asks_too(people: Any, clock: Clock) -> None:
    client = Client()
    body = {"email": ADA, "password": PASSWORD}
    asked = client.post("/api/auth/login", body, content_type="application/json")
    assert (asked.status_code, asked.json()["code"]) == (401, "MFA_REQUIRED")
    given = client.post("/api/auth/login", body | {"totp": code(clock.now)}, content_type="application/json")
    assert (given.status_code, given.cookies["auth-token"]["httponly"]) == (200, True)
