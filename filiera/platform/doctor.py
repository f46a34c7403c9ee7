"""`filiera doctor`: what an operator asks first, answered in one page, with what to do about each trouble.

The platform asks about the machine, the database and the processes. A room adds its own questions in its `checks.py`,
with the decorator `check`.
"""

import os
import shutil
import stat
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from filiera.platform import catalogue, database
from filiera.platform import home as homes
from filiera.platform.console import gettext as _

LEAST_FREE_BYTES = 2_000_000_000
CLOCK_TOLERANCE = timedelta(seconds=2)
BACKUP_AGE = timedelta(hours=36)
OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer. `remedy` says what to do when it is not fine; a warning alone does not make the doctor fail."""

    sentence: str
    is_fine: bool = True
    remedy: str = ""
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Patient:
    """What a check may look at: a connection that reads across brands, and the moment."""

    home: Path
    connection: psycopg.Connection
    now: datetime


Check = Callable[[Patient], Iterator[Finding]]
_checks: list[Check] = []


def check(function: Check) -> Check:
    """Register a room's question; usable as a decorator."""
    _checks.append(function)
    return function


def run(*, host: str, port: int, set_up_rooms: Callable[[], None]) -> int:
    """Ask everything, print every answer and return the exit code: 1 when something does not work."""
    failed = 0
    for finding in examine(host=host, port=port, set_up_rooms=set_up_rooms):
        mark = "✓" if finding.is_fine else "!" if finding.is_warning else "✗"
        print(f"{mark} {finding.sentence}")
        if not finding.is_fine and finding.remedy:
            print(f"  → {finding.remedy}")
        failed += not finding.is_fine and not finding.is_warning
    print(_("Tutto a posto.") if not failed else _("Da sistemare: %(count)s.") % {"count": failed})
    return 1 if failed else 0


def examine(*, host: str, port: int, set_up_rooms: Callable[[], None]) -> Iterator[Finding]:
    """Yield the answers; what needs the database is asked only while it answers. A server started for it is stopped."""
    yield _python()
    home = homes.folder()
    yield from _folder(home)
    yield from _port(host, port)
    was_running = database.is_running(home)
    try:
        urls = database.ensure(home)
        with psycopg.connect(urls.platform, autocommit=True, connect_timeout=10) as connection:
            patient = Patient(home, connection, datetime.now(UTC))
            yield from _database(patient, urls)
            set_up_rooms()
            if (migrations := _migrations()).is_fine:
                from django.utils.module_loading import autodiscover_modules

                autodiscover_modules("checks")
                for ask in (_worker, _backup, *_checks):
                    yield from ask(patient)
            yield migrations
    except (database.DatabaseTrouble, psycopg.Error) as trouble:
        yield Finding(
            _("Il database non risponde: %(trouble)s") % {"trouble": trouble},
            is_fine=False,
            remedy=_(
                "Controlla che sia acceso e raggiungibile, e che DATABASE_URL e FILIERA_SECRET_KEY siano giusti."
            ),
        )
    finally:
        if not was_running:
            database.stop(home)


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(
        _("Python %(version)s") % {"version": version},
        is_fine=sys.version_info >= OLDEST_PYTHON,
        remedy=_("Serve Python 3.11 o più recente."),
    )


def _folder(home: Path) -> Iterator[Finding]:
    yield Finding(
        _("Cartella dei dati: %(home)s") % {"home": home},
        is_fine=os.access(home, os.W_OK | os.X_OK),
        remedy=_("Chi esegue Filiera deve poterci scrivere."),
    )
    mode = stat.S_IMODE(home.stat().st_mode)
    secrets = home / "secrets.json"
    exposed = mode & 0o077 or (secrets.exists() and secrets.stat().st_mode & 0o077)
    yield Finding(
        _("La cartella è riservata")
        if not exposed
        else _("Altri utenti possono guardare nella cartella dei dati"),
        is_fine=not exposed,
        remedy=f"chmod 700 {home}; chmod 600 {secrets}",
    )
    free = shutil.disk_usage(home).free
    yield Finding(
        _("Spazio libero: %(gigabytes).1f GB") % {"gigabytes": free / 1e9},
        is_fine=free >= LEAST_FREE_BYTES,
        remedy=_("Libera almeno 2 GB: con il disco pieno i contatti vengono rimandati al mittente."),
    )


def _port(host: str, port: int) -> Iterator[Finding]:
    """The port is free, or it is ours that answers there."""
    url = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}/health"
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:
            ours = b'"queue":"database"' in answer.read(4096)
    except urllib.error.HTTPError as refused:
        ours = b'"queue":"database"' in refused.read(4096)
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ConnectionRefusedError):
            yield Finding(_("La porta %(port)s è libera: il server web è spento") % {"port": port})
            return
        ours = False
    yield Finding(
        _("Filiera risponde sulla porta %(port)s") % {"port": port}
        if ours
        else _("La porta %(port)s è di un altro programma") % {"port": port},
        is_fine=ours,
        remedy=_("Chiudi quel programma o scegli un’altra porta con FILIERA_PORT."),
    )


def _database(patient: Patient, urls: database.Dsns) -> Iterator[Finding]:
    version = patient.connection.info.server_version
    where = _("privato") if database.is_embedded() else _("dato da DATABASE_URL")
    yield Finding(
        _("Database PostgreSQL %(version)s, %(where)s")
        % {"version": f"{version // 10000}.{version % 100}", "where": where},
        is_fine=version >= database.OLDEST_VERSION,
        remedy=_("Serve PostgreSQL 16 o più recente."),
    )
    row = patient.connection.execute(
        "select clock_timestamp(), current_setting('fsync'), current_setting('synchronous_commit')"
    ).fetchone()
    assert row
    apart = abs(row[0] - datetime.now(UTC))
    yield Finding(
        _("Orologi di macchina e database d’accordo") if apart <= CLOCK_TOLERANCE
        else _("Gli orologi di macchina e database distano %(seconds).0f s") % {"seconds": apart.total_seconds()},
        is_fine=apart <= CLOCK_TOLERANCE,
        remedy=_("Sincronizzali (NTP): orari, limiti e scadenze ne dipendono."),
    )  # fmt: skip
    durable = row[1] == "on" and row[2] != "off"
    yield Finding(
        _("Ciò che viene accettato è su disco prima della risposta")
        if durable
        else _("Il database non scrive su disco a ogni conferma"),
        is_fine=durable,
        remedy=_("Riaccendi fsync e synchronous_commit: un contatto confermato non deve andare perso."),
    )
    with psycopg.connect(urls.app, autocommit=True, connect_timeout=10) as app:
        found = catalogue.faults(app)
    yield Finding(
        _("I marchi sono separati dal database") if not found else "; ".join(found),
        is_fine=not found,
        remedy=_(
            "Filiera non parte così. Riesegui filiera migrate; i ruoli fatti a mano non devono avere privilegi."
        ),
    )


def _migrations() -> Finding:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    waiting = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    return Finding(
        _("Schema aggiornato")
        if not waiting
        else _("Allo schema mancano %(count)s passi") % {"count": waiting},
        is_fine=not waiting,
        remedy="filiera migrate",
    )


def _worker(patient: Patient) -> Iterator[Finding]:
    row = patient.connection.execute(
        "select max(finished_at) from platform_jobrun where name like 'worker %' and status = 'alive'"
    ).fetchone()
    last = row[0] if row else None
    lively = last is not None and patient.now - last < timedelta(seconds=60)
    yield Finding(
        _("Il worker è vivo")
        if lively
        else _("Il worker non dà segni di vita dalle %(moment)s") % {"moment": last.isoformat(" ", "seconds")}
        if last
        else _("Il worker non è mai partito"),
        is_fine=lively,
        remedy=_("Avvia filiera up, oppure filiera worker: senza, i contatti accettati aspettano."),
        is_warning=True,
    )


def _backup(patient: Patient) -> Iterator[Finding]:
    row = patient.connection.execute(
        "select max(finished_at) filter (where status = 'done') from platform_jobrun where name = 'backup'"
    ).fetchone()
    last = row[0] if row else None
    recent = last is not None and patient.now - last < BACKUP_AGE
    yield Finding(
        _("Ultima copia: %(moment)s") % {"moment": last.isoformat(" ", "minutes")}
        if last
        else _("Ancora nessuna copia"),
        is_fine=recent,
        remedy=_("Il worker ne fa una ogni notte. Adesso: filiera backup."),
        is_warning=True,
    )
