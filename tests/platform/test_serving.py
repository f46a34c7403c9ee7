"""The whole house on one machine: it starts, gets up again after kills, and ends in order."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from filiera import cli, serving
from filiera.platform import database, ports
from tests import database as test_database

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 120


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty home with its own server and a free port."""
    for name in (*test_database.environment(database.Dsns("", "", "", "")), "FILIERA_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("FILIERA_HOME", str(path))
    monkeypatch.setenv("FILIERA_LANG", "it")
    monkeypatch.setenv("FILIERA_PORT", str(ports.free()))
    yield path
    database.destroy(path)


def wait_until_gone(pids: Iterable[int]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while left := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, f"{left} outlive who started them"
        time.sleep(0.1)


def wait_until_healthy(house: subprocess.Popen[str]) -> None:
    host, port = serving.address()
    deadline = time.monotonic() + PATIENCE_S
    while not serving.is_healthy(f"http://{host}:{port}/health"):
        assert house.poll() is None, "the house fell"
        assert time.monotonic() < deadline, "the house does not stand"
        time.sleep(0.2)


def children(pid: int) -> dict[int, str]:
    """Return the command lines of a process's children by their ids."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found[int(stat.parent.name)] = (stat.parent / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def one(pid: int, name: str) -> int:
    (found,) = (child for child, command in children(pid).items() if command.rstrip().endswith(name))
    return found


@pytest.mark.slow
def test_the_house_starts_on_an_empty_home_gets_up_after_kills_and_ends_without_leaving_anybody(
    home: Path,
) -> None:
    house = subprocess.Popen(
        [sys.executable, "-m", "filiera.cli", "up"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until_healthy(house)
        again = subprocess.run(
            [sys.executable, "-m", "filiera.cli", "up"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (again.returncode, "già in funzione" in again.stderr) == (1, True)

        web, worker = one(house.pid, "web"), one(house.pid, "worker")
        for name in ("phones", "jobs"):
            os.kill(one(worker, name), signal.SIGKILL)
        time.sleep(2)
        servers, beside = children(web), [one(worker, "phones"), one(worker, "jobs")]  # there again
        for victim in (web, worker, postmaster(home)):
            os.kill(victim, signal.SIGKILL)
        time.sleep(2)
        assert not any(Path(f"/proc/{pid}").exists() for pid in servers), "orphans still hold the port"
        wait_until_gone(beside)  # phones and jobs finish what they hold
        wait_until_healthy(house)
        everybody = {
            *children(house.pid),
            *children(one(house.pid, "web")),
            *children(one(house.pid, "worker")),
        }
    finally:
        house.send_signal(signal.SIGTERM)
        said = house.communicate(timeout=60)[1]
    assert house.returncode == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in everybody)
    assert not database.is_running(home)
    assert re.search(r"web si è fermato \(SIGKILL\)", said)
    assert "Il database si è fermato: lo riavvio." in said
    assert said.rstrip().endswith("Filiera si è fermata.")


def postmaster(home: Path) -> int:
    return int((database._Server.of(home).data / "postmaster.pid").read_text().split()[0])


def test_a_busy_port_is_told_before_anything_starts(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("FILIERA_PORT", str(taken.getsockname()[1]))
        assert cli.main(["up"]) == 1
    assert "FILIERA_PORT" in capsys.readouterr().err
    assert not database.is_running(home)


@pytest.mark.parametrize("port", ["web", "0", "70000", "-1"])
def test_a_port_that_is_none_is_told(home: Path, monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("FILIERA_PORT", port)
    with pytest.raises(serving.CannotStart, match=re.escape(f"«{port}»")):
        serving.address()
