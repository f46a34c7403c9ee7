"""Numbers and addresses that must not be used for promotion: kept as keyed hashes, asked in sets (GD-28)."""

import hmac
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import cache
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import connection

from filiera.contacts.consent_rules import Block
from filiera.contacts.models import Suppression
from filiera.platform import brand_scope, bulk
from filiera.platform.ids import new_id


def hash_of(key: str) -> str:
    """Return what stands for a number (E.164) or an address (its key) of the open brand."""
    return hmac.digest(_key(settings.SECRET_KEY, brand_scope.current()), key.encode(), "sha256").hex()


def add(keys: Iterable[str], *, channel: str = Suppression.ANY, reason: str, now: datetime) -> int:
    """Suppress numbers and addresses of the open brand from now on; returns how many."""
    brand_id = brand_scope.current()
    rows = [(new_id(), brand_id, _kind(key), hash_of(key), channel, reason, now) for key in sorted(set(keys))]
    bulk.insert(
        Suppression,
        ("id", "brand_id", "kind", "hash", "channel", "reason", "created_at"),
        rows,
        on_conflict="(brand_id, kind, hash, channel, created_at) do nothing",
    )
    return len(rows)


def suppressed(keys: Collection[str]) -> set[str]:
    """Return which of these numbers and addresses are suppressed for calls, with one statement."""
    if not keys:
        return set()
    by_hash = {hash_of(key): key for key in keys}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select wanted->>1 from jsonb_array_elements(%s::jsonb) as wanted
            cross join lateral (
                select from contacts_suppression
                where kind = wanted->>0 and hash = wanted->>1 and channel in ('any', 'call') limit 1
            ) found
            """,
            [orjson.dumps([(_kind(key), digest) for digest, key in by_hash.items()]).decode()],
        )
        return {by_hash[digest] for (digest,) in cursor.fetchall()}


def with_reason(keys: Collection[str], reason: str) -> set[str]:
    """Return which of these numbers and addresses are suppressed for this reason, with one statement."""
    if not keys:
        return set()
    by_hash = {hash_of(key): key for key in keys}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select wanted->>1 from jsonb_array_elements(%s::jsonb) as wanted
            cross join lateral (
                select from contacts_suppression
                where kind = wanted->>0 and hash = wanted->>1 and reason = %s limit 1
            ) found
            """,
            [orjson.dumps([(_kind(key), digest) for digest, key in by_hash.items()]).decode(), reason],
        )
        return {by_hash[digest] for (digest,) in cursor.fetchall()}


def blocks_of(keys: Collection[str]) -> list[tuple[str, Block]]:
    """Return the blocks of these numbers and addresses, as (key, block)."""
    by_hash = {hash_of(key): key for key in keys}
    rows = Suppression.objects.filter(hash__in=list(by_hash)).values_list(
        "hash", "channel", "reason", "created_at"
    )
    return [(by_hash[digest], Block(channel, reason, at)) for digest, channel, reason, at in rows]


def _kind(key: str) -> str:
    return Suppression.Kind.EMAIL.value if "@" in key else Suppression.Kind.PHONE.value


@cache
def _key(secret: str, brand_id: UUID) -> bytes:
    return HKDF(SHA256(), 32, salt=brand_id.bytes, info=b"filiera suppression").derive(secret.encode())
