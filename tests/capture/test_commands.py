"""What an operator does: sources, keys, requests offered again or set aside."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.utils import timezone

from filiera.capture import commands, leads, queries, queue, rules
from filiera.capture.models import MarketingSource, RateLimitBucket, Source, Submission
from filiera.platform import brand_scope
from filiera.platform.ids import new_id
from filiera.platform.models import Event
from filiera.platform.refusals import Invalid, Missing

PAYLOADS = Path(__file__).parent / "payloads"
NOW = timezone.now()
pytestmark = pytest.mark.usefixtures("in_vegliasi")


@pytest.fixture
def source(in_vegliasi: Any) -> Source:
    return Source.objects.create(name="moduli", kind="webhook")


def stored(source: Source, body: bytes, status: str = "rejected", **fields: Any) -> Submission:
    submission_id = new_id()
    return Submission.objects.create(
        id=submission_id,
        source=source,
        request_id=str(submission_id),
        lead_id=f"LEAD_1_{submission_id}",
        method="POST",
        path="/webhook-ingest/moduli",
        content_type="application/json",
        body=body,
        body_hash="0" * 64,
        status=status,
        queue_state="done",
        received_at=NOW,
        visible_at=NOW,
        **fields,
    )


def kinds() -> list[str]:
    return list(Event.objects.order_by("at", "id").values_list("kind", flat=True))


def test_a_new_source_shows_its_key_once_and_keeps_a_hash(ada: Any) -> None:
    """CAP-65."""
    source, key = commands.create_source(name=" Moduli-Autunno ", kind="webhook", actor=ada, now=NOW)
    source.refresh_from_db()
    assert source.name == "moduli-autunno"
    assert rules.key_matches(key, source.api_key_hash or "")
    assert source.api_key_last4 == key[-4:]
    assert (source.auth_mode, source.rate_limit_per_min, source.is_active) == ("api_key", 60, True)
    event = Event.objects.get(kind="source.created")
    assert (event.subject_id, event.data["user_id"]) == (source.id, str(ada.id))
    page, no_key = commands.create_source(name="pagina", kind="landing", actor=ada, now=NOW)
    assert (page.auth_mode, no_key, page.api_key_hash) == ("public", "", None)


def test_a_taken_name_is_refused_also_when_it_is_another_brands(quadranorma: Any) -> None:
    """CAP-66."""
    with brand_scope.use(quadranorma.id):
        commands.create_source(name="moduli", kind="webhook", actor=None, now=NOW)
    with pytest.raises(commands.NameTaken) as refusal:
        commands.create_source(name="moduli", kind="webhook", actor=None, now=NOW)
    assert (refusal.value.code, refusal.value.status) == ("CONFLICT", 409)
    assert not Source.objects.exists()


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"name": "con spazi"}, "name"),
        ({"name": "x"}, "name"),
        ({"kind": "fax"}, "kind"),
        ({"kind": "elementor", "auth_mode": "signature"}, "auth_mode"),
        ({"rate_limit_per_min": 0}, "rate_limit_per_min"),
        ({"mapping": {"a": "telefonino"}}, "mapping"),
        ({"required_fields": ["telefonino"]}, "required_fields"),
        ({"allowed_origins": ["ftp://x"]}, "allowed_origins"),
        ({"marketing_source_id": new_id()}, "marketing_source_id"),
    ],
)
def test_what_makes_no_source_is_refused_by_its_field(fields: dict[str, Any], at_fault: str) -> None:
    with pytest.raises(Invalid) as refusal:
        commands.create_source(**{"name": "moduli", "kind": "webhook", "actor": None, "now": NOW, **fields})
    assert list(refusal.value.details) == [at_fault]
    assert not Source.objects.exists()


def test_a_source_is_changed_with_its_bucket(source: Source) -> None:
    """CAP-71."""
    RateLimitBucket.objects.create(
        source=source, tokens=50, max_tokens=60, refill_rate=60, last_refill_at=NOW
    )
    changed = commands.change_source(
        source_id=source.id,
        rate_limit_per_min=20,
        allowed_origins=["Vegliasi.example", "http://localhost:3000/pagina"],
        required_fields=["nome", "email"],
        mapping={"x.y": "custom.z"},
        actor=None,
        now=NOW,
    )
    bucket = RateLimitBucket.objects.get()
    assert (bucket.tokens, bucket.max_tokens, bucket.refill_rate) == (20, 20, 20)
    assert changed.allowed_origins == ["https://vegliasi.example", "http://localhost:3000"]
    assert changed.required_fields == ["first_name", "email"]
    [event] = Event.objects.all()
    assert event.data["fields"] == ["allowed_origins", "mapping", "rate_limit_per_min", "required_fields"]
    with pytest.raises(Missing):
        commands.change_source(source_id=new_id(), actor=None, now=NOW)


def test_secrets_are_kept_sealed(source: Source) -> None:
    commands.change_source(
        source_id=source.id, signing_secret="firma-segreta", access_token="gettone-1", actor=None, now=NOW
    )
    commands.change_source(source_id=source.id, access_token="gettone-2", actor=None, now=NOW)
    source.refresh_from_db()
    assert b"firma" not in bytes(source.signing_secret or b"")
    assert commands.access_token_of(source.id) == "gettone-2"
    assert commands.access_token_of(new_id()) == ""


def test_a_source_with_a_history_is_suspended_not_deleted(source: Source) -> None:
    stored(source, b"{}")
    with pytest.raises(commands.SourceInUse):
        commands.delete_source(source_id=source.id, actor=None, now=NOW)
    Submission.objects.all().delete()
    commands.delete_source(source_id=source.id, actor=None, now=NOW)
    assert not Source.objects.exists()


def test_another_brands_rows_are_not_there(source: Source, quadranorma: Any) -> None:
    """Q-31."""
    submission = stored(source, b"{}")
    with brand_scope.use(quadranorma.id):
        for call in (
            lambda: commands.rotate_key(source_id=source.id, actor=None, now=NOW),
            lambda: commands.delete_source(source_id=source.id, actor=None, now=NOW),
            lambda: commands.replay(submission_id=submission.id, actor=None, now=NOW),
            lambda: commands.requeue(submission_id=submission.id, actor=None, now=NOW),
            lambda: commands.discard(submission_id=submission.id, actor=None, now=NOW),
            lambda: queries.source_for(source.id),
            lambda: queries.submission_for(submission.id),
        ):
            with pytest.raises(Missing):
                call()
        assert queries.inbound(page=1, per_page=10).total == 0


def test_a_rejected_request_becomes_a_lead_once_its_mapping_is_right(in_vegliasi: Any) -> None:
    """CAP-74, architecture of the intake: never lost."""
    source = Source.objects.create(name="gravity", kind="gravity_forms")
    old = stored(source, (PAYLOADS / "gravity_forms/all_fields.json").read_bytes())
    with pytest.raises(commands.StillUnreadable):
        commands.replay(submission_id=old.id, actor=None, now=NOW)
    assert Submission.objects.count() == 1
    mapping = {"1.3": "first_name", "1.6": "last_name", "2": "email", "3": "phone"}
    commands.change_source(source_id=source.id, mapping=mapping, actor=None, now=NOW)
    new = commands.replay(submission_id=old.id, actor=None, now=NOW)
    assert (new.replayed_from_id, new.status, new.queue_state) == (old.id, "queued", "ready")
    assert bytes(new.body) == bytes(old.body)
    [claimed] = queue.claim(10, now=NOW + timedelta(seconds=1), worker="w")
    [lead] = leads.read([claimed])
    assert (lead.first_name, lead.last_name, lead.submission_id) == ("Federica", "Zen", new.id)


def test_all_that_can_be_read_now_is_offered_again_once(source: Source) -> None:
    for n in range(3):
        stored(source, orjson.dumps({"cellulare_del_nonno": f"+3935100000{n}"}))
    stored(source, b"{")
    stored(source, b'{"sito": "x", "email": "a@b.example"}', error_code="HONEYPOT")
    assert commands.replay_all(actor=None, now=NOW) == 0
    mapping = {"cellulare_del_nonno": "phone"}
    commands.change_source(source_id=source.id, mapping=mapping, actor=None, now=NOW)
    assert commands.replay_all(actor=None, now=NOW) == 3
    assert commands.replay_all(actor=None, now=NOW) == 0
    assert Submission.objects.filter(status="queued").count() == 3
    assert "submissions.replayed" in kinds()


def test_a_discard_can_be_taken_back(source: Source) -> None:
    dead = stored(source, b"{}", status="dead", dead_at=NOW)
    rejected = stored(source, b"{}")
    for one, status, state in ((dead, "dead", "dead"), (rejected, "rejected", "done")):
        commands.discard(submission_id=one.id, actor=None, now=NOW)
        one.refresh_from_db()
        assert (one.status, one.queue_state) == ("discarded", "done")
        with pytest.raises(commands.NotNow):
            commands.discard(submission_id=one.id, actor=None, now=NOW)
        commands.undo_discard(submission_id=one.id, actor=None, now=NOW)
        one.refresh_from_db()
        assert (one.status, one.queue_state) == (status, state)
    with pytest.raises(commands.NotNow):
        commands.requeue(submission_id=rejected.id, actor=None, now=NOW)
    assert commands.requeue_all(actor=None, now=NOW) == 1
    assert kinds().count("submission.discarded") == 2


def test_what_a_person_types_is_a_submission_that_no_worker_takes(ada: Any) -> None:
    origin = MarketingSource.objects.create(name="Passaparola")
    fields = {"Nome": "Mario De Rossi", "Telefono": "333 1234567", "Provenienza": "Passaparola"}
    submission = commands.record_manual(fields=fields, actor=ada, now=NOW)
    assert queue.claim(10, now=NOW + timedelta(seconds=1), worker="w") == []
    [lead] = leads.read([submission])
    assert (lead.first_name, lead.last_name, lead.phone) == ("Mario", "De Rossi", "333 1234567")
    assert lead.marketing_source_id == origin.id
    queue.finish([submission], now=NOW)
    submission.refresh_from_db()
    assert (submission.status, submission.queue_state) == ("processed", "done")
    again = commands.record_manual(fields=fields, actor=ada, now=NOW)
    assert again.source_id == submission.source_id
