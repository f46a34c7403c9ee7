"""Empty the lead queue with several worker processes that begin at the same moment."""

import subprocess
import time
from collections.abc import Callable

from bench.house import LOG_LINE, House


def drain(
    house: House, *, processes: int, batch: int, meanwhile: Callable[[], None] = lambda: None
) -> tuple[float, list[int]]:
    """Drain with `lead_in.drain` in `processes` processes; return the seconds and what each claimed.

    The processes are warm before the clock starts. `meanwhile` is called once the word is given.
    """
    workers = [_waiting(house, place, batch) for place in range(processes)]
    started = time.perf_counter()
    for worker in workers:
        _say(worker, "go")
    meanwhile()
    claimed = [int(_heard(worker)) for worker in workers]
    seconds = time.perf_counter() - started
    for worker in workers:
        worker.wait(30)
    return seconds, claimed


def _waiting(house: House, place: int, batch: int) -> "subprocess.Popen[bytes]":
    settings = {"FILIERA_QUEUE_BATCH_SIZE": str(batch), "BENCH_TALKS": "1"}
    worker = house.start(f"drainer-{place}", "-m", "bench.drainer", **settings)
    _heard(worker)
    return worker


def _say(worker: "subprocess.Popen[bytes]", word: str) -> None:
    assert worker.stdin
    worker.stdin.write(f"{word}\n".encode())
    worker.stdin.flush()


def _heard(worker: "subprocess.Popen[bytes]") -> str:
    """Return the next word of a worker, past what it logs. Raises RuntimeError when it has ended without one."""
    assert worker.stdout
    for line in worker.stdout:
        if not line.startswith(LOG_LINE):
            return line.decode().strip()
    raise RuntimeError("a draining process ended before its time: its log is in the house's home")
