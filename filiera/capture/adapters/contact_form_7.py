"""Contact Form 7 through the "CF7 to Webhook" plugin: a flat object keyed by the tags of the form.

Source: the plugin's code (cf7-to-zapier). Check boxes and multiple selects are lists even with one value.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from filiera.capture.adapters.base import Adapter
from filiera.capture.adapters.reading import Answer, LeadFields, reachable, read_lead, text
from filiera.capture.documents import Document

REPEAT_WINDOW_S = 600

# The special mail tags under the names that people give them.
_NOT_ASKED = frozenset(
    ["remote_ip", "_remote_ip", "ip", "user_agent", "_user_agent", "date", "_date", "time", "_time"]
)


def dedupe_key(document: Document) -> str:
    """Return a name for what the visitor said, since the plugin gives no id: the same content is the same lead."""
    said = sorted((key, text(value)) for key, value in document.items() if key not in _NOT_ASKED)
    return "said:" + hashlib.sha256(repr(said).encode("utf-8", "replace")).hexdigest()


def read(document: Document, mapping: Mapping[str, str], _retrieved: Mapping[str, Any]) -> list[LeadFields]:
    """Return the lead of the form."""
    lead = read_lead(
        [
            Answer(key, _value(value))
            for key, value in document.items()
            if key in mapping or key.lower() not in _NOT_ASKED
        ],
        mapping=mapping,
        document=document if mapping else None,
        guess=True,
    )
    return reachable([lead])


def _value(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    if isinstance(value, dict):  # an uploaded file: its name is enough, the content stays in the raw request
        return value.get("filename")
    return value


CONTACT_FORM_7 = Adapter(
    name="contact_form_7",
    label="Contact Form 7",
    auth_modes=("path_token", "api_key"),
    read=read,
    dedupe_key=dedupe_key,
    dedupe_window_s=REPEAT_WINDOW_S,
)
