"""People who are one: merged with every reference to them, and taken apart again for thirty days."""

from filiera.contacts.merging.commands import (
    TERM,
    MergedMeanwhile,
    MergeMissing,
    NotUndoable,
    Undone,
    chosen_people,
    merge,
    undo,
    undoable_until,
    why_not,
)
from filiera.contacts.merging.plan import CHOOSABLE, FEWEST, MOST, Plan, plan
from filiera.contacts.merging.queries import counts, of, past, told, warnings

__all__ = [
    "CHOOSABLE",
    "FEWEST",
    "MOST",
    "TERM",
    "MergeMissing",
    "MergedMeanwhile",
    "NotUndoable",
    "Plan",
    "Undone",
    "chosen_people",
    "counts",
    "merge",
    "of",
    "past",
    "plan",
    "told",
    "undo",
    "undoable_until",
    "warnings",
    "why_not",
]
