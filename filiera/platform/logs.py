"""Structured logs: one JSON object a line, with the request's id, brand and user when known (PLT-08).

What identifies or unlocks is masked in every line: people read logs who may not see a customer's number. Errors and
above are copied to `system_logs` (PLT-10) by the processes that ask for it.
"""

import json
import logging
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

KEEP_SYSTEM_LOGS = timedelta(days=30)
COPY_QUEUE_SIZE = 1000  # errors waiting for the database; beyond it they stand in the log stream alone

_context: ContextVar[dict[str, Any] | None] = ContextVar("log_context", default=None)

# In the order in which they apply: what names itself a secret, then what looks like one.
_MASKS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), r"\1 ***"),
    (re.compile(r"(?i)(postgres(?:ql)?://[^:/\s]*):[^@\s]*@"), r"\1:***@"),
    (
        re.compile(
            r"(?i)([\"']?(?:[\w-]*(?:password|passwd|secret|token|api[_-]?key|signature|authorization|cookie)|pwd)"
            r"[\"']?\s*[:=]\s*)(?:\"[^\"]*\"|'[^']*'|[^\s,;&}\])]+)"
        ),
        r"\1***",
    ),
    (re.compile(r"\b(?:sk|pk|rk|whsec|fil|ghp|xox[abp])_[\w-]{8,}"), "***"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "***"),
    (re.compile(r"\b([\w+-])[\w.+-]*@([\w-]+(?:\.[\w-]+)+)"), r"\1***@\2"),
    # An international number, or an Italian mobile or landline without prefix: the first digits tell the network,
    # the last two help whoever looks for a call. Ids and moments are longer, shorter or joined to letters or dashes.
    (re.compile(r"(?<![\w.:-])(\+\d{1,2})[\d ()./-]{5,16}(\d{2})(?![\w-])"), r"\1***\2"),
    (re.compile(r"(?<![\w.:+-])(39)\d{7,9}(\d{2})(?![\w.:-])"), r"\1***\2"),
    (re.compile(r"(?<![\w.:+-])(3\d)\d[ ./]?\d{3}[ ./]?\d{1,2}(\d{2})(?![\w.:-])"), r"\1***\2"),
    (re.compile(r"(?<![\w.:+-])(0\d)\d{5,7}(\d{2})(?![\w.:-])"), r"\1***\2"),
)


@contextmanager
def bound(**values: Any) -> Iterator[None]:
    """Add values to every line logged inside; None leaves one out."""
    token = _context.set((_context.get() or {}) | _known(values))
    try:
        yield
    finally:
        _context.reset(token)


def note(**values: Any) -> None:
    """Add values to the lines of the enclosing `bound` from here to its end; without one, to nothing."""
    if (context := _context.get()) is not None:
        context.update(_known(values))


def mask(text: str) -> str:
    """Return `text` without secrets, and with telephone numbers and e-mail addresses shortened."""
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text


class JsonFormatter(logging.Formatter):
    """One JSON object a line, every field of PLT-08 that is known."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(fields_of(record), ensure_ascii=False, default=str)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of one line, masked."""
    fields: dict[str, Any] = {
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6]
        + "Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": mask(record.getMessage()),
        "function": record.funcName,
        "line": record.lineno,
    }
    for key, value in (_context.get() or {}).items():
        fields[key] = mask(value) if isinstance(value, str) and not key.endswith("_id") else value
    for key in ("duration_ms", "user_id", "brand_id", "request_id"):
        if (value := getattr(record, key, None)) is not None:
            fields[key] = value
    if record.exc_info:
        fields["exception"] = mask(logging.Formatter().formatException(record.exc_info))
    return fields


def configure(config: dict[str, Any]) -> None:
    """Send every line of this process to standard output; Django calls it, `config` is its own and not used."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler, *(kept for kept in root.handlers if type(kept) is not logging.StreamHandler)]
    root.setLevel(os.environ.get("FILIERA_LOG_LEVEL", "info").upper())
    logging.captureWarnings(capture=True)
    for name in ("django", "django.server"):  # Django's own handlers: a second line, or a mail to nobody
        logging.getLogger(name).handlers = []
    for chatty in ("httpx", "httpcore", "procrastinate", "django.server", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Our own request line says the same, with the route instead of the path.
    logging.getLogger("django.request").setLevel(logging.ERROR)


def copy_errors_to_database() -> None:
    """Copy errors and above of this process to `system_logs`, from a thread that nobody waits for."""
    handler = _DatabaseCopy()
    handler.setLevel(logging.ERROR)
    logging.getLogger().addHandler(handler)


def delete_old_system_logs(now: datetime) -> int:
    """Delete what was copied more than 30 days before `now`; return how many rows."""
    from filiera.platform.models import SystemLog

    deleted, _ = SystemLog.objects.filter(created_at__lt=now - KEEP_SYSTEM_LOGS).delete()
    return deleted


class _DatabaseCopy(logging.Handler):
    """Hands errors to a thread with a connection of its own: the failing request's may be what failed."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: queue.Queue[dict[str, Any]] = queue.Queue(COPY_QUEUE_SIZE)
        self._writer: threading.Thread | None = None
        self._starting = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        # The writer's own trouble is not written: it would come back here for ever.
        if threading.current_thread() is self._writer:
            return
        try:
            self._waiting.put_nowait(fields_of(record))
        except queue.Full:
            return
        with self._starting:  # at the first error, so that a process that forks later has none to lose
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="system-logs", daemon=True)
                self._writer.start()

    def flush(self, timeout_s: float = 5.0) -> None:
        """Wait until what was handed over is written, at most `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while self._waiting.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)

    def _write(self) -> None:
        from django.db import connection

        while True:
            fields = self._waiting.get()
            try:
                _store(fields)
            except Exception:  # the database is away, and the line stands in the log stream
                logging.getLogger(__name__).debug("an error could not be copied to system_logs")
            finally:
                connection.close()
                self._waiting.task_done()


def _store(fields: dict[str, Any]) -> None:
    from filiera.platform.models import SystemLog

    named = {"timestamp", "level", "logger", "message", "exception", "user_id"}
    SystemLog.objects.create(
        level=fields["level"],
        module=fields["logger"].removeprefix("filiera.").split(".")[0][:100],
        message=fields["message"],
        stack_trace=fields.get("exception", ""),
        context={key: value for key, value in fields.items() if key not in named},
        user_id=fields.get("user_id"),
        created_at=datetime.fromisoformat(fields["timestamp"]),
    )


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
