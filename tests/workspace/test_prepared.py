"""Reads whose SQL is written once."""

from typing import Any

from filiera.contacts.models import Contact
from filiera.platform import brand_scope
from filiera.platform.prepared import Prepared


def test_a_prepared_read_finds_the_rows_of_each_id_with_what_they_point_to(
    morning: Any, django_assert_num_queries: Any
) -> None:
    read = Prepared(lambda one: Contact.objects.select_related("assigned_user").filter(id=one))
    with brand_scope.use(morning.id):
        adele, corrado = (Contact.objects.get(first_name=name) for name in ("Adele", "Corrado"))
        with django_assert_num_queries(2):
            found = [read.first(adele.id), read.first(corrado.id)]
            owners = [one.assigned_user and one.assigned_user.name for one in found if one]
    assert found == [adele, corrado]
    assert owners == ["Bea Neri", corrado.assigned_user and corrado.assigned_user.name]
    assert read.first(morning.id) is None


def test_a_prepared_read_shows_the_brand_that_is_open(morning: Any, quadranorma: Any) -> None:
    read = Prepared(lambda _one: Contact.objects.order_by("id"))
    with brand_scope.use(morning.id):
        assert [one.id for one in read()] == [one.id for one in Contact.objects.order_by("id")] != []
    with brand_scope.use(quadranorma.id):
        assert read() == []
