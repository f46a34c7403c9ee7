"""One worker's part in emptying the lead queue: ready, then at the word drains it and says how many it claimed."""

import sys

import django

django.setup()

from os import getpid  # noqa: E402

from django.db import connection  # noqa: E402

from filiera.journeys import lead_in  # noqa: E402
from filiera.platform import actor  # noqa: E402


def main() -> None:
    actor.process_is(actor.Actor(actor.MACHINE, "drainer"))  # as the worker says of itself
    connection.ensure_connection()
    print("ready", flush=True)
    sys.stdin.readline()
    print(lead_in.drain(worker=f"drainer:{getpid()}"), flush=True)


if __name__ == "__main__":
    main()
