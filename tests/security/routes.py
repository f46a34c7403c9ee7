"""Every address of the house as its own tables of routes give it, and the ids that each of them takes."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import AnonymousUser
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, get_resolver
from django.utils.datastructures import MultiValueDict

from filiera.api_urls import api
from filiera.capture.models import MarketingSource, Source, Submission
from filiera.contacts.models import Contact, DuplicateScan, DuplicateSuggestion, ImportRun, Merge, Tag
from filiera.identity.models import ApiKey, Brand, Invitation, Notification, Session, User, VaultKey
from filiera.pipeline.models import Activity, Deal, Stage
from filiera.routing.models import Agent, Connection, Decision, OutboundNumber, Process
from filiera.workspace.models import BulkRun, SavedView
from tests.security.world import World

JOB = AnonymousUser  # stands for a row of the job queue, which is no model of ours

# What an id of this name means. An id of a name that is not here fails the tests: say whose it is.
IDS: dict[str, tuple[type[Any], ...]] = {
    "activity_id": (Activity,),
    "agent_id": (Agent,),
    "brand": (Brand,),
    "brand_id": (Brand,),
    "connection_id": (Connection,),
    "contact_id": (Contact,),
    "deal": (Deal,),
    "deal_id": (Deal,),
    "decisione": (Decision,),
    "fonte": (MarketingSource,),
    "fonte_lista": (Source,),
    "Fonte": (MarketingSource,),
    "id": (Submission,),
    "import_id": (ImportRun,),
    "invitation_id": (Invitation,),
    "job_id": (JOB,),
    "key_id": (VaultKey, ApiKey),
    "lead": (Contact,),
    "leadId": (Contact,),
    "lead_id": (Contact,),
    "ids": (Contact,),
    "leadIds": (Contact,),
    "survivorId": (Contact,),
    "resta": (Contact,),
    **{
        f"da_{name}": (Contact,)
        for name in (
            *("first_name", "last_name", "email", "city", "cap", "company_name", "age"),
            *("marketing_source_id", "assigned_user_id"),
        )
    },
    "merge_id": (Merge,),
    "tag_id": (Tag,),
    "tag": (Tag,),
    "sotto": (Tag,),
    "parent_id": (Tag,),
    "entity_ids": (Contact,),
    "marketing_source": (MarketingSource,),
    "marketing_source_id": (MarketingSource,),
    "number_id": (OutboundNumber,),
    "notification_id": (Notification,),
    "one": (Submission,),
    "owner": (User,),
    "owner_id": (User,),
    "process_id": (Process,),
    "run_id": (BulkRun,),
    "request": (Submission,),
    "session_id": (Session,),
    "source": (MarketingSource, Source),
    "source_id": (Source,),
    "stage": (Stage,),
    "stage_id": (Stage,),
    "stage_ids": (Stage,),
    "submission_id": (Submission,),
    "suggestion_id": (DuplicateSuggestion,),
    "first_id": (Contact,),
    "second_id": (Contact,),
    "scan_id": (DuplicateScan,),
    "titolare": (User,),
    "user": (User,),
    "user_id": (User,),
    "view_id": (SavedView,),
    "vista": (SavedView,),
    "actor_user_id": (User,),
    "passkey_id": (Authenticator,),
    "person": (User,),
    "entity_id": (Contact,),
    "subject": (Contact,),
}
# Names in addresses, forms and queries that are no ids, with a value that lets the view go on.
PLAIN: dict[str, str] = {
    "Nome": "Adele Prova",
    "Provenienza": "Sito",
    "Telefono": "+39 351 000 5511",
    "amount": "100",
    "arrivato": "30",
    "data": "2026-01-30T10:00",
    "endDate": "",
    "expires_at": "",
    "field": "notes",
    "format": "jsonl",
    "from": "",
    "isActive": "",
    "key": "pat.0123456789abcdef",
    "kind": "webhook",
    "label": "",
    "life": "90",
    "max_concurrent_calls": "1",
    "name": "email",
    "nome": "Fiera",
    "colore": "terra",
    "color": "terra",
    "togli": "",
    "anche_sotto": "",
    "cascade": "",
    "entity_type": "contact",
    "nota": "Una nota",
    "on": "on",
    "pagina": "1",
    "path": "nota",
    "period": "30",
    "permission": "view_contacts",
    "permissions": "",
    "phone": "+39 351 000 5511",
    "provenance": "Sito",
    "q": "",
    "rate_limit_per_min": "60",
    "reason": "",
    "rule": "round_robin",
    "service": "airtable",
    "sort_order": "1",
    "source_name": "",
    "startDate": "",
    "state": "on",
    "stato": "",
    "tipo": "nota",
    "to": "",
    "token": "no-token",
    "type": "nota",
    "value": "adele@posta.example",
    "version": "1",
    "view": "all",
    "weight": "1",
}


@dataclass(frozen=True)
class Route:
    """A method on an address. `query` and `body` name what it takes, as the document of the API says."""

    method: str
    address: str
    query: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    is_public: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.address}"

    @property
    def names(self) -> list[str]:
        return re.findall(r"<(?:\w+:)?(\w+)>", self.address)

    @property
    def is_api(self) -> bool:
        return self.address.startswith("/api/")

    def filled(self, values: dict[str, str]) -> str:
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: values[found[1]], self.address)


def pages() -> list[Route]:
    """Return every address outside the versioned API, once for each method that it might answer."""
    found = []
    for address, pattern in _walk(get_resolver().url_patterns, "/"):
        if not address.startswith("/api/v1/") or "webhooks" in address:
            public = not getattr(pattern.callback, "login_required", True)
            methods = ("GET", "POST", "PATCH", "DELETE") if address.startswith("/api/") else ("GET", "POST")
            found += [Route(method, address, is_public=public) for method in methods]
    return found


def _walk(patterns: Any, before: str) -> Iterator[tuple[str, URLPattern]]:
    for one in patterns:
        address = f"{before}{one.pattern}"
        if isinstance(one, URLPattern):
            yield address, one
        else:
            yield from _walk(one.url_patterns, address)


def operations() -> list[Route]:
    """Return every operation of the versioned API, from its document."""
    document = api.get_openapi_schema()
    found = []
    for address, methods in document["paths"].items():
        for method, operation in methods.items():
            query = {
                one["name"]: one["schema"] for one in operation.get("parameters", []) if one["in"] == "query"
            }
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            body = _resolved(content["schema"], document) if content else None
            found.append(Route(method.upper(), re.sub(r"{(\w+)}", r"<\1>", address), query=query, body=body))
    return found


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    for one in schema.get("anyOf", []):
        if one.get("type") != "null":
            return _resolved(one, document)
    if "$ref" in schema:
        return dict(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return schema


def takes_id(schema: dict[str, Any]) -> bool:
    """Return whether the document says that this is an id, or several."""
    return "'format': 'uuid'" in str(schema)


# Asking


@contextmanager
def watching_names() -> Iterator[set[str]]:
    """Collect the names that a view reads from its form and its query."""
    seen: set[str] = set()
    plain_item, plain_list = MultiValueDict.__getitem__, MultiValueDict.getlist

    def item(self: Any, key: str) -> Any:
        if isinstance(key, str):  # the resolver keeps views in such dictionaries too
            seen.add(key)
        return plain_item(self, key)

    def several(self: Any, key: str, default: Any = None) -> Any:
        if isinstance(key, str):  # the resolver keeps views in such dictionaries too
            seen.add(key)
        return plain_list(self, key, default)

    with patch.multiple(MultiValueDict, __getitem__=item, getlist=several):
        yield seen


def id_of(world: World, model: type[Any]) -> str:
    """Return the id of the world's row of a model, of its owner, of its brand or of its job."""
    if model is JOB:
        return str(world.job_id)
    return {User: str(world.owner.pk), Brand: str(world.brand.pk)}.get(model) or world.id_of(model)


def random_id(model: type[Any]) -> str:
    return "987654321" if model in (JOB, Authenticator) else "01a20000-0000-7000-8000-00000000dead"


def values_of(world: World) -> dict[str, str]:
    """Return a value for every known name, the ids being the world's own."""
    return {**PLAIN, **{name: id_of(world, models[0]) for name, models in IDS.items()}}


ASKED: Counter[str] = Counter()
"""Requests sent, by the file of the test that sent them."""


def ask(client: Client, route: Route, values: dict[str, str], **headers: str) -> Any:
    """Send a request that carries all values wherever the route takes them; what is streamed is read to its end."""
    answer = _ask(client, route, values, **headers)
    if not getattr(answer, "streaming", False):
        return answer
    whole = HttpResponse(
        b"".join(answer.streaming_content), status=answer.status_code, headers=dict(answer.headers)
    )
    whole.cookies = answer.cookies
    return whole


def _ask(client: Client, route: Route, values: dict[str, str], **headers: str) -> Any:
    ASKED[os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[0].rpartition("/")[2]] += 1
    address = route.filled(values)
    deal = {"deal": f"{values['deal']}:1:{values['stage']}"}
    options: dict[str, Any] = {"headers": headers}
    if route.query or not route.address.startswith("/api/v1/"):
        named = route.query or dict.fromkeys([*IDS, *PLAIN])
        sent = {name: _given(name, route.query.get(name), values) for name in named}
        options["query_params"] = {name: value for name, value in (sent | deal).items() if value != ""}
        if not route.query and route.method == "POST" and not route.is_api:
            form = {"deal": f"{values['deal']}:1"} if "undo" not in address else {}
            return client.post(address, options["query_params"] | form, **options)
    if route.body is not None:
        properties, required = route.body.get("properties", {}), route.body.get("required", [])
        body = {
            name: _given(name, schema, values)
            for name, schema in properties.items()
            if name in required or takes_id(schema)
        }
        options |= {"data": body, "content_type": "application/json"}
    elif route.method in ("POST", "PATCH") and not route.address.startswith("/api/v1/"):
        data = {name: values[name] for name in ("leadId", "Nome", "Telefono", "Provenienza", "tipo", "nota")}
        if "leads/" in address:
            data = {"Fonte": [values["Fonte"]]}
        options |= {"data": data, "content_type": "application/json"}
    return client.generic(route.method, address, **_bytes(options))


def _bytes(options: dict[str, Any]) -> dict[str, Any]:
    import orjson

    data = options.pop("data", None)
    return options if data is None else {**options, "data": orjson.dumps(data)}


def _given(name: str, schema: dict[str, Any] | None, values: dict[str, str]) -> Any:
    if schema is None:
        return values[name]
    value: Any = values.get(name, schema.get("default") or (schema.get("enum") or ["prova"])[0])
    if schema.get("type") == "array":
        return [values[name]] if values.get(name) else []
    if schema.get("type") in ("integer", "number"):
        return value if str(value).isdecimal() else 1
    return "" if schema.get("type") in ("boolean", None) and name not in values else value


# What differs between any two answers: tokens of forms, ids and keys of what was made, moments, the size on disk.
ONLY_ONCE = {
    r"\b[A-Za-z0-9]{64}\b": "token",
    r"(req-)?[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}": "…",
    r"\bfil_[\w-]{43}": "key",
    r"finisce per [\w-]{4}": "end of key",
    r"(job_id=|jobs/)\d+": "job",
    r"(passkey_id=|passkeys/)\d+": "passkey",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?": "moment",
    r"\d+ MB, \d+ collegament[io]": "size of the database",
}


def told(answer: Any) -> tuple[int, str, str, str]:
    """Return what an answer says, without what differs between any two."""
    text = answer.content.decode()
    where = answer.headers.get("Location", "")
    for random, word in ONLY_ONCE.items():
        text, where = re.sub(random, word, text), re.sub(random, word, where)
    return answer.status_code, answer.headers.get("Content-Type", ""), where, text


def model_label(model: type[Any]) -> str:
    return "job" if model is JOB else model._meta.label if issubclass(model, Model) else str(model)
