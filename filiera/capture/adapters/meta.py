"""Meta (Facebook, Instagram) lead ads: the webhook brings ids, the Graph API the answers.

Source: developers.facebook.com, graph-api/webhooks and marketing-api/guides/lead-ads/retrieving.
"""

import hashlib
from collections.abc import Iterator, Mapping
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
    "ad_id",
    "ad_name",
    "adset_id",
    "adset_name",
    "adgroup_id",
    "campaign_id",
    "campaign_name",
    "form_id",
    "page_id",
    "platform",
    "is_organic",
]


def verify(headers: Headers, body: bytes, secret: bytes) -> bool:
    """Check X-Hub-Signature-256: `sha256=` and the hex HMAC of the raw body with the app's secret."""
    return signatures.same(
        headers.get("x-hub-signature-256", ""), "sha256=" + signatures.hmac_hex(body, secret)
    )


def lookups(document: Document) -> list[str]:
    """Return the distinct lead ids of a delivery, in its order."""
    return list(dict.fromkeys(lead_id for lead_id, _value in _leadgens(document)))


def request_id(document: Document) -> str:
    """Return a name for the set of leads in a delivery: a redelivery brings other times but the same leads."""
    ids = lookups(document)
    if len(ids) == 1:
        return f"leadgen:{ids[0][:200]}"
    return (
        "leadgen:" + hashlib.sha256("\n".join(sorted(ids)).encode("utf-8", "replace")).hexdigest()
        if ids
        else ""
    )


def read(document: Document, mapping: Mapping[str, str], retrieved: Mapping[str, Any]) -> list[LeadFields]:
    """Return the leads of a delivery, joined with what the Graph API told about each.

    A body that is a Graph lead itself (a connector did the lookup) is read as it is. A lead that Meta no longer has
    stands in `retrieved` as None and gives nothing.
    """
    if "field_data" in document:
        return reachable([_lead(document, {}, mapping)])
    values = dict(_leadgens(document))
    if not values:
        raise Unmappable("NOT_A_LEAD")
    if any(lead_id not in retrieved for lead_id in values):
        raise Unmappable("NOT_RETRIEVED")
    return reachable(
        [
            _lead(graph, values[lead_id], mapping)
            for lead_id in values
            if isinstance(graph := retrieved[lead_id], dict)
        ]
    )


def _leadgens(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    for entry in _dicts(document.get("entry")):
        for change in _dicts(entry.get("changes")):
            value = change.get("value")
            if change.get("field") != "leadgen" or not isinstance(value, dict):
                continue
            if lead_id := text(value.get("leadgen_id"), 200):
                yield lead_id, value


def _lead(graph: dict[str, Any], webhook: dict[str, Any], mapping: Mapping[str, str]) -> LeadFields:
    answers = list(_answers(graph.get("field_data")))
    consents = [
        Answer(key, item.get("is_checked") in ("1", 1, True, "true"), key, "consent")
        for item in _dicts(graph.get("custom_disclaimer_responses"))
        if (key := text(item.get("checkbox_key"), 1_000))
    ]
    both = {**webhook, **graph}
    return read_lead(
        [*answers, *consents],
        mapping=mapping,
        document=graph if mapping else None,
        guess=True,
        external_id=text(graph.get("id"), 200) or text(webhook.get("leadgen_id"), 200),
        occurred_at=moment(both.get("created_time")),
        attribution={name: both.get(name) for name in _ATTRIBUTED},
        form_id=text(both.get("form_id"), 200),
        is_test=any(text(answer.value).lower().startswith("<test lead:") for answer in answers),
    )


def _answers(field_data: Any) -> Iterator[Answer]:
    if isinstance(field_data, dict):
        for name, value in field_data.items():
            yield Answer(str(name), value)
    for item in _dicts(field_data):
        if name := text(item.get("name"), 1_000):
            values = item.get("values")
            yield Answer(name, values[0] if isinstance(values, list) and len(values) == 1 else values)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


META = Adapter(
    name="meta",
    label="Meta (Facebook, Instagram)",
    auth_modes=("signature", "path_token"),
    read=read,
    verify=verify,
    lookups=lookups,
    request_id=request_id,
)
