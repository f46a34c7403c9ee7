"""Senders as the world has them: each lead has one request id, and is sent again until it is acknowledged.

Some never repeat. What was acknowledged is kept, because that is what must be found in the database.
"""

import http.client
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import orjson

from bench import leads

TIMEOUT_S = 8.0
PAUSE_AFTER_FAILURE_S = 0.3
CALLED_EVERY = 8
"""One lead in so many is of the source whose leads are called."""
NEVER_REPEATED_EVERY = 5


@dataclass(slots=True)
class Senders:
    """Threads that send leads at a steady rate. `acknowledged` maps each request id to the status it was told."""

    port: int
    facts: dict[str, Any]
    per_second: float = 40.0
    threads: int = 8
    acknowledged: set[str] = field(default_factory=set)
    sent: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    without_retry_after: int = 0
    lost_answers: int = 0
    _stopping: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _started: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for _ in range(self.threads):
            thread = threading.Thread(target=self._send_steadily, daemon=True)
            thread.start()
            self._started.append(thread)

    def stop(self, patience_s: float = 60.0) -> None:
        """Begin nothing new; what is being repeated is repeated until it is acknowledged."""
        self._stopping.set()
        ends_at = time.monotonic() + patience_s
        for thread in self._started:
            thread.join(max(ends_at - time.monotonic(), 0.1))

    def _send_steadily(self) -> None:
        while not self._stopping.wait(self.threads / self.per_second):
            with self._lock:
                self.sent += 1
                number = self.sent
            self._deliver(number)

    def _deliver(self, number: int) -> None:
        """Send one lead; all but some go on until they are acknowledged, also after the load has ended."""
        request_id = f"LEAD_{number:012d}"
        while True:
            status = self._post(number, request_id)
            with self._lock:
                self.statuses[status] = self.statuses.get(status, 0) + 1
                if 200 <= status < 300:
                    self.acknowledged.add(request_id)
            if 200 <= status < 300 or number % NEVER_REPEATED_EVERY == 0:
                return
            time.sleep(PAUSE_AFTER_FAILURE_S)

    def _post(self, number: int, request_id: str) -> int:
        """Return the status told, 0 when there was no answer."""
        source = self.facts["calling_source" if number % CALLED_EVERY == 0 else "source"]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        headers = {
            "Content-Type": "application/json",
            "X-API-Key": self.facts["key"],
            "X-Request-ID": request_id,
        }
        try:
            connection.request("POST", f"/webhook-ingest/{source}", leads.lead(number), headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            with self._lock:
                self.lost_answers += 1
            return 0
        finally:
            connection.close()
        if answer.status == 503 and not answer.headers.get("Retry-After"):
            with self._lock:
                self.without_retry_after += 1
        if 200 <= answer.status < 300 and not orjson.loads(body)["success"]:
            return 599  # a 2xx that says no is a lie
        return answer.status
