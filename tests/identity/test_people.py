"""Inviting people, their roles, closing them out, and why one may what (IDN-36, IDN-37, IDN-38)."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from filiera.identity import colleagues, permissions, words
from filiera.identity.models import ClosedAccess, Invitation, OutgoingEmail, Role, Session, User, UserRole
from filiera.platform import brand_scope
from tests.identity.conftest import PASSWORD, Clock, Program
from tests.signing_in import code, give_second_factor

SignedIn = Callable[[Any], Client]


def link_of_the_last_letter(brand: Any) -> str:
    with brand_scope.use(brand.id):
        letter = OutgoingEmail.objects.filter(kind="identity.invitation").latest("created_at")
    found = re.search(r"/invito/[\w-]+", letter.body_text)
    assert found
    return found[0]


def roles_in(brand: Any, user: Any) -> list[str]:
    with brand_scope.use(brand.id):
        return sorted(UserRole.objects.filter(user=user).values_list("role", flat=True))


def invite(client: Client, email: str, *roles: str) -> Any:
    return client.post("/utenti/invita", {"email": email, "role": roles})


def test_an_invited_person_chooses_name_and_password_and_comes_in(
    signed_in: SignedIn, ada: Any, vegliasi: Any
) -> None:
    assert invite(signed_in(ada), "Dora@posta.example", "sales", "support").status_code == 302
    link, guest = link_of_the_last_letter(vegliasi), Client()
    with brand_scope.use(vegliasi.id):
        assert link.rpartition("/")[2] not in str(Invitation.objects.values().get())
    shown = guest.get(link)
    assert "Ti invita Ada Rossi" in shown.content.decode()
    assert shown["Referrer-Policy"] == "same-origin"  # a stricter one takes the origin off a browser's form
    short = guest.post(link, {"name": "Dora Viola", "password": "corta"})
    common = guest.post(link, {"name": "Dora Viola", "password": "password123"})
    assert (
        short.status_code,
        common.status_code,
        User.objects.filter(email="dora@posta.example").count(),
    ) == (400, 400, 0)
    answer = guest.post(link, {"name": "Dora Viola", "password": PASSWORD})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/oggi")
    assert guest.get("/leads").status_code == 200
    dora = User.objects.get(email="dora@posta.example")
    assert roles_in(vegliasi, dora) == ["sales", "support"]
    with brand_scope.use(vegliasi.id):
        assert UserRole.objects.get(user=dora, role="sales").granted_by == ada
    assert Client().post(link, {"name": "Ladra", "password": PASSWORD}).status_code == 410


def test_an_invitation_ends_after_a_week_by_a_newer_one_or_when_taken_back(
    signed_in: SignedIn, ada: Any, vegliasi: Any, clock: Clock
) -> None:
    client, guest = signed_in(ada), Client()
    invite(client, "dora@posta.example", "sales")
    first = link_of_the_last_letter(vegliasi)
    clock.now += timedelta(days=6)
    client = signed_in(ada)
    invite(client, "dora@posta.example", "support")
    second = link_of_the_last_letter(vegliasi)
    assert (guest.get(first).status_code, guest.get(second).status_code) == (410, 200)
    with brand_scope.use(vegliasi.id):
        waiting = Invitation.objects.get()
    client.post(f"/utenti/inviti/{waiting.pk}/ritira")
    assert guest.get(second).status_code == 410
    invite(client, "dora@posta.example", "support")
    third = link_of_the_last_letter(vegliasi)
    clock.now += timedelta(days=7, seconds=1)
    assert guest.get(third).status_code == 410
    assert guest.get("/invito/" + "0" * 75).status_code == 410


def test_who_has_an_account_elsewhere_accepts_and_nobody_learns_it_before(
    signed_in: SignedIn, ada: Any, carl: Any, vegliasi: Any, quadranorma: Any
) -> None:
    client = signed_in(ada)
    assert invite(client, carl.email, "support").status_code == 302
    page = client.get("/utenti").content.decode()
    assert carl.email in page
    assert carl.name not in page
    assert roles_in(vegliasi, carl) == []
    link, guest = link_of_the_last_letter(vegliasi), Client()
    answer = guest.post(link, {"name": "Altro", "password": "un-altra-parola"})
    assert answer.headers["Location"] == "/login"
    assert guest.get("/leads").status_code == 302
    carl.refresh_from_db()
    assert (carl.name, carl.check_password(PASSWORD), roles_in(vegliasi, carl)) == (
        "Carl Blu",
        True,
        ["support"],
    )
    assert roles_in(quadranorma, carl) == ["admin"]


def test_the_text_of_an_invitation_is_not_kept_once_it_left(
    signed_in: SignedIn, ada: Any, vegliasi: Any
) -> None:
    from filiera.identity import emails

    invite(signed_in(ada), "dora@posta.example", "sales")
    [letter] = emails.claim(vegliasi.id, now=timezone.now() + timedelta(minutes=1))
    assert "/invito/" in letter.body_text
    emails.sent(letter, now=timezone.now())
    with brand_scope.use(vegliasi.id):
        assert OutgoingEmail.objects.get(pk=letter.pk).body_text == ""


def test_roles_change_at_the_next_request(signed_in: SignedIn, ada: Any, bea: Any, vegliasi: Any) -> None:
    beas = signed_in(bea)
    assert (beas.get("/leads").status_code, beas.get("/sources").status_code) == (200, 404)
    signed_in(ada).post(f"/utenti/{bea.pk}/ruoli", {"role": ["editor"]})
    assert (beas.get("/leads").status_code, roles_in(vegliasi, bea)) == (404, ["editor"])
    refused = signed_in(ada).post(f"/utenti/{bea.pk}/ruoli", {"role": []})
    assert (refused.status_code, roles_in(vegliasi, bea)) == (400, ["editor"])


def test_who_is_closed_out_is_out_at_once_and_comes_back_with_the_same_roles(
    signed_in: SignedIn, ada: Any, bea: Any, vegliasi: Any, quadranorma: Any
) -> None:
    with brand_scope.use(quadranorma.id):
        UserRole.objects.create(user=bea, role="support")
    beas, admin = signed_in(bea), signed_in(ada)
    assert beas.get("/leads").status_code == 200
    admin.post(f"/utenti/{bea.pk}/accesso", {"on": "off"})
    assert beas.get("/leads").status_code == 302
    assert (roles_in(vegliasi, bea), roles_in(quadranorma, bea)) == ([], ["support"])
    bea.refresh_from_db()
    assert bea.is_active
    assert "Chiuso fuori" in admin.get("/utenti").content.decode()
    admin.post(f"/utenti/{bea.pk}/accesso", {"on": "on"})
    assert (roles_in(vegliasi, bea), signed_in(bea).get("/board").status_code) == (["sales"], 200)


def test_an_administrator_ends_all_sessions_of_a_person(signed_in: SignedIn, ada: Any, bea: Any) -> None:
    devices = [signed_in(bea), signed_in(bea)]
    page = signed_in(ada).post(f"/utenti/{bea.pk}/sessioni", follow=True).content.decode()
    assert "2 accessi chiusi" in page
    assert [device.get("/oggi").status_code for device in devices] == [302, 302]
    assert not Session.objects.filter(user=bea, revoked_at=None).exists()


@pytest.mark.parametrize("how", ["roles", "close", "leave"])
def test_the_last_administrator_stays(
    how: str, signed_in: SignedIn, program: Program, ada: Any, bea: Any, vegliasi: Any
) -> None:
    client = signed_in(ada)
    if how == "roles":
        answer = client.post(f"/utenti/{ada.pk}/ruoli", {"role": ["sales"]})
    elif how == "close":
        answer = client.post(f"/utenti/{ada.pk}/accesso", {"on": "off"})
    else:
        program.sign_in(ada.email, totp=code(timezone.now()))
        answer = program("delete", "/api/v1/users/me", {"password": PASSWORD})
    assert answer.status_code == 409
    assert roles_in(vegliasi, ada) == ["admin"]
    ada.refresh_from_db()
    assert ada.is_active


def test_only_who_administers_all_gives_or_takes_that_role(
    signed_in: SignedIn, ada: Any, bea: Any, vegliasi: Any
) -> None:
    admin = signed_in(ada)
    assert admin.post(f"/utenti/{bea.pk}/ruoli", {"role": ["super_admin"]}).status_code == 404
    assert invite(admin, "dora@posta.example", "super_admin").status_code == 404
    with brand_scope.use(vegliasi.id):
        UserRole.objects.create(user=bea, role="super_admin")
    give_second_factor(bea)
    assert admin.post(f"/utenti/{bea.pk}/ruoli", {"role": ["sales"]}).status_code == 404
    assert admin.post(f"/utenti/{bea.pk}/accesso", {"on": "off"}).status_code == 404
    assert roles_in(vegliasi, bea) == ["sales", "super_admin"]
    signed_in(bea).post(f"/utenti/{ada.pk}/ruoli", {"role": ["super_admin"]})
    assert roles_in(vegliasi, ada) == ["super_admin"]


def test_a_brand_grants_a_permission_to_a_role_on_the_page(
    signed_in: SignedIn, ada: Any, bea: Any, vegliasi: Any
) -> None:
    beas = signed_in(bea)
    assert beas.get("/sources").status_code == 404
    signed_in(ada).post(
        "/utenti/permessi", {"grant": ["sales:manage_intake", "sales:*", "guest:manage_routing"]}
    )
    assert (beas.get("/sources").status_code, beas.get("/api/v1/capture/queue").status_code) == (200, 200)
    vegliasi.refresh_from_db()
    assert vegliasi.role_grants == {"sales": ["manage_intake"]}
    page = signed_in(ada).get(f"/utenti/{bea.pk}").content.decode()
    assert "il marchio lo concede a questo ruolo: Ada Rossi" in page
    signed_in(ada).post("/utenti/permessi", {"grant": []})
    assert beas.get("/sources").status_code == 404


def test_the_page_says_why_by_role_inheritance_and_who_gave_it(
    signed_in: SignedIn, ada: Any, bea: Any, vegliasi: Any
) -> None:
    with brand_scope.use(vegliasi.id):
        UserRole.objects.create(user=bea, role="support", granted_by=ada)
        why = {reason.permission: reason.ways for reason in colleagues.reasons(bea, vegliasi)}
    assert set(why) == permissions.of_roles(["sales", "support"])
    [blog] = [way for way in why["view_blog"] if way.role == "support"]
    assert (blog.chain, blog.by) == ("Assistenza ← Cliente ← Ospite", "Ada Rossi")
    assert [(way.role, way.by) for way in why["view_contacts"]] == [("sales", ""), ("support", "Ada Rossi")]
    page = signed_in(ada).get(f"/utenti/{bea.pk}").content.decode()
    assert "Assistenza ← Cliente ← Ospite" in page
    assert "fissare appuntamenti" in page


def test_every_role_and_permission_has_words() -> None:
    assert set(words.of_permissions()) == permissions.NAMED | {"*"}
    assert set(words.of_roles()) == set(Role)


def test_people_over_the_api(program: Program, ada: Any, bea: Any, carl: Any, vegliasi: Any) -> None:
    program.sign_in(ada.email, totp=code(timezone.now()))
    listed = program("get", "/api/v1/admin/users").json()
    assert [(one["email"], one["roles"], one["status"]) for one in listed["data"]] == [
        (ada.email, ["admin"], "active"),
        (bea.email, ["sales"], "active"),
    ]
    made = program("post", "/api/v1/admin/users", {"email": "dora@posta.example", "roles": ["sales"]})
    assert (made.status_code, made.json()["data"]["status"]) == (201, "invited")
    again = program("post", "/api/v1/admin/users", {"email": bea.email, "roles": ["sales"]})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "EMAIL_TAKEN")
    roles = program("post", f"/api/v1/admin/users/{bea.pk}/roles", {"roles": ["support", "sales"]})
    assert roles.json()["data"]["roles"] == ["sales", "support"]
    unknown = program("post", f"/api/v1/admin/users/{bea.pk}/roles", {"roles": ["king"]})
    assert (unknown.status_code, list(unknown.json()["error"]["details"])) == (400, ["roles"])
    closed = program("patch", f"/api/v1/admin/users/{bea.pk}", {"is_active": False})
    assert (closed.json()["data"]["status"], roles_in(vegliasi, bea)) == ("closed", [])
    assert program("patch", f"/api/v1/admin/users/{carl.pk}", {"is_active": False}).status_code == 404
    last = program("patch", f"/api/v1/admin/users/{ada.pk}", {"is_active": False})
    assert (last.status_code, last.json()["error"]["code"]) == (409, "LAST_ADMIN")


def test_brands_over_the_api(program: Program, ada: Any, vegliasi: Any, quadranorma: Any) -> None:
    program.sign_in(ada.email, totp=code(timezone.now()))
    assert [one["slug"] for one in program("get", "/api/v1/brands").json()["data"]] == ["vegliasi"]
    assert program("post", "/api/v1/brands/select", {"brand_id": str(quadranorma.pk)}).status_code == 404
    changed = program("patch", f"/api/v1/brands/{vegliasi.pk}", {"tagline": "Sempre vicini"})
    assert changed.json()["data"]["tagline"] == "Sempre vicini"
    assert program("patch", f"/api/v1/brands/{vegliasi.pk}", {"accent": "rosso"}).status_code == 400
    assert program("patch", f"/api/v1/brands/{quadranorma.pk}", {"name": "Mia"}).status_code == 404
    with brand_scope.use(quadranorma.id):
        UserRole.objects.create(user=ada, role="support")
    assert program("post", "/api/v1/brands/select", {"brand_id": str(quadranorma.pk)}).status_code == 200
    me = program("get", "/api/v1/users/me").json()["data"]
    assert "manage_users" not in me["permissions"]


ACT = """
import django, sys, time
django.setup()
from django.utils import timezone
from filiera.identity import people, queries
from filiera.identity.models import User
from filiera.platform import brand_scope
me, brand = User.objects.get(email=sys.argv[1]), sys.argv[2]
principal = queries.principal_of(me)
print("ready", flush=True)
sys.stdin.readline()
try:
    with brand_scope.use(brand):
        people.close_access(principal=principal, user_id=me.id, now=timezone.now())
except people.LastAdministrator:
    print("refused")
else:
    print("done")
"""


@pytest.mark.django_db(transaction=True)
def test_two_administrators_who_leave_at_once_leave_one(ada: Any, bea: Any, vegliasi: Any) -> None:
    with brand_scope.use(vegliasi.id):
        UserRole.objects.create(user=bea, role="admin")
    acting = [
        subprocess.Popen(
            [sys.executable, "-c", ACT, user.email, str(vegliasi.id)],
            env=dict(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for user in (ada, bea)
    ]
    for one in acting:
        assert one.stdout
        assert one.stdout.readline() == "ready\n"
    for one in acting:
        assert one.stdin
        one.stdin.write("now\n")
        one.stdin.flush()
    assert sorted(one.communicate(timeout=60)[0] for one in acting) == ["done\n", "refused\n"]
    with brand_scope.use(vegliasi.id):
        assert UserRole.objects.filter(role="admin").count() == 1
        assert ClosedAccess.objects.count() == 1
