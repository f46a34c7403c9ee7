"""`python -m faults`: run the fault scripts, or those of `--only Q-20`; one JSON verdict each, last on the output."""

import argparse
import sys
from collections.abc import Callable

from bench.house import say
from faults import claims, importing, kill, outage
from faults.verdict import Verdict

RUNS: dict[str, Callable[[argparse.Namespace], Verdict]] = {
    "Q-20": lambda options: kill.run(options.kills, seed=options.seed),
    "Q-21": lambda options: outage.run(),
    "Q-23": lambda options: claims.run(),
    "import": lambda options: importing.run(),
}


def main(arguments: list[str] | None = None) -> int:
    """Return 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--only", default="", help="ids separated by commas; all of them unless said")
    parser.add_argument("--kills", type=int, default=100, help="how often Q-20 kills")
    parser.add_argument("--seed", type=int, default=20, help="of the choice of who is killed when")
    options = parser.parse_args(arguments)
    wanted = [name.strip() for name in options.only.split(",") if name.strip()] or list(RUNS)
    verdicts = []
    for name in wanted:
        if name not in RUNS:
            say(f"{name} is no script here; these are: {', '.join(RUNS)}")
            continue
        say(f"{name} …")
        verdicts.append(RUNS[name](options))
    for verdict in verdicts:
        print(verdict.line(), flush=True)
    return 0 if all(verdict.holds for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
