"""What every simulator does: keep a log, obey its knobs, show a page, post webhooks, stop cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, ClassVar, TypeVar

import orjson

from filiera.simulators import page
from filiera.simulators.http import (
    Answer,
    BadRequest,
    HttpServer,
    Poster,
    Request,
    Silence,
    json_answer,
    redirect,
    text_answer,
)
from filiera.simulators.knobs import (
    BadKnobs,
    Json,
    Knobs,
    Scripted,
    endpoint_name,
    loopback_url,
    scripted_from,
)

logger = logging.getLogger("simulators")

LONGEST_SILENCE_S = 60.0
SECRET_HEADERS = frozenset({"authorization", "x-api-key", "cookie", "x-webhook-token"})
SECRET_QUERY = re.compile(r"(?<=access_token=)[^&]+")

Handler = TypeVar("Handler", bound=Callable[..., Answer | Awaitable[Answer]])


@dataclass(slots=True)
class LogEntry:
    """One request as it arrived; `status` stays None while it is not answered, and when it never is."""

    at: str
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int | None = None


@dataclass(slots=True)
class Delivery:
    """One webhook that we sent; `status` None means that nobody answered, and `error` says why."""

    at: str
    kind: str
    url: str
    body: Any
    status: int | None = None
    answer: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    method: str
    pattern: re.Pattern[str]
    name: str
    handler_name: str


@dataclass(slots=True)
class Warned:
    """Something the provider would swallow silently and a careful client would not send."""

    at: str
    method: str
    path: str
    message: str


def endpoint(method: str, path: str, name: str) -> Callable[[Handler], Handler]:
    """Mark a method of a Simulator as the answer to `method` and `path` (a regular expression)."""

    def mark(handler: Handler) -> Handler:
        handler.endpoint = (method, re.compile(path), name)  # type: ignore[attr-defined]
        return handler

    return mark


def now() -> datetime:
    return datetime.now(UTC)


def moment(at: datetime) -> str:
    """Return an instant as 2026-01-10T08:33:37.000Z."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def masked(name: str, value: str) -> str:
    """Return a header's value with a secret cut after its first characters."""
    if name.lower() not in SECRET_HEADERS:
        return value
    scheme, _, secret = value.rpartition(" ")
    return f"{scheme} {secret[:4]}…".strip()


class Simulator:
    """A provider that lives in one event loop. Subclasses add endpoints, state and knobs."""

    name: ClassVar[str]
    title: ClassVar[str]
    knobs_type: ClassVar[type[Knobs]] = Knobs
    api_path: ClassVar[str] = ""  # what a client's base URL ends with
    endpoints: ClassVar[list[Endpoint]] = []

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        marked = [(name, getattr(value, "endpoint", None)) for name, value in vars(cls).items()]
        cls.endpoints = [
            *cls.endpoints,
            *(Endpoint(mark[0], mark[1], mark[2], name) for name, mark in marked if mark),
        ]

    def __init__(self, **knobs: Any) -> None:
        self.knobs: Any = self.knobs_type.of(knobs)
        self._first_knobs = self.knobs.as_json()
        self.base_url = ""
        self._server = HttpServer(self._handle)
        self._poster = Poster()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._forget()

    # ── life ────────────────────────────────────────────────────────────────

    async def start(self, port: int = 0) -> None:
        """Listen on loopback; the system chooses the port for 0. Raises OSError when the port is taken."""
        self.base_url = f"http://127.0.0.1:{await self._server.start(port)}"

    async def stop(self) -> None:
        await self._server.stop()
        await self._cancel_tasks()
        self._poster.close()

    def urls(self) -> Json:
        """Return where it is found, as written to demo.json."""
        return {
            "base_url": self.base_url,
            "api_url": self.base_url + self.api_path,
            "log_url": f"{self.base_url}/_sim/log",
            "knobs_url": f"{self.base_url}/_sim/knobs",
        }

    async def reset(self) -> None:
        """Go back to how it was set up: knobs as given at start, agents as loaded, nothing received."""
        await self._cancel_tasks()
        self.knobs.update(self._first_knobs)
        self._forget()
        self.forget()

    def _forget(self) -> None:
        self.log: deque[LogEntry] = deque(maxlen=self.knobs.log_limit)
        self.warnings: deque[Warned] = deque(maxlen=1000)
        self.deliveries: deque[Delivery] = deque(maxlen=self.knobs.log_limit)
        self.counters: Counter[str] = Counter()
        self.violations: list[Json] = []
        self.chance = random.Random(self.knobs.seed or None)

    def forget(self) -> None:
        """Drop what this provider has come to know since it was set up."""

    def ids_from(self, first: int) -> Iterator[int]:
        """Return ids that count up: from `first` with a seed, else from later ones at every start.

        Whoever remembers the ids of an earlier run would take repeated ones for repetitions.
        """
        return count(first if self.knobs.seed else first + time.time_ns() // 1_000_000)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something beside the request that started it, until `stop` or `reset`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._settle)
        return task

    def _settle(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("%s: a task failed", self.name, exc_info=task.exception())

    async def _cancel_tasks(self) -> None:
        mine = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)

    async def wait(self, simulated_s: float) -> None:
        await asyncio.sleep(simulated_s / self.knobs.time_scale)

    def happens(self, probability: float) -> bool:
        """Throw the seeded dice."""
        return probability > 0 and self.chance.random() < probability

    # ── answering ───────────────────────────────────────────────────────────

    async def _handle(self, request: Request) -> Answer | Silence:
        if request.path == "/" or request.path.startswith("/_sim/"):
            return await self._control(request)
        entry = self.record(
            request.method,
            SECRET_QUERY.sub(lambda found: f"{found[0][:4]}…", request.target),
            {name: masked(name, value) for name, value in request.headers.items()},
            logged_body(request),
        )
        answer = await self._answer(request)
        if isinstance(answer, Answer):
            entry.status = answer.status
        return answer

    def record(self, method: str, path: str, headers: dict[str, str], body: Any) -> LogEntry:
        entry = LogEntry(moment(now()), method, path, headers, body)
        self.log.append(entry)
        return entry

    async def _answer(self, request: Request) -> Answer | Silence:
        if self.knobs.down:
            return await self._refuse_everything()
        found = self._find(request)
        name = found[0].name if found else "unknown"
        refusal = self.gate(request, name)
        scripted = None if refusal else self._next_scripted(name)
        if refusal is not None:
            answer = refusal
        elif scripted is not None and not scripted.takes_effect:
            answer = self._scripted_answer(scripted)
        else:
            answer = await self._call(found, request)
            if scripted is not None and scripted.status is not None:
                answer = self._scripted_answer(scripted)
        await asyncio.sleep(self.knobs.delay_s + (scripted.delay_s if scripted else 0))
        self.count(f"{name} {answer.status}")
        self.finish(request, name, answer)
        return self._spoiled(answer, scripted) if scripted else answer

    async def _refuse_everything(self) -> Answer | Silence:
        if self.knobs.down_how == "503":
            return text_answer("Service Unavailable", 503)
        if self.knobs.down_how == "hang":
            await asyncio.sleep(LONGEST_SILENCE_S)
        return Silence()

    def _find(self, request: Request) -> tuple[Endpoint, dict[str, str]] | None:
        for candidate in self.endpoints:
            if candidate.method == request.method and (match := candidate.pattern.fullmatch(request.path)):
                return candidate, match.groupdict()
        return None

    async def _call(self, found: tuple[Endpoint, dict[str, str]] | None, request: Request) -> Answer:
        if found is None:
            return self.unknown_route(request)
        answer = getattr(self, found[0].handler_name)(request, **found[1])
        result: Answer = await answer if asyncio.iscoroutine(answer) else answer
        return result

    def _next_scripted(self, name: str) -> Scripted | None:
        waiting = self.knobs.next_responses
        for item in waiting:
            if endpoint_name(item.get("endpoint", "*")) in {name, "*"}:
                item["times"] = item.get("times", 1) - 1
                if item["times"] <= 0:
                    waiting.remove(item)
                return scripted_from({**item, "times": 1})
        rates = {**self.knobs.error_rates.get("*", {}), **self.knobs.error_rates.get(name, {})}
        for status, rate in rates.items():
            if self.happens(rate):
                return Scripted(name, status=int(status))
        return None

    def _scripted_answer(self, scripted: Scripted) -> Answer:
        status = scripted.status or 200
        if scripted.body is not None:
            return json_answer(scripted.body, status)
        return self.error(status, message=scripted.message, code=scripted.code)

    def _spoiled(self, answer: Answer, scripted: Scripted) -> Answer | Silence:
        if scripted.drop:
            return Silence()
        match scripted.garbage:
            case "http":
                return Silence(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
            case "json":
                return json_answer(["unexpected", {"shape": None}], answer.status)
            case False:
                return answer
            case _:
                return text_answer("<html><body>Bad gateway <responseData>", answer.status, "text/html")

    def gate(self, request: Request, name: str) -> Answer | None:
        """Refuse a request before anything else: key, rate limit."""
        return None

    def finish(self, request: Request, name: str, answer: Answer) -> None:
        """Add what every answer of this provider carries."""

    def error(self, status: int, *, message: str | None = None, code: int | None = None) -> Answer:
        """Return an error in the provider's own shape."""
        return json_answer({"message": message or "Error"}, status)

    def unknown_route(self, request: Request) -> Answer:
        return json_answer({"message": "Not Found"}, 404)

    def count(self, what: str, by: int = 1) -> None:
        self.counters[what] += by

    def warn(self, request: Request, message: str) -> None:
        self.warnings.append(Warned(moment(now()), request.method, request.target, message))

    # ── posting ─────────────────────────────────────────────────────────────

    async def post(
        self, kind: str, url: str, body: bytes, headers: dict[str, str], shown: Any = None
    ) -> Delivery:
        """Send a webhook once and return what became of it; never raises for a receiver that misbehaves."""
        loopback_url(url)
        delivery = Delivery(moment(now()), kind, url, orjson.loads(body) if shown is None else shown)
        self.deliveries.append(delivery)
        try:
            delivery.status, answer = await self._poster.post(url, body, headers)
            delivery.answer = answer[:2000].decode("utf-8", "replace")[:500]
        except (OSError, TimeoutError, BadRequest) as trouble:
            delivery.error = f"{type(trouble).__name__}: {trouble}"
        self.count(f"sent {kind} {delivery.status or 'lost'}")
        return delivery

    # ── control and page ────────────────────────────────────────────────────

    async def _control(self, request: Request) -> Answer | Silence:
        what = request.path.removeprefix("/_sim/")
        match request.method, what:
            case "GET", "/":
                return text_answer(page.whole(self, request), content_type="text/html; charset=utf-8")
            case "GET", "live":
                return text_answer(page.live(self, request), content_type="text/html; charset=utf-8")
            case "GET", "simulators.css" | "simulators.js":
                return page.asset(what)
            case "GET", "log":
                return json_answer([asdict(entry) for entry in self.log])
            case "DELETE", "log":
                self.log.clear()
                return json_answer([])
            case "GET", "deliveries":
                return json_answer([asdict(delivery) for delivery in self.deliveries])
            case "GET", "warnings":
                return json_answer([asdict(warning) for warning in self.warnings])
            case "GET", "counters":
                return json_answer({**self.counters, "violations": len(self.violations)})
            case "GET", "violations":
                return json_answer(self.violations)
            case "GET", "knobs":
                return json_answer(self.knobs.as_json())
            case "PUT" | "PATCH" | "POST", "knobs":
                return self._set_knobs(request)
            case "POST", "reset":
                await self.reset()
                return redirect("/") if request.is_form() else json_answer({"reset": True})
            case _:
                return await self.control(request, what) or json_answer({"error": "not found"}, 404)

    async def control(self, request: Request, what: str) -> Answer | None:
        """Answer a control request of this simulator's own, under /_sim/."""
        return None

    def _set_knobs(self, request: Request) -> Answer:
        try:
            values = page.knobs_from_form(self.knobs, request.form()) if request.is_form() else request.json()
            self.set_knobs(values)
        except BadKnobs as refused:
            return json_answer({"error": "bad knobs", "details": refused.problems}, 400)
        except ValueError:
            return json_answer({"error": "not JSON"}, 400)
        return redirect("/") if request.is_form() else json_answer(self.knobs.as_json())

    def set_knobs(self, values: Json) -> None:
        """Change some knobs. Raises BadKnobs."""
        self.knobs.update(values)
        if "seed" in values:
            self.chance.seed(self.knobs.seed or None)
        if "log_limit" in values:
            self.log = deque(self.log, self.knobs.log_limit)
            self.deliveries = deque(self.deliveries, self.knobs.log_limit)

    def panels(self, words: page.Words) -> str:
        """Return this provider's own part of the page, as HTML."""
        return ""

    def forms(self, words: page.Words) -> str:
        """Return the part of the page that asks for something, as HTML; it is not refreshed."""
        return ""


def logged_body(request: Request) -> Any:
    """Return a body as the log shows it: JSON as JSON, anything else as text, nothing as null."""
    if not request.body:
        return None
    with contextlib.suppress(ValueError):
        return request.json()
    return request.body.decode("utf-8", "replace")


@dataclass(slots=True)
class Problems:
    """What is wrong with a body, field by field, while it is being read; `unknown` is only remarked."""

    errors: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def add(self, name: str, message: str) -> None:
        self.errors.setdefault(name, []).append(message)

    def text(self, body: Json, name: str, longest: int, *, required: bool = False) -> str:
        """Return a text field, "" when absent."""
        value = body.get(name)
        if value is None or value == "":
            if required:
                self.add(name, "This field is required.")
            return ""
        if not isinstance(value, str):
            self.add(name, "Expected a string.")
            return ""
        if len(value) > longest:
            self.add(name, f"Expected at most {longest} characters.")
        return value

    def rows(self, body: Json, name: str) -> list[Json] | None:
        """Return a list of objects, None when absent; "" stands for the empty list."""
        if name not in body:
            return None
        value = body[name]
        if value == "" or value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            self.add(name, "Expected a list of objects.")
            return []
        return value

    def only(self, body: Json, known: set[str], where: str = "") -> None:
        self.unknown += [f"unknown field {where}{name}" for name in body if name not in known]
