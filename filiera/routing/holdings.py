"""What this room holds about a person."""

from uuid import UUID

from django.utils.translation import gettext_noop as _

from filiera.contacts.holdings import THEIRS
from filiera.platform import holdings
from filiera.platform.holdings import Holding, Texts
from filiera.routing.models import Agent


def register() -> None:
    """Say what is here, and what is about nobody."""
    holdings.register(
        Holding(
            "routing_callattempt",
            _("Chiamate"),
            "row.process_id in (select id from routing_process where contact_id = any(%(people)s::uuid[]))",
            erased=dict.fromkeys(("number_e164", "recording_url", "error_message"), Texts.EMPTY),
            plain=("state", "error_code", "call_uuid", "call_id"),
        ),
        Holding(
            "routing_decision",
            _("A quale agente sono state affidate, e perché"),
            THEIRS,
            is_kept=True,
            plain=("rule", "candidates", "state_before", "state_after", "reason"),
        ),
        Holding(
            "routing_process",
            _("Richieste di chiamata"),
            THEIRS,
            erased={
                **dict.fromkeys(("number_e164", "error_message"), Texts.EMPTY),
                **dict.fromkeys(("lead", "steps"), Texts.OBJECT),
                "state": "'done'",
                "due_at": Texts.NULL,
            },
            plain=("number", "type", "basis", "final_status", "error_code"),
        ),
        Holding(
            "routing_providercontact",
            _("A chi li abbiamo mandati: il centralino"),
            "row.number_e164 = any(%(numbers)s::text[])",
            is_removed=True,
            order="created_at",
        ),
    )
    holdings.about_nobody(
        routing_agent="colleagues, not people of the database",
        routing_alert="conditions of the house",
        routing_connection="accounts at providers",
        routing_dailymetrics="counts",
        routing_outboundnumber="the brand's own numbers",
        routing_registercheck="checks of whole lists: counts",
        routing_registerresult="keyed hashes: what the opposition register said",
        routing_routingstate="the turn of the agents",
    )


def forget_colleague(user_id: UUID, _was: str, name: str) -> list[UUID]:
    """Take the name off the telephone of who closed their account: the line may ring for somebody else."""
    lines = Agent.objects.filter(user_id=user_id)
    ids = list(lines.values_list("id", flat=True))
    lines.update(name=name, user=None)
    return ids
