"""Encrypted backups of the whole database, taken under load, and their restore into an empty installation (PLT-23, 24).

One file holds everything: `db_backup_{stamp}.sql.gz.enc`, a logical dump behind a manifest. The manifest records the
rows and a SHA-256 of every table, computed in the very snapshot that is dumped, so a restore can prove itself. Beside
it stands `….sha256`, in the format of sha256sum, for who copies files.

Layout of a file: a line with the format's name, 16 bytes of salt, then chunks of AES-256-GCM, each behind its length in
four bytes. The key is derived for this file alone, so the chunk's number is its nonce; what a chunk is (manifest, more,
last) is authenticated with it, so nothing can be cut off or moved.
"""

import hashlib
import json
import logging
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Jsonb

from filiera.platform import database
from filiera.platform import home as homes
from filiera.platform.console import gettext as _
from filiera.platform.ids import new_id

log = logging.getLogger("filiera.backup")

KEEP = timedelta(days=7)
FORMAT = b"FILIERA-BACKUP-1\n"
CHUNK_BYTES = 1 << 20
SHORTEST_KEY = 32
STAMP = "%Y%m%d_%H%M%S"

Progress = Callable[[str], None]


class BackupTrouble(RuntimeError):
    """The backup or restore could not be done; the message says why. Nothing half done is left behind as done."""


@dataclass(frozen=True, slots=True)
class Table:
    """What a table held: its rows, and the SHA-256 of their text in the order of the primary key."""

    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds."""

    stamp: str
    taken_at: str
    server_version: int
    tables: dict[str, Table]
    # The installation's secret key when the home itself made it: without it the vault could not be read again.
    secret_key: str | None
    # And the later master keys of the vault that the home keeps, by name.
    vault_keys: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: bytes) -> "Manifest":
        found = json.loads(text)
        found["tables"] = {name: Table(**table) for name, table in found["tables"].items()}
        return cls(**found)


def make(home: Path, folder: Path, *, key: str, now: datetime, progress: Progress = lambda _: None) -> Path:
    """Write a backup of everything into `folder` and return its file.

    What others commit meanwhile is either wholly in it or not at all. Deletes the backups here that are older than
    seven days. Raises BackupTrouble, DatabaseTrouble.
    """
    stamp = now.astimezone(UTC).strftime(STAMP)
    file = folder / f"db_backup_{stamp}.sql.gz.enc"
    draft = file.with_suffix(".partial")
    url = database.dsns(home).platform
    try:
        with _snapshot(url) as (connection, snapshot), _private(draft) as output:
            manifest = Manifest(
                stamp=stamp,
                taken_at=now.astimezone(UTC).isoformat(),
                server_version=connection.info.server_version,
                tables=_read_tables(connection, progress),
                secret_key=homes.kept_secret(home, "FILIERA_SECRET_KEY"),
                vault_keys=homes.kept_secrets(home, "FILIERA_VAULT_KEY_"),
            )
            writer = _Writer(output, key, json.dumps(asdict(manifest)).encode())
            _dump(url, snapshot, writer, progress)
        _write_checksum(draft, file.name)
        draft.rename(file)
    except (psycopg.Error, OSError) as error:
        raise BackupTrouble(_("La copia non è riuscita: %(error)s") % {"error": error}) from error
    finally:
        draft.unlink(missing_ok=True)
    _delete_old(folder, now)
    log.info("Backup completed: %s", stamp)
    return file


def make_and_record(home: Path, folder: Path, *, key: str, progress: Progress = lambda _: None) -> Path:
    """Make a backup now and leave in the database when it was made and how it ended, for the doctor."""
    started_at = datetime.now(UTC)
    status, detail = "failed", {}
    try:
        file = make(home, folder, key=key, now=started_at, progress=progress)
        status, detail = "done", {"file": file.name, "bytes": file.stat().st_size}
        return file
    except BackupTrouble as trouble:
        detail = {"error": str(trouble)}
        raise
    finally:
        with psycopg.connect(database.dsns(home).app) as connection:
            connection.execute(
                "insert into platform_jobrun (id, name, started_at, finished_at, status, detail)"
                " values (%s, 'backup', %s, %s, %s, %s)",
                [new_id(), started_at, datetime.now(UTC), status, Jsonb(detail)],
            )


def stamps(folder: Path) -> list[str]:
    """Return the stamps of the backups in `folder`, oldest first."""
    names = (
        re.fullmatch(r"db_backup_(\d{8}_\d{6})\.sql\.gz\.enc", path.name)
        for path in folder.glob("db_backup_*")
    )
    return sorted(name[1] for name in names if name)


def restore(
    home: Path, folder: Path, *, stamp: str, key: str, progress: Progress = lambda _: None
) -> Manifest:
    """Put the backup `stamp` into the empty database of `home`, prove it and return its manifest.

    Raises BackupTrouble when there is no such backup, the key is another, the file is damaged, the database holds
    something, or what was restored differs from what the backup recorded.
    """
    file = folder / f"db_backup_{stamp}.sql.gz.enc"
    if not file.exists():
        raise BackupTrouble(
            _("In %(folder)s non c’è una copia %(stamp)s.") % {"folder": folder, "stamp": stamp}
        )
    progress(_("Controllo il file"))
    _verify_checksum(file)
    with file.open("rb") as sealed:
        chunks = _read(sealed, key)
        manifest = Manifest.parse(next(chunks))
        # Before the database exists: its roles' passwords come from this key.
        if manifest.secret_key and not os.environ.get("FILIERA_SECRET_KEY"):
            homes.keep_secret(home, "FILIERA_SECRET_KEY", manifest.secret_key)
        for name, value in manifest.vault_keys.items():
            homes.keep_secret(home, name, value)
        urls = database.ensure(home)
        if not database.is_embedded():
            database.provision(urls)
        _refuse_unless_empty(urls)
        _load(urls, chunks, progress)
    progress(_("Confronto ogni tabella con la copia"))
    with _snapshot(urls.platform) as (connection, _snapshot_id):
        found = _read_tables(connection, progress)
    differing = sorted(
        name for name in {*manifest.tables, *found} if manifest.tables.get(name) != found.get(name)
    )
    if differing:
        raise BackupTrouble(
            _("Il contenuto rimesso non corrisponde alla copia in: %(tables)s.")
            % {"tables": ", ".join(differing)}
        )
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        owner.execute("analyze")
    return manifest


# Commands


def run_backup(folder: Path | None) -> None:
    """Make a backup from the command line, showing a new key once."""
    home = homes.folder()
    database.ensure(home)
    key = homes.backup_key(home)
    if key.is_new:
        print(_("Chiave delle copie, creata ora. Conservala altrove: senza non si rimettono."))
        print(f"FILIERA_BACKUP_KEY={key.value}")
    folder = folder or homes.subfolder(home, "backups")
    with _shown() as progress:
        file = make_and_record(home, folder, key=key.value, progress=progress)
    size_mb = file.stat().st_size / 1_000_000
    print(_("Copia salvata: %(file)s (%(size).2f MB).") % {"file": file, "size": size_mb})


def list_backups(folder: Path | None) -> None:
    """Print the stamps that can be restored, oldest first."""
    folder = folder or homes.subfolder(homes.folder(), "backups")
    print("\n".join(stamps(folder)) or _("In %(folder)s non ci sono copie.") % {"folder": folder})


def run_restore(folder: Path | None, stamp: str) -> None:
    """Restore from the command line."""
    home = homes.folder()
    folder = folder or homes.subfolder(home, "backups")
    key = os.environ.get("FILIERA_BACKUP_KEY") or homes.kept_secret(home, "FILIERA_BACKUP_KEY")
    if key is None:
        raise BackupTrouble(_("Serve la chiave con cui la copia è stata fatta: FILIERA_BACKUP_KEY."))
    with _shown() as progress:
        manifest = restore(home, folder, stamp=stamp, key=key, progress=progress)
    rows = sum(table.rows for table in manifest.tables.values())
    print(
        _("Rimesse %(tables)s tabelle e %(rows)s righe, tutte uguali alla copia %(stamp)s.")
        % {"tables": len(manifest.tables), "rows": rows, "stamp": stamp}
    )


# The database's side


@contextmanager
def _snapshot(url: str) -> Iterator[tuple[psycopg.Connection, str]]:
    """Open a transaction whose view of the database stays as it is now, and its name for others to share it."""
    with psycopg.connect(
        url, options="-c statement_timeout=0 -c bytea_output=hex -c datestyle=ISO"
    ) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        row = connection.execute("select pg_export_snapshot()").fetchone()
        assert row
        yield connection, row[0]


def _read_tables(connection: psycopg.Connection, progress: Progress) -> dict[str, Table]:
    """Return every table of our schema with its rows and checksum, in the connection's snapshot."""
    names = connection.execute(
        "select relname, coalesce((select array_agg(attname order by place) from unnest(indkey::int[]) with ordinality"
        " as key(number, place) join pg_attribute on attrelid = c.oid and attnum = number), '{}')"
        " from pg_class c left join pg_index on indrelid = c.oid and indisprimary"
        " where relnamespace = 'public'::regnamespace and relkind = 'r' order by relname"
    ).fetchall()
    tables = {}
    for place, (name, key) in enumerate(names, 1):
        progress(f"{place}/{len(names)} {name}")
        tables[name] = _read_table(connection, name, key)
    return tables


def _read_table(connection: psycopg.Connection, name: str, key: list[str]) -> Table:
    # By text in byte order, so that two servers with different collations agree.
    order = sql.SQL(", ").join(
        sql.SQL('{}::text collate "C"').format(sql.Identifier(column)) for column in key
    )
    statement = sql.SQL("copy (select t.* from {} t order by {}) to stdout").format(
        sql.Identifier("public", name), order if key else sql.SQL('t::text collate "C"')
    )
    digest, rows = hashlib.sha256(), 0
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in copy:
            digest.update(block)
            rows += bytes(block).count(b"\n")  # the text format escapes those inside values
    return Table(rows, digest.hexdigest())


def _dump(url: str, snapshot: str, writer: "_Writer", progress: Progress) -> None:
    command = [
        database.program("pg_dump"),
        f"--snapshot={snapshot}",
        "--no-owner",
        "--no-comments",
    ]
    packer = zlib.compressobj(wbits=31)  # gzip
    dumped_mb = 0
    with _running(command, url, stdout=subprocess.PIPE) as dump:
        assert dump.stdout
        while block := dump.stdout.read(CHUNK_BYTES):
            writer.write(packer.compress(block))
            dumped_mb += 1
            progress(_("Copio: %(mb)s MB") % {"mb": dumped_mb})
    writer.write(packer.flush())
    writer.close()


def _load(urls: database.Dsns, chunks: Iterator[bytes], progress: Progress) -> None:
    command = [
        database.program("psql"),
        "--quiet",
        "--no-psqlrc",
        "--single-transaction",
        "-v",
        "ON_ERROR_STOP=1",
    ]
    unpacker = zlib.decompressobj(wbits=31)
    loaded = 0
    with _running(command, urls.owner, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as psql:
        assert psql.stdin
        try:
            psql.stdin.write(_prelude(urls).encode())
            for chunk in chunks:
                text = unpacker.decompress(chunk)
                psql.stdin.write(text)
                loaded += len(text)
                progress(_("Rimetto: %(mb)s MB") % {"mb": loaded // 1_000_000})
            psql.stdin.write(unpacker.flush())
            psql.stdin.close()
        except BrokenPipeError:
            pass  # it stopped at the first error, which is in its own words below


def _prelude(urls: database.Dsns) -> str:
    """Return what makes new objects start without privileges, so that they end with exactly those of the dump.

    The dump's last statements put the defaults back.
    """
    roles = sql.SQL(", ").join(
        sql.Identifier(str(conninfo_to_dict(url)["user"])) for url in (urls.app, urls.platform)
    )
    statements = [
        sql.SQL("set client_min_messages = warning;"),
        *(
            sql.SQL("alter default privileges revoke all on {} from {};").format(sql.SQL(kind), roles)
            for kind in ("tables", "sequences", "functions")
        ),
        sql.SQL("alter default privileges grant execute on functions to public;\n"),
    ]
    return sql.SQL("\n").join(statements).as_string(None)


@contextmanager
def _running(command: list[Any], url: str, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of PostgreSQL's programs on `url`. Raises BackupTrouble with its words when it fails."""
    # By environment and not by argument: everybody on the machine can read the arguments of a process.
    named = {"dbname": "PGDATABASE"}
    connection = {
        named.get(key, f"PG{key.upper()}"): str(value) for key, value in conninfo_to_dict(url).items()
    }
    process = subprocess.Popen(
        command, env=database.environment() | connection, stderr=subprocess.PIPE, **streams
    )
    assert process.stderr
    try:
        yield process
        words = process.stderr.read().decode(errors="replace")
        if process.wait():
            raise BackupTrouble(words.strip() or f"{command[0]} ended with {process.returncode}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream and not stream.closed:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue


def _refuse_unless_empty(urls: database.Dsns) -> None:
    with psycopg.connect(urls.owner) as owner:
        found = owner.execute(
            "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')"
        ).fetchone()
    if found and found[0]:
        raise BackupTrouble(
            _("Il database contiene già %(tables)s tabelle: una copia si rimette in un’installazione vuota.")
            % {"tables": found[0]}
        )


# The file's side


class _Writer:
    """Writes a sealed file: the manifest, then what is given, in chunks."""

    def __init__(self, output: BinaryIO, key: str, manifest: bytes) -> None:
        salt = os.urandom(16)
        self._cipher = _cipher(key, salt)
        self._output = output
        self._number = 0
        self._waiting = bytearray()
        output.write(FORMAT + salt)
        self._seal(manifest, b"manifest")

    def write(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) > CHUNK_BYTES:
            self._seal(bytes(self._waiting[:CHUNK_BYTES]), b"more")
            del self._waiting[:CHUNK_BYTES]

    def close(self) -> None:
        self._seal(bytes(self._waiting), b"last")

    def _seal(self, chunk: bytes, kind: bytes) -> None:
        sealed = self._cipher.encrypt(self._number.to_bytes(12, "big"), chunk, kind)
        self._output.write(len(sealed).to_bytes(4, "big") + sealed)
        self._number += 1


def _read(sealed: BinaryIO, key: str) -> Iterator[bytes]:
    """Yield the manifest, then the chunks. Raises BackupTrouble for another key or another byte."""
    if sealed.read(len(FORMAT)) != FORMAT:
        raise BackupTrouble(_("Il file non è una copia di Filiera."))
    cipher = _cipher(key, sealed.read(16))
    number = 0
    kinds: tuple[bytes, ...] = (b"manifest",)
    while True:
        length = int.from_bytes(sealed.read(4), "big")
        chunk = sealed.read(length)
        for kind in kinds:
            try:
                opened = cipher.decrypt(number.to_bytes(12, "big"), chunk, kind)
                break
            except InvalidTag:
                continue
        else:
            raise BackupTrouble(_("La copia non si apre: la chiave è un’altra o il file è rovinato."))
        yield opened
        if kind == b"last":
            return
        number, kinds = number + 1, (b"more", b"last")


def _cipher(key: str, salt: bytes) -> AESGCM:
    if len(key) < SHORTEST_KEY:
        raise BackupTrouble(
            _("FILIERA_BACKUP_KEY è troppo corta: servono almeno %(least)s caratteri.")
            % {"least": SHORTEST_KEY}
        )
    return AESGCM(HKDF(hashes.SHA256(), length=32, salt=salt, info=b"filiera backup").derive(key.encode()))


@contextmanager
def _private(path: Path) -> Iterator[BinaryIO]:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
        yield output
        output.flush()
        os.fsync(output.fileno())


def _write_checksum(written: Path, name: str) -> None:
    homes.write_private(written.with_name(f"{name}.sha256"), f"{_sha256(written)}  {name}\n".encode())


def _verify_checksum(file: Path) -> None:
    recorded = file.with_name(f"{file.name}.sha256")
    if recorded.exists() and recorded.read_text().split()[0] != _sha256(file):
        raise BackupTrouble(_("Il file %(file)s è rovinato: la sua impronta è cambiata.") % {"file": file})


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _delete_old(folder: Path, now: datetime) -> None:
    for stamp in stamps(folder):
        if datetime.strptime(stamp, STAMP).replace(tzinfo=UTC) < now - KEEP:
            file = folder / f"db_backup_{stamp}.sql.gz.enc"
            file.unlink()
            file.with_name(f"{file.name}.sha256").unlink(missing_ok=True)


@contextmanager
def _shown() -> Iterator[Progress]:
    """Show progress on one line of a terminal, and nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return

    def show(text: str) -> None:
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        show("")
