"""The one call of Meta's Graph API that we make: what a lead answered, by the id its webhook brought.

Source: developers.facebook.com, marketing-api/guides/lead-ads/retrieving; error codes of the Graph API.
"""

from collections.abc import Sequence
from typing import Any

import httpx
import orjson

from filiera.platform import http

TIMEOUT_S = 10.0
FIELDS = (
    "id,created_time,form_id,is_organic,platform,field_data,custom_disclaimer_responses,"
    "ad_id,ad_name,adset_id,adset_name,campaign_id,campaign_name"
)
# Names of ads need a permission of their own; the answers do not.
FEWER_FIELDS = "id,created_time,form_id,is_organic,platform,field_data,custom_disclaimer_responses,ad_id"

_TOKEN_DEAD = {190, 102, 463, 467}
_FORBIDDEN = {10, 200, 294}
_LIMITS = {4, 17, 32, 613, 80005}
_NOT_FOUND_SUBCODE = 33


class MetaUnavailable(Exception):
    """Meta did not answer, or asks to wait: the same call may succeed later. `wait_s` is how long it asks for."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class MetaRejected(Exception):
    """Meta refuses until a person changes something. `code` is META_TOKEN, META_PERMISSION or META_REFUSED."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


async def lead(
    client: httpx.AsyncClient, *, base_url: str, lead_id: str, token: str
) -> dict[str, Any] | None:
    """Return a lead as Meta tells it, None when it is there no more. Raises MetaUnavailable, MetaRejected."""
    if not (lead_id.isascii() and lead_id.isdigit()):
        return None  # Meta's ids are numbers: this one was never Meta's
    for fields in (FIELDS, FEWER_FIELDS):
        try:
            return await _get(client, base_url, lead_id, fields, token)
        except MetaRejected as refusal:
            if refusal.code != "META_PERMISSION" or fields == FEWER_FIELDS:
                raise
        except _NotThere:
            return None
        except _TooManyFields:
            continue
    raise MetaRejected("META_REFUSED", "the lead cannot be read with any set of fields")


async def leads(
    client: httpx.AsyncClient, *, base_url: str, lead_ids: Sequence[str], token: str
) -> dict[str, dict[str, Any] | None]:
    """Return leads by id; those that are gone as None. Raises MetaUnavailable, MetaRejected."""
    return {
        lead_id: await lead(client, base_url=base_url, lead_id=lead_id, token=token) for lead_id in lead_ids
    }


class _NotThere(Exception):
    pass


class _TooManyFields(Exception):
    pass


async def _get(
    client: httpx.AsyncClient, base_url: str, lead_id: str, fields: str, token: str
) -> dict[str, Any]:
    url = f"{base_url.rstrip('/')}/{lead_id}"
    try:
        answer = await client.get(
            url, params={"fields": fields}, headers={"Authorization": f"Bearer {token}"}
        )
    except (httpx.HTTPError, httpx.InvalidURL) as trouble:
        raise MetaUnavailable(type(trouble).__name__) from trouble
    try:
        said = answer.json()
    except ValueError as trouble:
        raise MetaUnavailable(f"HTTP {answer.status_code} without JSON") from trouble
    if not isinstance(said, dict):
        raise MetaUnavailable("an answer that is no object")
    if answer.status_code == 200 and isinstance(said.get("field_data"), list):
        return said
    error = said.get("error")
    if not isinstance(error, dict):
        raise MetaUnavailable(f"HTTP {answer.status_code} without an error")
    raise _refusal(answer, error)


def _refusal(answer: httpx.Response, error: dict[str, Any]) -> Exception:
    code, message = error.get("code"), f"Meta {error.get('code')}: {str(error.get('message', ''))[:300]}"
    if code in _TOKEN_DEAD:
        return MetaRejected("META_TOKEN", message)
    if code in _FORBIDDEN:
        return MetaRejected("META_PERMISSION", message)
    if code == 100:
        gone = error.get("error_subcode") == _NOT_FOUND_SUBCODE or "does not exist" in message
        return _NotThere() if gone else _TooManyFields()
    if code in _LIMITS or answer.status_code == 429:
        return MetaUnavailable(message, wait_s=_regain_s(answer))
    if error.get("is_transient") or code in (1, 2) or answer.status_code >= 500:
        return MetaUnavailable(message)
    return MetaRejected("META_REFUSED", message)


def _regain_s(answer: httpx.Response) -> float:
    """Return what Meta says about when calls are allowed again, in seconds; 0 when it says nothing."""
    try:
        usage = orjson.loads(answer.headers.get("x-business-use-case-usage", "{}"))
        minutes = [
            entry.get("estimated_time_to_regain_access", 0) for entries in usage.values() for entry in entries
        ]
        return 60.0 * max(map(float, minutes), default=0.0)
    except (ValueError, TypeError, AttributeError):
        return 0.0


def client() -> httpx.AsyncClient:
    """Return a client with a timeout on every step."""
    return http.client(read_timeout_s=TIMEOUT_S)
