"""The lines that operators and machines read: complete, and without what identifies or unlocks."""

import json
import logging
import sys
from datetime import timedelta

import pytest
from django.utils import timezone

from filiera.platform import logs
from filiera.platform.models import SystemLog


def line(message: str, *arguments: object, exc_info: object = None, **extra: object) -> dict[str, object]:
    record = logging.getLogger("filiera.capture").makeRecord(
        "filiera.capture",
        logging.ERROR,
        __file__,
        7,
        message,
        arguments,
        exc_info,
        "accept",
        extra,  # type: ignore[arg-type]
    )
    parsed: dict[str, object] = json.loads(logs.JsonFormatter().format(record))
    return parsed


def test_a_line_has_the_fields_of_the_ledger_and_what_the_request_knows() -> None:
    with logs.bound(request_id="req-1"):
        logs.note(user_id="u-1", brand_id="b-1")
        found = line("done", duration_ms=12.5)
    assert found["timestamp"].endswith("Z")  # type: ignore[union-attr]
    del found["timestamp"]
    assert found == {
        "level": "error", "logger": "filiera.capture", "message": "done", "function": "accept", "line": 7,
        "request_id": "req-1", "user_id": "u-1", "brand_id": "b-1", "duration_ms": 12.5,
    }  # fmt: skip


def test_what_one_request_notes_is_not_in_the_lines_of_the_next() -> None:
    with logs.bound(request_id="req-1"):
        logs.note(user_id="u-1")
    with logs.bound(request_id="req-2"):
        assert "user_id" not in line("next")


@pytest.mark.parametrize(
    ("written", "masked"),
    [
        ("call to +393510001234 failed", "call to +39***34 failed"),
        ("call to +39 351 000 1234 failed", "call to +39***34 failed"),
        ("number 3510001234", "number 35***34"),
        ("number 393510001234", "number 39***34"),
        ("number 0287654321", "number 02***21"),
        ("mail to ada.rossi@vegliasi.example", "mail to a***@vegliasi.example"),
        ("Authorization: Bearer abcdef123456", "Authorization: *** ***"),
        ('{"api_key": "fk-123", "password": "x y"}', '{"api_key": ***, "password": ***}'),
        ("GET /hook?token=abc&x=1", "GET /hook?token=***&x=1"),
        ("postgresql://filiera_app:pw@host/db", "postgresql://filiera_app:***@host/db"),
        ("signed sk_live_0123456789", "signed ***"),
    ],
)
def test_secrets_numbers_and_addresses_are_masked(written: str, masked: str) -> None:
    assert line("%s", written)["message"] == masked


@pytest.mark.parametrize(
    "harmless",
    [
        "req-0192f0c1-3510-7001-8234-0123456789ab",
        "2026-11-21T23:14:00.123Z",
        "500 leads in 0.123456 s",
        "port 8000",
    ],
)
def test_ids_moments_and_figures_stay_readable(harmless: str) -> None:
    assert line("%s", harmless)["message"] == harmless


def test_the_traceback_is_masked_too() -> None:
    try:
        raise ValueError("bad number +393510001234")
    except ValueError:
        found = line("failed", exc_info=sys.exc_info())
    assert "+39***34" in str(found["exception"])
    assert "0001234" not in str(found["exception"])


@pytest.mark.django_db(transaction=True)
def test_errors_are_copied_to_the_system_log_and_deleted_after_thirty_days() -> None:
    handler = logs._DatabaseCopy()
    handler.setLevel(logging.ERROR)
    log = logging.getLogger("filiera.routing.calls")
    log.addHandler(handler)
    try:
        with logs.bound(request_id="req-9"):
            log.warning("not this one")
            log.error("call to +393510001234 failed")
        handler.flush()
    finally:
        log.removeHandler(handler)
    copied = SystemLog.objects.get()
    assert (copied.level, copied.module, copied.message) == ("error", "routing", "call to +39***34 failed")
    assert copied.context["request_id"] == "req-9"
    assert logs.delete_old_system_logs(timezone.now()) == 0
    assert logs.delete_old_system_logs(timezone.now() + timedelta(days=31)) == 1
