"""The bucket gives what time has earned and not a token more; keys and requests are recognised."""

from fractions import Fraction

import orjson
from hypothesis import given
from hypothesis import strategies as st

from filiera.capture import rules
from filiera.capture.rules import MINUTE_US, Bucket

SECOND_US = 1_000_000
RATES = st.integers(1, 20_000)
STEPS = st.lists(st.integers(0, 3 * MINUTE_US), max_size=60)


def admitted(bucket: Bucket, moments_us: list[int]) -> list[int]:
    """The moments at which one request each was granted."""
    granted_at = []
    for moment in moments_us:
        bucket, granted = rules.take_tokens(bucket, wanted=1, now_us=moment)
        granted_at += [moment] * granted
    return granted_at


def test_a_request_every_four_seconds_at_ten_a_minute_gets_twenty_in_two_minutes() -> None:
    """Acceptance 8 of the intake: a refill that forgets fractions would admit 15."""
    empty = Bucket(0, 10, 10, 0)
    assert len(admitted(empty, [s * SECOND_US for s in range(4, 121, 4)])) == 20


def test_the_eleventh_of_a_burst_waits_six_seconds() -> None:
    bucket = rules.full_bucket(rate_limit_per_min=10, now_us=0)
    moments = [n * 90_000 for n in range(11)]
    assert admitted(bucket, moments) == moments[:10]
    bucket, granted = rules.take_tokens(bucket, wanted=11, now_us=0)
    assert granted == 10
    assert rules.retry_after_s(bucket, 0) == 6
    assert rules.retry_after_s(bucket, 5 * SECOND_US + 1) == 1


def test_exactly_six_seconds_at_ten_a_minute_are_worth_one_token() -> None:
    empty = Bucket(0, 10, 10, 0)
    assert rules.refilled(empty, 6 * SECOND_US - 1) == empty
    assert rules.refilled(empty, 6 * SECOND_US) == Bucket(1, 10, 10, 6 * SECOND_US)


@given(RATES, STEPS)
def test_the_bucket_never_loses_time_and_gains_less_than_a_microsecond_a_refill(
    rate: int, steps: list[int]
) -> None:
    """Beside it an ideal bucket that fills continuously, in exact fractions, and pays for the same requests."""
    bucket = Bucket(0, rate, rate, 0)
    ideal, now, refills = Fraction(0), 0, 0
    for step in steps:
        now += step
        ideal = min(ideal + Fraction(step * rate, MINUTE_US), Fraction(rate))
        before = bucket
        bucket, granted = rules.take_tokens(bucket, wanted=1, now_us=now)
        refills += bucket.last_refill_us != before.last_refill_us
        ideal -= granted
        held = bucket.tokens + Fraction((now - bucket.last_refill_us) * rate, MINUTE_US)
        assert 0 <= held - ideal <= refills * Fraction(rate, MINUTE_US)


@given(RATES, STEPS)
def test_no_window_admits_more_than_a_full_bucket_and_what_time_earns(rate: int, steps: list[int]) -> None:
    moments, now = [], 0
    for step in steps:
        now += step
        moments += [now] * 3
    granted = admitted(rules.full_bucket(rate_limit_per_min=rate, now_us=0), moments)
    for first, start in enumerate(granted):
        for count, end in enumerate(granted[first:], 1):
            slack_us = len(steps)
            assert count <= rate + (end - start + slack_us) * rate // MINUTE_US + 1


@given(RATES, st.integers(0, 50), st.integers(0, 10 * MINUTE_US), st.integers(0, 50))
def test_taking_many_at_once_is_taking_one_many_times(
    rate: int, tokens: int, now_us: int, wanted: int
) -> None:
    bucket = one = Bucket(min(tokens, rate), rate, rate, 0)
    together, granted = rules.take_tokens(bucket, wanted=wanted, now_us=now_us)
    singly = 0
    for _ in range(wanted):
        one, taken = rules.take_tokens(one, wanted=1, now_us=now_us)
        singly += taken
    assert granted == singly
    if wanted:
        assert together == one


@given(RATES, st.integers(0, 100), st.integers(0, MINUTE_US))
def test_after_the_announced_wait_there_is_a_token(rate: int, tokens: int, now_us: int) -> None:
    bucket, _granted = rules.take_tokens(Bucket(0, rate, rate, 0), wanted=10**6, now_us=now_us)
    wait_s = rules.retry_after_s(bucket, now_us)
    assert wait_s >= 1
    assert rules.refilled(bucket, now_us + wait_s * SECOND_US).tokens >= 1


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    bucket = Bucket(3, 10, 10, MINUTE_US)
    assert rules.take_tokens(bucket, wanted=1, now_us=0) == (Bucket(2, 10, 10, MINUTE_US), 1)


@given(RATES, RATES, st.integers(0, 20_000))
def test_a_changed_limit_keeps_the_tokens_up_to_the_new_size(old: int, new: int, tokens: int) -> None:
    bucket = rules.resized(Bucket(min(tokens, old), old, old, 7), rate_limit_per_min=new)
    assert bucket == Bucket(min(tokens, old, new), new, new, 7)


def test_a_key_is_long_random_and_recognised_only_whole() -> None:
    keys = {rules.new_key() for _ in range(100)}
    assert len(keys) == 100
    assert min(map(len, keys)) == 47
    key = keys.pop()
    stored = rules.key_hash(key)
    assert key not in stored
    assert len(stored) == 64
    assert rules.key_matches(key, stored)
    for wrong in (key[:-1], key + "x", "", "ù", "\ud800", keys.pop()):
        assert not rules.key_matches(wrong, stored)
    assert key.endswith(rules.last4(key))


DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.text("abcù", max_size=3), below, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abcù", max_size=3), DOCUMENTS, max_size=5))
def test_the_same_data_in_another_order_is_the_same_request(document: dict[str, object]) -> None:
    turned = dict(reversed(document.items()))
    assert rules.body_hash(b"1", document) == rules.body_hash(b"2", turned)


@given(DOCUMENTS, DOCUMENTS)
def test_other_data_is_another_request(one: object, other: object) -> None:
    same = orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)
    assert (rules.body_hash(b"", {"x": one}) == rules.body_hash(b"", {"x": other})) is same


def test_what_is_no_json_counts_by_its_bytes() -> None:
    assert rules.body_hash(b"nome=Ada") != rules.body_hash(b"nome=Bea")
    deep: dict[str, object] = {}
    for _ in range(400):
        deep = {"a": deep}
    assert rules.body_hash(b"x", deep) == rules.body_hash(b"x")
    many = {f"k{n}": n for n in range(10_000)}
    assert len(rules.body_hash(b"", many)) == 64
    assert len(rules.body_hash(b"\0" * 10_000_000)) == 64
