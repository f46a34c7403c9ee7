"""What happened to each lead's call, as records: files for reading elsewhere, written from the rows (ROU-26 … ROU-35).

The table `routing_process` is the truth; every file here can be made again from it, for any day.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson
from django.conf import settings
from django.db import transaction
from django.db.models import Count, QuerySet

from filiera.identity.models import Brand
from filiera.platform import brand_scope
from filiera.routing.models import Agent, DailyMetrics, Process

RETENTION_DAYS: Final = 30
_DATED = re.compile(r"(?:lead-distribution|metrics)-(\d{4}-\d{2}-\d{2})\.jsonl?")
_ARCHIVE = re.compile(r"lead-system-backup-(\d{8})\.tar\.gz")
_ARCHIVES_KEPT = 7


# One record


def outward_id(text: str | None) -> int | str | None:
    """Return a provider's id as the historic shapes show it: a number where it is one."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() else text


def iso(at: datetime) -> str:
    """Return an instant as `2025-09-17T10:30:45.123Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def record(process: Process) -> dict[str, Any]:
    """Return a process in the shape of routing.md 4.4."""
    steps = {"contactCreation": {"success": False}, "agentDistribution": {"success": False}}
    steps |= {"callInitiation": {"success": False}} | process.steps
    body: dict[str, Any] = {
        "timestamp": iso(process.created_at),
        "processId": process.number,
        "type": process.type,
        "success": bool(process.success),
        "finalStatus": process.final_status,
        "processingTime": process.processing_time_ms,
        "lead": {name: process.lead.get(name, "") for name in ("id", "name", "phone")},
        "steps": steps,
        "metadata": {"dayOfWeek": process.day_of_week, "hourOfDay": process.hour_of_day},
    }
    if process.success is False:
        body["error"] = process.final_status
    return body


# Files


def folder(slug: str) -> Path:
    """Return the folder of a brand's files, under the installation's data folder."""
    return Path(settings.FILIERA_HOME) / "brands" / slug


def logs_folder(slug: str) -> Path:
    return folder(slug) / "logs" / "lead-distribution"


def append_later(process_ids: Sequence[UUID]) -> None:
    """Append the records of these processes to their days' files once the open transaction has committed."""
    brand_id, wanted = brand_scope.current(), list(process_ids)
    transaction.on_commit(lambda: append(brand_id, wanted), robust=True)


def append(brand_id: UUID, process_ids: Sequence[UUID]) -> None:
    """Append one line per process, each to the file of the UTC day it began on."""
    with brand_scope.use(brand_id):
        slug = Brand.objects.values_list("slug", flat=True).get(id=brand_id)
        processes = list(Process.objects.filter(id__in=process_ids).order_by("created_at", "id"))
    by_day: dict[date, list[bytes]] = {}
    for process in processes:
        by_day.setdefault(process.created_at.astimezone(UTC).date(), []).append(orjson.dumps(record(process)))
    for day, lines in by_day.items():
        path = _made(logs_folder(slug)) / f"lead-distribution-{day}.jsonl"
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # one writer at a time: lines of two processes never mix
            file.write(b"".join(line + b"\n" for line in lines))


def rebuild(day: date, *, now: datetime) -> int:
    """Write a UTC day's two files anew from the rows; returns how many processes it had."""
    slug = _slug()
    lines = [orjson.dumps(record(process)) + b"\n" for process in _settled(day).order_by("created_at", "id")]
    if lines or (logs_folder(slug) / f"lead-distribution-{day}.jsonl").exists():
        _replace(logs_folder(slug) / f"lead-distribution-{day}.jsonl", b"".join(lines))
    write_metrics(day, now=now)
    return len(lines)


def write_metrics(day: date, *, now: datetime) -> dict[str, Any]:
    """Compute a UTC day's figures, keep them in their row and their file, and return them."""
    content = metrics(day)
    DailyMetrics.objects.update_or_create(
        brand_id=brand_scope.current(), date=day, defaults={"content": content, "updated_at": now}
    )
    _replace(logs_folder(_slug()) / f"metrics-{day}.json", orjson.dumps(content))
    return content


def clean_up(*, days: int, today: date) -> int:
    """Remove the brand's files of more than `days` days ago; returns how many."""
    removed = 0
    for path, day in _dated_files(logs_folder(_slug())):
        if (today - day).days > days:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def archive(*, now: datetime) -> Path:
    """Pack state and logs into `lead-system-backup-YYYYMMDD.tar.gz`, keep the last seven, and return its path."""
    home = folder(_slug())
    state = orjson.dumps(export_state(), option=orjson.OPT_INDENT_2)
    path = _made(home) / f"lead-system-backup-{now.astimezone(UTC):%Y%m%d}.tar.gz"
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo("data/agent-distribution-state.json")
        entry.size, entry.mtime = len(state), int(now.timestamp())
        tar.addfile(entry, BytesIO(state))
        for log, _day in sorted(_dated_files(home / "logs" / "lead-distribution")):
            tar.add(log, arcname=str(log.relative_to(home)))
    _replace(path, packed.getvalue())
    archives = sorted(other for other in home.iterdir() if _ARCHIVE.fullmatch(other.name))
    for old in archives[:-_ARCHIVES_KEPT]:
        old.unlink(missing_ok=True)
    return path


# Figures


def percent(part: int, whole: int) -> str:
    """Return a rate as the contract writes it: "84.44", and "0.00" of nothing."""
    if not whole:
        return "0.00"
    return str((Decimal(100 * part) / whole).quantize(Decimal("0.01"), ROUND_HALF_UP))


def metrics(day: date) -> dict[str, Any]:
    """Return a UTC day's figures in the shape of routing.md 4.5."""
    return {"date": str(day)} | summary(_settled(day))


def summary(processes: QuerySet[Process]) -> dict[str, Any]:
    """Return totals, errors and agents of processes whose outcome is known.

    totalProcesses = successfulCalls + failedCalls, errorsByType sums to failedCalls, and each agent's total is the sum
    of its successes and failures.
    """
    groups = processes.order_by().values("agent_id", "success", "final_status").annotate(number=Count("id"))
    agents = {agent.id: agent for agent in Agent.objects.all()}
    totals = {True: 0, False: 0}
    errors: dict[str, int] = {}
    by_agent: dict[UUID, dict[bool, int]] = {}
    for group in groups:
        success, number = bool(group["success"]), group["number"]
        totals[success] += number
        if not success:
            errors[group["final_status"]] = errors.get(group["final_status"], 0) + number
        if group["agent_id"] is not None:
            counts = by_agent.setdefault(group["agent_id"], {True: 0, False: 0})
            counts[success] += number
    return {
        "totalProcesses": totals[True] + totals[False],
        "successfulCalls": totals[True],
        "failedCalls": totals[False],
        "successRate": percent(totals[True], totals[True] + totals[False]),
        "errorsByType": dict(sorted(errors.items())),
        "agentStats": {
            agents[agent_id].provider_agent_id: {
                "name": agents[agent_id].name,
                "totalAssigned": counts[True] + counts[False],
                "successfulCalls": counts[True],
                "failedCalls": counts[False],
            }
            for agent_id, counts in sorted(
                by_agent.items(),
                key=lambda item: (agents[item[0]].sort_order, agents[item[0]].provider_agent_id),
            )
        },
    }


# The state of the distribution, for the backup and for the product this one replaces (ROU-35)


def export_state() -> dict[str, Any]:
    """Return the state of the distribution as the historic file has it."""
    from filiera.routing.models import RoutingState

    turn = RoutingState.objects.select_related("last_agent").filter(brand_id=brand_scope.current()).first()
    agent = turn.last_agent if turn else None
    provider_ids = {
        str(pk): provider_id for pk, provider_id in Agent.objects.values_list("id", "provider_agent_id")
    }
    owned = turn.credits.get("c", {}) if turn else {}
    return {
        "lastUsedAgentId": outward_id(agent.provider_agent_id) if agent else None,
        "lastAssignedAt": iso(turn.last_assigned_at) if turn and turn.last_assigned_at else None,
        "totalAssigned": turn.total_assigned if turn else 0,
        "policy": turn.policy if turn else "round_robin",
        "creditsDenominator": turn.credits.get("d", "1") if turn else "1",
        "credits": {provider_ids[key]: value for key, value in owned.items() if key in provider_ids},
    }


def write_state() -> Path:
    """Write the state to `data/agent-distribution-state.json` and return the path."""
    path = folder(_slug()) / "data" / "agent-distribution-state.json"
    _replace(path, orjson.dumps(export_state(), option=orjson.OPT_INDENT_2))
    return path


def import_state(content: dict[str, Any], *, now: datetime) -> None:
    """Take over a state that `export_state`, or the product before, wrote. Unknown agents are left out."""
    from filiera.routing.commands import turn as turns

    agents = {agent.provider_agent_id: agent for agent in Agent.objects.all()}
    with transaction.atomic():
        standing = turns.locked(now)
        last = agents.get(str(content.get("lastUsedAgentId") or ""))
        standing.last_agent_id = last.id if last else None
        standing.last_sort_order = last.sort_order if last else None
        standing.total_assigned = int(content.get("totalAssigned") or 0)
        owned = {
            str(agents[key].id): str(int(value))
            for key, value in (content.get("credits") or {}).items()
            if key in agents
        }
        denominator = str(int(content.get("creditsDenominator") or 1))
        standing.credits = {"d": denominator, "c": owned} if owned else {}
        standing.updated_at = now
        standing.save()


def _settled(day: date) -> QuerySet[Process]:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Process.objects.filter(
        created_at__gte=start, created_at__lt=start + timedelta(days=1), success__isnull=False
    )


def _slug() -> str:
    return Brand.objects.values_list("slug", flat=True).get(id=brand_scope.current())


def _dated_files(where: Path) -> Iterator[tuple[Path, date]]:
    found: Iterable[Path] = where.iterdir() if where.is_dir() else ()
    for path in found:
        if match := _DATED.fullmatch(path.name):
            with contextlib.suppress(ValueError):
                yield path, date.fromisoformat(match[1])


def _made(where: Path) -> Path:
    where.mkdir(parents=True, exist_ok=True, mode=0o700)
    return where


def _replace(path: Path, content: bytes) -> None:
    """Write a whole file so that a reader sees the old one or the new one."""
    _made(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)
