"""Q-33: nothing makes this house ask an address of its own machine or network on somebody's behalf."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

import filiera
from filiera.capture import meta_graph
from filiera.platform import http
from filiera.routing.cloudtalk import Account, CloudTalk, CloudTalkUnavailable

PUBLIC = [
    "93.184.215.14",
    "8.8.8.8",
    "172.15.255.255",
    "172.32.0.1",
    "192.169.0.1",
    "223.255.255.255",
    "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
    "::ffff:93.184.215.14",
    "64:ff9b::5db8:d70e",
]
PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "::1",
    "fd00::1",
    "fc00::1",
    "::ffff:127.0.0.1",
    "::ffff:a00:1",
    "64:ff9b::7f00:1",
]
NOBODYS = [
    "0.0.0.0",
    "0.1.2.3",
    "100.64.0.1",
    "100.100.100.200",  # metadata at Alibaba
    "168.63.129.16",  # Azure's own door, in a public range
    "169.254.0.1",
    "169.254.169.254",  # metadata at AWS, Azure, Google
    "192.0.0.192",  # metadata at Oracle
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::7f00:1",  # IPv4-compatible
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",  # IPv4-translated
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001:0:7f00:1::1",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "fd00:ec2::254",  # metadata at AWS
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_may_be_asked(address: str) -> None:
    assert http.is_public(address)
    assert http.may_be_provider(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_private_may_be_asked_only_where_providers_are_private(address: str) -> None:
    assert not http.is_public(address)
    assert http.may_be_provider(address)


@pytest.mark.parametrize("address", NOBODYS)
def test_metadata_and_the_special_ranges_are_asked_nowhere(address: str) -> None:
    assert not http.is_public(address)
    assert not http.may_be_provider(address)


class Overheard(BaseHTTPRequestHandler):
    """Answers whatever the path says and remembers that it was asked."""

    heard: list[tuple[str, str]]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.heard.append((self.headers["Host"], self.path))
        to = self.path.partition("?to=")[2]
        self.send_response(302 if to else 200)
        if to:
            self.send_header("Location", to)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def inside() -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """A server of this machine: its port and what it was asked."""
    heard: list[tuple[str, str]] = []
    running = HTTPServer(("127.0.0.1", 0), type("Server", (Overheard,), {"heard": heard}))
    threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
    yield running.server_port, heard
    running.shutdown()
    running.server_close()


def get(*urls: str, allow_private: bool = False) -> list[httpx.Response]:
    async def run() -> list[httpx.Response]:
        async with http.client(allow_private=allow_private) as client:
            return [await client.get(url) for url in urls]

    return asyncio.run(run())


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:7f00:0001]",
        "[64:ff9b::7f00:1]",
        "user:word@127.0.0.1",
        "example.com@127.0.0.1",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
    ],
)
def test_no_way_to_write_this_machine_reaches_it(
    inside: tuple[int, list[tuple[str, str]]], host: str
) -> None:
    port, heard = inside
    with pytest.raises((http.ForbiddenAddress, httpx.ConnectError, httpx.InvalidURL)):
        get(f"http://{host}:{port}/")
    assert heard == []


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.com/", "gopher://127.0.0.1/", "//example.com/", "unix:///x"],
)
def test_only_the_web_is_spoken(url: str) -> None:
    for allow_private in (False, True):
        with pytest.raises(httpx.UnsupportedProtocol):
            get(url, allow_private=allow_private)


@pytest.mark.parametrize("port", [1, 22, 25, 53, 110, 143, 389, 445, 465, 587, 993])
def test_ports_of_other_services_are_refused_before_anything_is_sent(port: int) -> None:
    for allow_private in (False, True):
        with pytest.raises(http.ForbiddenAddress):
            get(f"http://127.0.0.1:{port}/", allow_private=allow_private)


def test_a_redirect_is_told_and_not_followed(inside: tuple[int, list[tuple[str, str]]]) -> None:
    port, heard = inside
    [answer] = get(f"http://127.0.0.1:{port}/a?to=http://127.0.0.1:{port}/secret", allow_private=True)
    assert answer.status_code == 302
    assert [path for _host, path in heard] == [f"/a?to=http://127.0.0.1:{port}/secret"]


class Resolver:
    """A name server that says something else each time it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)

    def _answer(self, host: Any, port: Any, *args: Any, **options: Any) -> list[Any]:
        if host in ("127.0.0.1", "127.0.0.2", b"127.0.0.1", b"127.0.0.2"):  # what is connected to
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (_text(host), port))]
        self.asked += 1
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in said
        ]


def _text(host: str | bytes) -> str:
    return host.decode() if isinstance(host, bytes) else host


@pytest.mark.parametrize(
    "said", [["127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["::1"], ["169.254.169.254"], ["fe80::1%eth0"]]
)
def test_a_name_that_resolves_inward_is_refused_also_when_only_one_address_does(
    monkeypatch: pytest.MonkeyPatch, inside: tuple[int, list[tuple[str, str]]], said: list[str]
) -> None:
    port, heard = inside
    Resolver(monkeypatch, said)
    with pytest.raises(http.ForbiddenAddress):
        get(f"http://crm.fornitore.example:{port}/")
    assert heard == []


def test_a_name_that_changes_its_mind_is_asked_once_and_gains_nothing(
    monkeypatch: pytest.MonkeyPatch, inside: tuple[int, list[tuple[str, str]]]
) -> None:
    # The server stands for the public address; 127.0.0.2 is what the name says from the second look on.
    port, heard = inside
    resolver = Resolver(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    get(
        f"http://crm.fornitore.example:{port}/a", f"http://crm.fornitore.example:{port}/b", allow_private=True
    )
    assert resolver.asked == 1
    name = f"crm.fornitore.example:{port}"
    assert heard == [(name, "/a"), (name, "/b")]  # one connection, kept; the Host is the name's


def test_the_next_connection_is_checked_anew(
    monkeypatch: pytest.MonkeyPatch, inside: tuple[int, list[tuple[str, str]]]
) -> None:
    port, heard = inside
    Resolver(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
    get(f"http://crm.fornitore.example:{port}/a", allow_private=True)
    with pytest.raises(http.ForbiddenAddress):
        get(f"http://crm.fornitore.example:{port}/b", allow_private=True)
    assert [path for _host, path in heard] == ["/a"]


def test_over_tls_the_name_is_asked_for_and_its_certificate_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    listener = socket.create_server(("127.0.0.1", 0))

    def greet() -> None:
        plain, _peer = listener.accept()
        with plain, pytest.raises(ssl.SSLError):  # there is no certificate for that name here
            context.wrap_socket(plain, server_side=True)

    greeter = threading.Thread(target=greet)
    greeter.start()
    Resolver(monkeypatch, ["127.0.0.1"])
    with pytest.raises(httpx.ConnectError):
        get(f"https://crm.fornitore.example:{listener.getsockname()[1]}/", allow_private=True)
    greeter.join()
    listener.close()
    assert asked_for == ["crm.fornitore.example"]


def test_the_clients_of_providers_do_not_go_inward(inside: tuple[int, list[tuple[str, str]]]) -> None:
    port, heard = inside

    async def ask() -> None:
        async with http.client(allow_private=False) as client:
            with pytest.raises(CloudTalkUnavailable):
                await CloudTalk(client, Account(f"http://127.0.0.1:{port}/api", "id", "geheim", "")).agents()
            with pytest.raises(meta_graph.MetaUnavailable):
                await meta_graph.lead(
                    client, base_url=f"http://localhost:{port}", lead_id="44", token="geheim"
                )

    asyncio.run(ask())
    assert heard == []


def test_whoever_asks_the_world_asks_through_the_checked_client() -> None:
    """Simulators, the demo and the tools of an operator speak to this machine, and to nothing a person typed."""
    ours = {"platform/http.py", "platform/doctor.py", "serving.py", "demo/__init__.py"}
    opens = re.compile(
        r"httpx\.(Async)?Client\(|httpx\.(get|post|put|patch|delete|request|stream)\(|urllib\.request|\burlopen\("
        r"|\bimport (requests|aiohttp|http\.client)\b|\bcreate_connection\("
    )
    root = Path(filiera.__file__).parent
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if path.relative_to(root).parts[0] != "simulators" and opens.search(path.read_text())
    }
    assert found == ours
