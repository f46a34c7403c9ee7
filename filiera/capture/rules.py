"""Decisions of the intake as pure functions: rate limit, keys, identity of a request."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

import orjson

MINUTE_US = 60_000_000

KEY_PREFIX = "fil_"


@dataclass(frozen=True, slots=True)
class Bucket:
    """The tokens of one source. `refill_rate` is tokens per minute, `last_refill_us` microseconds since 1970."""

    tokens: int
    max_tokens: int
    refill_rate: int
    last_refill_us: int


def full_bucket(*, rate_limit_per_min: int, now_us: int) -> Bucket:
    """Return the bucket of a source that was never asked for a token (CAP-69)."""
    return Bucket(rate_limit_per_min, rate_limit_per_min, rate_limit_per_min, now_us)


def resized(bucket: Bucket, *, rate_limit_per_min: int) -> Bucket:
    """Return a bucket under another limit; the tokens it holds stay, up to the new size (CAP-71)."""
    return Bucket(
        min(bucket.tokens, rate_limit_per_min), rate_limit_per_min, rate_limit_per_min, bucket.last_refill_us
    )


def refilled(bucket: Bucket, now_us: int) -> Bucket:
    """Return the bucket with the whole tokens that time has earned; the fraction stays credited (CAP-70).

    last_refill_us advances only by what the granted tokens are worth, rounded down to a microsecond: a source never
    loses time, and gains less than one microsecond per refill.
    """
    elapsed_us = max(now_us - bucket.last_refill_us, 0)
    whole = elapsed_us * bucket.refill_rate // MINUTE_US
    if whole == 0:
        return bucket
    if bucket.tokens + whole >= bucket.max_tokens:
        return Bucket(bucket.max_tokens, bucket.max_tokens, bucket.refill_rate, now_us)
    earned_us = whole * MINUTE_US // bucket.refill_rate
    return Bucket(
        bucket.tokens + whole, bucket.max_tokens, bucket.refill_rate, bucket.last_refill_us + earned_us
    )


def take_tokens(bucket: Bucket, *, wanted: int, now_us: int) -> tuple[Bucket, int]:
    """Return the bucket after up to `wanted` requests of one instant, and how many of them were granted.

    Taking n at once is taking one n times. The function of the database does exactly this under the bucket's lock.
    """
    ready = refilled(bucket, now_us)
    granted = min(wanted, ready.tokens)
    return Bucket(ready.tokens - granted, ready.max_tokens, ready.refill_rate, ready.last_refill_us), granted


def retry_after_s(bucket: Bucket, now_us: int) -> int:
    """Return the seconds until the next whole token, rounded up and never below 1."""
    if bucket.refill_rate <= 0:
        return 60
    token_us = -(-MINUTE_US // bucket.refill_rate)
    wait_us = bucket.last_refill_us + token_us - now_us
    return max(-(-wait_us // 1_000_000), 1)


def new_key() -> str:
    """Return a fresh key of a source: 256 random bits in characters that need no escaping in a URL."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def key_hash(key: str) -> str:
    """Return what is stored of a key. Its 256 bits are random, so a plain SHA-256 is enough."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def key_matches(key: str, stored_hash: str) -> bool:
    """Tell whether a key is the stored one, in constant time (CAP-65)."""
    return hmac.compare_digest(key_hash(key), stored_hash)


def last4(key: str) -> str:
    """Return the end of a key, by which people tell keys apart."""
    return key[-4:]


def body_hash(body: bytes, document: dict[str, Any] | None = None) -> str:
    """Return the SHA-256 of the canonical JSON of a body, of its bytes when it is no JSON (`document` None).

    Canonical means sorted keys and no spaces: the same data written differently is the same request.
    """
    if document is not None:
        try:
            return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()
        except orjson.JSONEncodeError:  # nested too deep to be written again: its bytes are its identity
            pass
    return hashlib.sha256(body).hexdigest()
