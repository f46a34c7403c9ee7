"""One measured figure: the line it prints, its ratio, and whether it is met."""

import re
from dataclasses import dataclass
from operator import ge, le
from pathlib import Path
from typing import Any

import orjson

RESULTS = Path(__file__).parent / "results.jsonl"
_TARGET = re.compile(r"(?P<sign>[≥≤]) (?P<number>[\d ]+(?:\.\d+)?)")


class NotVerified(AssertionError):
    """What the database holds is not what the clock was stopped for: the figure says nothing."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A speed or a time, beside its baseline of the same run when it has one.

    `target` is `≥ n` or `≤ n`: of the ratio where there is a baseline, else of the value. The ratio is value to
    baseline unless `ratio` is given. `verified` says what was counted in the database afterwards.
    """

    id: str
    what: str
    value: float
    unit: str
    target: str
    verified: str
    baseline: float | None = None
    ratio: float | None = None

    def line(self) -> dict[str, Any]:
        """Return the figure as it is printed, keys in the order of the contract."""
        ratio = self.ratio
        if ratio is None and self.baseline:
            ratio = self.value / self.baseline
        return {
            "id": self.id,
            "what": self.what,
            "value": rounded(self.value),
            "unit": self.unit,
            "baseline": None if self.baseline is None else rounded(self.baseline),
            "ratio": None if ratio is None else round(ratio, 3),
            "target": self.target,
            "met": is_met(self.target, self.value if ratio is None else ratio),
            "verified": self.verified,
            "command": f"make bench ONLY={self.id}",
        }


def is_met(target: str, measured: float) -> bool:
    """Return whether `measured` is at least, or at most, the number in `target`."""
    read = _TARGET.match(target)
    if read is None:
        raise ValueError(f"a target starts with ≥ or ≤ and a number, not {target!r}")
    return (ge if read["sign"] == "≥" else le)(measured, float(read["number"].replace(" ", "")))


def rounded(value: float) -> float:
    """Return `value` with four significant digits at most behind the point, as a person reads it."""
    return round(value, 1) if abs(value) >= 100 else round(value, 3)


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` (0.99 for p99) of `values` do not exceed, 0 when there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def write(figures: list[Figure]) -> None:
    """Print one JSON line per figure and keep them in results.jsonl."""
    lines = [orjson.dumps(figure.line()).decode() for figure in figures]
    with RESULTS.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    for line in lines:
        print(line, flush=True)


def verify(stored: int, expected: int, what: str) -> str:
    """Return what was counted, for the line. Raises NotVerified when it is not what was acknowledged, or nothing."""
    if stored != expected or not stored:
        raise NotVerified(f"{stored} {what} in the database, {expected} expected")
    return f"{stored} {what}"
