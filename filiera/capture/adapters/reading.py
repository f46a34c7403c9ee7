"""From a sender's answers to the canonical fields of a lead.

Every adapter turns its request into a list of `Answer`; the one function here decides which answer is the phone.
The order of trust: the source's own mapping, what the adapter knows for certain, the table of known names
(Italian and English), then the shape of the value. What nobody recognises is kept under `custom`.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from filiera.capture import documents

IGNORE = "ignore"
FULL_NAME = "full_name"
CONSENT = "consent"
_CUSTOM = "custom."
_ATTRIBUTION = "attribution."

TEXT_LIMITS = {
    "first_name": 200,
    "last_name": 200,
    FULL_NAME: 200,
    "email": 254,
    "phone": 64,
    "city": 200,
    "cap": 16,
    "company": 200,
    "service_code": 120,
    "package_code": 120,
    "source_label": 200,
    "external_id": 200,
    "notes": 10_000,
}
CANONICAL = frozenset(TEXT_LIMITS) | {"wants_contract", "wants_brochure", "age", "occurred_at"}

_MOST_CUSTOM = 200
_LONGEST_CUSTOM = 4_000


class Unmappable(Exception):
    """No lead can be read from a request: it stays stored, visible and replayable.

    `code` is NO_CONTACT (neither phone nor e-mail), NOT_A_LEAD (an event of another kind), NOT_RETRIEVED (the
    sender gives ids only and the data is not here yet) or UNREADABLE (the shape is not this sender's).
    """

    def __init__(self, code: str, leads: "Sequence[LeadFields]" = ()) -> None:
        super().__init__(code)
        self.code = code
        self.leads = leads  # what could be read nevertheless


class Answer(NamedTuple):
    """One thing the sender says. `key` is the name a mapping refers to, `label` the question as people read it."""

    key: str
    value: Any
    label: str = ""
    field: str = ""


class Problem(NamedTuple):
    """An answer that its field cannot hold: an age of 130, an e-mail without @. `key` is the sender's name for it."""

    key: str
    field: str


@dataclass(frozen=True, slots=True)
class LeadFields:
    """One lead as the sender told it, in canonical fields; texts are "" when absent, phones as typed."""

    first_name: str = ""
    last_name: str = ""
    email: str = ""
    phone: str = ""
    city: str = ""
    cap: str = ""
    company: str = ""
    service_code: str = ""
    package_code: str = ""
    wants_contract: bool = False
    wants_brochure: bool = False
    age: int | None = None
    source_label: str = ""
    occurred_at: datetime | None = None
    external_id: str = ""
    notes: str = ""
    custom: dict[str, Any] = field(default_factory=dict)
    is_test: bool = False
    problems: tuple[Problem, ...] = ()
    given: dict[str, str] = field(default_factory=dict)  # canonical field -> the sender's name for it

    @property
    def has_contact(self) -> bool:
        """A lead always needs a phone or an e-mail (CAP-88)."""
        return bool(self.phone or self.email)


_NAMES: dict[str, str] = {
    "first_name": "nome first_name firstname given_name nome_proprio",
    "last_name": "cognome last_name lastname surname family_name",
    FULL_NAME: "nome_e_cognome nome_cognome nomecognome cognome_e_nome nominativo full_name fullname name "
    "nome_completo contact_name come_ti_chiami il_tuo_nome",
    "email": "email e_mail mail email_address indirizzo_email indirizzo_e_mail posta_elettronica user_email "
    "work_email la_tua_email la_tua_e_mail email_aziendale",
    "phone": "telefono phone phone_number phonenumber tel cellulare cell mobile mobile_phone telephone "
    "numero_di_telefono numero_telefono numero_di_cellulare recapito recapito_telefonico user_phone work_phone "
    "work_phone_number telefono_cellulare telefono_cell il_tuo_numero il_tuo_telefono whatsapp",
    "city": "citta city comune localita town",
    "cap": "cap postal_code post_code postalcode postcode zip zip_code zipcode codice_postale",
    "company": "azienda company company_name companyname ragione_sociale societa organization business_name",
    "service_code": "servizio service service_code quale_servizio",
    "package_code": "pacchetto package package_code",
    "wants_contract": "vuolecontratto vuole_contratto wants_contract",
    "wants_brochure": "vuolebrochure vuole_brochure wants_brochure",
    "age": "eta age",
    "source_label": "source fonte provenienza source_label",
    "occurred_at": "timestamp occurred_at submitted_at created_at created_time",
    "external_id": "id external_id lead_id leadgen_id entry_id submission_id response_id",
    "notes": "note notes messaggio message richiesta comment comments commento commenti il_tuo_messaggio",
    CONSENT: "accettazione acceptance marketing",
    # Who the brand is comes from the source alone (CAP-64): the sender's opinion is not even kept.
    IGNORE: "brand_id brandid",
    **{
        f"{_ATTRIBUTION}{name}": name
        for name in [
            "utm_source",
            "utm_medium",
            "utm_campaign",
            "utm_term",
            "utm_content",
            "gclid",
            "fbclid",
            "msclkid",
            "ttclid",
            "page_url",
            "referrer",
            "ad_id",
            "ad_name",
            "adset_id",
            "adset_name",
            "adgroup_id",
            "adgroup_name",
            "campaign_id",
            "campaign_name",
            "form_id",
            "form_name",
        ]
    },
    f"{_ATTRIBUTION}gclid": "gclid gcl_id",
    f"{_ATTRIBUTION}page_url": "page_url url pagina url_della_pagina landing_page source_url",
    f"{_ATTRIBUTION}referrer": "referrer referer",
}
KNOWN_NAMES: dict[str, str] = {
    name: canonical for canonical, names in _NAMES.items() for name in names.split()
}

_CONSENT_WORDS = frozenset(["privacy", "gdpr", "consenso", "consensi", "consent", "acconsento", "newsletter"])
_NOT_WORD = re.compile(r"[^a-z0-9]+")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+")
_PHONE = re.compile(r"(?:p:)?\s*[+(0-9][0-9 ()./+-]{6,22}")
_MISSING = frozenset(("", "null", "undefined", "none"))
_YES = frozenset(("true", "1", "on", "yes", "y", "si", "sì", "vero"))


@lru_cache(maxsize=4096)
def known_field(name: str) -> str:
    """Return the canonical field that a sender's name means, "" when it is no known name.

    Case, accents and punctuation do not count; `your-name`, as WordPress forms have it, is the full name.
    """
    bare = unicodedata.normalize("NFKD", name[:200].lower()).encode("ascii", "ignore").decode()
    folded = _NOT_WORD.sub("_", bare).strip("_")
    folded = folded.removeprefix("your_")
    if folded in KNOWN_NAMES:
        return KNOWN_NAMES[folded]
    return "" if _CONSENT_WORDS.isdisjoint(folded.split("_")) else CONSENT


def usable_mapping(mapping: Any) -> dict[str, str]:
    """Return the entries of a source's mapping that say something: path to a canonical, custom or ignored field."""
    if not isinstance(mapping, dict):
        return {}
    return {
        str(path): target for path, target in mapping.items() if isinstance(target, str) and is_target(target)
    }


def is_target(name: str) -> bool:
    """Tell whether a mapping may lead to this field."""
    return (
        name in CANONICAL
        or name in (IGNORE, CONSENT)
        or (name.startswith((_CUSTOM, _ATTRIBUTION)) and name[-1] != ".")
    )


def text(value: Any, limit: int = _LONGEST_CUSTOM) -> str:
    """Return a value as clean text: trimmed, without NUL; "" for nothing, "null", and what is no text at all."""
    if isinstance(value, str):
        clean = value.strip()
    elif value is None or isinstance(value, dict):
        return ""
    elif isinstance(value, bool):
        return "true" if value else "false"
    elif isinstance(value, (list, tuple)):
        clean = ", ".join(filter(None, (text(item, limit) for item in value[:100])))
    else:
        clean = str(value)
    if "\0" in clean:
        clean = clean.replace("\0", "").strip()
    if not clean.isascii():
        clean = clean.encode("utf-8", "replace").decode()
    if len(clean) > limit:
        return clean[:limit].rstrip()
    return "" if len(clean) < 10 and clean.lower() in _MISSING else clean


def yes(value: Any) -> bool:
    """Return what a check box says, as a boolean, a number or one of the words senders use."""
    if isinstance(value, bool):
        return value
    return text(value).lower() in _YES


def whole_age(value: Any) -> int:
    """Return an age in years. Raises ValueError outside 0-120 or when it is no whole number."""
    number = float("nan" if isinstance(value, bool) else text(value, 40))
    if not 0 <= number <= 120 or number != int(number):
        raise ValueError(f"age {number} is outside 0-120")
    return int(number)


def moment(value: Any) -> datetime | None:
    """Return an instant in UTC from ISO-8601 text (with or without a colon in the offset) or Unix seconds or ms."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            seconds = value / 1000 if value > 100_000_000_000 else value
            return datetime.fromtimestamp(seconds, UTC)
        written = text(value, 40)
        if written.isascii() and written.isdigit():
            return moment(int(written))
        parsed = datetime.fromisoformat(written)
        return (parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def plain(value: Any, depth: int = 3) -> Any:
    """Return a value small and clean enough to be kept under `custom`."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if isinstance(value, float):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item, depth - 1) for item in value[:100]] if depth else []
    if isinstance(value, dict):
        return (
            {text(key, 200): plain(item, depth - 1) for key, item in list(value.items())[:100]}
            if depth
            else {}
        )
    return text(value)


def read_lead(
    answers: Iterable[Answer],
    *,
    mapping: Mapping[str, str],
    document: Any = None,
    guess: bool = False,
    split_names: bool = False,
    external_id: str = "",
    occurred_at: datetime | None = None,
    attribution: Mapping[str, Any] | None = None,
    form_id: str = "",
    is_test: bool = False,
) -> LeadFields:
    """Return the lead that a sender's answers tell.

    `guess` lets the shape of a value decide when no name did (an `@`, the look of a phone). `split_names` divides a
    full name at its first space; otherwise it stays whole in first_name, since Italian particles make any cut a guess.
    Never raises: whether the lead can be taken in is decided by the caller (`has_contact`, `problems`).
    """
    reading = _Reading(mapping)
    for answer in answers:
        reading.take(answer)
    if document is not None:
        reading.follow_paths(document)
    reading.place_strangers(guess=guess)
    for name, value in (attribution or {}).items():
        reading.attribute(name, value)
    fields = reading.fields(split_names=split_names)
    if external_id:
        fields["external_id"] = external_id
    if occurred_at is not None:
        fields["occurred_at"] = occurred_at
    return LeadFields(
        **fields,
        custom=reading.custom_with(form_id=form_id),
        is_test=is_test,
        problems=tuple(reading.problems),
        given={name: choice.key for name, choice in reading.chosen.items()},
    )


class Glance(NamedTuple):
    """The wanted values of a document without mapping and nesting, and those that their fields cannot hold."""

    values: dict[str, Any]
    problems: list[Problem]


def glance(document: Mapping[str, Any], wanted: frozenset[str]) -> Glance | None:
    """Return what read_lead would find for some fields by names alone, None when that takes a full reading.

    The door asks this of every landing form, and only about what its answer depends on; the rest waits for the worker.
    """
    for value in document.values():
        if isinstance(value, (dict, list)):
            return None
    plan = _plan if len(document) <= _MOST_PLANNED else _plan.__wrapped__
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, target in plan(tuple(document), wanted):
        try:
            said = converted(target, document[key])
        except ValueError:
            problems.append(Problem(key, target))
            continue
        if said is not None:
            values.setdefault(target, said)
    if FULL_NAME in values:
        values.setdefault("first_name", values[FULL_NAME])
    return Glance(values, problems)


_MOST_PLANNED = 60  # keys of a form; a body with ten thousand is not worth remembering


@lru_cache(maxsize=512)
def _plan(keys: tuple[str, ...], wanted: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Return which of these keys tell a wanted field: senders send the same form again and again."""
    return tuple((key, target) for key in keys if (target := known_field(key)) in wanted)


def reachable(leads: list[LeadFields]) -> list[LeadFields]:
    """Return the leads of a request as they are. Raises Unmappable when none of them has a phone or an e-mail.

    In a delivery of several, those without either stay in the list, so that the caller can say that they are there.
    """
    if not any(lead.has_contact for lead in leads):
        raise Unmappable("NO_CONTACT", leads)
    return leads


_SHAPE, _NAME, _ADAPTER, _MAPPING = range(4)  # how far an answer is trusted to be what it seems


class _Choice(NamedTuple):
    trust: int
    key: str
    name: str
    value: Any


class _Reading:
    """The state of one call of read_lead: what was chosen so far, and what nobody wanted."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self.mapping = mapping
        self.chosen: dict[str, _Choice] = {}
        self.custom: dict[str, Any] = {}
        self.attribution: dict[str, str] = {}
        self.consents: list[dict[str, Any]] = []
        self.problems: list[Problem] = []
        self.strangers: list[Answer] = []
        self._mapped: set[str] = set()

    def take(self, answer: Answer) -> None:
        """Give one answer its place, by mapping, adapter or name."""
        key, value, label, field_name = answer
        if self.mapping:
            for name in (key, label):
                if name in self.mapping:
                    self._mapped.add(name)
                    self._place(self.mapping[name], _MAPPING, answer)
                    return
        if field_name:
            self._place(field_name, _ADAPTER, answer)
        elif target := known_field(key) or (known_field(label) if label else ""):
            self._place(target, _NAME, answer)
        elif value is not None and value != "":
            self.strangers.append(answer)

    def follow_paths(self, document: Any) -> None:
        """Fetch what the mapping finds deeper in the document than the adapter's answers go."""
        for path, target in self.mapping.items():
            if path not in self._mapped and target != IGNORE:
                value = documents.find(document, path)
                if value is not None:
                    self._place(target, _MAPPING, Answer(path, value))

    def place_strangers(self, *, guess: bool) -> None:
        """Give answers under unknown names a place by their shape, if that is allowed, else keep them as custom."""
        for answer in self.strangers:
            shape = _shape(answer.value) if guess else ""
            if shape and shape not in self.chosen:
                self._place(shape, _SHAPE, answer)
            else:
                self._keep(answer.label or answer.key, answer.value)

    def attribute(self, name: str, value: Any) -> None:
        """Note where the lead came from; an empty value is no news."""
        if said := text(value, 2_000):
            self.attribution[name] = said

    def fields(self, *, split_names: bool) -> dict[str, Any]:
        """Return the canonical fields, the name put together from whatever parts there are."""
        fields = {name: choice.value for name, choice in self.chosen.items()}
        whole = fields.pop(FULL_NAME, "")
        if not whole or fields.get("first_name"):
            return fields
        last = fields.get("last_name", "")
        if last and whole.lower().endswith(" " + last.lower()):
            whole = whole[: -len(last)].strip()
        elif split_names and not last:
            whole, _space, fields["last_name"] = (part.strip() for part in whole.partition(" "))
        fields["first_name"] = whole
        return fields

    def custom_with(self, *, form_id: str) -> dict[str, Any]:
        """Return what no canonical field holds: answers by their question, attribution, consents."""
        if self.attribution:
            self.custom["attribution"] = self.attribution
        if self.consents:
            self.custom["consents"] = [
                {**consent, "form_id": form_id} if form_id else consent for consent in self.consents
            ]
        return self.custom

    def _place(self, target: str, trust: int, answer: Answer) -> None:
        if target in CANONICAL:
            self._choose(target, trust, answer)
        elif target == CONSENT:
            if text(answer.value):
                question = text(answer.label or answer.key, 1_000)
                self.consents.append({"question": question, "answer": plain(answer.value)})
        elif target.startswith(_ATTRIBUTION):
            self.attribute(target[len(_ATTRIBUTION) :], answer.value)
        elif target.startswith(_CUSTOM):
            self._keep(target[len(_CUSTOM) :], answer.value)

    def _choose(self, target: str, trust: int, answer: Answer) -> None:
        name = answer.label or answer.key
        try:
            value = converted(target, answer.value)
        except ValueError:
            self.problems.append(Problem(answer.key, target))
            self._keep(name, answer.value)
            return
        if value is None:
            return
        choice = self.chosen.get(target)
        if choice is not None and choice.trust >= trust:
            if value != choice.value:
                self._keep(name, answer.value)
            return
        if choice is not None and value != choice.value:
            self._keep(choice.name, choice.value)
        self.chosen[target] = _Choice(trust, answer.key, name, value)

    def _keep(self, name: str, value: Any) -> None:
        if len(self.custom) < _MOST_CUSTOM and value is not None and value != "":
            self.custom.setdefault(text(name, 200) or "?", plain(value))


def converted(target: str, value: Any) -> Any:
    """Return a value as its canonical field wants it, None when it says nothing. Raises ValueError if it cannot be."""
    limit = TEXT_LIMITS.get(target)
    if limit is None:
        return _CONVERSIONS[target](value)
    said = text(value, limit)
    if target == "email" and said:
        said = said.lower()
        if not _EMAIL.fullmatch(said):
            raise ValueError("no e-mail address")
    return said or None


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "wants_contract": lambda value: yes(value) if text(value) else None,
    "wants_brochure": lambda value: yes(value) if text(value) else None,
    "age": lambda value: whole_age(value) if text(value, 40) else None,
    "occurred_at": moment,
}


def _shape(value: Any) -> str:
    """Return the field that a value looks like: an `@` in the middle, or the digits of a phone."""
    said = text(value, 300)
    if _EMAIL.fullmatch(said):
        return "email"
    if _PHONE.fullmatch(said) and 8 <= sum(map(str.isdigit, said)) <= 15:
        return "phone"
    return ""
