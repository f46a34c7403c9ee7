"""Debug logging by area (ROU-40): `FILIERA_DEBUG_AREAS=lead-to-call:*,agent-distribution`."""

from __future__ import annotations

import logging
from fnmatch import fnmatchcase

_ROOT = "filiera.routing"
AREAS = ("lead-to-call:process", "lead-to-call:calls", "lead-to-call:events", "agent-distribution")


def logger(area: str) -> logging.Logger:
    """Return the logger of one of AREAS."""
    if area not in AREAS:
        raise ValueError(f"{area} is not one of {AREAS}")
    return logging.getLogger(f"{_ROOT}.{area}")


def enable(patterns: str) -> None:
    """Let the areas that match one of the comma-separated patterns log at DEBUG, the others as the house does."""
    wanted = [pattern.strip() for pattern in patterns.split(",") if pattern.strip()]
    for area in AREAS:
        chosen = any(fnmatchcase(area, pattern) for pattern in wanted)
        logger(area).setLevel(logging.DEBUG if chosen else logging.NOTSET)
