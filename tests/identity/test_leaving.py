"""Closing one's account: out at once, brought back within thirty days, then nobody's (IDN-35)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db import connection
from django.test import Client

from filiera.capture.models import Source
from filiera.contacts.models import RetentionPolicy
from filiera.identity import audit, leaving
from filiera.identity.models import (
    AuditEntry,
    Brand,
    LoginAttempt,
    OutgoingEmail,
    Session,
    User,
    UserProfile,
    UserRole,
)
from filiera.identity.tasks import erase_accounts
from filiera.platform import brand_scope
from filiera.platform.models import Event
from filiera.routing.models import Agent
from tests.identity.conftest import PASSWORD, Clock, Program
from tests.identity.test_people import invite, roles_in

BEA = "bea@vegliasi.example"
PROFILE = {"first_name": "Beatrice", "phone": "+393510009911", "fiscal_code": "NREBTC80A41D612X"}
VALUES = [BEA, "Bea Neri", *PROFILE.values()]
SignedIn = Callable[[Any], Client]


def letters(brand: Any) -> list[OutgoingEmail]:
    with brand_scope.use(brand.id):
        return list(OutgoingEmail.objects.filter(to_address=BEA).order_by("created_at", "id"))


def everywhere() -> dict[str, set[str]]:
    """Return which of her values stand in which table, in any brand and outside of all."""
    found: dict[str, set[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
        )
        tables = [name for (name,) in cursor.fetchall()]
    for brand_id in [None, *Brand.objects.values_list("id", flat=True)]:
        with brand_scope.use(brand_id), connection.cursor() as cursor:
            for table in tables:
                for value in VALUES:
                    cursor.execute(
                        f'select 1 from "{table}" t where t::text ilike %s limit 1', [f"%{value}%"]
                    )
                    if cursor.fetchone():
                        found.setdefault(table, set()).add(value)
    return found


def test_closing_on_the_page_needs_the_password_says_until_when_and_ends_every_device(
    signed_in: SignedIn, bea: User, vegliasi: Any, clock: Clock
) -> None:
    client, phone = signed_in(bea), signed_in(bea)
    wrong = client.post("/account/close", {"password": "no"})
    assert (wrong.status_code, "La password non è questa." in wrong.content.decode()) == (400, True)
    assert User.objects.get(pk=bea.pk).is_active
    told = client.post("/account/close", {"password": PASSWORD})
    day = (clock.now + leaving.GRACE).day
    assert "Il tuo account è chiuso" in told.content.decode()
    assert f"Il {day} " in told.content.decode()
    assert client.get("/oggi")["Location"] == phone.get("/oggi")["Location"] == "/login?next=/oggi"
    [letter] = letters(vegliasi)
    assert letter.subject == "Il tuo account è chiuso"
    assert f"Il {day} " in letter.body_text
    assert "chiedi a chi amministra Vegliasì di riaprirlo" in letter.body_text


def test_guessing_the_password_of_who_is_signed_in_closes_the_door(beas_program: Program, bea: User) -> None:
    for _try in range(5):
        refused = beas_program("delete", "/api/v1/users/me", {"password": "no"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
        assert refused.json()["error"]["details"] == {"password": ["La password non è questa."]}
    shut = beas_program("delete", "/api/v1/users/me", {"password": PASSWORD})
    assert (shut.status_code, User.objects.get(pk=bea.pk).is_active) == (429, True)


def test_who_comes_in_with_google_alone_is_told_how_to_get_a_password(
    beas_program: Program, bea: User
) -> None:
    bea.set_unusable_password()
    bea.save()
    refused = beas_program("delete", "/api/v1/users/me", {"password": "no"})
    assert "Non hai ancora una password" in refused.json()["error"]["details"]["password"][0]


def test_an_administrator_of_the_brand_brings_them_back_within_the_days(
    signed_in: SignedIn, people: Any, vegliasi: Any, clock: Clock
) -> None:
    signed_in(people.bea).post("/account/close", {"password": PASSWORD})
    clock.now += timedelta(days=29)
    ada, address = signed_in(people.ada), f"/utenti/{people.bea.pk}/riapri"
    page = ada.get("/utenti").content.decode()
    assert "Account che si cancellano" in page
    assert "Riapri l’account di Bea Neri" in page
    assert signed_in(people.carl).post(address).status_code == 404
    assert ada.post(f"/utenti/{people.ada.pk}/riapri").status_code == 404  # she never asked
    assert not User.objects.get(pk=people.bea.pk).is_active
    ada.post(address)
    back = User.objects.get(pk=people.bea.pk)
    assert (back.is_active, back.deleted_at) == (True, None)
    assert roles_in(vegliasi, back) == ["sales"]
    assert [letter.subject for letter in letters(vegliasi)] == [
        "Il tuo account è chiuso",
        "Il tuo account è riaperto",
    ]
    assert Client().post("/login", {"email": BEA, "password": PASSWORD})["Location"] == "/oggi"
    clock.now += timedelta(days=60)
    assert leaving.erase_due(clock.now) == 0
    with brand_scope.use(vegliasi.id):
        assert AuditEntry.objects.filter(action="ACCOUNT_REOPENED", actor_user_id=people.ada.pk).count() == 1
    assert "Account riaperto" in signed_in(people.ada).get("/registro").content.decode()


def test_after_thirty_days_it_is_too_late(signed_in: SignedIn, people: Any, clock: Clock) -> None:
    signed_in(people.bea).post("/account/close", {"password": PASSWORD})
    clock.now += leaving.GRACE
    ada = signed_in(people.ada)
    assert "Cancellato questa notte" in ada.get("/utenti").content.decode()
    ada.post(f"/utenti/{people.bea.pk}/riapri")
    assert not User.objects.get(pk=people.bea.pk).is_active


@pytest.fixture
def full(signed_in: SignedIn, people: Any, quadranorma: Any, program: Program, clock: Clock) -> User:
    """Bea with everything that an account gathers, in two brands, who then leaves."""
    bea: User = people.bea
    invite(signed_in(people.carl), BEA, "support")
    with brand_scope.use(quadranorma.id):
        UserRole.objects.create(user=bea, role="support")
        Agent.objects.create(provider_agent_id="7", name=bea.name, user=bea)
        RetentionPolicy.objects.create(data_class="emails", months=6, reason="Basta", owner=bea.name)
        door = Source.objects.create(name="lista", kind="webhook", api_key_hash="x" * 64)
        Source.objects.filter(pk=door.pk).update(bought_list={"supplier": "Dati", "checked_by": bea.name})
    program.sign_in(BEA, "wrong")
    program.sign_in(BEA)
    program("patch", "/api/v1/users/me", {"profile": PROFILE})
    program("post", "/api/v1/auth/mfa/setup")
    with brand_scope.use(None):
        EmailAddress.objects.create(user=bea, email=BEA, verified=True, primary=True)
        SocialAccount.objects.create(user=bea, provider="google", uid="4711")
    assert program("delete", "/api/v1/users/me", {"password": PASSWORD}).status_code == 200
    return bea


def test_after_thirty_days_nothing_of_the_person_is_left_but_their_place(
    full: User, people: Any, vegliasi: Any, quadranorma: Any, clock: Clock
) -> None:
    clock.now += leaving.GRACE - timedelta(seconds=1)
    erase_accounts(0)
    assert User.objects.get(pk=full.pk).email == BEA
    assert {"identity_user", "identity_loginattempt", "identity_outgoingemail", "audit_log"} <= set(
        everywhere()
    )
    clock.now += timedelta(seconds=1)
    erase_accounts(0)
    assert everywhere() == {}
    nobody = User.objects.get(pk=full.pk)
    assert (nobody.name, nobody.is_active, nobody.erased_at) == ("Persona cancellata", False, clock.now)
    for model in (UserProfile, EmailAddress, Authenticator, SocialAccount, Session):
        assert not model.objects.filter(user=full).exists()  # type: ignore[attr-defined]
    assert LoginAttempt.objects.filter(email="", ip_address=None).count() == 2
    for brand in (vegliasi, quadranorma):
        assert roles_in(brand, full) == []
        with brand_scope.use(brand.id):
            assert not Agent.objects.filter(user=full).exists()
            assert set(RetentionPolicy.objects.values_list("owner", flat=True)) <= {leaving.NOBODY}
            [event] = Event.objects.filter(kind="account.erased")
            assert (event.subject_id, event.data) == (full.pk, {})
            erased = AuditEntry.objects.get(action="ERASE", brand_id=brand.id)
            assert (erased.entity_id, erased.before, erased.after) == (full.pk, None, None)
            own = AuditEntry.objects.filter(actor_user_id=full.pk)
            assert set(own.values_list("ip_address", "user_agent")) <= {(None, "")}
    audit.seal()
    assert [chain.trouble for chain in audit.verify(clock.now)] == ["", ""]
    assert leaving.erase_due(clock.now + leaving.GRACE) == 0


def test_the_record_tells_nobody_the_name_of_who_is_erased(
    full: User, signed_in: SignedIn, people: Any, clock: Clock
) -> None:
    addresses = ("/registro", "/registro/export?format=csv", "/api/v1/admin/audit?per_page=100")
    ada = signed_in(people.ada)
    assert all("Bea Neri" in ada.get(address).content.decode() for address in addresses)
    clock.now += leaving.GRACE
    leaving.erase_due(clock.now)
    ada = signed_in(people.ada)
    for address in addresses:
        told = ada.get(address).content.decode()
        assert ("Bea Neri" in told, "Persona cancellata" in told) == (False, True), address


def test_an_erased_address_is_free_again_and_the_others_keep_theirs(
    full: User, people: Any, program: Program, clock: Clock
) -> None:
    clock.now += leaving.GRACE
    assert leaving.erase_due(clock.now) == 1
    new = {"email": BEA, "password": PASSWORD, "first_name": "Bea"}
    assert program("post", "/api/v1/auth/register", new, token="").status_code == 201
    for other in (people.ada, people.carl):
        assert User.objects.get(pk=other.pk).email == other.email
