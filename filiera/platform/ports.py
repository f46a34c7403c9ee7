"""Ports of this machine for servers that nobody gave one: the demo's simulators, tests, benchmarks."""

import random
import socket
from contextlib import closing

# Below the ports that Linux (32768) and macOS and Windows (49152) give to outgoing connections. A server that takes one
# of those can lose it while it restarts, even to a client that asks for it and is connected to itself.
FIRST, LAST = 20_000, 29_999


def is_free(port: int) -> bool:
    """Return whether a server could listen on this port of loopback now."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as servers do: what just ended does not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free(in_a_row: int = 1) -> int:
    """Return the first of `in_a_row` free ports that no outgoing connection will take."""
    while True:
        first = random.randint(FIRST, LAST - in_a_row)
        if all(is_free(port) for port in range(first, first + in_a_row)):
            return first
