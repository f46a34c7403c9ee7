"""The stages of a brand's pipeline and the rules that move leads (PIP-16, PIP-18, PIP-29, PIP-34)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from filiera.contacts.models import LeadState
from filiera.pipeline import rules
from filiera.pipeline.models import Activity, Deal, Stage, StageHistory, StageVersion, StateRule
from filiera.platform import brand_scope, live
from filiera.platform.refusals import Invalid, Missing, Refused

_PROBABILITY_PERCENT = {
    LeadState.NUOVO: 10,
    LeadState.IN_CONTATTO: 25,
    LeadState.CALDO: 50,
    LeadState.ATTESA_ORDINE: 75,
    LeadState.CHIUSO_VINTO: 100,
    LeadState.PERSO: 0,
}
_FROZEN = ("lead_state", "probability", "age_limit_days")
"""What figures of the past are made with: a change makes a new version of the stage (PIP-34)."""


class StageMissing(Missing):
    """There is no such stage in use in this brand."""

    def __init__(self) -> None:
        super().__init__(_("Questa colonna non c’è, o non è più in uso."))


class StageInUse(Refused):
    """Deals stand in it, or stood in it: it is emptied, then switched off (PIP-29)."""

    def __init__(self, open_deals: int) -> None:
        if open_deals:
            super().__init__(
                _("Ci sono ancora %(count)s trattative aperte: spostale, poi disattiva la colonna.")
                % {"count": open_deals}
            )
        else:
            super().__init__(_("È nella storia di qualche trattativa: si può disattivare, non eliminare."))


def set_up_brand(*, now: datetime | None = None) -> None:
    """Give the current brand the six lead states as stages, and the rules of PIP-16. Again changes nothing."""
    at = now or timezone.now()
    if Stage.objects.exists():
        return
    with translation.override("it"):  # the labels are Italian words of the contract (PIP-14)
        names = {state: str(state.label) for state in LeadState}
    stages = Stage.objects.bulk_create(
        Stage(
            brand_id=brand_scope.current(),
            name=names[state],
            order_index=place,
            lead_state=state,
            probability=_PROBABILITY_PERCENT[state],
        )
        for place, state in enumerate(LeadState)
    )
    StageVersion.objects.bulk_create(_version_of(stage, at) for stage in stages)
    StateRule.objects.bulk_create(
        (
            StateRule(brand_id=brand_scope.current(), activity_type=kind, lead_state=state)
            for kind, state in rules.DEFAULT_RULES.items()
        ),
        ignore_conflicts=True,
    )


@transaction.atomic
def create_stage(*, name: str, now: datetime, **fields: Any) -> Stage:
    """Add a stage at the end, or at `order_index`. Fields: lead_state, probability, age_limit_days, color.

    Raises Invalid for a missing or taken name and for values outside their bounds.
    """
    _check(fields | {"name": name}, stage_id=None)
    last = Stage.objects.aggregate(last=Max("order_index"))["last"]
    fields.setdefault("order_index", 0 if last is None else last + 1)
    stage = Stage.objects.create(name=name.strip(), **fields)
    StageVersion.objects.bulk_create([_version_of(stage, now)])
    live.announce("board")
    return stage


@transaction.atomic
def edit_stage(*, stage_id: UUID, changes: dict[str, Any], now: datetime) -> Stage:
    """Change a stage: name, order_index, lead_state, probability, age_limit_days, color, is_active.

    A change of what figures are made with gives the stage its next version. Raises StageMissing, Invalid, and
    StageInUse when a stage with open deals is switched off.
    """
    stage = _locked(stage_id)
    _check(changes, stage_id=stage_id)
    if changes.get("is_active") is False and stage.is_active and (standing := _open_deals(stage_id)):
        raise StageInUse(standing)
    before = {name: getattr(stage, name) for name in _FROZEN}
    for name, value in changes.items():
        setattr(stage, name, value.strip() if name == "name" else value)
    if before != {name: getattr(stage, name) for name in _FROZEN}:
        stage.version += 1
        StageVersion.objects.bulk_create([_version_of(stage, now)])
    stage.save()
    live.announce("board")
    return stage


@transaction.atomic
def delete_stage(*, stage_id: UUID) -> None:
    """Remove a stage that no deal ever stood in. Raises StageMissing, StageInUse."""
    stage = _locked(stage_id)
    standing = _open_deals(stage_id)
    if (
        standing
        or StageHistory.objects.filter(stage_id=stage_id).exists()
        or Deal.objects.filter(current_stage_id=stage_id).exists()
    ):
        raise StageInUse(standing)
    stage.delete()
    live.announce("board")


@transaction.atomic
def reorder_stages(*, stage_ids: Sequence[UUID]) -> list[Stage]:
    """Put the stages into the order given; those left out follow in their order. Raises StageMissing."""
    stages = {stage.id: stage for stage in Stage.objects.select_for_update().order_by("order_index", "id")}
    if any(stage_id not in stages for stage_id in stage_ids):
        raise StageMissing
    chosen = list(dict.fromkeys(stage_ids))
    ordered = [stages[stage_id] for stage_id in chosen]
    ordered += [stage for stage_id, stage in stages.items() if stage_id not in chosen]
    for place, stage in enumerate(ordered):
        stage.order_index = place
    Stage.objects.bulk_update(ordered, ["order_index"])
    live.announce("board")
    return ordered


def set_state_rule(*, activity_type: str, lead_state: str | None) -> None:
    """Let activities of a type lead to a state, or to none. Raises Invalid for unknown words."""
    if activity_type not in Activity.Type or (lead_state is not None and lead_state not in LeadState):
        raise Invalid(_("Tipo o stato sconosciuto."))
    if lead_state is None:
        StateRule.objects.filter(activity_type=activity_type).delete()
    else:
        StateRule.objects.update_or_create(
            activity_type=activity_type,
            defaults={"lead_state": lead_state},
            create_defaults={"brand_id": brand_scope.current(), "lead_state": lead_state},
        )


def _check(fields: dict[str, Any], *, stage_id: UUID | None) -> None:
    """Raise Invalid, with a sentence at each field that is wrong."""
    wrong: dict[str, list[str]] = {}
    if "name" in fields:
        name = fields["name"].strip()
        if not name or len(name) > 100:
            wrong["name"] = [_("Dai un nome alla colonna, fino a 100 lettere.")]
        elif any(stage.name == name and stage.id != stage_id for stage in Stage.objects.all()):
            wrong["name"] = [_("C’è già una colonna con questo nome.")]
    if fields.get("lead_state") is not None and fields["lead_state"] not in LeadState:
        wrong["lead_state"] = [_("Stato sconosciuto.")]
    probability = fields.get("probability")
    if probability is not None and not 0 <= probability <= 100:
        wrong["probability"] = [_("La probabilità va da 0 a 100.")]
    limit = fields.get("age_limit_days")
    if limit is not None and not 1 <= limit <= 3650:
        wrong["age_limit_days"] = [_("Il limite è un numero di giorni, da 1 a 3650.")]
    if wrong:
        raise Invalid(_("Alcuni campi non vanno bene."), details=wrong)


def _locked(stage_id: UUID) -> Stage:
    stage = Stage.objects.select_for_update().filter(id=stage_id).first()
    if stage is None:
        raise StageMissing
    return stage


def _open_deals(stage_id: UUID) -> int:
    return Deal.objects.filter(current_stage_id=stage_id, status=Deal.Status.OPEN).count()


def _version_of(stage: Stage, valid_from: datetime) -> StageVersion:
    return StageVersion(
        brand_id=stage.brand_id,
        stage_id=stage.id,
        version=stage.version,
        lead_state=stage.lead_state,
        probability=stage.probability,
        age_limit_days=stage.age_limit_days,
        valid_from=valid_from,
    )
