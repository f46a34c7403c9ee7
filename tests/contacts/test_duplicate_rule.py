"""The rule finds every pair that brute force finds, and chains them into clusters (CON-20, CON-21, CON-38)."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rapidfuzz import process
from rapidfuzz.distance import Indel

from bench.italians import Italians
from filiera.contacts.duplicates import names, near, rule
from filiera.contacts.duplicates.components import Components
from filiera.contacts.duplicates.rule import People


def found_by_us(distinct):
    pairs = [
        (min(one, other), max(one, other), distance)
        for _share, batch in names.similar(distinct)
        for one, other, distance in zip(
            batch.first.tolist(), batch.second.tolist(), batch.distance.tolist(), strict=True
        )
    ]
    assert len(pairs) == len(set(pairs)), "a pair was found twice"
    return set(pairs)


def found_by_force(distinct):
    distance = process.cdist(distinct, distinct, scorer=Indel.distance, dtype=np.int32)
    lengths = np.array([len(name) for name in distinct])
    close = np.triu(5 * distance < lengths[:, None] + lengths[None, :], 1)
    return {
        (int(one), int(other), int(distance[one, other])) for one, other in zip(*close.nonzero(), strict=True)
    }


@pytest.fixture(params=[0, 30], ids=["all by their ends", "the longest by bits"])
def longest(request, monkeypatch):
    monkeypatch.setattr(names, "_LONGEST", request.param)


@pytest.mark.parametrize("is_hard", [False, True])
@pytest.mark.parametrize("block", [7, 192])
def test_every_pair_of_invented_italians_is_found(monkeypatch, longest, is_hard, block):
    monkeypatch.setattr(near, "_BLOCK", block)
    people = Italians(seed=block, is_hard=is_hard).records(2_500)
    distinct = sorted({names.normalised(person.first, person.last) for person in people} - {""})

    assert found_by_us(distinct) == found_by_force(distinct) != set()


# Few letters, so that much is alike; more than the signatures count, digits and letters outside of them.
ANY = st.text("aabeo nßд7", min_size=1, max_size=28)
# Words of two letters with blanks everywhere: the best alignment often puts them elsewhere than onto each other.
BLANKS = st.text("aab  ", min_size=1, max_size=24)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(ANY, BLANKS), min_size=2, max_size=60))
def test_every_pair_of_any_texts_is_found(longest, texts):
    distinct = sorted({names.normalised(text, "") for text in texts} - {""})

    assert found_by_us(distinct) == found_by_force(distinct)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("abcdefghi ", min_size=4, max_size=40), st.randoms(use_true_random=False))
def test_names_whose_blanks_and_letters_moved_are_found(longest, text, chance):
    texts = {names.normalised(text, "")}
    for _ in range(60):
        letters = list(chance.choice(sorted(texts)))
        for _ in range(chance.randint(1, 3)):
            if letters and chance.random() < 0.6:
                del letters[chance.randrange(len(letters))]
            letters.insert(chance.randint(0, len(letters)), chance.choice("abcdefghi    "))
        texts.add(" ".join("".join(letters).split()))
    distinct = sorted(texts - {""})

    assert found_by_us(distinct) == found_by_force(distinct)


def test_names_far_longer_than_a_machine_word_are_found(longest):
    long = "maria " * 30
    distinct = [names.normalised(long, last) for last in ("rossi", "rosso", "bianchi")] + [
        "x" * 200,
        "y" * 200,
    ]

    assert found_by_us(distinct) == found_by_force(distinct)


@pytest.mark.parametrize(
    ("one", "other", "percent", "matches"),
    [
        ("abcde", "abcdx", 80, False),  # 80 % exactly is no match
        ("abcdef", "abcdex", 83.3, True),
        ("mario rossi", "maria rossi", 90.9, True),
        ("", "", 0, False),
    ],
)
def test_more_than_eighty_percent_is_a_match(one, other, percent, matches):
    assert names.similarity_percent(one, other) == pytest.approx(percent, abs=0.1)
    assert bool(rule.clusters(People([one, other], ["", ""], [])).clusters) is matches


def test_names_are_compared_without_case_accents_spaces_and_order():
    assert names.normalised("  NICCOLÒ  ", "D’Amico") == names.normalised("d’amico", "niccolo")


def described(found, people):
    return [[people.names[place] for place in cluster.people] for cluster in found.clusters]


def test_a_like_b_by_name_and_b_like_c_by_phone_are_one_cluster_of_three():
    people = People(
        ["mario rossi", "carla neri", "maria rossi", "zeno"], ["", "", "", ""], [(1, "+39333"), (2, "+39333")]
    )

    found = rule.clusters(people)

    assert described(found, people) == [["mario rossi", "carla neri", "maria rossi"]]
    pairs = found.clusters[0].pairs
    assert sorted(zip(pairs.one.tolist(), pairs.other.tolist(), pairs.reasons.tolist(), strict=True)) == [
        (0, 2, rule.NAME),
        (1, 2, rule.PHONE),
    ]


def test_names_alone_can_be_left_out():
    people = People(["mario rossi", "maria rossi", "ugo", "ida"], ["", "", "a@b.it", "a@b.it"], [])

    assert described(rule.clusters(people, by_name=False), people) == [["ugo", "ida"]]


def test_nobody_without_a_name_an_address_or_a_number_matches():
    assert rule.clusters(People(["", "", ""], ["", "", ""], [])).clusters == []


def test_who_was_told_apart_is_no_edge():
    people = People(["mario rossi", "maria rossi", "mario rossy"], ["", "", ""], [])

    found = rule.clusters(people, apart=frozenset({(0, 1), (1, 2)}))

    assert described(found, people) == [["mario rossi", "mario rossy"]]


def test_larger_clusters_come_first_then_older_ones():
    people = People(["a", "b", "c", "d", "e", "f", "g"], ["1", "2", "3", "3", "2", "1", "3"], [])

    assert described(rule.clusters(people), people) == [["c", "d", "g"], ["a", "f"], ["b", "e"]]


def test_a_crowd_is_told_by_its_strongest_pairs():
    people = People(["mario rossi"] * 60, [""] * 58 + ["m@r.it"] * 2, [])

    (crowd,) = rule.clusters(people).clusters

    assert crowd.is_crowd
    assert len(crowd.people) == 60
    assert (crowd.pairs.one[0], crowd.pairs.other[0], crowd.pairs.reasons[0]) == (
        58,
        59,
        rule.NAME | rule.EMAIL,
    )


def test_clusters_are_those_of_brute_force():
    records = Italians(seed=5).records(700)
    people = People(
        [names.normalised(each.first, each.last) for each in records],
        [each.email.lower() for each in records],
        [(place, number) for place, each in enumerate(records) for number in each.phones],
    )
    whole = Components(len(people))
    for one in range(len(people)):
        for other in range(one):
            alike = names.similarity_percent(people.names[one], people.names[other]) > 80
            same_address = people.emails[one] and people.emails[one] == people.emails[other]
            if alike or same_address or set(records[one].phones) & set(records[other].phones):
                whole.join(np.array([one], np.int32), np.array([other], np.int32))
    expected = {frozenset(np.flatnonzero(whole.root == root).tolist()) for root in set(whole.root.tolist())}

    found = {frozenset(cluster.people.tolist()) for cluster in rule.clusters(people).clusters}

    assert found == {cluster for cluster in expected if len(cluster) > 1}
