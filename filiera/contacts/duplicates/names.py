"""Every pair of names that is more than 80 % similar, none left out.

Similarity is 100·2·M/T: M the longest common subsequence, T the sum of both lengths. With the distance d = T - 2·M
(letters to delete and insert) more than 80 % is 5·d < T. A few of the longest names are compared with all by their
bits (`near`), all others by the words at their ends (`ends`); both leave out only what cannot match, and say why. What
is left is measured letter by letter. `tests/contacts/test_duplicate_rule.py` compares with brute force.
"""

import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Indel

from filiera.contacts.duplicates.ends import End, Names, Way, allowed
from filiera.contacts.duplicates.near import Counts, Ints, Texts, distances, lengths_of, near_by_block

THRESHOLD_PERCENT = 80
_LONGEST = 30
"""The longest names, so many times the root of all, are compared with all: they would make all others look far."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Names more than 80 % similar, by their places in what was given, and how many letters apart they are."""

    first: Ints
    second: Ints
    distance: Counts


@lru_cache(maxsize=1 << 16)
def _folded(word: str) -> str:
    return "".join(
        letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter)
    )


def normalised(first_name: str, last_name: str) -> str:
    """Return both names as the rule compares them: lower case, without accents, words in alphabetical order."""
    plain = f"{first_name} {last_name}".lower()
    return " ".join(sorted((plain if plain.isascii() else _folded(plain)).split()))


def similarity_percent(one: str, other: str) -> float:
    """Return how similar two normalised names are, 0 to 100; two empty ones are not similar at all."""
    return 100 * Indel.normalized_similarity(one, other) if one and other else 0.0


def similar(names: Sequence[str], *, threads: int = 2) -> Iterator[tuple[float, Pairs]]:
    """Yield every pair of different names that is more than 80 % similar, each once, in batches.

    `names` are normalised, distinct and not empty. With each batch comes the share of the work that is done.
    """
    with ThreadPoolExecutor(threads) as pool:
        longest = int(_LONGEST * len(names) ** 0.5)
        order = np.argsort(lengths_of(names), kind="stable").astype(np.int32)
        everybody = np.array(names, dtype=object)
        yield from _by_bits(everybody[order], order, pool, longest)
        order = order[: max(0, len(names) - longest)]
        texts = everybody[order]
        known = Names(texts.tolist())
        single = np.flatnonzero(known.is_single)
        yield from _by_bits(texts[single], order[single], pool)
        ways = (
            [way for last in (False, True) for way in End(known, last=last).ways(pool)] if len(texts) else []
        )
        waiting: deque[tuple[float, Future[Pairs]]] = deque()
        try:
            for share, place, task in _tasks(ways):
                waiting.append((share, pool.submit(_by_ends, texts, ways[place], task, ways[:place])))
                if len(waiting) > 2 * threads:  # a few ahead of who consumes, so that what waits stays small
                    yield _told(order, waiting)
            while waiting:
                yield _told(order, waiting)
        finally:
            for _share, future in waiting:
                future.cancel()


def _told(order: Ints, waiting: deque[tuple[float, Future[Pairs]]]) -> tuple[float, Pairs]:
    share, future = waiting.popleft()
    pairs = future.result()
    return share, Pairs(order[pairs.first], order[pairs.second], pairs.distance)


def _tasks(ways: Sequence[Way]) -> Iterator[tuple[float, int, slice]]:
    """Yield how much of the work will be done after it, the place of a way, and a part of its work."""
    total = sum(len(way.tasks) for way in ways)
    tasks = ((place, task) for place, way in enumerate(ways) for task in way.tasks)
    for done, (place, task) in enumerate(tasks, start=1):
        yield done / total, place, task


def _by_bits(
    texts: NDArray[np.object_], places: Ints, pool: Executor, longest: int | None = None
) -> Iterator[tuple[float, Pairs]]:
    """Yield the similar pairs of texts, or only those with one of so many `longest`."""
    known = Texts(texts.tolist(), neighbours=True)
    for one, other, distance in near_by_block(known, known, allowed, pool, of_last=longest):
        yield 0.0, Pairs(places[one], places[other], distance.astype(np.int16))


def _by_ends(texts: NDArray[np.object_], way: Way, task: slice, earlier: Sequence[Way]) -> Pairs:
    """Return the similar pairs that a way finds and none before it."""
    one, other = way.candidates(task)
    distance = distances(texts[one], texts[other])
    lengths = way.end.names.lengths
    close = distance <= allowed(lengths[one] + lengths[other])
    one, other = one[close], other[close]
    fresh = (
        ~np.logical_or.reduce([way.finds(one, other) for way in earlier], axis=0) if earlier else slice(None)
    )
    return Pairs(one[fresh], other[fresh], distance[close][fresh].astype(np.int16))
