"""GoHighLevel in its three shapes: marketplace event, workflow webhook, and the plain contact of our own contract.

The lead is read from the root only: `user` is the agent, and his phone is not the customer's. `id` is the contact's
only where there is no `contact_id` and the body is not a workflow's (there it may be an opportunity's).
Source: GoHighLevel/highlevel-api-docs and the webhook integration guide; workflow bodies as captured.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

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

REPEAT_WINDOW_S = 24 * 3600
FRESH_FOR = timedelta(
    hours=24
)  # retries come for more than an hour; a repeated webhookId is refused for good anyway

PUBLIC_KEY = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAi2HR1srL4o18O8BRa7gVJY7G7bupbN3H9AwJrHCDiOg=
-----END PUBLIC KEY-----
"""

_FIELDS = {
    "firstName": "first_name",
    "first_name": "first_name",
    "lastName": "last_name",
    "last_name": "last_name",
    "name": "full_name",
    "full_name": "full_name",
    "email": "email",
    "phone": "phone",
    "city": "city",
    "postalCode": "cap",
    "postal_code": "cap",
    "company": "company",
    "companyName": "company",
    "company_name": "company",
    "source": "source_label",
    "contact_source": "source_label",
    "gclid": "attribution.gclid",
    "notes": "notes",
}
_ATTRIBUTION = {
    "url": "page_url",
    "utmSource": "utm_source",
    "utmMedium": "utm_medium",
    "utmCampaign": "utm_campaign",
    "utmContent": "utm_content",
    "campaign": "campaign_name",
    "campaignId": "campaign_id",
    "referrer": "referrer",
    "fbclid": "fbclid",
    "gclid": "gclid",
    "msclikid": "msclkid",
    "medium": "medium",
    "sessionSource": "session_source",
}
_ENVELOPE = frozenset(
    [
        "type",
        "id",
        "contact_id",
        "locationId",
        "location",
        "versionId",
        "appId",
        "timestamp",
        "webhookId",
        "companyId",
        "workflow",
        "triggerData",
        "contact",
        "user",
        "attributionSource",
        "lastAttributionSource",
        "customData",
        "customFields",
        "attachments",
        "dnd",
        "dndSettings",
        "assignedTo",
        "dateAdded",
        "date_created",
        "full_address",
        "contact_type",
        "timezone",
        "calendar",
        "campaign",
        "order",
        "invoice",
        "payment",
        "task",
        "note",
        "message",
        "status",
        "brand_id",
    ]
)


def verify(headers: Headers, body: bytes, secret: bytes) -> bool:
    """Check X-GHL-Signature (Ed25519) or the older X-WH-Signature (RSA), over the raw body.

    `secret` holds the public keys accepted, as PEM blocks one after the other; a signature is tried with each.
    """
    given = headers.get("x-ghl-signature") or headers.get("x-wh-signature", "")
    signature = signatures.decoded(given)
    return bool(signature) and any(_signed_by(key, signature, body) for key in _keys(secret))


def is_fresh(document: Document, now: datetime) -> bool:
    """Tell whether a signed event is recent enough not to be somebody's old copy."""
    sent_at = moment(document.get("timestamp"))
    return sent_at is None or abs(now - sent_at) <= FRESH_FOR


def request_id(document: Document) -> str:
    """Return the delivery id that marketplace events carry."""
    webhook_id = text(document.get("webhookId"), 200)
    return f"webhook:{webhook_id}" if webhook_id else ""


def dedupe_key(document: Document) -> str:
    """Return the contact: a second webhook about it within the window starts nothing (CAP-78)."""
    contact = contact_id(document)
    return f"contact:{contact}" if contact else ""


def contact_id(document: Document) -> str:
    """Return GoHighLevel's id of the contact, "" when the body has none."""
    if named := text(document.get("contact_id"), 200):
        return named
    return "" if _is_workflow(document) else text(document.get("id"), 200)


def read(document: Document, mapping: Mapping[str, str], _retrieved: Mapping[str, Any]) -> list[LeadFields]:
    """Return the contact as a lead. Raises Unmappable for events that announce no new contact."""
    if document.get("type") is not None and "locationId" in document and document["type"] != "ContactCreate":
        raise Unmappable("NOT_A_LEAD")
    lead = read_lead(
        _answers(document, mapping),
        mapping=mapping,
        document=document if mapping else None,
        split_names=True,
        external_id=contact_id(document),
        occurred_at=None if _is_workflow(document) else moment(document.get("dateAdded")),
        attribution=_attribution(document),
    )
    return reachable([lead])


def _answers(document: Document, mapping: Mapping[str, str]) -> Iterator[Answer]:
    for key, value in document.items():
        if key in _FIELDS:
            yield Answer(key, value, "", _FIELDS[key])
        elif key in mapping or (key not in _ENVELOPE and not isinstance(value, dict)):
            yield Answer(key, value)
    custom = document.get("customData")
    for key, value in custom.items() if isinstance(custom, dict) else ():
        yield Answer(str(key), value)
    fields = document.get("customFields")
    for item in fields if isinstance(fields, list) else ():
        if isinstance(item, dict) and (field_id := text(item.get("id"), 200)):
            yield Answer(field_id, item.get("value"))


def _attribution(document: Document) -> dict[str, Any]:
    """Return the first source that says something: the body's own, then the contact's, then its last one."""
    contact = document.get("contact")
    blocks = [document.get("lastAttributionSource"), document.get("attributionSource")]
    if isinstance(contact, dict):
        blocks[:0] = [contact.get("lastAttributionSource"), contact.get("attributionSource")]
    found: dict[str, Any] = {}
    for block in blocks:
        if isinstance(block, dict):
            found.update(
                {ours: block[theirs] for theirs, ours in _ATTRIBUTION.items() if text(block.get(theirs))}
            )
    return found


def _is_workflow(document: Document) -> bool:
    return "contact_id" in document or "workflow" in document or "full_name" in document


def _keys(pem: bytes) -> list[Ed25519PublicKey | RSAPublicKey]:
    end = b"-----END PUBLIC KEY-----"
    keys: list[Ed25519PublicKey | RSAPublicKey] = []
    for block in pem.split(end)[:-1]:
        try:
            key = load_pem_public_key(block.strip() + b"\n" + end + b"\n")
        except ValueError:
            continue
        if isinstance(key, (Ed25519PublicKey, RSAPublicKey)):
            keys.append(key)
    return keys


def _signed_by(key: Ed25519PublicKey | RSAPublicKey, signature: bytes, body: bytes) -> bool:
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, body)
        else:
            key.verify(signature, body, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


GOHIGHLEVEL = Adapter(
    name="ghl",
    label="GoHighLevel",
    auth_modes=("api_key", "path_token", "signature", "public"),
    read=read,
    verify=verify,
    public_key=PUBLIC_KEY,
    is_fresh=is_fresh,
    request_id=request_id,
    dedupe_key=dedupe_key,
    dedupe_window_s=REPEAT_WINDOW_S,
)
