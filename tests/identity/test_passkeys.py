"""Passkeys: signing in, as a second factor, and the answers that are none. The device is software of ours."""

import hashlib
import json
import secrets
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from filiera.identity import passkeys, second_factor
from filiera.identity.models import AuditEntry, LoginAttempt, PasskeyStep
from filiera.platform import brand_scope
from tests.identity.conftest import PASSWORD, Clock, Program
from tests.signing_in import code

HERE = "http://localhost:8000"
FLAGS = AuthenticatorData.FLAG


class Device:
    """A telephone that keeps one passkey, and can be made to lie."""

    def __init__(self, origin: str = HERE, rp: str = "localhost", *, is_verified: bool = True) -> None:
        self.origin, self.rp = origin, rp
        self.flags = FLAGS.UP | (FLAGS.UV if is_verified else FLAGS(0))
        self.key, self.id = ec.generate_private_key(ec.SECP256R1()), secrets.token_bytes(16)
        self.owner = b""
        self.counter = 0

    def make(self, options: dict[str, Any]) -> str:
        self.owner = websafe_decode(options["user"]["id"])
        public = ES256.from_cryptography_key(self.key.public_key())
        credential = AttestedCredentialData.create(bytes(16), self.id, public)
        data = AuthenticatorData.create(self._rp_hash(), self.flags | FLAGS.AT, 0, credential)
        client = self._client(CollectedClientData.TYPE.CREATE, options)
        attested = AttestationObject.create("none", data, {})
        return self._told({"attestationObject": attested, "clientDataJSON": client})

    def use(self, options: dict[str, Any]) -> str:
        data = AuthenticatorData.create(self._rp_hash(), self.flags, self.counter)
        client = self._client(CollectedClientData.TYPE.GET, options)
        signature = self.key.sign(data + client.hash, ec.ECDSA(hashes.SHA256()))
        return self._told(
            {
                "authenticatorData": data,
                "clientDataJSON": client,
                "signature": signature,
                "userHandle": self.owner,
            }
        )

    def _rp_hash(self) -> bytes:
        return hashlib.sha256(self.rp.encode()).digest()

    def _client(self, kind: Any, options: dict[str, Any]) -> CollectedClientData:
        return CollectedClientData.create(kind, websafe_decode(options["challenge"]), self.origin)

    def _told(self, response: dict[str, bytes]) -> str:
        told = {name: websafe_encode(bytes(value)) for name, value in response.items()}
        key = websafe_encode(self.id)
        return json.dumps({"id": key, "rawId": key, "type": "public-key", "response": told})


@pytest.fixture(autouse=True)
def here(settings: Any) -> None:
    settings.BASE_URL = HERE


@pytest.fixture
def beas(signed_in: Any, bea: Any) -> Client:
    client: Client = signed_in(bea)
    return client


def add(client: Client, device: Device, name: str = "Telefono", password: str = PASSWORD) -> Any:
    """Add a passkey as the page does: ask for a challenge with the password, let the device answer, send it."""
    given = {"name": name, "password": password}
    options = client.post("/account/passkeys/options", given).json()["options"]
    return client.post("/account/passkeys", {"name": name, "credential": device.make(options)})


def come_in(device: Device, client: Client | None = None, **form: str) -> Any:
    """Come to the door with a passkey; with `step` after the password."""
    client = client or Client()
    options = client.post("/login/passkey/options", form).json()["options"]
    return client.post("/login/passkey", form | {"credential": device.use(options)})


def test_a_passkey_opens_the_door_by_itself_and_brings_recovery_codes(
    beas: Client, bea: Any, vegliasi: Any
) -> None:
    device = Device()
    added = add(beas, device)
    assert added.content.decode().count("<code>") == 10
    came = come_in(device, next="/board")
    assert (came.status_code, came["Location"]) == (302, "/board")
    assert came.cookies["auth-token"].value
    (kept,) = passkeys.of(bea)
    assert (kept.name, kept.last_used_at is not None) == ("Telefono", True)
    assert not PasskeyStep.objects.exists()
    with brand_scope.use(None):
        assert LoginAttempt.objects.filter(email=bea.email, success=True).count() == 1
    with brand_scope.use(vegliasi.id):
        assert AuditEntry.objects.filter(action="PASSKEY_ADDED", actor_user_id=bea.id).count() == 1


def test_after_the_password_it_takes_the_place_of_the_code(beas: Client, bea: Any) -> None:
    device = Device()
    codes = passkeys_codes(add(beas, device))
    page = Client().post("/login", {"email": bea.email, "password": PASSWORD})
    assert 'data-passkey="/login/passkey/options"' in page.content.decode()
    step = page.context["step"]
    assert come_in(device, step=step)["Location"] == "/oggi"
    recovered = Client().post("/login/code", {"step": step, "code": codes[0]})
    assert recovered["Location"] == "/oggi"
    stranger = Device()
    stranger.owner = device.owner
    assert come_in(stranger, step=step).status_code == 401


def passkeys_codes(page: Any) -> list[str]:
    return list(page.context["codes"])


def test_it_counts_where_a_role_asks_for_a_second_factor(signed_in: Any, ada: Any, clock: Clock) -> None:
    client, device = signed_in(ada), Device()
    second_factor.Authenticator.objects.filter(user=ada).delete()
    assert client.get("/oggi")["Location"] == "/account/second-factor"
    assert 'href="/account/passkeys"' in client.get("/account/second-factor").content.decode()
    assert add(client, device).status_code == 200
    assert client.get("/oggi").status_code == 200
    (kept,) = passkeys.of(ada)
    refused = client.post(f"/account/passkeys/{kept.id}/remove", {"password": PASSWORD})
    assert (refused.status_code, "non si può spegnere" in refused.content.decode()) == (403, True)
    assert passkeys.of(ada) == [kept]


def test_an_app_may_go_while_a_passkey_stays_and_the_last_one_takes_the_codes_along(
    signed_in: Any, ada: Any, bea: Any, clock: Clock
) -> None:
    client = signed_in(ada)
    assert add(client, Device())["Location"] == "/account"
    gone = client.post("/account/recovery-codes", {"what": "off", "code": code(clock.now)})
    assert (gone["Location"], second_factor.makes_codes(ada), second_factor.is_on(ada)) == (
        "/account",
        False,
        True,
    )
    beas = signed_in(bea)
    add(beas, Device())
    (kept,) = passkeys.of(bea)
    assert beas.post(f"/account/passkeys/{kept.id}/remove", {"password": "un’altra"}).status_code == 400
    assert beas.post(f"/account/passkeys/{kept.id}/remove", {"password": PASSWORD}).status_code == 302
    assert (second_factor.is_on(bea), second_factor.recovery_codes_left(bea)) == (False, 0)


def test_a_program_of_who_has_only_a_passkey_brings_a_recovery_code(
    beas: Client, bea: Any, program: Program
) -> None:
    codes = passkeys_codes(add(beas, Device()))
    assert program.sign_in(bea.email).json()["error"]["code"] == "MFA_REQUIRED"
    assert program.sign_in(bea.email, totp=codes[3]).status_code == 200


LIARS = {
    "of another site": Device(origin="https://localhost.posta.example"),
    "of another port": Device(origin="http://localhost:8001"),
    "for another name": Device(rp="posta.example"),
    "without finger or PIN": Device(is_verified=False),
}


@pytest.mark.parametrize("device", LIARS.values(), ids=LIARS)
def test_no_device_that_lies_is_believed(beas: Client, bea: Any, device: Device) -> None:
    assert add(beas, device).status_code == 401
    assert not passkeys.of(bea)
    honest = Device()
    add(beas, honest)
    device.key, device.id, device.owner = honest.key, honest.id, honest.owner
    assert come_in(device).status_code == 401
    assert come_in(honest).status_code == 302


def test_an_answer_is_good_once_for_five_minutes_and_for_its_own_question(
    beas: Client, bea: Any, signed_in: Any, carl: Any, clock: Clock
) -> None:
    device, guest = Device(), Client()
    add(beas, device)

    def asked() -> Any:
        return guest.post("/login/passkey/options").json()["options"]

    answer = device.use(asked())
    assert guest.post("/login/passkey", {"credential": answer}).status_code == 302
    assert Client().post("/login/passkey", {"credential": answer}).status_code == 401
    late = device.use(asked())
    clock.now += timedelta(minutes=5)
    assert Client().post("/login/passkey", {"credential": late}).status_code == 401
    to_add = beas.post("/account/passkeys/options", {"password": PASSWORD}).json()["options"]
    assert Client().post("/login/passkey", {"credential": device.use(to_add)}).status_code == 401
    other = Client().post("/login", {"email": carl.email, "password": PASSWORD})
    assert come_in(device, step=other.context["step"]).status_code == 401, "Bea's does not answer for Carl"
    with brand_scope.use(None):
        reasons = LoginAttempt.objects.filter(success=False).exclude(failure_reason__startswith="second")
        assert set(reasons.values_list("failure_reason", flat=True)) == {"passkey: not recognised"}
    assert passkeys.tidy(clock.now + timedelta(minutes=6)) == PasskeyStep.objects.count() + 2


def test_a_copied_key_whose_counter_went_back_is_refused(beas: Client) -> None:
    device = Device()
    add(beas, device)
    device.counter = 7
    assert come_in(device).status_code == 302
    device.counter = 6
    assert come_in(device).status_code == 401


def test_wrong_passwords_of_others_do_not_close_it_and_a_closed_account_does(beas: Client, bea: Any) -> None:
    device = Device()
    add(beas, device)
    for _try in range(6):
        Client().post("/login", {"email": bea.email, "password": "sbagliata"})
    assert Client().post("/login", {"email": bea.email, "password": PASSWORD}).status_code == 429
    assert come_in(device).status_code == 302
    bea.is_active = False
    bea.save()
    closed = come_in(device)
    assert (closed.status_code, "Questo account è chiuso" in closed.content.decode()) == (403, True)


def test_only_who_says_the_password_gets_to_add_and_nobody_touches_anothers(
    beas: Client, bea: Any, signed_in: Any, carl: Any
) -> None:
    refused = beas.post("/account/passkeys/options", {"password": "sbagliata"})
    assert (refused.status_code, refused.json()) == (400, {"refusal": "La password non è questa."})
    add(beas, Device())
    (kept,) = passkeys.of(bea)
    carls = signed_in(carl)
    for path, form in (("", {"name": "mia"}), ("/remove", {"password": PASSWORD})):
        assert carls.post(f"/account/passkeys/{kept.id}{path}", form).status_code == 404
    assert carls.get(f"/account/passkeys/{kept.id}").status_code == 404
    assert beas.post(f"/account/passkeys/{kept.id}", {"name": " Portatile\n di casa "}).status_code == 302
    assert [one.name for one in passkeys.of(bea)] == ["Portatile di casa"]
    assert beas.post(f"/account/passkeys/{kept.id}", {"name": " "}).status_code == 400


RUBBISH = ["", "[]", "{}", '"x"', '{"id": 1}', "\x00", '{"response": {"clientDataJSON": "%%"}}', "{" * 20_000]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_is_refused_in_words(beas: Client, rubbish: str) -> None:
    assert Client().post("/login/passkey", {"credential": rubbish}).status_code == 401
    assert beas.post("/account/passkeys", {"name": "x", "credential": rubbish}).status_code == 401


def test_where_browsers_allow_none_nobody_is_offered_one(beas: Client, settings: Any) -> None:
    settings.BASE_URL = "http://192.0.2.7:8000"
    assert "passkey" not in Client().get("/login").content.decode().lower()
    assert "servono un nome" in beas.get("/account").content.decode()
    assert beas.post("/account/passkeys/options", {"password": PASSWORD}).status_code == 409
