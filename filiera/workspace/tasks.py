"""Jobs of the workspace."""

from uuid import UUID

from django.utils import translation

from filiera.identity.models import User
from filiera.platform import actor
from filiera.platform.actor import PERSON, Actor
from filiera.platform.jobs import task
from filiera.workspace import bulk


@task(name="workspace.carry_out")
def carry_out(*, brand_id: str, run_id: str, user_id: str) -> None:
    """Carry out a deed on many leads, on record as the person's who asked for it and in their language."""
    user = User.objects.get(pk=user_id)
    who = Actor(PERSON, user.name, user.pk)
    with actor.acting(who), translation.override(user.language):
        bulk.carry_out(UUID(run_id), brand_id=UUID(brand_id))
