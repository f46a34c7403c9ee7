"""Stages of a brand: PIP-02, PIP-18, PIP-29, PIP-34."""

from datetime import timedelta

import pytest

from filiera.pipeline import commands, queries
from filiera.pipeline.models import Deal, Stage, StageHistory, StageVersion
from filiera.platform import brand_scope
from filiera.platform.refusals import Invalid
from tests.leads import NOW, incoming, take_in


def names():
    return [stage.name for stage in queries.stages()]


def test_a_new_brand_has_the_six_lead_states_as_stages(in_vegliasi):
    """PIP-14, PIP-18: Italian words of the contract, whatever language the installer speaks."""
    assert names() == ["Nuovo", "In Contatto", "Caldo", "Attesa Ordine", "Chiuso / Vinto", "Perso"]
    assert [stage.lead_state for stage in queries.stages()] == [
        *("nuovo", "in_contatto", "caldo", "attesa_ordine", "chiuso_vinto", "perso")
    ]
    commands.set_up_brand()
    assert Stage.objects.count() == StageVersion.objects.count() == 6
    assert queries.state_rules()["visita"] == "caldo"


def test_names_are_unique_in_a_brand(in_vegliasi, quadranorma):
    with pytest.raises(Invalid) as refusal:
        commands.create_stage(name=" Caldo ", now=NOW)
    assert list(refusal.value.details) == ["name"]
    commands.create_stage(name="Sopralluogo", now=NOW, probability=60, age_limit_days=5)
    assert names()[-1] == "Sopralluogo"
    with brand_scope.use(quadranorma.id):
        commands.create_stage(name="Sopralluogo", now=NOW)


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "  "), ("probability", 101), ("age_limit_days", 0), ("lead_state", "tiepido")],
)
def test_values_outside_their_bounds_are_refused_at_their_field(in_vegliasi, field, value):
    stage = queries.stages()[0]
    with pytest.raises(Invalid) as refusal:
        commands.edit_stage(stage_id=stage.id, changes={field: value}, now=NOW)
    assert list(refusal.value.details) == [field]


def test_figures_of_the_past_keep_the_probability_they_were_made_with(in_vegliasi):
    """PIP-34: a change of probability or limit is a new version, a change of name is not."""
    hot = Stage.objects.get(lead_state="caldo")
    commands.edit_stage(stage_id=hot.id, changes={"name": "Caldissimo"}, now=NOW)
    commands.edit_stage(
        stage_id=hot.id, changes={"probability": 60, "age_limit_days": 7}, now=NOW + timedelta(days=1)
    )
    versions = StageVersion.objects.filter(stage=hot).order_by("version")
    assert [(version.version, version.probability, version.age_limit_days) for version in versions] == [
        (1, 50, None),
        (2, 60, 7),
    ]
    deal = take_in(incoming())[0].deal
    commands.move_deal(deal_id=deal.id, stage_id=hot.id, now=NOW)
    assert StageHistory.objects.get(stage=hot).stage_version == 2


def test_a_stage_with_open_deals_stays_until_they_are_moved(in_vegliasi):
    """PIP-29."""
    deal = take_in(incoming())[0].deal
    new = deal.current_stage_id
    for verb in (
        lambda: commands.delete_stage(stage_id=new),
        lambda: commands.edit_stage(stage_id=new, changes={"is_active": False}, now=NOW),
    ):
        with pytest.raises(commands.StageInUse) as refusal:
            verb()
        assert "1" in str(refusal.value)
    hot = Stage.objects.get(lead_state="caldo")
    commands.move_deal(deal_id=deal.id, stage_id=hot.id, now=NOW)
    with pytest.raises(commands.StageInUse):
        commands.delete_stage(stage_id=new)  # it is in the deal's history
    commands.edit_stage(stage_id=new, changes={"is_active": False}, now=NOW)
    assert "Nuovo" not in names()
    with pytest.raises(commands.StageMissing):
        commands.move_deal(deal_id=deal.id, stage_id=new, now=NOW)
    assert take_in(incoming(phone="347 000 1186", email=""))[0].deal.current_stage.name == "In Contatto"


def test_a_stage_that_was_never_used_can_be_removed(in_vegliasi):
    stage = commands.create_stage(name="Prova", now=NOW)
    commands.delete_stage(stage_id=stage.id)
    assert "Prova" not in names()


def test_stages_are_put_in_another_order(in_vegliasi):
    before = queries.stages()
    commands.reorder_stages(stage_ids=[before[2].id, before[0].id])
    assert names() == ["Caldo", "Nuovo", "In Contatto", "Attesa Ordine", "Chiuso / Vinto", "Perso"]


def test_another_brands_stages_are_not_there(in_vegliasi, quadranorma):
    stage = queries.stages()[0]
    with brand_scope.use(quadranorma.id):
        for verb in (
            lambda: commands.edit_stage(stage_id=stage.id, changes={"name": "x"}, now=NOW),
            lambda: commands.delete_stage(stage_id=stage.id),
            lambda: commands.reorder_stages(stage_ids=[stage.id]),
        ):
            with pytest.raises(commands.StageMissing):
                verb()
    assert Deal.objects.count() == 0
