"""Knobs: what a simulator can be told to do, typed, checked, and explained where they are declared."""

from __future__ import annotations

import types
import typing
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

Json = dict[str, Any]


class BadKnobs(Exception):
    """What was sent is not a valid setting; `problems` maps each knob to the reason."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__(problems)
        self.problems = problems


@dataclass(frozen=True)
class Says:
    """What a knob does, in words for its page, and the bounds of a number (both included)."""

    text: str
    low: float | None = None
    high: float | None = None


@dataclass
class Scripted:
    """One answer decided in advance, for the next request to `endpoint` ("*" is any)."""

    endpoint: str = "*"
    status: int | None = None  # None: the real answer, only late, lost or spoiled
    message: str | None = None  # in the provider's error shape
    body: Any = None  # instead of the provider's error shape
    code: int | None = None  # Graph's own error number
    delay_s: float = 0.0
    drop: bool = False  # hang up without an answer
    garbage: str | bool = False  # True or "text": no JSON; "json": JSON of another shape; "http": no HTTP
    happens: bool | None = None  # whether the request takes effect; None: unless `status` is given
    times: int = 1

    @property
    def takes_effect(self) -> bool:
        return self.status is None if self.happens is None else self.happens


@dataclass
class Knobs:
    """The knobs that every simulator has."""

    seed: Annotated[int, Says("Seme del caso: con lo stesso seme succedono le stesse cose; 0 = mai.")] = 0
    time_scale: Annotated[
        float,
        Says(
            "Secondi simulati in un secondo vero: 10 fa squillare dieci volte più in fretta.",
            low=0.01,
            high=10_000,
        ),
    ] = 1.0
    down: Annotated[bool, Says("Non risponde più a nessuno.")] = False
    down_how: Annotated[
        Literal["reset", "hang", "503"], Says("Come non risponde: riaggancia, tace (fino a 60 s), o 503.")
    ] = "reset"
    delay_s: Annotated[float, Says("Ritardo di ogni risposta, in secondi veri.", low=0, high=120)] = 0.0
    error_rates: Annotated[
        Json, Says('Frequenza dei guasti per chiamata e stato, come {"calls/create": {"500": 0.1}}.')
    ] = field(default_factory=dict)
    next_responses: Annotated[
        list[Json],
        Says("Prossime risposte: endpoint, status, message, body, delay_s, drop, garbage, happens, times."),
    ] = field(default_factory=list)
    log_limit: Annotated[int, Says("Quante richieste tiene il registro.", low=1, high=1_000_000)] = 10_000

    @classmethod
    def of(cls, values: Json) -> Self:
        """Build from plain values. Raises BadKnobs."""
        knobs = cls()
        knobs.update(values)
        return knobs

    def update(self, values: Any) -> None:
        """Change the knobs that `values` names, all or none. Raises BadKnobs."""
        if not isinstance(values, dict):
            raise BadKnobs({"*": "expected a JSON object"})
        checked, problems = {}, {}
        hints = self.hints()
        for name, value in values.items():
            if name not in hints:
                problems[name] = "unknown knob"
                continue
            try:
                checked[name] = _checked(value, hints[name])
                self.check(name, checked[name])
            except ValueError as problem:
                problems[name] = str(problem)
        if problems:
            raise BadKnobs(problems)
        for name, value in checked.items():
            setattr(self, name, value)

    def check(self, name: str, value: Any) -> None:
        """Refuse a well-typed value that makes no sense. Raises ValueError."""
        if name == "next_responses":
            for item in value:
                scripted_from(item)
        if name == "error_rates":
            for endpoint, rates in value.items():
                if not isinstance(rates, dict) or not all(
                    str(status).isdigit() and isinstance(rate, int | float) and 0 <= rate <= 1
                    for status, rate in rates.items()
                ):
                    raise ValueError(f"rates of {endpoint}: expected statuses mapped to numbers from 0 to 1")

    @classmethod
    def hints(cls) -> dict[str, Any]:
        """Return each knob's type with its `Says`, in the order of declaration."""
        hints = typing.get_type_hints(cls, include_extras=True)
        return {knob.name: hints[knob.name] for knob in fields(cls)}

    def as_json(self) -> Json:
        return asdict(self)


def scripted_from(item: Any) -> Scripted:
    """Read one element of `next_responses`. Raises ValueError."""
    item = _checked(item, Json)
    hints = typing.get_type_hints(Scripted)
    unknown = set(item) - set(hints)
    if unknown:
        raise ValueError(f"unknown key {min(unknown)}")
    scripted = Scripted(**{name: _checked(value, hints[name]) for name, value in item.items()})
    scripted.endpoint = endpoint_name(scripted.endpoint)
    if scripted.times < 1:
        raise ValueError("times must be at least 1")
    return scripted


def endpoint_name(text: str) -> str:
    """Return "calls/create" for "/api/calls/create.json" and for itself."""
    return text.removeprefix("/").removeprefix("api/").removesuffix(".json")


def loopback_url(value: str) -> str:
    """Return `value` when empty or an http address on this machine. Raises ValueError otherwise."""
    host = urlsplit(value).hostname or ""
    if value and not (host in {"localhost", "::1"} or host.startswith("127.")):
        raise ValueError("a simulator posts to this machine only")
    if value and urlsplit(value).scheme != "http":
        raise ValueError("expected an http address")
    return value


def _checked(value: Any, hint: Any) -> Any:
    """Return `value` as `hint` wants it. Raises ValueError with the reason."""
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        checked = _checked(value, options[0])
        says: Says = options[1]
        if (says.low is not None and checked < says.low) or (says.high is not None and checked > says.high):
            raise ValueError(f"expected {says.low} to {says.high}")
        return checked
    if hint is Any:
        return value
    if origin in {typing.Union, types.UnionType}:
        return _checked_as_one_of(value, options)
    if origin is Literal:
        if value not in options:
            raise ValueError(f"expected one of {', '.join(map(str, options))}")
        return value
    if origin is list and isinstance(value, list):
        return [_checked(item, options[0]) for item in value]
    if hint is float and isinstance(value, int):  # booleans too: "always" and "never" of a frequency
        return float(value)
    expected = origin or hint
    if not isinstance(value, expected) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"expected {expected.__name__}")
    return value


def _checked_as_one_of(value: Any, hints: tuple[Any, ...]) -> Any:
    for hint in hints:
        try:
            return _checked(value, hint)
        except ValueError:
            continue
    raise ValueError("expected " + " or ".join(getattr(hint, "__name__", str(hint)) for hint in hints))
