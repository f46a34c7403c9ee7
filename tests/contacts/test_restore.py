"""An erasure is repeated after a restore, by the command an operator gives (GD-30, Q-24)."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from filiera.platform import backup, database
from filiera.platform import home as homes
from tests import database as test_database

KEY = "k" * 43
NOW = datetime(2026, 11, 21, 3, 15, tzinfo=UTC)
ROOT = Path(__file__).parent.parent.parent

MAKE = """
from filiera import operators
from django.utils import timezone
from filiera.contacts.models import Contact, ContactPhone
from filiera.journeys import openings
from filiera.platform import brand_scope
brand = openings.open_brand(name="Vegliasì")
with brand_scope.use(brand.id):
    now = timezone.now()
    person = Contact.objects.create(first_name="Adelina", last_name="Brunettoni", email="adelina@posta.example",
        email_norm="adelina@posta.example", notes="Adelina vive sola", last_lead_at=now, created_at=now,
        updated_at=now)
    ContactPhone.objects.create(contact=person, phone_raw="351 000 4127", phone_norm="3510004127",
        country_code="IT", phone_e164="+393510004127", is_primary=True, created_at=now)
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """Return an empty home with a server of its own."""
    home = tmp_path / "elsewhere"
    home.mkdir(mode=0o700)
    yield home
    database.destroy(home)


def run(*arguments: str, **environment: str) -> str:
    """Run our Python with an environment; returns what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def people(url: str) -> list[tuple[str, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select first_name, last_name, coalesce(email, ''), notes from contacts_contact"
        ).fetchall()


def values_in(connection: psycopg.Connection) -> list[str]:
    """Return the tables in which any of her values stands, whatever the brand."""
    tables = connection.execute(
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    ).fetchall()
    wanted = "adelina|brunettoni|3510004127|351 000 4127"
    return [
        name
        for (name,) in tables
        if connection.execute(f'select 1 from "{name}" t where t::text ~* %s limit 1', [wanted]).fetchone()
    ]


@pytest.mark.slow
def test_who_was_erased_after_the_backup_is_erased_again_by_its_restore(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "here"
    home.mkdir(mode=0o700)
    folder = homes.subfolder(home, "backups")
    with test_database.fresh_database("restore") as environment:
        here = {**environment, "FILIERA_HOME": str(home)}
        run("-c", MAKE, **here)
        with psycopg.connect(environment["FILIERA_PLATFORM_DATABASE_URL"]) as connection:
            assert {"audit_log", "contacts_contact", "contacts_contactphone"} == set(values_in(connection))
        with monkeypatch.context() as patch:
            for name, url in environment.items():
                patch.setenv(name, url)
            backup.make(home, folder, key=KEY, now=NOW)
        who = ("--brand", "vegliasi", "--person", "adelina@posta.example")
        run("-m", "filiera.cli", "gdpr", "erase", *who, "--yes", **here)
        assert people(environment["FILIERA_PLATFORM_DATABASE_URL"]) == [("", "", "", "")]
    for name in environment:
        monkeypatch.delenv(name, raising=False)
    there = {"FILIERA_HOME": str(elsewhere), "FILIERA_BACKUP_KEY": KEY}
    run("-m", "filiera.cli", "restore", "20261121_031500", "--folder", str(folder), **there)
    database.ensure(elsewhere)
    url = database.dsns(elsewhere).platform
    assert people(url) == [("", "", "", "")]
    with psycopg.connect(url) as connection:
        assert values_in(connection) == []
        assert connection.execute("select count(*) from contacts_contactphone").fetchone() == (0,)
        assert connection.execute("select count(*) from contacts_suppression").fetchone() == (2,)
    # The log came along: the next restore from here repeats it too.
    assert (elsewhere / "backups" / "erasures.jsonl").exists()
