"""How likely two people are one: points for what agrees and against what does not, with the reasons in words.

No threshold is learnt: the points stand in the tables below, in bits of evidence. Pairs worth looking at come from
what people share (number, address, tax code) and from keys of name and place; unlike the rule's, this search may miss a
pair. What must not merge is said first: other tax codes, and other given names behind one telephone or address.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import OSA

from filiera.contacts.duplicates.near import Bits, letter_bits, letter_counts
from filiera.contacts.duplicates.nicknames import KNOWN, STANDS_FOR, may_be_one
from filiera.contacts.rules import folded

Ints = NDArray[np.int32]
Points = NDArray[np.float32]
Progress = Callable[[float], None]

LINK, REVIEW, IGNORE = "link", "review", "ignore"
LINK_FROM, REVIEW_FROM = 7.0, 5.0

EQUAL, NICKNAME, SLIP, INITIAL, MISSING, OTHER = range(6)
GIVEN = np.array([3.0, 2.5, 2.0, 0.5, 0.0, -8.0], np.float32)
SURNAME = np.array([4.0, 4.0, 3.0, 0.5, 0.0, -5.0], np.float32)
SWAPPED = -0.5
RARE_SURNAME = 1.5

OWN, SHARED, NEARLY, NONE, APART = range(5)
NUMBER = np.array([7.0, 3.5, 4.0, 0.0, -1.5], np.float32)
EMAIL = np.array([7.0, 3.0, 4.0, 0.0, -1.0], np.float32)
PLACE = np.array([2.0, 1.2, 0.0, 0.0, -1.5], np.float32)  # same postcode, same city, -, unknown, elsewhere
COMPANY = np.array([1.0, 0.0, 0.0, 0.0, 0.0], np.float32)
SAME_TAX_CODE = 12.0

CROWDED = 3
"""A number or address that so many different names have is an office's or a family's, nobody's own."""
_GROUP = 40
_AT_ONCE = 1 << 18
_FIGURES = re.compile("[0-9]+")
PARTICLES = frozenset(
    ("de", "di", "del", "della", "dei", "degli", "dal", "dalla", "lo", "la", "li", "d", "san")
)
_GENERIC = frozenset(
    (
        "info",
        "amministrazione",
        "commerciale",
        "vendite",
        "segreteria",
        "ufficio",
        "contatti",
        "posta",
        "mail",
        "admin",
    )
)
_FORMS = frozenset(
    (
        *(
            "srl",
            "srls",
            "spa",
            "snc",
            "sas",
            "sapa",
            "ss",
            "scarl",
            "soc",
            "societa",
            "coop",
            "cooperativa",
            "ditta",
        ),
        *(
            "a",
            "responsabilita",
            "limitata",
            "semplificata",
            "per",
            "azioni",
            "in",
            "nome",
            "collettivo",
            "accomandita",
        ),
        *("semplice", "di", "e", "c", "co", "&"),
    )
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of people, column by column. `numbers` are (place of the person, number), any of theirs."""

    first: Sequence[str]
    last: Sequence[str]
    emails: Sequence[str]
    numbers: Sequence[tuple[int, str]]
    cities: Sequence[str]
    caps: Sequence[str]
    companies: Sequence[str]
    tax_codes: Sequence[str]

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, slots=True)
class Scored:
    """Pairs of people with their points and how their names, numbers, addresses, places and so on compare."""

    one: Ints
    other: Ints
    points: Points
    given: NDArray[np.int8]
    surname: NDArray[np.int8]
    swapped: NDArray[np.bool_]
    number: NDArray[np.int8]
    email: NDArray[np.int8]
    place: NDArray[np.int8]
    company: NDArray[np.int8]
    tax_code: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.one)

    def taken(self, which: NDArray[Any]) -> "Scored":
        return Scored(*(getattr(self, name)[which] for name in self.__slots__))

    def band(self, at: int) -> str:
        """Return the band of a pair."""
        return band(float(self.points[at]))

    def reasons(self, at: int) -> list[str]:
        """Return the codes of what speaks for and against a pair, as `reasons.SENTENCES` has words for."""
        said = [("swapped", self.swapped[at])]
        said += [(f"given_{_WORDS[self.given[at]]}", True), (f"surname_{_WORDS[self.surname[at]]}", True)]
        for name in ("number", "email", "place", "company", "tax_code"):
            level = getattr(self, name)[at]
            said.append((f"{name}_{_LEVELS[level]}", level != NONE))
        return [code for code, holds in said if holds and not code.endswith("_missing")]


_WORDS = {
    EQUAL: "equal",
    NICKNAME: "nickname",
    SLIP: "slip",
    INITIAL: "initial",
    MISSING: "missing",
    OTHER: "other",
}
_LEVELS = {OWN: "same", SHARED: "shared", NEARLY: "nearly", NONE: "unknown", APART: "other"}


def band(points: float) -> str:
    """Return what to do with a pair of so many points."""
    return LINK if points >= LINK_FROM else REVIEW if points >= REVIEW_FROM else IGNORE


def scan(facts: Facts, *, is_sample: bool = False, progress: Progress = lambda share: None) -> Scored:
    """Return the pairs of all these people that are worth linking or a look, the most likely first.

    In a sample nobody knows which surnames are rare among all.
    """
    people = _People(facts, is_sample=is_sample)
    progress(0.3)
    one, other = people.candidates()
    progress(0.5)
    scored = people.compared(one, other)
    progress(0.9)
    scored = scored.taken(scored.points >= REVIEW_FROM)
    return scored.taken(np.argsort(-scored.points, kind="stable"))


class _People:
    """The facts as numbers: the same number for the same value, 0 for none."""

    def __init__(self, facts: Facts, *, is_sample: bool) -> None:
        split = [_split_name(first, last) for first, last in zip(facts.first, facts.last, strict=True)]
        self.givens, self.given = _numbered([given for given, _surname in split])
        self.surnames, self.surname = _numbered([surname for _given, surname in split])
        self.first, self.last = facts.first, facts.last
        given, surname = letter_counts(self.givens), letter_counts(self.surnames)
        self.bits = letter_bits(given[self.given] + surname[self.surname], blanks=False)
        self.addresses, self.email = _numbered([email.strip().lower() for email in facts.emails])
        _cities, self.city = _numbered([_plain(city) for city in facts.cities])
        _caps, self.cap = _numbered([cap.strip() for cap in facts.caps])
        _companies, self.company = _numbered([_firm(company) for company in facts.companies])
        _codes, self.tax_code = _numbered([code.strip().upper() for code in facts.tax_codes])
        self.owners = np.fromiter((owner for owner, _number in facts.numbers), np.int32, len(facts.numbers))
        self.digits, self.number = _numbered([number for _owner, number in facts.numbers])
        self.figures = _spelt(self.digits)
        _frames, self.frame = _numbered([_frame(address) for address in self.addresses])
        order = np.argsort(self.owners, kind="stable")
        self.owners, self.number = self.owners[order], self.number[order]
        self.starts = np.searchsorted(self.owners, np.arange(len(facts) + 1)).astype(np.int64)
        # Both orders of a name are one, so that fields that were swapped meet.
        self.key_of_given, self.key_of_surname = self._words()
        low = np.minimum(self.key_of_given, self.key_of_surname)
        high = np.maximum(self.key_of_given, self.key_of_surname)
        self.name = np.where((low > 0) & (high > 0), low.astype(np.int64) << 32 | high, 0)
        many = np.bincount(self.key_of_surname, minlength=1)
        self.is_rare = (
            np.zeros(len(facts), bool)
            if is_sample
            else (many <= max(6, len(facts) // 20_000))[self.key_of_surname]
        )
        often = np.bincount(self.given, minlength=len(self.givens)) >= max(5, len(facts) // 5_000)
        self.known = KNOWN | {
            name for name, is_often in zip(self.givens, often, strict=True) if is_often and name
        }
        self.is_common_number = _is_common(self.number, self.name[self.owners], len(self.digits))
        self.is_common_email = _is_common(self.email, self.name, len(self.addresses))
        for number, address in enumerate(self.addresses):
            if address.partition("@")[0] in _GENERIC:
                self.is_common_email[number] = True

    def _words(self) -> tuple[Ints, Ints]:
        """Given names by the full name they most likely stand for, and surnames, numbered in one list."""
        words: dict[str, int] = {"": 0}
        given = [words.setdefault(_full(name), len(words)) for name in self.givens]
        surname = [words.setdefault(_full(name), len(words)) for name in self.surnames]
        return np.array(given, np.int32)[self.given], np.array(surname, np.int32)[self.surname]

    def candidates(self) -> tuple[Ints, Ints]:
        """Return the pairs that share something by which one would think of them together, each once."""
        people = np.arange(len(self.given), dtype=np.int32)
        name, given, surname = self.name, self.key_of_given, self.key_of_surname
        of_owner = name[self.owners]
        digits = [each[-5:] for each in self.digits], [each[:7] for each in self.digits]
        tails, heads = (_numbered(part)[1][self.number] for part in digits)
        local = _numbered([address.partition("@")[0][:5] for address in self.addresses])[1][self.email]
        blocks = [
            (self.owners, _keys(self.number)),
            (self.owners, _keys(self.number, given[self.owners])),
            (people, _keys(self.email)),
            (people, _keys(self.email, given)),
            (people, _keys(self.tax_code)),
            (people, _keys(name, self.city)),
            (people, _keys(name, local)),
            (people, _keys(surname, self.cap)),
            (people, _keys(given, self.cap)),
            (self.owners, _keys(of_owner, tails)),
            (self.owners, _keys(of_owner, heads)),
        ]
        many = len(people)
        keys = np.unique(np.concatenate([_pairs(members, values, many) for members, values in blocks]))
        return (keys // many).astype(np.int32), (keys % many).astype(np.int32)

    def compared(self, one: Ints, other: Ints) -> Scored:
        given, surname, swapped = self._names(one, other)
        number, email = self._numbers(one, other), self._emails(one, other)
        place = np.where(
            _same(self.cap, one, other),
            OWN,
            np.where(
                _same(self.city, one, other), SHARED, np.where(_both(self.city, one, other), APART, NONE)
            ),
        )
        company = np.where(_same(self.company, one, other), OWN, NONE)
        tax_code = np.where(
            _same(self.tax_code, one, other), OWN, np.where(_both(self.tax_code, one, other), APART, NONE)
        )
        points = (
            GIVEN[given] + SURNAME[surname] + NUMBER[number] + EMAIL[email] + PLACE[place] + COMPANY[company]
        )
        is_rare = self.is_rare[one] & self.is_rare[other] & (surname <= SLIP)
        points += (
            np.where(is_rare, RARE_SURNAME, 0)
            + np.where(swapped, SWAPPED, 0)
            + np.where(tax_code == OWN, SAME_TAX_CODE, 0)
        )
        # Other tax codes are other people; another given name is somebody of the house or of the office.
        points[tax_code == APART] = -100
        points[(given == OTHER) & (tax_code != OWN)] = -50
        # Nobody is linked by a name and a city alone.
        reached = (number <= NEARLY) | (email <= NEARLY) | (tax_code == OWN) | (is_rare & (place == OWN))
        points = np.where(reached, points, np.minimum(points, LINK_FROM - 0.5))
        rest = [each.astype(np.int8) for each in (number, email, place, company, tax_code)]
        return Scored(
            one,
            other,
            points.astype(np.float32),
            given.astype(np.int8),
            surname.astype(np.int8),
            swapped,
            *rest,
        )

    def _names(self, one: Ints, other: Ints) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.bool_]]:
        given = _each_once(self.given[one], self.given[other], self.givens, self.givens, self._given_relation)
        surname = _surnames(self.surname[one], self.surname[other], self.surnames, self.surnames)
        crossed_surname = _surnames(self.surname[one], self.given[other], self.surnames, self.givens)
        crossed_given = (
            _each_likely(  # only where a surname is like the other's given name are they in the wrong field
                crossed_surname < MISSING,
                OTHER,
                self.given[one],
                self.surname[other],
                self.givens,
                self.surnames,
                self._given_relation,
            )
        )
        straight = GIVEN[given] + SURNAME[surname]
        swapped = GIVEN[crossed_given] + SURNAME[crossed_surname] + SWAPPED > straight
        swapped &= (crossed_given < MISSING) & (crossed_surname < MISSING)
        given, surname = np.where(swapped, crossed_given, given), np.where(swapped, crossed_surname, surname)
        return *self._whole_names(one, other, given, surname), swapped

    def _whole_names(
        self, one: Ints, other: Ints, given: NDArray[np.int8], surname: NDArray[np.int8]
    ) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """Look at all words of both fields together where a field alone says something else."""
        odd = np.flatnonzero((given == OTHER) | (surname == OTHER))
        mine, theirs = self.bits[one[odd]], self.bits[other[odd]]
        is_part = ((mine & ~theirs) == 0) | ((theirs & ~mine) == 0)
        odd = odd[is_part | _may_be_slip(mine, theirs)]
        pairs = zip(one[odd].tolist(), other[odd].tolist(), strict=True)
        whole = (_whole_relation(self._whole(a), self._whole(b)) for a, b in pairs)
        found = np.fromiter(whole, np.int8, len(odd))
        same = odd[found <= SLIP]
        given, surname = given.copy(), surname.copy()
        given[same], surname[same] = found[found <= SLIP], EQUAL
        return given, surname

    def _whole(self, person: int) -> str:
        return " ".join(sorted(_plain(f"{self.first[person]} {self.last[person]}").split()))

    def _given_relation(self, one: str, other: str) -> int:
        """Two names that people have are two names, however alike: Marco and Mario, Angela and Angelo."""
        found = _given_relation(one, other)
        if found == SLIP and _word(one) in self.known and _word(other) in self.known:
            return OTHER
        return found

    def _numbers(self, one: Ints, other: Ints) -> NDArray[np.int8]:
        has = np.diff(self.starts)
        level = np.where((has[one] > 0) & (has[other] > 0), APART, NONE).astype(np.int8)
        for left in range(int(has[one].max(initial=0))):
            for right in range(int(has[other].max(initial=0))):
                both = np.flatnonzero((has[one] > left) & (has[other] > right) & (level > OWN))
                mine, theirs = (
                    self.number[self.starts[one[both]] + left],
                    self.number[self.starts[other[both]] + right],
                )
                found = np.where(mine == theirs, np.where(self.is_common_number[mine], SHARED, OWN), APART)
                unequal = np.flatnonzero((mine != theirs) & (level[both] == APART))
                likely = _differ_in_two_places(self.figures, mine[unequal], theirs[unequal])
                found[unequal] = _each_likely(
                    likely, APART, mine[unequal], theirs[unequal], self.digits, self.digits, _number_relation
                )
                level[both] = np.minimum(level[both], found)
        return level

    def _emails(self, one: Ints, other: Ints) -> NDArray[np.int8]:
        mine, theirs = self.email[one], self.email[other]
        level = np.where(_both(self.email, one, other), APART, NONE).astype(np.int8)
        same = (mine == theirs) & (mine > 0)
        level[same] = np.where(self.is_common_email[mine[same]], SHARED, OWN)
        unequal = np.flatnonzero(level == APART)
        mine, theirs = mine[unequal], theirs[unequal]
        likely = _same(self.frame, mine, theirs)
        level[unequal] = _each_likely(
            likely, APART, mine, theirs, self.addresses, self.addresses, _email_relation
        )
        return level


def _split_name(first: str, last: str) -> tuple[str, str]:
    """Return given name and surname folded; a whole name in one field is taken apart at its first space."""
    given, surname = _plain(first), _plain(last)
    if not surname or not given:
        given, _, surname = (given or surname).partition(" ")
    return given, surname.replace(" ", "")


@lru_cache(maxsize=1 << 17)
def _plain(text: str) -> str:
    return folded(text.replace("'", " ").replace("’", " ").replace(".", " "))


@lru_cache(maxsize=1 << 16)
def _firm(company: str) -> str:
    """Return a company's name without its legal form."""
    words = folded(company.replace(".", "")).split()
    return " ".join(word for word in words if word not in _FORMS)


def _full(name: str) -> str:
    """Return the first word of a name; of short forms, the full name that all its meanings have in common."""
    word = _word(name)
    meant = STANDS_FOR.get(word)
    return min(meant) if meant else word


def _given_relation(one: str, other: str) -> int:
    if not one or not other:
        return MISSING
    if one == other:
        return EQUAL
    mine, theirs = one.split(), other.split()
    if min(len(one), len(other)) == 1:
        return INITIAL if one[0] == other[0] else OTHER
    if mine[0] == theirs[0] or "".join(mine) == "".join(theirs):
        return EQUAL
    if may_be_one(mine[0], theirs[0]):
        return NICKNAME
    if one[:-1] == other[:-1]:  # Angela and Angelo
        return OTHER
    return SLIP if _is_slip(mine[0], theirs[0]) or _is_slip(one, other) else OTHER


def _word(name: str) -> str:
    return name.partition(" ")[0]


def _whole_relation(one: str, other: str) -> int:
    """Compare all words of two names: the same ones, a slip in them, or all of the shorter one in the longer one."""
    if not one or not other:
        return OTHER
    if one == other:
        return EQUAL
    mine, theirs = set(one.split()), set(other.split())
    fewer = mine if len(mine) <= len(theirs) else theirs
    if len(fewer - PARTICLES) > 1 and (mine <= theirs or theirs <= mine):
        return EQUAL
    joined, others = one.replace(" ", ""), other.replace(" ", "")
    if joined == others:
        return EQUAL
    return (
        SLIP
        if len(mine) != len(theirs) and min(len(mine), len(theirs)) > 1 and _is_slip(joined, others)
        else OTHER
    )


def _surname_relation(one: str, other: str) -> int:
    one, other = one.replace(" ", ""), other.replace(" ", "")
    if not one or not other:
        return MISSING
    if one == other:
        return EQUAL
    if min(len(one), len(other)) == 1:
        return INITIAL if one[0] == other[0] else OTHER
    return SLIP if _is_slip(one, other) else OTHER


def _is_slip(one: str, other: str) -> bool:
    """Tell whether one word may be a typing slip of another: one error from four letters on, two from eight on."""
    longest = max(len(one), len(other))
    allowed = 0 if longest < 4 else 1 if longest < 8 else 2
    return OSA.distance(one, other, score_cutoff=allowed) <= allowed


def _number_relation(one: str, other: str) -> int:
    return NEARLY if len(one) == len(other) and OSA.distance(one, other, score_cutoff=1) <= 1 else APART


def _email_relation(one: str, other: str) -> int:
    """Nearly the same: one slip in the letters before the @, all else equal.

    Addresses are made of names: without figures that are the same, likeness says no more than the names do.
    """
    mine, _, domain = one.partition("@")
    theirs, _, other_domain = other.partition("@")
    figures = _FIGURES.findall(mine)
    if domain != other_domain or not figures or figures != _FIGURES.findall(theirs):
        return APART
    return NEARLY if OSA.distance(mine, theirs, score_cutoff=1) <= 1 else APART


def _each_once(
    one: Ints, other: Ints, names: Sequence[str], others: Sequence[str], relation: Callable[[str, str], int]
) -> NDArray[np.int8]:
    """Return the relation of each pair of numbered texts, asked once for each pair that is different."""
    keys = one.astype(np.int64) * len(others) + other
    distinct, back = np.unique(keys, return_inverse=True)
    pairs = zip((distinct // len(others)).tolist(), (distinct % len(others)).tolist(), strict=True)
    found = np.fromiter((relation(names[a], others[b]) for a, b in pairs), np.int8, len(distinct))
    return found[back]


def _each_likely(
    likely: NDArray[np.bool_],
    unlikely: int,
    one: Ints,
    other: Ints,
    names: Sequence[str],
    others: Sequence[str],
    relation: Callable[[str, str], int],
) -> NDArray[np.int8]:
    """Return the relation of the likely pairs, and for all others what they are: to ask costs more than to look."""
    found = np.full(len(one), unlikely, np.int8)
    some = np.flatnonzero(likely)
    found[some] = _each_once(one[some], other[some], names, others, relation)
    return found


def _surnames(one: Ints, other: Ints, names: Sequence[str], others: Sequence[str]) -> NDArray[np.int8]:
    """Return how surnames compare; those whose letters alone are too different are not asked about."""
    mine, theirs = (_letters(texts)[which] for texts, which in ((names, one), (others, other)))
    is_short = np.minimum(np.bitwise_count(mine), np.bitwise_count(theirs)) <= 1
    likely = is_short | _may_be_slip(mine, theirs)
    return _each_likely(likely, OTHER, one, other, names, others, _surname_relation)


def _letters(texts: Sequence[str]) -> Bits:
    return letter_bits(letter_counts(texts), blanks=False)


def _may_be_slip(one: Bits, other: Bits) -> NDArray[np.bool_]:
    """Tell where two errors at most may have happened: each changes two letters' counts by one at most."""
    may: NDArray[np.bool_] = np.bitwise_count(one ^ other) <= 4
    return may


def _spelt(texts: Sequence[str]) -> NDArray[np.uint8]:
    """Return texts as rows of letters, of each letter as much as a byte holds."""
    letters = np.array(texts)
    return letters.view(np.uint32).reshape(len(texts), -1).astype(np.uint8)


def _differ_in_two_places(figures: NDArray[np.uint8], one: Ints, other: Ints) -> NDArray[np.bool_]:
    """Tell which texts differ in two places at most, as one wrong figure or two that changed places make them."""
    parts = [
        (figures[one[at : at + _AT_ONCE]] != figures[other[at : at + _AT_ONCE]]).sum(1) <= 2
        for at in range(0, len(one), _AT_ONCE)
    ]
    return np.concatenate([np.zeros(0, bool), *parts])


def _frame(address: str) -> str:
    """Return what nearly the same addresses have in common: the figures before the @ and all behind it."""
    local, _, domain = address.partition("@")
    figures = _FIGURES.findall(local)
    return f"{domain} {' '.join(figures)}" if figures else ""


def _numbered(values: Sequence[str]) -> tuple[list[str], Ints]:
    numbers = {"": 0}
    column = np.fromiter((numbers.setdefault(value, len(numbers)) for value in values), np.int32, len(values))
    return list(numbers), column


def _keys(*columns: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return one number for each combination of values, 0 where any of them is missing."""
    key = columns[0].astype(np.int64)
    for column in columns[1:]:
        both = (key > 0) & (column > 0)
        _distinct, key = np.unique(key, return_inverse=True)
        key = np.where(both, key.astype(np.int64) * (int(column.max(initial=0)) + 1) + column + 1, 0)
    return key


def _pairs(members: Ints, values: NDArray[np.int64], many: int) -> NDArray[np.int64]:
    """Return the pairs within groups of one value as single numbers, of groups that are no crowd."""
    has = values > 0
    members, values = members[has], values[has]
    order = np.lexsort((members, values))
    members, values = members[order].astype(np.int64), values[order]
    starts = np.flatnonzero(np.diff(values, prepend=-1))
    sizes = np.diff(starts, append=len(values))
    found = [np.zeros(0, np.int64)]
    for size in np.unique(sizes[(sizes > 1) & (sizes <= _GROUP)]):
        left, right = np.triu_indices(int(size), 1)
        at = starts[sizes == size][:, None]
        low, high = members[(at + left).ravel()], members[(at + right).ravel()]
        found.append((low * many + high)[low < high])
    return np.concatenate(found)


def _is_common(values: Ints, names: NDArray[np.int64], many: int) -> NDArray[np.bool_]:
    """Return for each value whether at least `CROWDED` different names have it."""
    pairs = np.unique(np.stack([values.astype(np.int64), names]), axis=1)
    is_common: NDArray[np.bool_] = np.bincount(pairs[0][pairs[1] > 0], minlength=many) >= CROWDED
    return is_common


def _same(column: Ints, one: Ints, other: Ints) -> NDArray[np.bool_]:
    is_same: NDArray[np.bool_] = (column[one] == column[other]) & (column[one] > 0)
    return is_same


def _both(column: Ints, one: Ints, other: Ints) -> NDArray[np.bool_]:
    are_known: NDArray[np.bool_] = (column[one] > 0) & (column[other] > 0)
    return are_known
