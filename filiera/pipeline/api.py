"""Leads, deals, stages and activities under /api/v1 (contacts.md 3, pipeline.md 3)."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema, Status

from filiera.contacts import queries as contacts
from filiera.contacts import tags, timeline
from filiera.contacts.duplicates import commands as searching
from filiera.contacts.duplicates import queries as duplicates
from filiera.contacts.models import DuplicateScan
from filiera.identity.models import UserRole
from filiera.identity.permissions import EXPORT, Principal, demand
from filiera.pipeline import commands, exporting, queries, shapes
from filiera.pipeline.models import Activity
from filiera.pipeline.queries import ActivityFilter, DealFilter, LeadFilter
from filiera.platform.api import MOST_PER_PAGE, PER_PAGE, Moment, ok, paginated
from filiera.platform.refusals import Invalid

router = Router(tags=["pipeline"])

VIEW, EDIT, DEALS, ACTIVITIES, MANAGE = (
    *("view_contacts", "edit_contacts", "manage_deals", "manage_activities"),
    "manage_pipeline",
)
MOST_PAGES = 10_000
"""Page numbers beyond are refused: far down a list, the cursor of the pages is the way."""

Money = Annotated[Decimal, Field(max_digits=10, decimal_places=2, ge=0)]
State = Literal["nuovo", "in_contatto", "caldo", "attesa_ordine", "chiuso_vinto", "perso"]
Kind = Literal["chiamata", "visita", "preventivo", "ordine", "rifiuto", "email", "nota"]


class Page(Schema):
    page: int = Field(1, ge=1, le=MOST_PAGES)
    per_page: int = Field(PER_PAGE, ge=1, le=MOST_PER_PAGE)

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.per_page


# Leads


class LeadQuestion(Schema):
    status: list[State] = []
    source: list[UUID] = []
    owner: list[UUID] = []
    tag: UUID | None = None
    arrived_from: Moment | None = None
    arrived_to: Moment | None = None
    q: str = Field("", max_length=200)

    @property
    def wanted(self) -> LeadFilter:
        return LeadFilter(
            states=tuple(self.status),
            marketing_source_ids=tuple(self.source),
            owner_ids=tuple(self.owner),
            tag_ids=tuple(sorted(tags.with_below(self.tag))) if self.tag else (),
            arrived_from=aware(self.arrived_from),
            arrived_to=aware(self.arrived_to),
            text=storable(self.q),
        )


class LeadQuery(LeadQuestion, Page):
    pass


class LeadExport(LeadQuestion):
    format: Literal["csv", "jsonl"] = "csv"


@router.get("/leads")
def list_leads(request: HttpRequest, asked: Query[LeadQuery]) -> Any:
    """Return leads, latest arrival first; `total` is exact up to 10 000 and stays 10 001 beyond."""
    demand(request, VIEW)
    wanted = asked.wanted
    rows = queries.lead_page_at(wanted, offset=asked.offset, limit=asked.per_page)
    return paginated(
        request,
        [shapes.lead(row) for row in rows],
        total=queries.count_leads(wanted),
        page=asked.page,
        per_page=asked.per_page,
    )


@router.get("/leads/export")
def export_leads(request: HttpRequest, asked: Query[LeadExport]) -> StreamingHttpResponse:
    """Take the leads of a list away as a file, with the filters of the list; that it was done is on record."""
    principal = demand(request, EXPORT)
    told = str(request.GET.urlencode())
    return exporting.download(principal, asked.wanted, asked.format, asked=told)


class DuplicatesQuery(Page):
    strictNames: bool = True


@router.get("/leads/duplicates")
def list_duplicates(request: HttpRequest, asked: Query[DuplicatesQuery]) -> Any:
    """Return groups of leads that the rule takes for one person, the largest first, each lead with `matchReasons`.

    `strictNames=false` leaves out who is joined by similar names alone. Up to 5 000 leads are searched at once; beyond,
    the last search answers, and `searched_at` says when that was (null: none yet, `POST` starts one).
    """
    demand(request, VIEW)
    clusters, done = duplicates.clusters(by_name=asked.strictNames)
    shown = clusters[asked.offset : asked.offset + asked.per_page]
    answer = paginated(
        request,
        shapes.in_clusters(shown, shapes.lead),
        total=len(clusters),
        page=asked.page,
        per_page=asked.per_page,
    )
    answer["searched_at"] = done.finished_at if done else None
    return answer


@router.post("/leads/duplicates")
def search_duplicates(request: HttpRequest) -> Any:
    """Start a search among all leads, or return the one that is under way."""
    principal = demand(request, EDIT)
    return ok(request, _search(searching.start(now=timezone.now(), user_id=principal.user.id)))


@router.get("/leads/duplicates/search")
def read_search(request: HttpRequest) -> Any:
    """Return how far the last search is and what it found; null when there was none."""
    demand(request, VIEW)
    scan = duplicates.latest()
    return ok(request, _search(scan) if scan else None)


class Verdict(Schema):
    leadIds: list[UUID] = Field(max_length=1_000)


@router.post("/leads/duplicates/dismiss")
def dismiss_duplicate(request: HttpRequest, given: Verdict) -> Any:
    """Remember that two leads are two people; 404 when nothing suggested them."""
    principal = demand(request, EDIT)
    if len(given.leadIds) != 2:
        raise Invalid(_("Servono due lead."), details={"leadIds": [_("Servono due lead.")]})
    first, second = given.leadIds
    searching.dismiss(first_id=first, second_id=second, now=timezone.now(), user_id=principal.user.id)
    return ok(request, {"leadIds": [str(first), str(second)]})


def _search(scan: DuplicateScan) -> dict[str, Any]:
    return {
        "id": str(scan.id),
        "status": scan.status,
        "share": scan.share,
        "counts": scan.counts,
        "started_at": scan.created_at,
        "finished_at": scan.finished_at,
    }


@router.get("/leads/{lead_id}")
def read_lead(request: HttpRequest, lead_id: UUID) -> Any:
    """Return one lead with phones, deals, last events and planned activities."""
    demand(request, VIEW)
    return ok(request, shapes.record(queries.lead_record(lead_id)))


class LeadChanges(Schema):
    first_name: str | None = Field(None, max_length=100)
    last_name: str | None = Field(None, max_length=100)
    email: str | None = Field(None, max_length=255)
    phone: str | None = Field(None, max_length=60)
    city: str | None = Field(None, max_length=100)
    cap: str | None = Field(None, max_length=10)
    company_name: str | None = Field(None, max_length=255)
    age: int | None = Field(None, ge=0, le=120)
    notes: str | None = Field(None, max_length=20_000)
    status: State | None = None
    marketing_source_id: UUID | None = None
    owner_id: UUID | None = None


@router.patch("/leads/{lead_id}")
def edit_lead(request: HttpRequest, lead_id: UUID, given: LeadChanges) -> Any:
    """Change the fields that are given, and return the lead as it is now."""
    principal = demand(request, EDIT)
    changes = given.dict(exclude_unset=True)
    if "owner_id" in changes:
        changes["assigned_user_id"] = _colleague(changes.pop("owner_id"))
    change_lead(principal, lead_id, changes)
    return ok(request, shapes.record(queries.lead_record(lead_id)))


@router.delete("/leads/{lead_id}")
def delete_lead(request: HttpRequest, lead_id: UUID) -> Any:
    """Put a lead into the bin."""
    principal = demand(request, EDIT)
    commands.delete_leads(contact_ids=[lead_id], now=timezone.now(), user_id=principal.user.id)
    return ok(request, {"id": str(lead_id)})


@router.get("/leads/{lead_id}/timeline")
def read_timeline(
    request: HttpRequest, lead_id: UUID, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> Any:
    """Return what happened with a lead, newest first."""
    demand(request, VIEW)
    return ok(request, lead_thread(lead_id, limit))


def change_lead(principal: Principal, lead_id: UUID, changes: dict[str, Any]) -> None:
    """Change a lead for both paths; texts that are null are emptied."""
    texts = ("first_name", "last_name", "city", "cap", "company_name", "notes")
    plain = {name: "" if name in texts and value is None else value for name, value in changes.items()}
    if plain.get("phone", "") is None:
        raise Invalid(_("Alcuni campi non vanno bene."), details={"phone": [_("Serve un numero.")]})
    commands.edit_lead(
        contact_id=lead_id,
        changes={
            name: storable(value) for name, value in plain.items() if not (name == "status" and not value)
        },
        now=timezone.now(),
        user_id=principal.user.id,
    )


def lead_thread(lead_id: UUID, limit: int) -> list[dict[str, Any]]:
    """Return the thread of a lead for both paths. Raises ContactMissing."""
    contacts.contact_for(lead_id)
    return shapes.thread(timeline.read([lead_id], limit=limit))


# Deals


class DealQuery(Page):
    stage: UUID | None = None
    status: Literal["", "open", "won", "lost"] = ""
    owner: UUID | None = None
    q: str = Field("", max_length=200)


@router.get("/deals")
def list_deals(request: HttpRequest, asked: Query[DealQuery]) -> Any:
    """Return deals, last opened first."""
    demand(request, VIEW)
    wanted = DealFilter(asked.stage, asked.status, asked.owner, storable(asked.q))
    found, total = queries.deals_at(wanted, offset=asked.offset, limit=asked.per_page)
    return paginated(
        request, [shapes.deal(each) for each in found], total=total, page=asked.page, per_page=asked.per_page
    )


@router.get("/pipeline/board")
def read_board(request: HttpRequest) -> Any:
    """Return the open deals by stage, the newest hundred of each, with count and total of all of them."""
    demand(request, VIEW)
    return ok(
        request,
        {
            "stages": [
                {
                    "id": str(column.stage.id),
                    "name": column.stage.name,
                    "order_index": column.stage.order_index,
                    "lead_state": column.stage.lead_state,
                    "deals": [shapes.deal(each) for each in column.deals],
                    "count": column.count,
                    "total_amount": column.total_amount,
                }
                for column in queries.board()
            ]
        },
    )


class NewDeal(Schema):
    contact_id: UUID
    title: str = Field("", max_length=255)
    stage_id: UUID | None = None
    amount: Money | None = None


@router.post("/deals", response={201: dict})
def create_deal(request: HttpRequest, given: NewDeal) -> Any:
    """Open a deal; 409 OPEN_DEAL_EXISTS when the person has one."""
    principal = demand(request, DEALS)
    opened = commands.open_deal(
        contact_id=given.contact_id,
        title=storable(given.title),
        stage_id=given.stage_id,
        amount=given.amount,
        user_id=principal.user.id,
        now=timezone.now(),
    )
    return Status(201, ok(request, shapes.deal(queries.deal_for(opened.id))))


@router.get("/deals/{deal_id}")
def read_deal(request: HttpRequest, deal_id: UUID) -> Any:
    """Return one deal."""
    demand(request, VIEW)
    return ok(request, shapes.deal(queries.deal_for(deal_id)))


class DealChanges(Schema):
    title: str | None = Field(None, max_length=255)
    amount: Money | None = None
    expected_close_date: date | None = None
    owner_id: UUID | None = None
    waiting_until: date | None = None
    version: int | None = None


@router.patch("/deals/{deal_id}")
def edit_deal(request: HttpRequest, deal_id: UUID, given: DealChanges) -> Any:
    """Change a deal's fields; no history is written. 409 STALE_OBJECT when `version` is not the current one."""
    principal = demand(request, DEALS)
    changes = given.dict(exclude_unset=True)
    version = changes.pop("version", None)
    if "owner_id" in changes:
        changes["owner_user_id"] = _colleague(changes.pop("owner_id"))
    if "title" in changes:
        changes["title"] = storable(changes["title"] or "")
    commands.edit_deal(
        deal_id=deal_id, changes=changes, version=version, user_id=principal.user.id, now=timezone.now()
    )
    return ok(request, shapes.deal(queries.deal_for(deal_id)))


class Move(Schema):
    stage_id: UUID | None
    version: int
    reason: Literal["manual", "ai_classification", "rule", "import"] = "manual"
    lost_reason: str = Field("", max_length=500)
    amount: Money | None = None


@router.post("/deals/{deal_id}/move")
def move_deal(request: HttpRequest, deal_id: UUID, given: Move) -> Any:
    """Move a deal to a stage, or off the board; 409 STALE_OBJECT when somebody was faster."""
    principal = demand(request, DEALS)
    commands.move_deal(
        deal_id=deal_id,
        stage_id=given.stage_id,
        version=given.version,
        reason=given.reason,
        lost_reason=storable(given.lost_reason),
        amount=given.amount,
        user_id=principal.user.id,
        now=timezone.now(),
    )
    return ok(request, shapes.deal(queries.deal_for(deal_id)))


class Close(Schema):
    status: Literal["won", "lost"]
    lost_reason: str = Field("", max_length=500)
    amount: Money | None = None
    is_void: bool = False
    version: int | None = None


@router.post("/deals/{deal_id}/close")
def close_deal(request: HttpRequest, deal_id: UUID, given: Close) -> Any:
    """Close a deal as won or lost; `is_void` with `lost` closes it as a duplicate or a mistake."""
    principal = demand(request, DEALS)
    reason = storable(given.lost_reason)
    if given.is_void:
        if given.status != "lost":
            raise Invalid(_("Alcuni campi non vanno bene."), details={"is_void": [_("Solo con lost.")]})
        commands.void_deal(
            deal_id=deal_id, why=reason, version=given.version, user_id=principal.user.id, now=timezone.now()
        )
    else:
        commands.close_deal(
            deal_id=deal_id,
            status=given.status,
            lost_reason=reason,
            amount=given.amount,
            version=given.version,
            user_id=principal.user.id,
            now=timezone.now(),
        )
    return ok(request, shapes.deal(queries.deal_for(deal_id)))


class Reopen(Schema):
    version: int | None = None
    stage_id: UUID | None = None


@router.post("/deals/{deal_id}/reopen")
def reopen_deal(request: HttpRequest, deal_id: UUID, given: Reopen | None = None) -> Any:
    """Open a closed deal again; 409 OPEN_DEAL_EXISTS when the person has another open one."""
    principal = demand(request, DEALS)
    asked = given or Reopen()
    commands.reopen_deal(
        deal_id=deal_id,
        version=asked.version,
        stage_id=asked.stage_id,
        user_id=principal.user.id,
        now=timezone.now(),
    )
    return ok(request, shapes.deal(queries.deal_for(deal_id)))


@router.get("/deals/{deal_id}/history")
def read_history(request: HttpRequest, deal_id: UUID) -> Any:
    """Return the stays of a deal, oldest first, with their seconds."""
    demand(request, VIEW)
    return ok(request, [shapes.stretch(each) for each in queries.deal_history(deal_id, now=timezone.now())])


# Stages


class NewStage(Schema):
    name: str = Field(max_length=100)
    lead_state: State | None = None
    probability: Annotated[Decimal, Field(ge=0, le=100, decimal_places=2)] | None = None
    age_limit_days: int | None = Field(None, ge=1, le=3650)
    color: str = Field("", max_length=20)
    order_index: int | None = Field(None, ge=0, le=1000)


class StageChanges(Schema):
    name: str | None = Field(None, max_length=100)
    lead_state: State | None = None
    probability: Annotated[Decimal, Field(ge=0, le=100, decimal_places=2)] | None = None
    age_limit_days: int | None = Field(None, ge=1, le=3650)
    color: str | None = Field(None, max_length=20)
    order_index: int | None = Field(None, ge=0, le=1000)
    is_active: bool | None = None


class Order(Schema):
    stage_ids: list[UUID] = Field(max_length=200)


_NEVER_NULL = ("name", "color", "order_index", "is_active")


@router.get("/pipeline/stages")
def list_stages(request: HttpRequest, with_inactive: bool = False) -> Any:
    """Return the stages in their order."""
    demand(request, VIEW)
    return ok(request, [shapes.stage(each) for each in queries.stages(with_inactive=with_inactive)])


@router.post("/pipeline/stages", response={201: dict})
def create_stage(request: HttpRequest, given: NewStage) -> Any:
    """Add a stage."""
    demand(request, MANAGE)
    fields = {name: storable(value) for name, value in given.dict().items() if value is not None}
    return Status(201, ok(request, shapes.stage(commands.create_stage(now=timezone.now(), **fields))))


@router.post("/pipeline/stages/reorder")
def reorder_stages(request: HttpRequest, given: Order) -> Any:
    """Put the stages into the order given."""
    demand(request, MANAGE)
    return ok(request, [shapes.stage(each) for each in commands.reorder_stages(stage_ids=given.stage_ids)])


@router.patch("/pipeline/stages/{stage_id}")
def edit_stage(request: HttpRequest, stage_id: UUID, given: StageChanges) -> Any:
    """Change a stage; what figures are made with makes its next version."""
    demand(request, MANAGE)
    changes = {
        name: storable(value)
        for name, value in given.dict(exclude_unset=True).items()
        if not (name in _NEVER_NULL and value is None)
    }
    return ok(
        request, shapes.stage(commands.edit_stage(stage_id=stage_id, changes=changes, now=timezone.now()))
    )


@router.delete("/pipeline/stages/{stage_id}")
def delete_stage(request: HttpRequest, stage_id: UUID) -> Any:
    """Remove a stage that no deal ever stood in; 409 otherwise."""
    demand(request, MANAGE)
    commands.delete_stage(stage_id=stage_id)
    return ok(request, {"id": str(stage_id)})


# Activities


class NewActivity(Schema):
    type: Kind
    contact_id: UUID
    deal_id: UUID | None = None
    title: str = Field("", max_length=255)
    note: str = Field("", max_length=20_000)
    status: Literal["planned", "done"] = "done"
    scheduled_at: Moment | None = None
    occurred_at: Moment | None = None
    duration_minutes: int | None = Field(None, ge=0, le=1440)
    direction: Literal["", "incoming", "outgoing"] = ""
    outcome: str = Field("", max_length=40)
    talking_seconds: int | None = Field(None, ge=0, le=86_400)
    # A promotional call is saved only when the agent says that it was opened as it must be (GD-15).
    opening_said: bool = False


class ActivityChanges(Schema):
    type: Kind | None = None
    title: str | None = Field(None, max_length=255)
    note: str | None = Field(None, max_length=20_000)
    status: Literal["planned", "done", "cancelled"] | None = None
    scheduled_at: Moment | None = None
    occurred_at: Moment | None = None
    duration_minutes: int | None = Field(None, ge=0, le=1440)
    direction: Literal["", "incoming", "outgoing"] | None = None
    outcome: str | None = Field(None, max_length=40)
    talking_seconds: int | None = Field(None, ge=0, le=86_400)
    opening_said: bool = False


class ActivityQuery(Schema):
    contact_id: UUID | None = None
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    limit: int = Field(100, ge=1, le=200)


@router.get("/activities")
def list_activities(request: HttpRequest, asked: Query[ActivityQuery]) -> Any:
    """Return activities, newest first."""
    demand(request, VIEW)
    wanted = ActivityFilter(asked.contact_id, aware(asked.starts_at), aware(asked.ends_at))
    return ok(request, [shapes.activity(each) for each in queries.activities(wanted, limit=asked.limit)])


@router.post("/activities", response={201: dict})
def create_activity(request: HttpRequest, given: NewActivity) -> Any:
    """Record or plan an activity; the lead's state follows by rule."""
    principal = demand(request, ACTIVITIES)
    fields = {name: storable(value) for name, value in given.dict().items()}
    made = record(principal, **fields)
    return Status(201, ok(request, shapes.activity(made) | {"lead_state": made.contact.status}))


@router.patch("/activities/{activity_id}")
def edit_activity(request: HttpRequest, activity_id: UUID, given: ActivityChanges) -> Any:
    """Change an activity; doing what was planned acts as if recorded now."""
    demand(request, ACTIVITIES)
    nullable = ("scheduled_at", "duration_minutes", "talking_seconds")
    changes = {
        name: storable(value)
        for name, value in given.dict(exclude_unset=True).items()
        if value is not None or name in nullable
    }
    said = bool(changes.pop("opening_said", False))
    changed = commands.edit_activity(
        activity_id=activity_id, changes=_moments(changes), now=timezone.now(), opening_said=said
    )
    return ok(request, shapes.activity(changed) | {"lead_state": changed.contact.status})


@router.delete("/activities/{activity_id}")
def delete_activity(request: HttpRequest, activity_id: UUID) -> Any:
    """Take an activity back."""
    demand(request, ACTIVITIES)
    commands.cancel_activity(activity_id=activity_id, now=timezone.now())
    return ok(request, {"id": str(activity_id)})


def record(principal: Principal, **fields: Any) -> Activity:
    """Record an activity of the person who asks, for both paths."""
    return commands.record_activity(user_id=principal.user.id, now=timezone.now(), **_moments(fields))


# What comes from outside


def _moments(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: aware(value) if isinstance(value, datetime) else value for name, value in fields.items()}


def aware(moment: datetime | None) -> datetime | None:
    """Return a moment with its zone: one written without it is meant in the brand's."""
    if moment is None or timezone.is_aware(moment):
        return moment
    return timezone.make_aware(moment)


def storable(value: Any) -> Any:
    """Return a text as the database can hold it: without NUL and half characters. Other values as they are."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "ignore").decode()
    return value


def _colleague(user_id: UUID | None) -> UUID | None:
    """Return the user, who must have a role in this brand. Raises Invalid."""
    if user_id is not None and not UserRole.objects.filter(user_id=user_id).exists():
        raise Invalid(
            _("Alcuni campi non vanno bene."), details={"owner_id": [_("Non lavora in questo marchio.")]}
        )
    return user_id
