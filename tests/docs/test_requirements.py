"""docs/requirements.md names what shows each requirement; what it names must exist."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "requirements.md"
LINE = re.compile(r"^\* (?P<id>[A-Z]{1,3}-\d+[ab]?) (?P<text>.+)$")
NAMED = re.compile(r"`((?:tests|docs|filiera|frontend|bench|faults)/[^`]+)`")


def _ids(prefix: str, *ranges: tuple[int, int]) -> set[str]:
    return {f"{prefix}-{number:02}" for first, last in ranges for number in range(first, last + 1)}


EXPECTED = (
    _ids("CAP", (1, 97))
    | _ids("CON", (1, 13), (19, 27), (31, 32), (35, 35), (38, 38), (41, 41), (43, 43))
    | _ids("GD", (1, 16), (25, 33))
    | _ids("PIP", (1, 23), (29, 30), (32, 32), (34, 35))
    | _ids("ROU", (1, 71))
    | _ids("PLT", (1, 10), (13, 13), (44, 45))
    | _ids("IDN", (1, 44))
    | _ids("CNN", (24, 28))
    | {f"Q-{number}" for number in (1, 2, 3, 4, 6, 7, 11, 12, 20, 21, 22, 23, 24, 30, 31, 32, 33, 34)}
)


def _lines() -> Iterator[tuple[str, str]]:
    for line in PAGE.read_text().splitlines():
        if found := LINE.match(line):
            yield found["id"], found["text"]


@cache
def _functions(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef))


def test_every_requirement_has_one_line() -> None:
    named = [identifier for identifier, _text in _lines()]
    assert sorted(named) == sorted(set(named)), "a requirement has two lines"
    assert {identifier for identifier in named if not identifier.startswith("UI-")} == EXPECTED


@pytest.mark.parametrize(("identifier", "text"), list(_lines()))
def test_what_a_line_names_exists(identifier: str, text: str) -> None:
    names = NAMED.findall(text)
    if text.startswith("open:"):
        assert len(text) > 25, f"{identifier} must say why it is open"
        return
    assert names, f"{identifier} names nothing that shows it"
    for name in names:
        path, _colons, function = name.partition("::")
        assert (ROOT / path).exists(), f"{identifier}: {path} is not there"
        if function:
            assert function in _functions(ROOT / path), f"{identifier}: {path} has no {function}"
