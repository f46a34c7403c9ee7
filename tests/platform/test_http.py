"""Requests that leave the house: no internal address, no redirect, nothing secret in the log (Q-33)."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from filiera.platform import http


@pytest.fixture
def server() -> Iterator[str]:
    """A server on loopback that redirects."""

    class Redirects(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/secret")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    running = HTTPServer(("127.0.0.1", 0), Redirects)
    threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def get(url: str, **options: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        async with http.client(**options) as client:
            return await client.get(url, headers={"Authorization": "Bearer geheim"})

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_only_public_addresses_are_public(address: str, public: bool) -> None:
    assert http.is_public(address) is public


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "0.0.0.0"])
def test_an_internal_address_is_refused_before_anything_is_sent(server: str, host: str) -> None:
    with pytest.raises(http.ForbiddenAddress):
        get(server.replace("127.0.0.1", host), allow_private=False)


def test_a_redirect_is_not_followed(server: str) -> None:
    assert get(server, allow_private=True).status_code == 302


def test_the_log_has_the_path_and_nothing_secret(server: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "filiera.http"):
        get(f"{server}/api/x?access_token=geheim", allow_private=True)
    (line,) = [record for record in caplog.records if record.name == "filiera.http"]
    assert line.getMessage() == "GET 127.0.0.1/api/x 302"
    assert "geheim" not in json.dumps(line.__dict__, default=str)
