"""`make demo`: the whole product on invented data, with simulated providers, on this machine only."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from filiera import serving
from filiera.platform import home as homes
from filiera.platform import ports as local_ports
from filiera.platform import supervisor
from filiera.platform.console import gettext as _
from filiera.platform.console import say

SIMULATORS = ("cloudtalk", "gohighlevel", "meta", "google", "mailbox", "smtp")
GOOGLE_CLIENT = ("demo.apps.googleusercontent.example", "demo-google-secret")  # of the simulated Google
FIRST_SIMULATOR_PORT_AFTER = 100
LAST_PORT = 65_535


def run(*, traffic: bool = False) -> None:
    """Run the demo until Ctrl-C or SIGTERM; a second start finds its data.

    While everything answers, `demo.json` in the home says where everything is and how to sign in. With `traffic`, a
    steady stream of varied leads comes in.
    """
    home = homes.folder()
    _host, port = serving.address()
    ports = _simulator_ports(port + FIRST_SIMULATOR_PORT_AFTER)
    base_url = f"http://localhost:{port}"
    os.environ |= {
        "FILIERA_BASE_URL": base_url,
        "FILIERA_META_GRAPH_URL": f"http://127.0.0.1:{ports['meta']}/v25.0",
        "FILIERA_GOOGLE_ISSUER": f"http://127.0.0.1:{ports['google']}",
        "GOOGLE_OAUTH_CLIENT_ID": GOOGLE_CLIENT[0],
        "GOOGLE_OAUTH_CLIENT_SECRET": GOOGLE_CLIENT[1],
        "FILIERA_SMTP_HOST": "127.0.0.1",
        "FILIERA_SMTP_PORT": str(ports["smtp"]),
        "FILIERA_SMTP_TLS": "0",
        "FILIERA_ALLOW_PRIVATE_PROVIDERS": "1",
    }
    facts_path, config_path = home / "demo.json", home / "simulators.json"
    facts_path.unlink(missing_ok=True)  # of a run that was killed

    def seed() -> None:
        done = subprocess.run(
            [sys.executable, "-m", "filiera.demo.seed", base_url, json.dumps(ports), str(config_path)],
            stdout=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            raise serving.CannotStart(
                _("I dati della dimostrazione non si preparano: guarda le righe qui sopra.")
            )
        homes.write_private(home / "demo.facts.json", done.stdout)

    def ready() -> None:
        facts = json.loads((home / "demo.facts.json").read_text())
        _trust_the_simulated_marketplace(home, ports["gohighlevel"])
        homes.write_private(facts_path, json.dumps(facts, indent=2, ensure_ascii=False).encode())
        _tell(facts, facts_path)

    try:
        serving.up(
            home,
            also=_beside(home, ports, config_path, facts_path, traffic=traffic),
            logs=homes.subfolder(home, "logs"),
            before=seed,
            is_ready=lambda: _simulators_answer(ports["mailbox"]),
            on_ready=ready,
        )
    finally:
        facts_path.unlink(missing_ok=True)
    say(_("La dimostrazione si è fermata. I dati restano in %(home)s.") % {"home": home})


def _beside(
    home: Path, ports: dict[str, int], config: Path, facts: Path, *, traffic: bool
) -> list[supervisor.Process]:
    options = [text for name, port in ports.items() for text in (f"--{name}-port", str(port))]
    beside = [
        supervisor.Process("simulators", ["-m", "filiera.simulators", "--config", str(config), *options]),
    ]
    if traffic:
        beside.append(supervisor.Process("traffic", ["-m", "filiera.simulators.traffic", str(facts)]))
    return beside


def _simulator_ports(first: int) -> dict[str, int]:
    """Return six ports in a row after the product's, or six others when one of them is taken."""
    wanted = range(first, first + len(SIMULATORS))
    if wanted[-1] > LAST_PORT or not all(map(local_ports.is_free, wanted)):
        first = local_ports.free(len(SIMULATORS))
    return {name: first + index for index, name in enumerate(SIMULATORS)}


def _simulators_answer(mailbox_port: int) -> bool:
    """Return whether all simulators listen; the mailbox is the last to do so."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{mailbox_port}/_sim/knobs", timeout=1):
            return True
    except OSError:
        return False


def _trust_the_simulated_marketplace(home: Path, port: int) -> None:
    """Give the marketplace sources the key that this run's simulator signs with."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_sim/public-key", timeout=5) as answer:
        key = answer.read().decode()
    subprocess.run([sys.executable, "-m", "filiera.demo.seed", "--marketplace-key", key], check=True)


def _tell(facts: dict[str, Any], path: Path) -> None:
    say("")
    say(_("La dimostrazione è pronta: %(url)s") % {"url": facts["base_url"]})
    for user in facts["users"]:
        say(f"  {user['email']:<32} {user['password']:<18} {user['role']:<6} {user['brand']}")
    for email, secret in {user["email"]: user.get("totp_secret", "") for user in facts["users"]}.items():
        if secret:
            say(
                _("Il secondo passaggio di %(email)s: .venv/bin/filiera code %(secret)s")
                % {"email": email, "secret": secret}
            )
    for brand in facts["brands"]:
        say(
            _("Modulo pubblico di %(brand)s: %(url)s") % {"brand": brand["name"], "url": brand["landing_url"]}
        )
    say(_("Centralino simulato: %(url)s") % {"url": facts["simulators"]["cloudtalk"]["base_url"]})
    say(_("Posta simulata: %(url)s") % {"url": facts["simulators"]["mailbox"]["base_url"]})
    say(_("Gli stessi fatti, per i programmi: %(path)s") % {"path": path})
    say(_("Per fermare tutto: Ctrl-C."))
