"""A database for this run: a copy of a template that was migrated once.

The name of the template holds a digest of the migrations, so a change makes a new one. Tests connect as the runtime
role, under row security, like the product.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from filiera.platform import database
from filiera.platform.ids import new_id

ROOT = Path(__file__).parent.parent
HOME = (
    Path(tempfile.gettempdir())
    / f"filiera-tests-{os.getuid()}-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
)


@contextmanager
def fresh_database(prefix: str) -> Iterator[dict[str, str]]:
    """Yield the environment that leads to a new, migrated, empty database, and drop it afterwards."""
    urls = _template()
    name = f"{prefix}_{new_id().hex}"
    with _alone("clone"):
        made = database.create_database(urls, name, template=_template_name())
    _let_tests_empty_tables(made)
    try:
        yield environment(made)
    finally:
        database.drop_database(urls, name)


def _let_tests_empty_tables(urls: database.Dsns) -> None:
    """Let the runtime role truncate, which the product never may: tests that really commit end with Django's flush."""
    with psycopg.connect(urls.owner) as owner:
        owner.execute(
            sql.SQL("grant truncate on all tables in schema public to {}").format(
                sql.Identifier(urlsplit(urls.app).username or "")
            )
        )
        owner.execute("alter table audit_log disable trigger audit_log_is_not_emptied")


def environment(urls: database.Dsns) -> dict[str, str]:
    """Return the variables that make a process of ours use these URLs, and nothing else."""
    return {
        "FILIERA_APP_DATABASE_URL": urls.app,
        "FILIERA_OWNER_DATABASE_URL": urls.owner,
        "FILIERA_PLATFORM_DATABASE_URL": urls.platform,
    }


def _template() -> database.Dsns:
    urls = _server()
    name = _template_name()
    with _alone("template"):
        if not _is_ready(urls, name):
            database.drop_database(urls, name)
            created = database.create_database(urls, name)
            migrated = subprocess.run(
                [sys.executable, "-m", "django", "migrate", "--verbosity=0"],
                check=False,
                cwd=ROOT,
                env={
                    **os.environ,
                    **environment(created),
                    "FILIERA_HOME": str(HOME),
                    "FILIERA_DATABASE_ROLE": "owner",
                    "DJANGO_SETTINGS_MODULE": "filiera.settings",
                },
                capture_output=True,
                text=True,
            )
            if migrated.returncode:
                raise RuntimeError(f"The template database could not be migrated:\n{migrated.stderr[-4000:]}")
            with psycopg.connect(urls.admin) as admin:
                admin.execute(sql.SQL("comment on database {} is 'ready'").format(sql.Identifier(name)))
    return urls


def _is_ready(urls: database.Dsns, name: str) -> bool:
    said = "select shobj_description(oid, 'pg_database') = 'ready' from pg_database where datname = %s"
    with psycopg.connect(urls.admin) as admin:
        return admin.execute(said, [name]).fetchone() == (True,)


def _server() -> database.Dsns:
    HOME.mkdir(mode=0o700, exist_ok=True)
    # Always the embedded server: the tests must not depend on, nor touch, a database that somebody configured.
    for variable in ("DATABASE_URL", *environment(database.Dsns("", "", "", ""))):
        os.environ.pop(variable, None)
    os.environ.pop("FILIERA_SECRET_KEY", None)
    return database.ensure(HOME)


def _template_name() -> str:
    digest = hashlib.sha256()
    for migration in sorted(ROOT.glob("filiera/*/migrations/*.py")):
        digest.update(migration.read_bytes())
    for name in ("migration_operations.py", "database.py"):
        digest.update((ROOT / "filiera/platform" / name).read_bytes())
    for package in ("django-allauth", "procrastinate"):
        digest.update(metadata.version(package).encode())
    return f"template_{digest.hexdigest()[:16]}"


@contextmanager
def _alone(what: str) -> Iterator[None]:
    HOME.mkdir(mode=0o700, exist_ok=True)
    with (HOME / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
