"""Requests that leave the house: a timeout on every one, redirects not followed, nothing secret in the log."""

from __future__ import annotations

import importlib.util
import ipaddress
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import anyio.to_thread
import httpcore
import httpx
from django.conf import settings

log = logging.getLogger("filiera.http")

# httpcore looks for this package again at every lock of every request; while it is missing, that search through the
# whole path is a sixth of what a request costs. The entry answers it at once.
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]

CONNECT_TIMEOUT_S: Final = 5.0
TIMEOUT_S: Final = 10.0
USER_AGENT: Final = "Filiera"
MOST_ADDRESSES: Final = 3
# httpcore looks at every kept connection, with a system call each, twice a request: fifty of them double its price.
MOST_IDLE: Final = 10

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
    limits = httpx.Limits(max_connections=max_connections, max_keepalive_connections=MOST_IDLE)
    return httpx.AsyncClient(
        transport=_Transport(limits=limits, allow_private=allow_private),
        timeout=httpx.Timeout(
            connect=CONNECT_TIMEOUT_S, read=read_timeout_s, write=TIMEOUT_S, pool=read_timeout_s
        ),
        follow_redirects=False,
        headers={"User-Agent": f"{USER_AGENT}/{settings.VERSION}"},
        **options,
    )


class _Transport(httpx.AsyncHTTPTransport):
    """Connects only to addresses that were checked, and logs each request without its query, headers and body."""

    def __init__(self, *, limits: httpx.Limits, allow_private: bool) -> None:
        super().__init__(limits=limits, trust_env=False)
        # httpx offers no door to the resolver; httpcore does, on the pool that httpx builds.
        self._pool._network_backend = _Checked(
            self._pool._network_backend, is_allowed=may_be_provider if allow_private else is_public
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if (port := request.url.port) and port not in _WEB_PORTS and port < _FIRST_FREE_PORT:
            raise ForbiddenAddress(f"port {port} is not the web's", request=request)
        started = time.perf_counter()
        outcome: int | str = "lost"
        try:
            response = await super().handle_async_request(request)
            outcome = response.status_code
            return response
        except httpx.HTTPError as trouble:
            outcome = type(trouble).__name__
            raise
        finally:
            log.info(
                "%s %s%s %s",
                request.method,
                request.url.host,
                request.url.path,
                outcome,
                extra={"duration_ms": round((time.perf_counter() - started) * 1000, 1)},
            )


class _Checked(httpcore.AsyncNetworkBackend):
    """Resolves a name once, refuses it when any of its addresses is forbidden, and connects to what it looked at."""

    def __init__(self, inner: httpcore.AsyncNetworkBackend, *, is_allowed: Callable[[str], bool]) -> None:
        self._inner = inner
        self._is_allowed = is_allowed

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await _addresses_of(host, port)
        if not addresses or not all(map(self._is_allowed, addresses)):
            raise ForbiddenAddress(f"{host} is not an address to ask")
        refused: httpcore.ConnectError | None = None
        for address in addresses[:MOST_ADDRESSES]:
            try:
                return await self._inner.connect_tcp(
                    address,
                    port,
                    timeout=timeout,
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except httpcore.ConnectError as trouble:  # the next one may be of the protocol we have
                refused = trouble
        assert refused is not None
        raise refused

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


async def _addresses_of(host: str, port: int) -> list[str]:
    """Return what a name resolves to, in the resolver's order. Raises httpcore.ConnectError."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass  # a name, or a number written as only the resolver reads it (127.1, 0x7f000001)
    try:
        found = await anyio.to_thread.run_sync(
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), abandon_on_cancel=True
        )
    except (OSError, UnicodeError) as trouble:
        raise httpcore.ConnectError(f"{host} cannot be resolved") from trouble
    return [str(entry[4][0]) for entry in found]


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
