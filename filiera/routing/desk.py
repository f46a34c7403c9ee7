"""The telephone desk of a worker: a thread for each brand with calls to place, and the reading of its events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final
from uuid import UUID

import django.db
from django.utils import timezone

from filiera.platform import jobs
from filiera.routing import areas, hooks, placing
from filiera.routing.line import Bell

LINGER_S: Final = 5.0
"""How long a brand's thread stays without work: the next lead finds connections that are open."""

log = areas.logger("lead-to-call:calls")


class CallDesk:
    """Places the calls of brands, each in a thread of its own that lives as long as there is something to do."""

    def __init__(self) -> None:
        self._bells: dict[UUID, Bell] = {}
        self._threads: dict[UUID, threading.Thread] = {}
        self._lock = threading.Lock()

    def ring(self, brand_ids: Iterable[UUID]) -> None:
        """Let the due calls of these brands be placed."""
        for brand_id in brand_ids:
            with self._lock:
                bell = self._bells.get(brand_id)
                if bell is None:
                    bell = self._bells[brand_id] = Bell()
                    name = f"calls {brand_id}"
                    thread = threading.Thread(target=self._work, args=(brand_id, bell), name=name)
                    self._threads[brand_id] = thread
                    thread.start()
                bell.ring()

    def close(self) -> None:
        """Begin no more calls, and wait for the answers to those that were asked for."""
        with self._lock:
            threads = list(self._threads.values())
            for bell in self._bells.values():
                bell.end()
        for thread in threads:
            thread.join()

    def _work(self, brand_id: UUID, bell: Bell) -> None:
        while self._is_wanted(brand_id, bell):
            try:
                with jobs.own_connection():
                    placing.place_calls(brand_id, bell=bell, linger_s=LINGER_S)
            except django.db.Error as error:
                log.warning("The database is away, calls wait in it: %s", error)
            except Exception:
                log.exception("placing the calls of %s", brand_id)

    def _is_wanted(self, brand_id: UUID, bell: Bell) -> bool:
        """Tell whether somebody rang since the rows were last looked at; when nobody did, this thread is over."""
        with self._lock:
            if bell.heard() and not bell.is_over:
                return True
            del self._bells[brand_id], self._threads[brand_id]
            return False


def read_events(brand_ids: Iterable[UUID], *, stopping: Callable[[], bool]) -> None:
    """Apply the provider's events that wait, brand after brand."""
    for brand_id in brand_ids:
        if stopping():
            return
        hooks.handle_waiting(brand_id, now=timezone.now)
