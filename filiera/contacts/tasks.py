"""Jobs of contacts."""

from uuid import UUID

from django.utils import timezone

from filiera.contacts.duplicates import commands as duplicates
from filiera.contacts.importing import commands as importing
from filiera.contacts.importing import running
from filiera.identity.models import Brand
from filiera.platform import brand_scope
from filiera.platform.jobs import app, brand_task, task


@brand_task()
def gather(*, merge_id: str) -> None:
    """Gather what was still written about people while they were merged."""
    from filiera.contacts.merging import commands  # which enqueues this

    commands.gather(merge_id=UUID(merge_id))


@app.periodic(cron="37 2 * * *")
@task(name="contacts.let_go_of_merges", queueing_lock="contacts.let_go_of_merges")
def let_go_of_merges(timestamp: int) -> None:
    """Empty, in every brand, what it took to undo the merges that can be undone no more."""
    from filiera.contacts.merging import commands

    for brand_id in Brand.objects.order_by("created_at").values_list("id", flat=True):
        with brand_scope.use(brand_id):
            commands.let_go(now=timezone.now())


@task(name="contacts.search_duplicates", is_machine=True)
def search_duplicates(brand_id: str, scan_id: str) -> None:
    """Look for duplicates among everybody of a brand. Suggestions are no edits: they are recorded by the search."""
    duplicates.search(brand_id=UUID(brand_id), scan_id=UUID(scan_id))


@task(name="contacts.look_around", is_machine=True)
def look_around(brand_id: str, contact_ids: list[str]) -> None:
    """Look whether new people are here already."""
    with brand_scope.use(brand_id):
        duplicates.look_around([UUID(contact_id) for contact_id in contact_ids], now=timezone.now())


@task(name="contacts.work_on_import", is_machine=True)
def work_on_import(brand_id: str, run_id: str) -> None:
    """Try a file, bring it in or take it back: whatever it waits for. What it does has records of its own."""
    running.work(UUID(brand_id), UUID(run_id))


@app.periodic(cron="* * * * *")
@task(name="contacts.go_on_with_imports", queueing_lock="contacts.go_on_with_imports", is_machine=True)
def go_on_with_imports(timestamp: int) -> None:
    """Take up imports whose job was killed."""
    for brand_id in Brand.objects.order_by("created_at").values_list("id", flat=True):
        with brand_scope.use(brand_id):
            importing.go_on(now=timezone.now())


@app.periodic(cron="18 2 * * *")
@task(name="contacts.forget_imports", queueing_lock="contacts.forget_imports", is_machine=True)
def forget_imports(timestamp: int) -> None:
    """Let go of files that nobody brought in, and of what can be taken back no more."""
    for brand_id in Brand.objects.order_by("created_at").values_list("id", flat=True):
        with brand_scope.use(brand_id):
            importing.forget(now=timezone.now())
