"""The resident process: takes leads in as they arrive, runs jobs, and says that it lives."""

import asyncio
import logging
import signal
import socket
import threading
from datetime import datetime
from os import getpid
from typing import Any, cast

import django

django.setup()

import psycopg  # noqa: E402
from asgiref.sync import sync_to_async  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import close_old_connections, connections  # noqa: E402
from django.utils import timezone  # noqa: E402
from procrastinate.contrib.django.django_connector import DjangoConnector  # noqa: E402
from procrastinate.exceptions import ConnectorException  # noqa: E402
from psycopg_pool import PoolTimeout  # noqa: E402

from filiera.capture import queue  # noqa: E402
from filiera.journeys import lead_in  # noqa: E402
from filiera.platform import jobs  # noqa: E402
from filiera.platform.models import JobRun  # noqa: E402

log = logging.getLogger("filiera.worker")

JOB_CONCURRENCY = 20
HEARTBEAT_S = 10
RECONNECT_S = 0.5
LEAD_ARRIVED = "filiera_lead"


def run() -> None:
    """Work until SIGTERM or SIGINT: claimed leads are finished, running jobs are waited for."""
    asyncio.run(_run())


async def _run() -> None:
    stopping = threading.Event()
    leads = threading.Thread(target=_take_leads, args=(stopping,), name="leads")
    heart = threading.Thread(target=_beat, args=(stopping,), name="heartbeat", daemon=True)
    leads.start()
    heart.start()
    worker = asyncio.create_task(_run_jobs())
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopping.set()
        worker.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    log.info("Worker consumer started")
    try:
        await worker
    except asyncio.CancelledError:
        log.info("The worker stops: what it holds is finished first.")
    finally:
        stopping.set()
        await asyncio.to_thread(leads.join)


async def _run_jobs() -> None:
    """Run Procrastinate, also across restarts of the database.

    With a connector of its own: what our commands defer goes on through Django's connection, in their transaction.
    """
    while True:
        try:
            own = jobs.app.with_connector(cast(DjangoConnector, jobs.app.connector).get_worker_connector())
            async with own.open_async():
                await own.run_worker_async(
                    concurrency=JOB_CONCURRENCY,
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


def _take_leads(stopping: threading.Event) -> None:
    """Take leads in as they arrive; a sweep finds what a lost wake-up left behind (CAP-42)."""
    name = f"{socket.gethostname()}:{getpid()}"
    while not stopping.is_set():
        try:
            with _listening() as ears:
                while not stopping.is_set():
                    lead_in.drain(worker=name, stopping=stopping.is_set)
                    _wait_for_arrival(ears, stopping)
        except (psycopg.OperationalError, django.db.OperationalError, django.db.InterfaceError) as error:
            log.warning("The database is away, leads wait in it: %s", error)
            stopping.wait(RECONNECT_S)
        except Exception:
            log.exception("Errore worker consumer")
            stopping.wait(RECONNECT_S)
        finally:
            connections.close_all()


def _listening() -> psycopg.Connection[Any]:
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
    ears.execute(f"listen {LEAD_ARRIVED}")
    return ears


def _wait_for_arrival(ears: psycopg.Connection[Any], stopping: threading.Event) -> None:
    """Return when a lead arrives, the sweep or a delayed retry is due, or the worker stops."""
    waited_s, pause_s = 0.0, 1.0
    limit_s = min(settings.QUEUE_SWEEP_S, queue.seconds_to_next(timezone.now(), settings.QUEUE_SWEEP_S))
    while waited_s < limit_s and not stopping.is_set():
        for _ in ears.notifies(timeout=min(pause_s, limit_s - waited_s), stop_after=1):
            return
        waited_s += pause_s


def _beat(stopping: threading.Event) -> None:
    """Leave a sign of life that the system page and the doctor read."""
    name, started_at = f"worker {socket.gethostname()}:{getpid()}", timezone.now()
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
