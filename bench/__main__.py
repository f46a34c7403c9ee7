"""`python -m bench`: measure the figures of docs/bench.md, or those of `--only Q-1,Q-3`.

Progress goes to the error output; the last lines of the output are one JSON object per figure.
"""

import argparse
import sys
from collections.abc import Callable

from bench import accept, board, duplicates, film, importing, intake, isolation, pages, ringing, sign_in
from bench.figures import Figure, write
from bench.house import Machine, machine, say

Measure = Callable[[Machine, float], list[Figure]]
FIGURES: dict[str, tuple[Measure, float]] = {
    "Q-1": (accept.q1, 15),
    "Q-2": (accept.q2, 15),
    "Q-3": (intake.q3, 15),
    "Q-4": (ringing.q4, 30),
    "Q-5a": (duplicates.q5a, 0),
    "Q-5b": (duplicates.q5b, 0),
    "Q-6": (pages.q6, 10),
    "Q-7": (importing.q7, 0),
    "Q-11": (isolation.q11, 10),
    "Q-12": (board.q12, 0),
    "IDN-39": (sign_in.idn39, 15),
    "UI-44": (film.film, 0),
}
"""How each figure is measured, and for how many seconds."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return 1 when a figure could not be measured."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", default="", help="ids separated by commas; all of them unless said")
    parser.add_argument(
        "--quick", action="store_true", help="two seconds each: does it run, not how fast it is"
    )
    parser.add_argument("--contacts", type=int, help="of the big base; a million unless said")
    options = parser.parse_args(arguments)
    contacts = options.contacts or (20_000 if options.quick else 1_000_000)
    wanted = [name.strip() for name in options.only.split(",") if name.strip()] or list(FIGURES)
    for name in wanted:
        if name not in FIGURES:
            say(f"{name} is not measured here yet; these are: {', '.join(FIGURES)}")
    figures: list[Figure] = []
    failed = False
    with machine(contacts=contacts) as ground:
        for name in wanted:
            if name not in FIGURES:
                continue
            measure, seconds = FIGURES[name]
            say(f"{name} …")
            try:
                figures += measure(ground, 2 if options.quick else seconds)
            except Exception as trouble:
                failed = True
                say(f"{name} could not be measured: {type(trouble).__name__}: {trouble}")
    write(figures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
