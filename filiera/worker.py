"""The resident process: takes leads in as they arrive, reads the provider's events, and says that it lives.

What has to happen at once has a thread that is woken by the commit that made the work, and looks again from time to
time for what a lost wake-up or a crash left behind. Everything else is a job. The phones and the jobs have processes of
their own, which the resident keeps running: threads of one would take the interpreter from each other (decision 8).
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import django
import uvloop

django.setup()

import psycopg  # noqa: E402
from asgiref.sync import sync_to_async  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import close_old_connections, connections  # noqa: E402
from django.utils import timezone  # noqa: E402
from procrastinate.contrib.django.django_connector import DjangoConnector  # noqa: E402
from procrastinate.exceptions import ConnectorException  # noqa: E402
from psycopg import sql  # noqa: E402
from psycopg_pool import PoolTimeout  # noqa: E402

from filiera.capture import queue  # noqa: E402
from filiera.journeys import lead_in  # noqa: E402
from filiera.platform import actor, jobs, supervisor  # noqa: E402
from filiera.platform.models import JobRun  # noqa: E402
from filiera.routing import desk, wake  # noqa: E402

log = logging.getLogger("filiera.worker")

# Jobs that may wait for the world, and those that only work: more than one of these would take each other's turn.
CONCURRENCY = {"default": 20, jobs.STEPS: 1}
HEARTBEAT_S = 10
JOBS_NICENESS = 5
BESIDE_PATIENCE_S = 12.0  # less than the worker itself is given to end
RECONNECT_S = 0.5
LEAD_ARRIVED = "filiera_lead"
# A lead takes some forty questions to the database. After each answer its thread waits for the interpreter, which
# another may keep for five milliseconds at a time unless we say less.
TURN_S = 0.0005
CALLS_SWEEP_S = 5.0
EVENTS_SWEEP_S = 30.0
# From one batch to the next, at least: what comes meanwhile goes together, and a batch of five costs little more than
# one of one. Who comes alone does not wait.
LEADS_TOGETHER_S = 0.05
EVENTS_TOGETHER_S = 0.5


def run() -> None:
    """Work until SIGTERM or SIGINT: claimed leads are finished, calls asked for and running jobs waited for."""
    stopping = _begin()
    beside = [
        supervisor.Process(name, ["-m", "filiera.cli", name], patience_s=BESIDE_PATIENCE_S)
        for name in ("phones", "jobs")
    ]
    heart = threading.Thread(target=_beat, args=(stopping,), name="heartbeat", daemon=True)
    heart.start()
    residents = _start({"leads": _take_leads, "events": _read_events}, stopping)
    log.info("Worker consumer started")
    supervisor.keep(beside, until=stopping)
    log.info("The worker stops: what it holds is finished first.")
    supervisor.end_together(beside)
    for thread in residents:
        thread.join()


def run_phones() -> None:
    """Place calls until SIGTERM or SIGINT: the answers to those that were asked for are waited for."""
    stopping = _begin()
    for thread in _start({"calls": _place_calls}, stopping):
        thread.join()


def run_jobs() -> None:
    """Run jobs until SIGTERM or SIGINT; running ones are waited for. What a person waits for goes first."""
    os.nice(JOBS_NICENESS)
    actor.process_is(actor.Actor(actor.MACHINE, "worker"))
    uvloop.run(_run_all_jobs())


def _begin() -> threading.Event:
    """Make this process a worker of threads; returns what is set by the signal to stop."""
    sys.setswitchinterval(TURN_S)
    actor.process_is(actor.Actor(actor.MACHINE, "worker"))
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_signal: stopping.set())
    return stopping


def _start(
    works: Mapping[str, Callable[[threading.Event], None]], stopping: threading.Event
) -> list[threading.Thread]:
    threads = [
        threading.Thread(target=_reside, args=(work, stopping), name=name) for name, work in works.items()
    ]
    for thread in threads:
        thread.start()
    return threads


async def _run_all_jobs() -> None:
    workers = asyncio.gather(*(_run_jobs(queue, many) for queue, many in CONCURRENCY.items()))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, workers.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await workers


async def _run_jobs(queue: str, concurrency: int) -> None:
    """Run the jobs of a queue, `concurrency` of them at a time, also across restarts of the database.

    With a connector of its own: what our commands defer goes on through Django's connection, in their transaction.
    """
    while True:
        try:
            own = jobs.app.with_connector(cast(DjangoConnector, jobs.app.connector).get_worker_connector())
            async with own.open_async():
                await own.run_worker_async(
                    queues=[queue],
                    concurrency=concurrency,
                    delete_jobs="successful",
                    install_signal_handlers=False,
                    fetch_job_polling_interval=1.0,
                    shutdown_graceful_timeout=30,
                )
        except (psycopg.Error, ConnectorException, PoolTimeout, OSError) as error:
            log.warning("The database is away, jobs wait: %s", error)
        # Periodic jobs are deferred through Django's connection of one thread: a broken one never mends by itself,
        # and the runner only ends, without raising, when it fails.
        await sync_to_async(connections.close_all)()
        await asyncio.sleep(RECONNECT_S)


def _reside(work: Callable[[threading.Event], None], stopping: threading.Event) -> None:
    """Do a resident's work until the worker stops, also across restarts of the database."""
    while not stopping.is_set():
        try:
            work(stopping)
        except (psycopg.OperationalError, django.db.OperationalError, django.db.InterfaceError) as error:
            log.warning("The database is away, work waits in it: %s", error)
            stopping.wait(RECONNECT_S)
        except Exception:
            log.exception("Errore worker consumer")
            stopping.wait(RECONNECT_S)
        finally:
            connections.close_all()


def _take_leads(stopping: threading.Event) -> None:
    """Take leads in as they arrive; a sweep finds what a lost wake-up left behind (CAP-42)."""
    name = f"{socket.gethostname()}:{os.getpid()}"
    with _listening(LEAD_ARRIVED) as ears:
        while not stopping.is_set():
            together_at = time.monotonic() + LEADS_TOGETHER_S
            lead_in.drain(worker=name, stopping=stopping.is_set)
            limit_s = min(
                settings.QUEUE_SWEEP_S, queue.seconds_to_next(timezone.now(), settings.QUEUE_SWEEP_S)
            )
            _hear(ears, stopping, limit_s)
            stopping.wait(max(together_at - time.monotonic(), 0.0))


def _place_calls(stopping: threading.Event) -> None:
    """Place the calls of each brand that is named, and every few seconds of each that has some due."""
    phones = desk.CallDesk()
    try:
        with _listening(wake.CALLS) as ears:
            sweep_at = 0.0
            while not stopping.is_set():
                if time.monotonic() >= sweep_at:
                    phones.ring(wake.brands_with_calls(timezone.now()))
                    close_old_connections()
                    sweep_at = time.monotonic() + CALLS_SWEEP_S
                phones.ring(_hear(ears, stopping, sweep_at - time.monotonic()))
    finally:
        phones.close()


def _read_events(stopping: threading.Event) -> None:
    """Apply the provider's events of each brand that is named, and from time to time of all."""
    with _listening(wake.EVENTS) as ears:
        sweep_at = 0.0
        told: set[UUID] = set()
        while not stopping.is_set():
            if time.monotonic() >= sweep_at:
                told = set(wake.brands())
                sweep_at = time.monotonic() + EVENTS_SWEEP_S
            together_at = time.monotonic() + EVENTS_TOGETHER_S
            desk.read_events(told, stopping=stopping.is_set)
            close_old_connections()
            told = _hear(ears, stopping, sweep_at - time.monotonic())
            stopping.wait(max(together_at - time.monotonic(), 0.0))


def _listening(channel: str) -> psycopg.Connection[Any]:
    """Return a connection that hears of arrivals. It listens before the first look, so that none falls between."""
    parameters = connections["default"].get_connection_params()
    parameters.pop("pool", None)
    ears = psycopg.connect(
        **{
            key: parameters[key]
            for key in ("dbname", "user", "password", "host", "port")
            if parameters.get(key)
        },
        autocommit=True,
    )
    ears.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
    return ears


def _hear(ears: psycopg.Connection[Any], stopping: threading.Event, limit_s: float) -> set[UUID]:
    """Wait until somebody wakes us, for `limit_s` at most or until the worker stops; return the brands named."""
    ends_at = time.monotonic() + limit_s
    while not stopping.is_set() and (left_s := ends_at - time.monotonic()) > 0:
        if heard := list(ears.notifies(timeout=min(left_s, 1.0), stop_after=1)):
            return {UUID(notice.payload) for notice in heard if notice.payload}
    return set()


def _beat(stopping: threading.Event) -> None:
    """Leave a sign of life that the system page and the doctor read."""
    name, started_at = f"worker {socket.gethostname()}:{os.getpid()}", timezone.now()
    while not stopping.is_set():
        try:
            _beat_once(name, started_at, timezone.now())
        except django.db.Error:
            log.debug("no heartbeat: the database is away")
        finally:
            close_old_connections()
        stopping.wait(HEARTBEAT_S)


def _beat_once(name: str, started_at: datetime, now: datetime) -> None:
    JobRun.objects.update_or_create(
        name=name, defaults={"started_at": started_at, "finished_at": now, "status": "alive"}
    )


if __name__ == "__main__":
    run()
