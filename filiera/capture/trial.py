"""Try a mapping on a stored request: what each field would hold, what stays unused, whether a lead would come of it.

Nothing is written. What only later rooms know (who the person is, who would be rung) they add through `also_check`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from django.utils import timezone
from django.utils.dateformat import format as date_format
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from filiera.capture import documents
from filiera.capture.adapters import ADAPTERS, LeadFields, Unmappable
from filiera.capture.adapters.reading import known_field, text
from filiera.capture.documents import Document
from filiera.capture.models import Source, Submission

FIELDS: dict[str, Promise] = {
    "full_name": gettext_lazy("Nome e cognome"),
    "first_name": gettext_lazy("Nome"),
    "last_name": gettext_lazy("Cognome"),
    "phone": gettext_lazy("Telefono"),
    "email": gettext_lazy("E-mail"),
    "city": gettext_lazy("Città"),
    "cap": gettext_lazy("CAP"),
    "company": gettext_lazy("Azienda"),
    "service_code": gettext_lazy("Servizio"),
    "package_code": gettext_lazy("Pacchetto"),
    "wants_contract": gettext_lazy("Vuole il contratto"),
    "wants_brochure": gettext_lazy("Vuole la brochure"),
    "age": gettext_lazy("Età"),
    "occurred_at": gettext_lazy("Quando"),
    "external_id": gettext_lazy("Id esterno"),
    "source_label": gettext_lazy("Provenienza dichiarata"),
    "notes": gettext_lazy("Note"),
    "ignore": gettext_lazy("Da non usare"),
}
"""Where a mapping may lead, in the order and the words of the page."""

SHOWN_FIRST = ("full_name", "phone", "email", "city", "service_code", "occurred_at", "external_id")
"""The rows of a source that has no mapping yet."""

_REACHES = frozenset({"phone", "email"})
_SECRETS = frozenset({"google_key", "api_key", "apikey", "token", "access_token", "secret", "password"})
_MASK = "••••"
_DEEPEST, _MOST_LEAVES, _MOST_LINES = 8, 2_000, 400
_LONGEST_SHOWN = 300
_PROBE = "custom.\N{MIDDLE DOT}"


@dataclass(frozen=True, slots=True)
class Check:
    """One sentence of the trial. `level` is ok, warn or bad; `href` leads to what the sentence is about."""

    level: str
    text: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the mapping: a field, the path that feeds it, and what stands there in this request."""

    field: str
    label: str
    path: str
    value: str
    problem: str = ""

    @property
    def reaches(self) -> bool:
        """Say whether the field is one of the two without which nobody can be called back (CAP-88)."""
        return self.field in _REACHES


@dataclass(frozen=True, slots=True)
class Trial:
    """What a request becomes under a mapping. `lead` is None when nothing can be read from it."""

    rows: Sequence[Row]
    unused: Sequence[str]
    checks: Sequence[Check]
    lead: LeadFields | None
    used: frozenset[str]

    @property
    def level(self) -> str:
        """Return bad when no lead comes of it, warn when one does with a remark, else ok."""
        levels = {check.level for check in self.checks}
        return "bad" if "bad" in levels else "warn" if "warn" in levels else "ok"


_later_checks: list[Callable[[LeadFields, Source], Iterable[Check]]] = []


def also_check(check: Callable[[LeadFields, Source], Iterable[Check]]) -> None:
    """Let a later room add its sentences to every trial."""
    _later_checks.append(check)


def document_of(submission: Submission) -> Document | None:
    """Return what stands in a stored request, or None when it can be read neither as JSON nor as a form."""
    try:
        return documents.parse(bytes(submission.body), submission.content_type or "application/json")
    except documents.Unreadable:
        return None


def leaves(document: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield every value of a document under its dotted path; lists of plain values count as one value."""
    if depth > _DEEPEST:
        return
    pairs = (
        document.items()
        if isinstance(document, dict)
        else ((str(at), item) for at, item in enumerate(document))
    )
    for name, value in pairs:
        path = f"{prefix}{name}"
        if isinstance(value, dict) or (
            isinstance(value, list) and any(isinstance(item, dict) for item in value)
        ):
            yield from leaves(value, f"{path}.", depth + 1)
        else:
            yield path, value


def try_mapping(source: Source, submission: Submission | None, pairs: Sequence[tuple[str, str]]) -> Trial:
    """Return what `submission` becomes when its source maps by `pairs` of (field, path); without one, empty rows."""
    document = document_of(submission) if submission else None
    mapping = {path: field for field, path in pairs if path}
    if submission is None:
        return Trial([_empty_row(field, path) for field, path in pairs], [], [], None, frozenset())
    if document is None:
        checks = [Check("bad", _("Non è né JSON né un modulo: da qui non si legge niente."))]
        return Trial([_empty_row(field, path) for field, path in pairs], [], checks, None, frozenset())
    there = dict(_first(leaves(document), _MOST_LEAVES))
    lead, refusal = _read(source, submission, document, mapping)
    rows = [_row(source, submission, document, there, lead, field, path) for field, path in pairs]
    used = frozenset(lead.given.values()) | frozenset(mapping) if lead else frozenset(mapping)
    unused = [path for path in there if path not in used and text(there[path])]
    return Trial(rows, unused, [*_checks(source, rows, lead, refusal)], lead, used)


def propose(source: Source, submission: Submission) -> list[tuple[str, str]]:
    """Return the (field, path) pairs that the names in a request suggest."""
    document = document_of(submission)
    if document is None:
        return []
    lead, _refusal = _read(source, submission, document, {})
    found = dict(lead.given) if lead else {}
    if not found:
        for path, _value in _first(leaves(document), _MOST_LEAVES):
            field = known_field(path.rpartition(".")[2])
            if field in FIELDS and field != "ignore":
                found.setdefault(field, path)
    return [(field, found[field]) for field in FIELDS if field in found]


def outline(document: Any, *, used: Iterable[str] = (), marked: Iterable[str] = ()) -> SafeString:
    """Return a document as indented text: keys in use in bold, `marked` ones lit, secrets covered, cut when long."""
    lines = list(_first(_lines(document, frozenset(used), frozenset(marked), "", 0), _MOST_LINES + 1))
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], SafeString("…")]
    return format_html_join("\n", "{}", ((line,) for line in lines))


def _lines(
    value: Any, used: frozenset[str], marked: frozenset[str], path: str, depth: int
) -> Iterator[SafeString]:
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    pairs = (
        list(value.items()) if isinstance(value, dict) else [(str(at), item) for at, item in enumerate(value)]
    )
    indent = "  " * depth
    yield format_html("{}", opening if not depth else "")
    for at, (name, item) in enumerate(pairs):
        here = f"{path}{name}"
        key = format_html('"{}"', name) if isinstance(value, dict) else SafeString("")
        if isinstance(value, dict):
            if here in marked:
                key = format_html("<mark>{}</mark>", key)
            elif here in used:
                key = format_html("<b>{}</b>", key)
        colon = ": " if key else ""
        comma = "," if at < len(pairs) - 1 else ""
        if isinstance(item, dict | list) and item and depth < _DEEPEST:
            bracket = "{" if isinstance(item, dict) else "["
            yield format_html("{}  {}{}{}", indent, key, colon, bracket)
            yield from list(_lines(item, used, marked, f"{here}.", depth + 1))[1:-1]
            yield format_html("{}  {}{}", indent, "}" if isinstance(item, dict) else "]", comma)
        else:
            yield format_html("{}  {}{}{}{}", indent, key, colon, _shown(str(name), item), comma)
    yield format_html("{}{}", indent, closing)


def _shown(name: str, value: Any) -> str:
    if name.lower() in _SECRETS and value:
        return f'"{_MASK}"'
    if isinstance(value, str):
        cut = value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…"
        return f'"{cut}"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _read(
    source: Source, submission: Submission, document: Document, mapping: Mapping[str, str]
) -> tuple[LeadFields | None, str]:
    """Return the first lead that can be reached, or the code of the refusal."""
    adapter = ADAPTERS.get(source.kind) or ADAPTERS["webhook"]
    try:
        leads = adapter.read(document, mapping, submission.retrieved or {})
    except Unmappable as refusal:
        return None, refusal.code
    return next(lead for lead in leads if lead.has_contact), ""


def _row(
    source: Source,
    submission: Submission,
    document: Document,
    there: Mapping[str, Any],
    lead: LeadFields | None,
    field: str,
    path: str,
) -> Row:
    label = str(FIELDS.get(field) or field.removeprefix("custom."))
    if not path:
        key = lead.given.get(field, "") if lead else ""
        return Row(field, label, "", _value(lead, field) if key else "")
    if (
        path in there
        or documents.find(document, path) is not None
        or _answers_to(source, submission, document, path)
    ):
        problem = next(
            (_problem(field) for each in (lead.problems if lead else ()) if each.field == field), ""
        )
        return Row(field, label, path, _value(lead, field) or text(there.get(path), _LONGEST_SHOWN), problem)
    guess = _guess(field, path, there)
    problem = _("Non c’è, forse %(path)s") % {"path": guess} if guess else _("Non c’è in questa richiesta")
    return Row(field, label, path, "", problem)


def _answers_to(source: Source, submission: Submission, document: Document, path: str) -> bool:
    """Say whether the sender's adapter knows an answer by this name: a question's text, not a place in the body."""
    lead, _refusal = _read(source, submission, document, {path: _PROBE})
    return lead is not None and _PROBE.removeprefix("custom.") in lead.custom


def _value(lead: LeadFields | None, field: str) -> str:
    if lead is None:
        return ""
    if field == "full_name":
        return f"{lead.first_name} {lead.last_name}".strip()
    if field.startswith("custom."):
        return text(lead.custom.get(field.removeprefix("custom.")), _LONGEST_SHOWN)
    value = getattr(lead, field, "")
    if isinstance(value, datetime):
        return date_format(timezone.localtime(value), "j/n, G:i")
    return "" if value in (None, False) else text(value, _LONGEST_SHOWN) if value is not True else _("sì")


def _problem(field: str) -> str:
    return {
        "age": _("Un’età va da 0 a 120"),
        "email": _("Non ha la forma di un indirizzo"),
    }.get(field, _("Non va bene per questo campo"))


def _guess(field: str, path: str, there: Mapping[str, Any]) -> str:
    """Return the path that was probably meant: one whose name means the field, else the most alike."""
    by_name = [known for known in there if known_field(known.rpartition(".")[2]) == field]
    alike = get_close_matches(path, list(there), n=1, cutoff=0.75)
    return (by_name or alike or [""])[0]


def _checks(source: Source, rows: Sequence[Row], lead: LeadFields | None, refusal: str) -> Iterator[Check]:
    if lead is None:
        yield Check("bad", refusals().get(refusal, _("Questa richiesta non si lascia leggere.")))
    else:
        for check in _later_checks:
            yield from check(lead, source)
        if missing := [name for name in source.required_fields if not _has(lead, name)]:
            names = ", ".join(str(FIELDS.get(name, name)).lower() for name in missing)
            yield Check("bad", _("Manca quello che questa fonte pretende: %(fields)s.") % {"fields": names})
        if lead.is_test:
            yield Check(
                "warn", _("È una prova di chi invia: entra segnata come prova e non fa squillare nessuno.")
            )
    for row in rows:
        if row.problem and row.path:
            words = {
                "label": row.label,
                "path": row.path,
                "problem": row.problem[:1].lower() + row.problem[1:],
            }
            if lead:
                yield Check(
                    "warn", _("%(label)s, da %(path)s: %(problem)s. Il lead entra lo stesso.") % words
                )
            else:
                yield Check("warn", _("%(label)s, da %(path)s: %(problem)s.") % words)


def refusals() -> dict[str, str]:
    """Return why nothing could be read from a request, by the adapter's code."""
    return {
        "NO_CONTACT": _("Né telefono né e-mail: non sappiamo chi richiamare."),
        "NOT_A_LEAD": _("Non è un lead: chi invia racconta qualcos’altro."),
        "NOT_RETRIEVED": _("Chi invia dà solo un numero d’ordine: i dati non sono ancora arrivati."),
        "UNREADABLE": _("Non ha la forma che questo tipo di fonte manda."),
    }


def _has(lead: LeadFields, name: str) -> bool:
    if name == "first_name":
        return bool(lead.first_name or lead.last_name)
    return bool(getattr(lead, name, None))


def _empty_row(field: str, path: str) -> Row:
    return Row(field, str(FIELDS.get(field) or field.removeprefix("custom.")), path, "")


def _first(items: Iterable[Any], most: int) -> Iterator[Any]:
    for count, item in enumerate(items):
        if count >= most:
            return
        yield item
