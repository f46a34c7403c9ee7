"""Imports under /api/v1 (contacts.md 3): a file in one request, and what became of it."""

from datetime import date
from typing import Annotated, Any, BinaryIO, Literal, cast
from uuid import UUID

import orjson
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Field, File, Form, Query, Router, Schema, Status
from ninja.files import UploadedFile

from filiera.contacts.importing import commands, faults, fields, running
from filiera.contacts.importing.commands import Origin
from filiera.contacts.models import ImportRun
from filiera.identity.permissions import demand
from filiera.platform.api import ok
from filiera.platform.refusals import Invalid

router = Router(tags=["contacts"])
MANAGE = "manage_intake"
MOST_AT_ONCE = 2_000
"""A file of more rows is brought in by a job; the answer is 202 and says where to ask."""
MOST_FAULTS = 1_000


class Given(Schema):
    """What a file cannot say of itself. `mapping` and `policies` are JSON objects."""

    mapping: str = Field("", max_length=20_000, description="title of a column → field, “” leaves it out")
    policies: str = Field("", max_length=5_000, description="field → fill, overwrite or never")
    match: Literal["phone_email", "phone", "email"] = "phone_email"
    marketing_source_id: UUID | None = None
    basis: str = Field("", max_length=10, description="own or bought")
    collected_by: str = Field("", max_length=255)
    collected_on: date | None = None
    text: str = Field("", max_length=10_000, description="the words that the people agreed to")
    proof: str = Field("", max_length=2_000, description="where that can be seen")
    sample_checked: bool = False


@router.post("/leads/import", response={200: dict[str, Any], 202: dict[str, Any]})
def import_leads(
    request: HttpRequest,
    given: Form[Given],
    file: Annotated[UploadedFile | None, File()] = None,
    is_trial: Annotated[bool, Query(alias="dryRun")] = False,
) -> Status[dict[str, Any]]:
    """Bring in a CSV or XLSX file, or only say what would become of it with `dryRun=true`."""
    principal, now = demand(request, MANAGE), timezone.now()
    if file is None:
        raise Invalid(_("Scegli un file: CSV o foglio .xlsx."), details={"file": [_("Serve il file.")]})
    run = commands.take_file(cast("BinaryIO", file), name=file.name or "", user_id=principal.user.pk, now=now)
    commands.set_columns(
        run_id=run.id,
        mapping=_columns(run, given.mapping),
        match=given.match,
        policies={str(name): str(value) for name, value in _object(given.policies, "policies").items()},
        source_id=given.marketing_source_id,
        now=now,
    )
    origin = Origin(
        given.basis, given.collected_by, given.collected_on, given.text, given.proof, given.sample_checked
    )
    commands.set_origin(run_id=run.id, origin=origin, now=now)
    if (run.rows_total or 0) > MOST_AT_ONCE:
        commands.start_check(run_id=run.id, goes_on=not is_trial, now=now)
        return Status(202, ok(request, shape(commands.run_for(run.id))))
    commands.start_check(run_id=run.id, now=now, by_job=False)
    running.work(run.brand_id, run.id)
    run = commands.run_for(run.id)
    if run.trouble:
        raise Invalid(run.trouble)
    if not is_trial:
        commands.start(run_id=run.id, now=now, by_job=False)
        running.work(run.brand_id, run.id)
    told = shape(commands.run_for(run.id))
    if is_trial:
        commands.discard(run_id=run.id)
    return Status(200, ok(request, told))


@router.get("/leads/imports/{import_id}")
def read_import(request: HttpRequest, import_id: UUID) -> Any:
    """Return how far an import is and what became of its rows."""
    demand(request, MANAGE)
    return ok(request, shape(commands.run_for(import_id)))


@router.post("/leads/imports/{import_id}/undo", response={202: dict[str, Any]})
def undo_import(request: HttpRequest, import_id: UUID) -> Status[dict[str, Any]]:
    """Take an import back, in the background; 409 while it runs, after 30 days, or a second time."""
    principal = demand(request, MANAGE)
    run = commands.start_undo(run_id=import_id, user_id=principal.user.pk, now=timezone.now())
    return Status(202, ok(request, shape(run)))


def shape(run: ImportRun) -> dict[str, Any]:
    """Return an import as the API tells it. `skipped` are rows that change nobody by themselves."""
    counts = {
        name: run.counts.get(name, 0)
        for name in ("rows", "created", "updated", "unchanged", "repeated", "out")
    }
    return {
        "id": str(run.id),
        "status": run.status,
        "rows": counts["rows"],
        "created": counts["created"],
        "updated": counts["updated"],
        "skipped": counts["unchanged"] + counts["repeated"] + counts["out"],
        "errors": faults.told(run.id, most=MOST_FAULTS),
        "counts": counts,
        "undone": run.undo_counts,
        "trouble": run.trouble,
    }


def _columns(run: ImportRun, typed: str) -> dict[str, str]:
    """Return the mapping of a request, which names columns by their titles, over the one that the titles suggest."""
    wanted = _object(typed, "mapping")
    unknown = [title for title in wanted if title not in run.headers]
    strange = [str(name) for name in wanted.values() if name and name not in fields.FIELDS]
    if unknown or strange:
        raise Invalid(
            _("Alcune colonne non vanno bene."), details={"mapping": [*map(str, unknown), *strange][:20]}
        )
    mapping = dict(run.mapping)
    for place, title in enumerate(run.headers):
        if title in wanted:
            mapping[str(place)] = str(wanted[title])
    taken = {name: place for place, name in mapping.items() if run.headers[int(place)] in wanted}
    return {place: name for place, name in mapping.items() if taken.get(name, place) == place or not name}


def _object(typed: str, name: str) -> dict[Any, Any]:
    try:
        found = orjson.loads(typed) if typed.strip() else {}
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise Invalid(_("Alcuni campi non vanno bene."), details={name: [_("Serve un oggetto JSON.")]})
    return found
