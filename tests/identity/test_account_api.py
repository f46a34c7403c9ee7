"""GET, PATCH and DELETE /users/me (IDN-09, IDN-11, IDN-35, IDN-37)."""

from typing import Any

from django.utils import timezone

from filiera.identity.models import Session, User, UserRole
from filiera.platform import brand_scope
from tests.identity.conftest import PASSWORD, Program
from tests.signing_in import code


def test_a_person_reads_who_they_are_and_what_they_may(beas_program: Program, bea: User) -> None:
    me = beas_program("get", "/api/v1/users/me").json()["data"]
    assert (me["id"], me["email"], me["name"]) == (str(bea.id), bea.email, "Bea Neri")
    assert me["profile"]["language"] == "it_IT"
    assert me["profile"]["timezone"] == "Europe/Rome"
    assert set(me["profile"]["billing_address"]) == {"street", "city", "zip", "province", "country"}
    assert [(brand["slug"], brand["roles"]) for brand in me["brands"]] == [("vegliasi", ["sales"])]
    assert "manage_deals" in me["permissions"]
    assert "manage_users" not in me["permissions"]


def test_a_person_changes_what_they_send_and_nothing_else(beas_program: Program, bea: User) -> None:
    profile = {"first_name": "Bea", "sdi_code": "M5UXCR1", "billing_address": {"city": "Mirano"}}
    beas_program("patch", "/api/v1/users/me", {"profile": profile})
    changed = beas_program("patch", "/api/v1/users/me", {"name": "Bea N.", "profile": {"language": "en_US"}})
    me = changed.json()["data"]
    assert (me["name"], me["profile"]["first_name"], me["profile"]["sdi_code"]) == (
        "Bea N.",
        "Bea",
        "M5UXCR1",
    )
    assert me["profile"]["billing_address"]["city"] == "Mirano"
    assert User.objects.get(pk=bea.pk).language == "en"
    wrong = beas_program("patch", "/api/v1/users/me", {"profile": {"timezone": "Mars/Olympus"}})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


def test_closing_ones_account_needs_the_password_and_ends_every_session(
    beas_program: Program, bea: User
) -> None:
    refused = beas_program("delete", "/api/v1/users/me", {"password": "no"})
    assert (refused.status_code, User.objects.get(pk=bea.pk).is_active) == (400, True)
    assert beas_program("delete", "/api/v1/users/me", {"password": PASSWORD}).status_code == 200
    closed = User.objects.get(pk=bea.pk)
    assert (closed.is_active, closed.deleted_at is not None) == (False, True)
    assert not Session.objects.filter(user=bea, revoked_at=None).exists()
    assert not beas_program.works()
    assert beas_program.sign_in(bea.email).json()["error"]["code"] == "ACCOUNT_DISABLED"


def test_the_last_administrator_of_a_brand_cannot_leave(program: Program, people: Any, vegliasi: Any) -> None:
    program.sign_in(people.ada.email, totp=code(timezone.now()))
    refused = program("delete", "/api/v1/users/me", {"password": PASSWORD})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "LAST_ADMIN")
    with brand_scope.use(vegliasi.id):
        UserRole.objects.create(user=people.bea, role="admin")
    assert program("delete", "/api/v1/users/me", {"password": PASSWORD}).status_code == 200


def test_a_person_without_a_role_reads_themselves_and_no_lead(program: Program) -> None:
    User.objects.create_user("nuova@posta.example", PASSWORD, name="Nuova")
    program.sign_in("nuova@posta.example")
    me = program("get", "/api/v1/users/me").json()["data"]
    assert (me["brands"], me["permissions"]) == ([], [])
    assert not program.works()
