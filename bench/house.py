"""A house to measure: a fresh home, its embedded PostgreSQL as shipped, real processes, all of it gone afterwards."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import orjson
import psycopg

from filiera.platform import database, ports

ROOT = Path(__file__).parent.parent
START_LIMIT_S = 180.0
STOP_LIMIT_S = 40.0
LOG_LINE = b'{"timestamp"'
"""How a line of our log begins; it shares the output with what a script answers."""
WEB_PROCESSES = 2


class WouldNotStart(RuntimeError):
    """A process of the house ended or stayed silent; the message holds the end of what it said."""


@dataclass(slots=True)
class House:
    """One database and the processes on it. `facts` is what `furnish` put into it."""

    home: Path
    urls: database.Dsns
    env: dict[str, str]
    facts: dict[str, Any] = field(default_factory=dict)
    port: int = 0
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def furnish(self, **options: Any) -> dict[str, Any]:
        """Put a brand, its people, agents and sources into the database; options are those of `bench.furnish`."""
        self.facts = self.run("-m", "bench.furnish", self.json(options))
        return self.facts

    @staticmethod
    def json(value: Mapping[str, Any]) -> str:
        """Return `value` as one argument of a process."""
        return orjson.dumps(value).decode()

    def run(self, *arguments: str, role: str = "app", **env: str) -> Any:
        """Run our Python with `arguments` against this house and return the JSON of its last line, if it is some."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.env | {"FILIERA_DATABASE_ROLE": role} | env,
            stdout=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            raise WouldNotStart(f"{' '.join(arguments)} ended with {done.returncode}")
        said = done.stdout.splitlines()
        return orjson.loads(said[-1]) if said and not said[-1].startswith(LOG_LINE) else None

    def start_web(self) -> None:
        """Start the web server with its two processes and wait until it answers."""
        self.port = self.port or ports.free()
        settings = {"FILIERA_PORT": str(self.port), "FILIERA_WEB_PROCESSES": str(WEB_PROCESSES)}
        web = self.start("web", "-m", "filiera.cli", "web", **settings)
        wait_until_answers(f"http://127.0.0.1:{self.port}/health", web, self.log_of("web"))

    def start(self, name: str, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        """Start a process of the house; what it says goes to its log in the home."""
        with self.log_of(name).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=self.env | env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if env.get("BENCH_TALKS") else log,
                stderr=log,
                process_group=0,
            )
        self._running.append(process)
        return process

    def stop(self) -> None:
        """End every process of the house, the last started first."""
        for process in reversed(self._running):
            end(process)
        self._running.clear()

    def log_of(self, name: str) -> Path:
        return self.home / f"{name}.log"

    def count(self, query: str) -> int:
        """Return the one number that `query` asks of the database, past row security."""
        with psycopg.connect(self.urls.platform) as connection:
            row = connection.execute(query).fetchone()  # type: ignore[call-overload]
        return int(row[0]) if row else 0

    def execute(self, *statements: str) -> None:
        """Run statements as the schema's owner, each on its own."""
        with psycopg.connect(self.urls.owner, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]


@dataclass(slots=True)
class Machine:
    """The database server of one run, and a migrated template from which every house takes a copy."""

    home: Path
    urls: database.Dsns
    stack: ExitStack
    contacts: int = 1_000_000
    big: House | None = None
    _houses: int = 0

    def house(self, template: str = "template_house") -> House:
        """Return a house on a copy of `template`; its processes end and its database goes with the machine."""
        self._houses += 1
        name = f"house_{self._houses}"
        home = self.home / name
        home.mkdir(mode=0o700)
        urls = database.create_database(self.urls, name, template=template)
        house = House(home, urls, environment(home, urls))
        self.stack.callback(house.stop)
        return house


@contextmanager
def machine(*, contacts: int = 1_000_000) -> Iterator[Machine]:
    """Start a database server in a temporary home, and take all of it away at the end, also on Ctrl-C."""
    home = Path(tempfile.mkdtemp(prefix="filiera-bench-"))
    stack = ExitStack()
    earlier = signal.signal(signal.SIGTERM, _leave)
    for name in ("DATABASE_URL", "FILIERA_SECRET_KEY", *_URL_NAMES):
        os.environ.pop(name, None)
    try:
        urls = database.ensure(home)
        stack.callback(database.destroy, home)
        template = database.create_database(urls, "template_house")
        migrated = subprocess.run(
            [sys.executable, "-m", "django", "migrate", "--verbosity=0"],
            cwd=ROOT,
            env=environment(home, template) | {"FILIERA_DATABASE_ROLE": "owner"},
            check=False,
        )
        if migrated.returncode:
            raise WouldNotStart("the schema could not be made")
        yield Machine(home, urls, stack, contacts)
    finally:
        stack.close()
        shutil.rmtree(home, ignore_errors=True)
        signal.signal(signal.SIGTERM, earlier)


_URL_NAMES = ("FILIERA_APP_DATABASE_URL", "FILIERA_OWNER_DATABASE_URL", "FILIERA_PLATFORM_DATABASE_URL")


def environment(home: Path, urls: database.Dsns) -> dict[str, str]:
    """Return the environment of a process on the database `urls`, with nothing of the caller's own house."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("FILIERA_")}
    return ours | {
        "FILIERA_HOME": str(home),
        "FILIERA_ALLOW_PRIVATE_PROVIDERS": "1",
        "DJANGO_SETTINGS_MODULE": "filiera.settings",
        "PYTHONPATH": str(ROOT),
        **dict(zip(_URL_NAMES, (urls.app, urls.owner, urls.platform), strict=True)),
    }


def wait_until_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once `url` answers with success. Raises WouldNotStart."""
    ends_at = time.monotonic() + START_LIMIT_S
    while not answers(url):
        if process.poll() is not None or time.monotonic() > ends_at:
            raise WouldNotStart(f"{url} does not answer:\n{_end_of(log)}")
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def get_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as response:
        return orjson.loads(response.read())


def send_json(url: str, body: Mapping[str, Any], method: str = "POST") -> Any:
    """Send `body` to `url` and return the JSON of the answer."""
    request = urllib.request.Request(
        url, orjson.dumps(body), {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return orjson.loads(response.read())


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and kill it with its children when it does not within 40 s."""
    if process.stdin:
        process.stdin.close()
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.stdout:
        process.stdout.close()


def say(text: str) -> None:
    """Tell progress; the figures alone go to the output."""
    print(f"# {text}", file=sys.stderr, flush=True)


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else ""


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
