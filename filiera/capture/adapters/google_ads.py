"""Google Ads lead form webhook. Every field is optional and unknown ones are expected.

Source: developers.google.com/google-ads/webhook/docs/implementation.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from filiera.capture.adapters.base import Adapter
from filiera.capture.adapters.reading import Answer, LeadFields, moment, reachable, read_lead, text
from filiera.capture.documents import Document

_COLUMNS = {
    "FULL_NAME": "full_name",
    "FIRST_NAME": "first_name",
    "LAST_NAME": "last_name",
    "EMAIL": "email",
    "WORK_EMAIL": "email",
    "PHONE_NUMBER": "phone",
    "WORK_PHONE": "phone",
    "POSTAL_CODE": "cap",
    "CITY": "city",
    "COMPANY_NAME": "company",
    "SERVICE": "service_code",
}
_ATTRIBUTED = ["campaign_id", "adgroup_id", "creative_id", "asset_group_id", "form_id", "lead_stage"]


def body_key(document: Document) -> str:
    """Return the key typed into the form's settings: the only proof this sender gives."""
    return text(document.get("google_key"), 200)


def request_id(document: Document) -> str:
    """Return the lead's id, unique across forms."""
    lead_id = text(document.get("lead_id"), 200)
    return f"lead:{lead_id}" if lead_id else ""


def read(document: Document, mapping: Mapping[str, str], _retrieved: Mapping[str, Any]) -> list[LeadFields]:
    """Return the one lead of the form. What the "Send test data" button sends is marked as a test."""
    lead_id = text(document.get("lead_id"), 200)
    attribution = {name: document.get(name) for name in _ATTRIBUTED}
    lead = read_lead(
        _answers(document),
        mapping=mapping,
        document=document if mapping else None,
        external_id=lead_id,
        occurred_at=moment(document.get("lead_submit_time")),
        attribution={**attribution, "gclid": document.get("gcl_id")},
        form_id=text(document.get("form_id"), 200),
        is_test=document.get("is_test") is True or lead_id.startswith("TeSter-"),
    )
    return reachable([lead])


def _answers(document: Document) -> Iterator[Answer]:
    columns = document.get("user_column_data")
    for column in columns if isinstance(columns, list) else ():
        if isinstance(column, dict):
            column_id = text(column.get("column_id"), 1_000)
            label = text(column.get("column_name"), 1_000)
            if column_id or label:
                yield Answer(
                    column_id or label, column.get("string_value"), label, _COLUMNS.get(column_id, "")
                )


GOOGLE_ADS = Adapter(
    name="google_ads",
    label="Google Ads",
    auth_modes=("body_key", "path_token"),
    read=read,
    body_key=body_key,
    request_id=request_id,
)
