"""Meta's Graph API for lead ads: lead lookup, a form's leads and questions, and a sender of signed webhooks.

Facts: the sheet on lead sources, section 1. A webhook carries ids only; the lead is fetched with a page
token.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from typing import Annotated, Any, ClassVar, Literal

import httpx
import orjson

from filiera.simulators import page, people
from filiera.simulators.base import Delivery, Simulator, endpoint, now
from filiera.simulators.http import Answer, Request, json_answer, redirect
from filiera.simulators.knobs import Json, Knobs, Says, loopback_url

PAGE_ID = "109876543210987"
FORM_ID = "772233445566778"
AD = {
    "ad_id": "120218765432100441",
    "ad_name": "Preventivo infissi - video",
    "adset_id": "120218765432100331",
    "adset_name": "Bologna 30-60",
    "campaign_id": "120218765432100221",
    "campaign_name": "Infissi gennaio",
}
FIELDS = {
    "id",
    "created_time",
    "form_id",
    "is_organic",
    "platform",
    "field_data",
    "custom_disclaimer_responses",
    *AD,
}
NAMES = {"ad_name", "adset_name", "campaign_name", "campaign_id", "adset_id"}  # these need ads permissions
# (HTTP status, message) of the numbers that the sheet names
ERRORS = {
    1: (500, "An unknown error occurred"),
    2: (503, "Service temporarily unavailable"),
    4: (403, "(#4) Application request limit reached"),
    10: (403, "(#10) Application does not have permission for this action"),
    17: (400, "(#17) User request limit reached"),
    32: (403, "(#32) Page request limit reached"),
    100: (
        400,
        "Unsupported get request. Object with ID does not exist, cannot be loaded due to missing permissions",
    ),
    190: (401, "Invalid OAuth 2.0 Access Token"),
    200: (403, "(#200) Requires leads_retrieval permission"),
    294: (403, "(#294) Managing advertisements requires an access token with the extended permission"),
    613: (400, "(#613) Calls to this api have exceeded the rate limit"),
    80005: (400, "(#80005) There have been too many leadgen api calls to this page account"),
}
CODE_OF_STATUS = {401: 190, 403: 4, 404: 100, 429: 4, 500: 1, 503: 2}
TRANSIENT = {1, 2}
LIMITS = {4, 17, 32, 613, 80005}
# How a form's fields are called when the form is in English, and when it is Italian.
KEYS = {
    "it": (
        "nome_e_cognome",
        "indirizzo_e-mail",
        "numero_di_telefono",
        "città",
        "quando_vorresti_iniziare_i_lavori?",
    ),
    "en": ("full_name", "email", "phone_number", "city", "quando_vorresti_iniziare_i_lavori?"),
}


@dataclass
class MetaKnobs(Knobs):
    access_token: Annotated[str, Says("Gettone di pagina che i client devono presentare.")] = (
        "meta-sim-page-token"
    )
    app_secret: Annotated[str, Says("Segreto con cui gli avvisi sono firmati.")] = "meta-sim-app-secret"
    webhook_url: Annotated[str, Says("Dove spedire gli avvisi.")] = ""
    ads_permission: Annotated[bool, Says("Il gettone vede i nomi di inserzioni e campagne.")] = True
    form_language: Annotated[Literal["en", "it"], Says("Lingua dei nomi dei campi del modulo.")] = "en"
    usage_percent: Annotated[int, Says("Quanto del limite risulta usato (X-App-Usage).", low=0, high=100)] = 1
    redeliveries: Annotated[int, Says("Quante volte riprova un avviso non accolto.", low=0, high=36)] = 0
    redelivery_after_s: Annotated[
        float, Says("Dopo quanto, poi il doppio ogni volta.", low=0, high=86_400)
    ] = 60.0
    oldest_versions: Annotated[int, Says("Versione più vecchia ancora viva.", low=1, high=99)] = 20
    extra_fields: Annotated[
        list[Json], Says('Altre risposte di ogni lead, come {"name": …, "values": […]}.')
    ] = field(default_factory=list)

    def check(self, name: str, value: Any) -> None:
        super().check(name, value)
        if name == "webhook_url":
            loopback_url(value)


class Meta(Simulator):
    name: ClassVar[str] = "meta"
    title: ClassVar[str] = "Meta Graph"
    knobs_type: ClassVar[type[Knobs]] = MetaKnobs
    knobs: MetaKnobs

    def __init__(self, **knobs: Any) -> None:
        super().__init__(**knobs)
        self.forget()

    def forget(self) -> None:
        self.leads: dict[str, Json] = {}
        self._lead_ids = self.ids_from(1_203_948_576_102_938)
        self.subscribed: list[str] = []

    def urls(self) -> Json:
        return super().urls() | {"send_url": f"{self.base_url}/_sim/send"}

    # ── token, versions, errors ─────────────────────────────────────────────

    def gate(self, request: Request, name: str) -> Answer | None:
        version = re.match(r"/v(\d+)\.0/", request.path)
        if version and int(version[1]) < self.knobs.oldest_versions:
            return self.graph_error(
                100, f"(#2635) You are calling a deprecated version of the Graph API: v{version[1]}.0"
            )
        token = request.header("authorization").removeprefix("Bearer ") or request.query.get(
            "access_token", ""
        )
        return None if token == self.knobs.access_token else self.graph_error(190)

    def finish(self, request: Request, name: str, answer: Answer) -> None:
        used = self.knobs.usage_percent
        usage = {"call_count": used, "total_time": used, "total_cputime": used}
        answer.headers["X-App-Usage"] = orjson.dumps(usage).decode()
        if b'"code":4,' in answer.body or b'"code":80005,' in answer.body:
            limited = {"type": "leadgen", **usage, "estimated_time_to_regain_access": 5}
            answer.headers["X-Business-Use-Case-Usage"] = orjson.dumps({PAGE_ID: [limited]}).decode()

    def graph_error(self, code: int, message: str = "", subcode: int | None = None) -> Answer:
        status, usual = ERRORS.get(code, (400, f"(#{code}) Error"))
        error: Json = {"message": message or usual, "type": "OAuthException", "code": code}
        if subcode:
            error["error_subcode"] = subcode
        if code in TRANSIENT:
            error["is_transient"] = True
        error["fbtrace_id"] = f"A{self.chance.getrandbits(64):016x}"
        return json_answer({"error": error}, status)

    def error(self, status: int, *, message: str | None = None, code: int | None = None) -> Answer:
        """Return Graph's error number `code`, or the usual one of this HTTP status."""
        number = code or CODE_OF_STATUS.get(status, 1)
        answer = self.graph_error(number, message or "", 33 if number == 100 else None)
        answer.status = status if status != 200 else answer.status
        return answer

    def unknown_route(self, request: Request) -> Answer:
        return self.graph_error(100, f"Unknown path components: {request.path}")

    # ── reading ─────────────────────────────────────────────────────────────

    @endpoint("GET", r"/v\d+\.0/(?P<node>\d+)", "node")
    def node(self, request: Request, node: str) -> Answer:
        """Answer a lead, or a form with its questions."""
        if node == FORM_ID:
            return self._form(request)
        lead = self.leads.get(node)
        if lead is None:
            return self.graph_error(
                100, f"Unsupported get request. Object with ID '{node}' does not exist", subcode=33
            )
        return self._chosen(request, [lead], lambda rows: rows[0])

    @endpoint("GET", r"/v\d+\.0/(?P<form_id>\d+)/leads", "leads")
    def form_leads(self, request: Request, form_id: str) -> Answer:
        """List a form's leads, latest first, in pages that follow a cursor."""
        try:
            limit, after = int(request.query.get("limit", 25)), int(request.query.get("after", 0))
            since = filtered_since(request.query.get("filtering", "[]"))
        except (ValueError, KeyError, TypeError):
            return self.graph_error(100, "(#100) Invalid parameter")
        leads = [lead for lead in reversed(self.leads.values()) if lead["form_id"] == form_id]
        leads = [lead for lead in leads if unix(lead["created_time"]) > since]
        rows = leads[after : after + limit]
        paging: Json = {"cursors": {"before": str(after), "after": str(after + len(rows))}}
        if after + limit < len(leads):
            others = {
                **request.query,
                "after": paging["cursors"]["after"],
                "access_token": self.knobs.access_token,
            }
            paging["next"] = str(httpx.URL(self.base_url + request.path, params=others))
        return self._chosen(request, rows, lambda chosen: {"data": chosen, "paging": paging})

    @endpoint("POST", r"/v\d+\.0/(?P<page_id>\d+)/subscribed_apps", "subscribed_apps")
    def subscribe_page(self, request: Request, page_id: str) -> Answer:
        fields = request.query.get("subscribed_fields") or request.form().get("subscribed_fields", "")
        if "leadgen" not in fields.split(","):
            return self.graph_error(100, "(#100) Param subscribed_fields must contain leadgen")
        self.subscribed.append(page_id)
        return json_answer({"success": True})

    def _form(self, request: Request) -> Answer:
        name, email, phone, city, custom = KEYS[self.knobs.form_language]
        questions = [
            {"key": name, "label": "Nome e cognome", "type": "FULL_NAME"},
            {"key": email, "label": "E-mail", "type": "EMAIL"},
            {"key": phone, "label": "Numero di telefono", "type": "PHONE"},
            {"key": city, "label": "Città", "type": "CITY"},
            {
                "key": custom,
                "label": "Quando vorresti iniziare i lavori?",
                "type": "CUSTOM",
                "options": [
                    {"key": "entro_3_mesi", "value": "Entro 3 mesi"},
                    {"key": "piu_avanti", "value": "Più avanti"},
                ],
            },
        ]
        form = {"id": FORM_ID, "name": "Infissi", "locale": "it_IT", "questions": questions}
        wanted = {
            part.partition("{")[0]
            for part in re.sub(r"\{[^}]*\}", "", request.query.get("fields", "")).split(",")
        }
        return json_answer({key: value for key, value in form.items() if key in wanted | {"id"}})

    def _chosen(self, request: Request, leads: list[Json], shape: Any) -> Answer:
        """Answer the asked fields of each lead; without `fields`, the few that Graph gives by itself."""
        wanted = {name for name in request.query.get("fields", "").split(",") if name}
        if unknown := wanted - FIELDS:
            return self.graph_error(100, f"(#100) Tried accessing nonexisting field ({min(unknown)})")
        wanted = (wanted or {"created_time", "field_data"}) | {"id"}
        if not self.knobs.ads_permission:
            wanted -= NAMES
        return json_answer(
            shape([{key: value for key, value in lead.items() if key in wanted} for lead in leads])
        )

    # ── leads and their webhooks ────────────────────────────────────────────

    def add_lead(self, given: Json | None = None) -> Json:
        """Keep a new lead and return it. `given` overrides name, email, phone, city, or any stored field."""
        given = dict(given or {})
        person = people.invent(self.chance)
        name, email, phone, city, custom = KEYS[self.knobs.form_language]
        answers = [
            (name, given.pop("name", person.name)),
            (email, given.pop("email", person.email)),
            (phone, given.pop("phone", person.phone)),
            (city, given.pop("city", person.city)),
            (custom, "entro_3_mesi"),
        ]
        organic = bool(given.pop("organic", False))
        if given.pop("test", False):
            answers = [(key, f"<test lead: dummy data for {key}>") for key, _ in answers]
        lead: Json = {
            "id": str(next(self._lead_ids)),
            "created_time": now().strftime("%Y-%m-%dT%H:%M:%S+0000"),
            **({} if organic else AD),
            "form_id": FORM_ID,
            "is_organic": organic,
            "platform": self.chance.choice(["fb", "ig"]),
            "field_data": [{"name": key, "values": [value]} for key, value in answers]
            + self.knobs.extra_fields,
            "custom_disclaimer_responses": [{"checkbox_key": "consenso_marketing", "is_checked": "1"}],
        } | given
        self.leads[lead["id"]] = lead
        return lead

    async def send(
        self,
        url: str,
        leads: list[Json],
        *,
        repeat: int = 1,
        wrong_signature: bool = False,
        ids_as_numbers: bool = False,
    ) -> list[Delivery]:
        """Tell `url` of these leads in one signed delivery, `repeat` times byte for byte."""
        body = orjson.dumps(webhook(leads, ids_as_numbers=ids_as_numbers))
        secret = self.knobs.app_secret + ("x" if wrong_signature else "")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            "X-Hub-Signature": "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest(),
            "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        }
        deliveries = [await self.post("leadgen", url, body, headers) for _ in range(repeat)]
        if deliveries[-1].status != 200 and self.knobs.redeliveries:
            self.spawn(self._redeliver(url, body, headers))
        return deliveries

    async def _redeliver(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        for attempt in range(self.knobs.redeliveries):
            await self.wait(self.knobs.redelivery_after_s * 2**attempt)
            if (await self.post("leadgen", url, body, headers)).status == 200:
                return

    async def verify(self, url: str, verify_token: str) -> bool:
        """Do the handshake before a webhook address is accepted; True when the challenge came back."""
        challenge = str(self.chance.randrange(10**9, 10**10))
        query = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": verify_token}
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=10.0) as client:
            try:
                answer = await client.get(loopback_url(url), params=query)
            except httpx.HTTPError:
                return False
        return answer.status_code == 200 and answer.text == challenge

    async def control(self, request: Request, what: str) -> Answer | None:
        match request.method, what:
            case "GET", "leads":
                return json_answer(list(self.leads.values()))
            case "PUT", "leads":
                given = request.json()
                return json_answer([self.add_lead(lead) for lead in given])
            case "POST", "subscribe":
                asked = request.form() if request.is_form() else request.json()
                return json_answer(
                    {"verified": await self.verify(asked["callback_url"], asked["verify_token"])}
                )
            case "POST", "send":
                return await self._send_as_asked(request)
        return None

    async def _send_as_asked(self, request: Request) -> Answer:
        """Take `url, lead, count, repeat, organic, test, wrong_signature, ids_as_numbers`, all optional."""
        try:
            asked: Json = dict(request.form() if request.is_form() else request.json())
            url = loopback_url(str(asked.get("url") or self.knobs.webhook_url))
            leads_count, repeat = int(asked.get("count") or 1), int(asked.get("repeat") or 1)
        except (ValueError, TypeError) as problem:
            return json_answer({"error": str(problem)}, 400)
        if not url or not 1 <= leads_count <= 1000 or not 1 <= repeat <= 100:
            return json_answer(
                {"error": "needs url or the knob webhook_url, count 1-1000, repeat 1-100"}, 400
            )
        kind = {"organic": bool(asked.get("organic")), "test": bool(asked.get("test"))}
        leads = [self.add_lead({**(asked.get("lead") or {}), **kind}) for _ in range(leads_count)]
        deliveries = await self.send(
            url,
            leads,
            repeat=repeat,
            wrong_signature=bool(asked.get("wrong_signature")),
            ids_as_numbers=bool(asked.get("ids_as_numbers")),
        )
        if request.is_form():
            return redirect("/")
        told = [{"status": sent.status, "answer": sent.answer, "error": sent.error} for sent in deliveries]
        return json_answer({"leadgen_ids": [lead["id"] for lead in leads], "deliveries": told})

    def forms(self, words: page.Words) -> str:
        again = words.gettext("Sempre la stessa consegna, byte per byte.")
        rows = [
            page.row(words.gettext("Indirizzo"), page.field("url", self.knobs.webhook_url)),
            page.row(words.gettext("Quanti lead"), page.field("count", "1")),
            page.row(words.gettext("Quante volte"), page.field("repeat", "1"), again),
            page.row(words.gettext("Senza inserzione"), page.tick("organic")),
            page.row(words.gettext("Lead di prova"), page.tick("test")),
        ]
        return page.ask(words.gettext("Spedisci un lead"), "/_sim/send", rows, words.gettext("Spedisci"))

    def panels(self, words: page.Words) -> str:
        rows = [
            [
                f"<code>{lead['id']}</code>",
                page.clock(lead["created_time"]),
                escape(lead["platform"]),
                escape("; ".join(str(row["values"][0]) for row in lead["field_data"])),
            ]
            for lead in list(self.leads.values())[: -page.ROWS_SHOWN - 1 : -1]
        ]
        heads = ["leadgen_id", words.gettext("Quando"), "", words.gettext("Risposte")]
        return page.panel("Lead", page.table(heads, rows, words.gettext("Ancora nessun lead.")))


def webhook(leads: list[Json], *, ids_as_numbers: bool = False) -> Json:
    """Return the delivery that announces these leads: ids only, no personal data."""
    as_id: Any = int if ids_as_numbers else str
    changes = []
    for lead in leads:
        ad = {} if lead["is_organic"] else {"ad_id": as_id(lead["ad_id"]), "adgroup_id": as_id(lead["ad_id"])}
        ids = {"leadgen_id": as_id(lead["id"]), "page_id": as_id(PAGE_ID), "form_id": as_id(lead["form_id"])}
        changes.append(
            {"field": "leadgen", "value": {**ad, **ids, "created_time": unix(lead["created_time"])}}
        )
    return {
        "object": "page",
        "entry": [{"id": as_id(PAGE_ID), "time": int(now().timestamp()), "changes": changes}],
    }


def unix(created_time: str) -> int:
    return int(datetime.strptime(created_time, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def filtered_since(filtering: str) -> int:
    """Return the Unix second after which leads are asked for, 0 when `filtering` does not say."""
    for rule in orjson.loads(filtering):
        if rule["field"] == "time_created" and rule["operator"] == "GREATER_THAN":
            return int(rule["value"])
    return 0
