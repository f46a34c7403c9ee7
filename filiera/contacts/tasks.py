"""Jobs of contacts."""

from uuid import UUID

from django.utils import timezone

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
