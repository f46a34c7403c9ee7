"""People as a file: CSV for spreadsheets, JSON lines for programs. A cell never becomes a formula (Q-34)."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

_DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
CONTENT_TYPES: Final = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


def cell(value: Any) -> str:
    """Return the text of a cell that no spreadsheet takes for a formula: an apostrophe goes before what may be one."""
    text = (
        ""
        if value is None
        else value
        if isinstance(value, str)
        else orjson.dumps(value, default=str).decode()
    )
    return f"'{text}" if text.startswith(_DANGEROUS) else text


def as_csv(rows: Iterable[Mapping[str, Any]], titles: Mapping[str, str]) -> Iterator[bytes]:
    """Yield rows as CSV with a semicolon and a mark that says UTF-8; `titles` are the columns: name → title."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    out.write("\ufeff")
    writer.writerow([cell(title) for title in titles.values()])
    for row in rows:
        writer.writerow([cell(row[name]) for name in titles])
        if out.tell() > 32_768:
            yield _taken(out)
    yield _taken(out)


def as_jsonl(rows: Iterable[Mapping[str, Any]], titles: Mapping[str, str]) -> Iterator[bytes]:
    """Yield rows as one JSON object a line."""
    for row in rows:
        yield orjson.dumps(
            {name: row[name] for name in titles}, default=str, option=orjson.OPT_APPEND_NEWLINE
        )


WRITERS: Final[dict[str, Callable[[Iterable[Mapping[str, Any]], Mapping[str, str]], Iterator[bytes]]]] = {
    "csv": as_csv,
    "jsonl": as_jsonl,
}


def _taken(out: io.StringIO) -> bytes:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text.encode("utf-8", "replace")
