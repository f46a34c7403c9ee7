"""Elementor Pro forms: url-encoded, with labels as keys, or as a tree of fields when "Advanced Data" is on.

Source: proelements/proelements, the same form code as Elementor Pro. The sender wants exactly 200 within 5 s.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from filiera.capture.adapters.base import Adapter
from filiera.capture.adapters.contact_form_7 import REPEAT_WINDOW_S
from filiera.capture.adapters.reading import Answer, LeadFields, reachable, read_lead, text
from filiera.capture.documents import Document

_TYPES = {"email": "email", "tel": "phone", "acceptance": "consent"}
# The labels of the metadata are translated by the site's language; these are the Italian and the English ones.
_META_LABELS = frozenset(
    (
        "data",
        "date",
        "ora",
        "time",
        "user agent",
        "ip remoto",
        "remote ip",
        "powered by",
        "form_id",
        "form_name",
    )
)


def dedupe_key(document: Document) -> str:
    """Return a name for what the visitor said; the moment and the browser do not count."""
    said = sorted((answer.key, text(answer.value)) for answer in _answers(document))
    return "said:" + hashlib.sha256(repr((_form_id(document), said)).encode("utf-8", "replace")).hexdigest()


def read(document: Document, mapping: Mapping[str, str], _retrieved: Mapping[str, Any]) -> list[LeadFields]:
    """Return the lead of the form."""
    meta = _dict(document.get("meta"))
    lead = read_lead(
        _answers(document),
        mapping=mapping,
        document=document if mapping else None,
        guess=True,
        attribution={
            "form_id": _form_id(document),
            "form_name": _dict(document.get("form")).get("name") or document.get("form_name"),
            "page_url": _dict(meta.get("page_url")).get("value"),
        },
        form_id=_form_id(document),
    )
    return reachable([lead])


def _answers(document: Document) -> Iterator[Answer]:
    fields = document.get("fields")
    if isinstance(fields, dict) and isinstance(document.get("form"), dict):
        for key, asked in fields.items():
            if isinstance(asked, dict):
                value = asked.get("raw_value")
                title = text(asked.get("title"), 1_000)
                said = value if isinstance(value, list) else asked.get("value", value)
                yield Answer(str(key), said, title, _TYPES.get(text(asked.get("type"), 40), ""))
        return
    for label, value in document.items():
        if label.strip().lower() not in _META_LABELS:
            yield Answer(label, value)


def _form_id(document: Document) -> str:
    return text(_dict(document.get("form")).get("id"), 200) or text(document.get("form_id"), 200)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


ELEMENTOR = Adapter(
    name="elementor",
    label="Elementor",
    auth_modes=("path_token",),
    read=read,
    dedupe_key=dedupe_key,
    dedupe_window_s=REPEAT_WINDOW_S,
)
