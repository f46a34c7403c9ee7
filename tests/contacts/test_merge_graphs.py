"""Merging random people and taking it back leaves every table as it was; `FILIERA_GRAPHS=1000` tries that many."""

import os
from random import Random
from typing import Any

import pytest
from django.db import transaction

from filiera.contacts import merging
from filiera.contacts.models import Contact
from tests.contacts.graphs import World, digest, graph, references_to
from tests.leads import NOW

GRAPHS = int(os.environ.get("FILIERA_GRAPHS", "40"))


@pytest.fixture
def world(in_vegliasi: Any) -> World:
    return World.made()


def test_an_undone_merge_leaves_every_table_as_it_was(world: World) -> None:
    for seed in range(GRAPHS):
        with transaction.atomic():
            _merged_and_undone(world, Random(seed), people=2 + seed % 5)
            transaction.set_rollback(True)


def test_fifty_people_become_one_and_fifty_again(world: World) -> None:
    _merged_and_undone(world, Random(50), people=50)


def _merged_and_undone(world: World, random: Random, *, people: int) -> None:
    found = graph(world, random, people=people)
    ids = [one.id for one in found]
    before = digest()
    survivor_id = random.choice([None, random.choice(ids)])
    chosen = {name: random.choice(ids) for name in merging.CHOOSABLE if random.random() < 0.2}
    record = merging.merge(contact_ids=ids, now=NOW, user_id=None, survivor_id=survivor_id, chosen=chosen)
    assert digest() != before
    assert references_to(record.merged_ids) == {}
    assert Contact.objects.filter(id__in=ids, deleted_at=None).count() == 1
    done = merging.undo(merge_id=record.id, now=NOW, user_id=None)
    assert (done.kept, done.followed) == ([], 0)
    after = digest()
    assert {table for table in before if before[table] != after[table]} == set()
