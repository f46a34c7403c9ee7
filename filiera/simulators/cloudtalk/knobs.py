"""What the CloudTalk simulator can be told to do."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from filiera.simulators.knobs import Json, Knobs, Says, loopback_url


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
