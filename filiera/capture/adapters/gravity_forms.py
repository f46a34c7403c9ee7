"""Gravity Forms webhooks: an entry with numbered fields and no labels, or the names we asked for.

Source: wp-premium/gravityformswebhooks 1.4. Numbered fields say nothing by themselves: they need the source's mapping.
"""

from collections.abc import Mapping
from typing import Any

from filiera.capture.adapters.base import Adapter
from filiera.capture.adapters.reading import Answer, LeadFields, moment, reachable, read_lead, text
from filiera.capture.documents import Document

_ENTRY = frozenset(
    [
        "id",
        "form_id",
        "post_id",
        "date_created",
        "date_updated",
        "is_starred",
        "is_read",
        "ip",
        "source_url",
        "source_id",
        "user_agent",
        "currency",
        "payment_status",
        "payment_date",
        "payment_amount",
        "payment_method",
        "transaction_id",
        "is_fulfilled",
        "created_by",
        "transaction_type",
        "status",
        "entry_id",
    ]
)


def request_id(document: Document) -> str:
    """Return form and entry, which together name a lead; nothing when the feed sends neither."""
    entry = _entry_id(document)
    return f"entry:{text(document.get('form_id'), 60)}:{entry}" if entry else ""


def read(document: Document, mapping: Mapping[str, str], _retrieved: Mapping[str, Any]) -> list[LeadFields]:
    """Return the lead of an entry. Raises Unmappable while its numbered fields are not mapped."""
    form_id, entry = text(document.get("form_id"), 60), _entry_id(document)
    lead = read_lead(
        [
            Answer(key, value)
            for key, value in document.items()
            if value not in (None, "") and (key in mapping or key not in _ENTRY)
        ],
        mapping=mapping,
        external_id=f"{form_id}:{entry}" if form_id and entry else entry,
        occurred_at=moment(document.get("date_created")),  # UTC, without saying so
        attribution={"form_id": form_id, "page_url": document.get("source_url")},
        form_id=form_id,
    )
    return reachable([lead])


def _entry_id(document: Document) -> str:
    return text(document.get("entry_id"), 120) or text(document.get("id"), 120)


GRAVITY_FORMS = Adapter(
    name="gravity_forms",
    label="Gravity Forms",
    auth_modes=("path_token", "api_key"),
    read=read,
    request_id=request_id,
)
