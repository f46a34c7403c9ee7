"""Erasure: each value that names a person goes, in every table and file, and a manifest says what became of each place.

The rooms say what they hold (`platform.holdings`); what stands elsewhere (a log, a job's arguments, a message of
somebody else) is found by the values themselves, over every table of the database's own catalogue. What happened stays
as a fact without identity, so no figure moves (K-04).
"""

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _
from psycopg import sql

from filiera.contacts import consents, queries, subject, suppressions
from filiera.contacts.importing import erasing
from filiera.contacts.models import Contact, Erasure, Suppression
from filiera.contacts.subject import Subject
from filiera.identity import audit
from filiera.platform import actor, brand_scope, events, holdings, live
from filiera.platform import home as homes
from filiera.platform.holdings import Holding

MASK = "***"
LOG_FILE = "erasures.jsonl"
# Evidence that may only be added to, what others sign in with, and the frameworks' own tables.
NOT_SWEPT = frozenset(
    {
        *("audit_log", "audit_chain", "contacts_consent", "contacts_suppression"),
        *("routing_registercheck", "routing_registerresult"),  # keyed hashes
        *("identity_user", "identity_userprofile", "identity_loginattempt", "identity_authtoken"),
        *("identity_session", "identity_brand"),
        *("django_migrations", "django_content_type", "auth_permission", "auth_group"),
        *("auth_group_permissions", "procrastinate_periodic_defers", "procrastinate_events"),
        "procrastinate_workers",
    }
)
# Rows of these are lines about work, not about a person: there a whole name is a find of its own.
LINES = frozenset({"platform_systemlog", "platform_event", "procrastinate_jobs", "platform_jobrun"})


@dataclass(frozen=True, slots=True)
class Place:
    """One place and what became of it: `result` is masked, removed, kept, suppressed or elsewhere."""

    place: str
    title: str
    found: int
    result: str


def preview(contact: Contact) -> list[Place]:
    """Return what would be touched, by the rooms' own tables; nothing is changed."""
    person = subject.of(contact)
    return [
        Place(one.table, _(one.title), _count(one, person), _result(one)) for one in holdings.all_of_them()
    ]


@transaction.atomic
def erase(*, contact_id: UUID, now: datetime, user_id: UUID | None = None) -> Erasure:
    """Erase a person of the open brand and return the manifest; a second time finds nothing more to do.

    The order to do so is written down first, outside the database: after a restore it is done again (`apply_again`).
    Raises ContactMissing.
    """
    contact = queries.contact_for(contact_id, with_deleted=True)
    _note(contact, now)
    # The machine acts on the tables that record people's changes: a record of the old values would bring them back.
    with actor.acting(actor.Actor(actor.MACHINE, "gdpr erase")):
        person = subject.of(contact)
        subjects = _ids_of_rows(person)
        suppressions.add({*person.emails, *person.numbers}, reason=Suppression.Reason.ERASED, now=now)
        places = [_erase_rows(one, person, now) for one in holdings.all_of_them()]
        places += _waiting_files(person)
        places += _sweep(person)
        places += _sweep_files(settings.FILIERA_HOME, person)
        places += _elsewhere(person)
        places.append(
            Place(
                "contacts_suppression",
                _("Impronte, perché nessun import la riporti indietro"),
                len(person.emails) + len(person.numbers),
                "suppressed",
            )
        )
        places += _mask_audit(person, subjects)
        erasure = Erasure.objects.create(
            contact=contact,
            at=now,
            requested_by_id=user_id,
            manifest={"at": now.isoformat(), "places": [asdict(place) for place in places]},
        )
    audit.record("ERASE", entity_type="contacts", entity_id=contact.id, detail={"erasure": str(erasure.id)})
    events.record(
        kind="contact.erased",
        subject_id=contact.id,
        at=now,
        data={"erasure_id": str(erasure.id), "user_id": str(user_id) if user_id else None},
    )
    live.announce("leads", "calls", "board")
    return erasure


def forget(contact_ids: Sequence[UUID], *, now: datetime) -> int:
    """Take the identity out of the rows of these people, whose term is over, in one set; returns how many they were.

    Whoever was merged into them goes with them. Nobody opposed, so nothing is suppressed; lines about work have terms
    of their own.
    """
    merged = Contact.objects.filter(merged_into_id__in=list(contact_ids)).values_list("id", flat=True)
    ids = [*contact_ids, *merged]
    keys = consents.keys_of(ids)
    shared = consents.keys_of_others(ids, keys)
    own = sorted(keys - shared)
    people = Subject(
        ids=tuple(ids),
        emails=tuple(key for key in own if "@" in key),
        numbers=tuple(key for key in own if "@" not in key),
        strong=(),
        names=(),
        parts=(),
    )
    with actor.acting(actor.Actor(actor.MACHINE, "retention")):
        subjects = _ids_of_rows(people)
        for one in holdings.all_of_them():
            _erase_rows(one, people, now)
        audit.mask(subjects=sorted(set(subjects)), texts=own, reason="retention")
    return len(contact_ids)


def _count(one: Holding, person: Subject) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"select count(*) from {one.table} as row where {one.rows}", person.parameters())
        return int(cursor.fetchone()[0])


def _result(one: Holding) -> str:
    return "removed" if one.is_removed else "kept" if one.is_kept and not one.erased else "masked"


def _erase_rows(one: Holding, person: Subject, now: datetime) -> Place:
    parameters = person.parameters(now)
    with connection.cursor() as cursor:
        if one.table == "contacts_consent":
            whole = subject.pattern_of(person.strong, person.names)
            cursor.execute("select contacts_forget_consents(%s::uuid[], %s)", [list(person.ids), whole])
            count = int(cursor.fetchone()[0])
        elif one.is_removed:
            cursor.execute(f"delete from {one.table} as row where {one.rows}", parameters)
            count = cursor.rowcount
        elif one.erased:
            own = f" and not {one.shared}" if one.shared else ""
            changes = ", ".join(f"{column} = {becomes}" for column, becomes in one.erased.items())
            cursor.execute(f"update {one.table} as row set {changes} where {one.rows}{own}", parameters)
            count = cursor.rowcount
            if one.shared:  # what tells of others too loses this person's values and names only
                count += _sweep_table(one.table, person, with_parts=True, where=one.rows)
        else:
            return Place(one.table, _(one.title), _count(one, person), "kept")
    return Place(one.table, _(one.title), count, _result(one))


def _ids_of_rows(person: Subject) -> list[UUID]:
    """Return the ids of every row about the person: what the record of changes is masked by."""
    found = list(person.ids)
    with connection.cursor() as cursor:
        for one in holdings.all_of_them():
            cursor.execute(f"select row.id from {one.table} as row where {one.rows}", person.parameters())
            found += [row[0] for row in cursor.fetchall()]
    return found


# By value


def _waiting_files(person: Subject) -> list[Place]:
    emptied = erasing.empty_lines(person)
    title = _("Righe di file che aspettano di essere importati")
    return [Place("contacts_importpiece", title, emptied, "removed")] if emptied else []


def _sweep(person: Subject) -> list[Place]:
    """Look for the person's values in every table, and take them out of the texts they stand in."""
    places = []
    for table in _tables():
        if count := _sweep_table(
            table, person, with_parts=table in ("capture_submission", "platform_received")
        ):
            places.append(Place(table, _("Valori trovati nel testo"), count, "masked"))
    return places


def _sweep_table(table: str, person: Subject, *, with_parts: bool = False, where: str = "true") -> int:
    columns = _text_columns(table)
    found_by = (person.strong, person.names) if table in LINES or where != "true" else (person.strong,)
    finds = subject.pattern_of(*found_by)
    if not columns or finds == subject.pattern_of():
        return 0
    inside = subject.pattern_of(person.strong, person.names)
    deep = subject.pattern_of(person.strong, person.names, person.parts) if with_parts else inside
    values = person.parameters() | {"finds": finds, "inside": inside, "deep": deep}
    changes = sql.SQL(", ").join(
        sql.SQL("{column} = {value}").format(column=sql.Identifier(column), value=_cleaned(column, kind))
        for column, kind in columns
    )
    texts = sql.SQL(" or ").join(
        sql.SQL("{} ~* %(finds)s").format(_as_text(column, kind)) for column, kind in columns
    )
    statement = sql.SQL("update {table} as row set {changes} where ({texts}) and ({where})").format(
        table=sql.Identifier(table),
        changes=changes,
        texts=texts,
        where=sql.SQL(where),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(None), values)
        return int(cursor.rowcount)


def _as_text(column: str, kind: str) -> sql.Composed:
    text = {"bytea": "encode(row.{}, 'escape')", "text": "row.{}"}.get(kind, "row.{}::text")
    return sql.SQL(text).format(sql.Identifier(column))


def _cleaned(column: str, kind: str) -> sql.Composed:
    """Return a column without the values; a number outside quotes becomes 0, so that JSON stays JSON."""
    pattern = "%(inside)s" if kind == "text" else "%(deep)s"
    text = _as_text(column, kind)
    if kind in ("json", "bytea"):
        text = sql.SQL(
            "regexp_replace({}, '([:\\[,]\\s*)(?:' || %(pattern)s || ')(\\s*[,\\]}}])', '\\10\\2', 'gi')"
        ).format(text)
    replaced = sql.SQL("regexp_replace({}, " + pattern + f", '{MASK}', 'gi')").format(text)
    back = {
        "bytea": "decode({}, 'escape')",
        "json": "({})::jsonb",
        "array": "({})::text[]",
        "text": "{}",
    }[kind]
    return sql.SQL(back).format(replaced)


def _tables() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1"
        )
        return [name for (name,) in cursor.fetchall() if name not in NOT_SWEPT]


def _text_columns(table: str) -> list[tuple[str, str]]:
    kinds = {
        "text": "text",
        "character varying": "text",
        "jsonb": "json",
        "bytea": "bytea",
        "text[]": "array",
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "select attname, format_type(atttypid, null) from pg_attribute where attrelid = to_regclass(%s)"
            " and attnum > 0 and not attisdropped and attgenerated = '' order by attnum",
            [f"public.{table}"],
        )
        return [(name, kinds[kind]) for name, kind in cursor.fetchall() if kind in kinds]


def _mask_audit(person: Subject, subjects: Sequence[UUID]) -> list[Place]:
    masked = audit.mask(
        subjects=sorted(set(subjects)), texts=[*person.emails, *person.numbers], reason="erasure"
    )
    return [Place("audit_log", _("Registro delle modifiche"), masked, "masked")]


def _elsewhere(person: Subject) -> list[Place]:
    """Return what is not in our hands at once: backups, which end by themselves and are erased again when restored."""
    folder = settings.FILIERA_HOME / "backups"
    copies = len(list(folder.glob("db_backup_*.enc"))) if folder.is_dir() else 0
    return [
        Place(
            "backups",
            _("Copie cifrate: scadono in 7 giorni, e chi le rimette ripete la cancellazione"),
            copies,
            "elsewhere",
        )
    ]


# Files


def _sweep_files(home: Path, person: Subject) -> list[Place]:
    """Take the person's values out of the logs and archives of the home; the database's own files are not text."""
    pattern = subject.for_python(subject.pattern_of(person.strong, person.names))
    places = []
    for file in _files(home):
        if count := _sweep_file(file, pattern):
            places.append(
                Place(f"file:{file.relative_to(home)}", _("File di questa macchina"), count, "masked")
            )
    return places


def _files(home: Path) -> Iterable[Path]:
    skipped = {"database", "postgres", "pg", "run", "backups", "metrics"}
    for file in sorted(home.rglob("*")):
        inside = file.relative_to(home).parts
        if inside[0] in skipped or file.is_symlink() or not file.is_file():
            continue
        if (home / inside[0] / "PG_VERSION").exists() or file.name in ("secrets.json", LOG_FILE):
            continue
        yield file


def _sweep_file(file: Path, pattern: Any) -> int:
    """Overwrite each find with as many signs, in place: whoever writes the file goes on at its end."""
    is_packed = file.suffix == ".gz"
    try:
        content = gzip.decompress(file.read_bytes()) if is_packed else file.read_bytes()
    except (OSError, EOFError, gzip.BadGzipFile):
        return 0
    text = content.decode("utf-8", "surrogateescape")
    cleaned, count = pattern.subn(lambda found: "*" * len(found[0].encode("utf-8", "surrogateescape")), text)
    if not count:
        return 0
    written = cleaned.encode("utf-8", "surrogateescape")
    if is_packed:
        homes.write_private(file, gzip.compress(written))
    else:
        with file.open("r+b") as opened:
            opened.write(written)
    return int(count)


# After a restore


def _note(contact: Contact, now: datetime) -> None:
    """Write down, beside the backups, who was erased: ids alone."""
    folder = homes.subfolder(settings.FILIERA_HOME, "backups")
    line = {"brand_id": contact.brand_id, "contact_id": contact.id, "at": now}
    with homes.locked(folder / f".{LOG_FILE}.lock"), (folder / LOG_FILE).open("ab") as file:
        file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def apply_again(folder: Path, *, now: datetime) -> int:
    """Erase again whoever the log of `folder` names and this database knows; returns how many (GD-30)."""
    file = folder / LOG_FILE
    if not file.exists():
        return 0
    wanted = {
        (line["brand_id"], line["contact_id"]) for line in map(orjson.loads, file.read_bytes().splitlines())
    }
    again = 0
    for brand_id, contact_id in sorted(wanted):
        with brand_scope.use(brand_id):
            if Contact.objects.filter(id=contact_id).exists():
                erase(contact_id=UUID(contact_id), now=now)
                again += 1
    return again
