"""Run every simulator in one process: `python -m filiera.simulators`.

Prints one JSON line with where each is found, and stops on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from filiera.platform import supervisor
from filiera.simulators.base import Simulator
from filiera.simulators.cloudtalk import CloudTalk
from filiera.simulators.gohighlevel import GoHighLevel
from filiera.simulators.google import Google
from filiera.simulators.knobs import BadKnobs, Json
from filiera.simulators.mailbox import Mailbox
from filiera.simulators.meta import Meta

NAMES = ("cloudtalk", "gohighlevel", "meta", "google", "mailbox")  # and the SMTP port after them


def build(config: Json, *, smtp_port: int = 0) -> dict[str, Simulator]:
    """Make the simulators that `config` describes.

    It is `{"cloudtalk": {"accounts": […], "knobs": {…}}, "meta": {"knobs": {…}}, …}`, each part optional.
    Raises BadKnobs and ValueError.
    """
    knobs = {name: config.get(name, {}).get("knobs", {}) for name in NAMES}
    return {
        "cloudtalk": CloudTalk(accounts=config.get("cloudtalk", {}).get("accounts"), **knobs["cloudtalk"]),
        "gohighlevel": GoHighLevel(**knobs["gohighlevel"]),
        "meta": Meta(**knobs["meta"]),
        "google": Google(**knobs["google"]),
        "mailbox": Mailbox(smtp_port, **knobs["mailbox"]),
    }


async def serve(simulators: dict[str, Simulator], ports: dict[str, int]) -> None:
    """Serve until told to stop. Raises OSError when a port is taken."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wanted, stopping.set)
    try:
        for name, simulator in simulators.items():
            await simulator.start(ports[name])
        print(json.dumps({name: simulator.urls() for name, simulator in simulators.items()}), flush=True)
        await stopping.wait()
    finally:
        for simulator in simulators.values():
            await simulator.stop()


def main(arguments: list[str] | None = None) -> int:
    supervisor.end_with_supervisor()
    parser = argparse.ArgumentParser(
        prog="filiera simulators", description="Local servers that speak as the providers do."
    )
    parser.add_argument(
        "--port-base", type=int, help="the first of six ports in a row; otherwise the system chooses"
    )
    for name in (*NAMES, "smtp"):
        parser.add_argument(f"--{name}-port", type=int, help="0: the system chooses")
    parser.add_argument("--config", type=Path, help="a JSON file with accounts, agents and knobs")
    options = parser.parse_args(arguments)
    ports = {name: chosen_port(options, index, name) for index, name in enumerate((*NAMES, "smtp"))}
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        config: Json = json.loads(options.config.read_text()) if options.config else {}
        asyncio.run(serve(build(config, smtp_port=ports["smtp"]), ports))
    except (OSError, ValueError, BadKnobs) as problem:
        print(f"simulators: {problem}", file=sys.stderr)
        return 1
    return 0


def chosen_port(options: Any, index: int, name: str) -> int:
    given: int | None = getattr(options, f"{name}_port")
    if given is not None:
        return given
    return options.port_base + index if options.port_base else 0


if __name__ == "__main__":
    sys.exit(main())
