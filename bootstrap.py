#!/usr/bin/env python3
"""Make this checkout ready to run, from nothing but Python 3.11 or newer: environment, front end, translations.

    python3 bootstrap.py          what `make demo` and `make up` need
    python3 bootstrap.py --dev    that and the tools of `make test` and `make check`

Every step is skipped while its inputs are what they were. Nothing is installed outside this folder.
"""

import argparse
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
import venv
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
STAMPS = VENV / "bootstrap.json"
FRONTEND = ROOT / "frontend"
COLLECTED = ROOT / "filiera" / "static" / "staticfiles.json"
BUILT = ROOT / "filiera" / "workspace" / "static" / "built"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dev", action="store_true", help="with the tools for tests and checks")
    options = parser.parse_args()
    if sys.version_info < (3, 11):
        sys.exit(f"Filiera needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    os.chdir(ROOT)
    with (ROOT / ".bootstrap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        prepare(dev=options.dev)


def prepare(*, dev: bool) -> None:
    """Run the steps whose inputs changed. An environment that once got the tools keeps them."""
    if not usable(VENV):
        step("environment", make_environment)
    dev = dev or stamps().get("dev") == "yes"
    lock = ROOT / ("requirements.lock" if dev else "requirements-runtime.lock")
    bootstrap_lock = ROOT / "requirements-bootstrap.lock"
    packages = fingerprint([lock, bootstrap_lock, ROOT / "pyproject.toml"])
    if stamps().get("packages") != packages:
        step("Python packages", lambda: install_packages(lock, bootstrap_lock))
        stamp(packages=packages, dev="yes" if dev else "no")
    if (FRONTEND / "package.json").exists():
        packages = fingerprint([FRONTEND / "package.json", FRONTEND / "package-lock.json"])
        if stamps().get("npm") != packages or not (FRONTEND / "node_modules").exists():
            step(
                "front-end packages",
                lambda: run(BIN / "npm", "ci", "--no-fund", "--no-audit", folder=FRONTEND),
            )
            stamp(npm=packages)
        sources = fingerprint(front_end_sources(), packages)
        if stamps().get("front end") != sources or not BUILT.exists():
            step("front end", lambda: run(BIN / "node", "build.mjs", folder=FRONTEND))
            stamp(**{"front end": sources})
        static = fingerprint(static_files())
        if stamps().get("static files") != static or not COLLECTED.exists():
            step("static files", collect_static_files)
            stamp(**{"static files": static})
    catalogs = sorted((ROOT / "filiera").rglob("*.po"))
    words = fingerprint(catalogs)
    if stamps().get("translations") != words or not all(
        path.with_suffix(".mo").exists() for path in catalogs
    ):
        step("translations", lambda: run(BIN / "python", "-m", "filiera.platform.translations", "compile"))
        stamp(translations=words)


def usable(folder: Path) -> bool:
    """Return whether the environment is there and its interpreter still runs (its Python may have been removed)."""
    try:
        return not subprocess.run([folder / "bin" / "python", "-c", ""], check=False).returncode
    except OSError:
        return False


def make_environment() -> None:
    try:
        venv.create(VENV, clear=True, with_pip=True, symlinks=True)
    except subprocess.CalledProcessError:
        sys.exit(
            "Python's own `venv` does not work here. On Debian and Ubuntu it is the package python3-venv."
        )


def install_packages(lock: Path, bootstrap_lock: Path) -> None:
    """Install exactly what the lock names, each file checked by its hash, then this project on top."""
    python = BIN / "python"
    run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", bootstrap_lock)
    run(BIN / "uv", "pip", "sync", "--quiet", "--require-hashes", "--python", python, lock)
    # Its build tools come from the bootstrap lock, so nothing unlocked is fetched here.
    run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", bootstrap_lock)
    run(
        BIN / "uv",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--python",
        python,
        "-e",
        ROOT,
    )


def front_end_sources() -> list[Path]:
    """Return what the build reads: its own sources, and the files in which classes and icons are named."""
    own = [path for path in FRONTEND.rglob("*") if path.is_file() and "node_modules" not in path.parts]
    filiera = ROOT / "filiera"
    scripts = [path for path in filiera.rglob("static/**/*.js") if BUILT not in path.parents]
    return sorted([*own, *filiera.rglob("*.html"), *filiera.rglob("*.py"), *scripts])


def static_files() -> list[Path]:
    """Return every static file of the rooms, the built ones included."""
    return sorted(path for path in (ROOT / "filiera").glob("*/static/**/*") if path.is_file())


def collect_static_files() -> None:
    """Compress the static files and give them hashed names, so that browsers keep them until they change."""
    settings = {
        "FILIERA_HOME": str(VENV / "check-home"),
        "FILIERA_STATIC_COLLECTED": "1",
        "DJANGO_SETTINGS_MODULE": "filiera.settings",
    }
    run(BIN / "python", "-m", "django", "collectstatic", "--noinput", "--clear", "--verbosity=0", **settings)


def fingerprint(paths: Iterable[Path], *more: str) -> str:
    """Return a hash over names and contents, this script and the interpreter."""
    digest = hashlib.sha256(f"{sys.version}{ROOT}{more}".encode())
    for path in (Path(__file__), *paths):
        digest.update(f"{path}\0".encode())
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest()


def stamps() -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(STAMPS.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def stamp(**done: str) -> None:
    STAMPS.write_text(json.dumps(stamps() | done, indent=1))


def step(name: str, work: object) -> None:
    assert callable(work)
    print(f"{name} …", end=" ", flush=True)
    started = time.monotonic()
    work()
    print(f"{time.monotonic() - started:.1f} s", flush=True)


def run(*command: str | Path, folder: Path = ROOT, **settings: str) -> None:
    """Run a command with the environment's programs first in the path; stop with its own words when it fails."""
    environment = (
        os.environ
        | settings
        | {
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "VIRTUAL_ENV": str(VENV),
        }
    )
    environment.pop("PYTHONHOME", None)
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(
            f"failed:\n{done.stdout}\n{' '.join(str(part) for part in command)} ended with {done.returncode}."
        )


if __name__ == "__main__":
    main()
