"""The outgoing e-mail queue: messages are rows, sent by a task outside any transaction."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import formataddr
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.db.models import F
from procrastinate.exceptions import AlreadyEnqueued

from filiera.identity.models import OutgoingEmail
from filiera.platform import brand_scope, bulk, jobs
from filiera.platform.ids import new_id

INVITATION = "identity.invitation"
"""A letter that holds a secret: its text is not kept once it left."""
BATCH = 50
LEASE = timedelta(minutes=5)
MOST_ATTEMPTS = 8
# Kinds of messages that hold a secret begin so: their text is not kept once they left or will never leave.
SECRET = "account."
# A message is sent two seconds after it was queued: by then the transaction that queued it has ended.
SEND_AFTER_S = 2


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to one reader. One of a kind is sent for one subject, however often it is queued."""

    kind: str
    subject_id: UUID
    to_address: str
    to_name: str
    subject: str
    body_text: str


def queue(letters: Sequence[Letter], *, now: datetime) -> None:
    """Queue letters of the current brand with one statement, and the job that sends them."""
    if not letters:
        return
    brand_id = brand_scope.current()
    bulk.insert(
        OutgoingEmail,
        [
            "id", "brand_id", "kind", "subject_id", "to_address", "to_name", "subject",
            "body_text", "body_html", "status", "attempts", "due_at", "last_error", "created_at",
        ],
        [
            (
                new_id(), brand_id, letter.kind, letter.subject_id, letter.to_address, letter.to_name,
                letter.subject, letter.body_text, "", OutgoingEmail.Status.QUEUED, 0, now, "", now,
            )
            for letter in letters
        ],
        on_conflict="(brand_id, kind, subject_id) do nothing",
    )  # fmt: skip
    defer_sending(brand_id)


def defer_sending(brand_id: UUID) -> None:
    """Enqueue the sending of a brand's messages, unless it is waiting already."""
    from filiera.identity.tasks import send_emails

    lock = f"emails:{brand_id}"
    if jobs.is_waiting(lock):  # nearly always, while leads come: asking costs less than being refused
        return
    with contextlib.suppress(AlreadyEnqueued), transaction.atomic():
        send_emails.configure(queueing_lock=lock, schedule_in={"seconds": SEND_AFTER_S}).defer(
            brand_id=str(brand_id)
        )


def claim(brand_id: UUID, *, now: datetime) -> list[OutgoingEmail]:
    """Return messages that are due, leased for five minutes: a sender that dies gives them back."""
    with brand_scope.use(brand_id):
        due = list(
            OutgoingEmail.objects.select_for_update(skip_locked=True)
            .filter(status=OutgoingEmail.Status.QUEUED, due_at__lte=now)
            .order_by("due_at")[:BATCH]
        )
        OutgoingEmail.objects.filter(id__in=[letter.id for letter in due]).update(
            due_at=now + LEASE, attempts=F("attempts") + 1
        )
    return due


def send(letter: OutgoingEmail) -> None:
    """Hand one message to the configured server. Raises OSError or SMTPException when it is not taken."""
    message = EmailMultiAlternatives(
        letter.subject,
        letter.body_text,
        settings.DEFAULT_FROM_EMAIL,
        [formataddr((letter.to_name, letter.to_address))],
        connection=get_connection("django.core.mail.backends.smtp.EmailBackend"),
        headers={"Message-ID": f"<{letter.id}@{_our_domain()}>"},
    )
    message.send()


def sent(letter: OutgoingEmail, *, now: datetime) -> None:
    """Note that a message left."""
    with brand_scope.use(letter.brand_id):
        OutgoingEmail.objects.filter(id=letter.id).update(
            status=OutgoingEmail.Status.SENT,
            sent_at=now,
            last_error="",
            body_text=_kept_text(letter),
        )


def not_sent(letter: OutgoingEmail, *, error: str, now: datetime) -> None:
    """Note why a message did not leave; it is tried again with growing pauses, then stands as failed."""
    attempts = letter.attempts + 1
    status = OutgoingEmail.Status.FAILED if attempts >= MOST_ATTEMPTS else OutgoingEmail.Status.QUEUED
    with brand_scope.use(letter.brand_id):
        OutgoingEmail.objects.filter(id=letter.id).update(
            status=status, due_at=now + timedelta(seconds=30 * 2**attempts), last_error=error[:2000]
        )


def _kept_text(letter: OutgoingEmail) -> str:
    return "" if letter.kind == INVITATION or letter.kind.startswith(SECRET) else letter.body_text


def _our_domain() -> str:
    return str(settings.DEFAULT_FROM_EMAIL).rpartition("@")[2].rstrip(">")
