"""A morning for the pages that are read without a browser."""

from typing import Any

import pytest

from tests.workspace.seed import a_morning


@pytest.fixture
def morning(vegliasi: Any, people: Any) -> Any:
    """The leads of a morning in Vegliasì; Bea is the first agent."""
    from django.utils import timezone

    from filiera.platform import brand_scope

    with brand_scope.use(vegliasi.id):
        a_morning(people.bea, now=timezone.now())
    return vegliasi
