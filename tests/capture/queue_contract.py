"""What every backend of the lead queue must do (CAP-55): one suite, run against each.

A backend's test module brings a `backend` fixture with this shape and inherits `QueueContract`.
"""

from typing import Any, Protocol

RETRY_DELAY_S = 60
LEASE_S = 60


class Delivery(Protocol):
    """A message in the hands of a worker."""

    lead_id: str
    attempts: int


class Backend(Protocol):
    """A queue seen from outside, with a clock that the test moves."""

    def put(self, text: str) -> str:
        """Enqueue a message durably and return its id."""

    def take(self, limit: int, worker: str = "a") -> list[Any]:
        """Return deliveries that are due."""

    def ack(self, deliveries: list[Any]) -> None:
        """Acknowledge; raises when a lease was lost."""

    def fail(self, delivery: Any, error: str = "no", delay_s: float = RETRY_DELAY_S) -> None:
        """Give a delivery back after a failure."""

    def text_of(self, delivery: Any) -> str:
        """Return what was put in."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""

    def dead(self) -> list[tuple[str, str]]:
        """Return the dead letters as (id, last error)."""

    def requeue(self, message_id: str) -> None:
        """Give a dead letter back with its attempts at zero."""

    def discard(self, message_id: str) -> None:
        """Remove a dead letter from the list."""

    def figures(self) -> dict[str, Any]:
        """Return depth, inflight, delayed, dead, oldest_age_seconds."""

    def seconds_to_next(self) -> float:
        """Return how long until something is due, at most 30 s."""


class QueueContract:
    """The contract."""

    def test_messages_leave_in_the_order_in_which_they_came(self, backend: Backend) -> None:
        """CAP-51."""
        for n in range(5):
            backend.put(f"lead {n}")
        assert [backend.text_of(one) for one in backend.take(10)] == [f"lead {n}" for n in range(5)]

    def test_twenty_five_messages_make_batches_of_ten_ten_and_five(self, backend: Backend) -> None:
        """CAP-41, acceptance 6."""
        for n in range(25):
            backend.put(str(n))
        sizes = []
        while batch := backend.take(10):
            backend.ack(batch)
            sizes.append(len(batch))
        assert sizes == [10, 10, 5]
        assert backend.take(10) == []

    def test_taking_hides_and_only_the_ack_removes(self, backend: Backend) -> None:
        """CAP-48, acceptance 7: a worker that dies gives the message back when its lease ends."""
        backend.put("lead")
        [held] = backend.take(10, "dies")
        assert backend.take(10, "b") == []
        backend.wait(LEASE_S - 1)
        assert backend.take(10, "b") == []
        backend.wait(2)
        [again] = backend.take(10, "b")
        assert again.lead_id == held.lead_id
        backend.ack([again])
        backend.wait(LEASE_S + 1)
        assert backend.take(10, "c") == []

    def test_who_lost_the_lease_cannot_acknowledge(self, backend: Backend) -> None:
        backend.put("lead")
        late = backend.take(10, "late")
        backend.wait(LEASE_S + 1)
        [held] = backend.take(10, "b")
        try:
            backend.ack(late)
        except Exception:
            lost = True
        else:
            lost = False
        assert lost
        backend.fail(late[0])
        backend.ack([held])
        assert backend.take(10) == []

    def test_a_failure_comes_again_later_and_never_within_the_same_pass(self, backend: Backend) -> None:
        """CAP-45, CAP-47, CAP-49."""
        backend.put("fails")
        backend.put("works")
        fails, works = backend.take(10)
        backend.fail(fails)
        backend.ack([works])
        assert backend.take(10) == []
        backend.wait(RETRY_DELAY_S - 1)
        assert backend.take(10) == []
        backend.wait(1.1)
        [again] = backend.take(10)
        assert (again.lead_id, again.attempts) == (fails.lead_id, 1)

    def test_the_fourth_failed_delivery_is_the_last(self, backend: Backend) -> None:
        """CAP-46, acceptance 6: one first delivery and three retries, then the dead letters, with the last error."""
        message_id = backend.put("poison")
        deliveries = 0
        for _ in range(6):
            for one in backend.take(10):
                deliveries += 1
                backend.fail(one, f"error {deliveries}")
            backend.wait(RETRY_DELAY_S + 1)
        assert deliveries == 4
        assert backend.dead() == [(message_id, "error 4")]

    def test_a_dead_letter_can_be_given_back_or_discarded(self, backend: Backend) -> None:
        """CAP-50."""
        ids = [backend.put("one"), backend.put("two")]
        for _ in range(4):
            for one in backend.take(10):
                backend.fail(one)
            backend.wait(RETRY_DELAY_S + 1)
        assert sorted(message_id for message_id, _error in backend.dead()) == sorted(ids)
        backend.requeue(ids[0])
        backend.discard(ids[1])
        assert backend.dead() == []
        [again] = backend.take(10)
        assert (again.lead_id, again.attempts, backend.text_of(again)) == (ids[0], 0, "one")

    def test_a_message_that_kills_its_worker_again_and_again_ends_among_the_dead(
        self, backend: Backend
    ) -> None:
        message_id = backend.put("kills")
        taken = 0
        for _ in range(30):
            taken += len(backend.take(10))
            backend.wait(LEASE_S + 1)
        assert [dead for dead, _error in backend.dead()] == [message_id]
        assert 4 <= taken <= 12

    def test_the_figures_tell_what_waits_where(self, backend: Backend) -> None:
        """CAP-53."""
        for n in range(6):
            backend.put(str(n))
        held = backend.take(3)
        backend.fail(held[0])
        backend.wait(5)
        figures = backend.figures()
        assert (figures["depth"], figures["inflight"], figures["delayed"], figures["dead"]) == (3, 2, 1, 0)
        assert 4.9 < figures["oldest_age_seconds"] < 7
        backend.ack(held[1:])
        assert backend.figures()["inflight"] == 0

    def test_the_next_due_moment_is_known(self, backend: Backend) -> None:
        assert backend.seconds_to_next() == 30
        backend.put("lead")
        assert backend.seconds_to_next() == 0
        [held] = backend.take(1)
        assert backend.seconds_to_next() == 30
        backend.fail(held, delay_s=10)
        assert 8.9 < backend.seconds_to_next() <= 10
