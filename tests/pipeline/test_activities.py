"""What people do about a lead and what follows: PIP-16 to PIP-23, PIP-35, ROU-44."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from filiera.contacts import timeline
from filiera.contacts.models import Contact
from filiera.pipeline import commands
from filiera.pipeline.commands import AnsweredCall, Ownership, PlannedTask, activities
from filiera.pipeline.models import Activity, Deal, DealClosing, Stage, StageHistory, StateRule
from filiera.platform.models import Event, SiteSetting
from filiera.platform.refusals import Invalid
from tests.leads import NOW, incoming, take_in

LATER = NOW + timedelta(minutes=20)


@pytest.fixture
def lead(in_vegliasi):
    """Adele, in Nuovo."""
    return take_in(incoming())[0]


def record(lead, kind, **fields):
    return commands.record_activity(contact_id=lead.contact.id, type=kind, now=LATER, **fields)


@pytest.mark.parametrize(
    ("kind", "state", "stage"),
    [
        ("chiamata", "in_contatto", "In Contatto"),
        ("visita", "caldo", "Caldo"),
        ("preventivo", "attesa_ordine", "Attesa Ordine"),
        ("ordine", "chiuso_vinto", "Chiuso / Vinto"),
        ("rifiuto", "perso", "Perso"),
    ],
)
def test_an_activity_moves_person_deal_and_history_together(lead, bea, kind, state, stage):
    """PIP-16, PIP-18: the card moves by rule."""
    activity = record(lead, kind, user_id=bea.id, note="Sentita la figlia.")
    assert activity.contact.status == state
    assert Contact.objects.get().status == state
    deal = Deal.objects.select_related("current_stage").get()
    assert deal.current_stage.name == stage
    moved = StageHistory.objects.order_by("entered_at").last()
    assert (moved.change_reason, moved.changed_by, moved.entered_at) == ("rule", "rule", LATER)
    assert StageHistory.objects.order_by("entered_at").first().exited_at == LATER
    kept = Activity.objects.get()
    assert (kept.type, kept.note, kept.user_id, kept.occurred_at) == (
        kind,
        "Sentita la figlia.",
        bea.id,
        LATER,
    )
    assert (kept.deal_id, kept.origin, kept.status) == (deal.id, "human", "done")
    assert Event.objects.filter(kind="activity.created", subject_id=kept.id).exists()


def _rows(leads):
    """What is written about people: all but the ids and moments of it."""
    people = {lead.contact.id: place for place, lead in enumerate(leads)}
    deals = {lead.deal.id: place for place, lead in enumerate(leads)}

    def of(rows, *names):
        return sorted(
            [str({**people, **deals}.get(row[name], row[name])) for name in names]
            for row in rows.order_by().values(*names)
        )

    return (
        of(Contact.objects.all(), "id", "status", "assigned_user_id", "updated_at"),
        of(Deal.objects.all(), "id", "status", "current_stage__name", "stage_entered_at", "version"),
        of(StageHistory.objects.all(), "deal_id", "stage__name", "entered_at", "exited_at", "change_reason"),
        of(
            Activity.objects.all(),
            *("contact_id", "deal_id", "type", "status", "title", "user_id", "owner_user_id", "occurred_at"),
            *("direction", "origin", "outcome", "talking_seconds", "cause"),
        ),
        sorted(Event.objects.exclude(kind__contains="created").values_list("kind", "at")),
        of(DealClosing.objects.all(), "deal_id", "status", "closed_at", "closed_by"),
    )


@pytest.mark.parametrize("rule", ["in_contatto", "perso", None])
def test_calls_written_together_leave_what_each_alone_would(in_vegliasi, bea, rule):
    """PIP-23: several people, one of them further on, one lost, one called twice, one written before."""
    StateRule.objects.filter(activity_type="chiamata").delete()
    if rule:
        StateRule.objects.create(activity_type="chiamata", lead_state=rule)
    leads = [
        take_in(incoming(phone=f"32055512{place:02d}", email=f"p{place}@posta.example"))[0]
        for place in range(12, 18)
    ]
    record(leads[1], "visita", cause="further on")
    record(leads[2], "rifiuto", cause="lost")
    record(leads[3], "chiamata", cause="call:3")
    calls = [
        AnsweredCall(lead.contact.id, lead.deal.id, bea.id, LATER, 60, "Chiamata", f"call:{place}")
        for place, lead in enumerate(leads)
    ]
    if rule != "perso":  # which closes the deal that the second of two calls alone would look for
        calls.append(AnsweredCall(leads[4].contact.id, None, None, LATER, None, "Chiamata", "call:again"))
    with transaction.atomic():
        for call in calls:
            fields = {name: getattr(call, name) for name in AnsweredCall.__slots__}
            deal = Deal.objects.get(contact_id=call.contact_id)
            if deal.owner_user_id is None and call.user_id and not Activity.objects.filter(cause=call.cause):
                commands.give_owners([Ownership(deal.id, call.contact_id, call.user_id)], now=LATER)
            commands.record_activity(type="chiamata", direction="outgoing", now=LATER, **fields)
        alone = _rows(leads)
        transaction.set_rollback(True)
    commands.record_calls(calls, now=LATER)
    assert _rows(leads) == alone
    commands.record_calls(calls, now=LATER + timedelta(minutes=1))
    assert _rows(leads) == alone


def test_many_calls_take_no_more_statements_than_one(in_vegliasi, bea):
    def statements(people):
        leads = [
            take_in(incoming(phone=f"3205551{place}", email=f"p{place}@posta.example"))[0] for place in people
        ]
        calls = [
            AnsweredCall(lead.contact.id, lead.deal.id, bea.id, LATER, 60, "Chiamata", f"call:{lead.deal.id}")
            for lead in leads
        ]
        with CaptureQueriesContext(connection) as captured:
            commands.record_calls(calls, now=LATER)
        return len(captured)

    one, many = statements(range(100, 101)), statements(range(200, 225))
    assert many == one <= 20


def test_a_call_of_somebody_who_is_gone_adds_nothing(lead, bea):
    Contact.objects.update(deleted_at=NOW)
    call = AnsweredCall(lead.contact.id, lead.deal.id, bea.id, LATER, 60, "Chiamata", "call:1")
    commands.record_calls([call], now=LATER)
    assert not Activity.objects.exists()


def test_a_refusal_closes_the_deal_as_lost_with_its_note_as_reason(lead, bea):
    record(lead, "rifiuto", user_id=bea.id, note="Vuole parlarne con la figlia.")
    deal = Deal.objects.get()
    assert (deal.status, deal.lost_reason, deal.closed_at) == ("lost", "Vuole parlarne con la figlia.", LATER)
    fact = DealClosing.objects.get()
    assert (fact.closed_by, fact.closed_by_user_id) == ("rule", None)


def test_a_later_call_does_not_send_a_hot_lead_back(lead):
    """PIP-17."""
    record(lead, "visita")
    record(lead, "chiamata")
    assert Contact.objects.get().status == "caldo"


def test_a_brand_may_let_rules_go_back(lead):
    SiteSetting.objects.create(setting_key=activities.ALLOW_REGRESSION, setting_value=True)
    record(lead, "visita")
    record(lead, "chiamata")
    assert Contact.objects.get().status == "in_contatto"
    assert Deal.objects.get().current_stage.name == "In Contatto"


def test_a_refusal_after_the_order_changes_nothing(lead):
    record(lead, "ordine")
    record(lead, "rifiuto")
    assert Contact.objects.get().status == "chiuso_vinto"
    assert Deal.objects.get().status == "won"


def test_a_lost_lead_who_orders_after_all_is_won_and_the_loss_is_reversed(lead):
    record(lead, "rifiuto")
    record(lead, "chiamata")
    assert Contact.objects.get().status == "perso"
    record(lead, "ordine")
    assert (Contact.objects.get().status, Deal.objects.get().status) == ("chiuso_vinto", "won")
    facts = DealClosing.objects.order_by("closed_at", "id")
    assert [(fact.status, fact.reopened_at) for fact in facts] == [("lost", LATER), ("won", None)]


def test_a_brands_own_rule_is_followed(lead):
    commands.set_state_rule(activity_type="nota", lead_state="caldo")
    commands.set_state_rule(activity_type="chiamata", lead_state=None)
    record(lead, "chiamata")
    assert Contact.objects.get().status == "nuovo"
    record(lead, "nota")
    assert Contact.objects.get().status == "caldo"


def test_without_a_stage_for_the_state_only_the_person_moves(lead):
    Stage.objects.filter(lead_state="caldo").update(lead_state=None)
    record(lead, "visita")
    assert Contact.objects.get().status == "caldo"
    assert Deal.objects.get().current_stage.name == "Nuovo"


def test_a_planned_visit_counts_and_doing_it_does_not_count_twice(lead, bea):
    planned = record(lead, "visita", status="planned", scheduled_at=LATER + timedelta(days=1), user_id=bea.id)
    assert (Contact.objects.get().status, planned.occurred_at) == ("caldo", None)
    done = commands.edit_activity(activity_id=planned.id, changes={"status": "done"}, now=LATER)
    assert (done.status, done.occurred_at) == ("done", LATER)
    assert StageHistory.objects.count() == 2


def test_a_planned_call_counts_when_it_is_done(lead, bea):
    planned = record(lead, "chiamata", status="planned", scheduled_at=LATER)
    assert Contact.objects.get().status == "nuovo"
    commands.edit_activity(activity_id=planned.id, changes={"status": "done", "user_id": bea.id}, now=LATER)
    assert Contact.objects.get().status == "in_contatto"


def test_the_owner_of_that_moment_is_kept(lead, ada, bea):
    """PIP-35."""
    commands.give_owners([commands.Ownership(lead.deal.id, lead.contact.id, bea.id)], now=NOW)
    record(lead, "chiamata", user_id=ada.id)
    commands.give_owners([commands.Ownership(lead.deal.id, lead.contact.id, ada.id)], now=LATER)
    assert Activity.objects.get().owner_user_id == bea.id


def test_a_cause_is_met_once(lead, bea):
    first = record(lead, "chiamata", cause="call:1", user_id=bea.id, talking_seconds=95, outcome="answered")
    again = record(lead, "chiamata", cause="call:1")
    assert again.id == first.id
    assert Activity.objects.get().talking_seconds == 95


def test_work_made_by_rules_is_planned_once_for_each_cause(lead, bea):
    """ROU-44, CAP-89."""
    task = PlannedTask(
        contact_id=lead.contact.id,
        deal_id=lead.deal.id,
        type="chiamata",
        title="Chiamare",
        note="Il cliente non ha risposto.",
        scheduled_at=LATER,
        cause="callback:1",
    )
    commands.plan_tasks([task, task], now=NOW)
    commands.plan_tasks([task], now=LATER)
    kept = Activity.objects.get()
    assert (kept.status, kept.type, kept.title, kept.user_id, kept.scheduled_at) == (
        *("planned", "chiamata", "Chiamare"),
        *(None, LATER),
    )
    assert Contact.objects.get().status == "nuovo"
    commands.plan_tasks([], now=NOW)


def test_a_fault_in_the_state_step_leaves_no_activity(lead, monkeypatch):
    """PIP-23: one transaction."""

    def fail(*_arguments, **_more):
        raise RuntimeError("the state step failed")

    monkeypatch.setattr("filiera.pipeline.moves.set_state", fail)
    with pytest.raises(RuntimeError):
        record(lead, "visita")
    assert Activity.objects.count() == 0
    assert (Contact.objects.get().status, StageHistory.objects.count()) == ("nuovo", 1)
    assert not Event.objects.filter(kind="activity.created").exists()


@pytest.mark.parametrize("fields", [{"kind": "telefonata"}, {"kind": "chiamata", "status": "forse"}])
def test_unknown_words_are_refused(lead, fields):
    with pytest.raises(Invalid):
        record(lead, fields.pop("kind"), **fields)
    assert Activity.objects.count() == 0


def test_nobody_records_for_somebody_elses_lead(lead, quadranorma):
    from filiera.contacts.commands import ContactMissing
    from filiera.platform import brand_scope

    with brand_scope.use(quadranorma.id), pytest.raises(ContactMissing):
        record(lead, "chiamata")
    assert Activity.objects.count() == 0


def test_a_cancelled_activity_leaves_the_thread_and_not_the_table(lead, bea):
    activity = record(lead, "nota", user_id=bea.id)
    commands.cancel_activity(activity_id=activity.id, now=LATER)
    assert Activity.objects.get().status == "cancelled"
    assert "activity.done" not in [item.kind for item in timeline.read([lead.contact.id], rooms=["pipeline"])]


def test_the_thread_tells_people_from_rules_newest_first(lead, bea):
    record(lead, "visita", user_id=bea.id, note="Ha due gatti.")
    hour = timedelta(hours=1)
    commands.close_deal(deal_id=lead.deal.id, status="lost", now=LATER + hour, user_id=bea.id)
    commands.reopen_deal(deal_id=lead.deal.id, now=LATER + 2 * hour, user_id=bea.id)
    items = timeline.read([lead.contact.id], rooms=["pipeline"])
    told = [(item.kind, item.actor, item.is_human, item.rule) for item in items]
    assert told[0] in [("deal.reopened", "Bea Neri", True, ""), ("deal.moved", "Bea Neri", True, "")]
    assert ("deal.lost", "Bea Neri", True, "") in told
    assert ("activity.done", "Bea Neri", True, "") in told
    assert ("deal.moved", "", False, "rule") in told
    assert ("deal.opened", "", False, "intake") in told
    assert ("lead.received", "", False, "") in told
    assert [item.at for item in items] == sorted((item.at for item in items), reverse=True)


def test_a_lead_changes_state_by_hand_with_its_deal(lead, bea):
    person = lead.contact.id
    commands.set_lead_state(contact_id=person, state="caldo", now=LATER, user_id=bea.id)
    assert Deal.objects.get().current_stage.name == "Caldo"
    commands.set_lead_state(contact_id=person, state="perso", now=LATER, user_id=bea.id, lost_reason="prezzo")
    assert (Deal.objects.get().status, Contact.objects.get().status) == ("lost", "perso")
    commands.set_lead_state(contact_id=person, state="in_contatto", now=LATER, user_id=bea.id)
    deal = Deal.objects.get()
    assert (deal.status, deal.current_stage.name) == ("open", "In Contatto")
    assert Contact.objects.get().status == "in_contatto"


def test_a_lead_goes_to_the_bin_with_its_deal_and_comes_back_with_it(lead, bea):
    person = lead.contact.id
    commands.delete_leads(contact_ids=[person], now=LATER, user_id=bea.id)
    deal = Deal.objects.get()
    assert (deal.status, deal.is_void) == ("lost", True)
    commands.restore_leads(contact_ids=[person], now=LATER, user_id=bea.id)
    deal = Deal.objects.get()
    assert (deal.status, deal.is_void, deal.current_stage.name) == ("open", False, "Nuovo")
    assert Contact.objects.get().deleted_at is None
