"""The event stream: what a page hears, how soon, and of which brand."""

import http.client
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.browser import House
from tests.database import ROOT

ANNOUNCE = """
import os, sys, django
django.setup()
from filiera.identity.models import Brand
from filiera.platform import brand_scope, live
with brand_scope.use(Brand.objects.get(slug=sys.argv[1]).id):
    live.announce(*sys.argv[2:])
"""


def announce(house: House, slug: str, *topics: str) -> None:
    """Announce from another process, as a worker would."""
    subprocess.run(
        [sys.executable, "-c", ANNOUNCE, slug, *topics], cwd=ROOT, env=house.environment, check=True
    )


def cookie_of(browser: Browser, house: House, email: str) -> str:
    visit = house.visit(browser, email=email)
    found = {cookie["name"]: cookie["value"] for cookie in visit.page.context.cookies()}
    visit.page.context.close()
    return f"auth-token={found['auth-token']}"


@contextmanager
def listening(house: House, cookie: str) -> Iterator[list[str]]:
    """Open a stream and collect its events until the block ends."""
    parts = urlsplit(house.base)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=30)
    connection.request("GET", "/live", headers={"Cookie": cookie})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
    heard: list[str] = []

    def read() -> None:
        try:
            while line := answer.readline():
                if line.startswith(b"event: "):
                    heard.append(line.decode().removeprefix("event: ").strip())
        except (OSError, ValueError, AttributeError):
            return  # the test closed the connection

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield heard
    finally:
        if connection.sock:
            connection.sock.close()


def wait_for(heard: list[str], topic: str, within_s: float = 5) -> None:
    until = time.monotonic() + within_s
    while topic not in heard:
        assert time.monotonic() < until, f"{topic} was not heard, only {heard}"
        time.sleep(0.02)


def test_a_guest_hears_nothing(house: House) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{house.base}/live", timeout=5)


def test_only_reading_is_offered(house: House) -> None:
    request = urllib.request.Request(f"{house.base}/live", data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(request, timeout=5)


def test_a_page_hears_its_brand_and_no_other(browser: Browser, house: House) -> None:
    with (
        listening(house, cookie_of(browser, house, "bea@vegliasi.example")) as bea,
        listening(house, cookie_of(browser, house, "carl@quadranorma.example")) as carl,
    ):
        announce(house, "vegliasi", "leads", "calls")
        wait_for(bea, "leads")
        wait_for(bea, "calls")
        announce(house, "quadranorma", "agents")
        wait_for(carl, "agents")
        assert "agents" not in bea
        assert "leads" not in carl


def test_a_burst_is_a_few_events(browser: Browser, house: House) -> None:
    with listening(house, cookie_of(browser, house, "bea@vegliasi.example")) as heard:
        announce(house, "vegliasi", *["leads"] * 200)
        wait_for(heard, "leads")
        time.sleep(0.5)
        assert heard.count("leads") <= 3


def test_what_is_no_topic_cannot_be_announced() -> None:
    from filiera.platform import live

    with pytest.raises(ValueError, match="weather"):
        live.announce("weather")
