"""What is read from the provider's answers, in all the shapes that were seen of them."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from filiera.routing import cloudtalk
from filiera.routing.cloudtalk import (
    Account,
    AgentBusy,
    AgentInfo,
    AgentUnavailable,
    AgentUnknown,
    CallAccepted,
    CallRefused,
    CallUnknown,
    CloudTalk,
    CloudTalkRejected,
    CloudTalkUnavailable,
    ContactAdded,
    ContactRefused,
    KeyRefused,
    KeyRejected,
    NewContact,
    NotSent,
    NumberRejected,
    RateLimited,
    TooManyRequests,
)

ACCOUNT = Account("https://pbx.example/api/", "id", "secret")


def answered(answer: httpx.Response | Exception, work: Any, seen: list[httpx.Request] | None = None) -> Any:
    """Run `work(client)` against a provider that gives one answer."""

    def handler(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def run() -> Any:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
            return await work(CloudTalk(http, ACCOUNT))

    return asyncio.run(run())


def call(client: CloudTalk) -> Any:
    return client.make_call(agent_id="99", number_e164="+393510004127")


def envelope(status: int, **data: Any) -> httpx.Response:
    return httpx.Response(status, json={"responseData": {"status": status, **data}})


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (envelope(200), CallAccepted(200)),
        (envelope(403, message="Agent is not online."), AgentUnavailable("Agent is not online.")),
        (envelope(409, message="Agent is already calling."), AgentBusy("Agent is already calling.")),
        (envelope(404, message="Not found."), AgentUnknown("Not found.")),
        (
            envelope(406, message="Invalid input data.", data={"callee_number": ["Bad number."]}),
            NumberRejected("Invalid input data. callee_number: Bad number."),
        ),
        (envelope(401, message="Unauthorized."), KeyRejected("Unauthorized.")),
        (envelope(402, message="No credit."), CallRefused("No credit.", 402)),
        (httpx.Response(410, text="gone"), CallRefused("", 410)),
        (httpx.Response(302, headers={"Location": "https://elsewhere.example"}), CallRefused("", 302)),
        (envelope(500, message="Something went wrong."), CallUnknown("Something went wrong.", 500)),
        (httpx.Response(503, text="Service Unavailable"), CallUnknown("unreadable answer", 503)),
        (httpx.Response(200, text="<html>"), CallUnknown("unreadable answer", 200)),
        (httpx.Response(200, json=["unexpected"]), CallUnknown("unreadable answer", 200)),
        (
            httpx.Response(
                200, json={"responseData": {"status": 409, "message": "Agent is already calling."}}
            ),
            AgentBusy("Agent is already calling."),
        ),
        (
            httpx.Response(404, json={"name": "Not Found", "message": "Not Found", "url": "/api/x"}),
            AgentUnknown("Not Found"),
        ),
    ],
)
def test_each_answer_to_a_call_has_its_type(answer: httpx.Response, result: object) -> None:
    assert answered(answer, call) == result


@pytest.mark.parametrize("header", ["1767225600", "1767225600.0"])
def test_a_rate_limit_says_until_when(header: str) -> None:
    answer = httpx.Response(429, headers={"X-CloudTalkAPI-ResetTime": header})
    assert answered(answer, call) == RateLimited(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "headers", [{}, {"X-CloudTalkAPI-ResetTime": "soon"}, {"X-CloudTalkAPI-ResetTime": "9" * 40}]
)
def test_a_rate_limit_that_does_not_say_until_when_is_still_one(headers: dict[str, str]) -> None:
    assert answered(httpx.Response(429, headers=headers), call) == RateLimited(None)


@pytest.mark.parametrize(
    "trouble", [httpx.ReadTimeout("slow"), httpx.ReadError("reset"), httpx.RemoteProtocolError("?")]
)
def test_a_lost_answer_is_unknown(trouble: Exception) -> None:
    assert isinstance(answered(trouble, call), CallUnknown)


@pytest.mark.parametrize("trouble", [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")])
def test_a_connection_that_was_never_made_is_certainly_no_call(trouble: Exception) -> None:
    assert isinstance(answered(trouble, call), NotSent)


def test_a_call_is_asked_for_with_numbers_as_the_provider_wants_them() -> None:
    seen: list[httpx.Request] = []
    answered(envelope(200), call, seen)
    request = seen[0]
    assert (request.method, str(request.url)) == ("POST", "https://pbx.example/api/calls/create.json")
    assert request.content == b'{"agent_id":99,"callee_number":"+393510004127"}'
    assert request.headers["Authorization"] == "Basic aWQ6c2VjcmV0"
    assert request.extensions["timeout"]["read"] >= 30


def test_agents_are_read_whatever_the_types() -> None:
    listed = [
        {
            "Agent": {
                "id": "99", "firstname": "Mario", "lastname": "Rossi", "email": "m@posta.example", "extension": "1001",
                "is_daily_limit_ok": True, "status_outbound": True, "availability_status": "online",
            }
        },
        {"id": 100, "name": "Ada", "availability_status": "paused", "status_outbound": "1", "is_daily_limit_ok": 0},
        {"Agent": {"name": "nobody"}},
        "garbage",
    ]  # fmt: skip
    agents = answered(envelope(200, data=listed), lambda client: client.agents())
    assert agents == [
        AgentInfo("99", "Mario Rossi", 1001, "m@posta.example", "online", True, True),
        AgentInfo("100", "Ada", None, "", "paused", True, False),
    ]


def test_contacts_are_created_item_by_item() -> None:
    results = [
        {"command_id": "b", "status": 406, "message": "Invalid input data.", "data": {"email": ["No."]}},
        {"command_id": "a", "status": 201, "data": {"id": 555}},
    ]
    contacts = [NewContact(name, "Giulia", "+393510000001", email="g@posta.example") for name in "abc"]
    assert answered(envelope(200, data=results), lambda client: client.add_contacts(contacts)) == [
        ContactAdded("a", "555"),
        ContactRefused("b", 406, "Invalid input data. email: No."),
        ContactRefused("c", 0, "no result for this contact"),
    ]


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (envelope(500), CloudTalkUnavailable),
        (httpx.Response(200, text="<html>"), CloudTalkUnavailable),
        (httpx.ReadTimeout("slow"), CloudTalkUnavailable),
        (envelope(401, message="no"), KeyRefused),
        (envelope(406, message="no"), CloudTalkRejected),
        (httpx.Response(429), TooManyRequests),
    ],
)
def test_reads_raise_what_went_wrong(answer: httpx.Response | Exception, trouble: type[Exception]) -> None:
    with pytest.raises(trouble):
        answered(answer, lambda client: client.agents())


def test_a_finished_call_is_read_from_the_documented_example() -> None:
    item = {
        "Cdr": {
            "id": "27", "type": "outgoing", "public_external": 393205550142, "user_id": "99", "talking_time": "21",
            "started_at": "2026-01-10T08:33:37.000Z", "answered_at": "2026-01-10 08:33:40", "ended_at": "",
            "recording_link": "https://pbx.example/r/27",
        }
    }  # fmt: skip
    now = datetime(2026, 1, 10, 9, tzinfo=UTC)
    (found,) = answered(
        envelope(200, data=[item, {"Cdr": None}]), lambda client: client.finished_calls(since=now, until=now)
    )
    assert (found.id, found.agent_id, found.external_number) == ("27", "99", "+393205550142")
    assert found.talking_seconds == 21
    assert found.answered_at == datetime(2026, 1, 10, 8, 33, 40, tzinfo=UTC)
    assert found.ended_at is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (393205550142, "+393205550142"),
        ("+39 320 555 0142", "+393205550142"),
        ("0039320", "+39320"),
        (None, ""),
        ("", ""),
    ],
)
def test_numbers_are_read_as_e164(value: object, number: str) -> None:
    assert cloudtalk.read_number(value) == number


@pytest.mark.parametrize("value", [None, "", 0, "null", "[object Object]", "{{agent_id}}"])
def test_an_id_that_was_not_filled_in_is_none(value: object) -> None:
    assert cloudtalk.read_id(value) == ""
