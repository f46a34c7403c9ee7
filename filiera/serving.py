"""Running the house: the database, the schema, the web server, the worker, all of it on one machine."""

import fcntl
import gc
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from psycopg import sql

from filiera.platform import catalogue, database, supervisor
from filiera.platform import home as homes
from filiera.platform.console import gettext as _
from filiera.platform.console import say

# Written by `collectstatic`; bootstrap.py runs it, a release carries it.
COLLECTED = Path(__file__).parent / "static" / "staticfiles.json"
LOCK_TIMEOUT_S = 5  # of a page's or a migration's statement


class CannotStart(RuntimeError):
    """The house cannot start as things are; the message says what to change."""


def address() -> tuple[str, int]:
    """Return where the web server listens: `FILIERA_BIND` (this machine alone unless said), `FILIERA_PORT`."""
    port = os.environ.get("FILIERA_PORT") or "8000"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise CannotStart(_("FILIERA_PORT deve essere un numero di porta, non «%(port)s».") % {"port": port})
    return os.environ.get("FILIERA_BIND") or "127.0.0.1", int(port)


def up(
    home: Path,
    *,
    also: Sequence[supervisor.Process] = (),
    logs: Path | None = None,
    before: Callable[[], None] = lambda: None,
    is_ready: Callable[[], bool] = lambda: True,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Run everything until SIGINT or SIGTERM: database, migrations, then `before`, then worker and web server.

    `also` are further processes, started first and ended last. `on_ready` is called once every part works,
    `is_ready` saying so of the further ones.
    Raises CannotStart, DatabaseTrouble.
    """
    host, port = address()
    with only_one(home):
        _refuse_busy_port(host, port)
        prepare(home)
        before()
        shutil.rmtree(home / "metrics", ignore_errors=True)  # of processes that are no more
        processes = [
            *also,
            supervisor.Process("worker", ["-m", "filiera.cli", "worker"]),
            supervisor.Process("web", ["-m", "filiera.cli", "web"]),
        ]
        try:
            supervisor.run(
                processes,
                logs=logs,
                every_second=lambda: _keep_database(home),
                is_ready=lambda: is_healthy(f"http://{_reachable(host)}:{port}/health") and is_ready(),
                on_ready=on_ready,
            )
        finally:
            database.stop(home)


def prepare(home: Path) -> None:
    """Start the database, if it is ours, and bring its schema up to date, saying how long each took."""
    started = time.monotonic()
    database.ensure(home)
    say(_("Database pronto in %(seconds).1f s.") % {"seconds": time.monotonic() - started})
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "filiera.cli", "migrate", "--quiet"], check=False)
    if done.returncode:
        raise CannotStart(_("Lo schema del database non si aggiorna: guarda le righe qui sopra."))
    say(_("Schema aggiornato in %(seconds).1f s.") % {"seconds": time.monotonic() - started})


def migrate(*, verbosity: int = 1) -> None:
    """Bring the schema up to date, as its owner; one process at a time over all machines.

    A statement waits at most LOCK_TIMEOUT_S for a lock, so that a migration never stands in front of the house's work.
    A schema that these very migrations made is left alone, without loading Django.
    """
    home = homes.folder()
    urls = database.ensure(home)
    if not database.is_embedded():
        database.provision(urls)
    digest = _digest_of_migrations()
    with database.alone(urls, "migrate") as owner:
        made_by = owner.execute("select obj_description('public'::regnamespace, 'pg_namespace')").fetchone()
        if made_by == (digest,):
            return
        os.environ["FILIERA_DATABASE_ROLE"] = "owner"
        os.environ["PGOPTIONS"] = f"-c lock_timeout={LOCK_TIMEOUT_S}s"
        set_up_django()
        from django.core.management import call_command

        call_command("migrate", interactive=False, verbosity=verbosity)
        owner.execute(sql.SQL("comment on schema public is {}").format(sql.Literal(digest)))


def _digest_of_migrations() -> str:
    """Return a name for all migrations of this version, ours and those of the packages that have some."""
    packages = ("django", "django-allauth", "procrastinate")
    digest = hashlib.sha256("".join(metadata.version(name) for name in packages).encode())
    for migration in sorted(Path(__file__).parent.glob("*/migrations/*.py")):
        digest.update(f"{migration.parent.parent.name}/{migration.name}\0".encode() + migration.read_bytes())
    return f"filiera migrations {digest.hexdigest()}"


def web() -> None:
    """Serve `filiera.asgi` until SIGTERM, with `FILIERA_WEB_PROCESSES` processes (else one a core, at most 4)."""
    from granian import Granian
    from granian.constants import Interfaces

    home = homes.folder()
    catalogue.refuse_unsafe(database.ensure(home).app)
    os.environ["PGOPTIONS"] = f"-c lock_timeout={LOCK_TIMEOUT_S}s"  # who waits longer hears 503
    if COLLECTED.exists():
        os.environ["FILIERA_STATIC_COLLECTED"] = "1"
    host, port = address()
    processes = int(os.environ.get("FILIERA_WEB_PROCESSES") or min(os.cpu_count() or 1, 4))
    _share_metrics(home)
    Granian(
        "filiera.asgi:application",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=processes,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=8,
        log_dictconfig=_GRANIAN_LOGS,
    ).serve(target_loader=partial(_load_application, os.getpid()), wrap_loader=False)


def worker() -> None:
    """Take in leads until SIGTERM, with a process for the calls and one for the jobs beside."""
    _resident().run()


def phones() -> None:
    """Place calls until SIGTERM."""
    _resident().run_phones()


def jobs() -> None:
    """Run jobs until SIGTERM."""
    _resident().run_jobs()


def _resident() -> ModuleType:
    home = homes.folder()
    catalogue.refuse_unsafe(database.ensure(home).app)
    _share_metrics(home)
    set_up_django()
    from filiera import worker as resident
    from filiera.platform import logs

    logs.copy_errors_to_database()
    return resident


def is_healthy(url: str) -> bool:
    """Return whether the health page at `url` says within a second that every part works."""
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(json.load(response)["status"] == "healthy")
    except (OSError, ValueError):
        return False


def _load_application(server: int) -> Any:
    """Load the application in a process of the web server, whose process id is given; it travels to that process."""
    supervisor.end_with_parent(server)
    from filiera.asgi import application
    from filiera.platform import logs

    logs.copy_errors_to_database()
    import_module("filiera.urls")  # every page now, so that the first visitor does not wait for it
    gc.freeze()  # what is loaded stays: looking through it for garbage made one request in sixty wait 80 ms
    return application


def set_up_django() -> None:
    """Load the settings and the rooms; everything that asks the models calls this first."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "filiera.settings")
    import django

    django.setup()


def _share_metrics(home: Path) -> None:
    """Give this process and its children one folder for their metrics, before the metrics module is loaded."""
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(homes.subfolder(home, "metrics")))


def _keep_database(home: Path) -> None:
    try:
        if not database.is_running(home):
            say(_("Il database si è fermato: lo riavvio."))
            database.ensure(home)
    except database.DatabaseTrouble as trouble:
        say(str(trouble))


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold this home alone, so that two houses do not run on it, nor one while it is restored."""
    handle = os.open(homes.subfolder(home, "locks") / "up", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as held:
        raise CannotStart(_("Filiera è già in funzione su %(home)s.") % {"home": home}) from held
    finally:
        os.close(handle)


def _refuse_busy_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as busy:
            raise CannotStart(
                _("La porta %(port)s è occupata: chiudi chi la usa o scegline un’altra con FILIERA_PORT.")
                % {"port": port}
            ) from busy


def _reachable(host: str) -> str:
    """Return an address that reaches a server bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)


_GRANIAN_LOGS: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "filiera.platform.logs.JsonFormatter"}},
    "handlers": {
        "stdout": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}
    },
    "loggers": {
        "_granian": {"handlers": ["stdout"], "level": "INFO", "propagate": False},
        "granian.access": {"handlers": ["stdout"], "level": "WARNING", "propagate": False},
    },
}
