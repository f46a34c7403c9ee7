"""Ports for servers that nobody gave one."""

import socket
from pathlib import Path

from filiera.platform import ports


def test_a_port_of_a_living_connection_is_not_free():
    """Nobody listens there, and still no server could."""
    with socket.create_server(("127.0.0.1", ports.free())) as server:
        client = socket.create_connection(server.getsockname())
        with client:
            assert not ports.is_free(client.getsockname()[1])


def test_free_ports_stand_in_a_row_below_those_of_outgoing_connections():
    first = ports.free(5)

    assert all(ports.is_free(port) for port in range(first, first + 5))
    with socket.create_server(("127.0.0.1", first)):
        assert not ports.is_free(first)
    lowest = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]
    assert first + 4 < int(lowest)
