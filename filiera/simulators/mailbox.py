"""A mailbox that takes every message by SMTP and shows it: nothing of it leaves this machine.

The SMTP half speaks RFC 5321 with AUTH PLAIN and LOGIN (any credentials), 8BITMIME, SMTPUTF8 and SIZE;
no TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from html import escape
from itertools import count
from typing import Annotated, Any, ClassVar

from filiera.simulators import page
from filiera.simulators.base import Simulator, moment, now
from filiera.simulators.http import Answer, Request, json_answer, text_answer
from filiera.simulators.knobs import Json, Knobs, Says, scripted_from

MAX_MESSAGE_BYTES = 25 * 1024 * 1024
KEPT = 1000
ADDRESS = re.compile(r"(?:FROM|TO):\s*<([^>]*)>", re.IGNORECASE)
READ_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


@dataclass
class MailboxKnobs(Knobs):
    refused_recipients: Annotated[list[str], Says("Indirizzi rifiutati con 550.")] = field(
        default_factory=list
    )
    needs_auth: Annotated[bool, Says("Accetta posta solo dopo AUTH.")] = False


@dataclass(slots=True)
class Mail:
    id: str
    at: str
    sender: str
    recipients: list[str]
    raw: bytes = field(repr=False)
    message: EmailMessage = field(repr=False)

    @property
    def subject(self) -> str:
        return str(self.message["subject"] or "")

    def part(self, kind: str) -> str:
        """Return the text of the first "plain" or "html" part, "" when there is none."""
        part = self.message.get_body((kind,))
        return str(part.get_content()) if part is not None else ""

    def as_json(self) -> Json:
        return {
            "id": self.id,
            "at": self.at,
            "from": self.sender,
            "to": self.recipients,
            "subject": self.subject,
            "text": self.part("plain"),
            "html": self.part("html"),
            "headers": {name: str(value) for name, value in self.message.items()},
            "attachments": [part.get_filename() for part in self.message.iter_attachments()],
        }


class Mailbox(Simulator):
    name: ClassVar[str] = "mailbox"
    title: ClassVar[str] = "Posta"
    knobs_type: ClassVar[type[Knobs]] = MailboxKnobs
    knobs: MailboxKnobs

    def __init__(self, smtp_port: int = 0, **knobs: Any) -> None:
        super().__init__(**knobs)
        self._wanted_smtp_port = smtp_port
        self._smtp: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[Any]] = set()
        self.smtp_port = 0
        self.forget()

    def forget(self) -> None:
        self.mails: deque[Mail] = deque(maxlen=KEPT)
        self._ids = count(1)

    async def start(self, port: int = 0) -> None:
        await super().start(port)
        self._smtp = await asyncio.start_server(
            self._serve, "127.0.0.1", self._wanted_smtp_port, limit=MAX_MESSAGE_BYTES
        )
        self.smtp_port = self._smtp.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        await super().stop()

    def urls(self) -> Json:
        return super().urls() | {
            "smtp_host": "127.0.0.1",
            "smtp_port": self.smtp_port,
            "messages_url": f"{self.base_url}/_sim/messages",
        }

    # ── SMTP ────────────────────────────────────────────────────────────────

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async for reply in self._session(reader):
                    writer.write(f"{reply}\r\n".encode())
                    await writer.drain()
        except asyncio.CancelledError:
            pass  # stopping
        finally:
            self._sessions.discard(task)
            writer.close()

    async def _session(self, reader: asyncio.StreamReader) -> AsyncIterator[str]:
        """Yield the replies of one SMTP conversation."""
        if self.knobs.down:
            return
        yield "220 simulatore ESMTP"
        sender: str | None = None
        recipients: list[str] = []
        known = not self.knobs.needs_auth
        while line := (await reader.readline()).decode("utf-8", "replace").strip():
            verb, _, rest = line.partition(" ")
            verb = verb.upper()
            if scripted := self._scripted_reply(verb):
                yield scripted
                continue
            match verb:
                case "EHLO":
                    yield f"250-simulatore\r\n250-SIZE {MAX_MESSAGE_BYTES}\r\n250-8BITMIME\r\n250-SMTPUTF8"
                    yield "250 AUTH PLAIN LOGIN"
                case "HELO" | "NOOP":
                    yield "250 simulatore"
                case "AUTH":
                    for prompt in login_prompts(rest):
                        yield prompt
                        await reader.readline()
                    known = True
                    yield "235 2.7.0 accepted"
                case "MAIL" if not known:
                    yield "530 5.7.0 Authentication required"
                case "MAIL" if found := ADDRESS.match(rest):
                    sender, recipients = found[1], []
                    yield "250 2.1.0 sender ok"
                case "RCPT" if sender is None:
                    yield "503 5.5.1 MAIL first"
                case "RCPT" if found := ADDRESS.match(rest):
                    if found[1].lower() in {address.lower() for address in self.knobs.refused_recipients}:
                        yield "550 5.1.1 no such user here"
                        continue
                    recipients.append(found[1])
                    yield "250 2.1.5 recipient ok"
                case "DATA" if sender is not None and recipients:
                    yield "354 go on, end with a dot"
                    self._take(sender, recipients, await read_message(reader))
                    yield "250 2.0.0 taken"
                    sender, recipients = None, []
                case "DATA":
                    yield "503 5.5.1 RCPT first"
                case "RSET":
                    sender, recipients = None, []
                    yield "250 2.0.0 forgotten"
                case "QUIT":
                    yield "221 2.0.0 bye"
                    return
                case "MAIL" | "RCPT":
                    yield "501 5.5.4 address not understood"
                case _:
                    yield "502 5.5.2 command not known"

    def _scripted_reply(self, verb: str) -> str | None:
        """Return what `next_responses` has for this verb: {"endpoint": "RCPT", "status": 451}."""
        waiting = self.knobs.next_responses
        for item in waiting:
            scripted = scripted_from(item)
            if scripted.endpoint.upper() in {verb, "*"} and scripted.status:
                item["times"] = scripted.times - 1
                if item["times"] < 1:
                    waiting.remove(item)
                return f"{scripted.status} {scripted.message or 'not now'}"
        return None

    def _take(self, sender: str, recipients: list[str], raw: bytes) -> None:
        message = message_from_bytes(raw, policy=modern)
        assert isinstance(message, EmailMessage)  # the policy makes it one
        mail = Mail(str(next(self._ids)), moment(now()), sender, recipients, raw, message)
        self.mails.append(mail)
        self.count("messages")
        headers = {name: str(value) for name, value in message.items()}
        entry = self.record("SMTP", ", ".join(recipients), headers, mail.part("plain") or mail.part("html"))
        entry.status = 250

    # ── reading ─────────────────────────────────────────────────────────────

    async def control(self, request: Request, what: str) -> Answer | None:
        match request.method, what.split("/"):
            case "GET", ["messages"]:
                return json_answer([mail.as_json() for mail in self.mails])
            case "DELETE", ["messages"]:
                self.mails.clear()
                return json_answer([])
            case "GET", ["messages", mail_id, *kind]:
                return self._read(mail_id, kind)
        return None

    def _read(self, mail_id: str, kind: list[str]) -> Answer | None:
        mail = next((mail for mail in self.mails if mail.id == mail_id), None)
        match mail, kind:
            case Mail(), []:
                return json_answer(mail.as_json())
            case Mail(), ["raw"]:
                return Answer(200, mail.raw, "message/rfc822")
            case Mail(), ["text"]:
                return text_answer(mail.part("plain"))
            case Mail(), ["html"]:
                answer = text_answer(mail.part("html"), content_type="text/html; charset=utf-8")
                answer.headers["Content-Security-Policy"] = READ_POLICY
                return answer
        return None

    def panels(self, words: page.Words) -> str:
        rows = []
        for mail in list(self.mails)[: -page.ROWS_SHOWN - 1 : -1]:
            links = [
                f'<a href="/_sim/messages/{mail.id}/{kind}">{label}</a>'
                for kind, label in (
                    ("html", "HTML"),
                    ("text", escape(words.gettext("testo"))),
                    ("raw", "MIME"),
                )
                if kind == "raw" or mail.part("plain" if kind == "text" else kind)
            ]
            rows.append(
                [
                    page.clock(mail.at),
                    escape(", ".join(mail.recipients)),
                    f"<b>{escape(mail.subject)}</b><pre>{escape(mail.part('plain')[:600])}</pre>",
                    " ".join(links),
                ]
            )
        heads = [
            words.gettext("Quando"),
            words.gettext("A"),
            words.gettext("Oggetto"),
            words.gettext("Leggi"),
        ]
        return page.panel(
            words.gettext("Messaggi"), page.table(heads, rows, words.gettext("Ancora nessun messaggio."))
        )


def login_prompts(rest: str) -> list[str]:
    """Return what AUTH still asks for: nothing when the credentials came with the command."""
    mechanism, _, given = rest.partition(" ")
    if mechanism.upper() == "LOGIN":
        return ["334 UGFzc3dvcmQ6"] if given else ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"]
    return [] if given else ["334 "]


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """Read up to the lonely dot and undo dot-stuffing (RFC 5321, 4.5.2)."""
    lines = []
    while (line := await reader.readline()) not in {b".\r\n", b""}:
        lines.append(line[1:] if line.startswith(b".") else line)
    return b"".join(lines)
