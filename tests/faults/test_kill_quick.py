"""Five of the hundred kills of Q-20; the rest is `make faults`."""

import pytest

from faults import kill


@pytest.mark.slow
def test_after_five_kills_everything_acknowledged_is_processed_exactly_once():
    verdict = kill.run(5, per_second=20.0)

    assert verdict.holds, verdict.line()
