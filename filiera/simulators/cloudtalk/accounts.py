"""Who is at the exchange: companies with their key pair and rate limit, their agents, and the calls they make."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import deque
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

from filiera.simulators.base import moment
from filiera.simulators.cloudtalk.knobs import refuse_unknown
from filiera.simulators.knobs import Json, loopback_url

E164 = re.compile(r"\+[1-9]\d{6,14}")
WINDOW_S = 60.0


@dataclass
class Agent:
    id: str
    firstname: str = ""
    lastname: str = ""
    email: str = ""
    extension: str = "1001"
    status: str = "online"
    status_outbound: bool = True
    is_daily_limit_ok: bool = True
    associated_numbers: list[str] = field(default_factory=lambda: ["+390612345678"])
    call_number_id: int = 36

    @classmethod
    def of(cls, values: Any) -> Agent:
        """Read an agent of a configuration; `name` may stand for first and last name. Raises ValueError."""
        if not isinstance(values, dict) or "id" not in values:
            raise ValueError("an agent is an object with an id")
        first, _, last = str(values.get("name", "")).partition(" ")
        values = {"firstname": first, "lastname": last, **{k: v for k, v in values.items() if k != "name"}}
        refuse_unknown(values, {f.name for f in fields(cls)}, "an agent")
        agent = cls(**values)
        agent.id, agent.extension = str(agent.id), str(agent.extension)
        return agent

    @property
    def name(self) -> str:
        return f"{self.firstname} {self.lastname}".strip()


@dataclass
class Call:
    call_uuid: str
    agent: Agent
    number: str
    contact_id: str | None
    started_at: datetime
    state: Literal["ringing", "dialling", "talking", "ended"] = "ringing"
    call_id: str | None = None
    agent_answered_at: datetime | None = None
    customer_answered_at: datetime | None = None
    ended_at: datetime | None = None
    waiting_time: int = 0
    talking_time: int = 0
    listed: bool = False
    hand: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    agent_leg: asyncio.Event = field(default_factory=asyncio.Event)
    last_event: asyncio.Task[None] | None = None

    @property
    def is_live(self) -> bool:
        return self.state != "ended"

    @property
    def internal_number(self) -> str:
        return (self.agent.associated_numbers or ["+390612345678"])[0]

    def as_json(self) -> Json:
        return {
            "call_uuid": self.call_uuid,
            "call_id": self.call_id,
            "agent_id": self.agent.id,
            "number": self.number,
            "contact_id": self.contact_id,
            "state": self.state,
            "started_at": moment(self.started_at),
            "agent_answered_at": self.agent_answered_at and moment(self.agent_answered_at),
            "customer_answered_at": self.customer_answered_at and moment(self.customer_answered_at),
            "ended_at": self.ended_at and moment(self.ended_at),
            "waiting_time": self.waiting_time,
            "talking_time": self.talking_time,
        }


@dataclass
class Account:
    """One company at the provider: its key pair, its people, its rate limit."""

    name: str = "Conto di prova"
    key_id: str = "sim-key-id"
    key_secret: str = "sim-key-secret"
    webhook_url: str = ""
    webhook_token: str = ""
    agents: dict[str, Agent] = field(default_factory=dict)
    contacts: dict[str, Json] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    live: list[Call] = field(default_factory=list)
    granted: deque[float] = field(default_factory=deque)
    busiest_minute: int = 0

    @classmethod
    def of(cls, values: Any) -> Account:
        """Read an account of a configuration. Raises ValueError."""
        known = {"name", "key_id", "key_secret", "webhook_url", "webhook_token", "agents"}
        refuse_unknown(values, known, "an account")
        loopback_url(values.get("webhook_url", ""))
        agents = [Agent.of(agent) for agent in values.get("agents", [])]
        return cls(**{**values, "agents": {agent.id: agent for agent in agents}})

    def admit(self, limit: int) -> bool:
        """Take one request out of the sliding minute; False when the minute is full."""
        instant = time.monotonic()
        while self.granted and instant - self.granted[0] >= WINDOW_S:
            self.granted.popleft()
        if len(self.granted) >= limit:
            return False
        self.granted.append(instant)
        self.busiest_minute = max(self.busiest_minute, len(self.granted))
        return True

    def reset_time(self) -> int:
        """Return the Unix second at which the oldest request of the minute is forgotten."""
        left = WINDOW_S - (time.monotonic() - self.granted[0]) if self.granted else 0.0
        return math.ceil(time.time() + left)

    def contact_with(self, number: str) -> str | None:
        for contact_id, contact in self.contacts.items():
            if number in contact["ContactNumber"]:
                return contact_id
        return None


def int_or_text(value: str | None) -> int | str | None:
    """Return an id as the webhooks carry it: a number where it is one."""
    return int(value) if value is not None and value.isascii() and value.isdigit() else value
