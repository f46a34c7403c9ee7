"""Requests that leave the house: a timeout on every one, redirects not followed, nothing secret in the log."""

from __future__ import annotations

import ipaddress
import logging
import socket
import time
from collections.abc import Iterable
from typing import Any, Final

import anyio.to_thread
import httpcore
import httpx
from django.conf import settings

log = logging.getLogger("filiera.http")

CONNECT_TIMEOUT_S: Final = 5.0
TIMEOUT_S: Final = 10.0
USER_AGENT: Final = "Filiera"
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class ForbiddenAddress(httpx.ConnectError):
    """The host resolves to an address of this machine or its network (Q-33); nothing was sent."""


def client(
    *,
    read_timeout_s: float = TIMEOUT_S,
    max_connections: int = 50,
    allow_private: bool | None = None,
    **options: Any,
) -> httpx.AsyncClient:
    """Return a client to be used in an `async with`.

    Hosts that resolve to private or loopback addresses raise ForbiddenAddress unless `allow_private` (default: the
    setting ALLOW_PRIVATE_PROVIDERS). The address that was checked is the one connected to, so a name that changes
    its mind between the two (DNS rebinding) gains nothing.
    """
    if allow_private is None:
        allow_private = bool(settings.ALLOW_PRIVATE_PROVIDERS)
    limits = httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
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
        if not allow_private:
            # httpx offers no door to the resolver; httpcore does, on the pool that httpx builds.
            self._pool._network_backend = _PublicOnly(self._pool._network_backend)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
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


class _PublicOnly(httpcore.AsyncNetworkBackend):
    """Resolves a name once, refuses what is not public, and connects to the address it looked at."""

    def __init__(self, inner: httpcore.AsyncNetworkBackend) -> None:
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = await anyio.to_thread.run_sync(
                lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), abandon_on_cancel=True
            )
        except OSError as trouble:
            raise httpcore.ConnectError(f"{host} cannot be resolved") from trouble
        addresses = [str(entry[4][0]) for entry in found]
        if not addresses or not all(is_public(address) for address in addresses):
            raise ForbiddenAddress(f"{host} is not a public address")
        return await self._inner.connect_tcp(
            addresses[0],
            port,
            timeout=timeout,
            local_address=local_address,
            socket_options=socket_options,
        )

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def is_public(address: str) -> bool:
    """Tell whether an IP address lies on the public internet; an IPv4 one inside IPv6 counts as what it is."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        ip = inner or ip
    return ip.is_global and not ip.is_multicast
