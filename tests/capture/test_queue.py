"""The database backend of the lead queue keeps the contract, across brands and under concurrency."""

import importlib.util
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from filiera.capture import commands, leads, queue
from filiera.capture.models import Source, Submission
from filiera.platform import brand_scope
from filiera.platform.ids import new_id

_spec = importlib.util.spec_from_file_location("queue_contract", Path(__file__).parent / "queue_contract.py")
assert _spec is not None
assert _spec.loader is not None
_contract = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_contract)


class DatabaseQueue:
    """The submission table as a queue, with a clock of its own."""

    def __init__(self, brand: Any, source: Any) -> None:
        self.brand, self.source = brand, source
        self.now = timezone.now()

    def put(self, text: str) -> str:
        self.now += timedelta(milliseconds=1)
        with brand_scope.use(self.brand.id):
            return stored(self.source, self.now, body=text.encode()).lead_id

    def take(self, limit: int, worker: str = "a") -> list[Submission]:
        self.now += timedelta(milliseconds=1)
        return queue.claim(limit, now=self.now, worker=worker)

    def ack(self, deliveries: list[Submission]) -> None:
        with brand_scope.use(self.brand.id):
            queue.finish(deliveries, now=self.now)

    def fail(self, delivery: Submission, error: str = "no", delay_s: float = 60) -> None:
        with brand_scope.use(self.brand.id):
            queue.fail(delivery, error=error, now=self.now, delay_s=delay_s)

    def text_of(self, delivery: Submission) -> str:
        return bytes(delivery.body).decode()

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def dead(self) -> list[tuple[str, str]]:
        with brand_scope.use(self.brand.id):
            found = Submission.objects.filter(status="dead").order_by("received_at")
            return [(one.lead_id, one.last_error) for one in found]

    def requeue(self, message_id: str) -> None:
        with brand_scope.use(self.brand.id):
            commands.requeue(submission_id=self._id(message_id), actor=None, now=self.now)

    def discard(self, message_id: str) -> None:
        with brand_scope.use(self.brand.id):
            commands.discard(submission_id=self._id(message_id), actor=None, now=self.now)

    def figures(self) -> dict[str, Any]:
        with brand_scope.use(self.brand.id):
            figures = queue.figures(self.now)
        return {name: getattr(figures, name) for name in queue.Figures.__dataclass_fields__}

    def seconds_to_next(self) -> float:
        return queue.seconds_to_next(self.now, 30)

    def _id(self, message_id: str) -> Any:
        return Submission.objects.get(lead_id=message_id).id


def stored(
    source: Any, at: datetime, body: bytes = b'{"email": "ada@posta.example"}', **fields: Any
) -> Submission:
    """Store a submission as the doors do."""
    submission_id = new_id()
    return Submission.objects.create(
        id=submission_id,
        brand_id=source.brand_id,
        source_id=source.id,
        request_id=f"req-{submission_id}",
        lead_id=f"LEAD_1_{submission_id}",
        method="POST",
        path="/",
        body=body,
        body_hash="0" * 64,
        received_at=at,
        visible_at=at,
        **fields,
    )


@pytest.fixture
def vegliasi(db: None) -> Any:
    from filiera.identity.models import Brand

    return Brand.objects.create(slug="vegliasi", name="Vegliasì")


@pytest.fixture
def source(vegliasi: Any) -> Source:
    with brand_scope.use(vegliasi.id):
        return Source.objects.create(name="moduli", kind="webhook")


class TestDatabaseBackend(_contract.QueueContract):
    @pytest.fixture
    def backend(self, vegliasi: Any, source: Any) -> DatabaseQueue:
        return DatabaseQueue(vegliasi, source)


def test_one_claim_serves_every_brand(vegliasi: Any, source: Any) -> None:
    from filiera.identity.models import Brand

    other = Brand.objects.create(slug="quadranorma", name="Quadranorma")
    now = timezone.now()
    with brand_scope.use(other.id):
        theirs = stored(Source.objects.create(name="altri", kind="webhook"), now)
    with brand_scope.use(vegliasi.id):
        ours = stored(source, now)
    claimed = queue.claim(10, now=now + timedelta(seconds=1), worker="w")
    assert {(one.id, one.brand_id) for one in claimed} == {(theirs.id, other.id), (ours.id, vegliasi.id)}
    with brand_scope.use(vegliasi.id), pytest.raises(queue.LeaseLost):
        queue.finish(claimed, now=now)


def test_a_batch_holds_so_many_bytes_at_most(
    vegliasi: Any, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MOST_BYTES", 250)
    now = timezone.now()
    with brand_scope.use(vegliasi.id):
        for n in range(5):
            stored(source, now + timedelta(milliseconds=n), body=b"x" * 100)
        stored(source, now + timedelta(milliseconds=9), body=b"x" * 1_000)
    sizes = []
    while batch := queue.claim(10, now=now + timedelta(seconds=1), worker="w"):
        sizes.append(len(batch))
    assert sizes == [2, 2, 1, 1]


def test_what_can_no_longer_be_read_is_rejected_and_the_rest_is_processed(vegliasi: Any, source: Any) -> None:
    now = timezone.now()
    with brand_scope.use(vegliasi.id):
        stored(source, now)
        lost = stored(source, now, body=b'{"nome": "Ada"}')
        broken = stored(source, now, body=b"{")
        claimed = queue.claim(10, now=now + timedelta(seconds=1), worker="w")
        [lead] = leads.read(claimed)
        queue.finish(claimed, now=now)
        assert lead.email == "ada@posta.example"
        rows = {one.id: (one.status, one.error_code, one.queue_state) for one in Submission.objects.all()}
    assert rows.pop(lost.id) == ("rejected", "NO_CONTACT", "done")
    assert rows.pop(broken.id) == ("rejected", "UNREADABLE", "done")
    assert list(rows.values()) == [("processed", "", "done")]


def test_a_lead_says_where_it_comes_from_and_when(vegliasi: Any, source: Any) -> None:
    """An origin named in the lead counts where the source has none; a moment in the future is not believed."""
    from filiera.capture.models import MarketingSource

    now = timezone.now()
    body = (
        b'{"email": "a@b.example", "source": "AdWords", "timestamp": "2999-01-01T00:00:00Z", "id": "x1",'
        b' "telefono": "351 000 0001"}'
    )
    with brand_scope.use(vegliasi.id):
        origin = MarketingSource.objects.create(name="Google Ads", aliases=["AdWords"])
        submission = stored(source, now, body=body)
        [lead] = leads.read([submission])
        ghl = Source.objects.create(name="ghl", kind="ghl", marketing_source=origin, auto_call=True)
        [contact] = leads.read(
            [stored(ghl, now, body=b'{"contact_id": "c1", "phone": "351", "full_name": "A B C"}')]
        )
    assert lead.marketing_source_id == contact.marketing_source_id == origin.id
    assert (lead.occurred_at, lead.external_id, lead.phone, lead.default_country) == (
        now,
        "x1",
        "351 000 0001",
        "IT",
    )
    assert (contact.first_name, contact.last_name, contact.external_id) == ("A", "B C", "")
    assert contact.custom == {"contact_id": "c1"}
    assert contact.auto_call is True


@pytest.mark.usefixtures("committed")
def test_two_hundred_claims_at_once_hand_nothing_out_twice(
    make_brand: Callable[..., Any], make_source: Callable[..., Any]
) -> None:
    brand = make_brand()
    source, now = make_source(brand, "moduli"), timezone.now()
    with brand_scope.use(brand.id):
        for _ in range(100):
            stored(source, now)

    def take(number: int) -> list[Any]:
        from django.db import connection

        try:
            return [one.id for one in queue.claim(3, now=now + timedelta(seconds=1), worker=f"w{number}")]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        taken = [one for batch in pool.map(take, range(60)) for one in batch]
    assert len(taken) == len(set(taken)) == 100
