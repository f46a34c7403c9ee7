"""The reasons of a suggestion in words."""

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from filiera.contacts.duplicates import rule
from filiera.contacts.models import DuplicateSuggestion

SENTENCES = {
    "tax_code_same": gettext_noop("stesso codice fiscale"),
    "number_same": gettext_noop("stesso numero di telefono"),
    "email_same": gettext_noop("stessa e-mail"),
    "number_shared": gettext_noop("stesso numero, che hanno anche altri"),
    "email_shared": gettext_noop("stessa e-mail, che hanno anche altri"),
    "number_nearly": gettext_noop("numeri con una cifra diversa"),
    "email_nearly": gettext_noop("e-mail con una lettera diversa"),
    "swapped": gettext_noop("nome e cognome scambiati"),
    "given_nickname": gettext_noop("un nome e il suo diminutivo"),
    "given_slip": gettext_noop("nome quasi uguale"),
    "given_initial": gettext_noop("un nome e la sua iniziale"),
    "surname_slip": gettext_noop("cognome quasi uguale"),
    "surname_initial": gettext_noop("un cognome e la sua iniziale"),
    "place_same": gettext_noop("stesso CAP"),
    "place_shared": gettext_noop("stessa città"),
    "company_same": gettext_noop("stessa azienda"),
}
AGAINST = {
    "given_other": gettext_noop("nomi diversi"),
    "surname_other": gettext_noop("cognomi diversi"),
    "number_other": gettext_noop("numeri diversi"),
    "email_other": gettext_noop("e-mail diverse"),
    "place_other": gettext_noop("città diverse"),
}


def in_words(suggestion: DuplicateSuggestion) -> list[str]:
    """Return what speaks for one person, the strongest first."""
    said = [_("stesso nome e cognome")] if {"given_equal", "surname_equal"} <= set(suggestion.reasons) else []
    said += [_(words) for code, words in SENTENCES.items() if code in suggestion.reasons]
    if not suggestion.reasons:
        said = by_rule(suggestion.rule, suggestion.similarity)
    if not said and suggestion.reason == "phone_and_email":
        said = [_("il telefono dice una persona, l’e-mail un’altra")]
    return said


def against(suggestion: DuplicateSuggestion) -> list[str]:
    """Return what speaks for two people."""
    return [_(words) for code, words in AGAINST.items() if code in suggestion.reasons]


def by_rule(bits: int, similarity: int) -> list[str]:
    """Return in words why the rule joins two people."""
    said = {
        rule.PHONE: _("stesso numero di telefono"),
        rule.EMAIL: _("stessa e-mail"),
        rule.NAME: _("nomi simili al %(percent)s %%") % {"percent": similarity},
    }
    return [words for bit, words in said.items() if bits & bit]


def codes(bits: int) -> Sequence[str]:
    """Return the reasons of the rule as the API calls them: name, email, phone."""
    return [name for name, bit in rule.REASONS.items() if bits & bit]
