"""How `pytest -n 2` deals the tests out: a file goes to one worker, and so does the shared house.

Each worker has a database of its own (`conftest.py`). What asks for the house shares one server and its rows, so all
of that goes to one worker, in the order of a run without workers. What takes longest begins first.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

HOUSE = "house"
# Files that take half a minute and more; the others follow by the number of their tests.
LONG = (
    HOUSE,
    "tests/security/test_rubbish.py",
    "tests/security/test_other_brands.py",
    "tests/platform/test_serving.py",
    "tests/demo/test_demo.py",
)


def keep_the_house_together(item: pytest.Item) -> None:
    """Mark what asks for the house: loadgroup then ends its node id with `@house`."""
    if HOUSE in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.xdist_group(HOUSE))


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """One unit of work for each file, one for the house, the long ones first."""

    def _split_scope(self, nodeid: str) -> str:
        return HOUSE if nodeid.endswith(f"@{HOUSE}") else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: Any) -> None:
        for scope in LONG:
            if scope in self.workqueue:
                self.workqueue.move_to_end(scope, last=False)
                break
        super()._assign_work_unit(node)
