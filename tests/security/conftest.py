"""Vegliasì and Quadranorma, each with a row of everything; Ada owns the one, Carl the other."""

from typing import Any

import pytest

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
