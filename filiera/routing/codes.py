"""The seven outcomes of routing.md 4.3, their HTTP status and their Italian words."""

from __future__ import annotations

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

NO_AGENTS_AVAILABLE: Final = "NO_AGENTS_AVAILABLE"
MISSING_PHONE: Final = "MISSING_PHONE"
CONTACT_CREATION_FAILED: Final = "CONTACT_CREATION_FAILED"
AGENT_NOT_AVAILABLE: Final = "AGENT_NOT_AVAILABLE"
AGENT_BUSY: Final = "AGENT_BUSY"
INVALID_PHONE: Final = "INVALID_PHONE"
CALL_FAILED: Final = "CALL_FAILED"
STARTED: Final = "CALL_INITIATED_SUCCESSFULLY"

# Not an outcome of the API: the agents let it ring, which is no error (ROU-67), or it could not be settled.
NOT_PICKED_UP: Final = "NOT_PICKED_UP"
NOT_CONFIRMED: Final = "NOT_CONFIRMED"
# Nor this: the person may not be rung (`gate`), and nobody is told to do it by hand.
NOT_ALLOWED: Final = "CALL_NOT_ALLOWED"
# Marks of an attempt that counts as no try: the same agent is asked again.
RATE_LIMITED: Final = "RATE_LIMITED"
NOT_SENT: Final = "NOT_SENT"

RETRYABLE: Final = frozenset({NO_AGENTS_AVAILABLE, AGENT_NOT_AVAILABLE, AGENT_BUSY, CALL_FAILED})
NO_TRY: Final = frozenset({RATE_LIMITED, NOT_SENT})

HTTP_STATUS: Final[dict[str, int]] = {
    NO_AGENTS_AVAILABLE: 503,
    MISSING_PHONE: 400,
    CONTACT_CREATION_FAILED: 422,
    AGENT_NOT_AVAILABLE: 503,
    AGENT_BUSY: 503,
    INVALID_PHONE: 400,
    CALL_FAILED: 500,
}

# Fixed by the contract: part of an answer that machines read, never translated.
MEANINGS: Final[dict[str, str]] = {
    NO_AGENTS_AVAILABLE: "Nessun agente disponibile",
    MISSING_PHONE: "Telefono mancante nel lead",
    CONTACT_CREATION_FAILED: "Errore creazione contatto CT",
    AGENT_NOT_AVAILABLE: "Agente non disponibile",
    AGENT_BUSY: "Agente impegnato",
    INVALID_PHONE: "Numero telefono non valido",
    CALL_FAILED: "Errore generico chiamata",
}

# What a person reads: what happened, and what to do.
SENTENCES: Final[dict[str, Promise]] = {
    NO_AGENTS_AVAILABLE: _("Nessun agente era disponibile"),
    MISSING_PHONE: _("Nel lead manca il telefono"),
    CONTACT_CREATION_FAILED: _("Il centralino non ha accettato il contatto"),
    AGENT_NOT_AVAILABLE: _("Gli agenti scelti non erano più disponibili"),
    AGENT_BUSY: _("Gli agenti scelti erano al telefono"),
    INVALID_PHONE: _("Il numero non si può chiamare"),
    CALL_FAILED: _("La chiamata non è partita"),
    NOT_PICKED_UP: _("Nessun agente ha risposto allo squillo"),
    NOT_CONFIRMED: _("Non sappiamo com’è finita la chiamata"),
    NOT_ALLOWED: _("Questa persona non si può chiamare"),
    RATE_LIMITED: _("Il centralino ha chiesto di aspettare"),
    NOT_SENT: _("Il centralino non era raggiungibile"),
}


def sentence(code: str) -> str:
    """Return the Italian (or English) words for a code; the code itself when it is not one of ours."""
    return str(SENTENCES.get(code, code))
