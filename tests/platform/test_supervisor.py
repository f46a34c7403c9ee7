"""Processes are kept running, and end in order."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from filiera.platform import supervisor

NOTE = "import sys, time; open(sys.argv[1], 'a').write(f'{sys.argv[2]} {time.monotonic()}\\n')"
STAY = """
import signal, sys, time
def note(event):
    open(sys.argv[1], 'a').write(f'{event} {sys.argv[2]}\\n')
def end(*_):
    note('ended')
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
note('started')
while True: time.sleep(0.05)
"""


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def stop_when(condition: Callable[[], bool], limit_s: float = 15.0) -> None:
    """Send ourselves SIGTERM once `condition` holds, as a service manager would."""

    def watch() -> None:
        deadline = time.monotonic() + limit_s
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch).start()


def test_processes_start_in_order_and_end_in_the_reverse_one(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    names = ["simulators", "worker", "web"]
    stop_when(lambda: len(lines(diary)) == 3)
    supervisor.run([supervisor.Process(name, ["-c", STAY, str(diary), name]) for name in names])
    events = [line.split()[:2] for line in lines(diary)]
    assert sorted(events[:3]) == sorted(["started", name] for name in names)
    assert events[3:] == [["ended", name] for name in reversed(names)]


def test_what_dies_starts_again_later_each_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    diary = tmp_path / "diary"
    stop_when(lambda: len(lines(diary)) == 3)
    supervisor.run([supervisor.Process("worker", ["-c", NOTE, str(diary), "run"])])
    moments = [float(line.split()[1]) for line in lines(diary)]
    assert moments[1] - moments[0] >= 0.5
    assert moments[2] - moments[1] >= 1.0
    assert "worker" in capsys.readouterr().err


def test_output_goes_to_a_file_for_each_process_and_readiness_is_told_once(tmp_path: Path) -> None:
    told: list[str] = []
    stop_when(lambda: bool(told))
    supervisor.run(
        [supervisor.Process("web", ["-uc", "import time; print('hello'); time.sleep(60)"])],
        logs=tmp_path,
        is_ready=lambda: (tmp_path / "web.log").read_text() == "hello\n",
        on_ready=lambda: told.append("ready"),
    )
    assert told == ["ready"]


def test_who_does_not_end_is_killed(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {NOTE}; time.sleep(60)"
    stop_when(lambda: len(lines(diary)) == 1)
    started = time.monotonic()
    supervisor.run([supervisor.Process("deaf", ["-c", deaf, str(diary), "run"], patience_s=0.3)])
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(("parent", "lives"), [("os.getppid()", True), ("2**22 + 1", False)])
def test_a_process_whose_parent_died_before_it_could_ask_ends_by_itself(parent: str, lives: bool) -> None:
    """A web process forked by a server that is killed at that moment would hold the port for ever."""
    code = f"import os; from filiera.platform import supervisor; supervisor.end_with_parent({parent}); print('lives')"

    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False)

    assert (done.stdout == "lives\n") is lives
    assert (done.returncode == 0) is lives


def test_a_forked_process_does_not_swallow_the_signal_with_its_parents_handler() -> None:
    code = """
import os, signal
from filiera.platform import supervisor
signal.signal(signal.SIGTERM, lambda *_: None)
if not (child := os.fork()):
    supervisor.end_with_parent(os.getppid())
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)

    assert int(done.stdout) == -signal.SIGTERM
