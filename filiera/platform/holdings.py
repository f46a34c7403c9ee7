"""What each room holds about a person, said by the room itself: read by export and erasure, and compared with the
database's own catalogue by a test, so that a new column cannot be forgotten.

The rooms register at start. Conditions are SQL on the table's row, called `row`, with the parameters `people` (uuid[],
the person and whoever was merged into them), `emails`, `numbers` (text[], E.164) and `pattern` (a regular expression
that finds any of their values in text).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Holding:
    """The rows of one table about a person, and what becomes of them.

    `erased` says which columns become what (SQL); of `plain` ones no word is a person's. `is_removed` deletes the rows
    instead. `shared` is a condition: such a row tells of others too, so its `told` columns are not handed out and lose
    the person's values only. `hidden` columns are not handed out at all. `title` is an Italian sentence, translated
    when it is shown.
    """

    table: str
    title: str
    rows: str
    erased: Mapping[str, str] = field(default_factory=dict)
    plain: tuple[str, ...] = ()
    is_removed: bool = False
    is_kept: bool = False
    shared: str = ""
    told: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    order: str = "id"


_holdings: dict[str, Holding] = {}
_about_nobody: dict[str, str] = {}


def register(*holdings: Holding) -> None:
    """Let a room say what it holds; a table said again is replaced."""
    for holding in holdings:
        _holdings[holding.table] = holding


def about_nobody(**tables: str) -> None:
    """Name tables whose rows are about no person of a brand, each with the reason."""
    _about_nobody.update(tables)


def all_of_them() -> Iterator[Holding]:
    """Return what all rooms said, in the order of the rooms."""
    yield from _holdings.values()


def reasons() -> Mapping[str, str]:
    """Return the tables about nobody, with the reasons."""
    return _about_nobody


class Texts:
    """SQL that columns commonly become."""

    EMPTY = "''"
    NULL = "null"
    OBJECT = "'{}'::jsonb"
    BYTES = "''::bytea"
