"""The line to a brand's provider: requests under way in a thread of their own, and the bell that calls for the next."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from queue import Empty, SimpleQueue
from typing import Any, Self, TypeVar

import httpx
import uvloop

from filiera.platform import http
from filiera.routing.cloudtalk import READ_TIMEOUT_S, Account, CloudTalk
from filiera.routing.errands import Errand

T = TypeVar("T")


class Line:
    """The requests under way, `most` at a time, in an event loop of their own thread.

    They go on while rows are read and written.
    """

    def __init__(self, account: Account, *, most: int) -> None:
        self._account, self._most = account, most
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="calls", daemon=True)
        self._done: SimpleQueue[tuple[Errand, BaseException | None] | None] = SimpleQueue()
        self.under_way: list[Errand] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._http = self._wait(self._open())
        self._client = CloudTalk(self._http, self._account)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(self, errand: Errand) -> None:
        """Send a request now; its errand comes back through `finished`."""
        self.under_way.append(errand)
        future = asyncio.run_coroutine_threadsafe(errand.run(self._client), self._loop)
        future.add_done_callback(
            # A request that the closing line took back is nobody's any more.
            lambda done: None if done.cancelled() else self._done.put((errand, done.exception()))
        )

    def nudge(self) -> None:
        """Let `finished` return, also with nothing."""
        self._done.put(None)

    def finished(self, *, timeout_s: float | None) -> list[Errand]:
        """Return what came back, waiting at most `timeout_s` for the first. Raises what a request should not."""
        back = []
        with contextlib.suppress(Empty):
            back.append(self._done.get(timeout=timeout_s))
            while True:
                back.append(self._done.get_nowait())
        errands = []
        for errand, fault in filter(None, back):
            self.under_way.remove(errand)
            if fault is not None:
                raise fault
            errands.append(errand)
        return errands

    async def _open(self) -> httpx.AsyncClient:
        return http.client(read_timeout_s=READ_TIMEOUT_S, max_connections=self._most)

    async def _close(self) -> None:
        mine = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)
        await self._http.aclose()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class Bell:
    """Calls a placing that runs in another thread to the rows, and ends it."""

    def __init__(self) -> None:
        self.is_over = False
        self._is_rung = False
        self._line: Line | None = None

    def ring(self) -> None:
        """Let the rows be looked at soon."""
        self._is_rung = True
        if (line := self._line) is not None:
            line.nudge()

    def end(self) -> None:
        """Let nothing more begin; what is under way is waited for."""
        self.is_over = True
        self.ring()

    @property
    def rings(self) -> bool:
        """Tell whether it rang and nobody looked yet."""
        return self._is_rung

    def heard(self) -> bool:
        """Tell whether it rang since the last time. Asked before a look, which then answers it."""
        was_rung, self._is_rung = self._is_rung, False
        return was_rung

    def nudges(self, line: Line | None) -> None:
        """Nudge this line from now on."""
        self._line = line
