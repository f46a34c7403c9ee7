"""All brands at once, for who administers the installation: read only, and written in the record of each brand.

There is no way around row security here: each brand is opened by itself, one after the other, with the same reads that
its own people have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from filiera.identity import audit
from filiera.identity.models import AuditEntry, Brand
from filiera.pipeline import queries as pipeline
from filiera.pipeline.models import Deal
from filiera.pipeline.queries import LeadFilter, ListedLead
from filiera.platform import brand_scope
from filiera.routing.models import Process
from filiera.workspace import today

MOST_BRANDS = 50
MOST_FOUND = 8


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen of one brand: its day, what waits and is open, and whom a search found in it."""

    brand: Brand
    day: today.Figures
    waiting: int
    open_deals: int
    found: Sequence[ListedLead]


def look(text: str, *, now: datetime) -> list[Look]:
    """Look into the open brands, the oldest first, and write in the record of each that somebody did.

    The caller has demanded `view_all_brands`. `text` is searched for where it is not empty. The statements grow with
    the brands, up to MOST_BRANDS, and not with what is in them.
    """
    brands = Brand.objects.filter(is_active=True).order_by("created_at", "id")[:MOST_BRANDS]
    return [_look_into(brand, text, now=now) for brand in brands]


def _look_into(brand: Brand, text: str, *, now: datetime) -> Look:
    with brand_scope.use(brand.id), timezone.override(brand.timezone):
        found: list[ListedLead] = []
        if text:
            found, _after = pipeline.listed_page(LeadFilter(text=text), limit=MOST_FOUND)
        # What was searched for stays out of the record, which is kept for longer than people are.
        audit.record(
            AuditEntry.Action.LOOK,
            entity_type="brands",
            entity_id=brand.id,
            detail={"searched": bool(text), "found": len(found)},
        )
        return Look(
            brand=brand,
            day=today.figures_since(today.start_of_day(now)),
            waiting=Process.objects.filter(state=Process.State.WAITING).count(),
            open_deals=Deal.objects.filter(status=Deal.Status.OPEN).count(),
            found=found,
        )
