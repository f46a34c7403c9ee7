"""Jobs of the workspace."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from django.utils import timezone, translation

from filiera.identity.models import Brand, User
from filiera.platform import actor, brand_scope
from filiera.platform.actor import PERSON, Actor
from filiera.platform.jobs import app, task
from filiera.workspace import bulk

QUIET: Final = timedelta(minutes=2)


@task(name="workspace.carry_out")
def carry_out(*, brand_id: str, run_id: str, user_id: str) -> None:
    """Carry out a deed on many leads, on record as the person's who asked for it and in their language."""
    user = User.objects.get(pk=user_id)
    who = Actor(PERSON, user.name, user.pk)
    with actor.acting(who), translation.override(user.language):
        bulk.carry_out(UUID(run_id), brand_id=UUID(brand_id))


@app.periodic(cron="* * * * *")
@task(name="workspace.go_on_with_deeds", queueing_lock="workspace.go_on_with_deeds", is_machine=True)
def go_on_with_deeds(timestamp: int) -> None:
    """Take up deeds on many leads whose job was killed. One whose job is alive is not harmed: sets take turns."""
    for brand_id in Brand.objects.order_by("created_at").values_list("id", flat=True):
        with brand_scope.use(brand_id):
            for run in bulk.under_way(since=timezone.now() - QUIET):
                carry_out.defer(brand_id=str(brand_id), run_id=str(run.pk), user_id=str(run.user_id))
