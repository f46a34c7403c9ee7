"""The requests that a brand's placing makes of the provider, each with what came back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
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
    KeyRefused,
    NewContact,
    NotSent,
    TooManyRequests,
)

Trouble = CloudTalkUnavailable | CloudTalkRejected | TooManyRequests
TROUBLES = (CloudTalkUnavailable, CloudTalkRejected, TooManyRequests)


@dataclass(frozen=True, slots=True)
class NoContact:
    """The call was not asked for, because its contact could not be made first."""

    cause: ContactRefused | Trouble | None


@dataclass(slots=True)
class AddContacts:
    """Create the contacts of up to ten processes; `command_id` of each is its process's id."""

    contacts: Sequence[NewContact]
    result: list[ContactAdded | ContactRefused] | Trouble | None = None
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, client: CloudTalk) -> None:
        try:
            self.result = await client.add_contacts(self.contacts)
        except CloudTalkRejected as refused:
            self.result = refused
            if not isinstance(refused, KeyRefused):  # all of them, for a reason of the whole request
                self.result = [
                    ContactRefused(contact.command_id, refused.status, refused.message)
                    for contact in self.contacts
                ]
        except TROUBLES as trouble:
            self.result = trouble
        finally:
            self.is_over.set()

    @property
    def process_ids(self) -> list[UUID]:
        return [UUID(contact.command_id) for contact in self.contacts]

    def is_for(self, process_id: UUID) -> bool:
        return any(contact.command_id == str(process_id) for contact in self.contacts)

    def result_of(self, process_id: UUID) -> ContactAdded | ContactRefused | Trouble | None:
        """Return what became of one contact."""
        if not isinstance(self.result, list):
            return self.result
        return next((one for one in self.result if one.command_id == str(process_id)), None)


@dataclass(slots=True)
class Call:
    """Ask for the call of an attempt that is stored already, once its contact is made if it had none."""

    attempt_id: UUID
    process_id: UUID
    agent_id: str
    number_e164: str
    stored_at: float  # Unix time, as sent_at
    contact: AddContacts | None = None
    sent_at: float | None = None
    result: CallResult | NoContact | None = None

    async def run(self, client: CloudTalk) -> None:
        if self.contact is not None:
            await self.contact.is_over.wait()
            made = self.contact.result_of(self.process_id)
            if not isinstance(made, ContactAdded):
                self.result = NoContact(made)
                return
        self.sent_at = time.time()
        self.result = await client.make_call(agent_id=self.agent_id, number_e164=self.number_e164)


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
        case TooManyRequests() | NoContact():
            return None
        case _:
            return True
