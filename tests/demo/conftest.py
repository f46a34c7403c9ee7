"""The demo as a newcomer starts it: the real command, on a home of its own."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from filiera.identity import totp
from filiera.platform import database, ports

START_LIMIT_S = 300.0
STOP_LIMIT_S = 60.0
# What a test waits at most for; on a calm machine everything here comes within a second.
PATIENCE_S = 20.0

T = TypeVar("T")


class Demo:
    """`filiera demo` on a home, as a process that can be ended as Ctrl-C does and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.facts: dict[str, Any] = {}
        self._port = ports.free()
        self._process: subprocess.Popen[str] | None = None
        self._cookies: dict[str, str] = {}

    def start(self) -> None:
        """Start it and read demo.json once that is there. Raises AssertionError when it does not come up."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FILIERA_", "DATABASE_"))
        }
        process = self._process = subprocess.Popen(
            [sys.executable, "-m", "filiera.cli", "demo"],
            env=environment | {"FILIERA_HOME": str(self.home), "FILIERA_PORT": str(self._port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        facts = self.home / "demo.json"
        until = time.monotonic() + START_LIMIT_S
        while not facts.exists():
            assert process.poll() is None, f"the demo ended: {process.communicate()[0]}"
            assert time.monotonic() < until, "the demo did not start in time"
            time.sleep(0.1)
        self.facts = json.loads(facts.read_text())

    def stop(self) -> str:
        """Press Ctrl-C, and return what it said. Raises AssertionError when it does not end well."""
        if (process := self._process) is None:
            return ""
        self._process = None
        process.send_signal(signal.SIGINT)
        try:
            said, _nothing = process.communicate(timeout=STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert process.returncode == 0, said
        return said

    def processes(self) -> list[str]:
        """Return the command lines of all processes that belong to this home."""
        ours = f"FILIERA_HOME={self.home}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it ended while we looked, or is of somebody else
                if ours in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found

    @property
    def base_url(self) -> str:
        return str(self.facts["base_url"])

    def brand(self, slug: str) -> dict[str, Any]:
        """Return what demo.json tells about a brand."""
        return next(brand for brand in self.facts["brands"] if brand["slug"] == slug)

    def source(self, name: str) -> dict[str, Any]:
        """Return what demo.json tells about a source."""
        return next(
            source for brand in self.facts["brands"] for source in brand["sources"] if source["name"] == name
        )

    def agent_ids(self, slug: str) -> set[str]:
        """Return the exchange's ids of a brand's agents."""
        return {agent["provider_agent_id"] for agent in self.facts["agents"] if agent["brand"] == slug}

    def user(self, slug: str, role: str) -> dict[str, str]:
        """Return who signs in with a role in a brand."""
        return next(user for user in self.facts["users"] if user["brand"] == slug and user["role"] == role)

    def calls_to(self, number: str) -> list[dict[str, Any]]:
        """Return the bodies of the requests for a call to `number` that the exchange received, oldest first."""
        log = httpx.get(self.facts["simulators"]["cloudtalk"]["log_url"]).json()
        asked = [entry["body"] for entry in log if entry["path"].endswith("/calls/create.json")]
        return [body for body in asked if body["callee_number"] == number]

    def agent_called_for(self, number: str) -> str:
        """Return the exchange's id of the agent whose phone rings first for `number`, waiting for it."""
        return str(eventually(lambda: self.calls_to(number))[0]["agent_id"])

    def set_exchange(self, **knobs: Any) -> None:
        """Turn knobs of the simulated exchange."""
        httpx.put(self.facts["simulators"]["cloudtalk"]["knobs_url"], json=knobs).raise_for_status()

    @contextlib.contextmanager
    def signed_in(self, slug: str, role: str = "admin") -> Iterator[httpx.Client]:
        """Open a client with the session of a person whose first brand this is."""
        with httpx.Client(base_url=self.base_url, follow_redirects=True, timeout=PATIENCE_S) as client:
            client.get("/login").raise_for_status()
            client.cookies.set("auth-token", self.cookie_of(self.user(slug, role)))
            yield client

    def cookie_of(self, user: dict[str, str]) -> str:
        """Return the cookie of a person's session, signed in once: the code of a second factor is good once."""
        if (email := user["email"]) not in self._cookies:
            with httpx.Client(base_url=self.base_url, follow_redirects=True, timeout=PATIENCE_S) as client:
                client.get("/login").raise_for_status()
                form = {"email": email, "password": user["password"]}
                page = client.post("/login", data=form | _csrf(client)).raise_for_status().text
                if secret := user.get("totp_secret"):
                    step = re.search(r'name="step" value="([^"]+)"', page)
                    assert step, "a code should be asked for"
                    code = {"step": step[1], "code": totp.code_now(secret)}
                    client.post("/login/code", data=code | _csrf(client)).raise_for_status()
                self._cookies[email] = client.cookies["auth-token"]
        return self._cookies[email]


def _csrf(client: httpx.Client) -> dict[str, str]:
    return {"csrfmiddlewaretoken": client.cookies["csrftoken"]}


def eventually(look: Callable[[], T]) -> T:
    """Return the first true value of `look`. Raises AssertionError when none comes in time."""
    until = time.monotonic() + PATIENCE_S
    while not (seen := look()):
        assert time.monotonic() < until, f"still {seen!r} after {PATIENCE_S} s"
        time.sleep(0.1)
    return seen


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo in a folder whose name has a space."""
    running = Demo(tmp_path_factory.mktemp("casa di prova") / "dati")
    try:
        running.start()
        yield running
    finally:
        running.stop()
        database.destroy(running.home)
