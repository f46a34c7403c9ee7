"""Backups under load and their restore elsewhere (acceptance 7, Q-24, PLT-23, PLT-24)."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from filiera.platform import backup, database
from filiera.platform import home as homes
from tests import database as test_database

KEY = "k" * 43
NOW = datetime(2026, 11, 21, 3, 15, tzinfo=UTC)
OVERRIDES = tuple(test_database.environment(database.Dsns("", "", "", "")))


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Return the home of an installation into which pairs of rows are written without a pause."""
    home = tmp_path / "one"
    home.mkdir(mode=0o700)
    with test_database.fresh_database("backup") as environment:
        for name, url in environment.items():
            monkeypatch.setenv(name, url)
        started, stopping = threading.Event(), threading.Event()
        url = environment["FILIERA_OWNER_DATABASE_URL"]
        writer = threading.Thread(target=_write_pairs, args=(url, started, stopping))
        writer.start()
        started.wait(30)
        try:
            yield home
        finally:
            stopping.set()
            writer.join()


def _write_pairs(url: str, started: threading.Event, stopping: threading.Event) -> None:
    with psycopg.connect(url) as connection:
        while not stopping.is_set():
            connection.execute(
                "create table if not exists one (id int generated always as identity primary key, t text)"
            )
            connection.execute("create table if not exists other (like one including all)")
            for table in ("one", "other"):
                connection.execute(
                    f"insert into {table} (t) select 'riga'||chr(10)||'\\ perché' from generate_series(1, 3)"
                )
            connection.commit()
            started.set()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Path]:
    """Return an empty home with a server of its own."""
    home = tmp_path / "other place"
    home.mkdir(mode=0o700)
    yield home
    database.destroy(home)


def without_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OVERRIDES:
        monkeypatch.delenv(name)


@pytest.mark.slow
def test_a_backup_taken_under_load_restores_elsewhere_with_the_counts_and_checksums_it_recorded(
    busy: Path, empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = homes.secret_key(busy)
    backup.make(busy, tmp_path, key=KEY, now=NOW)
    without_overrides(monkeypatch)
    manifest = backup.restore(empty, tmp_path, stamp="20261121_031500", key=KEY)
    assert manifest.tables["one"].rows == manifest.tables["other"].rows > 0
    assert "platform_event" in manifest.tables
    assert homes.secret_key(empty) == kept, "the vault's key comes along"
    urls = database.dsns(empty)
    with psycopg.connect(urls.platform) as restored:
        for name, table in manifest.tables.items():
            assert restored.execute(f'select count(*) from "{name}"').fetchone() == (table.rows,)
    with psycopg.connect(urls.app) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute("drop table platform_event")
    with psycopg.connect(urls.app) as app:
        secured = app.execute(
            "select relforcerowsecurity from pg_class where relname = 'platform_event'"
        ).fetchone()
    assert secured == (True,)
    with pytest.raises(backup.BackupTrouble, match=f"{len(manifest.tables)} tabelle"):
        backup.restore(empty, tmp_path, stamp="20261121_031500", key=KEY)


@pytest.mark.slow
def test_another_key_a_changed_byte_and_a_cut_end_are_refused(
    busy: Path, empty: Path, tmp_path: Path
) -> None:
    file = backup.make(busy, tmp_path, key=KEY, now=NOW)
    whole = file.read_bytes()
    assert b"create table" not in whole.lower()
    with pytest.raises(backup.BackupTrouble, match="chiave"):
        backup.restore(empty, tmp_path, stamp="20261121_031500", key="x" * 43)
    for damaged in (whole[:-40], whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]):
        file.write_bytes(damaged)
        with pytest.raises(backup.BackupTrouble, match="impronta"):
            backup.restore(empty, tmp_path, stamp="20261121_031500", key=KEY)
    file.with_name(f"{file.name}.sha256").unlink()
    file.write_bytes(whole[:-40])
    with file.open("rb") as sealed, pytest.raises(backup.BackupTrouble, match="rovinato"):
        list(backup._read(sealed, KEY))


def test_backups_older_than_seven_days_are_deleted(busy: Path, tmp_path: Path) -> None:
    for days in (8, 6, 0):
        backup.make(busy, tmp_path, key=KEY, now=NOW - timedelta(days=days))
    assert backup.stamps(tmp_path) == ["20261115_031500", "20261121_031500"]
    assert len(list(tmp_path.glob("*.sha256"))) == 2
    assert not list(tmp_path.glob("*.partial"))


def test_a_backup_that_fails_leaves_no_file_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILIERA_PLATFORM_DATABASE_URL", f"postgresql://nobody@/x?host={tmp_path}")
    with pytest.raises(backup.BackupTrouble, match="non è riuscita"):
        backup.make(tmp_path, tmp_path, key=KEY, now=NOW)
    assert not list(tmp_path.glob("db_backup_*"))


def test_a_short_key_is_refused(busy: Path, tmp_path: Path) -> None:
    with pytest.raises(backup.BackupTrouble, match="32"):
        backup.make(busy, tmp_path, key="segreto", now=NOW)
