"""What is wrong with a row, in the words of who reads it, and the file of the rows that are to be mended."""

import csv
import io
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from filiera.contacts import phones
from filiera.contacts.exporting import cell
from filiera.contacts.importing import fields
from filiera.contacts.models import ImportFault, ImportRun


def sentence(fault: ImportFault) -> str:
    """Return what is wrong and what to do."""
    told: dict[str, Any] = fault.told
    if fault.code == "phone" and told:
        return phones.explain(phones.normalise(told["value"], told["country"]))
    words = {
        "unreachable": _("Manca un telefono o un’e-mail: senza, non si sa chi è."),
        "erased": _("È stata cancellata su sua richiesta: non torna con un’importazione."),
        "repeated": _("È la stessa persona della riga %(row)s: ne riempie solo i campi vuoti."),
        "scientific": _(
            "«%(value)s»: il foglio di calcolo ha tolto delle cifre. Formatta la colonna come testo."
        ),
        "email": _("«%(value)s» non è un indirizzo: ha una chiocciola, nome@dominio.it."),
        "too_long": _("Troppo lungo: tengo le prime %(most)s lettere."),
        "age": _("«%(value)s» non è un’età da 0 a 120."),
        "date": _("«%(value)s» non è una data passata: controlla l’ordine di giorno e mese."),
        "status": _("Lo stato «%(value)s» non c’è: resta quello di partenza."),
        "source": _("La fonte «%(value)s» non c’è in questo marchio: vale quella scelta per tutti."),
        "owner": _("Nessun collega si chiama «%(value)s»: resta di nessuno."),
    }.get(fault.code)
    try:
        return words % told if words else _("Questa riga non va bene.")
    except KeyError:  # a fault of an older release
        return _("Questa riga non va bene.")


def label(fault: ImportFault) -> str:
    """Return the field a fault is about, "" when it is about the whole row."""
    field = fields.FIELDS.get(fault.field)
    return str(field.label) if field else ""


def told(run_id: UUID, *, most: int, only_grave: bool = False) -> list[dict[str, Any]]:
    """Return the first faults of an import, in the order of the rows, as the API tells them."""
    found = ImportFault.objects.filter(run_id=run_id).order_by("row_number", "id")
    if only_grave:
        found = found.filter(is_grave=True)
    return [
        {"row": one.row_number, "field": one.field, "message": sentence(one), "fatal": one.is_grave}
        for one in found[:most]
    ]


def file_of(run: ImportRun) -> Iterator[str]:
    """Yield the rows to be mended as CSV: the columns as they came, and beside them what is wrong with each."""
    yield "\ufeff"
    yield _line([*run.headers, _("Riga"), _("Che cosa non va")])
    found = ImportFault.objects.filter(run_id=run.id).exclude(code="repeated").order_by("row_number", "id")
    number = 0
    cells: list[str] = []
    words: list[str] = []
    for fault in found.iterator(chunk_size=2_000):
        if fault.row_number != number:
            if words:
                yield _row(run, cells, number, words)
            number, cells, words = fault.row_number, [], []
        cells = fault.cells or cells
        name = label(fault)
        words.append(f"{name}: {sentence(fault)}" if name else sentence(fault))
    if words:
        yield _row(run, cells, number, words)


def _row(run: ImportRun, cells: list[str], number: int, words: list[str]) -> str:
    width = len(run.headers)
    return _line([*(cells + [""] * width)[:width], str(number), " ".join(words)])


def _line(values: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=";").writerow([cell(value) for value in values])
    return out.getvalue()
