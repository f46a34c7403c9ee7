"""Serve a baseline with granian as the product is served: `python -m bench.baselines.serve noop|plain PORT`."""

import sys

from granian import Granian
from granian.constants import Interfaces

INTERFACES = {"noop": Interfaces.ASGI, "plain": Interfaces.WSGI}
PROCESSES = 2
THREADS_OF_PLAIN = 4


def main(name: str, port: str) -> None:
    Granian(
        f"bench.baselines.{name}:application",
        address="127.0.0.1",
        port=int(port),
        interface=INTERFACES[name],
        workers=PROCESSES,
        blocking_threads=THREADS_OF_PLAIN if name == "plain" else None,
        websockets=False,
        log_enabled=False,
    ).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
