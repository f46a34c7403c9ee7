"""The private server: started once by many, back after a kill, prepared for three roles."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from filiera.platform import database
from tests import database as test_database

ROOT = Path(__file__).parent.parent.parent
ASK = """
import psycopg
from filiera.platform import database, home
urls = database.ensure(home.folder())
with psycopg.connect(urls.app) as app:
    print(app.execute("select pg_postmaster_start_time()").fetchone()[0])
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty home, with a space in its path, whose server is its own."""
    for name in (*test_database.environment(database.Dsns("", "", "", "")), "FILIERA_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "my house"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("FILIERA_HOME", str(path))
    yield path
    database.destroy(path)


def postmaster(home: Path) -> int:
    return int((database._Server.of(home).data / "postmaster.pid").read_text().split()[0])


@pytest.mark.slow
def test_six_processes_at_once_start_one_server_and_all_reach_it(home: Path) -> None:
    starters = [
        subprocess.Popen([sys.executable, "-c", ASK], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    seen = [starter.communicate()[0].strip() for starter in starters]
    assert [starter.returncode for starter in starters] == [0] * 6
    assert len(set(seen)) == 1


@pytest.mark.slow
def test_what_was_committed_is_there_after_the_server_was_killed(home: Path) -> None:
    urls = database.ensure(home)
    with psycopg.connect(urls.owner) as owner:
        owner.execute("create table kept (id int)")
        owner.execute("insert into kept values (1)")
    killed = postmaster(home)
    os.kill(killed, signal.SIGKILL)
    while Path(f"/proc/{killed}").exists() and database.is_running(home):
        time.sleep(0.01)
    database.ensure(home)
    with psycopg.connect(urls.app) as app:
        assert app.execute("select id from kept").fetchall() == [(1,)]
    assert postmaster(home) != killed


@pytest.mark.slow
def test_a_stranger_with_the_number_of_the_dead_server_does_not_keep_it_from_starting(home: Path) -> None:
    database.ensure(home)
    pid_file = database._Server.of(home).data / "postmaster.pid"
    left_behind = pid_file.read_text().split("\n", 1)[1]
    database.stop(home)
    pid_file.write_text(f"{os.getpid()}\n{left_behind}")
    assert not database.is_running(home)
    with psycopg.connect(database.ensure(home).app) as app:
        assert app.execute("select 1").fetchone() == (1,)


@pytest.mark.slow
def test_roles_may_what_their_part_needs_and_no_more_also_after_another_secret_key(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = database.ensure(home)
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        owner.execute("create table row_of (id int generated always as identity, brand_id uuid, v vector(2))")
        owner.execute("create function secret() returns int language sql security definer as 'select 1'")
    with psycopg.connect(urls.app, autocommit=True) as app:
        app.execute("insert into row_of (brand_id) values (gen_random_uuid())")
        assert app.execute("select secret()").fetchone() == (1,)
        for forbidden in (
            "drop table row_of",
            "create table mine (id int)",
            "alter role filiera_app bypassrls",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(forbidden)
    with psycopg.connect(urls.platform, autocommit=True) as platform:
        assert platform.execute("select count(*) from row_of").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            platform.execute("delete from row_of")
    monkeypatch.setenv("FILIERA_SECRET_KEY", "another key from the environment")
    again = database.ensure(home)
    assert again.app != urls.app
    with psycopg.connect(again.app) as app:
        assert app.execute("select current_user").fetchone() == ("filiera_app",)


@pytest.mark.slow
def test_a_database_is_copied_from_a_template_with_its_privileges(home: Path) -> None:
    urls = database.ensure(home)
    template = database.create_database(urls, "template_x")
    with psycopg.connect(template.owner) as owner:
        owner.execute("create table kept (id int)")
    copy = database.create_database(urls, "copy_x", template="template_x")
    with psycopg.connect(copy.app) as app:
        app.execute("insert into kept values (1)")
        assert app.execute("select count(*) from kept").fetchone() == (1,)
    database.drop_database(urls, "copy_x")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(copy.app)


@pytest.mark.slow
def test_a_given_server_is_prepared_by_its_administrator_and_machines_agree_on_the_passwords(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    private = database.ensure(home)
    monkeypatch.setenv("DATABASE_URL", database.create_database(private, "given").admin)
    monkeypatch.setenv("FILIERA_SECRET_KEY", "shared by two machines")
    first, second = (tmp_path / name for name in ("one", "two"))
    for machine in (first, second):
        machine.mkdir()
    urls = database.ensure(first)
    assert not database.is_embedded()
    database.provision(urls)
    assert database.dsns(second) == urls
    with psycopg.connect(urls.app) as app:
        assert app.execute("select current_database(), current_user").fetchone() == ("given", "filiera_app")
    monkeypatch.delenv("DATABASE_URL")


@pytest.mark.slow
def test_roles_made_by_hand_get_their_privileges_from_the_owner(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = database.ensure(home)
    with psycopg.connect(private.admin, autocommit=True) as admin:
        for role, bypass in (("boss", "bypassrls"), ("clerk", "nobypassrls"), ("auditor", "bypassrls")):
            admin.execute(f"create role {role} login password 'pw' {bypass}")
        admin.execute("create database byhand owner boss")  # has vector, from the template
    given = database.Dsns(
        *(
            database._with(private.admin, user=role, password="pw", database="byhand")
            for role in ("boss", "boss", "clerk", "auditor")
        )
    )
    for name, url in test_database.environment(given).items():
        monkeypatch.setenv(name, url)
    assert database.ensure(home) == given
    database.provision(given)
    with psycopg.connect(given.owner) as owner:
        owner.execute("create table kept (id int)")
    with psycopg.connect(given.app) as app:
        app.execute("insert into kept values (1)")
    with psycopg.connect(given.platform) as platform:
        assert platform.execute("select id from kept").fetchall() == [(1,)]
    for name in test_database.environment(given):
        monkeypatch.delenv(name)


def test_roles_made_by_hand_are_taken_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = database.Dsns(
        *(f"postgresql://{role}@db.example/f" for role in ("owner", "owner", "app", "platform"))
    )
    for name, url in test_database.environment(given).items():
        monkeypatch.setenv(name, url)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert database.dsns(tmp_path) == given


def test_a_socket_folder_with_a_long_path_moves_to_a_short_one(tmp_path: Path) -> None:
    short = database._socket_folder(Path("/srv/filiera/database"))
    long = database._socket_folder(tmp_path / ("x" * 90) / "database")
    assert short == Path("/srv/filiera/database/run")
    assert len(bytes(long)) < database.SOCKET_FOLDER_LIMIT_BYTES
