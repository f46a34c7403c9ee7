"""Q-5a and Q-5b: the rule and the score among invented Italians, beside brute force and Splink in the same run."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from bench.figures import Figure, NotVerified
from bench.house import House, Machine, say

SEED = 7
MOST_MIB = 2_048
Q5A_S = {100_000: 10, 1_000_000: 300}
Q5B_S = {100_000: 4, 1_000_000: 50}


def q5a(machine: Machine, seconds: float) -> list[Figure]:
    """The exact rule at two sizes, and how much faster than brute force it finds the same pairs at 20 000."""
    house = machine.house()
    figures = [_beside_brute_force(house, 2_000 if machine.contacts < 100_000 else 20_000)]
    for many, limit_s in _sizes(Q5A_S, machine).items():
        path, pool = _people(house, many, is_hard=False)
        found = _search(house, "rule", path)
        if not found["clusters"]:
            raise NotVerified("no cluster was found")
        verified = (
            f"pairs {found['pairs']}, {found['clusters']} clusters, the largest of {found['largest']}; "
            f"{found['distinct_names']} names drawn from "
            f" {pool['given']} given names and {pool['surnames']} surnames"
        )
        figures += _time_and_memory("Q-5a", f"duplicate rule, {many} contacts", found, limit_s, verified)
    return figures


def q5b(machine: Machine, seconds: float) -> list[Figure]:
    """The score at two sizes and on hard data, beside Splink where it is installed."""
    house = machine.house()
    figures: list[Figure] = []
    for many, limit_s in _sizes(Q5B_S, machine).items():
        for is_hard, least in ((False, 0.97), (True, 0.95)):
            what = f"{many} {'hard ' if is_hard else ''}contacts"
            path, _pool = _people(house, many, is_hard=is_hard)
            ours = _search(house, "score", path)
            verified = _quality(ours) + f", {ours['review']} more to review"
            figures += _time_and_memory("Q-5b", f"duplicate score, {what}", ours, limit_s, verified)
            figures.append(_figure(f"F1 of pairs, {what}", ours["f1"], "F1", f"≥ {least}", verified))
            if find_spec("splink") is None:
                say("Splink is not installed (requirements-compare.lock): nothing to compare with")
                continue
            theirs = _search(house, "splink", path)
            beside = f"Splink: {theirs['seconds']:.1f} s, {theirs['mib']:.0f} MiB, {_quality(theirs)}, "
            beside += f"its best threshold {theirs['weight']} chosen knowing the truth"
            figures += [
                _figure(
                    f"time beside Splink, {what}", ours["seconds"], "s", "≤ 1", beside, theirs["seconds"]
                ),
                _figure(f"F1 beside Splink, {what}", ours["f1"], "F1", "≥ 1", beside, theirs["f1"]),
            ]
    return figures


def _sizes(limits: dict[int, int], machine: Machine) -> dict[int, int]:
    """Return the sizes that the base of this run reaches, the smallest at its own size at least."""
    return {many: limit for many, limit in limits.items() if many <= machine.contacts} or {
        machine.contacts: min(limits.values())
    }


def _beside_brute_force(house: House, many: int) -> Figure:
    path, _pool = _people(house, many, is_hard=False)
    found = _search(house, "names", path)
    if found["pairs"] != found["brute_pairs"] or not found["pairs"]:
        raise NotVerified(f"{found['pairs']} pairs, brute force finds {found['brute_pairs']}")
    return Figure(
        "Q-5a",
        f"times faster than rapidfuzz brute force, {many} contacts",
        1 / found["seconds"],
        "1/s",
        "≥ 20",
        f"{found['pairs']} pairs, the same by both",
        baseline=1 / found["brute_seconds"],
    )


def _time_and_memory(
    name: str, what: str, found: dict[str, Any], limit_s: int, verified: str
) -> list[Figure]:
    return [
        Figure(name, what, found["seconds"], "s", f"≤ {limit_s}", verified),
        Figure(name, f"memory of the {what}", found["mib"], "MiB", f"≤ {MOST_MIB}", verified),
    ]


def _figure(
    what: str, value: float, unit: str, target: str, verified: str, baseline: float | None = None
) -> Figure:
    return Figure("Q-5b", what, value, unit, target, verified, baseline)


def _quality(found: dict[str, Any]) -> str:
    return (
        f"precision {found['precision']:.4f}, recall {found['recall']:.4f}, F1 {found['f1']:.4f} "
        f"of {found['true']} true pairs"
    )


def _people(house: House, many: int, *, is_hard: bool) -> tuple[Path, dict[str, int]]:
    path = house.home / f"people-{many}-{'hard' if is_hard else 'plain'}.json"
    asked = {"many": many, "path": str(path), "seed": SEED, "is_hard": is_hard}
    return path, house.run("-m", "bench.italians", orjson.dumps(asked).decode())


def _search(house: House, search: str, path: Path) -> dict[str, Any]:
    found: dict[str, Any] = house.run(
        "-m", "bench.duplicates_alone", orjson.dumps({"search": search, "path": str(path)}).decode()
    )
    return found
