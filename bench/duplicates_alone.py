"""One search for duplicates in a process of its own, so that its memory is known.

`python -m bench.duplicates_alone '{"search": "rule", "path": "…"}'`; the people are a file of `bench.italians`.
The answer is one line of JSON: seconds, peak memory in MiB, and what was found.
"""

import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import orjson
from rapidfuzz import process
from rapidfuzz.distance import Indel

from bench import italians
from filiera.contacts.duplicates import names, rule, score

Answer = dict[str, Any]


def search_by_rule(columns: Answer) -> Answer:
    """The whole rule, names written as people write them to clusters."""
    started = time.perf_counter()
    people = rule.People(
        [names.normalised(*each) for each in zip(columns["first"], columns["last"], strict=True)],
        [email.lower() for email in columns["email"]],
        _numbers(columns),
    )
    found = rule.clusters(people)
    seconds = time.perf_counter() - started
    sizes = [len(cluster.people) for cluster in found.clusters]
    return {
        "seconds": seconds,
        "clusters": len(sizes),
        "largest": max(sizes, default=0),
        "pairs": found.pairs_by,
        "distinct_names": len(set(people.names)),
    }


def search_by_names(columns: Answer) -> Answer:
    """Only the similar names, for comparison with brute force: both find the same pairs, or no figure."""
    distinct = list(
        {names.normalised(*each) for each in zip(columns["first"], columns["last"], strict=True)} - {""}
    )
    started = time.perf_counter()
    ours = sum(len(pairs.first) for _share, pairs in names.similar(distinct))
    seconds = time.perf_counter() - started
    lengths = np.array([len(name) for name in distinct])
    started = time.perf_counter()
    theirs = 0
    for top in range(0, len(distinct), 1_000):
        rows = distinct[top : top + 1_000]
        distance = process.cdist(rows, distinct, scorer=Indel.distance, dtype=np.int16, workers=-1)
        close = 5 * distance < lengths[top : top + 1_000, None] + lengths[None, :]
        theirs += int(close.sum()) - len(rows)
    return {
        "seconds": seconds,
        "brute_seconds": time.perf_counter() - started,
        "pairs": ours,
        "brute_pairs": theirs // 2,
    }


def search_by_score(columns: Answer) -> Answer:
    """The score with its bands; what is linked, compared with who is who."""
    started = time.perf_counter()
    found = score.scan(
        score.Facts(
            *(columns[name] for name in ("first", "last", "email")),
            _numbers(columns),
            *(columns[name] for name in ("city", "cap", "company", "tax_code")),
        )
    )
    seconds = time.perf_counter() - started
    linked = found.points >= score.LINK_FROM
    pairs = set(zip(found.one[linked].tolist(), found.other[linked].tolist(), strict=True))
    return {"seconds": seconds, "review": int((~linked).sum()), **judged(pairs, columns["person"])}


def judged(pairs: set[tuple[int, int]], person: list[int]) -> Answer:
    """Return precision, recall and F1 of pairs (lower place first) beside who is who."""
    together = defaultdict(list)
    for place, who in enumerate(person):
        together[who].append(place)
    truth = {pair for places in together.values() for pair in combinations(places, 2)}
    right = len(pairs & truth)
    precision, recall = right / max(1, len(pairs)), right / max(1, len(truth))
    return {
        "linked": len(pairs),
        "true": len(truth),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(1e-9, precision + recall),
    }


def _numbers(columns: Answer) -> list[tuple[int, str]]:
    return [(place, number) for place, numbers in enumerate(columns["phones"]) for number in numbers]


def _splink(columns: Answer) -> Answer:
    from bench.duplicates_splink import search  # a development extra, loaded only here

    return search(columns)


SEARCHES: dict[str, Callable[[Answer], Answer]] = {
    "rule": search_by_rule,
    "names": search_by_names,
    "score": search_by_score,
    "splink": _splink,
}


def main(asked: dict[str, str]) -> None:
    answer = SEARCHES[asked["search"]](italians.read(asked["path"]))
    answer["mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(orjson.dumps(answer).decode())


if __name__ == "__main__":
    main(orjson.loads(sys.argv[1]))
