"""A browser, and a house to look at: the real web server over a database of its own, with a morning in it."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from filiera.platform import ports
from filiera.simulators.testing import start_google
from tests import chromium
from tests.database import HOME, ROOT, fresh_database
from tests.workspace.seed import PASSWORD

START_LIMIT_S = 60
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
GOOGLE_ACCOUNTS = [
    {"email": "ada@vegliasi.example", "name": "Ada Rossi"},
    {"email": "nessuno@posta.example", "name": "Nessuno"},
]


@dataclass(slots=True)
class Visit:
    """One page open in a browser, and what the content security policy refused while it was."""

    page: Page
    base: str
    refused: list[str] = field(default_factory=list)

    def goto(self, path: str) -> Page:
        self.page.goto(self.base + path, wait_until="load")
        return self.page


@dataclass(frozen=True, slots=True)
class House:
    """A running web server and the environment that leads to its database."""

    base: str
    environment: dict[str, str]
    cookies: dict[str, str]
    log: Path

    def visit(self, browser: Browser, *, email: str = "", phone: bool = False, dark: bool = False) -> Visit:
        """Open a browser of one's own, signed in when `email` is given."""
        context: BrowserContext = browser.new_context(
            viewport=PHONE if phone else WIDE,  # type: ignore[arg-type]
            color_scheme="dark" if dark else "light",
            has_touch=phone,
            is_mobile=phone,
            device_scale_factor=2 if phone else 1,
            locale="it-IT",
        )
        page = context.new_page()
        visit = Visit(page, self.base)
        page.on(
            "console",
            lambda message: (
                visit.refused.append(message.text) if "Content Security Policy" in message.text else None
            ),
        )
        page.on("pageerror", lambda error: visit.refused.append(str(error)))
        if email in self.cookies:  # who signs in with a second factor is inside already
            context.add_cookies([{"name": "auth-token", "value": self.cookies[email], "url": self.base}])
            visit.goto("/oggi")
        elif email:
            visit.goto("/login")
            page.fill("#email", email)
            page.fill("#pw", PASSWORD)
            page.click("button.btn-primary")
            page.wait_for_url("**/oggi")
        return visit


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, driven from here. Without one the test fails: a page nobody looked at is not finished."""
    executable = chromium.path()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=chromium.ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The web server over a fresh database with a morning of leads, and a Google to sign in with."""
    home = tmp_path_factory.mktemp("home")
    port = ports.free()
    with fresh_database("pages") as urls, start_google(accounts=GOOGLE_ACCOUNTS) as google:
        environment = {
            **os.environ,
            **urls,
            "FILIERA_HOME": str(home),
            "FILIERA_PORT": str(port),
            "FILIERA_DRY_RUN": "1",
            "FILIERA_BASE_URL": f"http://localhost:{port}",  # by name: browsers bind no passkey to a number
            "FILIERA_GOOGLE_ISSUER": google.base_url,
            "GOOGLE_OAUTH_CLIENT_ID": google.simulator.knobs.client_id,
            "GOOGLE_OAUTH_CLIENT_SECRET": google.simulator.knobs.client_secret,
            "FILIERA_ALLOW_PRIVATE_PROVIDERS": "1",
            "FILIERA_SIGN_IN_LIMIT_PER_MIN": "0",  # the same few people sign in for every test
            "DJANGO_SETTINGS_MODULE": "filiera.settings",
        }
        seeded = subprocess.run(
            [sys.executable, "-m", "tests.workspace.seed"],
            cwd=ROOT,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
        )
        cookies = json.loads(seeded.stdout.splitlines()[-1])
        log = (home / "web.log").open("wb")
        server = subprocess.Popen(
            [sys.executable, "-m", "filiera.cli", "web"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            base = f"http://localhost:{port}"
            _wait_until_up(base, server, home / "web.log")
            yield House(base, environment, cookies, home / "web.log")
        finally:
            server.terminate()
            server.wait(timeout=20)
            log.close()


def _wait_until_up(base: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_LIMIT_S
    while time.monotonic() < until:
        if server.poll() is not None:
            raise AssertionError(f"the web server ended: {log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(f"{base}/login", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"the web server did not start: {log.read_text()[-3000:]}")


__all__ = ["HOME", "House", "Visit", "browser", "house"]
