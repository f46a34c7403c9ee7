"""Keeps the house's processes running on one machine, and ends them in order."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from filiera.platform.console import gettext as _
from filiera.platform.console import say

FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0
STEADY_AFTER_S = 60.0  # a process that lived this long starts again without delay
LOG_LIMIT_BYTES = 20_000_000
SUPERVISED = "FILIERA_SUPERVISED"  # our process id, set for the processes we start: they end with us
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Process:
    """One process to keep running: `arguments` follow the interpreter's name."""

    name: str
    arguments: Sequence[str]
    patience_s: float = 15.0  # from asking it to end to killing it
    running: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    starts_at: float = field(default=0.0)
    delay_s: float = FIRST_DELAY_S


def run(
    processes: Sequence[Process],
    *,
    logs: Path | None = None,
    every_second: Callable[[], None] = lambda: None,
    is_ready: Callable[[], bool] = lambda: True,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Run `processes` until SIGINT or SIGTERM, starting again what ends by itself, later each time up to 30 s.

    They start in the given order and end in the reverse one. A second signal kills what is left. With `logs`, a
    folder, each writes to `<name>.log` there; without, to our own output. `on_ready` is called once, when `is_ready`
    first says yes.
    """
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if stopping.is_set():
            for process in processes:
                _send(process, signal.SIGKILL)
        stopping.set()

    earlier = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    waiting_for_ready = True
    checked_at = 0.0
    try:
        while not stopping.is_set():
            now = time.monotonic()
            for process in processes:
                _keep_running(process, now, logs)
            if now - checked_at >= 1:
                checked_at = now
                every_second()
                if waiting_for_ready and is_ready():
                    waiting_for_ready = False
                    on_ready()
            stopping.wait(0.1)
    finally:
        for process in reversed(processes):
            end(process)
        for number, handler in earlier.items():
            signal.signal(number, handler)


def keep(processes: Sequence[Process], *, until: threading.Event) -> None:
    """Run processes beside this one, starting again what ends by itself as `run` does; they go on after `until`."""
    while not until.is_set():
        for process in processes:
            _keep_running(process, time.monotonic(), None)
        until.wait(0.5)


def end_with_supervisor() -> None:
    """Let this process end with the supervisor that started it, if one did."""
    if parent := os.environ.pop(SUPERVISED, ""):  # not for processes that this one starts
        end_with_parent(int(parent))


def end_with_parent(parent: int) -> None:
    """Ask the kernel to end this process when its parent dies, where it can: nobody stays behind to hold a port.

    Called before this process has handlers of its own: one that was forked still has those of its parent, which would
    swallow the signal. Raises SystemExit when the process `parent` is our parent no more: it died before we could ask.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(1)


def _keep_running(process: Process, now: float, logs: Path | None) -> None:
    if process.running is not None and (code := process.running.poll()) is not None:
        process.running = None
        lived_s = now - process.started_at
        process.delay_s = FIRST_DELAY_S if lived_s > STEADY_AFTER_S else process.delay_s
        process.starts_at = now + process.delay_s
        how = signal.Signals(-code).name if code < 0 else str(code)
        say(
            _("%(name)s si è fermato (%(how)s): riparte tra %(delay).1f s.")
            % {"name": process.name, "how": how, "delay": process.delay_s}
        )
        process.delay_s = min(process.delay_s * 2, LONGEST_DELAY_S)
    if process.running is None and now >= process.starts_at:
        _start(process, now, logs)


def _start(process: Process, now: float, logs: Path | None) -> None:
    output = None
    if logs is not None:
        path = logs / f"{process.name}.log"
        if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
        output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # A group of its own: Ctrl-C reaches us alone, and we end the others in order.
    process.running = subprocess.Popen(
        [sys.executable, *process.arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        process_group=0,
        env=os.environ | {SUPERVISED: str(os.getpid())},
    )
    process.started_at = now
    if output is not None:
        os.close(output)


def end(process: Process) -> None:
    """Ask a process to end, and kill it with its children when its patience is over."""
    _send(process, signal.SIGTERM)
    if process.running is None:
        return
    try:
        process.running.wait(process.patience_s)
    except subprocess.TimeoutExpired:
        say(_("%(name)s non si ferma: lo chiudo.") % {"name": process.name})
        _send(process, signal.SIGKILL)
        process.running.wait()


def end_together(processes: Sequence[Process]) -> None:
    """End processes as `end` does, all at once."""
    for process in processes:
        _send(process, signal.SIGTERM)
    for process in processes:
        end(process)


def _send(process: Process, number: signal.Signals) -> None:
    if process.running is None or process.running.poll() is not None:
        return
    if number == signal.SIGKILL:  # its own children too
        os.killpg(process.running.pid, number)
    else:
        process.running.send_signal(number)
