"""A file of rows: what it is by its content, how it is divided, and its rows one after the other.

A spreadsheet becomes CSV when it comes in, so that everything afterwards reads one format. Formulas are never
computed: what is read is the value that the spreadsheet kept, as text.
"""

import codecs
import csv
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import partial
from itertools import chain
from typing import BinaryIO, Final, cast

import python_calamine
from django.utils.translation import gettext as _

from filiera.platform.refusals import Invalid

LARGEST_CSV: Final = 200_000_000
LARGEST_SHEET: Final = 30_000_000
LARGEST_UNPACKED: Final = 300_000_000
MOST_ENTRIES: Final = 2_000
MOST_COLUMNS: Final = 300
MOST_CELLS: Final = 10_000_000
LONGEST_CELL: Final = 100_000
PIECE: Final = 1 << 20
SAMPLE_ROWS: Final = 200
DELIMITERS: Final = (";", ",", "\t", "|")
ENCODINGS: Final = ("utf-8", "cp1252")
DATE_ORDERS: Final = ("dmy", "mdy", "ymd")
_ZIP, _OLD_OFFICE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_CELL = re.compile(rb"<(?:\w+:)?c[\s/>]")
_PLACE = re.compile(rb"<(?:\w+:)?(?:c|row)\s(?:[^>]*?\s)?r\s*=\s*[\"']([A-Za-z]{0,3})(\d{1,7})[\"']")
_A_DATE = re.compile(r"(\d{1,4})[/.\-](\d{1,2})[/.\-](\d{1,4})\b")
_A_DECIMAL = re.compile(r"-?\d+(?:[.,]\d+)*([.,])\d+")


@dataclass(frozen=True, slots=True)
class Options:
    """How a file is to be read. `date_order` is dmy, mdy or ymd; `decimal` the sign before the decimals."""

    encoding: str = "utf-8"
    delimiter: str = ";"
    has_header: bool = True
    date_order: str = "dmy"
    decimal: str = ","


def kind_of(head: bytes) -> str:
    """Return csv or xlsx by what the content begins with, whatever the file is called. Raises Invalid."""
    if head.startswith(_ZIP):
        return "xlsx"
    if head.startswith(_OLD_OFFICE):
        raise Invalid(_("Questo è un vecchio foglio di Excel (.xls): salvalo come .xlsx o come CSV."))
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "csv"
    if not head.strip():
        raise Invalid(_("Il file è vuoto."))
    if _BINARY.search(head):
        raise Invalid(_("Questo non è un elenco: servono un CSV o un foglio .xlsx."))
    return "csv"


def pieces_of_csv(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a CSV file in pieces of whole lines. Text of two bytes a letter becomes UTF-8. Raises Invalid."""
    decoder: codecs.IncrementalDecoder | None = None
    kept, is_first, size = b"", True, 0
    for part in parts:
        size += len(part)
        if size > LARGEST_CSV:
            raise Invalid(_("Il file è troppo grande: al massimo 200 MB."))
        if is_first and part.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            decoder = codecs.getincrementaldecoder("utf-16")()
        is_first = False
        try:
            kept += decoder.decode(part).encode() if decoder else part
        except UnicodeDecodeError:
            raise Invalid(_("Il testo del file non si legge: salvalo di nuovo come CSV UTF-8.")) from None
        while len(kept) >= PIECE:
            end = kept.rfind(b"\n", 0, PIECE) + 1 or PIECE
            yield kept[:end]
            kept = kept[end:]
    if kept:
        yield kept


def pieces_of_sheet(content: BinaryIO) -> Iterator[bytes]:
    """Yield the first sheet of a spreadsheet that has rows, as pieces of CSV. Raises Invalid."""
    _refuse_bomb(content)
    content.seek(0)
    try:
        book = python_calamine.load_workbook(content)
        rows = next((rows for name in book.sheet_names if (rows := _rows_of(book, name))), None)
    except (python_calamine.CalamineError, OSError, ValueError) as trouble:
        raise Invalid(_("Il foglio non si apre: salvalo di nuovo, o salvalo come CSV.")) from trouble
    if rows is None:
        raise Invalid(_("Nel foglio non c’è nessuna riga."))
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", lineterminator="\n")
    for row in rows:
        writer.writerow([_typed(cell) for cell in row])
        if out.tell() >= PIECE:
            yield out.getvalue().encode("utf-8", "replace")
            out.seek(0)
            out.truncate()
    if out.tell():
        yield out.getvalue().encode("utf-8", "replace")


def _rows_of(book: "python_calamine.CalamineWorkbook", name: str) -> Iterator[list[object]] | None:
    sheet = book.get_sheet_by_name(name)
    if not sheet.height:
        return None
    # What stands above the first row that is used counts: row 5 of the sheet is row 5 here.
    empty = (sheet.start or (0, 0))[0]
    return _with_empty(empty, cast("Iterator[list[object]]", sheet.iter_rows()))


def _with_empty(empty: int, rows: Iterator[list[object]]) -> Iterator[list[object]]:
    yield from ([] for _row in range(empty))
    yield from rows


def _refuse_bomb(content: BinaryIO) -> None:
    """Unpack everything once, counting: what a spreadsheet says of its own sizes is no proof. Raises Invalid."""
    if content.seek(0, io.SEEK_END) > LARGEST_SHEET:
        raise Invalid(_("Il foglio è troppo grande: al massimo 30 MB. Salvalo come CSV, fino a 200 MB."))
    content.seek(0)
    try:
        with zipfile.ZipFile(content) as packed:
            entries = packed.infolist()
            if not any(one.filename == "xl/workbook.xml" for one in entries):
                raise Invalid(_("Questo archivio non è un foglio .xlsx."))
            if len(entries) > MOST_ENTRIES or sum(one.file_size for one in entries) > LARGEST_UNPACKED:
                raise Invalid(_("Questo foglio, aperto, è enorme: salvalo come CSV."))
            for one in entries:
                # Reads no more than it declares, and then its checksum is wrong.
                with packed.open(one) as opened:
                    cells = _cells(iter(partial(opened.read, PIECE), b""))
                if cells > MOST_CELLS:
                    raise Invalid(_("Questo foglio, aperto, è enorme: salvalo come CSV."))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as trouble:
        raise Invalid(_("Il foglio non si apre: salvalo di nuovo, o salvalo come CSV.")) from trouble


def _cells(parts: Iterable[bytes]) -> int:
    """Return how many cells the reader of spreadsheets makes room for: everything between the corners that are used."""
    columns: set[bytes] = set()
    bottom = found = widest = 0
    kept = b""
    for part in chain(parts, [b"<"]):
        text = kept + part
        cut = text.rfind(b"<")
        text, kept = text[:cut], text[cut:]
        places = _PLACE.findall(text)
        columns.update(column for column, _row in places)
        bottom = max([bottom, *map(int, {row for _column, row in places})])
        cells = len(_CELL.findall(text))
        found += cells
        if cells > sum(
            bool(column) for column, _row in places
        ):  # those that do not say where stand side by side
            widest = max(widest, *(len(_CELL.findall(row)) for row in text.split(b"<row")))
    return max(found, bottom * max([widest, *map(_column_number, columns)]))


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _typed(cell: object) -> str:
    """Return the value of a cell of a spreadsheet as somebody would type it."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell).replace(".", ",")
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ", "seconds")
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell)


# Reading


def sniff(pieces: Iterable[bytes], *, is_sheet: bool, knows: Sequence[str] = ()) -> Options:
    """Return how a file seems to be written. `knows` are titles that tell a first line of titles."""
    encoding, head = "utf-8", b""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for piece in pieces:
            head = head or piece
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        encoding = "cp1252"
    text = head[: PIECE // 4].decode(encoding, "replace").removeprefix("\ufeff")
    delimiter = ";" if is_sheet else _delimiter(text)
    rows = [cells for _row, cells in _sample(text, delimiter)]
    has_header = bool(rows) and _is_header(rows, {one.lower() for one in knows})
    cells = [cell for row in rows[has_header:] for cell in row if cell]
    return Options(encoding, delimiter, has_header, _date_order(cells), _decimal(cells))


def rows(pieces: Iterable[bytes], options: Options) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that has something in it with its number, from 1 as a spreadsheet counts; titles are left out.

    Raises Invalid where the text cannot be divided into rows.
    """
    reader = csv.reader(_lines(pieces, options.encoding), delimiter=options.delimiter)
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            if number == 1 and options.has_header:
                continue
            if any(cell and not cell.isspace() for cell in cells):
                yield number, [cell.strip() for cell in cells[:MOST_COLUMNS]]
    except csv.Error:
        raise Invalid(
            _("Dopo la riga %(row)s il file non si divide più in righe: forse una virgoletta non si chiude.")
            % {"row": number}
        ) from None


def titles(pieces: Iterable[bytes], options: Options) -> list[str]:
    """Return the titles of the columns; where there is no line of titles, "Colonna 1" and so on."""
    for _number, cells in rows(pieces, Options(options.encoding, options.delimiter, has_header=False)):
        names = cells if options.has_header else [""] * len(cells)
        return [name[:200] or _("Colonna %(n)s") % {"n": place} for place, name in enumerate(names, start=1)]
    return []


def _lines(pieces: Iterable[bytes], encoding: str) -> Iterator[str]:
    """Yield the lines of a text whose pieces end where lines do."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    is_first = True
    for piece in pieces:
        text = decoder.decode(piece).replace("\x00", "")
        if is_first:
            text, is_first = text.removeprefix("\ufeff"), False
        yield from io.StringIO(text, newline="")
    yield decoder.decode(b"", final=True)


def _sample(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    found: list[tuple[int, list[str]]] = []
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter), start=1):
            if any(cells):
                found.append((number, [cell.strip() for cell in cells]))
            if len(found) == SAMPLE_ROWS:
                break
    except csv.Error:
        pass
    return found


def _delimiter(text: str) -> str:
    """Return the sign that divides most rows into the same number of columns, more than one."""

    def worth(sign: str) -> tuple[int, int]:
        widths = Counter(len(cells) for _row, cells in _sample(text, sign))
        [(width, times)] = widths.most_common(1) or [(1, 0)]
        return (times if width > 1 else 0, width)

    return max(DELIMITERS, key=worth)


def _is_header(found: list[list[str]], known: set[str]) -> bool:
    first = [cell for cell in found[0] if cell]
    if any(cell.lower() in known for cell in first):
        return True
    looks_like_data = any("@" in cell or sum(map(str.isdigit, cell)) >= 6 for cell in first)
    return not looks_like_data and len(set(first)) == len(first) and len(found) > 1


def _date_order(cells: Iterable[str]) -> str:
    """Return the order that the dates agree with; Italian where they could be both."""
    seen: Counter[str] = Counter()
    for cell in cells:
        if found := _A_DATE.match(cell):
            first, second = found[1], int(found[2])
            if len(first) == 4:
                seen["ymd"] += 1
            elif int(first) > 12:
                seen["dmy"] += 1
            elif second > 12:
                seen["mdy"] += 1
    return max(DATE_ORDERS, key=lambda order: seen[order])


def _decimal(cells: Iterable[str]) -> str:
    signs = Counter(found[1] for cell in cells if (found := _A_DECIMAL.fullmatch(cell)))
    return "." if signs["."] > signs[","] else ","
