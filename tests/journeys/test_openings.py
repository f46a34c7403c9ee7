"""Opening a brand and connecting its telephony."""

import hashlib

import pytest

from filiera.identity import queries, vault
from filiera.identity.models import VaultKey
from filiera.journeys import openings
from filiera.pipeline.models import Stage
from filiera.platform import brand_scope
from filiera.routing.models import Connection

pytestmark = pytest.mark.django_db


def test_a_new_brand_has_its_stages_and_whoever_opens_it_administers_it() -> None:
    brand = openings.open_brand(name="Casa Serena")
    ada = openings.give_role(
        brand=brand, email=" Ada@Serena.example ", name="Ada", password="una-parola-lunga"
    )
    assert (brand.slug, ada.email) == ("casa-serena", "ada@serena.example")
    with brand_scope.use(brand.id):
        assert Stage.objects.count() == 6
    principal = queries.principal_of(ada)
    assert principal is not None
    assert principal.brand == brand
    assert principal.may("manage_intake")


def test_a_brand_is_opened_once() -> None:
    openings.open_brand(name="Casa Serena")
    with pytest.raises(openings.BrandTaken):
        openings.open_brand(name="Casa serena")


def test_a_person_may_work_in_two_brands_with_one_account() -> None:
    first, second = openings.open_brand(name="Uno"), openings.open_brand(name="Due")
    for brand in (first, second):
        ada = openings.give_role(brand=brand, email="ada@serena.example", name="Ada")
    principal = queries.principal_of(ada)
    assert principal is not None
    assert set(principal.brands) == {first, second}


def test_new_keys_replace_the_old_ones_and_of_the_token_only_a_hash_is_kept() -> None:
    brand = openings.open_brand(name="Casa Serena")
    openings.connect_cloudtalk(brand=brand, key_id="k1", key_secret="vecchio")
    made = openings.connect_cloudtalk(brand=brand, key_id="k1", key_secret="nuovo")
    with brand_scope.use(brand.id):
        connection = Connection.objects.get()
        assert connection.vault_key is not None
        assert vault.reveal(connection.vault_key) == "k1:nuovo"
        assert VaultKey.objects.filter(is_active=True).count() == 1
        assert connection.webhook_token_hash == hashlib.sha256(made.token.encode()).hexdigest()
