"""Names more than 80 % similar have nearly the same word at one of their ends: the proof, and the search by it.

Two names A and B may be D letters apart (`allowed`). Take an alignment of least cost, the first words a and b and
the first blank of each. If it puts these blanks onto each other, A and B are d(a, b) plus the distance of what follows
apart. If not, one of the two blanks, say A's, is onto nothing while a is onto a beginning b' of b, perhaps empty (were
both taken for more, letters would cross), so the first end costs d(a, b') + 1; b' = b changes nothing, for then the
blanks could be put onto each other. The same holds for the last words and endings.

What the two ends cost is disjoint: no letter and no blank is counted twice. (If both ends charge A's only blank, B's
blanks, which lie between, are onto nothing either. Only where B is a single word is that blank counted twice: such
pairs have D + 1.) So the first end costs at most (D - 1) // 2 or the last one at most D // 2, and it suffices

* to know which words are so near to each other, or to a beginning (ending) of each other with one for the blank, and
* to compare names that have such words: with words onto words, what follows differs in D less their distance of
  letters at most. Otherwise a blank is onto nothing, with names of an even number of blanks together two are, and the
  letters without blanks differ by D less so many.

Single words have no blank and are compared with one another.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filiera.contacts.duplicates.near import (
    BLANK,
    BLANK_KIND,
    Bits,
    Ints,
    Texts,
    lengths_of,
    letter_bits,
    letter_counts,
    near,
)

_SINGLE = 4  # the kind of a name without a blank; others are of kind 0 or 1, as their blanks are even or odd
_KINDS = 2 * _SINGLE + 1
_COSTS = 1 << 12  # more than a word may cost
_ROW = 15  # a row takes as much as so many pairs
_PAIRS_AT_ONCE, _PAIRS_IN_CACHE, _PARTS_AT_ONCE = 1 << 22, 1 << 17, 1 << 15


def allowed(total: NDArray[Any]) -> NDArray[Any]:
    """Return how many letters two names of this total length may be apart: the parity of their sum, 5·d < T."""
    most: NDArray[Any] = (total - 1) // 5
    most -= (total - most) % 2
    return most


class Names:
    """Names in columns. `code` is length and kind in one: two of them added up say how far apart the names may be."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.lengths = lengths_of(texts)
        self.letters = letter_counts(texts)
        blanks = self.letters[:, BLANK_KIND]
        self.is_single = blanks == 0
        self.width = 2 * int(self.lengths.max(initial=0)) + 1
        kind: Ints = np.where(self.is_single, _SINGLE, blanks % 2).astype(np.int32)
        self.code = self.lengths + self.width * kind
        self.reach = np.where(self.is_single, self.lengths + 5, self.lengths)  # single words: one letter more


class End:
    """Names grouped by their word at one end, the shorter first."""

    def __init__(self, names: Names, *, last: bool) -> None:
        self.names, self.last = names, last
        if last:
            found = [text.rpartition(BLANK)[2][::-1] for text in names.texts]
        else:
            found = [text.partition(BLANK)[0] for text in names.texts]
        self.words = sorted(set(found))
        number = {word: place for place, word in enumerate(self.words)}
        self.word: Ints = np.fromiter(map(number.__getitem__, found), np.int32, len(found))
        self.order: Ints = np.lexsort((names.reach, self.word)).astype(np.int32)
        tops = int(names.reach.max(initial=0)) + 1
        many = np.bincount(self.word * np.int64(tops) + names.reach, minlength=len(self.words) * tops)
        ends = np.cumsum(many).reshape(-1, tops)
        self.start: Ints = np.column_stack([ends - many.reshape(-1, tops), ends[:, -1]]).astype(np.int32)
        self.reach = np.zeros(len(self.words), np.int32)
        np.maximum.at(self.reach, self.word, names.reach)

    def most(self, reach: Ints) -> Ints:
        """Return what this end may cost at most where two names reach so far together."""
        return ((reach - 1) // 5 - (not self.last)) // 2

    def least(self, cost: Ints) -> Ints:
        """Return how far two names have to reach together for this end to cost so much."""
        return 5 * (2 * cost + (not self.last)) + 1

    def ways(self, pool: Executor) -> list["Way"]:
        """Return the two ways to look: words onto words, and words onto a part of words."""
        words = Texts(self.words, reach=self.reach)
        same = np.arange(len(self.words), dtype=np.int32)
        one, other, cost = near(words, words, self.most, pool)
        whole = np.append(self._keys(one, other, cost), self._keys(same, same, 0 * same))
        rest = self.names.letters - letter_counts(self.words)[self.word]
        rest[~self.names.is_single, BLANK_KIND] -= 1
        letters = letter_bits(self.names.letters, blanks=False)
        parts = np.concatenate([np.zeros(0, np.int64), *self._parts(words, pool)])
        return [
            Way(self, whole, letter_bits(rest), onto_part=False),
            Way(self, parts, letters, onto_part=True),
        ]

    def _parts(self, words: Texts, pool: Executor) -> Iterator[NDArray[np.int64]]:
        """Yield the pairs of words of which one is near a beginning of the other."""
        parts, start, end = _beginnings(self.words)
        farthest = np.maximum.reduceat(np.append(self.reach, 0), np.column_stack([start, end]).ravel())[::2]
        one, part, cost = near(words, Texts(parts, reach=farthest), lambda reach: self.most(reach) - 1, pool)
        for at in range(0, len(one), _PARTS_AT_ONCE):
            here = slice(at, at + _PARTS_AT_ONCE)
            many = end[part[here]] - start[part[here]]
            other = _ranges(start[part[here]], many)
            word, price = np.repeat(one[here], many), np.repeat(cost[here] + 1, many)
            two = other != word
            yield _cheapest(self._keys(word[two], other[two], price[two]))

    def _keys(self, one: NDArray[Any], other: NDArray[Any], cost: Ints) -> NDArray[np.int64]:
        """Return pairs of words, the lower one first, and their cost as one number, if the cost is not too high."""
        is_cheap = cost <= self.most(self.reach[one] + self.reach[other])
        one, other, cost = one[is_cheap], other[is_cheap], cost[is_cheap]
        low, high = np.minimum(one, other).astype(np.int64), np.maximum(one, other)
        keys: NDArray[np.int64] = (low * len(self.words) + high) * _COSTS + cost
        return keys


def _cheapest(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each pair of words once, at the lowest of its costs, in order."""
    keys.sort()
    fresh = np.ones(len(keys), bool)
    fresh[1:] = keys[1:] ^ keys[:-1] >= _COSTS
    return keys[fresh]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Names, the first of those that each is compared with, how many these are, what the words cost, and a limit."""

    name: NDArray[np.int64]
    start: Ints
    width: Ints
    cost: Ints
    most: NDArray[np.int8]

    def taken(self, which: NDArray[np.bool_] | slice) -> "_Rows":
        return _Rows(*(getattr(self, column)[which] for column in self.__slots__))


class Way:
    """One way to look for pairs: which words are near enough, and how many letters of the rest may differ."""

    def __init__(self, end: End, keys: NDArray[np.int64], bits: Bits, *, onto_part: bool) -> None:
        order = end.order
        self.end, self.onto_part = end, onto_part
        self.bits, self.code, self.reach = bits[order], end.names.code[order], end.names.reach[order]
        self.place = np.empty_like(order)
        self.place[order] = np.arange(len(order), dtype=np.int32)
        self.keys = _cheapest(keys)
        self.cost: Ints = (self.keys % _COSTS).astype(np.int32)
        self.keys //= _COSTS
        low, high = (each.astype(np.int32) for each in np.divmod(self.keys, len(end.words)))
        many = (end.start[:, -1] - end.start[:, 0]).astype(np.int64)
        swap = many[low] > many[high]  # a row for each name of the rarer word
        self.one, self.other = np.where(swap, high, low), np.where(swap, low, high)
        rows = np.minimum(many[low], many[high])
        self.tasks = _parted(np.cumsum(many[low] * many[high] + _ROW * rows))
        """The pairs of words in parts of much the same work."""
        self.limits = self._limits()
        self.stride = np.int32(_KINDS * end.names.width)

    def _limits(self) -> NDArray[np.int8]:
        """Return how many bits may differ, by the cost of this end and the sum of two codes; -1 for none."""
        cost = np.arange(int(self.cost.max(initial=0)) + 1)[:, None, None]
        kinds = np.arange(_KINDS)[None, :, None]
        letters = allowed(np.arange(self.end.names.width)[None, None, :])
        left = letters - 2 + kinds % 2 if self.onto_part else letters - cost
        is_cheap = cost <= (letters + (kinds >= _SINGLE) - (not self.end.last)) // 2
        limits = np.where(is_cheap & (left >= 0) & (kinds < 2 * _SINGLE), left, -1)
        return np.minimum(limits, 64).astype(np.int8).ravel()

    def candidates(self, task: slice) -> tuple[Ints, Ints]:
        """Return the names that have one of these pairs of words and may be similar."""
        rows = self._rows(task)
        ends = np.cumsum(rows.width, dtype=np.int64)
        cuts = np.searchsorted(ends, np.arange(0, int(rows.width.sum()), _PAIRS_IN_CACHE)).tolist()
        found = [np.zeros((2, 0), np.int64)]
        for at, end in zip(cuts, [*cuts[1:], len(ends)], strict=False):
            found.append(self._compared(rows.taken(slice(at, end))))
        one, other = self.end.order[np.concatenate(found, axis=1)]
        return one, other

    def _compared(self, rows: "_Rows") -> NDArray[np.int64]:
        other = _ranges(rows.start, rows.width)
        differing = np.repeat(self.bits[rows.name], rows.width)
        differing ^= self.bits[other]
        hits = np.flatnonzero(np.bitwise_count(differing).view(np.int8) <= np.repeat(rows.most, rows.width))
        row = np.searchsorted(np.cumsum(rows.width), hits, side="right")
        one, other = rows.name[row], other[hits]
        limit = self.limits[rows.cost[row] * self.stride + self.code[one] + self.code[other]]
        near = np.bitwise_count(differing[hits]).view(np.int8) <= limit
        return np.stack([one[near], other[near]])

    def _rows(self, task: slice) -> "_Rows":
        start = self.end.start
        one, other, cost = self.one[task], self.other[task], self.cost[task]
        many = start[one, -1] - start[one, 0]
        name = _ranges(start[one, 0], many)
        one, other, cost = np.repeat(one, many), np.repeat(other, many), np.repeat(cost, many)
        first = start[other, np.clip(self.end.least(cost) - self.reach[name], 0, start.shape[1] - 1)]
        first = np.where(one == other, np.maximum(first, name + 1), first)
        most = (self.reach[name] + self.end.reach[other] - 1) // 5 - (1 if self.onto_part else cost)
        rows = _Rows(name, first, start[other, -1] - first, cost, np.minimum(most, 64).astype(np.int8))
        return rows.taken(rows.width > 0)

    def finds(self, one: Ints, other: Ints) -> NDArray[np.bool_]:
        """Tell which of these pairs are among this way's candidates."""
        word, keys = self.end.word, self.keys
        low, high = np.minimum(word[one], word[other]), np.maximum(word[one], word[other])
        key = low * np.int64(len(self.end.words)) + high
        at = np.minimum(np.searchsorted(keys, key), max(0, len(keys) - 1))
        if not len(keys):
            return np.zeros(len(one), bool)
        one, other = self.place[one], self.place[other]
        limit = self.limits[self.cost[at] * self.stride + self.code[one] + self.code[other]]
        differing = np.bitwise_count(self.bits[one] ^ self.bits[other]).view(np.int8)
        is_found: NDArray[np.bool_] = (keys[at] == key) & (differing <= limit)
        return is_found


def _parted(work: NDArray[np.int64]) -> list[slice]:
    """Return all places in parts of much the same work, which is given added up."""
    cuts = np.flatnonzero(np.diff(work // _PAIRS_AT_ONCE, prepend=0)) + 1
    return [slice(at, end) for at, end in pairwise(np.unique([0, *cuts.tolist(), len(work)]).tolist())]


def _beginnings(words: Sequence[str]) -> tuple[list[str], Ints, Ints]:
    """Return the beginnings of sorted words, the empty one too, and from which to before which word each goes on."""
    codes = np.array(words).view(np.uint32).reshape(len(words), -1)
    is_new = np.ones(codes.shape, bool)
    is_new[1:] = np.logical_or.accumulate(codes[1:] != codes[:-1], axis=1)
    column, word = np.nonzero(is_new.T)
    end = np.append(word[1:], len(words))
    end[np.flatnonzero(np.diff(column, append=-1))] = len(words)
    length = column + 1
    start = word + (lengths_of(words)[word] == length)  # the word that is the beginning itself does not go on
    some = np.flatnonzero((start < end) & (codes[word, column] > 0))
    texts = [words[at][:many] for at, many in zip(word[some].tolist(), length[some].tolist(), strict=True)]
    return (
        ["", *texts],
        np.append(0, start[some]).astype(np.int32),
        np.append(len(words), end[some]).astype(np.int32),
    )


def _ranges(starts: NDArray[Any], widths: NDArray[Any]) -> NDArray[np.int64]:
    """Return the numbers of all ranges, one behind the other."""
    ends = np.cumsum(widths, dtype=np.int64)
    numbers = np.repeat(starts - (ends - widths), widths)
    numbers += np.arange(len(numbers))
    return numbers
