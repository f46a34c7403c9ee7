"""The doors that answer with the result of the whole path."""

from typing import Annotated, Any
from uuid import UUID

import orjson
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Field, Schema, Status

from filiera.identity.api import Text
from filiera.identity.people_api import router as brands
from filiera.identity.people_api import told_brand
from filiera.identity.permissions import demand, demand_in_person
from filiera.journeys import manual, openings
from filiera.journeys.manual import Created
from filiera.pipeline import historic
from filiera.pipeline.api import router
from filiera.pipeline.shapes import STATE_LABELS
from filiera.platform.api import ok
from filiera.platform.refusals import Invalid, Missing

Hours = dict[
    Annotated[str, Field(max_length=3)],
    Annotated[list[list[Annotated[str, Field(max_length=5)]]], Field(max_length=10)],
]


class Closure(Schema):
    """Days on which a brand is closed: 2027-08-10 for once, 12-24 for every year."""

    first: Annotated[str, Field(alias="from", max_length=10)]
    last: Annotated[str, Field(alias="to", max_length=10)]
    name: Annotated[Text, Field(max_length=100)] = ""


class Holidays(Schema):
    """What a brand is closed for beside Italy's own holidays; the patron's day like 06-24."""

    patron_day: Annotated[str, Field(max_length=5)] = ""
    closed: Annotated[list[Closure], Field(max_length=60)] = []


class NewBrand(Schema):
    name: Annotated[Text, Field(max_length=255)]
    slug: Annotated[Text, Field(max_length=100)] = ""
    tagline: Annotated[Text, Field(max_length=100)] = ""
    accent: Annotated[Text, Field(max_length=10)] = "laguna"
    timezone: Annotated[Text, Field(max_length=50)] = "Europe/Rome"
    working_hours: Annotated[Hours, Field(max_length=7)] | None = None
    holidays: Holidays | None = None


class BrandChanges(Schema):
    name: Annotated[Text, Field(max_length=255)] | None = None
    tagline: Annotated[Text, Field(max_length=100)] | None = None
    accent: Annotated[Text, Field(max_length=10)] | None = None
    timezone: Annotated[Text, Field(max_length=50)] | None = None
    working_hours: Annotated[Hours, Field(max_length=7)] | None = None
    holidays: Holidays | None = None


@brands.post("/brands", response={201: dict[str, Any]})
def create_brand(request: HttpRequest, given: NewBrand) -> Status[dict[str, Any]]:
    """Open another brand; who does is let into it, and selects it to work there."""
    principal = demand_in_person(request, "manage_brands")
    settings = given.dict(exclude_unset=True, exclude={"name", "slug"}, by_alias=True)
    brand = openings.open_for(principal, name=given.name, slug=given.slug, settings=settings)
    return Status(201, ok(request, told_brand(brand, principal)))


@brands.patch("/brands/{uuid:brand_id}")
def change_brand(request: HttpRequest, brand_id: UUID, given: BrandChanges) -> Any:
    """Change the brand in use: the fields that are sent. Without working hours it works at any."""
    principal = demand_in_person(request, "system_settings")
    if brand_id != principal.brand_id:
        raise Missing(_("Questo marchio non c’è, o non è quello in uso."))
    changes = {
        name: value
        for name, value in given.dict(exclude_unset=True, by_alias=True).items()
        if value is not None or name == "working_hours"
    }
    return ok(request, told_brand(openings.change_brand(brand_id=brand_id, changes=changes), principal))


class NewLead(Schema):
    Nome: str = ""
    Telefono: str = ""
    Provenienza: str = ""


@router.post("/leads", response={201: dict[str, Any]})
def create_lead(request: HttpRequest, given: NewLead) -> Status[dict[str, Any]]:
    """Create a lead by hand and return it, flat, in the envelope."""
    return Status(201, ok(request, _flat(_create(request, given.Nome, given.Telefono, given.Provenienza))))


def historic_create_lead(request: HttpRequest) -> dict[str, Any]:
    """Answer POST /api/leads: the shape older than the envelope, with its timing (CAP-81)."""
    given = _body(request)
    created = _create(request, *(str(given.get(key) or "") for key in ("Nome", "Telefono", "Provenienza")))
    timing = {
        "lookup": created.lookup_ms,
        "create": created.create_ms,
        "total": created.lookup_ms + created.create_ms,
    }
    return {"success": True, "lead": _flat(created), "_timing": timing}


historic_leads = historic.historic(get=historic.list_leads, post=historic_create_lead)


def _create(request: HttpRequest, name: str, phone: str, provenance: str) -> Created:
    principal = demand(request, "create_lead")
    return manual.create_and_time(
        name=name, phone=phone, provenance=provenance, actor=principal.user, now=timezone.now()
    )


def _body(request: HttpRequest) -> dict[str, Any]:
    try:
        given = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise Invalid(_("Il messaggio non è JSON.")) from error
    if not isinstance(given, dict):
        raise Invalid(_("Il messaggio deve essere un oggetto."))
    return given


def _flat(created: Created) -> dict[str, Any]:
    """Return the lead as the form of CAP-80 made it; `Data` is in the brand's zone."""
    contact, event = created.lead.contact, created.lead.event
    return {
        "id": str(contact.id),
        "Nome": contact.full_name,
        "Telefono": created.lead.incoming.phone,
        "Data": timezone.localtime(event.received_at).strftime("%Y-%m-%d %H:%M"),
        "Stato": STATE_LABELS[contact.status],
        "Fonte": [str(event.marketing_source_id)] if event.marketing_source_id else [],
    }
