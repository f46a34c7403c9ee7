"""CloudTalk's API: agents, contacts, click-to-call and finished calls, with a page to watch and to take part.

Like the original it is loose with types in what it answers and strict in what it takes. Facts: the provider's
sheet, sections 1 to 5.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from html import escape
from typing import ClassVar

from filiera.simulators import page
from filiera.simulators.base import Problems, endpoint, moment
from filiera.simulators.cloudtalk.accounts import E164, Call
from filiera.simulators.cloudtalk.company import envelope, invalid, paged
from filiera.simulators.cloudtalk.contacts import Contacts
from filiera.simulators.cloudtalk.knobs import CloudTalkKnobs
from filiera.simulators.cloudtalk.shapes import (
    account_row,
    agent_row,
    call_row,
    call_steps,
    digits,
    silent_wav,
    status_of,
)
from filiera.simulators.http import Answer, Request, json_answer, redirect
from filiera.simulators.knobs import Json, Knobs

COUNTRIES = [
    {"id": "107", "name": "Italy", "country_code": "IT", "iso3": "ITA", "calling_code": "39"},
    {"id": "61", "name": "Denmark", "country_code": "DK", "iso3": "DNK", "calling_code": "45"},
]


class CloudTalk(Contacts):
    name: ClassVar[str] = "cloudtalk"
    title: ClassVar[str] = "CloudTalk"
    knobs_type: ClassVar[type[Knobs]] = CloudTalkKnobs
    api_path: ClassVar[str] = "/api"

    def urls(self) -> Json:
        return super().urls() | {"analytics_url": f"{self.base_url}/analytics/api"}

    # ── agents, numbers, groups ─────────────────────────────────────────────

    @endpoint("GET", r"/api/agents/index\.json", "agents/index")
    def agents_index(self, request: Request) -> Answer:
        wanted, number = request.query.get("id"), request.query.get("associated_number")
        return paged(
            request,
            [
                {"Agent": agent_row(agent)}
                for agent in self.mine(request).agents.values()
                if (not wanted or agent.id == wanted) and (not number or number in agent.associated_numbers)
            ],
        )

    @endpoint("GET", r"/api/groups/index\.json", "groups/index")
    def groups_index(self, request: Request) -> Answer:
        return paged(request, [{"Group": {"id": "1", "internal_name": self.mine(request).name}}])

    @endpoint("GET", r"/api/numbers/index\.json", "numbers/index")
    def numbers_index(self, request: Request) -> Answer:
        agents = self.mine(request).agents.values()
        numbers = sorted({number for agent in agents for number in agent.associated_numbers})
        return paged(
            request,
            [
                {
                    "CallNumber": {
                        "id": str(36 + index),
                        "country_code": "39",
                        "area_code": "",
                        "internal_name": number,
                        "caller_id_e164": int(number.lstrip("+")),
                        "is_redirected": False,
                        "connected_to": 1,
                        "source_id": None,
                    }
                }
                for index, number in enumerate(numbers)
            ],
        )

    @endpoint("GET", r"/api/countries/index\.json", "countries/index")
    def countries_index(self, request: Request) -> Answer:
        return json_answer({"responseData": [{"Country": country} for country in COUNTRIES]})

    # ── calls ───────────────────────────────────────────────────────────────

    @endpoint("POST", r"/api/calls/create\.json", "calls/create")
    async def calls_create(self, request: Request) -> Answer:
        """Ring the agent. The answer says only that it was accepted: it carries no call id."""
        account, body, problems = self.mine(request), self.body_of(request) or {}, Problems()
        number = problems.text(body, "callee_number", 20, required=True)
        if number and (not E164.fullmatch(number) or number in self.knobs.refused_numbers):
            problems.add("callee_number", "Please supply a valid phone number.")
        agent_id = body.get("agent_id")
        if isinstance(agent_id, str) and agent_id.isdigit():
            self.warn(request, "agent_id is a string; the schema says integer")
        elif not isinstance(agent_id, int) or isinstance(agent_id, bool):
            problems.add("agent_id", "Expected a number.")
        problems.only(body, {"agent_id", "callee_number"})
        self.remark(request, problems)
        if problems.errors:
            return invalid(problems.errors)
        agent = account.agents.get(str(agent_id))
        if agent is None:
            return self.error(404)
        if agent.status == "calling":
            return self.error(409)
        if agent.status != "online" or not agent.status_outbound or not agent.is_daily_limit_ok:
            return self.error(403)
        call = self.place(account, agent, number)
        await self._settle_answer(call)
        return envelope()

    async def _settle_answer(self, call: Call) -> None:
        if self.knobs.answer_after_agent_leg:
            await call.agent_leg.wait()
        await asyncio.sleep(self.knobs.answer_delay_s)

    @endpoint("GET", r"/api/calls/index\.json", "calls/index")
    def calls_index(self, request: Request) -> Answer:
        """List finished calls only, latest first: a live call is not there."""
        problems = Problems()
        wanted = {name: value for name, value in request.query.items() if value}
        first, last = query_moment(wanted, "date_from", problems), query_moment(wanted, "date_to", problems)
        if problems.errors:
            return invalid(problems.errors)
        account = self.mine(request)
        calls = [
            call
            for call in reversed(account.calls)
            if call.listed
            and (first is None or call.started_at >= first)
            and (last is None or call.started_at <= last)
            and digits(wanted.get("public_external", call.number)) == digits(call.number)
            and digits(wanted.get("public_internal", call.internal_number)) == digits(call.internal_number)
            and wanted.get("contact_id", call.contact_id) == call.contact_id
            and wanted.get("user_id", call.agent.id) == call.agent.id
            and wanted.get("agent_extension", call.agent.extension) == call.agent.extension
            and wanted.get("call_id", call.call_id) == call.call_id
            and wanted.get("type", "outgoing") == "outgoing"
            and wanted.get("status", status_of(call)) == status_of(call)
        ]
        return paged(request, [call_row(call, account) for call in calls])

    @endpoint("GET", r"/api/calls/recording/(?P<call_id>[^/]+)\.json", "calls/recording")
    def calls_recording(self, request: Request, call_id: str) -> Answer:
        for call in self.mine(request).calls:
            if call.call_id == call_id and call.talking_time:
                return Answer(200, silent_wav(), "audio/x-wav")
        return self.error(404)

    @endpoint("GET", r"/analytics/api/calls/(?P<call_id>[^/]+)", "analytics/calls")
    def call_detail(self, request: Request, call_id: str) -> Answer:
        """Answer one finished call as the analytics host does: no envelope, its own error shape."""
        for call in self.mine(request).calls:
            if call.call_id == call_id and call.listed:
                return json_answer(call_steps(call, self.mine(request)))
        return json_answer({"statusCode": 404, "message": ["Call not found"], "error": "Not Found"}, 404)

    # ── control and page ────────────────────────────────────────────────────

    async def control(self, request: Request, what: str) -> Answer | None:
        parts = what.split("/")
        match request.method, parts:
            case "GET", ["agents"]:
                return json_answer([account_row(account) for account in self.accounts.values()])
            case "PUT", ["agents"]:
                return self._load_agents(request)
            case "POST", ["agents", agent_id, "status"]:
                return self._move_agent(request, agent_id)
            case "GET", ["calls"]:
                return json_answer([call.as_json() for call in self.calls()])
            case "POST", ["calls", call_uuid, ("answer" | "hangup") as word]:
                return self._hand(request, call_uuid, word)
        return None

    def _load_agents(self, request: Request) -> Answer:
        """Take `{"accounts": […]}`, or a list of agents for the first account."""
        try:
            body = request.json()
            if isinstance(body, list):
                first = self._loaded[0] if self._loaded else {}
                self.load([first | {"agents": body}])
            else:
                self.load(body["accounts"])
        except (ValueError, KeyError, TypeError) as problem:
            return json_answer({"error": str(problem)}, 400)
        return json_answer([account_row(account) for account in self.accounts.values()])

    def _move_agent(self, request: Request, agent_id: str) -> Answer:
        values = request.form() if request.is_form() else request.json()
        for account in self.accounts.values():
            if agent_id in account.agents:
                self.move(account, account.agents[agent_id], str(values["status"]))
                return (
                    redirect("/") if request.is_form() else json_answer(agent_row(account.agents[agent_id]))
                )
        return json_answer({"error": "unknown agent"}, 404)

    def _hand(self, request: Request, call_uuid: str, word: str) -> Answer:
        for call in self.calls():
            if call.call_uuid == call_uuid and call.is_live:
                call.hand.put_nowait(word)
                return redirect("/") if request.is_form() else json_answer(call.as_json())
        return json_answer({"error": "no such live call"}, 404)

    def panels(self, words: page.Words) -> str:
        return self._agents_panel(words) + self._calls_panel(words)

    def _agents_panel(self, words: page.Words) -> str:
        rows = []
        for account in self.accounts.values():
            for agent in account.agents.values():
                kind = {"online": "ok", "calling": "live"}.get(agent.status, "mute")
                other = "paused" if agent.status == "online" else "online"
                rows.append(
                    [
                        escape(account.name),
                        escape(f"{agent.name} ({agent.id})"),
                        page.tag(agent.status, kind),  # type: ignore[arg-type]
                        page.button(f"/_sim/agents/{agent.id}/status", other, status=other)
                        + page.button(f"/_sim/agents/{agent.id}/status", "offline", status="offline"),
                    ]
                )
        heads = [
            words.gettext("Conto"),
            words.gettext("Agente"),
            words.gettext("Stato"),
            words.gettext("Sposta a"),
        ]
        return page.panel(
            words.gettext("Agenti"), page.table(heads, rows, words.gettext("Nessun agente caricato."))
        )

    def _calls_panel(self, words: page.Words) -> str:
        shown = {
            "ringing": words.gettext("squilla all'agente"),
            "dialling": words.gettext("squilla al cliente"),
            "talking": words.gettext("parlano"),
            "ended": words.gettext("finita"),
        }
        rows = []
        for call in sorted(self.calls(), key=lambda call: call.started_at, reverse=True)[: page.ROWS_SHOWN]:
            hands = ""
            if call.is_live:
                hands = page.button(f"/_sim/calls/{call.call_uuid}/answer", words.gettext("Rispondi"))
                hands += page.button(f"/_sim/calls/{call.call_uuid}/hangup", words.gettext("Riaggancia"))
            rows.append(
                [
                    page.clock(moment(call.started_at)),
                    escape(call.agent.name or call.agent.id),
                    f'<span class="whole">{escape(call.number)}</span>',
                    page.tag(
                        shown[call.state], "live" if call.is_live else "ok" if call.talking_time else "mute"
                    ),
                    f"{call.talking_time} s" if call.talking_time else "",
                    hands,
                ]
            )
        heads = [
            words.gettext("Quando"),
            words.gettext("Agente"),
            words.gettext("Numero"),
            words.gettext("Stato"),
            words.gettext("Conversazione"),
            "",
        ]
        return page.panel(
            words.gettext("Telefonate"), page.table(heads, rows, words.gettext("Nessuna telefonata."))
        )


def query_moment(query: dict[str, str], name: str, problems: Problems) -> datetime | None:
    """Read "2026-01-10 12:34:56" (UTC) of a query."""
    if name not in query:
        return None
    try:
        return datetime.strptime(query[name], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        problems.add(name, "Expected YYYY-MM-DD HH:MM:SS.")
        return None
