"""The database keeps brands apart, whatever the code asks."""

import pytest
from django.db import IntegrityError, connection, transaction

from filiera.contacts.models import Contact
from filiera.platform import brand_scope


def _contact(name):
    from django.utils import timezone

    now = timezone.now()
    return Contact.objects.create(first_name=name, last_lead_at=now, created_at=now, updated_at=now)


def test_outside_a_brand_scope_there_are_no_rows(vegliasi):
    with brand_scope.use(vegliasi.id):
        _contact("Adele")
    with brand_scope.use(None):
        assert not Contact.objects.exists()


def test_a_brand_sees_its_own_rows_only(vegliasi, quadranorma):
    with brand_scope.use(vegliasi.id):
        _contact("Adele")
    with brand_scope.use(quadranorma.id):
        assert list(Contact.objects.values_list("first_name", flat=True)) == []
        _contact("Corrado")
    with brand_scope.use(vegliasi.id):
        assert list(Contact.objects.values_list("first_name", flat=True)) == ["Adele"]


def test_leaving_an_inner_scope_restores_the_outer_brand(vegliasi, quadranorma):
    with brand_scope.use(vegliasi.id):
        _contact("Adele")
        with brand_scope.use(quadranorma.id):
            assert not Contact.objects.exists()
        assert Contact.objects.count() == 1


def test_a_row_cannot_point_to_another_brands_row(vegliasi, quadranorma):
    with brand_scope.use(quadranorma.id):
        other = _contact("Corrado")
    with brand_scope.use(vegliasi.id):
        mine = _contact("Adele")
        with pytest.raises(IntegrityError), transaction.atomic():
            Contact.objects.filter(id=mine.id).update(merged_into_id=other.id)


def test_a_row_of_another_brand_cannot_be_written(vegliasi, quadranorma):
    from django.db.utils import ProgrammingError
    from django.utils import timezone

    now = timezone.now()
    with brand_scope.use(vegliasi.id), pytest.raises(ProgrammingError, match="row-level security"):
        Contact.objects.create(
            brand_id=quadranorma.id, first_name="Falso", last_lead_at=now, created_at=now, updated_at=now
        )


def test_the_runtime_role_neither_owns_nor_bypasses(db):
    with connection.cursor() as cursor:
        cursor.execute("select rolsuper, rolbypassrls from pg_roles where rolname = current_user")
        assert cursor.fetchone() == (False, False)
        cursor.execute(
            "select count(*) from pg_tables where schemaname = 'public' and tableowner = current_user"
        )
        assert cursor.fetchone() == (0,)
