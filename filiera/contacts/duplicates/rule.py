"""The rule (CON-20): two people match by a name more than 80 % similar, the same e-mail address or the same number.

Matches chain: A like B and B like C are one cluster of three. At scale names chain into crowds, so a cluster of more
than `CROWD` people is told by its strongest pairs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import Indel

from filiera.contacts.duplicates import names
from filiera.contacts.duplicates.components import Components, Ints

CROWD = 50
STRONGEST = 200
NAME, EMAIL, PHONE = 1, 2, 4
REASONS = {"name": NAME, "email": EMAIL, "phone": PHONE}
_AT_ONCE = 1 << 20

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class People:
    """People in the order of their age, oldest first. `numbers` are (place of the person, number), any of theirs."""

    names: Sequence[str]
    emails: Sequence[str]
    numbers: Sequence[tuple[int, str]]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of people that match: places, bits of the reasons, similarity of the names in percent."""

    one: Ints
    other: Ints
    reasons: NDArray[np.uint8]
    similarity: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.one)

    def taken(self, which: NDArray[Any] | slice) -> "Matches":
        return Matches(self.one[which], self.other[which], self.reasons[which], self.similarity[which])


@dataclass(frozen=True, slots=True)
class Cluster:
    """People who hang together, oldest first, with the pairs that say why: all of them, of a crowd the strongest."""

    people: Ints
    pairs: Matches

    @property
    def is_crowd(self) -> bool:
        return len(self.people) > CROWD


@dataclass(frozen=True, slots=True)
class Found:
    """All clusters, the largest first, then the oldest; `pairs_by` counts the matching pairs for each reason."""

    clusters: list[Cluster]
    pairs_by: dict[str, int] = field(default_factory=dict)


def clusters(
    people: People,
    *,
    by_name: bool = True,
    apart: frozenset[tuple[int, int]] = frozenset(),
    progress: Progress = lambda share: None,
) -> Found:
    """Return who matches whom. `by_name` False leaves out pairs that only their names join (strictNames).

    `apart` are pairs (lower place first) of whom a person said that they are two: no edge, whatever the rule says.
    `progress` hears the share of the work that is done, and may raise to end it.
    """
    search = _Search(people, progress)
    search.join_equal("email", _groups(people.emails))
    search.join_equal("phone", _shared(people.numbers))
    if by_name:
        search.join_similar_names()
    return Found(search.clusters(apart, by_name=by_name), search.pairs_by)


class _Search:
    def __init__(self, people: People, progress: Progress) -> None:
        self.people = people
        self.progress = progress
        self.components = Components(len(people))
        self.pairs_by: dict[str, int] = {}
        self.likely: list[tuple[Ints, Ints]] = []  # pairs among which a crowd's strongest are

    def join_equal(self, reason: str, groups: Sequence[Ints]) -> None:
        """Join those who have one address, number or name, each with the next."""
        self.pairs_by[reason] = sum(len(group) * (len(group) - 1) // 2 for group in groups)
        if groups:
            one = np.concatenate([group[:-1] for group in groups])
            other = np.concatenate([group[1:] for group in groups])
            self.components.join(one, other)
            self.likely.append((one, other))

    def join_similar_names(self) -> None:
        groups = _groups(self.people.names, with_single=True)
        self.join_equal("name", [group for group in groups if len(group) > 1])
        first = np.array([group[0] for group in groups], np.int32)
        many = np.array([len(group) for group in groups], np.int64)
        distinct = [self.people.names[person] for person in first]
        lengths = np.fromiter(map(len, distinct), np.int32, len(distinct))
        best = np.zeros(len(distinct), np.float32)
        partner = np.zeros(len(distinct), np.int32)
        waiting: list[tuple[Ints, Ints]] = []
        for share, batch in names.similar(distinct):
            self.progress(share)
            one, other = batch.first, batch.second
            self.pairs_by["name"] += int((many[one] * many[other]).sum())
            similarity = (1 - batch.distance / (lengths[one] + lengths[other])).astype(np.float32)
            for mine, theirs in ((one, other), (other, one)):
                np.maximum.at(best, mine, similarity)
                is_best = best[mine] == similarity
                partner[mine[is_best]] = theirs[is_best]
            waiting.append((first[one], first[other]))
            if sum(len(pair[0]) for pair in waiting) > _AT_ONCE:
                self._join(waiting)
        self._join(waiting)
        has = np.flatnonzero(best > 0)
        self.likely.append((first[has], first[partner[has]]))

    def _join(self, waiting: list[tuple[Ints, Ints]]) -> None:
        if waiting:
            self.components.join(*(np.concatenate(side) for side in zip(*waiting, strict=True)))
            waiting.clear()

    def clusters(self, apart: frozenset[tuple[int, int]], *, by_name: bool) -> list[Cluster]:
        order = np.argsort(self.components.root, kind="stable").astype(np.int32)
        _roots, starts, sizes = np.unique(self.components.root[order], return_index=True, return_counts=True)
        evidence = _Evidence(self.people, by_name=by_name)
        small = np.flatnonzero((sizes > 1) & (sizes <= CROWD))
        found = self._small(order, starts[small], sizes[small], evidence, apart)
        if (sizes > CROWD).any():
            likely = self._all_likely(evidence)
            whose = self.components.root[likely.one]
            for which in np.flatnonzero(sizes > CROWD):
                people = order[starts[which] : starts[which] + sizes[which]]
                pairs = likely.taken(np.flatnonzero(whose == self.components.root[people[0]]))
                found.append(Cluster(people, _strongest(pairs)))
        return sorted(found, key=lambda cluster: (-len(cluster.people), int(cluster.people[0])))

    def _small(
        self,
        order: Ints,
        starts: NDArray[np.int64],
        sizes: NDArray[np.int64],
        evidence: "_Evidence",
        apart: frozenset[tuple[int, int]],
    ) -> list[Cluster]:
        """Return the clusters of few, by all their pairs; without those told apart some fall to pieces."""
        ones, others = [], []
        for size in np.unique(sizes):
            rows, columns = np.triu_indices(int(size), 1)
            at = starts[sizes == size][:, None]
            ones.append(order[(at + rows).ravel()])
            others.append(order[(at + columns).ravel()])
        if not ones:
            return []
        pairs = evidence.of(np.concatenate(ones), np.concatenate(others))
        if apart:
            told = np.fromiter((one * len(self.people) + other for one, other in apart), np.int64, len(apart))
            keys = np.minimum(pairs.one, pairs.other).astype(np.int64) * len(self.people)
            keys += np.maximum(pairs.one, pairs.other)
            pairs = pairs.taken(~np.isin(keys, told))
        whole = Components(len(self.people))
        whole.join(pairs.one, pairs.other)
        pairs = pairs.taken(np.argsort(whole.root[pairs.one], kind="stable"))
        if not len(pairs):
            return []
        _roots, first = np.unique(whole.root[pairs.one], return_index=True)
        ends = [*first[1:].tolist(), len(pairs)]
        return [
            Cluster(
                np.unique(np.concatenate([pairs.one[at:end], pairs.other[at:end]])),
                pairs.taken(slice(at, end)),
            )
            for at, end in zip(first.tolist(), ends, strict=True)
        ]

    def _all_likely(self, evidence: "_Evidence") -> Matches:
        one, other = (np.concatenate(side) for side in zip(*self.likely, strict=True))
        low, high = np.minimum(one, other).astype(np.int64), np.maximum(one, other)
        keys = np.unique(low * len(self.people) + high)
        return evidence.of(
            (keys // len(self.people)).astype(np.int32), (keys % len(self.people)).astype(np.int32)
        )


class _Evidence:
    """What joins two people, looked at pair by pair."""

    def __init__(self, people: People, *, by_name: bool) -> None:
        self.people = people
        self.by_name = by_name
        self.names = np.array(people.names, dtype=object)
        self.emails = _numbered(people.emails)
        many = np.zeros(len(people) + 1, np.int64)
        owners = np.fromiter((owner for owner, _number in people.numbers), np.int64, len(people.numbers))
        np.add.at(many, owners + 1, 1)
        order = np.argsort(owners, kind="stable")
        self.starts = np.cumsum(many)
        self.numbers = _numbered([number for _owner, number in people.numbers])[order]

    def of(self, one: Ints, other: Ints) -> Matches:
        """Return the pairs that match, with every reason that joins them."""
        mine, theirs = self.names[one].tolist(), self.names[other].tolist()
        distance = process.cpdist(mine, theirs, scorer=Indel.distance, dtype=np.int32, workers=1)
        total = np.fromiter(map(len, mine), np.int32, len(mine)) + np.fromiter(
            map(len, theirs), np.int32, len(one)
        )
        named = np.array([bool(a) and bool(b) for a, b in zip(mine, theirs, strict=True)], bool)
        reasons = ((5 * distance < total) & named & self.by_name).astype(np.uint8) * np.uint8(NAME)
        emails = self.emails[one]
        reasons |= ((emails == self.emails[other]) & (emails > 0)).astype(np.uint8) * np.uint8(EMAIL)
        reasons |= self._share_a_number(one, other).astype(np.uint8) * np.uint8(PHONE)
        similarity = np.where(named, 100 * (1 - distance / np.maximum(total, 1)), 0).astype(np.float32)
        matching = np.flatnonzero(reasons)
        return Matches(one, other, reasons, similarity).taken(matching)

    def _share_a_number(self, one: Ints, other: Ints) -> NDArray[np.bool_]:
        shared = np.zeros(len(one), bool)
        has = np.diff(self.starts)
        for left in range(int(has[one].max(initial=0))):
            for right in range(int(has[other].max(initial=0))):
                both = np.flatnonzero((has[one] > left) & (has[other] > right) & ~shared)
                mine = self.numbers[self.starts[one[both]] + left]
                shared[both] = (mine == self.numbers[self.starts[other[both]] + right]) & (mine > 0)
        return shared


def _strongest(pairs: Matches) -> Matches:
    """Return at most `STRONGEST` pairs: those with the most reasons first, then the most similar names."""
    order = np.lexsort((-pairs.similarity, -np.bitwise_count(pairs.reasons).astype(np.int8)))
    return pairs.taken(order[:STRONGEST])


def _numbered(values: Sequence[str]) -> Ints:
    """Return a number for each value, the same for equal ones, 0 for an empty one."""
    numbers = {"": 0}
    return np.fromiter((numbers.setdefault(value, len(numbers)) for value in values), np.int32, len(values))


def _groups(values: Sequence[str], *, with_single: bool = False) -> list[Ints]:
    """Return the places of equal values that are not empty, group by group."""
    return _grouped(np.arange(len(values), dtype=np.int32), _numbered(values), with_single=with_single)


def _shared(numbers: Sequence[tuple[int, str]]) -> list[Ints]:
    owners = np.fromiter((owner for owner, _number in numbers), np.int32, len(numbers))
    return _grouped(owners, _numbered([number for _owner, number in numbers]))


def _grouped(members: Ints, values: Ints, *, with_single: bool = False) -> list[Ints]:
    order = np.lexsort((members, values))
    members, values = members[order], values[order]
    fresh = np.ones(len(values), bool)  # the same member twice under one value counts once
    fresh[1:] = (np.diff(values) != 0) | (np.diff(members) != 0)
    members, values = members[fresh & (values > 0)], values[fresh & (values > 0)]
    if not len(values):
        return []
    parts = np.split(members, np.flatnonzero(np.diff(values)) + 1)
    return parts if with_single else [part for part in parts if len(part) > 1]
