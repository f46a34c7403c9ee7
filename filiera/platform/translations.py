"""Translations without the system's gettext: compile the catalogs, and name every sentence that has no English.

Source sentences are Italian. Each room keeps the English of its own in `locale/en/LC_MESSAGES/django.po`; what stands
beside the rooms (`cli.py`, `serving.py`) has `filiera/locale`.

    python -m filiera.platform.translations compile | check
"""

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FILIERA = Path(__file__).parent.parent
CATALOG = Path("locale/en/LC_MESSAGES/django.po")
KEYWORDS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop"), None),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), ((1, "c"), 2)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), ((1, "c"), 2, 3)),
}

PLACEHOLDER = re.compile(r"%\(\w+\)[-+ #0-9.]*[a-z]|%[sd]|\{\w*\}")

Sentence = tuple[str | None, str]  # context and text


def compile_all() -> int:
    """Write the `.mo` beside every `.po`; return how many."""
    catalogs = sorted(FILIERA.rglob("*.po"))
    for path in catalogs:
        with path.with_suffix(".mo").open("wb") as compiled:
            write_mo(compiled, read(path))
    return len(catalogs)


def faults() -> Iterator[str]:
    """Yield one line for each sentence without English, and for each English that lost a placeholder."""
    for room, files in rooms().items():
        catalog = read(room / CATALOG) if (room / CATALOG).exists() else Catalog()
        for path in files:
            for line, (context, sentence) in sentences(path):
                if not is_translated(catalog.get(sentence, context)):
                    where = path.relative_to(FILIERA.parent)
                    yield f"{where}:{line}: no English in {(room / CATALOG).relative_to(FILIERA.parent)}: {sentence!r}"
        for message in catalog:
            if message.id and not same_placeholders(message):
                yield f"{(room / CATALOG).relative_to(FILIERA.parent)}: placeholders differ in {message.string!r}"


def is_translated(message: Message | None) -> bool:
    """Return whether every form of a catalog's entry has its English, confirmed by a person."""
    if message is None or message.fuzzy:
        return False
    return all([message.string] if isinstance(message.string, str) else message.string or [""])


def same_placeholders(message: Message) -> bool:
    """Return whether the English has the placeholders of the Italian; a singular may leave out its number."""
    sources = [message.id] if isinstance(message.id, str) else list(message.id)
    translated = [message.string] if isinstance(message.string, str) else list(message.string or ())
    expected = [set(PLACEHOLDER.findall(source)) for source in sources]
    found = [set(PLACEHOLDER.findall(sentence)) for sentence in translated]
    return all(names <= set().union(*expected) for names in found) and found[-1:] == expected[-1:]


def rooms() -> dict[Path, list[Path]]:
    """Return the files with sentences by room; what stands beside the rooms is under `filiera` itself."""
    found: dict[Path, list[Path]] = {FILIERA: sorted(FILIERA.glob("*.py"))}
    for room in sorted(path for path in FILIERA.iterdir() if (path / "__init__.py").exists()):
        python = [path for path in room.rglob("*.py") if "migrations" not in path.parts]
        found[room] = sorted([*python, *room.rglob("templates/**/*.html"), *room.rglob("templates/**/*.txt")])
    return found


def sentences(path: Path) -> Iterator[tuple[int, Sentence]]:
    """Yield the sentences of one Python file or template, with their lines."""
    source = path.read_text()
    if path.suffix != ".py":
        from django.utils.translation.template import templatize

        # What is no sentence becomes X; without indentation, what is left reads as Python.
        source = "\n".join(line.strip() for line in templatize(source, origin=str(path)).splitlines())
    for line, found, _comments, context in extract("python", io.BytesIO(source.encode()), KEYWORDS):
        yield line, (context, found[0] if isinstance(found, tuple) else found)


def read(path: Path) -> Catalog:
    """Return the catalog of a `.po` file. Raises PoFileError where it is malformed."""
    with path.open("rb") as file:
        return read_po(file, locale="en", abort_invalid=True)


def main(arguments: list[str]) -> int:
    """Compile or check; return the exit code."""
    match arguments:
        case ["compile"]:
            compile_all()
            return 0
        case ["check"]:
            found = list(faults())
            print("\n".join(found) if found else "Every sentence has its English.")
            return 1 if found else 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
