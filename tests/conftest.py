"""The house the tests live in: a real database under row security, and people who recur by name.

Ada owns, Bea sells, Carl is of another brand and must see nothing.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
import pytest

from tests import database as test_database
from tests import side_by_side
from tests.browser import browser, house

# The database is made before Django reads its settings, and Django is up before a test module is imported.
_run = ExitStack()
os.environ |= _run.enter_context(test_database.fresh_database("test"))
os.environ |= {
    "FILIERA_HOME": str(test_database.HOME),
    "FILIERA_SMTP_HOST": "",
    "FILIERA_DRY_RUN": "0",
    # Tests and the servers they start knock often; the limits are tried in tests/security/test_walls.py.
    "FILIERA_API_LIMIT_PER_MIN": "0",
    "FILIERA_SIGN_IN_LIMIT_PER_MIN": "0",
    "DJANGO_SETTINGS_MODULE": "filiera.settings",
}
django.setup()

from tests import signing_in  # noqa: E402 (asks the models)

signing_in.teach_the_client()

# Kills real processes and waits for phones to settle: asked for by name, `FILIERA_FAULTS=1 pytest tests/faults`.
collect_ignore = [] if os.environ.get("FILIERA_FAULTS") else ["faults"]


__all__ = ["browser", "house"]


def pytest_itemcollected(item: pytest.Item) -> None:
    side_by_side.keep_the_house_together(item)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests with a browser last: its driver leaves a loop running here, which Django and asyncio object to."""
    items.sort(key=lambda item: not {"browser", "house"}.isdisjoint(getattr(item, "fixturenames", ())))


def pytest_xdist_setupnodes() -> None:
    """Let each worker begin as this process did: with a database of its own, before Django reads its settings."""
    del os.environ["DJANGO_SETTINGS_MODULE"]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> side_by_side.InOrder:
    return side_by_side.InOrder(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    from django.db import connections

    for connection in connections.all():
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()
    _run.close()


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """The database is there already: a copy of the template, made before Django's settings were read."""


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """Hash passwords cheaply: what bcrypt costs is measured elsewhere."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def own_files(settings: Any, tmp_path: Path) -> None:
    """Let what a test writes under the home land in its own folder."""
    settings.FILIERA_HOME = tmp_path


@dataclass(frozen=True, slots=True)
class People:
    """Ada and Bea work in Vegliasì, Carl in Quadranorma."""

    ada: Any
    bea: Any
    carl: Any


@pytest.fixture
def vegliasi(db: None) -> Any:
    """The brand the tests work in."""
    return _brand("Vegliasì", "vegliasi", accent="laguna", tagline="Teleassistenza")


@pytest.fixture
def quadranorma(db: None) -> Any:
    """The other brand."""
    return _brand("Quadranorma", "quadranorma", accent="glicine", tagline="Impianti")


def _brand(name: str, slug: str, **fields: str) -> Any:
    from filiera.identity.models import Brand
    from filiera.pipeline import commands as pipeline
    from filiera.platform import brand_scope

    brand = Brand.objects.create(name=name, slug=slug, **fields)
    with brand_scope.use(brand.id):
        pipeline.set_up_brand()
    return brand


@pytest.fixture
def people(vegliasi: Any, quadranorma: Any) -> People:
    """Ada owns, Bea sells, Carl owns the other brand."""
    return People(
        ada=_person("Ada Rossi", "ada@vegliasi.example", vegliasi, "admin"),
        bea=_person("Bea Neri", "bea@vegliasi.example", vegliasi, "sales"),
        carl=_person("Carl Blu", "carl@quadranorma.example", quadranorma, "admin"),
    )


def _person(name: str, email: str, brand: Any, role: str) -> Any:
    from filiera.identity.models import User, UserRole
    from filiera.platform import brand_scope

    user = User.objects.create_user(email, "una-parola-lunga", name=name)
    with brand_scope.use(brand.id):
        UserRole.objects.create(user=user, role=role)
    if role in ("admin", "super_admin"):
        signing_in.give_second_factor(user)
    return user


@pytest.fixture
def ada(people: People) -> Any:
    return people.ada


@pytest.fixture
def bea(people: People) -> Any:
    return people.bea


@pytest.fixture
def carl(people: People) -> Any:
    return people.carl


@pytest.fixture
def signed_in(people: People) -> Callable[[Any], Any]:
    """Return a browser-like client of a person: `signed_in(ada).get("/oggi")`."""
    from django.test import Client

    def client_of(user: Any) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return client_of


@pytest.fixture
def in_vegliasi(vegliasi: Any) -> Iterator[Any]:
    """Run the test inside the brand scope of Vegliasì."""
    from filiera.platform import brand_scope

    with brand_scope.use(vegliasi.id):
        yield vegliasi


@pytest.fixture
def run_jobs(db: None) -> Callable[[], int]:
    """Drain the waiting jobs inside the test's transaction; returns how many ran."""
    from tests.jobs import drain

    return drain
