"""Tags under /api/v1: the tree, and putting tags on leads, deals and lead events (contacts.md 3)."""

from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Query, Router, Schema, Status

from filiera.contacts import tags
from filiera.contacts.models import Tag
from filiera.contacts.tags import MOST_AT_ONCE
from filiera.identity.permissions import demand
from filiera.platform.api import ok

router = Router(tags=["contacts"])

VIEW, EDIT = "view_contacts", "edit_contacts"
Color = Literal["laguna", "cobalto", "glicine", "prugna", "terra", "oliva", "bosco", "ardesia"]
EntityType = Literal["contact", "deal", "lead_event"]


@router.get("/tags")
def list_tags(request: HttpRequest) -> Any:
    """Return the tree in its order, each tag with its depth, its path and how many things carry it."""
    demand(request, VIEW)
    counts = tags.counts()
    return ok(
        request,
        [
            told(one.tag) | {"path": one.path, "depth": one.depth, "count": counts.get(one.tag.id, 0)}
            for one in tags.tree()
        ],
    )


class NewTag(Schema):
    name: str = Field(max_length=100)
    color: Color = "ardesia"
    parent_id: UUID | None = None


@router.post("/tags", response={201: dict})
def create_tag(request: HttpRequest, given: NewTag) -> Any:
    """Make a tag; 409 TAG_EXISTS where a sibling has the name."""
    demand(request, EDIT)
    tag = tags.create(name=given.name, color=given.color, parent_id=given.parent_id, now=timezone.now())
    return Status(201, ok(request, told(tag)))


class TagChanges(Schema):
    name: str | None = Field(None, max_length=100)
    color: Color | None = None
    parent_id: UUID | None = None


@router.patch("/tags/{tag_id}")
def edit_tag(request: HttpRequest, tag_id: UUID, given: TagChanges) -> Any:
    """Rename, recolour or move a tag; 409 TAG_CYCLE below itself."""
    demand(request, EDIT)
    changes = given.dict(exclude_unset=True)
    if changes.get("name", "") is None:
        del changes["name"]
    return ok(request, told(tags.edit(tag_id=tag_id, changes=changes)))


class Deletion(Schema):
    cascade: bool = False


@router.delete("/tags/{tag_id}")
def delete_tag(request: HttpRequest, tag_id: UUID, asked: Query[Deletion]) -> Any:
    """Delete a tag; 409 TAG_HAS_CHILDREN with tags below it, unless `cascade=true` deletes those too."""
    demand(request, EDIT)
    return ok(request, {"deleted": tags.delete(tag_id=tag_id, cascade=asked.cascade)})


class Assignments(Schema):
    entity_type: EntityType
    entity_ids: list[UUID] = Field(min_length=1, max_length=MOST_AT_ONCE)


@router.post("/tags/{tag_id}/assignments")
def assign_tag(request: HttpRequest, tag_id: UUID, given: Assignments) -> Any:
    """Put a tag on things of one kind; what has it already keeps it."""
    principal = demand(request, EDIT)
    added = tags.assign(
        tag_id=tag_id,
        entity_type=given.entity_type,
        entity_ids=given.entity_ids,
        now=timezone.now(),
        user_id=principal.user.id,
    )
    return ok(request, {"added": added})


@router.delete("/tags/{tag_id}/assignments")
def unassign_tag(request: HttpRequest, tag_id: UUID, given: Assignments) -> Any:
    """Take a tag off things of one kind."""
    demand(request, EDIT)
    gone = tags.unassign(tag_id=tag_id, entity_type=given.entity_type, entity_ids=given.entity_ids)
    return ok(request, {"removed": gone})


def told(tag: Tag) -> dict[str, Any]:
    """Return a tag in JSON."""
    return {
        "id": str(tag.id),
        "name": tag.name,
        "slug": tag.slug,
        "color": tag.color,
        "parent_id": str(tag.parent_id) if tag.parent_id else None,
    }
