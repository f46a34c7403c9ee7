"""How `pytest -n 2` deals the tests out: in the order of a run without workers, a file at a time.

Each worker has a database of its own (`conftest.py`). The order counts: tests that really commit come after those that
find their database empty, those with a browser come last. What asks for the house shares one server and its rows, so
all of that goes to one worker.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

HOUSE = "house"


def keep_the_house_together(item: pytest.Item) -> None:
    """Mark what asks for the house: `--dist=loadgroup` then ends its node id with `@house`."""
    if HOUSE in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.xdist_group(HOUSE))


class InOrder(LoadScopeScheduling):  # type: ignore[misc]
    """One unit of work for each run of tests of the same file, and one for the house."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False
        self._units: dict[str, str] = {}

    def schedule(self) -> None:
        if not self._units:
            self._units = _units(next(iter(self.registered_collections.values())))
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return self._units[nodeid]


def _units(collected: list[str]) -> dict[str, str]:
    """Return the unit of each node id: its file, with a number, because a file's tests may stand in several places."""
    units, number, last = {}, 0, ""
    for nodeid in collected:
        file = HOUSE if nodeid.endswith(f"@{HOUSE}") else nodeid.partition("::")[0]
        number += file != last
        units[nodeid], last = HOUSE if file == HOUSE else f"{file} {number}", file
    return units
