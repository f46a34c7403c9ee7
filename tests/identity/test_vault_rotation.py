"""Another master key while the house works, and what processes remember of a secret (CNN-25, CNN-27, CNN-28)."""

import os
import subprocess
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from allauth.mfa.models import Authenticator
from django.db import connection
from django.utils import timezone

from filiera import operators
from filiera.capture.commands import create_source
from filiera.capture.models import Source
from filiera.capture.source_cache import signing_context
from filiera.identity import master_keys, rotation, vault, vault_cache
from filiera.identity.models import VaultKey, VaultVersion
from filiera.platform import brand_scope, home
from tests.identity.conftest import Clock, Program
from tests.signing_in import code

SECRET, OTHER = "pat.chiave-di-prova-0001", "pat.chiave-di-prova-0002"


@pytest.fixture(autouse=True)
def own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the home keep the keys, as it does where nobody gives any."""
    for name in ("ENCRYPTION_MASTER_KEY", "FILIERA_SECRET_KEY", "FILIERA_VAULT_KEY_2", "FILIERA_VAULT_KEY_3"):
        monkeypatch.delenv(name, raising=False)


def rotate() -> list[rotation.Progress]:
    return list(rotation.rotate(now=timezone.now()))


def test_a_rotation_encrypts_everything_anew_and_nothing_changes_for_who_reads(
    vegliasi: Any, quadranorma: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 2)
    for brand in (vegliasi, quadranorma):
        with brand_scope.use(brand.id):
            for place in range(5):
                vault.store(service=f"uno-{place}", secret=f"{SECRET}-{place}")
    steps = rotate()
    assert [step.renewed for step in steps] == [2, 4, 5, 7, 9, 10, 10]
    assert {step.version for step in steps} == {2}
    assert steps[-1].locked == 0
    for brand in (vegliasi, quadranorma):
        with brand_scope.use(brand.id):
            assert set(VaultKey.objects.values_list("key_version", flat=True)) == {2}
            assert [vault.get(f"uno-{place}") for place in range(5)] == [f"{SECRET}-{n}" for n in range(5)]
            assert vault.store(service="due", secret=SECRET).key_version == 2
    done = VaultVersion.objects.get()
    assert done.finished_at is not None
    assert done.fingerprint == master_keys.fingerprint(2)


def test_signing_secrets_of_sources_are_taken_along(in_vegliasi: Any, ada: Any) -> None:
    source, _key = create_source(
        name="tally-prova", kind="tally", signing_secret="segreto-di-tally", actor=ada, now=timezone.now()
    )
    before = bytes(Source.objects.get(id=source.id).signing_secret or b"")
    rotate()
    after = bytes(Source.objects.get(id=source.id).signing_secret or b"")
    assert before != after
    assert vault.unseal(after, context=signing_context(source.id)) == "segreto-di-tally"
    assert vault.reseal(after, context=signing_context(source.id), version=2) is None


def test_second_factors_are_taken_along_and_open_with_the_new_key_alone(
    people: Any, clock: Clock, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [row.data for row in Authenticator.objects.filter(type=Authenticator.Type.TOTP)]
    assert rotate()[-1] == rotation.Progress(version=2, renewed=2, locked=0)  # Ada's and Carl's
    after = [row.data for row in Authenticator.objects.filter(type=Authenticator.Type.TOTP)]
    assert [row["used_steps"] for row in before] == [row["used_steps"] for row in after]
    assert not {row["secret"] for row in before} & {row["secret"] for row in after}
    monkeypatch.setenv("ENCRYPTION_MASTER_KEY", "not the first key, which is gone")
    with brand_scope.use(None), pytest.raises(vault.VaultLocked):
        vault.unseal(b64decode(before[0]["secret"]), context=f"second factor:{people.ada.pk}")
    assert program.sign_in(people.ada.email, totp="000000").status_code == 401
    assert program.sign_in(people.ada.email, totp=code(clock.now)).status_code == 200
    recovered = Authenticator.objects.get(user=people.ada, type=Authenticator.Type.RECOVERY_CODES)
    assert len(recovered.data["hashes"]) == 10


def test_what_was_sealed_before_there_were_versions_opens_and_is_renewed(in_vegliasi: Any) -> None:
    nonce, ciphertext = vault.encrypt(1, SECRET, "a place")
    assert vault.unseal(nonce + ciphertext, context="a place") == SECRET
    unlucky = b"fv" + nonce[2:]  # a nonce that begins like the mark
    sealed = unlucky + master_keys.cipher(1).encrypt(unlucky, SECRET.encode(), b"a place")
    assert vault.unseal(sealed, context="a place") == SECRET
    rotate()
    renewed = vault.reseal(sealed, context="a place", version=2)
    assert renewed is not None
    assert vault.unseal(renewed, context="a place") == SECRET


def test_while_a_rotation_is_under_way_old_and_new_are_readable_and_it_is_taken_up_again(
    in_vegliasi: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 1)
    keys = [vault.store(service=f"uno-{n}", secret=f"{SECRET}-{n}") for n in range(3)]
    begun = rotation.rotate(now=timezone.now())
    assert next(begun).renewed == 1
    begun.close()
    assert sorted(VaultKey.objects.values_list("key_version", flat=True)) == [1, 1, 2]
    assert [vault.reveal(VaultKey.objects.get(id=key.id)) for key in keys] == [
        f"{SECRET}-{n}" for n in range(3)
    ]
    assert rotate()[-1] == rotation.Progress(version=2, renewed=2, locked=0)
    assert VaultVersion.objects.count() == 1
    assert rotate()[-1].version == 3


def test_where_keys_are_given_the_next_one_must_be_given_too(
    in_vegliasi: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCRYPTION_MASTER_KEY", "la prima chiave, lunga quanto basta")
    key = vault.store(service="uno", secret=SECRET)
    with pytest.raises(rotation.NextKeyMissing, match="FILIERA_VAULT_KEY_2"):
        rotate()
    assert not VaultVersion.objects.exists()
    monkeypatch.setenv("FILIERA_VAULT_KEY_2", "la seconda chiave, lunga quanto basta")
    assert rotate()[-1] == rotation.Progress(version=2, renewed=1, locked=0)
    assert vault.reveal(VaultKey.objects.get(id=key.id)) == SECRET


def test_a_process_with_another_key_of_the_same_version_seals_nothing(
    in_vegliasi: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotate()
    monkeypatch.setenv("FILIERA_VAULT_KEY_2", "una chiave che gli altri non hanno")
    with pytest.raises(vault.VaultLocked, match="FILIERA_VAULT_KEY_2"):
        vault.store(service="uno", secret=SECRET)


def test_what_does_not_open_is_counted_and_left_as_it_is(
    in_vegliasi: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    key = vault.store(service="uno", secret=SECRET)
    VaultKey.objects.filter(id=key.id).update(ciphertext=b"rotto" * 9)
    assert operators.rotate_vault() == 1
    assert VaultKey.objects.get(id=key.id).key_version == 1
    assert VaultVersion.objects.get().finished_at is None
    VaultKey.objects.filter(id=key.id).delete()
    assert operators.rotate_vault() == 0
    assert VaultVersion.objects.get().finished_at is not None


def test_the_keys_of_the_home_go_into_the_backup_and_are_read_only_by_their_owner(
    in_vegliasi: Any, settings: Any
) -> None:
    rotate()
    kept = home.kept_secrets(settings.FILIERA_HOME, "FILIERA_VAULT_KEY_")
    assert list(kept) == ["FILIERA_VAULT_KEY_2"]
    assert (Path(settings.FILIERA_HOME) / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_of_a_secret_only_its_kind_and_its_end_are_shown(in_vegliasi: Any) -> None:
    assert vault.masked(vault.store(service="airtable", secret="pat.abcdefghwxyz")) == "pat.••••wxyz"
    assert vault.masked(vault.store(service="uno", secret="0123456789abcdef")) == "••••cdef"
    assert vault.masked(vault.store(service="uno", secret="corta")) == "••••"


def test_that_a_key_was_used_is_noted_once_a_minute(in_vegliasi: Any) -> None:
    key = vault.store(service="uno", secret=SECRET)
    vault.get("uno")
    first = VaultKey.objects.get(id=key.id).last_used_at
    assert first is not None
    vault.get("uno")
    assert VaultKey.objects.get(id=key.id).last_used_at == first


# ── what processes remember ──

OTHER_PROCESS = """
import sys, django
django.setup()
from filiera.identity import vault, vault_cache
from filiera.platform import brand_scope
brand = sys.argv[1]
for line in sys.stdin:
    with brand_scope.use(brand):
        before = vault_cache._ears.hears and vault_cache.of(vault.UUID(brand), "uno").secret is not None
        try:
            found = vault.get("uno")
        except vault.NoSuchKey:
            found = "none"
    print("memory" if before else "database", found, flush=True)
"""


@pytest.fixture
def other_process(request: pytest.FixtureRequest, vegliasi: Any) -> Iterator["Other"]:
    """Another process of the house that reads the secret of `uno` whenever it is asked."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, str(vegliasi.id)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "FILIERA_LOG_LEVEL": "error"},
    )
    assert process.stdin
    assert process.stdout
    yield Other(process.stdin, process.stdout)
    process.stdin.close()
    process.stdout.close()
    process.wait(timeout=20)


class Other:
    def __init__(self, stdin: IO[str], stdout: IO[str]) -> None:
        self._stdin, self._stdout = stdin, stdout

    def reads(self) -> tuple[str, str]:
        self._stdin.write("\n")
        self._stdin.flush()
        where, _space, found = self._stdout.readline().strip().partition(" ")
        return where, found

    def until_it_reads(self, where: str, found: str) -> None:
        """Ask until this is the answer: a notice of the database travels, however shortly."""
        ends_at = time.monotonic() + 20
        while (last := self.reads()) != (where, found):
            assert time.monotonic() < ends_at, f"it still reads {last}"


@pytest.mark.django_db(transaction=True)
def test_a_change_empties_the_memory_of_every_process(other_process: Other, vegliasi: Any) -> None:
    with brand_scope.use(vegliasi.id):
        key = vault.store(service="uno", secret=SECRET)
    other_process.until_it_reads("memory", SECRET)
    with brand_scope.use(vegliasi.id):
        vault.replace(key_id=key.id, secret=OTHER, now=timezone.now())
    other_process.until_it_reads("database", OTHER)
    other_process.until_it_reads("memory", OTHER)
    with brand_scope.use(vegliasi.id):
        vault.switch(key_id=key.id, is_active=False)
    other_process.until_it_reads("database", "none")
    # Also what is changed past our own commands is told, by the database itself.
    with brand_scope.use(vegliasi.id), connection.cursor() as cursor:
        cursor.execute("update identity_vaultkey set is_active = true")
    other_process.until_it_reads("memory", OTHER)


@pytest.mark.django_db(transaction=True)
def test_in_this_process_a_change_counts_from_the_commit_on(vegliasi: Any) -> None:
    with brand_scope.use(vegliasi.id):
        key = vault.store(service="uno", secret=SECRET)
    _remembered(vegliasi)
    with brand_scope.use(vegliasi.id):
        vault.switch(key_id=key.id, is_active=False)
    with brand_scope.use(vegliasi.id), pytest.raises(vault.NoSuchKey):
        vault.get("uno")


@pytest.mark.django_db(transaction=True)
def test_what_was_read_while_a_key_changed_is_not_remembered(vegliasi: Any) -> None:
    with brand_scope.use(vegliasi.id):
        key = vault.store(service="uno", secret=SECRET)
    _remembered(vegliasi)
    vault_cache.forget()
    with brand_scope.use(vegliasi.id):
        assert vault.get("uno") == SECRET

        def change() -> None:
            with brand_scope.use(vegliasi.id):
                vault.replace(key_id=key.id, secret=OTHER, now=timezone.now())
            connection.close()

        elsewhere = threading.Thread(target=change)
        elsewhere.start()
        elsewhere.join()
    with brand_scope.use(vegliasi.id):
        assert vault.get("uno") == OTHER


@pytest.mark.django_db(transaction=True)
def test_another_brand_is_never_answered_from_memory(vegliasi: Any, quadranorma: Any) -> None:
    with brand_scope.use(vegliasi.id):
        vault.store(service="uno", secret=SECRET)
    _remembered(vegliasi)
    with brand_scope.use(quadranorma.id), pytest.raises(vault.NoSuchKey):
        vault.get("uno")


def _remembered(brand: Any) -> None:
    """Read until the secret is in memory: the listening connection opens with the first look."""
    ends_at = time.monotonic() + 20
    while True:
        with brand_scope.use(brand.id):
            vault.get("uno")
            if vault_cache.of(brand.id, "uno").secret:
                return
        assert time.monotonic() < ends_at
        time.sleep(0.02)
