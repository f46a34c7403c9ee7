"""Opening an account, proving its address, a forgotten password (IDN-10, IDN-24, IDN-25, IDN-38)."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from filiera.identity.models import AuthToken, OutgoingEmail, Session, User
from filiera.platform import brand_scope
from tests.identity.conftest import PASSWORD, Clock, Program

BEA = "bea@vegliasi.example"
NEW = {
    "email": "Nuova@Posta.example",
    "password": "tre-gatti-viola",
    "first_name": "Nuova",
    "last_name": "Persona",
}


@pytest.fixture
def letters(vegliasi: Any) -> Callable[[], list[OutgoingEmail]]:
    """Return what was written so far."""

    def written() -> list[OutgoingEmail]:
        with brand_scope.use(vegliasi.id):
            return list(OutgoingEmail.objects.order_by("created_at", "id"))

    return written


def token_in(letter: OutgoingEmail) -> str:
    found = re.search(r"\?token=([\w-]+)", letter.body_text)
    assert found, letter.body_text
    return found[1]


def test_a_registered_person_signs_in_once_the_address_is_proven(program: Program, letters: Any) -> None:
    made = program("post", "/api/v1/auth/register", NEW)
    assert (made.status_code, made.json()["data"]["email"]) == (201, "nuova@posta.example")
    refused = program.sign_in("nuova@posta.example", NEW["password"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "EMAIL_NOT_VERIFIED")
    assert program.sign_in("nuova@posta.example", "no").json()["error"]["code"] == "INVALID_CREDENTIALS"
    [letter] = letters()
    token = token_in(letter)
    assert not AuthToken.objects.filter(token_hash__contains=token).exists()
    assert program("post", "/api/v1/auth/verify-email", {"token": token}).status_code == 200
    assert (
        program("post", "/api/auth/verify-email", {"token": token}).json()["error"]["code"] == "INVALID_TOKEN"
    )
    assert program.sign_in("nuova@posta.example", NEW["password"]).status_code == 200
    me = program("get", "/api/v1/users/me").json()["data"]
    assert (me["email_verified"], me["name"], me["brands"]) == (True, "Nuova Persona", [])


def test_a_verification_ends_after_a_day(program: Program, letters: Any, clock: Clock) -> None:
    program("post", "/api/v1/auth/register", NEW)
    clock.now += timedelta(hours=24, seconds=1)
    late = program("post", "/api/v1/auth/verify-email", {"token": token_in(letters()[0])})
    assert (late.status_code, late.json()["error"]["code"]) == (400, "INVALID_TOKEN")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"password": "corta"}, "password"),
        ({"password": "password123"}, "password"),
        ({"email": "nessuno"}, "email"),
        ({"email": "a\u0000@posta.example"}, "given.email"),
    ],
)
def test_what_is_wrong_is_named_and_nobody_is_made(
    program: Program, changes: dict[str, str], field: str
) -> None:
    before = User.objects.count()
    refused = program("post", "/api/v1/auth/register", NEW | changes)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (400, "VALIDATION_ERROR")
    assert [*error["details"]] == [field]
    assert User.objects.count() == before


def test_a_taken_address_is_refused(program: Program) -> None:
    refused = program("post", "/api/v1/auth/register", NEW | {"email": BEA.upper()})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "EMAIL_TAKEN")


def test_a_forgotten_password_gets_the_same_answer_for_every_address(
    program: Program, letters: Any, run_jobs: Callable[[], int]
) -> None:
    answers = [
        program("post", "/api/v1/auth/forgot-password", {"email": email}, token="")
        for email in (BEA, "nobody@vegliasi.example", "kein Name")
    ]
    assert {answer.status_code for answer in answers} == {202}
    assert len({str(answer.json()["data"]) for answer in answers}) == 1
    assert letters() == []  # whether there is somebody is looked up by a job
    run_jobs()
    assert [letter.to_address for letter in letters()] == [BEA]


def test_a_reset_ends_every_session_and_its_link_is_good_once(
    beas_program: Program,
    bea: User,
    letters: Any,
    run_jobs: Callable[[], int],
    signed_in: Callable[[User], Client],
) -> None:
    browser = signed_in(bea)
    for _twice in range(2):
        beas_program("post", "/api/v1/auth/forgot-password", {"email": BEA})
    run_jobs()
    first, second = (token_in(letter) for letter in letters())
    weak = beas_program("post", "/api/v1/auth/reset-password", {"token": first, "password": "corta"})
    assert weak.json()["error"]["code"] == "VALIDATION_ERROR"
    done = beas_program(
        "post", "/api/v1/auth/reset-password", {"token": first, "password": "sei-cavalli-verdi"}
    )
    assert done.status_code == 200
    assert not beas_program.works()
    assert browser.get("/oggi").status_code == 302
    assert not Session.objects.filter(user=bea, revoked_at=None).exists()
    for token in (first, second, "", "x"):
        again = beas_program(
            "post", "/api/v1/auth/reset-password", {"token": token, "password": "otto-cavalli-blu"}
        )
        assert (again.status_code, again.json()["error"]["code"]) == (400, "INVALID_TOKEN")
    assert beas_program.sign_in(BEA).status_code == 401
    assert beas_program.sign_in(BEA, "sei-cavalli-verdi").status_code == 200


def test_a_reset_ends_after_an_hour(
    program: Program, letters: Any, run_jobs: Callable[[], int], clock: Clock
) -> None:
    program("post", "/api/v1/auth/forgot-password", {"email": BEA})
    run_jobs()
    clock.now += timedelta(hours=1, seconds=1)
    late = program(
        "post", "/api/v1/auth/reset-password", {"token": token_in(letters()[0]), "password": PASSWORD}
    )
    assert late.json()["error"]["code"] == "INVALID_TOKEN"


def test_nobodys_mailbox_is_flooded(program: Program, letters: Any, run_jobs: Callable[[], int]) -> None:
    for _try in range(7):
        program("post", "/api/v1/auth/forgot-password", {"email": BEA})
        run_jobs()
    assert len(letters()) == 5


def test_the_whole_story_on_pages(people: Any, letters: Any, run_jobs: Callable[[], int]) -> None:
    client = Client()
    assert "Password dimenticata" in client.get("/account/forgotten").content.decode()
    told = client.post("/account/register", NEW).content.decode()
    assert "Ti abbiamo scritto" in told
    token = token_in(letters()[0])
    assert "Conferma" in client.get("/account/verify", {"token": token}).content.decode()
    assert "Ora puoi entrare" in client.post("/account/verify", {"token": token}).content.decode()
    assert client.post("/account/verify", {"token": token}).status_code == 400
    inside = client.post("/login", {"email": NEW["email"], "password": NEW["password"]})
    assert inside["Location"] == "/account"
    assert "Nessun marchio ti ha ancora dato accesso" in client.get("/account").content.decode()
    client.post("/account/forgotten", {"email": NEW["email"]})
    run_jobs()
    token = token_in(letters()[-1])
    assert "Nuova password" in client.get("/account/reset", {"token": token}).content.decode()
    assert client.get("/account/reset", {"token": "x"}).status_code == 400
    weak = client.post("/account/reset", {"token": token, "password": "corta"})
    assert weak.status_code == 400
    assert (
        "Password cambiata"
        in client.post("/account/reset", {"token": token, "password": "sei-cavalli-verdi"}).content.decode()
    )
    assert client.get("/account")["Location"] == "/login?next=/account"


def test_devices_are_shown_and_signed_out_on_a_page(bea: User, signed_in: Callable[[User], Client]) -> None:
    client, phone, other = signed_in(bea), signed_in(bea), signed_in(bea)
    page = client.get("/account").content.decode()
    assert page.count("Fai uscire") >= 3
    theirs = Session.objects.filter(user=bea).order_by("created_at")[1]
    client.post(f"/account/sessions/{theirs.pk}/end")
    assert phone.get("/oggi").status_code == 302
    assert other.get("/oggi").status_code == 200
    client.post("/account/sessions/end")
    assert other.get("/oggi").status_code == 302
    assert client.get("/oggi").status_code == 200
