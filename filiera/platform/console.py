"""What an operator reads in a terminal, in Italian or English: `FILIERA_LANG`, else the terminal's own language."""

import gettext as catalogs
import os
import sys
from functools import cache
from pathlib import Path

_FILIERA = Path(__file__).parent.parent


def language() -> str:
    """Return `it` or `en`: what `FILIERA_LANG` says, else English for an English terminal, else Italian."""
    for name in ("FILIERA_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name, ""):
            return "en" if value.lower().startswith("en") else "it"
    return "it"


def gettext(text: str) -> str:
    """Return the sentence in the operator's language. Works before Django does."""
    for catalog in _catalogs(language()):
        if (translated := catalog.gettext(text)) != text:
            return translated
    return text


def say(sentence: str) -> None:
    """Print one line at once, to the error stream: the standard one is for logs and results."""
    print(sentence, file=sys.stderr, flush=True)


@cache
def _catalogs(wanted: str) -> list[catalogs.NullTranslations]:
    folders = (_FILIERA / "locale", *sorted(_FILIERA.glob("*/locale")))
    return [catalogs.translation("django", folder, [wanted], fallback=True) for folder in folders]
