"""Vegliasì and Quadranorma, each with a row of everything; Ada owns the one, Carl the other."""

from collections import Counter
from typing import Any

import pytest

from tests.security.routes import ASKED
from tests.security.world import World, fill

FOREIGN, OWN = ("vgqmark", "+393510007740"), ("qdqmark", "+393510004127")


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the moment, so that pages differ only where their rows do."""
    from django.utils import timezone

    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)


@pytest.fixture
def own(quadranorma: Any, people: Any, stopped_clock: None) -> World:
    """What is Carl's."""
    world = World(quadranorma, people.carl, *OWN)
    fill(world)
    return world


@pytest.fixture
def foreign(vegliasi: Any, people: Any, own: World) -> World:
    """What Carl must not see."""
    world = World(vegliasi, people.ada, *FOREIGN)
    fill(world)
    return world


QUESTIONS = {
    "test_rubbish.py": "Q-30",
    "test_other_brands.py": "Q-31",
    "test_sql.py": "Q-31",
    "test_walls.py": "Q-32",
    "test_server_log.py": "Q-32",
    "test_requests_inward.py": "Q-33",
    "test_neutral.py": "Q-34",
}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how much was tried: `make walls` is read for these figures."""
    cases: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            name = report.nodeid.partition("::")[0].rpartition("/")[2]
            cases[name] += 1
            failures[name] += outcome != "passed"
    told = [
        f"{question}  {name}: {cases[name]} cases, {ASKED[name]} requests, {failures[name]} failures"
        if ASKED[name]
        else f"{question}  {name}: {cases[name]} cases, {failures[name]} failures"
        for name, question in QUESTIONS.items()
        if cases[name]
    ]
    if told:
        terminalreporter.section("tried")
        for line in told:
            terminalreporter.line(line)
