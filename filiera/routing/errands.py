"""The requests that a brand's placing makes of the provider, each with what came back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from filiera.routing.cloudtalk import (
    AgentInfo,
    CallResult,
    CallUnknown,
    CloudTalk,
    CloudTalkRejected,
    CloudTalkUnavailable,
    ContactAdded,
    ContactRefused,
    FinishedCall,
    NewContact,
    NotSent,
    TooManyRequests,
)

Trouble = CloudTalkUnavailable | CloudTalkRejected | TooManyRequests
TROUBLES = (CloudTalkUnavailable, CloudTalkRejected, TooManyRequests)


@dataclass(slots=True)
class Call:
    """Ask for the call of an attempt that is stored already."""

    attempt_id: UUID
    agent_id: str
    number_e164: str
    result: CallResult | None = None

    async def run(self, client: CloudTalk) -> None:
        self.result = await client.make_call(agent_id=self.agent_id, number_e164=self.number_e164)


@dataclass(slots=True)
class AddContacts:
    """Create the contacts of up to ten processes; `command_id` of each is its process's id."""

    contacts: Sequence[NewContact]
    result: list[ContactAdded | ContactRefused] | Trouble | None = None

    async def run(self, client: CloudTalk) -> None:
        try:
            self.result = await client.add_contacts(self.contacts)
        except TROUBLES as trouble:
            self.result = trouble


@dataclass(slots=True)
class ListAgents:
    asked_at: datetime
    result: list[AgentInfo] | Trouble | None = None

    async def run(self, client: CloudTalk) -> None:
        try:
            self.result = await client.agents()
        except TROUBLES as trouble:
            self.result = trouble


@dataclass(slots=True)
class FindCall:
    """Look for the end of an attempt's call in the list of finished ones."""

    attempt_id: UUID
    number_e164: str
    since: datetime
    until: datetime
    result: list[FinishedCall] | Trouble | None = None

    async def run(self, client: CloudTalk) -> None:
        try:
            self.result = await client.finished_calls(
                since=self.since, until=self.until, number_e164=self.number_e164
            )
        except TROUBLES as trouble:
            self.result = trouble


@dataclass(slots=True)
class ReadDetail:
    """Ask whose silence it was in a call in which nobody talked. `result` None: the detail is not there yet."""

    attempt_id: UUID
    call_id: str
    result: bool | Trouble | None = None

    async def run(self, client: CloudTalk) -> None:
        try:
            self.result = await client.agent_picked_up(self.call_id)
        except TROUBLES as trouble:
            self.result = trouble


Errand = Call | AddContacts | ListAgents | FindCall | ReadDetail


def shows_health(errand: Errand) -> bool | None:
    """Tell what an errand's result says about the provider: alive, in trouble, or (None) nothing either way."""
    match errand.result:
        case CallUnknown() | NotSent() | CloudTalkUnavailable():
            return False
        case TooManyRequests():
            return None
        case _:
            return True
