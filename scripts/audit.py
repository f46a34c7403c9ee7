"""Ask the registries whether a locked dependency has a known weakness, and say how much of that they answered.

What they know is a failure; what they do not answer (offline, a mirror without advisories) is said and is none, so that
a check also ends where nothing can be asked. `make audit` runs it, `make check` does too.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TOOL = "pip-audit@2.10.1"
LIMIT_S = 180


def main() -> int:
    """Return 1 when a weakness is known, else 0."""
    known = [*python_packages(), *browser_packages()]
    for line in known:
        print(f"  {line}")
    if known:
        print(
            "Update what is named above (make lock UPGRADE=1), or note in docs/security.md why it does not matter."
        )
    return 1 if known else 0


def python_packages() -> list[str]:
    """Ask about every package of requirements.lock that this platform would install."""
    command = [
        str(ROOT / ".venv/bin/uv"), "tool", "run", "--quiet", TOOL, "--requirement", str(ROOT / "requirements.lock"),
        "--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off", "--timeout", "10",
    ]  # fmt: skip
    told = _asked(command, cwd=ROOT)
    packages = (told.get("dependencies") if told else None) or []
    answered = [one for one in packages if "skip_reason" not in one]
    if not answered:
        print("Python packages: nobody answered (no advisory service within reach). Nothing is known.")
        return []
    known = [
        f"{one['name']} {one['version']}: {weakness['id']}, fixed in {', '.join(weakness['fix_versions']) or 'nothing'}"
        for one in packages
        for weakness in one.get("vulns", [])
    ]
    print(f"Python packages: {len(answered)} of {len(packages)} answered for, {len(known)} weaknesses known.")
    return known


def browser_packages() -> list[str]:
    """Ask about what frontend/package-lock.json holds."""
    told = _asked(
        [str(ROOT / ".venv/bin/npm"), "audit", "--package-lock-only", "--json"], cwd=ROOT / "frontend"
    )
    found = told.get("vulnerabilities") if told else None
    if found is None:
        print("Browser packages: nobody answered (no advisory service within reach). Nothing is known.")
        return []
    print(f"Browser packages: answered for, {len(found)} weaknesses known.")
    return [
        f"{name}: {one.get('severity', '?')}, range {one.get('range', '?')}" for name, one in found.items()
    ]


def _asked(command: list[str], *, cwd: Path) -> dict[str, Any] | None:
    """Return what a tool says in JSON, None when it says nothing of the kind in time."""
    try:
        ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        told = json.loads(ran.stdout)
    except (OSError, subprocess.TimeoutExpired, json.JSONDecodeError):
        return None
    return told if isinstance(told, dict) else None


if __name__ == "__main__":
    sys.exit(main())
