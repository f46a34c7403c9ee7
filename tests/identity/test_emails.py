"""The outgoing e-mail queue: rows first, then a task that sends them outside any transaction."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from filiera.identity import emails, tasks
from filiera.identity.models import OutgoingEmail
from filiera.platform.ids import new_id
from filiera.simulators.testing import start_mailbox


def _letter(address: str = "adele@posta.example") -> emails.Letter:
    return emails.Letter(
        kind="lead_confirmation",
        subject_id=new_id(),
        to_address=address,
        to_name="Adele Però",
        subject="Vegliasì: richiesta ricevuta",
        body_text="Ciao Adele,\n\nabbiamo ricevuto la tua richiesta.",
    )


def test_a_letter_queued_twice_for_one_thing_is_sent_once(in_vegliasi: Any) -> None:
    letter = _letter()
    emails.queue([letter, letter], now=timezone.now())
    emails.queue([letter], now=timezone.now())
    assert OutgoingEmail.objects.count() == 1


def test_a_queued_letter_reaches_the_mailbox(in_vegliasi: Any, settings: Any) -> None:
    emails.queue([_letter()], now=timezone.now())
    with start_mailbox() as mailbox:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.simulator.smtp_port
        settings.EMAIL_USE_TLS = False
        tasks.send_emails.func(brand_id=str(in_vegliasi.id))
        [mail] = mailbox.do(lambda: list(mailbox.simulator.mails))
    letter = OutgoingEmail.objects.get()
    assert (letter.status, letter.attempts) == ("sent", 1)
    assert mail.recipients == ["adele@posta.example"]
    assert str(mail.message["to"]) == "Adele Però <adele@posta.example>"
    assert mail.subject == "Vegliasì: richiesta ricevuta"
    assert "abbiamo ricevuto la tua richiesta" in mail.part("plain")


def test_without_a_server_nothing_leaves_and_the_letter_waits(in_vegliasi: Any, settings: Any) -> None:
    settings.EMAIL_HOST = ""
    emails.queue([_letter()], now=timezone.now())
    tasks.send_emails.func(brand_id=str(in_vegliasi.id))
    letter = OutgoingEmail.objects.get()
    assert (letter.status, letter.attempts) == ("queued", 0)


def test_a_server_that_is_down_is_tried_again_later_and_given_up_in_the_end(
    in_vegliasi: Any, settings: Any
) -> None:
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", 1, False
    emails.queue([_letter()], now=timezone.now())
    now = timezone.now()
    for attempt in range(1, emails.MOST_ATTEMPTS + 1):
        [letter] = emails.claim(in_vegliasi.id, now=now)
        emails.not_sent(letter, error="Connection refused", now=now)
        letter.refresh_from_db()
        assert letter.attempts == attempt
        assert letter.due_at > now
        now = letter.due_at
    assert letter.status == "failed"
    assert letter.last_error == "Connection refused"


def test_a_sender_that_dies_gives_its_letters_back(in_vegliasi: Any) -> None:
    now = timezone.now()
    emails.queue([_letter()], now=now)
    assert len(emails.claim(in_vegliasi.id, now=now)) == 1
    assert emails.claim(in_vegliasi.id, now=now) == []
    assert len(emails.claim(in_vegliasi.id, now=now + emails.LEASE + timedelta(seconds=1))) == 1
