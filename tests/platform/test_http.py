"""Requests that leave the house: no internal address, no redirect, nothing secret in the log.

The table of hostile addresses is in tests/security/test_requests_inward.py."""

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
