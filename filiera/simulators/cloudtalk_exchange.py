"""The telephone exchange behind the CloudTalk simulator: accounts, agents, calls that ring, and their events.

A call rings the agent for at most `ring_s`; when the agent picks up, the customer is dialled; then they talk.
Durations are simulated seconds. Facts: the provider's sheet, sections 4 (click-to-call) and 6 (webhooks).
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import deque
from dataclasses import dataclass, field, fields
from datetime import datetime
from itertools import count
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson

from filiera.simulators.base import Simulator, moment, now
from filiera.simulators.knobs import Json, Knobs, Says, loopback_url

E164 = re.compile(r"\+[1-9]\d{6,14}")
WINDOW_S = 60.0
RECORDING = "https://my.cloudtalk.io/pub/r/{call_id}%3D%3D/{call_uuid}.wav"

# What a production integration was seen to send, for the words of the recommended mapping.
OBSERVED_EVENTS = {
    "call.started": "call_started",
    "call.ringing": "ringing_on_agent",
    "call.answered": "answered",
    "call.ended": "ended",
    "recording.uploaded": "recording_uploaded",
    "user.status_changed": "agent_status_changed",
}


@dataclass
class CloudTalkKnobs(Knobs):
    rate_limit_per_min: Annotated[
        int, Says("Richieste ammesse per conto in 60 secondi veri.", low=1, high=1_000_000)
    ] = 60
    answer_delay_s: Annotated[
        float,
        Says(
            "Ritardo della risposta a calls/create, in secondi veri: il telefono squilla già.",
            low=0,
            high=120,
        ),
    ] = 0.0
    answer_after_agent_leg: Annotated[bool, Says("calls/create risponde solo quando l'agente ha deciso.")] = (
        False
    )
    ring_s: Annotated[float, Says("Quanto squilla al massimo l'agente.", low=0, high=120)] = 20.0
    pickup_probability: Annotated[float, Says("Quanto spesso l'agente risponde.", low=0, high=1)] = 0.85
    pickup_min_s: Annotated[float, Says("L'agente risponde non prima di.", low=0, high=120)] = 3.0
    pickup_max_s: Annotated[float, Says("L'agente risponde non dopo di.", low=0, high=120)] = 9.0
    customer_pickup_probability: Annotated[
        float, Says("Quanto spesso il cliente risponde.", low=0, high=1)
    ] = 0.8
    customer_ring_s: Annotated[float, Says("Quanto squilla il cliente.", low=0, high=120)] = 6.0
    talk_min_s: Annotated[float, Says("Conversazione più breve.", low=0, high=7200)] = 30.0
    talk_max_s: Annotated[float, Says("Conversazione più lunga.", low=0, high=7200)] = 180.0
    wrap_up_s: Annotated[float, Says("Dopo la chiamata l'agente resta impegnato per.", low=0, high=600)] = 5.0
    stay_online: Annotated[
        bool, Says("Gli agenti non diventano mai impegnati (per misurare noi, non il conto).")
    ] = False
    drift_every_s: Annotated[
        float, Says("Ogni tanto un agente va in pausa o torna; 0 = mai.", low=0, high=3600)
    ] = 0.0
    behaviours: Annotated[
        Json,
        Says("Come si comporta un agente (per id) o un cliente (per numero): le stesse voci di next_calls."),
    ] = field(default_factory=dict)
    next_calls: Annotated[
        list[Json],
        Says("Prossime chiamate, in fila: agent_picks_up, pickup_after_s, customer_picks_up, talk_s, goes."),
    ] = field(default_factory=list)
    refused_numbers: Annotated[list[str], Says("Numeri che il centralino rifiuta con 406.")] = field(
        default_factory=list
    )
    webhook_url: Annotated[
        str, Says("Dove spedire gli eventi dei conti che non hanno un indirizzo loro.")
    ] = ""
    webhook_token: Annotated[str, Says("Gettone fisso di quegli eventi.")] = ""
    event_shape: Annotated[
        Literal["recommended", "observed"],
        Says("Nomi degli eventi: mappatura consigliata, o quella vista in produzione."),
    ] = "recommended"
    event_aliases: Annotated[
        Json, Says('Altri nomi per i campi degli eventi, come {"external_number": "phone"}.')
    ] = field(default_factory=dict)
    null_agent_on_start: Annotated[bool, Says("call.started non dice ancora quale agente.")] = False
    answered_means: Annotated[
        Literal["agent", "customer"], Says("call.answered parte quando risponde l'agente, o il cliente.")
    ] = "agent"
    event_delay_s: Annotated[float, Says("Ritardo di ogni evento.", low=0, high=3600)] = 0.0
    duplicate_events: Annotated[float, Says("Frequenza degli eventi spediti due volte.", low=0, high=1)] = 0.0
    reorder_events: Annotated[
        float, Says("Frequenza degli eventi trattenuti finché altri li superano.", low=0, high=1)
    ] = 0.0
    reorder_delay_s: Annotated[float, Says("Quanto sono trattenuti.", low=0, high=3600)] = 10.0
    lose_events: Annotated[float, Says("Frequenza degli eventi perduti.", low=0, high=1)] = 0.0
    lose_event_kinds: Annotated[list[str], Says('Eventi perduti sempre, come ["call.ended"].')] = field(
        default_factory=list
    )
    cdr_delay_s: Annotated[float, Says("Una chiamata finita entra in elenco dopo.", low=0, high=3600)] = 0.0

    def check(self, name: str, value: Any) -> None:
        super().check(name, value)
        if name == "webhook_url":
            loopback_url(value)
        plans = value if name == "next_calls" else value.values() if name == "behaviours" else ()
        for plan in plans:
            refuse_unknown(plan, {f.name for f in fields(Plan)}, "a call's plan")


def refuse_unknown(values: Any, known: set[str], what: str) -> None:
    """Check a configured object's keys. Raises ValueError."""
    if not isinstance(values, dict) or (unknown := values.keys() - known):
        raise ValueError(
            f"{what} has no {min(unknown)}" if isinstance(values, dict) else f"{what} is an object"
        )


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


@dataclass
class Plan:
    """How one call will go, unless a hand on the page decides otherwise."""

    agent_picks_up: bool = True
    pickup_after_s: float = 5.0
    customer_picks_up: bool = True
    talk_s: float = 60.0
    goes: str = ""  # the agent's status afterwards, "" for online
    pickup_probability: float | None = None
    customer_pickup_probability: float | None = None


class Exchange(Simulator):
    """Rings agents, lets them talk, tells the accounts' webhooks."""

    knobs: CloudTalkKnobs

    def __init__(self, accounts: list[Json] | None = None, **knobs: Any) -> None:
        self._loaded = accounts if accounts is not None else [{}]
        super().__init__(**knobs)
        self.forget()

    async def start(self, port: int = 0) -> None:
        await super().start(port)
        self.spawn(self._drift())

    async def reset(self) -> None:
        await super().reset()
        self.spawn(self._drift())

    def forget(self) -> None:
        self.load(self._loaded)
        self._contact_ids = count(1_451_361_270)
        self._call_ids = count(1_009_990_001)

    def load(self, accounts: list[Json]) -> None:
        """Replace every account and its agents. Raises ValueError."""
        read = [Account.of(account) for account in accounts]
        self.accounts = {account.key_id: account for account in read}
        self._loaded = accounts

    def new_contact_id(self) -> str:
        return str(next(self._contact_ids))

    def calls(self) -> list[Call]:
        return [call for account in self.accounts.values() for call in account.calls]

    # ── agents ──────────────────────────────────────────────────────────────

    def move(self, account: Account, agent: Agent, status: str) -> None:
        """Give an agent another status and tell the account's webhook."""
        if agent.status == status:
            return
        agent.status = status
        self.emit(account, "user.status_changed", {"agent_id": int_or_text(agent.id), "status": status})

    async def _drift(self) -> None:
        """Let idle agents come and go, as people do, but never the last one on line."""
        while True:
            if not self.knobs.drift_every_s:
                await asyncio.sleep(0.5)
                continue
            await self.wait(self.knobs.drift_every_s)
            idle = [
                (account, agent)
                for account in self.accounts.values()
                for agent in account.agents.values()
                if agent.status in {"online", "paused", "offline"}
            ]
            if idle:
                account, agent = self.chance.choice(idle)
                others = [
                    other for other in account.agents.values() if other.status == "online" and other != agent
                ]
                self.move(account, agent, "paused" if agent.status == "online" and others else "online")

    # ── calls ───────────────────────────────────────────────────────────────

    def place(self, account: Account, agent: Agent, number: str) -> Call:
        """Start a call: the agent's phone rings from this instant."""
        uuid = str(UUID(int=self.chance.getrandbits(128), version=4))
        call = Call(uuid, agent, number, account.contact_with(number), now())
        twins = [other.call_uuid for other in account.live if other.number == number]
        if twins:
            self.violations.append(
                {
                    "at": moment(now()),
                    "rule": "two live calls for one number",
                    "number": number,
                    "calls": [*twins, uuid],
                }
            )
        account.calls.append(call)
        account.live.append(call)
        self.count("calls placed")
        self.spawn(self._run(account, call, self._plan(agent, number)))
        return call

    def _plan(self, agent: Agent, number: str) -> Plan:
        knobs = self.knobs
        chances = [self.chance.random() for _ in range(4)]
        given: Json = {**knobs.behaviours.get(agent.id, {}), **knobs.behaviours.get(number, {})}
        given |= knobs.next_calls.pop(0) if knobs.next_calls else {}
        usual: Json = {
            "agent_picks_up": chances[0] < given.get("pickup_probability", knobs.pickup_probability),
            "pickup_after_s": knobs.pickup_min_s + chances[1] * (knobs.pickup_max_s - knobs.pickup_min_s),
            "customer_picks_up": chances[2]
            < given.get("customer_pickup_probability", knobs.customer_pickup_probability),
            "talk_s": knobs.talk_min_s + chances[3] * (knobs.talk_max_s - knobs.talk_min_s),
        }
        plan = Plan(**(usual | given))
        plan.agent_picks_up = plan.agent_picks_up and plan.pickup_after_s <= knobs.ring_s
        return plan

    async def _run(self, account: Account, call: Call, plan: Plan) -> None:
        knobs = self.knobs
        if not knobs.stay_online:
            self.move(account, call.agent, "calling")
        self._emit_call(account, "call.started", call, agent_id=None if knobs.null_agent_on_start else ...)
        self._emit_call(account, "call.ringing", call)
        rings_s = plan.pickup_after_s if plan.agent_picks_up else knobs.ring_s
        word, lasted_s = await self._hand_within(call, rings_s)
        call.waiting_time = round(lasted_s)
        if word == "answer" or (word is None and plan.agent_picks_up):
            call.state, call.agent_answered_at = "dialling", now()
            call.agent_leg.set()
            if knobs.answered_means == "agent":
                self._emit_call(account, "call.answered", call)
            await self._dial_customer(account, call, plan)
        call.agent_leg.set()
        await self._end(account, call, plan)

    async def _dial_customer(self, account: Account, call: Call, plan: Plan) -> None:
        word, _ = await self._hand_within(call, self.knobs.customer_ring_s)
        if word == "hangup" or (word is None and not plan.customer_picks_up):
            return
        call.state, call.customer_answered_at = "talking", now()
        if self.knobs.answered_means == "customer":
            self._emit_call(account, "call.answered", call)
        _, lasted_s = await self._hand_within(call, plan.talk_s)
        call.talking_time = max(1, round(lasted_s))

    async def _end(self, account: Account, call: Call, plan: Plan) -> None:
        knobs = self.knobs
        account.live.remove(call)
        call.state, call.ended_at, call.call_id = "ended", now(), str(next(self._call_ids))
        self.count("calls talked" if call.talking_time else "calls missed")
        recording = (
            RECORDING.format(call_id=call.call_id, call_uuid=call.call_uuid) if call.talking_time else None
        )
        ending = {
            "call_id": int(call.call_id),
            "talking_time": call.talking_time,
            "waiting_time": call.waiting_time,
            "wrapup_time": round(knobs.wrap_up_s),
            "recording_url": recording,
        }
        self._emit_call(account, "call.ended", call, **ending)
        if recording:
            self._emit_call(
                account, "recording.uploaded", call, call_id=int(call.call_id), recording_url=recording
            )
        self.spawn(self._list_later(call))
        await self.wait(knobs.wrap_up_s)
        if call.agent.status == "calling" or plan.goes:
            self.move(account, call.agent, plan.goes or "online")

    async def _list_later(self, call: Call) -> None:
        await self.wait(self.knobs.cdr_delay_s)
        call.listed = True

    async def _hand_within(self, call: Call, simulated_s: float) -> tuple[str | None, float]:
        """Wait for somebody on the page to decide ("answer", "hangup"), None when the time is over.

        The second value is how long that took, in simulated seconds.
        """
        began = time.monotonic()
        try:
            word = await asyncio.wait_for(call.hand.get(), simulated_s / self.knobs.time_scale)
        except TimeoutError:
            return None, simulated_s
        return word, (time.monotonic() - began) * self.knobs.time_scale

    # ── events ──────────────────────────────────────────────────────────────

    def _emit_call(self, account: Account, kind: str, call: Call, **more: Any) -> None:
        common = {
            "call_uuid": call.call_uuid,
            "direction": "outgoing",
            "external_number": int(call.number[1:]),
            "internal_number": int(call.internal_number.lstrip("+")),
            "agent_id": int_or_text(call.agent.id),
            "contact_id": int_or_text(call.contact_id),
        }
        self.emit(
            account, kind, common | {name: value for name, value in more.items() if value is not ...}, call
        )

    def emit(self, account: Account, kind: str, body: Json, call: Call | None = None) -> None:
        """Send an event to the account's webhook, in order within its call unless a knob spoils it."""
        knobs = self.knobs
        url = account.webhook_url or knobs.webhook_url
        if not url:
            return
        if knobs.down or kind in knobs.lose_event_kinds or self.happens(knobs.lose_events):
            self.count(f"lost {kind}")
            return
        late_s = knobs.reorder_delay_s if self.happens(knobs.reorder_events) else 0.0
        times = 2 if self.happens(knobs.duplicate_events) else 1
        before = call.last_event if call and not late_s else None
        token = account.webhook_token if account.webhook_url else knobs.webhook_token
        sending = self.spawn(
            self._send(
                kind, url, token, self._shaped(kind, body), times, before, late_s + knobs.event_delay_s
            )
        )
        if call and not late_s:
            call.last_event = sending

    async def _send(
        self,
        kind: str,
        url: str,
        token: str,
        body: Json,
        times: int,
        before: asyncio.Task[None] | None,
        late_s: float,
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        if late_s:
            await self.wait(late_s)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/plain, */*",
            "User-Agent": "cloudtalk-workflow-automation",
        }
        if token:
            headers["Authorization"] = f"Bearer {token}"
        for _ in range(times):
            await self.post(kind, url, orjson.dumps(body), headers)

    def _shaped(self, kind: str, body: Json) -> Json:
        if self.knobs.event_shape == "observed":
            body = {"action": OBSERVED_EVENTS[kind], **body}
            if kind == "user.status_changed":
                body["id"] = body.pop("agent_id")
        else:
            body = {"event": kind, **body}
        return {self.knobs.event_aliases.get(name, name): value for name, value in body.items()}


def int_or_text(value: str | None) -> int | str | None:
    """Return an id as the webhooks carry it: a number where it is one."""
    return int(value) if value is not None and value.isascii() and value.isdigit() else value
