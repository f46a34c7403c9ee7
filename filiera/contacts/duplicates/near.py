"""Texts that are few letters apart, by bits instead of letters.

A letter deleted or inserted changes the count of one letter by one, and so flips at most one bit of a signature whose
bits say "at least k of this letter"; it takes away at most two pairs of neighbouring letters and adds one, or the
other way round. Texts d letters apart differ in at most d bits of the one signature and 3·d of the other.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import Indel

BLANK = " "
_BLOCK = 192
_TILE = 1 << 17
_SPELT_AT_ONCE = 1 << 15
_MEASURED_AT_ONCE = 1 << 17
_LEVELS = dict.fromkeys("aeio", 4) | dict.fromkeys("nrlstcu", 3)
_LEVELS |= dict.fromkeys("mdgbpvfz" + BLANK, 2) | dict.fromkeys("hqjkwxy'", 1)
_LETTERS = list(_LEVELS)
BLANK_KIND = _LETTERS.index(BLANK)
_KINDS = len(_LETTERS) + 1  # the last is any other letter
_KIND = np.full(129, _KINDS - 1, np.int64)
_KIND[[ord(letter) for letter in _LETTERS]] = np.arange(len(_LETTERS))

Ints = NDArray[np.int32]
Bits = NDArray[np.uint64]
Counts = NDArray[np.int16]
Limit = Callable[[Ints], Ints]
"""How many letters two texts may be apart, by the sum of their `reach`; it never falls as that grows."""


class Texts:
    """Texts in blocks of one length. `reach` says how far each may look, by default its length."""

    def __init__(
        self,
        texts: Sequence[str],
        *,
        reach: Ints | None = None,
        bits: Bits | None = None,
        neighbours: bool = False,
    ) -> None:
        lengths = lengths_of(texts)
        reach = lengths if reach is None else reach
        self.order: Ints = np.lexsort((reach, lengths)).astype(np.int32)
        self.texts = np.array(texts, dtype=object)[self.order]
        self.reach = reach[self.order]
        self.bits = (letter_bits(letter_counts(texts)) if bits is None else bits)[self.order]
        self.neighbours = neighbour_bits(self.texts.tolist()) if neighbours else None
        lengths = lengths[self.order]
        fresh = np.diff(lengths, prepend=-1) != 0
        since = np.arange(len(texts)) - np.maximum.accumulate(np.where(fresh, np.arange(len(texts)), 0))
        self.starts = np.flatnonzero(since % _BLOCK == 0)
        self.ends = np.append(self.starts, len(texts))[1:]
        self.lengths = lengths[self.starts]
        self.farthest = self.reach[self.ends - 1]


Near = tuple[Ints, Ints, Ints]
"""Places of rows, places of columns, and how far apart they are."""


def near(rows: Texts, columns: Texts, limit: Limit, pool: Executor) -> Near:
    """Return every pair of a row and a column within the limit; among one and the same texts each pair comes once."""
    none = np.zeros(0, np.int32)
    one, other, distance = zip((none, none, none), *near_by_block(rows, columns, limit, pool), strict=True)
    return np.concatenate(one), np.concatenate(other), np.concatenate(distance)


def near_by_block(
    rows: Texts, columns: Texts, limit: Limit, pool: Executor, *, of_last: int | None = None
) -> Iterator[Near]:
    """Yield what `near` returns, a block of rows at a time; `of_last` wants only so many longest rows."""
    same = rows is columns
    first = 0 if of_last is None else max(0, len(rows.texts) - of_last)

    def of_block(block: int) -> Near:
        others = range(block + 1 if same else len(columns.starts))
        one, other, distance = _near_block(rows, columns, limit, block, others)
        wanted = one >= first
        return rows.order[one[wanted]], columns.order[other[wanted]], distance[wanted]

    return pool.map(of_block, np.flatnonzero(rows.ends > first).tolist())


def _near_block(rows: Texts, columns: Texts, limit: Limit, block: int, others: range) -> Near:
    start, end = int(rows.starts[block]), int(rows.ends[block])
    many = slice(others.start, others.stop)
    limits = limit(rows.farthest[block] + columns.farthest[many])
    within = np.abs(columns.lengths[many] - rows.lengths[block]) <= limits
    ones, theirs = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    for most in np.unique(limits[within]).tolist():
        chosen = np.flatnonzero(within & (limits == most))
        column = np.concatenate(
            [np.arange(columns.starts[at], columns.ends[at], dtype=np.int32) for at in chosen]
        )
        bits, width = columns.bits[column], len(column)
        height = max(1, _TILE // width)
        differing, count = np.empty((height, width), np.uint64), np.empty((height, width), np.uint8)
        for top in range(start, end, height):
            part = slice(0, min(height, end - top))
            np.bitwise_xor(rows.bits[top : top + part.stop, None], bits[None, :], out=differing[part])
            np.bitwise_count(differing[part], out=count[part])
            hits = np.flatnonzero(count[part] <= most)
            if len(hits):
                row, place = np.divmod(hits.astype(np.int32), np.int32(width))
                ones.append(row + np.int32(top))
                theirs.append(column[place])
    one, other = np.concatenate(ones), np.concatenate(theirs)
    apart = limit(rows.reach[one] + columns.reach[other])
    keep = one > other if rows is columns else apart >= 0
    if rows.neighbours is not None and columns.neighbours is not None:
        keep &= np.bitwise_count(rows.neighbours[one] ^ columns.neighbours[other]) <= 3 * apart
    one, other, apart = one[keep], other[keep], apart[keep]
    distance = distances(rows.texts[one], columns.texts[other])
    close = distance <= apart
    return one[close], other[close], distance[close]


def distances(one: NDArray[np.object_], other: NDArray[np.object_]) -> Ints:
    """Return how many letters each pair of texts is apart."""
    found = np.zeros(len(one), np.int32)
    for at in range(0, len(one), _MEASURED_AT_ONCE):
        here = slice(at, at + _MEASURED_AT_ONCE)
        pairs = one[here].tolist(), other[here].tolist()
        found[here] = process.cpdist(*pairs, scorer=Indel.distance, dtype=np.int32, workers=1)
    return found


def lengths_of(texts: Sequence[str]) -> Ints:
    return np.fromiter(map(len, texts), np.int32, len(texts))


def letter_counts(texts: Sequence[str]) -> Counts:
    """Return how often each text has which letter, a row for each text."""
    counts = np.zeros((len(texts), _KINDS), np.int16)
    for at in range(0, len(texts), _SPELT_AT_ONCE):
        codes, owner = _spelt(texts[at : at + _SPELT_AT_ONCE])
        cell = owner * np.int64(_KINDS) + _KIND[np.minimum(codes, 128)]
        part = counts[at : at + _SPELT_AT_ONCE]
        part[:] = np.bincount(cell, minlength=part.size).reshape(part.shape)
    return counts


def letter_bits(counts: Counts, *, blanks: bool = True) -> Bits:
    """Return the bits of letters counted, with or without those of blanks."""
    bits = np.zeros(len(counts), np.uint64)
    bit = 0
    for kind, (letter, levels) in enumerate([*_LEVELS.items(), ("", 1)]):
        column = counts[:, kind].copy()
        for level in range(1, levels + 1):
            if blanks or letter != BLANK:
                bits |= (column >= level).astype(np.uint64) << np.uint64(bit)
            bit += 1
    return bits


def neighbour_bits(texts: Sequence[str]) -> Bits:
    """Return for each text the bits of its pairs of neighbouring letters."""
    bits = np.zeros(len(texts), np.uint64)
    for at in range(0, len(texts), _SPELT_AT_ONCE):
        codes, owner = _spelt(texts[at : at + _SPELT_AT_ONCE])
        inside = owner[1:] == owner[:-1]
        mixed = codes[:-1].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= codes[1:].astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
        bit = np.uint64(1) << ((mixed[inside] * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(58))
        whose = owner[1:][inside]
        starts = np.flatnonzero(np.diff(whose, prepend=-1))
        if len(starts):
            bits[at + whose[starts]] = np.bitwise_or.reduceat(bit, starts)
    return bits


def _spelt(texts: Sequence[str]) -> tuple[NDArray[np.uint32], Ints]:
    """Return the letters of all texts, one behind the other, and for each which text it is of."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
    return codes, np.repeat(np.arange(len(texts), dtype=np.int32), lengths_of(texts))
