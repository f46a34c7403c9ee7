"""Tally: choices are lists of option ids, and check boxes repeat themselves as one extra row per option.

Source: tally.so/help/webhooks.
"""

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

_TYPES = {"INPUT_EMAIL": "email", "INPUT_PHONE_NUMBER": "phone"}


def verify(headers: Headers, body: bytes, secret: bytes) -> bool:
    """Check Tally-Signature: base64 HMAC of the raw body, or of the same JSON without spaces."""
    given = headers.get("tally-signature", "")
    if signatures.same(given, signatures.hmac_base64(body, secret)):
        return True
    compact = signatures.compact(body)
    return bool(compact) and signatures.same(given, signatures.hmac_base64(compact, secret))


def request_id(document: Document) -> str:
    """Return the id of the response, the same at every redelivery."""
    response_id = text(_data(document).get("responseId"), 200)
    return f"response:{response_id}" if response_id else ""


def read(document: Document, mapping: Mapping[str, str], _retrieved: Mapping[str, Any]) -> list[LeadFields]:
    """Return the lead of a response."""
    data = _data(document)
    if not data or document.get("eventType") not in (None, "FORM_RESPONSE"):
        raise Unmappable("NOT_A_LEAD")
    lead = read_lead(
        _answers(data),
        mapping=mapping,
        document=data if mapping else None,
        guess=True,
        external_id=text(data.get("responseId"), 200),
        occurred_at=moment(data.get("createdAt") or document.get("createdAt")),
        attribution={"form_id": data.get("formId"), "form_name": data.get("formName")},
        form_id=text(data.get("formId"), 200),
    )
    return reachable([lead])


def _answers(data: dict[str, Any]) -> Iterator[Answer]:
    rows = data.get("fields")
    fields = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    lists = {
        text(row.get("key"), 200) for row in fields if row.get("type") == "CHECKBOXES" and not _is_extra(row)
    }
    for row in fields:
        key, label, kind = (
            text(row.get("key"), 200),
            text(row.get("label"), 1_000),
            text(row.get("type"), 40),
        )
        if _is_extra(row) and any(key.startswith(f"{question}_") for question in lists):
            continue
        if key or label:
            yield Answer(key or label, _value(row), label, _TYPES.get(kind, ""))


def _is_extra(row: dict[str, Any]) -> bool:
    return row.get("type") == "CHECKBOXES" and isinstance(row.get("value"), bool)


def _value(row: dict[str, Any]) -> Any:
    value, options = row.get("value"), row.get("options")
    if not isinstance(options, list):
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            return [text(item.get("url")) or text(item.get("name")) for item in value]
        return value
    names = {text(o.get("id"), 200): text(o.get("text"), 1_000) for o in options if isinstance(o, dict)}
    chosen = [
        names.get(text(item, 200)) or text(item) for item in (value if isinstance(value, list) else [value])
    ]
    return chosen[0] if len(chosen) == 1 else chosen


def _data(document: Document) -> dict[str, Any]:
    data = document.get("data")
    return data if isinstance(data, dict) else {}


TALLY = Adapter(
    name="tally",
    label="Tally",
    auth_modes=("signature", "path_token", "api_key"),
    read=read,
    verify=verify,
    request_id=request_id,
)
