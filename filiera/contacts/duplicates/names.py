"""Every pair of names that is more than 80 % similar, none left out, by bits instead of letters.

Similarity is 100·2·M/T: M the longest common subsequence, T the sum of both lengths. With the distance d = T - 2·M
(letters to delete and insert) more than 80 % is 5·d < T, so a pair may differ by D = `_allowed(T)` letters at most.
What is skipped cannot match:

* Deleting or inserting one letter changes the count of one letter by one, and so flips at most one bit of a
  signature whose bits say "at least k of this letter". Names whose signatures differ in more than D bits are further
  apart than D. The same holds for whole blocks of names, by the bits that all of a block have in common.
* Lengths differ by at most d, and d is even when T is.
* Names of two words: where the best alignment puts one blank onto the other, d is the sum of the distances of the first
  words and of the second words, so the differing bits of both together are at most D. Where it does not, both
  blanks are deleted, the letters alone differ by D - 2 at most, and so do their bits.
* A letter less takes away at most two pairs of neighbouring letters and adds one, a letter more the other way round.
  Sets of such pairs, hashed to bits, that differ in more than 3·d bits are of texts further apart than d.

What is left is measured letter by letter. `tests/contacts/test_duplicate_rule.py` compares with brute force.
"""

import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import Indel

THRESHOLD_PERCENT = 80
_BLOCK = 384
_TILE = 1 << 16
_LEVELS = dict.fromkeys("aeio", 4) | dict.fromkeys("nrlstcu", 3)
_LEVELS |= dict.fromkeys("mdgbpvfz ", 2) | dict.fromkeys("hqjkwxy'", 1)
_REST = 63

Ints = NDArray[np.int32]
Bits = NDArray[np.uint64]
Counts = NDArray[np.int16]


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
    index = _Index(names)
    blocks = len(index.starts)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Pairs]] = deque()
        try:
            for block in range(blocks):
                waiting.append(pool.submit(index.matches_of, block))
                if len(waiting) > 2 * threads:  # a few ahead of who consumes, so that what waits stays small
                    yield _share(block - len(waiting) + 1, blocks), waiting.popleft().result()
            while waiting:
                yield _share(blocks - len(waiting), blocks), waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _share(done: int, blocks: int) -> float:
    """Return how much of the work lies behind: each block meets those that follow it."""
    return 1 - (1 - done / blocks) ** 2


def _allowed(total_length: int) -> int:
    """Return how many letters two names of this total length may differ by: the parity of their sum, 5·d < T."""
    most = (total_length - 1) // 5
    return most - (total_length - most) % 2


class _Index:
    """The names in blocks of one length and much alike, with what all of a block have in common."""

    def __init__(self, names: Sequence[str]) -> None:
        lengths = np.fromiter(map(len, names), np.int32, len(names))
        letters = _letters(names)
        blocks = [
            block
            for length in np.unique(lengths[lengths > 0])
            for block in _split(np.flatnonzero(lengths == length).astype(np.int32), letters)
        ]
        self.order: Ints = np.concatenate(blocks) if blocks else np.zeros(0, np.int32)
        self.names = np.array(names, dtype=object)[self.order] if blocks else np.zeros(0, object)
        self.letters = letters[self.order]
        words = [name.split(" ") for name in self.names]
        self.is_pair = np.fromiter((len(each) == 2 for each in words), bool, len(words))
        self.heads = _letters([each[0] for each in words])
        self.tails = _letters([each[-1] for each in words])
        glued = ["".join(each) for each in words]
        self.glued_letters, self.glued_neighbours = _letters(glued), _neighbours(glued)
        self.neighbours = _neighbours(self.names.tolist())
        sizes = [len(block) for block in blocks]
        self.ends = np.cumsum(sizes, dtype=np.int64)
        self.starts = self.ends - sizes
        self.lengths = lengths[self.order[self.starts]] if blocks else lengths[:0]
        self.every = np.array([np.bitwise_and.reduce(letters[block]) for block in blocks], np.uint64)
        self.some = np.array([np.bitwise_or.reduce(letters[block]) for block in blocks], np.uint64)

    def matches_of(self, block: int) -> Pairs:
        """Return the matches of a block with itself and those behind it."""
        others = np.arange(block, len(self.starts))
        apart = np.bitwise_count(
            (self.every[block] & ~self.some[others]) | (self.every[others] & ~self.some[block])
        )
        length = int(self.lengths[block])
        candidates = _Candidates()
        for other_length in np.unique(self.lengths[others]):
            limit = _allowed(length + int(other_length))
            if other_length - length > limit:
                break
            near = others[(self.lengths[others] == other_length) & (apart <= limit)]
            if len(near):
                self._sweep(block, near, limit, candidates)
        one, other, limits = candidates.all()
        keep = self._may_match(one, other, limits)
        return self._measured(one[keep], other[keep], limits[keep])

    def _sweep(self, block: int, others: NDArray[np.int64], limit: int, candidates: "_Candidates") -> None:
        """Compare the letters' bits of each name of a block with those of each name of the others."""
        columns = np.concatenate([np.arange(self.starts[b], self.ends[b], dtype=np.int32) for b in others])
        letters, width = self.letters[columns], len(columns)
        height = max(1, _TILE // width)
        differing, count = np.empty((height, width), np.uint64), np.empty((height, width), np.uint8)
        last = int(self.ends[block])
        for top in range(int(self.starts[block]), last, height):
            rows = slice(0, min(height, last - top))
            np.bitwise_xor(self.letters[top : top + rows.stop, None], letters[None, :], out=differing[rows])
            np.bitwise_count(differing[rows], out=count[rows])
            hits = np.flatnonzero(count[rows] <= limit)
            if len(hits):
                row, column = np.divmod(hits.astype(np.int32), np.int32(width))
                one, other = row + np.int32(top), columns[column]
                behind = one < other
                candidates.add(one[behind], other[behind], limit)

    def _may_match(self, one: Ints, other: Ints, limit: Counts) -> NDArray[np.bool_]:
        """Return which pairs the bits of their words and of their neighbouring letters leave possible."""

        def apart(bits: Bits) -> Counts:
            differing: Counts = np.bitwise_count(bits[one] ^ bits[other]).astype(np.int16)
            return differing

        blank_on_blank = apart(self.heads) + apart(self.tails) <= limit
        without_blanks = (apart(self.glued_letters) <= limit - 2) & (
            apart(self.glued_neighbours) <= 3 * (limit - 2)
        )
        both = self.is_pair[one] & self.is_pair[other]
        possible: NDArray[np.bool_] = np.where(
            both, blank_on_blank | without_blanks, apart(self.neighbours) <= 3 * limit
        )
        return possible

    def _measured(self, one: Ints, other: Ints, limit: Counts) -> Pairs:
        names = self.names[one].tolist(), self.names[other].tolist()
        distance = process.cpdist(*names, scorer=Indel.distance, dtype=np.int16, workers=1)
        close = distance <= limit
        return Pairs(self.order[one[close]], self.order[other[close]], distance[close])


class _Candidates:
    """Pairs of names that may match, and how far apart each may be."""

    def __init__(self) -> None:
        self._parts: list[tuple[Ints, Ints, Counts]] = [
            (np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int16))
        ]

    def add(self, one: Ints, other: Ints, limit: int) -> None:
        self._parts.append((one, other, np.full(len(one), limit, np.int16)))

    def all(self) -> tuple[Ints, Ints, Counts]:
        ones, others, limits = zip(*self._parts, strict=True)
        return np.concatenate(ones), np.concatenate(others), np.concatenate(limits)


def _letters(texts: Sequence[str]) -> Bits:
    """Return for each text the bits of how often it has which letter."""
    codes, owner = _spelt(texts)
    bits = np.zeros(len(texts), np.uint64)
    rest = np.ones(len(codes), bool)
    bit = 0
    for letter, levels in _LEVELS.items():
        here = codes == ord(letter)
        rest &= ~here
        count = np.bincount(owner[here], minlength=len(texts))
        for level in range(1, levels + 1):
            bits |= (count >= level).astype(np.uint64) << np.uint64(bit)
            bit += 1
    others = np.bincount(owner[rest], minlength=len(texts)) > 0
    return bits | others.astype(np.uint64) << np.uint64(_REST)


def _neighbours(texts: Sequence[str]) -> Bits:
    """Return for each text the bits of its pairs of neighbouring letters."""
    codes, owner = _spelt(texts)
    inside = owner[1:] == owner[:-1]
    mixed = codes[:-1].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= codes[1:].astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    bit = np.uint64(1) << ((mixed[inside] * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(58))
    whose = owner[1:][inside]
    starts = np.flatnonzero(np.diff(whose, prepend=-1))
    bits = np.zeros(len(texts), np.uint64)
    if len(starts):
        bits[whose[starts]] = np.bitwise_or.reduceat(bit, starts)
    return bits


def _spelt(texts: Sequence[str]) -> tuple[NDArray[np.uint32], Ints]:
    """Return the letters of all texts, one behind the other, and for each which text it is of."""
    lengths = np.fromiter(map(len, texts), np.int32, len(texts))
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
    return codes, np.repeat(np.arange(len(texts), dtype=np.int32), lengths)


def _split(block: Ints, letters: Bits) -> list[Ints]:
    """Return the names of one length in blocks of at most `_BLOCK`, parted each time by the bit that halves best."""
    if len(block) <= _BLOCK:
        return [block]
    shares = np.unpackbits(letters[block].view(np.uint8), bitorder="little").reshape(-1, 64).mean(0)
    bit = int(np.abs(shares - 0.5).argmin())
    if not 0 < shares[bit] < 1:
        return [block[at : at + _BLOCK] for at in range(0, len(block), _BLOCK)]
    has = (letters[block] >> np.uint64(bit)) & np.uint64(1) == 1
    return _split(block[has], letters) + _split(block[~has], letters)
