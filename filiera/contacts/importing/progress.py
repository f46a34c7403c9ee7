"""Whose turn it is: a set of rows begins by locking the import, and looks whether it stands where it stood."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.utils import timezone

from filiera.contacts.models import ImportRun
from filiera.platform import live

Status = ImportRun.Status


class Overtaken(Exception):
    """Somebody else works on this import, or it was stopped: nothing of this set is written."""


@contextmanager
def at_work(run_id: UUID, status: str, *, cursor: int | None = None) -> Iterator[ImportRun]:
    """Lock an import for one set of rows and write how far it came. Raises Overtaken.

    Two jobs on one import take turns here: who finds the cursor elsewhere than where they left it goes away.
    """
    run = ImportRun.objects.select_for_update(no_key=True).get(id=run_id)
    if run.status != status or (cursor is not None and run.cursor != cursor):
        raise Overtaken
    yield run
    run.moved_at = timezone.now()
    run.save()
    live.announce("imports")
