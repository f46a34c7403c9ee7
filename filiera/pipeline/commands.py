"""The verbs that write deals, stages and activities."""

from filiera.contacts.models import LeadState
from filiera.pipeline.models import Activity, Stage, StateRule
from filiera.platform import brand_scope

_STATE_RULES = {
    Activity.Type.CHIAMATA: LeadState.IN_CONTATTO,
    Activity.Type.VISITA: LeadState.CALDO,
    Activity.Type.PREVENTIVO: LeadState.ATTESA_ORDINE,
    Activity.Type.ORDINE: LeadState.CHIUSO_VINTO,
    Activity.Type.RIFIUTO: LeadState.PERSO,
}
_PROBABILITY_PERCENT = {
    LeadState.NUOVO: 10,
    LeadState.IN_CONTATTO: 25,
    LeadState.CALDO: 50,
    LeadState.ATTESA_ORDINE: 75,
    LeadState.CHIUSO_VINTO: 100,
    LeadState.PERSO: 0,
}


def set_up_brand() -> None:
    """Give the current brand the six lead states as stages, and the rules of PIP-16. Again changes nothing."""
    Stage.objects.bulk_create(
        [
            Stage(
                brand_id=brand_scope.current(),
                name=state.label,
                order_index=index,
                lead_state=state,
                probability=_PROBABILITY_PERCENT[state],
            )
            for index, state in enumerate(LeadState)
        ],
        ignore_conflicts=True,
    )
    StateRule.objects.bulk_create(
        [
            StateRule(brand_id=brand_scope.current(), activity_type=kind, lead_state=state)
            for kind, state in _STATE_RULES.items()
        ],
        ignore_conflicts=True,
    )
