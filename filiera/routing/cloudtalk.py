"""The calls of the telephony provider that we use, typed in and out. No rows, no retries: those are decided above.

Source: CloudTalk's OpenAPI 1.7 and what was observed of it. Ids come as integers or text, numbers as bare integers or
`+…`, errors in two shapes: everything is read tolerantly, and what cannot be read is trouble, never a success.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import httpx

READ_TIMEOUT_S: Final = 35.0  # the answer to a call may come only after the agent's 20 s of ringing
BULK_LIMIT: Final = 10
PAGE_LIMIT: Final = 1000
_MESSAGE_LIMIT: Final = 500


@dataclass(frozen=True, slots=True)
class Account:
    """Where a company's account is reached, and with which key pair."""

    base_url: str
    key_id: str = field(repr=False)
    key_secret: str = field(repr=False)
    analytics_url: str = ""


# Trouble, raised by reads and by contact creation


class CloudTalkUnavailable(Exception):
    """No usable answer: connection, timeout, 5xx, or bytes that are not the documented shape. Worth a retry."""


class CloudTalkRejected(Exception):
    """The request was understood and refused; repeating it changes nothing."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}".strip())
        self.status, self.message = status, message


class KeyRefused(CloudTalkRejected):
    """401: the key pair is wrong or was revoked."""


class TooManyRequests(Exception):
    """429: nothing goes before `reset_at`; None when the provider did not say."""

    def __init__(self, reset_at: datetime | None) -> None:
        super().__init__(f"until {reset_at}")
        self.reset_at = reset_at


# What a call request can come to (ROU-67)


@dataclass(frozen=True, slots=True)
class CallAccepted:
    """200: the agent's phone rings, at most 20 s. There is no call id, and it says nothing about the customer."""

    http_status: int = 200


@dataclass(frozen=True, slots=True)
class AgentUnavailable:
    message: str = ""
    http_status: int = 403


@dataclass(frozen=True, slots=True)
class AgentBusy:
    message: str = ""
    http_status: int = 409


@dataclass(frozen=True, slots=True)
class AgentUnknown:
    message: str = ""
    http_status: int = 404


@dataclass(frozen=True, slots=True)
class NumberRejected:
    message: str = ""
    http_status: int = 406


@dataclass(frozen=True, slots=True)
class RateLimited:
    reset_at: datetime | None
    http_status: int = 429


@dataclass(frozen=True, slots=True)
class KeyRejected:
    message: str = ""
    http_status: int = 401


@dataclass(frozen=True, slots=True)
class CallRefused:
    """Any other 4xx (credit, country, blacklist: undocumented): stop."""

    message: str
    http_status: int


@dataclass(frozen=True, slots=True)
class CallUnknown:
    """500, timeout, a lost or unreadable answer: a phone may be ringing. Never repeated before it is settled."""

    message: str
    http_status: int | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """The connection was never made: it is certain that no call exists."""

    message: str
    http_status: None = None


CallResult = (
    CallAccepted
    | AgentUnavailable
    | AgentBusy
    | AgentUnknown
    | NumberRejected
    | RateLimited
    | KeyRejected
    | CallRefused
    | CallUnknown
    | NotSent
)


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """An agent as the provider lists it; `status` is the provider's own word."""

    id: str
    name: str
    extension: int | None
    email: str
    status: str
    status_outbound: bool
    is_daily_limit_ok: bool


@dataclass(frozen=True, slots=True)
class NewContact:
    """A contact to create. `command_id` is ours and comes back with the result."""

    command_id: str
    name: str
    number_e164: str
    email: str = ""
    company: str = ""
    city: str = ""
    zip: str = ""


@dataclass(frozen=True, slots=True)
class ContactAdded:
    command_id: str
    id: str


@dataclass(frozen=True, slots=True)
class ContactRefused:
    command_id: str
    status: int
    message: str


@dataclass(frozen=True, slots=True)
class FinishedCall:
    """A call that is over. Talking time tells that the customer picked up; without it, only the detail tells whether
    the agent did.
    """

    id: str
    agent_id: str
    external_number: str
    direction: str
    talking_seconds: int
    started_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    recording_url: str


class CloudTalk:
    """One account, spoken to through a client that the caller opened."""

    def __init__(self, http: httpx.AsyncClient, account: Account) -> None:
        self._http = http
        self._base = account.base_url.rstrip("/")
        self._analytics = account.analytics_url.rstrip("/")
        self._auth = httpx.BasicAuth(account.key_id, account.key_secret)

    async def make_call(self, *, agent_id: str, number_e164: str) -> CallResult:
        """Ask for a call: the agent is rung first, then the customer. Never raises for what the provider does."""
        body = {"agent_id": int(agent_id) if agent_id.isdecimal() else agent_id, "callee_number": number_e164}
        try:
            response = await self._request("POST", f"{self._base}/calls/create.json", json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as trouble:
            return NotSent(_named(trouble))
        except httpx.HTTPError as trouble:
            return CallUnknown(_named(trouble))
        return _read_call(response)

    async def add_contacts(self, contacts: Sequence[NewContact]) -> list[ContactAdded | ContactRefused]:
        """Create up to ten contacts with one request; results are in the order of `contacts`.

        Raises CloudTalkUnavailable, CloudTalkRejected (also KeyRefused) or TooManyRequests for the whole request.
        """
        if len(contacts) > BULK_LIMIT:
            raise ValueError(f"at most {BULK_LIMIT} contacts in one request, not {len(contacts)}")
        body = [
            {"action": "add_contact", "command_id": contact.command_id, "data": _contact_body(contact)}
            for contact in contacts
        ]
        answer = await self._read("POST", "/bulk/contacts.json", json=body)
        results = {
            _text(item.get("command_id")): item
            for item in _items(answer.get("data"))
            if isinstance(item, dict)
        }
        return [_read_added(contact.command_id, results.get(contact.command_id)) for contact in contacts]

    async def agents(self, *, agent_id: str | None = None) -> list[AgentInfo]:
        """Return all agents, or the one with this id (a list of none or one). Raises as `add_contacts`."""
        params = {"limit": str(PAGE_LIMIT), "page": "1"} | ({"id": agent_id} if agent_id else {})
        answer = await self._read("GET", "/agents/index.json", params=params)
        found = [_read_agent(_inner(item, "Agent")) for item in _items(answer.get("data"))]
        return [agent for agent in found if agent.id and agent_id in (None, agent.id)]

    async def finished_calls(
        self, *, since: datetime, until: datetime, number_e164: str | None = None
    ) -> list[FinishedCall]:
        """Return the outgoing calls that ended in a period. A call under way is not in the list."""
        params = {
            "type": "outgoing",
            "date_from": since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "date_to": until.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "limit": str(PAGE_LIMIT),
            "page": "1",
        }
        if number_e164:
            params["public_external"] = number_e164.removeprefix("+")
        answer = await self._read("GET", "/calls/index.json", params=params)
        calls = [_read_finished(item) for item in _items(answer.get("data"))]
        return [call for call in calls if call.id]

    async def agent_picked_up(self, call_id: str) -> bool | None:
        """Tell from a finished call's detail whether the agent picked up; None when the detail is not there (yet).

        Raises as `add_contacts`.
        """
        try:
            response = await self._request("GET", f"{self._analytics}/calls/{quote(call_id, safe='')}")
        except httpx.HTTPError as trouble:
            raise CloudTalkUnavailable(_named(trouble)) from trouble
        if response.status_code == 404:
            return None
        _raise_for(response.status_code, "", response)
        try:
            body = response.json()
        except ValueError as trouble:
            raise CloudTalkUnavailable("the answer is not JSON") from trouble
        return _read_picked_up(body)

    async def _request(self, method: str, url: str, **options: Any) -> httpx.Response:
        return await self._http.request(
            method,
            url,
            auth=self._auth,
            headers={"Accept": "application/json"},
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=5.0),
            **options,
        )

    async def _read(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Return the `responseData` object of a 2xx answer. Raises for everything else."""
        try:
            response = await self._request(method, self._base + path, **options)
        except httpx.HTTPError as trouble:
            raise CloudTalkUnavailable(_named(trouble)) from trouble
        status, data, message = _unwrap(response)
        _raise_for(status, message, response)
        if data is None:
            raise CloudTalkUnavailable("the answer is not the documented JSON")
        return data


# Reading what comes back


def read_number(value: Any) -> str:
    """Return a number as `+` and digits, from `393205550142`, `"+39 320…"` and the like; "" when there is none."""
    digits = re.sub(r"\D", "", str(value)) if value is not None and not isinstance(value, bool) else ""
    return f"+{digits.removeprefix('00')}" if digits else ""


def read_id(value: Any) -> str:
    """Return an id as text; "" for null, for an empty one and for a placeholder that was not filled in."""
    text = _text(value)
    return "" if text in {"0", "null", "[object Object]"} or text.startswith("{{") else text


def read_moment(value: Any) -> datetime | None:
    """Return an instant from `2017-10-04T06:33:37.000Z` or `2018-01-10 12:34:56`, both UTC; None when unreadable."""
    try:
        moment = datetime.fromisoformat(_text(value).replace(" ", "T"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_seconds(value: Any) -> int | None:
    """Return a whole number of seconds, from a number or text; None when there is none."""
    try:
        return max(0, int(float(_text(value))))
    except (ValueError, OverflowError):
        return None


def _read_call(response: httpx.Response) -> CallResult:
    status, data, message = _unwrap(response)
    match status:
        case 401:
            return KeyRejected(message)
        case 403:
            return AgentUnavailable(message)
        case 404:
            return AgentUnknown(message)
        case 406:
            return NumberRejected(message)
        case 409:
            return AgentBusy(message)
        case 429:
            return RateLimited(_reset_at(response))
        case _ if 200 <= status < 300 and data is not None:
            return CallAccepted(status)
        case _ if 300 <= status < 500:
            return CallRefused(message, status)
        case _:
            return CallUnknown(message or "unreadable answer", response.status_code)


def _unwrap(response: httpx.Response) -> tuple[int, dict[str, Any] | None, str]:
    """Return status, `responseData` and message. Status is HTTP's, or the body's own one where HTTP says 200."""
    try:
        body = response.json()
    except ValueError:
        return response.status_code, None, ""
    data = body.get("responseData") if isinstance(body, dict) else None
    if isinstance(data, list):  # some lists lie directly in responseData
        data = {"data": data}
    if not isinstance(data, dict):
        message = body.get("message") if isinstance(body, dict) else ""
        return response.status_code, None, _text(message)[:_MESSAGE_LIMIT]
    inner = data.get("status")
    status = response.status_code
    if status == 200 and isinstance(inner, int) and not isinstance(inner, bool):
        status = inner
    return status, data, _message(data)


def _raise_for(status: int, message: str, response: httpx.Response) -> None:
    if response.status_code >= 500 or status >= 500:
        raise CloudTalkUnavailable(f"{status} {message}".strip())
    if status == 429:
        raise TooManyRequests(_reset_at(response))
    if status == 401:
        raise KeyRefused(status, message)
    if not 200 <= status < 300:
        raise CloudTalkRejected(status, message)


def _message(data: dict[str, Any]) -> str:
    faults = data.get("data") if isinstance(data.get("data"), dict) else {}
    details = "; ".join(
        f"{name}: {' '.join(map(_text, texts)) if isinstance(texts, list) else _text(texts)}"
        for name, texts in (faults or {}).items()
        if name != "id"
    )
    return " ".join(part for part in (_text(data.get("message")), details) if part)[:_MESSAGE_LIMIT]


def _reset_at(response: httpx.Response) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(response.headers["X-CloudTalkAPI-ResetTime"]), UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def _contact_body(contact: NewContact) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": (contact.name or contact.number_e164)[:150],
        "ContactNumber": [{"public_number": contact.number_e164}],
    }
    for name, value, limit in (
        ("company", contact.company, 100),
        ("city", contact.city, 255),
        ("zip", contact.zip, 15),
    ):
        if value:
            body[name] = value[:limit]
    if contact.email:
        body["ContactEmail"] = [{"email": contact.email}]
    return body


def _read_added(command_id: str, item: dict[str, Any] | None) -> ContactAdded | ContactRefused:
    if item is None:
        return ContactRefused(command_id, 0, "no result for this contact")
    status = read_seconds(item.get("status")) or 0
    data = item.get("data")
    contact_id = read_id(data.get("id")) if isinstance(data, dict) else ""
    if status in {200, 201} and contact_id:
        return ContactAdded(command_id, contact_id)
    return ContactRefused(command_id, status, _message(item))


def _read_agent(item: dict[str, Any]) -> AgentInfo:
    full = " ".join(_text(item.get(name)) for name in ("firstname", "lastname")).strip()
    return AgentInfo(
        id=read_id(item.get("id")),
        name=full or _text(item.get("fullname")) or _text(item.get("name")),
        extension=read_seconds(item.get("extension")),
        email=_text(item.get("email")),
        status=_text(item.get("availability_status")),
        status_outbound=_flag(item.get("status_outbound")),
        is_daily_limit_ok=_flag(item.get("is_daily_limit_ok")),
    )


def _read_finished(item: Any) -> FinishedCall:
    cdr = _inner(item, "Cdr")
    agent = item.get("Agent") if isinstance(item, dict) else None
    return FinishedCall(
        id=read_id(cdr.get("id")),
        agent_id=read_id(cdr.get("user_id")) or read_id(agent.get("id") if isinstance(agent, dict) else None),
        external_number=read_number(cdr.get("public_external")),
        direction=_text(cdr.get("type")),
        talking_seconds=read_seconds(cdr.get("talking_time")) or 0,
        started_at=read_moment(cdr.get("started_at")),
        answered_at=read_moment(cdr.get("answered_at")),
        ended_at=read_moment(cdr.get("ended_at")),
        recording_url=_text(cdr.get("recording_link")),
    )


def _read_picked_up(detail: Any) -> bool | None:
    if not isinstance(detail, dict):
        return None
    times = detail.get("call_times")
    if isinstance(times, dict) and (read_seconds(times.get("talking_time")) or 0) > 0:
        return True
    steps = [step for step in _items(detail.get("call_steps")) if isinstance(step, dict)]
    agent_steps = [step for step in steps if step.get("type") == "agent"]
    if not agent_steps:
        return None
    return any(_text(step.get("status")) == "answered" for step in agent_steps)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _inner(item: Any, name: str) -> dict[str, Any]:
    """Return `item[name]`, or the item itself where the wrapper is missing."""
    if not isinstance(item, dict):
        return {}
    inner = item.get(name, item)
    return inner if isinstance(inner, dict) else {}


def _flag(value: Any) -> bool:
    return value is True or _text(value).lower() in {"1", "true"}


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _named(trouble: Exception) -> str:
    return f"{type(trouble).__name__}: {trouble}"[:_MESSAGE_LIMIT]
