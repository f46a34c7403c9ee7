"""What a column of a file may be, and which column is what by its title: Italian, English, HubSpot's and Airtable's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from filiera.capture.adapters.reading import known_field
from filiera.contacts.rules import folded

FULL_NAME, PHONE, PHONE_2, EMAIL, STATUS, SOURCE, OWNER, ARRIVED, NOTES, NOTE = (
    *("full_name", "phone", "phone_2", "email", "status", "source", "owner", "arrived", "notes", "note"),
)
IGNORE: Final = ""
FILL, OVERWRITE, NEVER = "fill", "overwrite", "never"
MATCH_BOTH, MATCH_PHONE, MATCH_EMAIL = "phone_email", "phone", "email"


@dataclass(frozen=True, slots=True)
class Field:
    """A place in a person's record that a column may lead to.

    `policies` say what may happen to a person who is known already; the first is the one that is offered. `names` are
    titles of columns besides those that every intake knows, `known` the name that intake gives such a column.
    """

    name: str
    label: str | Promise
    policies: tuple[str, ...] = (FILL, OVERWRITE, NEVER)
    names: tuple[str, ...] = ()
    known: str = ""
    may_repeat: bool = False


FIELDS: Final[dict[str, Field]] = {
    one.name: one
    for one in (
        Field("first_name", _("Nome"), known="first_name", names=("nome di battesimo",)),
        Field("last_name", _("Cognome"), known="last_name"),
        Field(
            FULL_NAME,
            _("Nome e cognome insieme"),
            known="full_name",
            names=("cliente", "contatto", "contact", "referente", "nome cliente", "persona"),
        ),
        Field(
            PHONE,
            _("Telefono"),
            known="phone",
            names=("phone number", "mobile phone number", "telefono 1", "numero", "telefono principale"),
        ),
        Field(
            PHONE_2,
            _("Altro telefono"),
            policies=(FILL, NEVER),
            names=(
                *("telefono 2", "secondo telefono", "altro telefono", "telefono fisso", "fisso", "casa"),
                *("home phone", "other phone", "telefono secondario", "secondary phone"),
            ),
        ),
        Field(EMAIL, _("E-mail"), known="email", names=("email 1", "pec")),
        Field(
            "company_name", _("Azienda"), known="company", names=("associated company", "ditta", "impresa")
        ),
        Field("city", _("Città"), known="city", names=("residenza", "paese", "comune di residenza")),
        Field("cap", _("CAP"), known="cap", names=("c.a.p.",)),
        Field("age", _("Età"), known="age", names=("anni",)),
        Field(
            SOURCE,
            _("Fonte"),
            known="source_label",
            names=("original source", "lead source", "origine", "canale", "marketing source"),
        ),
        Field(
            STATUS,
            _("Stato"),
            policies=(FILL,),
            names=("stato", "status", "lead status", "stato lead", "fase", "lifecycle stage"),
        ),
        Field(
            OWNER,
            _("Titolare"),
            policies=(FILL, NEVER),
            names=(
                *("titolare", "owner", "contact owner", "assegnato a", "agente", "commerciale"),
                *("assigned to", "assignee", "venditore", "proprietario contatto"),
            ),
        ),
        Field(
            ARRIVED,
            _("Data del contatto"),
            policies=(FILL,),
            known="occurred_at",
            names=(
                *("data", "create date", "created", "created time", "created on", "data creazione"),
                *("data di creazione", "data inserimento", "data contatto", "creato il", "date"),
            ),
        ),
        Field(
            NOTES,
            _("Annotazioni"),
            known="notes",
            names=("osservazioni", "annotazioni", "descrizione", "description"),
        ),
        Field(NOTE, _("Riga nelle note, con il titolo"), policies=(FILL, NEVER), may_repeat=True),
        Field("hubspot", _("Identificativo di HubSpot"), policies=(FILL,), names=("record id", "contact id")),
        Field(
            "airtable",
            _("Identificativo di Airtable"),
            policies=(FILL,),
            names=("airtable id", "airtable record id", "record_id"),
        ),
    )
}
EXTERNAL: Final = ("hubspot", "airtable")
_BY_NAME: Final = {name: field.name for field in FIELDS.values() for name in field.names}
_BY_KNOWN: Final = {field.known: field.name for field in FIELDS.values() if field.known}
KNOWN_TITLES: Final = tuple(_BY_NAME)


def suggested(titles: Sequence[str]) -> dict[int, str]:
    """Return which column is what, by its title: column (from 0) → field. Unknown ones are left out.

    A second column of numbers becomes the other phone; otherwise a field belongs to the first column that names it.
    """
    found: dict[int, str] = {}
    for place, title in enumerate(titles):
        name = field_of(title)
        if name == PHONE and PHONE in found.values():
            name = PHONE_2
        if name and name not in found.values():
            found[place] = name
    if FULL_NAME in found.values() and {"first_name", "last_name"} <= set(found.values()):
        found = {place: name for place, name in found.items() if name != FULL_NAME}
    if "last_name" in found.values() and "first_name" not in found.values():
        found = {place: "first_name" if name == FULL_NAME else name for place, name in found.items()}
    return found


def field_of(title: str) -> str:
    """Return the field that a title names, "" for an unknown one."""
    plain = folded(title.replace("_", " "))
    return _BY_NAME.get(folded(title)) or _BY_NAME.get(plain) or _BY_KNOWN.get(known_field(title), IGNORE)


def usable(mapping: Mapping[str, str], columns: int) -> dict[int, str]:
    """Return the entries of a mapping that say something, each field once unless it may repeat."""
    found: dict[int, str] = {}
    for place, name in mapping.items():
        field = FIELDS.get(name)
        if field is None or not str(place).isdecimal() or not int(place) < columns:
            continue
        if field.may_repeat or name not in found.values():
            found[int(place)] = name
    return found


def key_of(titles: Sequence[str]) -> str:
    """Return what names a set of titles, whatever their order of letters and accents."""
    return sha256("\n".join(folded(title) for title in titles).encode()).hexdigest()
