"""The browser and the house for the tests that look at pages, and a morning for those that only read them."""

from typing import Any

import pytest

from tests.browser import browser, house
from tests.workspace.seed import a_morning

__all__ = ["browser", "house"]


@pytest.fixture
def morning(vegliasi: Any, people: Any) -> Any:
    """The leads of a morning in Vegliasì; Bea is the first agent."""
    from django.utils import timezone

    from filiera.platform import brand_scope

    with brand_scope.use(vegliasi.id):
        a_morning(people.bea, now=timezone.now())
    return vegliasi
