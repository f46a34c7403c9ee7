"""Q-21, disk full: a house whose database lives on a file system of a few hundred megabytes, filled and emptied.

Run by `faults.outage` in mounts of its own, so that the small file system ends with this process.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import orjson

from faults.living import living
from faults.outage import disk_full
from faults.verdict import Verdict
from filiera.platform import database

SIZE = "700m"


def main() -> None:
    # As root the embedded server keeps its data apart from the home, otherwise inside it.
    folder = database.ROOT_DATA if os.geteuid() == 0 else Path(tempfile.mkdtemp(prefix="filiera-disk-"))
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], check=True)
    if os.geteuid() != 0:
        tempfile.tempdir = str(folder)
    verdict = Verdict("Q-21", "disk full")
    with living() as house:
        disk_full(verdict, house, str(folder))
    found = {"facts": verdict.facts, "checks": verdict.checks}
    sys.stdout.write(orjson.dumps(found, default=str, option=orjson.OPT_NON_STR_KEYS).decode())


if __name__ == "__main__":
    main()
