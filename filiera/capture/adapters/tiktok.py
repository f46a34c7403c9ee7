"""TikTok lead generation: full data, up to 1000 leads a delivery. The webhook is the only copy of a lead.

Source: business-api.tiktok.com portal, documents 1810521739537409, 1806817494948930 and 1739092028876801.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from filiera.capture.adapters import signatures
from filiera.capture.adapters.base import Adapter, Headers
from filiera.capture.adapters.reading import (
    Answer,
    LeadFields,
    Unmappable,
    moment,
    reachable,
    read_lead,
    text,
)
from filiera.capture.documents import Document

_ATTRIBUTED = [
    "campaign_id",
    "campaign_name",
    "adgroup_id",
    "adgroup_name",
    "ad_id",
    "ad_name",
    "advertiser_id",
    "advertiser_name",
    "page_id",
    "page_name",
    "lead_source",
]


def verify(headers: Headers, body: bytes, secret: bytes) -> bool:
    """Check X-Open-Signature: hex HMAC of the raw body, or of the body with its non-ASCII characters escaped."""
    given = headers.get("x-open-signature", "")
    if signatures.same(given, signatures.hmac_hex(body, secret)):
        return True
    return not body.isascii() and signatures.same(
        given, signatures.hmac_hex(signatures.escaped(body), secret)
    )


def request_id(document: Document) -> str:
    """Return a name for the set of leads in a delivery; deliveries themselves are repeated under other ids."""
    ids = sorted({text(entry.get("id"), 200) for entry in _entries(document)} - {""})
    if not ids:
        return ""
    return (
        f"leads:{ids[0]}" if len(ids) == 1 else "leads:" + hashlib.sha256("\n".join(ids).encode()).hexdigest()
    )


def read(document: Document, mapping: Mapping[str, str], _retrieved: Mapping[str, Any]) -> list[LeadFields]:
    """Return every lead of a delivery. Raises Unmappable when nobody in it can be reached."""
    entries = _entries(document)
    if not entries:
        raise Unmappable("NOT_A_LEAD")
    return reachable([_lead(entry, mapping) for entry in entries])


def _lead(entry: dict[str, Any], mapping: Mapping[str, str]) -> LeadFields:
    changes = entry.get("changes")
    answers = [
        Answer(name, change.get("value"))
        for change in (changes if isinstance(changes, list) else ())
        if isinstance(change, dict) and (name := text(change.get("field"), 1_000))
    ]
    return read_lead(
        answers,
        mapping=mapping,
        document=entry if mapping else None,
        guess=True,
        external_id=text(entry.get("id"), 200),
        occurred_at=moment(entry.get("create_time")),
        attribution={name: entry.get(name) for name in _ATTRIBUTED},
        form_id=text(entry.get("page_id"), 200),
    )


def _entries(document: Document) -> list[dict[str, Any]]:
    entries = document.get("entry")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


TIKTOK = Adapter(
    name="tiktok",
    label="TikTok",
    auth_modes=("signature", "path_token"),
    read=read,
    verify=verify,
    request_id=request_id,
)
