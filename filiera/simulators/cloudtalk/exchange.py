"""The telephone exchange: agents who come and go, calls that ring, and the events that tell of them.

A call rings the agent for at most `ring_s`; when the agent picks up, the customer is dialled; then they talk.
Durations are simulated seconds. Facts: the provider's sheet, sections 4 (click-to-call) and 6 (webhooks).
"""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import UUID

import orjson

from filiera.simulators.base import Simulator, moment, now
from filiera.simulators.cloudtalk.accounts import Account, Agent, Call, int_or_text
from filiera.simulators.cloudtalk.knobs import CloudTalkKnobs, Plan
from filiera.simulators.knobs import Json

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
        self._contact_ids = self.ids_from(1_451_361_270)
        self._call_ids = self.ids_from(1_009_990_001)

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
            rule = "two live calls for one number"
            self.violations.append(
                {"at": moment(now()), "rule": rule, "number": number, "calls": [*twins, uuid]}
            )
        account.calls.append(call)
        account.live.append(call)
        self.count("calls placed")
        if not self.knobs.stay_online:
            self.move(account, agent, "calling")  # before anybody else's request is looked at
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
        unknown_yet = {"agent_id": None} if self.knobs.null_agent_on_start else {}
        self._emit_call(account, "call.started", call, **unknown_yet)
        self._emit_call(account, "call.ringing", call)
        try:
            picked_up = await self._ring_agent(call, plan)
        finally:
            call.agent_leg.set()
        if picked_up:
            call.state, call.agent_answered_at = "dialling", now()
            if self.knobs.answered_means == "agent":
                self._emit_call(account, "call.answered", call)
            await self._dial_customer(account, call, plan)
        await self._end(account, call, plan)

    async def _ring_agent(self, call: Call, plan: Plan) -> bool:
        rings_s = plan.pickup_after_s if plan.agent_picks_up else self.knobs.ring_s
        word, lasted_s = await self._hand_within(call, rings_s)
        call.waiting_time = round(lasted_s)
        return plan.agent_picks_up if word is None else word == "answer"

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
        self.emit(account, kind, common | more, call)

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
