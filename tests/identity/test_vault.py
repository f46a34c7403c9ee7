"""Secrets of a brand: encrypted where they lie, useless anywhere else (CNN-26, CNN-28)."""

from typing import Any

import pytest
from django.db import connection

from filiera.identity import vault
from filiera.identity.models import VaultKey
from filiera.platform import brand_scope

SECRET = "chiave-di-prova-0001"


def test_a_secret_comes_back_as_it_went_in_and_shows_only_its_end(in_vegliasi: Any) -> None:
    key = vault.store(service="cloudtalk", secret=SECRET)
    assert vault.reveal(VaultKey.objects.get(id=key.id)) == SECRET
    assert key.last4 == "0001"


def test_the_table_holds_no_clear_text(in_vegliasi: Any) -> None:
    vault.store(service="cloudtalk", secret=SECRET, label="CloudTalk")
    with connection.cursor() as cursor:
        cursor.execute("select row_to_json(k)::text, k.ciphertext from identity_vaultkey k")
        text, ciphertext = cursor.fetchone()
    assert SECRET not in text
    assert SECRET.encode() not in bytes(ciphertext)


def test_the_same_secret_is_never_encrypted_alike(in_vegliasi: Any) -> None:
    first, second = (vault.store(service="meta", secret=SECRET) for _time in range(2))
    assert bytes(first.ciphertext) != bytes(second.ciphertext)


def test_a_ciphertext_copied_to_another_row_or_brand_does_not_open(vegliasi: Any, quadranorma: Any) -> None:
    with brand_scope.use(vegliasi.id):
        stolen = vault.store(service="cloudtalk", secret=SECRET)
    with brand_scope.use(quadranorma.id):
        other = vault.store(service="cloudtalk", secret="altra-chiave-0002")
        VaultKey.objects.filter(id=other.id).update(ciphertext=stolen.ciphertext, nonce=stolen.nonce)
        with pytest.raises(vault.VaultLocked):
            vault.reveal(VaultKey.objects.get(id=other.id))


def test_another_master_key_opens_nothing(in_vegliasi: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    key = vault.store(service="cloudtalk", secret=SECRET)
    monkeypatch.setenv("ENCRYPTION_MASTER_KEY", "una chiave che non è quella di prima")
    with pytest.raises(vault.VaultLocked):
        vault.reveal(key)


def test_a_disabled_key_is_not_given_out(in_vegliasi: Any) -> None:
    key = vault.store(service="cloudtalk", secret=SECRET)
    key.is_active = False
    with pytest.raises(vault.VaultLocked):
        vault.reveal(key)
