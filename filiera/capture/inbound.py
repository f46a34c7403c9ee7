"""The inbound log as people read it: every request that came, what became of it, and why not."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from filiera.capture import trial
from filiera.capture.adapters.reading import known_field
from filiera.capture.models import Source, Submission
from filiera.platform import formats

PER_PAGE = 50
MOST_COUNTED = 10_000
MOST_READ = 20_000

_HIDDEN = ("body", "retrieved", "response", "headers")
_FAILED = "FAILED"
_LAPSED = "LEASE_LAPSED"
_META = frozenset({"META_TOKEN", "META_PERMISSION", "META_REFUSED"})
_NOT_FOR_MAPPING = frozenset({_LAPSED, "HONEYPOT", "UNREADABLE", "NOT_A_LEAD"}) | _META


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests the log shows. `view` is all, dead, rejected or duplicate."""

    view: str = "all"
    since: datetime | None = None
    source: UUID | None = None
    reason: str = ""

    def rows(self) -> QuerySet[Submission]:
        """Return the requests, the latest first, without their bodies."""
        found = Submission.objects.order_by("-received_at", "-id")
        if self.view in STATUSES:
            found = found.filter(status=STATUSES[self.view])
        if self.since:
            found = found.filter(received_at__gte=self.since)
        if self.source:
            found = found.filter(source_id=self.source)
        if self.reason:
            found = found.filter(Q(error_code=self.reason) | Q(dead_reason=self.reason))
        return found


STATUSES = {
    "dead": Submission.Status.DEAD,
    "rejected": Submission.Status.REJECTED,
    "duplicate": Submission.Status.DUPLICATE,
}


@dataclass(frozen=True, slots=True)
class What:
    """What became of a request, as a tag."""

    level: str
    icon: str
    text: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a request is here, in two sentences: what happened, and what it means."""

    level: str
    icon: str
    what: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Step:
    """One moment in the life of a request."""

    icon: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Link:
    """Where a later room shows what came of a request."""

    href: str
    text: str


@dataclass(frozen=True, slots=True)
class Cause:
    """Several requests with one reason: put right once, replayed together."""

    what: str
    meaning: str


_links: list[Callable[[UUID], Iterable[Link]]] = []


def also_link(read: Callable[[UUID], Iterable[Link]]) -> None:
    """Let a later room say what came of a request: submission id in, links out."""
    _links.append(read)


def links(submission_id: UUID) -> list[Link]:
    """Return what later rooms made of a request."""
    return [link for read in _links for link in read(submission_id)]


def page(wanted: Wanted, *, before: str = "", limit: int = PER_PAGE) -> tuple[list[Submission], str]:
    """Return requests older than the cursor `before`, and the cursor of what follows them, "" at the end."""
    found = wanted.rows().defer(*_HIDDEN).select_related("source")
    if place := _read_cursor(before):
        at, last_id = place
        found = found.filter(Q(received_at__lt=at) | Q(received_at=at, id__lt=last_id))
    rows = list(found[: limit + 1])
    follows = len(rows) > limit
    return rows[:limit], f"{rows[limit - 1].received_at.isoformat()}_{rows[limit - 1].id}" if follows else ""


def count(wanted: Wanted) -> str:
    """Return how many requests a view holds, exact up to 10 000 (UI-24)."""
    found = wanted.rows().order_by().values("id")[: MOST_COUNTED + 1].count()
    return f"{formats.number(MOST_COUNTED)}+" if found > MOST_COUNTED else formats.number(found)


def codes_in_use() -> list[str]:
    """Return the reasons that requests of this brand were not taken in for."""
    troubled = Submission.objects.exclude(status__in=["queued", "processed"])
    pairs = troubled.order_by().values_list("error_code", "dead_reason").distinct()
    return sorted({dead_reason or code for code, dead_reason in pairs} - {"", _FAILED})


def code_of(submission: Submission) -> str:
    """Return why a request was not taken in, as a code; "" for a fault of ours, told by `last_error`."""
    return submission.error_code if submission.dead_reason in ("", _FAILED) else submission.dead_reason


def counts_by_source(since: datetime) -> tuple[dict[UUID, tuple[int, int]], bool]:
    """Return, per source, how many requests came since then and how many of them were not taken in.

    Only the latest 20 000 of the brand are counted; the flag says that there were more, so the numbers are floors.
    """
    latest = (
        Submission.objects.filter(received_at__gte=since)
        .order_by("-received_at", "-id")
        .values_list("source_id", "status")[: MOST_READ + 1]
    )
    counts: Counter[tuple[UUID, str]] = Counter(latest)
    found: dict[UUID, tuple[int, int]] = {}
    for (source_id, status), number in counts.items():
        every, bad = found.get(source_id, (0, 0))
        is_bad = status in {Submission.Status.DEAD, Submission.Status.REJECTED}
        found[source_id] = (every + number, bad + number if is_bad else bad)
    return found, counts.total() > MOST_READ


def neighbours(submission: Submission) -> tuple[UUID | None, UUID | None]:
    """Return the next newer and the next older request of the same source."""
    same = Submission.objects.filter(source_id=submission.source_id)
    at, own = submission.received_at, submission.id
    newer = same.filter(Q(received_at__gt=at) | Q(received_at=at, id__gt=own)).order_by("received_at", "id")
    older = same.filter(Q(received_at__lt=at) | Q(received_at=at, id__lt=own)).order_by("-received_at", "-id")
    return newer.values_list("id", flat=True).first(), older.values_list("id", flat=True).first()


def latest_of(source: Source, most: int = 1) -> list[Submission]:
    """Return the latest requests of a source, whole."""
    return list(Submission.objects.filter(source=source).order_by("-received_at", "-id")[:most])


def reasons() -> dict[str, str]:
    """Return why a request was not taken in, short enough for a tag, by code."""
    return {
        "NO_CONTACT": _("Né telefono né e-mail"),
        "NOT_A_LEAD": _("Non è un lead"),
        "NOT_RETRIEVED": _("Dati non ancora dati"),
        "UNREADABLE": _("Forma sconosciuta"),
        "VALIDATION_ERROR": _("Dati mancanti o sbagliati"),
        "HONEYPOT": _("Compilata da un programma"),
        "PARTLY_UNMAPPED": _("Letta in parte"),
        _LAPSED: _("Lavorazione interrotta"),
        "META_TOKEN": _("Meta non accetta più il gettone"),
        "META_PERMISSION": _("Meta non dà il permesso"),
        "META_REFUSED": _("Meta rifiuta la lettura"),
    }


def what_became(submission: Submission, now: datetime) -> What:
    """Return the state of a request in a word, with its reason when it was not taken in."""
    status = Submission.Status(submission.status)
    if status == Submission.Status.QUEUED:
        if submission.queue_state == Submission.Queue.LEASED:
            return What("live", "loader", _("In lavorazione"))
        if submission.visible_at > now and submission.attempts:
            return What("warn", "clock", _("Rimandata"))
        return What("live", "clock", _("In coda"))
    if status == Submission.Status.PROCESSED:
        return What("ok", "circle-check", _("Presa in carico"))
    if status == Submission.Status.DUPLICATE:
        return What("", "copy", _("Già arrivata"))
    if status == Submission.Status.DISCARDED:
        return What("", "trash", _("Scartata"))
    icon = "plug-x" if code_of(submission) == "NO_CONTACT" else "alert-circle"
    return What("bad", icon, reason_of(submission))


def reason_of(submission: Submission) -> str:
    """Return the short reason; one without a known code is what went wrong in our own work."""
    return reasons().get(code_of(submission)) or (
        _("Si è inceppata") if submission.status == Submission.Status.DEAD else _("Non letta")
    )


def trouble_of(submission: Submission) -> Trouble | None:
    """Return what a person has to know about a request that was not taken in."""
    if submission.status == Submission.Status.DISCARDED:
        return Trouble("mute", "trash", _("Scartata."), _("Il testo resta qui: si può riproporre."))
    if submission.status not in {Submission.Status.DEAD, Submission.Status.REJECTED}:
        return None
    meanings = {
        "NO_CONTACT": (_("Non sappiamo chi richiamare."), _("La mappatura non trova né telefono né e-mail.")),
        "NOT_A_LEAD": (_("Non è un lead."), _("Chi invia racconta un altro fatto: non c’è niente da fare.")),
        "NOT_RETRIEVED": (
            _("Mancano i dati."),
            _("Chi invia ha dato solo un numero d’ordine e non ha ancora risposto. Riproponila più tardi."),
        ),
        "UNREADABLE": (
            _("Non ha la forma attesa."),
            _("Il testo è rotto, o la fonte è di un altro tipo. Si corregge da chi invia."),
        ),
        "HONEYPOT": (
            _("L’ha compilata un programma."),
            _("Ha riempito un campo che le persone non vedono. Se sbagliamo, riproponila."),
        ),
        _LAPSED: (
            _("La lavorazione si è interrotta ogni volta."),
            _("È salva per intero: riproponila quando il lavoratore è di nuovo in piedi."),
        ),
        "META_TOKEN": (
            _("Meta non accetta più il gettone della pagina."),
            _("Metti nella fonte un gettone nuovo, poi riproponila."),
        ),
        "META_PERMISSION": (
            _("Meta non lascia leggere i lead di questa pagina."),
            _("Dai alla app il permesso sui lead, poi riproponila."),
        ),
        "META_REFUSED": (
            _("Meta non dà i dati di questo lead."),
            _("Guarda che cosa risponde, qui sotto. Riproponila quando è a posto."),
        ),
    }
    default = (
        (_("Si è inceppata mentre la prendevamo in carico."), _("È salva per intero: riproponila."))
        if submission.status == Submission.Status.DEAD
        else (f"{reason_of(submission)}.", _("È salva per intero. Corretta la fonte, si ripropone."))
    )
    what, meaning = meanings.get(code_of(submission), default)
    return Trouble("bad", "plug-x" if code_of(submission) == "NO_CONTACT" else "alert-circle", what, meaning)


def may_fix_mapping(submission: Submission) -> bool:
    """Say whether another mapping could help."""
    return (
        submission.status in {Submission.Status.DEAD, Submission.Status.REJECTED}
        and code_of(submission) not in _NOT_FOR_MAPPING
        and trial.document_of(submission) is not None
    )


def guesses(submission: Submission) -> list[str]:
    """Return the names in the body that look like a phone or an e-mail although the mapping does not use them."""
    document = trial.document_of(submission)
    if document is None or submission.error_code != "NO_CONTACT":
        return []
    return [
        path
        for path, _value in trial.leaves(document)
        if known_field(path.rpartition(".")[2]) in {"phone", "email"}
    ][:3]


def steps_of(submission: Submission) -> list[Step]:
    """Return what happened to a request, in order."""
    steps = [Step("database", _("Arrivata e salvata"), submission.received_at)]
    if submission.attempts and submission.status != Submission.Status.DEAD:
        text = _("Provata %(n)s volte, poi si riprova") if submission.attempts > 1 else _("Provata una volta")
        steps.append(Step("refresh", text % {"n": submission.attempts}, submission.visible_at))
    if submission.processed_at and submission.status == Submission.Status.PROCESSED:
        steps.append(Step("circle-check", _("Presa in carico"), submission.processed_at))
    if submission.dead_at:
        tries = _deliveries(submission)
        text = _("%(n)s prove, stesso motivo: %(why)s") if tries > 1 else _("Provata una volta sola: %(why)s")
        text %= {"n": tries, "why": reason_of(submission).lower()}
        steps.append(Step("x", text, submission.dead_at))
        steps.append(Step("inbox", _("Messa da parte"), submission.dead_at))
    return sorted(steps, key=lambda step: step.at)


def tries_of(submission: Submission) -> str:
    """Return how often a request was tried, of how often it may be."""
    if submission.dead_at and submission.dead_reason not in ("", _FAILED):
        return str(_deliveries(submission))
    if not submission.attempts:
        return "1" if submission.status == Submission.Status.PROCESSED else "–"
    most = submission.max_retries + 1
    tried = _deliveries(submission) if submission.dead_at else submission.attempts
    return _("%(n)s su %(most)s") % {"n": min(tried, most), "most": most}


def _deliveries(dead: Submission) -> int:
    """Return how often a dead letter was tried: a lapsed lease was counted when it lapsed, the last failure was not."""
    return dead.attempts if dead.dead_reason == _LAPSED else dead.attempts + 1


def common_cause(rows: Sequence[Submission]) -> Cause | None:
    """Return what the largest group of dead requests on a page shares, when it is more than one."""
    groups: dict[tuple[str, str], list[Submission]] = {}
    for row in rows:
        if row.status == Submission.Status.DEAD:
            groups.setdefault((row.source.name, code_of(row)), []).append(row)
    largest = max(groups.items(), key=lambda item: len(item[1]), default=None)
    if largest is None or len(largest[1]) < 2:
        return None
    (source, _code), members = largest
    return Cause(
        _("%(n)s hanno la stessa causa.") % {"n": len(members)},
        _("Vengono da %(source)s: %(why)s. Corretta la causa, si ripropongono insieme.")
        % {"source": source, "why": reason_of(members[0]).lower()},
    )


def _read_cursor(text: str) -> tuple[datetime, UUID] | None:
    moment, _underscore, submission_id = text.partition("_")
    try:
        return datetime.fromisoformat(moment), UUID(submission_id)
    except ValueError:
        return None


def pretty(value: Any) -> str:
    """Return a JSON value as indented text, secrets covered."""
    return str(trial.outline(value)) if isinstance(value, dict | list) else str(value)
