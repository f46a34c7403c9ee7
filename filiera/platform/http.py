"""Requests that leave the house: a timeout on every one, redirects not followed, nothing secret in the log."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import aiohttp
import httpx
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings

log = logging.getLogger("filiera.http")

CONNECT_TIMEOUT_S: Final = 5.0
TIMEOUT_S: Final = 10.0
USER_AGENT: Final = "Filiera"
MOST_ADDRESSES: Final = 3
KEPT_S: Final = 5.0  # how long an idle connection is kept; providers close theirs later

_WEB_PORTS: Final = (80, 443)
_FIRST_FREE_PORT: Final = 1024  # below it speak mail, shells and file servers: a request must not reach them
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_IPV6: Final = ipaddress.IPv6Network("2000::/3")


def _networks(*given: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(one) for one in given)


# Of this machine or its own network.
_PRIVATE: Final = _networks(
    "10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"
)
# Where clouds answer any process of a machine with its credentials, outside the link-local ranges.
_METADATA: Final = _networks("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::/32")
# The special-purpose registries of IANA (RFC 6890 and later), written out: `is_global` differs between Pythons.
_NOT_GLOBAL: Final = _networks(
    "0.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)  # fmt: skip


class ForbiddenAddress(httpx.ConnectError):
    """Such an address is none of ours to ask, or of this machine or its network (Q-33); nothing was sent."""


def client(
    *,
    read_timeout_s: float = TIMEOUT_S,
    max_connections: int = 50,
    allow_private: bool | None = None,
    **options: Any,
) -> httpx.AsyncClient:
    """Return a client to be used in an `async with`.

    Hosts that resolve to private or loopback addresses raise ForbiddenAddress unless `allow_private` (default: the
    setting ALLOW_PRIVATE_PROVIDERS); link-local addresses and those of cloud metadata always do, and so does a port
    below 1024 that is not the web's. The address that was checked is the one connected to, so a name that changes its
    mind between the two (DNS rebinding) gains nothing; Host, SNI and the certificate are those of the name.
    """
    if allow_private is None:
        allow_private = bool(settings.ALLOW_PRIVATE_PROVIDERS)
    return httpx.AsyncClient(
        transport=_Transport(max_connections=max_connections, allow_private=allow_private),
        timeout=httpx.Timeout(
            connect=CONNECT_TIMEOUT_S, read=read_timeout_s, write=TIMEOUT_S, pool=read_timeout_s
        ),
        follow_redirects=False,
        headers={"User-Agent": f"{USER_AGENT}/{settings.VERSION}"},
        **options,
    )


class _Transport(httpx.AsyncBaseTransport):
    """Speaks through aiohttp, which costs a quarter of httpx's own transport (decision 4).

    When a connection is lost, aiohttp asks once more by itself what is idempotent (RFC 9110, 9.2.2), never a POST.
    Connects only to addresses that were checked, and logs each request without its query, headers and body.
    """

    def __init__(self, *, max_connections: int, allow_private: bool) -> None:
        self._most = max_connections
        self._is_allowed = may_be_provider if allow_private else is_public
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"{url.scheme or 'nothing'} is not the web's", request=request)
        if url.port and url.port not in _WEB_PORTS and url.port < _FIRST_FREE_PORT:
            raise ForbiddenAddress(f"port {url.port} is not the web's", request=request)
        started = time.perf_counter()
        outcome: int | str = "lost"
        try:
            response = await self._ask(request)
            outcome = response.status_code
            return response
        except httpx.HTTPError as trouble:
            outcome = type(trouble).__name__
            raise
        finally:
            log.info(
                "%s %s%s %s",
                request.method,
                url.host,
                url.path,
                outcome,
                extra={"duration_ms": round((time.perf_counter() - started) * 1000, 1)},
            )

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        if self._session is None:
            self._session = self._open()
        limits = request.extensions["timeout"]
        url = request.url.copy_with(userinfo=b"") if request.url.userinfo else request.url
        try:
            async with self._session.request(
                request.method,
                yarl.URL(str(url), encoded=True),
                headers=request.headers,
                data=await request.aread() or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=limits["pool"], sock_connect=limits["connect"], sock_read=limits["read"]
                ),
            ) as answer:
                body = await answer.read()
        except tuple(_TROUBLES) as trouble:
            named = next(ours for theirs, ours in _TROUBLES.items() if isinstance(trouble, theirs))
            raise named(str(trouble) or type(trouble).__name__, request=request) from trouble
        return httpx.Response(answer.status, headers=answer.raw_headers, content=body)

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._most,
            keepalive_timeout=KEPT_S,
            resolver=_Resolver(self._is_allowed),
            use_dns_cache=False,
            socket_factory=self._socket,
            ssl=_certificates(),
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # httpx does it
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """Open the socket of a connection: the last look before it, and the only one at a number instead of a name."""
        family, kind, protocol, _name, (host, *_port) = address
        if not _is_ip(str(host)) or not self._is_allowed(str(host)):
            raise ForbiddenAddress(f"{host} is not an address to ask")
        return socket.socket(family, kind, protocol)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


# The first that fits. Only where no connection was made is it certain that nothing was sent.
_TROUBLES: Final[dict[type[Exception], type[httpx.TransportError]]] = {
    aiohttp.ConnectionTimeoutError: httpx.ConnectTimeout,
    aiohttp.ClientConnectorError: httpx.ConnectError,
    aiohttp.ServerTimeoutError: httpx.ReadTimeout,
    aiohttp.InvalidURL: httpx.ConnectError,
    aiohttp.ClientOSError: httpx.ReadError,
    aiohttp.ClientError: httpx.RemoteProtocolError,
}


class _Resolver(AbstractResolver):
    """Resolves a name once, and refuses it when any of its addresses is forbidden."""

    def __init__(self, is_allowed: Callable[[str], bool]) -> None:
        self._is_allowed = is_allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await _addresses_of(host, port)
        if not addresses or not all(map(self._is_allowed, addresses)):
            raise ForbiddenAddress(f"{host} is not an address to ask")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses[:MOST_ADDRESSES]
        ]

    async def close(self) -> None:
        """Nothing is kept."""


async def _addresses_of(host: str, port: int) -> list[str]:
    """Return what a name resolves to, in the resolver's order. Raises OSError."""
    try:
        found = await asyncio.to_thread(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    except UnicodeError as trouble:
        raise OSError(f"{host} cannot be resolved") from trouble
    return [str(entry[4][0]) for entry in found]


@cache
def _certificates() -> ssl.SSLContext:
    """Return whom to trust over TLS: those of certifi, as httpx does."""
    return httpx.create_ssl_context(trust_env=False)


def _is_ip(host: str) -> bool:
    """Tell an address from a number written as only a resolver reads it (127.1, 0x7f000001)."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Tell whether an IP address lies on the public internet; an IPv4 one inside IPv6 counts as what it is."""
    ip = _what_it_is(address)
    return (
        (ip.version == 4 or ip in _GLOBAL_IPV6)
        and not _is_in(ip, _NOT_GLOBAL)
        and not _is_in(ip, _PRIVATE)
        and not _is_in(ip, _METADATA)
    )


def may_be_provider(address: str) -> bool:
    """Tell whether a provider may be there in an installation that has its own: public, or private and no metadata."""
    ip = _what_it_is(address)
    return is_public(address) or (_is_in(ip, _PRIVATE) and not _is_in(ip, _METADATA))


def _what_it_is(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return ip.ipv4_mapped
        if ip in _NAT64:
            return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip


def _is_in(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...],
) -> bool:
    return any(ip in network for network in networks)
