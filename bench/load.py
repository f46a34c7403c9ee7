"""A light load generator: one process, raw sockets, one epoll loop.

It shares the machine with what it measures, so it does as little as possible for each request: requests come ready
as bytes, answers are read until complete and reduced to their status, and latency is one subtraction.
"""

import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench.figures import percentile

STALLED_S = 30.0
Answered = Callable[[int, int], None]
"""Told the number of a request and the status of its answer."""


class Stalled(RuntimeError):
    """The server did not answer anybody for half a minute."""


@dataclass(slots=True)
class Measured:
    """What came back: seconds of the whole run, seconds of each answer, how many answers of each status."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def accepted(self) -> int:
        """Return how many answers were a success."""
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300)

    @property
    def per_second(self) -> float:
        return self.accepted / self.seconds if self.seconds else 0.0

    def ms(self, share: float) -> float:
        """Return a percentile of the latency in milliseconds."""
        return percentile(self.latencies_s, share) * 1000

    def __str__(self) -> str:
        return f"{self.per_second:,.0f}/s, p50 {self.ms(0.5):.1f} ms, p99 {self.ms(0.99):.1f} ms, {dict(self.statuses)}"


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    number: int = -1
    sent_at: float = 0.0
    received: bytes = b""


def closed(
    port: int,
    requests: Iterator[bytes],
    *,
    seconds: float,
    connections: int = 64,
    answered: Answered | None = None,
) -> Measured:
    """Keep every connection busy with one request at a time for `seconds`, or until `requests` end.

    The time counted ends with the last answer. Raises Stalled, ConnectionError.
    """
    measured = Measured()
    with _Sockets(port, connections) as sockets:
        started = time.perf_counter()
        ends_at = started + seconds
        number = busy = 0
        for connection in sockets.all:
            if (request := next(requests, None)) is not None:
                sockets.send(connection, request, number, time.perf_counter())
                number, busy = number + 1, busy + 1
        while busy:
            for connection, status, now in sockets.answers(measured, STALLED_S):
                if answered is not None:
                    answered(connection.number, status)
                request = next(requests, None) if now < ends_at else None
                if request is None:
                    busy -= 1
                else:
                    sockets.send(connection, request, number, now)
                    number += 1
        measured.seconds = time.perf_counter() - started
    return measured


def open_loop(
    port: int, requests: Iterator[bytes], *, per_second: float, seconds: float, connections: int = 64
) -> Measured:
    """Send at a fixed rate, whatever the answers do; latency counts from the moment a request was due.

    Raises Stalled, ConnectionError.
    """
    measured = Measured()
    with _Sockets(port, connections) as sockets:
        started = time.perf_counter()
        total, sent = int(per_second * seconds), 0
        free = list(sockets.all)
        while measured.statuses.total() < total:
            now = time.perf_counter()
            while sent < total and free and (due := started + sent / per_second) <= now:
                sockets.send(free.pop(), next(requests), sent, due)
                sent += 1
            waits = sent < total and free
            pause_s = max(started + sent / per_second - time.perf_counter(), 0.0) if waits else STALLED_S
            for connection, _status, _now in sockets.answers(measured, pause_s, may_be_none=bool(waits)):
                free.append(connection)
        measured.seconds = time.perf_counter() - started
    return measured


class _Sockets:
    """Kept-alive connections to one server on this machine."""

    def __init__(self, port: int, count: int) -> None:
        self.all = [_Connection(self._connected(port)) for _ in range(count)]
        self._poll = select.epoll()
        self._by_number = {connection.socket.fileno(): connection for connection in self.all}
        for number in self._by_number:
            self._poll.register(number, select.EPOLLIN)

    def __enter__(self) -> "_Sockets":
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self.all:
            connection.socket.close()
        self._poll.close()

    @staticmethod
    def _connected(port: int) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", port), timeout=STALLED_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def send(self, connection: _Connection, request: bytes, number: int, counted_from: float) -> None:
        connection.number, connection.sent_at, connection.received = number, counted_from, b""
        connection.socket.sendall(request)

    def answers(
        self, measured: Measured, timeout_s: float, *, may_be_none: bool = False
    ) -> Iterator[tuple[_Connection, int, float]]:
        """Yield the connections whose answer is complete, with its status and the moment. Raises Stalled."""
        ready = self._poll.poll(timeout_s)
        if not ready and not may_be_none:
            raise Stalled(f"no answer for {timeout_s:.0f} s")
        for number, _event in ready:
            connection = self._by_number[number]
            data = connection.socket.recv(65536)
            if not data:
                raise ConnectionError("the server closed a connection")
            if connection.received:
                data = connection.received + data
            if not is_complete(data):
                connection.received = data
                continue
            now = time.perf_counter()
            status = int(data[9:12])
            measured.latencies_s.append(now - connection.sent_at)
            measured.statuses[status] += 1
            yield connection, status, now


def is_complete(answer: bytes) -> bool:
    """Return whether an HTTP/1.1 answer has arrived whole."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not _:
        return False
    lower = head.lower()
    place = lower.find(b"content-length:")
    if place >= 0:
        return len(body) >= int(lower[place + 15 :].split(b"\r\n", 1)[0])
    if b"transfer-encoding: chunked" in lower:
        return body.endswith(b"0\r\n\r\n")
    return True
