"""The page and the API of keys: shown once or never, scoped, ended at once (CNN-24 … CNN-26, IDN-41)."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.test import Client
from django.utils import timezone

from filiera.capture.models import MarketingSource
from filiera.identity import api_keys, permissions, vault
from filiera.identity.models import ApiKey, AuditEntry, User, UserRole, VaultKey
from filiera.identity.permissions import Principal
from filiera.platform import brand_scope

SECRET, OTHER = "pat.chiave-di-prova-wxyz", "pat.chiave-di-prova-2222"
CLEAR = re.compile(r"fil_[A-Za-z0-9_-]{43}")
SignedIn = Callable[[Any], Client]


def make_key(
    user: Any, brand: Any, *wanted: str, lasts: timedelta | None = None, now: Any = None
) -> tuple[ApiKey, str]:
    now = now or timezone.now()
    with brand_scope.use(brand.id):
        roles = frozenset(UserRole.objects.filter(user=user).values_list("role", flat=True))
        principal = Principal(user, brand, (brand,), roles, permissions.of_roles(roles))
        return api_keys.create(
            name="gestionale",
            wanted=wanted or ("view_contacts",),
            principal=principal,
            expires_at=now + lasts if lasts else None,
            now=now,
        )


@pytest.fixture
def provenance(vegliasi: Any) -> None:
    with brand_scope.use(vegliasi.id):
        MarketingSource.objects.create(name="Sito")


def asked(key: str, path: str = "/api/v1/leads", method: str = "get", **options: Any) -> Any:
    return getattr(Client(), method)(path, headers={"X-API-Key": key}, **options)


# ── the vault ──


def test_a_providers_key_is_stored_and_never_shown_again(
    signed_in: SignedIn, ada: Any, vegliasi: Any
) -> None:
    client = signed_in(ada)
    answer = client.post(
        "/api/api-keys",
        {"service": "airtable", "key": SECRET, "permissions": ["read"]},
        content_type="application/json",
    )
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert answer.json()["success"] is True
    assert {name: data[name] for name in ("service", "key", "permissions", "isActive")} == {
        "service": "airtable", "key": "pat.••••wxyz", "permissions": ["read"], "isActive": True,
    }  # fmt: skip
    with brand_scope.use(vegliasi.id):
        kept = VaultKey.objects.get(id=data["id"])
        assert (kept.user_id, vault.get("airtable")) == (ada.id, SECRET)
    for path in (
        "/api/api-keys",
        "/api/v1/api-keys",
        "/developers/api-keys",
        f"/developers/api-keys/{kept.id}",
    ):
        shown = client.get(path)
        assert shown.status_code == 200
        assert SECRET not in shown.content.decode()
        assert (
            "pat.••••wxyz" in orjson.dumps(shown.json()).decode()
            if "api/" in path
            else shown.content.decode()
        )


def test_a_key_is_replaced_and_disabled_at_once(signed_in: SignedIn, ada: Any, vegliasi: Any) -> None:
    client = signed_in(ada)
    made = client.post(
        "/api/v1/api-keys", {"service": "Airtable", "key": SECRET}, content_type="application/json"
    )
    assert made.status_code == 201
    path = f"/api/v1/api-keys/{made.json()['data']['id']}"
    changed = client.patch(path, {"key": OTHER}, content_type="application/json").json()["data"]
    assert (changed["key"], changed["isActive"]) == ("pat.••••2222", True)
    with brand_scope.use(vegliasi.id):
        assert vault.get("airtable") == OTHER
    assert client.delete(path).json()["data"]["isActive"] is False
    with brand_scope.use(vegliasi.id), pytest.raises(vault.NoSuchKey):
        vault.get("airtable")
    client.patch(path, {"isActive": True}, content_type="application/json")
    with brand_scope.use(vegliasi.id):
        assert vault.get("airtable") == OTHER


def test_the_page_adds_changes_and_disables(signed_in: SignedIn, ada: Any, vegliasi: Any) -> None:
    client = signed_in(ada)
    wrong = client.post("/developers/api-keys/new", {"service": "due parole", "key": SECRET})
    assert wrong.status_code == 400
    assert "lettere, cifre, punti" in wrong.content.decode()
    assert SECRET not in wrong.content.decode()
    assert client.post("/developers/api-keys/new", {"service": "airtable", "key": SECRET}).status_code == 302
    with brand_scope.use(vegliasi.id):
        key = VaultKey.objects.get()
    assert client.post(f"/developers/api-keys/{key.id}", {"key": OTHER}).status_code == 302
    with brand_scope.use(vegliasi.id):
        assert vault.get("airtable") == OTHER
    assert (
        "la chiave è disattivata"
        in client.post(f"/developers/api-keys/{key.id}/switch", {"on": "off"}, follow=True).content.decode()
    )
    with brand_scope.use(vegliasi.id):
        assert not VaultKey.objects.get().is_active


@pytest.mark.parametrize(
    "given",
    [{"service": "", "key": "x"}, {"service": "a/b", "key": "x"}, {"service": "a", "key": ""},
     {"service": "a", "key": "con\x00zero"}, {"service": "a"}, [], None],
)  # fmt: skip
def test_what_is_no_key_is_refused_with_the_field(signed_in: SignedIn, ada: Any, given: Any) -> None:
    for path in ("/api/api-keys", "/api/v1/api-keys"):
        answer = signed_in(ada).post(path, orjson.dumps(given), content_type="application/json")
        assert answer.status_code == 400
        assert (answer.json().get("code") or answer.json()["error"]["code"]) == "VALIDATION_ERROR"


def test_only_who_manages_the_system_sees_keys(signed_in: SignedIn, bea: Any) -> None:
    client = signed_in(bea)
    for path in ("/developers/api-keys", "/developers/api-keys/new", "/developers/api-keys/access/new"):
        assert client.get(path).status_code == 404
    for path in ("/api/api-keys", "/api/v1/api-keys", "/api/v1/access-keys"):
        assert client.get(path).status_code == 403
        assert client.post(path, {}, content_type="application/json").status_code in (400, 403)
    assert Client().get("/api/api-keys").status_code == 401


# ── keys for our own API ──


def test_a_key_of_ours_is_shown_once_and_kept_as_a_hash(signed_in: SignedIn, ada: Any, vegliasi: Any) -> None:
    client = signed_in(ada)
    page = client.post(
        "/developers/api-keys/access/new", {"name": "gestionale", "life": "90", "permission": "view_contacts"}
    ).content.decode()
    [clear] = set(CLEAR.findall(page))
    assert clear not in client.get("/developers/api-keys").content.decode()
    with brand_scope.use(vegliasi.id):
        key = ApiKey.objects.get()
    assert key.key_hash == api_keys.digest(clear)
    assert clear not in str(key.__dict__)
    assert (key.permissions, key.expires_at is not None) == (["view_contacts"], True)
    assert asked(clear).status_code == 200


def test_key_and_bearer_give_the_same_principal_with_only_these_permissions(
    vegliasi: Any, ada: Any, provenance: None
) -> None:
    _key, clear = make_key(ada, vegliasi)
    assert asked(clear).status_code == 200
    assert Client().get("/api/v1/leads", headers={"Authorization": f"Bearer {clear}"}).status_code == 200
    assert asked(clear, "/api/v1/routing/agents").status_code == 403
    new = {"Nome": "Adele Prova", "Telefono": "+39 351 000 5511", "Provenienza": "Sito"}
    assert asked(clear, method="post", data=new, content_type="application/json").status_code == 403
    _key, writes = make_key(ada, vegliasi, "create_lead")
    assert asked(writes, method="post", data=new, content_type="application/json").status_code == 201


def test_a_key_opens_its_own_brand_only_whatever_it_asks_for(
    vegliasi: Any, quadranorma: Any, ada: Any, provenance: None
) -> None:
    with brand_scope.use(quadranorma.id):
        UserRole.objects.create(user=ada, role="admin")
    key, clear = make_key(ada, vegliasi, "create_lead", "view_contacts")
    for brand, status in ((quadranorma, 404), (vegliasi, 201)):
        answer = Client().post(
            "/api/v1/leads",
            {"Nome": "Adele Prova", "Telefono": "+39 351 000 5511", "Provenienza": "Sito"},
            content_type="application/json",
            headers={"X-API-Key": clear, "X-Brand-ID": str(brand.id)},
        )
        assert answer.status_code == status
    with brand_scope.use(vegliasi.id):
        [line] = AuditEntry.objects.filter(entity_type="contacts", action="CREATE")
        assert (line.actor_kind, line.actor_name) == ("program", f"api-key:{key.id}")
    assert len(asked(clear).json()["data"]) == 1
    _key, theirs = make_key(ada, quadranorma)
    assert asked(theirs).json()["data"] == []


def test_a_key_is_never_worth_more_than_who_made_it(vegliasi: Any, ada: Any, bea: Any) -> None:
    with pytest.raises(api_keys.Invalid, match="campi"):
        make_key(bea, vegliasi, "view_contacts", "manage_intake")
    with pytest.raises(api_keys.Invalid):
        make_key(ada, vegliasi, "*")
    _key, clear = make_key(ada, vegliasi, "manage_intake", "view_contacts")
    assert asked(clear, "/api/v1/capture/sources").status_code == 200
    with brand_scope.use(vegliasi.id):
        UserRole.objects.filter(user=ada).update(role="sales")
    assert asked(clear, "/api/v1/capture/sources").status_code == 403
    assert asked(clear).status_code == 200
    User.objects.filter(id=ada.id).update(is_active=False)
    assert asked(clear).status_code == 401


def test_a_revoked_expired_or_invented_key_opens_nothing(
    signed_in: SignedIn, vegliasi: Any, quadranorma: Any, ada: Any
) -> None:
    key, clear = make_key(ada, vegliasi)
    assert asked(clear).status_code == 200
    assert signed_in(ada).delete(f"/api/v1/access-keys/{key.id}").status_code == 200
    assert asked(clear).status_code == 401
    _key, old = make_key(ada, vegliasi, lasts=timedelta(days=1), now=timezone.now() - timedelta(days=2))
    for shown in (
        old,
        "",
        "fil_",
        "fil_" + "x" * 43,
        clear[:-1],
        f"{clear} ",
        "a\x00b",
        "fil_" + "é" * 43,
        api_keys.digest(clear),
    ):
        assert asked(shown).status_code == 401, shown
    assert Client().get("/api/v1/leads", headers={"Authorization": f"Basic {clear}"}).status_code == 401


def test_a_wrong_key_is_not_helped_by_a_cookie_and_a_key_opens_no_page(
    signed_in: SignedIn, vegliasi: Any, ada: Any
) -> None:
    assert signed_in(ada).get("/api/v1/leads", headers={"X-API-Key": "fil_" + "x" * 43}).status_code == 401
    _key, clear = make_key(ada, vegliasi)
    assert asked(clear, "/leads").status_code == 302
    assert asked(clear, "/api/leads").status_code == 401


def test_the_use_of_a_key_is_written_once_a_minute(vegliasi: Any, ada: Any) -> None:
    key, clear = make_key(ada, vegliasi)
    asked(clear)
    with brand_scope.use(vegliasi.id):
        first = ApiKey.objects.get(id=key.id).last_used_at
    assert first is not None
    asked(clear)
    with brand_scope.use(vegliasi.id):
        assert ApiKey.objects.get(id=key.id).last_used_at == first
        ApiKey.objects.update(last_used_at=first - timedelta(minutes=2))
    asked(clear)
    with brand_scope.use(vegliasi.id):
        assert ApiKey.objects.get(id=key.id).last_used_at > first


def test_a_key_makes_no_keys(vegliasi: Any, ada: Any) -> None:
    _key, clear = make_key(ada, vegliasi, "system_settings")
    assert asked(clear, "/api/v1/access-keys").status_code == 403
    assert asked(
        clear, "/api/v1/access-keys", "post", data={"name": "x", "permissions": ["view_contacts"]},
        content_type="application/json",
    ).status_code == 403  # fmt: skip
    assert asked(clear, "/api/v1/api-keys").status_code == 403


def test_another_brands_keys_look_missing(
    signed_in: SignedIn, vegliasi: Any, quadranorma: Any, carl: Any
) -> None:
    with brand_scope.use(vegliasi.id):
        key = vault.store(service="airtable", secret=SECRET)
    client = signed_in(carl)
    assert client.get(f"/developers/api-keys/{key.id}").status_code == 404
    assert client.patch(
        f"/api/v1/api-keys/{key.id}", {"isActive": False}, content_type="application/json"
    ).status_code == 404  # fmt: skip
    with brand_scope.use(vegliasi.id):
        assert VaultKey.objects.get().is_active


def test_the_page_speaks_english_to_who_reads_english(signed_in: SignedIn, ada: Any) -> None:
    User.objects.filter(id=ada.id).update(language="en")
    page = signed_in(ada).get("/developers/api-keys").content.decode()
    assert "For our own API" in page
    assert "cassaforte" not in page
