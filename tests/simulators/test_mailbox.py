"""The mailbox: takes messages as any mail server would, refuses on demand, shows them without trusting them."""

import smtplib
import socket
from email.message import EmailMessage

import httpx
import pytest

from filiera.simulators.mailbox import Mailbox
from filiera.simulators.testing import Running, start_mailbox


def message(to: str = "giulia@posta.example") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"] = "Vegliasì <ciao@vegliasi.example>", to
    mail["Subject"] = "Ti richiamiamo noi, Niccolò"
    mail.set_content("Ciao Niccolò,\n.questa riga comincia con un punto\n")
    mail.add_alternative("<p>Ciao <b>Niccolò</b></p><script>alert(1)</script>", subtype="html")
    return mail


def send(mailbox: Running[Mailbox], mail: EmailMessage, login: tuple[str, str] | None = None) -> None:
    with smtplib.SMTP("127.0.0.1", mailbox.simulator.smtp_port, timeout=5) as server:
        if login:
            server.login(*login)
        server.send_message(mail)


def test_a_message_is_kept_as_it_was_sent(mailbox: Running[Mailbox], http: httpx.Client) -> None:
    send(mailbox, message())
    [mail] = http.get(f"{mailbox.base_url}/_sim/messages").json()
    assert mail["from"] == "ciao@vegliasi.example"
    assert mail["to"] == ["giulia@posta.example"]
    assert mail["subject"] == "Ti richiamiamo noi, Niccolò"
    assert mail["text"].splitlines() == ["Ciao Niccolò,", ".questa riga comincia con un punto"]
    assert "<b>Niccolò</b>" in mail["html"]


def test_a_message_stands_in_the_log_too(mailbox: Running[Mailbox]) -> None:
    send(mailbox, message())
    [entry] = mailbox.log
    assert (entry["method"], entry["path"], entry["status"]) == ("SMTP", "giulia@posta.example", 250)
    assert entry["headers"]["Subject"] == "Ti richiamiamo noi, Niccolò"


def test_a_message_is_read_in_a_sandbox(mailbox: Running[Mailbox], http: httpx.Client) -> None:
    send(mailbox, message())
    html = http.get(f"{mailbox.base_url}/_sim/messages/1/html")
    assert "sandbox" in html.headers["content-security-policy"]
    assert http.get(f"{mailbox.base_url}/_sim/messages/1/raw").content.startswith(b"From: ")
    assert "Ciao" in http.get(f"{mailbox.base_url}/_sim/messages/1/text").text
    assert http.get(f"{mailbox.base_url}/_sim/messages/2/html").status_code == 404
    assert "<script>alert" not in http.get(mailbox.base_url).text


def test_several_messages_go_through_one_connection(mailbox: Running[Mailbox]) -> None:
    with smtplib.SMTP("127.0.0.1", mailbox.simulator.smtp_port, timeout=5) as server:
        server.send_message(message())
        server.rset()
        server.send_message(message("bea@vegliasi.example"))
    assert [mail.recipients for mail in mailbox.simulator.mails] == [
        ["giulia@posta.example"],
        ["bea@vegliasi.example"],
    ]


def test_a_recipient_can_be_refused_for_good_or_for_now(mailbox: Running[Mailbox]) -> None:
    mailbox.set_knobs(refused_recipients=["nessuno@posta.example"])
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(mailbox, message("nessuno@posta.example"))
    assert refused.value.recipients["nessuno@posta.example"][0] == 550
    mailbox.set_knobs(next_responses=[{"endpoint": "RCPT", "status": 451, "message": "4.2.0 later"}])
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(mailbox, message())
    assert refused.value.recipients["giulia@posta.example"][0] == 451
    send(mailbox, message())
    assert len(mailbox.simulator.mails) == 1


def test_it_can_ask_who_is_there() -> None:
    with start_mailbox(needs_auth=True) as mailbox:
        with pytest.raises(smtplib.SMTPSenderRefused):
            send(mailbox, message())
        send(mailbox, message(), login=("ada", "parola"))
        assert len(mailbox.simulator.mails) == 1


def test_auth_login_is_understood(mailbox: Running[Mailbox]) -> None:
    with smtplib.SMTP("127.0.0.1", mailbox.simulator.smtp_port, timeout=5) as server:
        server.ehlo()
        server.user, server.password = "ada", "parola"
        assert server.auth("LOGIN", server.auth_login)[0] == 235


def test_commands_out_of_order_are_refused_and_the_session_goes_on(mailbox: Running[Mailbox]) -> None:
    with smtplib.SMTP("127.0.0.1", mailbox.simulator.smtp_port, timeout=5) as server:
        assert server.docmd("RCPT", "TO:<x@posta.example>")[0] == 503
        assert server.docmd("DATA")[0] == 503
        assert server.docmd("MAIL", "to whom it may concern")[0] == 501
        assert server.docmd("VRFY", "x")[0] == 502
        server.send_message(message())


def test_a_mailbox_that_is_down_hangs_up(mailbox: Running[Mailbox]) -> None:
    mailbox.set_knobs(down=True)
    with socket.create_connection(("127.0.0.1", mailbox.simulator.smtp_port), timeout=5) as connection:
        assert connection.recv(100) == b""


def test_messages_are_forgotten_when_asked(mailbox: Running[Mailbox], http: httpx.Client) -> None:
    send(mailbox, message())
    http.delete(f"{mailbox.base_url}/_sim/messages")
    assert http.get(f"{mailbox.base_url}/_sim/messages").json() == []
    send(mailbox, message())
    mailbox.reset()
    assert http.get(f"{mailbox.base_url}/_sim/messages").json() == []
