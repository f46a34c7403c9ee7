"""Typeform: answers point to the questions of a definition that travels with them.

Source: payload and signature as seen in production code; unanswered questions are simply missing.
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

_TYPES = {"email": "email", "phone_number": "phone"}


def verify(headers: Headers, body: bytes, secret: bytes) -> bool:
    """Check Typeform-Signature: `sha256=` and the base64 HMAC of the raw body."""
    return signatures.same(
        headers.get("typeform-signature", ""), "sha256=" + signatures.hmac_base64(body, secret)
    )


def request_id(document: Document) -> str:
    """Return the token of the response, the same at every redelivery (event_id is not)."""
    token = text(_response(document).get("token"), 200)
    return f"response:{token}" if token else ""


def read(document: Document, mapping: Mapping[str, str], _retrieved: Mapping[str, Any]) -> list[LeadFields]:
    """Return the lead of a finished response. Raises Unmappable for partial ones."""
    response = _response(document)
    if not response or document.get("event_type") not in (None, "form_response"):
        raise Unmappable("NOT_A_LEAD")
    hidden = response.get("hidden")
    lead = read_lead(
        [*_answers(response), *(Answer(str(key), value) for key, value in _dict(hidden).items())],
        mapping=mapping,
        document=response if mapping else None,
        guess=True,
        external_id=text(response.get("token"), 200),
        occurred_at=moment(response.get("submitted_at")),
        attribution={"form_id": response.get("form_id")},
        form_id=text(response.get("form_id"), 200),
    )
    return reachable([lead])


def _answers(response: dict[str, Any]) -> Iterator[Answer]:
    questions = {
        text(question.get("id"), 200): question
        for question in _dicts(_dict(response.get("definition")).get("fields"))
    }
    for answer in _dicts(response.get("answers")):
        kind = text(answer.get("type"), 40)
        asked = _dict(answer.get("field"))
        question = questions.get(text(asked.get("id"), 200), {})
        title = text(question.get("title"), 1_000)
        key = text(asked.get("ref"), 200) or text(asked.get("id"), 200) or title
        target = _TYPES.get(kind, "")
        if kind == "boolean" and asked.get("type") == "legal":
            target = "consent"
        if key:
            yield Answer(key, _value(kind, answer), title, target)


def _value(kind: str, answer: dict[str, Any]) -> Any:
    value = answer.get(kind)
    if isinstance(value, dict):
        for name in ("label", "labels", "other", "amount"):
            if value.get(name) is not None:
                return value[name]
        return None
    return value


def _response(document: Document) -> dict[str, Any]:
    return _dict(document.get("form_response"))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


TYPEFORM = Adapter(
    name="typeform",
    label="Typeform",
    auth_modes=("signature", "path_token"),
    read=read,
    verify=verify,
    request_id=request_id,
)
