"""The verbs of an import: a file is taken in, said how to read, tried, brought in, stopped, taken back."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, BinaryIO, Final
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from filiera.capture.models import MarketingSource
from filiera.contacts import consent_rules
from filiera.contacts.importing import fields, files, running, undoing
from filiera.contacts.importing.files import Options
from filiera.contacts.models import ImportedContact, ImportFault, ImportPiece, ImportRun
from filiera.platform import live
from filiera.platform.refusals import Invalid, Missing, Refused

Status = ImportRun.Status
PREPARING: Final = (Status.DRAFT, Status.CHECKED)
ENDED: Final = (Status.DONE, Status.STOPPED)
WAITS_FOR: Final = timedelta(days=7)
"""A file that nobody brings in is let go of after this long."""
_NEEDED = (fields.PHONE, fields.PHONE_2, fields.EMAIL)


class ImportMissing(Missing):
    """There is no such import in this brand."""

    def __init__(self) -> None:
        super().__init__(_("Questa importazione non c’è, o non è più qui."))


class NotNow(Refused):
    """An import is not at the step that this belongs to."""

    code = "CONFLICT"
    status = 409


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a list comes from, as who brings it in declares (GD-01, GD-07).

    `basis` is own (people who dealt with us) or bought. `text` are the exact words that the people agreed to and
    `proof` says where that can be seen; without both, or for a bought list without a checked sample, nobody in it may
    be called for promotions.
    """

    basis: str = ""
    collected_by: str = ""
    collected_on: date | None = None
    text: str = ""
    proof: str = ""
    is_sample_checked: bool = False


@transaction.atomic
def take_file(file: BinaryIO, *, name: str, user_id: UUID | None, now: datetime) -> ImportRun:
    """Keep a file and say how it seems to be read and what its columns seem to be. Raises Invalid.

    A file with the same titles as an earlier one is read as that one was.
    """
    file.seek(0)
    kind = files.kind_of(file.read(8_192))
    file.seek(0)
    run = ImportRun(
        file_name=name.replace("\x00", "").strip()[-255:] or _("senza nome"),
        file_kind=kind,
        file_size=0,
        created_by_id=user_id,
        created_at=now,
        moved_at=now,
    )
    run.save()
    digest, lines = sha256(), 0
    for number, content in enumerate(files.pieces_of_sheet(file) if kind == "xlsx" else _pieces(file)):
        ImportPiece.objects.create(run=run, number=number, content=content)
        digest.update(content)
        run.file_size += len(content)
        lines += content.count(b"\n")
    run.file_hash, run.rows_total = digest.hexdigest(), lines
    options = files.sniff(
        running.pieces_of(run.brand_id, run.id), is_sheet=kind == "xlsx", knows=fields.KNOWN_TITLES
    )
    _read_titles(run, options)
    if not run.headers:
        raise Invalid(_("Nel file non c’è nessuna riga."))
    run.save()
    live.announce("imports")
    return run


def _pieces(file: BinaryIO) -> Iterable[bytes]:
    return files.pieces_of_csv(iter(lambda: file.read(files.PIECE), b""))


def _read_titles(run: ImportRun, options: Options) -> None:
    run.options = asdict(options)
    run.headers = files.titles(running.pieces_of(run.brand_id, run.id), options)
    run.headers_key = fields.key_of(run.headers)
    earlier = (
        ImportRun.objects.filter(headers_key=run.headers_key)
        .exclude(id=run.id)
        .exclude(mapping={})
        .order_by("-created_at")
        .first()
    )
    found = earlier.mapping if earlier else fields.suggested(run.headers)
    run.mapping = {str(place): name for place, name in found.items()}
    run.rules = dict(earlier.rules) if earlier else {"match": fields.MATCH_BOTH, "policies": {}}
    if earlier:
        run.origin = {"basis": earlier.origin.get("basis", "")}


@transaction.atomic
def set_options(*, run_id: UUID, options: Options, now: datetime) -> ImportRun:
    """Say how a file is read: its columns are guessed anew. Raises ImportMissing, NotNow, Invalid."""
    if (
        options.encoding not in files.ENCODINGS
        or options.delimiter not in files.DELIMITERS
        or options.date_order not in files.DATE_ORDERS
        or options.decimal not in ",."
    ):
        raise Invalid(_("Così il file non si può leggere: scegli tra i valori proposti."))
    run = _preparing(run_id)
    titles = run.headers
    mapping, rules, origin = run.mapping, run.rules, run.origin
    _read_titles(run, options)
    if run.headers == titles:  # the columns are the same: what was said about them holds
        run.mapping, run.rules = mapping, rules
    run.origin = origin
    return _changed(run, now)


@transaction.atomic
def set_columns(
    *,
    run_id: UUID,
    mapping: Mapping[str, str],
    match: str,
    policies: Mapping[str, str],
    source_id: UUID | None,
    now: datetime,
) -> ImportRun:
    """Say what each column is, by what people are recognised, and what may change of who is known already.

    `mapping` is column (from 0, as text) → field; "" leaves a column out. `source_id` is the marketing source of rows
    that name none. Raises ImportMissing, NotNow, Invalid.
    """
    run = _preparing(run_id)
    chosen = [name for name in mapping.values() if name]
    wrong: dict[str, list[str]] = {}
    twice = {name for name in chosen if chosen.count(name) > 1 and name in fields.FIELDS}
    if twice := {name for name in twice if not fields.FIELDS[name].may_repeat}:
        names = ", ".join(sorted(str(fields.FIELDS[name].label) for name in twice))
        wrong["mapping"] = [_("Due colonne per lo stesso campo: %(names)s.") % {"names": names}]
    needed = {fields.MATCH_PHONE: _NEEDED[:2], fields.MATCH_EMAIL: _NEEDED[2:]}.get(match, _NEEDED)
    if not set(needed) & set(chosen):
        wrong["match"] = [_("Per riconoscere le persone serve una colonna con il telefono o l’e-mail.")]
    if match not in (fields.MATCH_BOTH, fields.MATCH_PHONE, fields.MATCH_EMAIL):
        wrong["match"] = [_("Scegli da che cosa si riconosce una persona.")]
    if source_id is not None and not MarketingSource.objects.filter(id=source_id).exists():
        wrong["source"] = [_("Provenienza sconosciuta")]
    if wrong:
        raise Invalid(_("Alcune colonne non vanno bene."), details=wrong)
    usable = fields.usable(mapping, len(run.headers))
    run.mapping = {str(place): name for place, name in usable.items()}
    run.rules = {
        "match": match,
        "source": str(source_id) if source_id else "",
        "policies": {
            name: policies[name]
            for name in sorted(set(usable.values()))
            if policies.get(name) in fields.FIELDS[name].policies
        },
    }
    return _changed(run, now)


@transaction.atomic
def set_origin(*, run_id: UUID, origin: Origin, now: datetime) -> ImportRun:
    """Say who collected these people, when, with which words and proof. Raises ImportMissing, NotNow, Invalid."""
    run = _preparing(run_id)
    text, by, proof = (
        one.replace("\x00", "").strip() for one in (origin.text, origin.collected_by, origin.proof)
    )
    wrong: dict[str, list[str]] = {}
    if origin.basis not in ("own", "bought"):
        wrong["basis"] = [_("Scegli da dove viene l’elenco.")]
    if not by:
        bought = origin.basis == "bought"
        wrong["collected_by"] = [
            _("Scrivi il fornitore.") if bought else _("Scrivi chi ha raccolto i contatti.")
        ]
    if origin.collected_on is None or origin.collected_on > now.date():
        wrong["collected_on"] = [_("Serve il giorno, e non nel futuro.")]
    if text and not proof:
        wrong["proof"] = [_("Scrivi dove sta la prova: senza, il consenso non vale.")]
    if wrong:
        raise Invalid(_("Mancano risposte sull’origine dei contatti."), details=wrong)
    run.origin = {
        "basis": origin.basis,
        "collected_by": by[:255],
        "collected_on": origin.collected_on.isoformat() if origin.collected_on else "",
        "text": text[: consent_rules.LONGEST_TEXT],
        "proof": proof[:2_000],
        "is_sample_checked": origin.is_sample_checked,
    }
    return _changed(run, now)


@transaction.atomic
def start_check(*, run_id: UUID, now: datetime, goes_on: bool = False, by_job: bool = True) -> ImportRun:
    """Try the whole file in the background, and with `goes_on` bring it in at once afterwards.

    Raises ImportMissing, NotNow, Invalid when something is not said yet.
    """
    run = _preparing(run_id)
    _demand_answers(run)
    run.status, run.cursor, run.counts, run.trouble = Status.CHECKING, 0, {}, ""
    run.rules = {**run.rules, "goes_on": goes_on}
    return _defer(run, now) if by_job else _saved(run, now)


@transaction.atomic
def start(*, run_id: UUID, now: datetime, by_job: bool = True) -> ImportRun:
    """Bring the people in, in the background. Raises ImportMissing, NotNow before the trial."""
    run = _locked(run_id)
    if run.status != Status.CHECKED:
        raise NotNow(_("Prima si prova: così vedi che cosa succede, riga per riga."))
    _demand_answers(run)
    ImportFault.objects.filter(run_id=run.id).delete()
    run.status, run.cursor, run.counts, run.started_at = Status.RUNNING, 0, {}, now
    return _defer(run, now) if by_job else _saved(run, now)


@transaction.atomic
def stop(*, run_id: UUID, now: datetime) -> ImportRun:
    """Stop a trial, or an import where it stands: what has come in stays, and can be taken back. Raises NotNow."""
    run = _locked(run_id)
    if run.status == Status.CHECKING:
        run.status, run.cursor, run.counts = Status.DRAFT, 0, {}
    elif run.status == Status.RUNNING:
        running.finish(run, Status.STOPPED, now=now)
    else:
        raise NotNow(_("Non c’è niente da fermare: è già finita."))
    return _saved(run, now)


@transaction.atomic
def start_undo(*, run_id: UUID, user_id: UUID | None, now: datetime) -> ImportRun:
    """Take an import back, in the background. Raises ImportMissing, NotNow while it runs and after 30 days."""
    run = _locked(run_id)
    if run.status not in ENDED or run.started_at is None:
        raise NotNow(_("Si annulla un’importazione finita, una volta sola."))
    if now - run.started_at > undoing.TERM:
        raise NotNow(_("Sono passati più di 30 giorni: non si annulla più."))
    run.status, run.undone_by_id, run.undo_counts = Status.UNDOING, user_id, {}
    return _defer(run, now)


@transaction.atomic
def discard(*, run_id: UUID) -> None:
    """Throw a file away that was not brought in. Raises ImportMissing, NotNow."""
    _preparing(run_id).delete()
    live.announce("imports")


def go_on(*, now: datetime) -> int:
    """Let imports of the open brand whose job was killed go on; returns how many."""
    still = ImportRun.objects.filter(status__in=ImportRun.AT_WORK, moved_at__lt=now - running.STILL_AFTER)
    found = list(still.select_for_update(skip_locked=True, no_key=True))
    for run in found:
        _defer(run, now)
    return len(found)


def forget(*, now: datetime) -> int:
    """Let go of files nobody brought in and of what imports did longer ago than they can be taken back."""
    dropped, _each = ImportRun.objects.filter(
        status__in=(*PREPARING, Status.CHECKING), moved_at__lt=now - WAITS_FOR
    ).delete()
    ended = ImportRun.objects.filter(started_at__lt=now - undoing.TERM).exclude(status__in=ImportRun.AT_WORK)
    ids = list(ended.values_list("id", flat=True))
    for rows in (ImportFault, ImportedContact, ImportPiece):
        rows.objects.filter(run_id__in=ids).delete()
    return dropped


def run_for(run_id: UUID) -> ImportRun:
    """Return an import of the open brand. Raises ImportMissing."""
    found = ImportRun.objects.select_related("created_by", "undone_by").filter(id=run_id).first()
    if found is None:
        raise ImportMissing
    return found


def _locked(run_id: UUID) -> ImportRun:
    found = ImportRun.objects.select_for_update(no_key=True).filter(id=run_id).first()
    if found is None:
        raise ImportMissing
    return found


def _preparing(run_id: UUID) -> ImportRun:
    run = _locked(run_id)
    if run.status not in PREPARING:
        raise NotNow(_("Questa importazione è già partita: le sue risposte non cambiano più."))
    return run


def _demand_answers(run: ImportRun) -> None:
    if not set(_NEEDED) & set(run.mapping.values()):
        raise Invalid(_("Prima dì che cosa c’è nelle colonne."))
    if not run.origin.get("collected_by"):
        raise Invalid(_("Prima dì da dove vengono questi contatti."))


def _changed(run: ImportRun, now: datetime) -> ImportRun:
    """Another answer makes another trial."""
    run.status, run.cursor, run.counts, run.trouble = Status.DRAFT, 0, {}, ""
    ImportFault.objects.filter(run_id=run.id).delete()
    return _saved(run, now)


def _saved(run: ImportRun, now: datetime) -> ImportRun:
    run.moved_at = now
    run.save()
    live.announce("imports")
    return run


def _defer(run: ImportRun, now: datetime) -> ImportRun:
    from filiera.contacts.tasks import work_on_import

    _saved(run, now)
    work_on_import.defer(brand_id=str(run.brand_id), run_id=str(run.id))
    return run


def permitted(origin: Mapping[str, Any]) -> list[consent_rules.Said]:
    """Return what the words of an origin permit, whether or not they are proven."""
    return consent_rules.read(origin["text"], True) if origin.get("text") else []
