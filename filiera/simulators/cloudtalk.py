"""CloudTalk's API: agents, contacts, bulk, click-to-call, finished calls. The exchange behind it rings.

Like the original it is loose with types in what it answers (ids as text, numbers without `+`) and strict
in what it takes. Facts: the provider's sheet, sections 1 to 5.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import re
import wave
from datetime import UTC, datetime
from html import escape
from typing import Any, ClassVar

from filiera.simulators import page
from filiera.simulators.base import Problems, endpoint, moment, now
from filiera.simulators.cloudtalk_exchange import (
    E164,
    Account,
    Agent,
    Call,
    CloudTalkKnobs,
    Exchange,
    int_or_text,
)
from filiera.simulators.http import Answer, Request, json_answer, redirect
from filiera.simulators.knobs import Json, Knobs

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
LONGEST = {
    "name": 150,
    "title": 255,
    "company": 100,
    "industry": 100,
    "website": 100,
    "address": 255,
    "city": 255,
    "zip": 15,
    "state": 255,
}
CONTACT_LISTS = {"ExternalUrl", "ContactNumber", "ContactEmail", "ContactsTag", "ContactAttribute"}
ACTIVITIES = {"order", "task", "chat", "ticket", "other", "invoice", "proforma", "estimate", "cancel"}
COUNTRIES = [
    {"id": "107", "name": "Italy", "country_code": "IT", "iso3": "ITA", "calling_code": "39"},
    {"id": "61", "name": "Denmark", "country_code": "DK", "iso3": "DNK", "calling_code": "45"},
]
MESSAGES = {
    401: "Unauthorized.",
    403: "Agent is not online.",
    404: "Not found.",
    406: "Invalid input data.",
    409: "Agent is already calling.",
    429: "Too many requests.",
    500: "Something went wrong.",
}
MAX_BULK = 10


def envelope(data: Any = None, status: int = 200) -> Answer:
    body: Json = {"status": status}
    return json_answer({"responseData": body if data is None else body | {"data": data}}, status)


def invalid(errors: dict[str, list[str]]) -> Answer:
    return json_answer({"responseData": {"status": 406, "message": MESSAGES[406], "data": errors}}, 406)


def paged(request: Request, rows: list[Any]) -> Answer:
    """Answer one page of a list; `page` starts at 1, `limit` is 1 to 1000."""
    try:
        number, limit = int(request.query.get("page", 1)), int(request.query.get("limit", 30))
    except ValueError:
        return invalid({"page": ["Expected a number."]})
    if number < 1 or not 1 <= limit <= 1000:
        return invalid({"limit": ["Expected 1 to 1000."]})
    chosen = rows[(number - 1) * limit : number * limit]
    return json_answer(
        {
            "responseData": {
                "itemsCount": len(rows),
                "pageCount": -(-len(rows) // limit),
                "pageNumber": number,
                "limit": limit,
                "data": chosen,
            }
        }
    )


class CloudTalk(Exchange):
    name: ClassVar[str] = "cloudtalk"
    title: ClassVar[str] = "CloudTalk"
    knobs_type: ClassVar[type[Knobs]] = CloudTalkKnobs
    api_path: ClassVar[str] = "/api"

    def urls(self) -> Json:
        return super().urls() | {"analytics_url": f"{self.base_url}/analytics/api"}

    # ── key and rate limit ──────────────────────────────────────────────────

    def account_of(self, request: Request) -> Account | None:
        """Return the account whose key pair the request carries, None when there is none."""
        scheme, _, encoded = request.header("authorization").partition(" ")
        try:
            key_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        account = self.accounts.get(key_id) if scheme.lower() == "basic" else None
        return account if account and account.key_secret == secret else None

    def gate(self, request: Request, name: str) -> Answer | None:
        account = self.account_of(request)
        if account is None:
            return self.error(401)
        if request.method == "GET" and "application/json" not in request.header("accept"):
            self.warn(request, "a read without Accept: application/json may be answered 404 or 406")
        if not account.admit(self.knobs.rate_limit_per_min):
            return self.error(429)
        return None

    def finish(self, request: Request, name: str, answer: Answer) -> None:
        account = self.account_of(request)
        if account is None:
            return
        limit = self.knobs.rate_limit_per_min
        answer.headers["X-CloudTalkAPI-Limit"] = str(limit)
        answer.headers["X-CloudTalkAPI-Remaining"] = str(max(0, limit - len(account.granted)))
        answer.headers["X-CloudTalkAPI-ResetTime"] = str(account.reset_time())

    def error(self, status: int, *, message: str | None = None, code: int | None = None) -> Answer:
        text = message or MESSAGES.get(status, "Error.")
        return json_answer({"responseData": {"status": status, "message": text}}, status)

    def unknown_route(self, request: Request) -> Answer:
        return json_answer({"name": "Not Found", "message": "Not Found", "url": request.target}, 404)

    def mine(self, request: Request) -> Account:
        account = self.account_of(request)
        assert account is not None  # `gate` let it in
        return account

    def _body(self, request: Request) -> Json | None:
        """Return the posted object, None when it is not one."""
        try:
            body = request.json()
        except ValueError:
            return None
        if not request.header("content-type").startswith("application/json"):
            self.warn(request, "a write without Content-Type: application/json")
        return body if isinstance(body, dict) else None

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

    # ── contacts ────────────────────────────────────────────────────────────

    @endpoint("GET", r"/api/contacts/index\.json", "contacts/index")
    def contacts_index(self, request: Request) -> Answer:
        keyword = request.query.get("keyword", "").lower()
        rows = [
            {
                "Contact": {"id": contact_id, "name": contact["name"], "company": contact.get("company")},
                "ContactNumber": {"public_number": without_plus((contact["ContactNumber"] or [None])[0])},
                "ContactEmail": {"email": (contact["ContactEmail"] or [None])[0]},
                "ContactAttribute": contact["ContactAttribute"],
            }
            for contact_id, contact in self.mine(request).contacts.items()
            if keyword in searchable(contact)
        ]
        return paged(request, rows)

    @endpoint("PUT", r"/api/contacts/add\.json", "contacts/add")
    def contacts_add(self, request: Request) -> Answer:
        return item_answer(self._add_contact(self.mine(request), self._body(request), request))

    @endpoint("POST", r"/api/contacts/edit/(?P<contact_id>[^/]+)\.json", "contacts/edit")
    def contacts_edit(self, request: Request, contact_id: str) -> Answer:
        return item_answer(self._edit_contact(self.mine(request), contact_id, self._body(request), request))

    @endpoint("GET", r"/api/contacts/show/(?P<contact_id>[^/]+)\.json", "contacts/show")
    def contacts_show(self, request: Request, contact_id: str) -> Answer:
        contact = self.mine(request).contacts.get(contact_id)
        if contact is None:
            return self.error(404)
        return json_answer({"responseData": contact_detail(contact_id, contact)})

    @endpoint("DELETE", r"/api/contacts/delete/(?P<contact_id>[^/]+)\.json", "contacts/delete")
    def contacts_delete(self, request: Request, contact_id: str) -> Answer:
        return item_answer(self._delete_contact(self.mine(request), contact_id))

    @endpoint("PUT", r"/api/contacts/addTags/(?P<contact_id>[^/]+)\.json", "contacts/addTags")
    def contacts_add_tags(self, request: Request, contact_id: str) -> Answer:
        return self._change_tags(request, contact_id, add=True)

    @endpoint("DELETE", r"/api/contacts/removeTags/(?P<contact_id>[^/]+)\.json", "contacts/removeTags")
    def contacts_remove_tags(self, request: Request, contact_id: str) -> Answer:
        return self._change_tags(request, contact_id, add=False)

    @endpoint("GET", r"/api/contacts/attributes\.json", "contacts/attributes")
    def contacts_attributes(self, request: Request) -> Answer:
        return json_answer({"responseData": [{"ContactAttribute": {"id": "123", "title": "Fonte"}}]})

    @endpoint("PUT", r"/api/notes/add/(?P<contact_id>[^/]+)\.json", "notes/add")
    def notes_add(self, request: Request, contact_id: str) -> Answer:
        return item_answer(self._add_note(self.mine(request), contact_id, self._body(request), request))

    @endpoint("PUT", r"/api/activity/add/(?P<contact_id>[^/]+)\.json", "activity/add")
    def activity_add(self, request: Request, contact_id: str) -> Answer:
        return item_answer(self._add_activity(self.mine(request), contact_id, self._body(request), request))

    @endpoint("POST", r"/api/bulk/contacts\.json", "bulk/contacts")
    def bulk_contacts(self, request: Request) -> Answer:
        """Run up to ten actions one by one; the answer is 200 and each item has its own status."""
        try:
            actions = request.json()
        except ValueError:
            return invalid({"body": ["Expected a JSON array."]})
        if not isinstance(actions, list) or not 1 <= len(actions) <= MAX_BULK:
            return invalid({"body": [f"Expected 1 to {MAX_BULK} actions."]})
        if not all(isinstance(action, dict) and isinstance(action.get("data"), dict) for action in actions):
            return invalid({"data": ["Every action is an object with action, command_id and data."]})
        account = self.mine(request)
        return envelope([self._bulk_item(account, action, request) for action in actions])

    def _bulk_item(self, account: Account, action: Json, request: Request) -> Json:
        data: Json = dict(action["data"])
        command = action.get("command_id")
        if not isinstance(command, str):
            self.warn(request, "command_id is not a string")
        target = str(
            data.pop("id" if action.get("action") in {"edit_contact", "delete_contact"} else "contact_id", "")
        )
        match action.get("action"):
            case "add_contact":
                result = self._add_contact(account, data, request)
            case "edit_contact":
                result = self._edit_contact(account, target, data, request)
            case "delete_contact":
                result = self._delete_contact(account, target)
            case "add_note":
                result = self._add_note(account, target, data, request)
            case "add_activity":
                result = self._add_activity(account, target, data, request)
            case unknown:
                result = {
                    "status": 406,
                    "message": MESSAGES[406],
                    "data": {"action": [f"Unknown action {unknown}."]},
                }
        return {"command_id": command, **result}

    def _add_contact(self, account: Account, body: Json | None, request: Request) -> Json:
        contact, refusal = self._read_contact(body, request, new=True)
        if refusal:
            return refusal
        contact_id = self.new_contact_id()
        account.contacts[contact_id] = (
            {name: [] for name in CONTACT_LISTS} | contact | {"created": moment(now())}
        )
        self.count("contacts added")
        return {"status": 201, "data": {"id": contact_id}}

    def _edit_contact(self, account: Account, contact_id: str, body: Json | None, request: Request) -> Json:
        if contact_id not in account.contacts:
            return {"status": 404, "message": MESSAGES[404]}
        contact, refusal = self._read_contact(body, request, new=False)
        if refusal:
            return refusal
        account.contacts[contact_id] |= contact  # a list that was sent replaces the stored one
        return {"status": 200}

    def _delete_contact(self, account: Account, contact_id: str) -> Json:
        if account.contacts.pop(contact_id, None) is None:
            return {"status": 404, "message": MESSAGES[404]}
        return {"status": 200}

    def _add_note(self, account: Account, contact_id: str, body: Json | None, request: Request) -> Json:
        problems = Problems()
        problems.text(body or {}, "note", 10_000, required=True)
        problems.only(body or {}, {"note", "user_id"})
        return self._added(account, contact_id, problems, request)

    def _add_activity(self, account: Account, contact_id: str, body: Json | None, request: Request) -> Json:
        problems, body = Problems(), body or {}
        if problems.text(body, "type", 20, required=True) not in ACTIVITIES:
            problems.add("type", "Unknown type.")
        problems.text(body, "name", 255, required=True)
        optional = {"activity_date", "description", "activity_author", "external_id", "external_url"}
        problems.only(body, {"type", "name"} | optional)
        return self._added(account, contact_id, problems, request)

    def _added(self, account: Account, contact_id: str, problems: Problems, request: Request) -> Json:
        if contact_id not in account.contacts:
            return {"status": 404, "message": MESSAGES[404]}
        if problems.errors:
            return {"status": 406, "message": MESSAGES[406], "data": problems.errors}
        self._remark(request, problems)
        return {"status": 201, "data": {"id": self.new_contact_id()}}

    def _remark(self, request: Request, problems: Problems) -> None:
        for unknown in problems.unknown:
            self.warn(request, unknown)

    def _read_contact(self, body: Json | None, request: Request, *, new: bool) -> tuple[Json, Json | None]:
        """Return what a contact's body says, or the refusal of it."""
        problems = Problems()
        contact: Json = {}
        if body is None:
            problems.add("body", "Expected a JSON object.")
            body = {}
        for name, longest in LONGEST.items():
            if name in body or (new and name == "name"):
                contact[name] = problems.text(body, name, longest, required=new and name == "name") or None
        for name in ("country_id", "favorite_agent"):
            if name in body:
                contact[name] = body[name]
                if not isinstance(body[name], int):
                    problems.add(name, "Expected a number.")
        for name in CONTACT_LISTS:
            rows = problems.rows(body, name)
            if rows is not None:
                contact[name] = read_rows(name, rows, problems)
        problems.only(body, LONGEST.keys() | {"country_id", "favorite_agent"} | CONTACT_LISTS)
        self._remark(request, problems)
        if problems.errors:
            return {}, {"status": 406, "message": MESSAGES[406], "data": problems.errors}
        return contact, None

    def _change_tags(self, request: Request, contact_id: str, *, add: bool) -> Answer:
        contact = self.mine(request).contacts.get(contact_id)
        if contact is None:
            return self.error(404)
        tags = (self._body(request) or {}).get("tags")
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            return invalid({"tags": ["Expected a list of strings."]})
        kept = [row for row in contact["ContactsTag"] if row["name"] not in tags]
        contact["ContactsTag"] = kept + ([{"name": tag} for tag in tags] if add else [])
        rows = [
            {"id": str(index + 1), "name": row["name"]} for index, row in enumerate(contact["ContactsTag"])
        ]
        return json_answer(
            {"responseData": {"status": 200, "message": "", "data": {"tags": rows, "contact_id": contact_id}}}
        )

    # ── calls ───────────────────────────────────────────────────────────────

    @endpoint("POST", r"/api/calls/create\.json", "calls/create")
    async def calls_create(self, request: Request) -> Answer:
        """Ring the agent. The answer says only that it was accepted: it carries no call id."""
        account, body, problems = self.mine(request), self._body(request) or {}, Problems()
        number = problems.text(body, "callee_number", 20, required=True)
        if number and (not E164.fullmatch(number) or number in self.knobs.refused_numbers):
            problems.add("callee_number", "Please supply a valid phone number.")
        agent_id = body.get("agent_id")
        if isinstance(agent_id, str) and agent_id.isdigit():
            self.warn(request, "agent_id is a string; the schema says integer")
        elif not isinstance(agent_id, int) or isinstance(agent_id, bool):
            problems.add("agent_id", "Expected a number.")
        problems.only(body, {"agent_id", "callee_number"})
        self._remark(request, problems)
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


# ── shapes ──────────────────────────────────────────────────────────────────


def item_answer(result: Json) -> Answer:
    """Wrap the result of one action as an answer of its own."""
    return json_answer({"responseData": result}, result["status"])


def agent_row(agent: Agent) -> Json:
    return {
        "id": agent.id,
        "name": agent.name,
        "firstname": agent.firstname,
        "lastname": agent.lastname,
        "email": agent.email,
        "is_daily_limit_ok": agent.is_daily_limit_ok,
        "status_outbound": agent.status_outbound,
        "availability_status": agent.status,
        "extension": agent.extension,
        "call_number_id": agent.call_number_id,
        "default_number": next(iter(agent.associated_numbers), None),
        "associated_numbers": agent.associated_numbers,
    }


def account_row(account: Account) -> Json:
    return {
        "name": account.name,
        "key_id": account.key_id,
        "webhook_url": account.webhook_url,
        "agents": [agent_row(agent) for agent in account.agents.values()],
        "contacts": len(account.contacts),
        "requests_in_busiest_minute": account.busiest_minute,
    }


def read_rows(name: str, rows: list[Json], problems: Problems) -> list[Any]:
    """Return the rows of one of a contact's lists as they are stored: numbers as E.164, the rest as sent."""
    if name == "ContactNumber":
        numbers = ["+" + digits(str(row.get("public_number", ""))) for row in rows]
        if not all(E164.fullmatch(number) for number in numbers):
            problems.add("public_number", "Please supply a valid phone number.")
        return numbers
    if name == "ContactEmail":
        emails = [str(row.get("email", "")) for row in rows]
        if not all(EMAIL.fullmatch(email) for email in emails):
            problems.add("email", "Please supply a valid email address.")
        return emails
    if name == "ExternalUrl" and (len(rows) > 3 or any(len(str(row.get("name", ""))) > 30 for row in rows)):
        problems.add(name, "Expected at most 3 links with names of at most 30 characters.")
    if name == "ContactsTag" and not all(isinstance(row.get("name"), str) and row["name"] for row in rows):
        problems.add(name, "Every tag has a name.")
    if name == "ContactAttribute" and not all(isinstance(row.get("attribute_id"), int) for row in rows):
        problems.add(name, "Every attribute has an attribute_id.")
    return rows


def contact_detail(contact_id: str, contact: Json) -> Json:
    """Return a contact as real answers show it: `Tag` for the tags, text ids, null for what is empty."""
    scalars = {name: contact.get(name) for name in (*LONGEST, "country_id", "favorite_agent")}
    return {
        "Contact": {
            "id": contact_id,
            **scalars,
            "created": contact["created"],
            "modified": contact["created"],
        },
        "ExternalUrl": contact["ExternalUrl"] or None,
        "ContactEmail": [{"email": email, "contact_id": contact_id} for email in contact["ContactEmail"]],
        "ContactNumber": [
            {"public_number": without_plus(number), "contact_id": contact_id}
            for number in contact["ContactNumber"]
        ],
        "Tag": contact["ContactsTag"],
        "ContactAttribute": contact["ContactAttribute"],
    }


def call_row(call: Call, account: Account) -> Json:
    contact = account.contacts.get(call.contact_id or "", {})
    assert call.ended_at is not None  # only finished calls are listed
    return {
        "Cdr": {
            "id": call.call_id,
            "billsec": str(call.talking_time),
            "type": "outgoing",
            "country_code": "39",
            "public_external": without_plus(call.number),
            "public_internal": without_plus(call.internal_number),
            "recorded": call.talking_time > 0,
            "is_voicemail": False,
            "fax_email": "0",
            "is_redirected": "0",
            "redirected_from": "",
            "is_local": True,
            "user_id": call.agent.id,
            "talking_time": str(call.talking_time),
            "started_at": moment(call.started_at),
            "answered_at": call.customer_answered_at and moment(call.customer_answered_at),
            "ended_at": moment(call.ended_at),
            "waiting_time": call.waiting_time,
            "wrapup_time": 0,
            "recording_link": f"https://my.cloudtalk.io/r/play/{call.call_id}",
        },
        "Contact": {
            "id": call.contact_id,
            "name": contact.get("name"),
            "type": "contact",
            "tags": [],
            "contact_numbers": [without_plus(number) for number in contact.get("ContactNumber", [])],
            "contact_emails": contact.get("ContactEmail", []),
            "custom_fields": [],
            "external_urls": [],
            "favorite_agent": None,
        },
        "CallNumber": {
            "id": str(call.agent.call_number_id),
            "internal_name": call.internal_number,
            "caller_id_e164": without_plus(call.internal_number),
            "country_code": "39",
            "area_code": "",
        },
        "BillingCall": {"price": "0.000000"},
        "Agent": {
            "id": call.agent.id,
            "firstname": call.agent.firstname,
            "lastname": call.agent.lastname,
            "fullname": call.agent.name,
            "email": call.agent.email,
            "status": call.agent.status,
        },
        "Notes": [],
        "Tags": [],
        "Ratings": [],
    }


def call_steps(call: Call, account: Account) -> Json:
    picked_up = call.agent_answered_at is not None
    return {
        "cdr_id": int_or_text(call.call_id),
        "uuid": call.call_uuid,
        "company_id": account.key_id,
        "date": moment(call.started_at),
        "contact": {"id": int_or_text(call.contact_id), "name": None, "country": "IT", "number": call.number},
        "call_tags": [],
        "call_rating": None,
        "internal_number": {"id": call.agent.call_number_id, "name": "", "number": call.internal_number},
        "call_times": {
            "total_time": call.waiting_time + call.talking_time,
            "talking_time": call.talking_time,
            "wrap_up_time": 0,
            "ringing_time": call.waiting_time,
            "waiting_time": call.waiting_time,
            "holding_time": 0,
        },
        "direction": "outgoing",
        "type": "regular",
        "status": status_of(call),
        "call_steps": [
            {
                "type": "agent",
                "id": int_or_text(call.agent.id),
                "name": call.agent.name,
                "call_id": int_or_text(call.call_id),
                "status": "answered" if picked_up else "missed",
                "reason": None if picked_up else "not_picked_up",
                "group_ids": [],
            }
        ],
        "notes": [],
        "recorded": call.talking_time > 0,
        "out_of_office": False,
    }


def status_of(call: Call) -> str:
    return "answered" if call.talking_time else "missed"


def query_moment(query: dict[str, str], name: str, problems: Problems) -> datetime | None:
    """Read "2026-01-10 12:34:56" (UTC) of a query."""
    if name not in query:
        return None
    try:
        return datetime.strptime(query[name], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        problems.add(name, "Expected YYYY-MM-DD HH:MM:SS.")
        return None


def searchable(contact: Json) -> str:
    texts = [contact.get("name"), contact.get("company"), *contact["ContactEmail"]]
    return " ".join([*(text.lower() for text in texts if text), *contact["ContactNumber"]])


def digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def without_plus(number: str | None) -> int | None:
    """Return a phone number as the API shows it: an integer without `+`."""
    return int(number.lstrip("+")) if number else None


def silent_wav() -> bytes:
    """Return a tenth of a second of silence, 8 kHz mono."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(1)
        wav.setframerate(8000)
        wav.writeframes(b"\x80" * 800)
    return sound.getvalue()
