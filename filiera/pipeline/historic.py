"""The paths older than the versioned API, with their Italian keys and their own shapes (platform.md 3.3).

Nothing is cached, so `fromCache` is false and a read never shows what a write has replaced (CON-15, CON-34).
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from uuid import UUID

import orjson
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from filiera.capture.models import MarketingSource
from filiera.contacts import merging, tags
from filiera.contacts.duplicates import queries as duplicates
from filiera.identity.permissions import demand
from filiera.pipeline import api, commands, queries, shapes
from filiera.pipeline.api import ACTIVITIES, EDIT, VIEW, aware, storable
from filiera.pipeline.models import Activity
from filiera.pipeline.queries import ActivityFilter, LeadFilter
from filiera.platform.api import MOST_PER_PAGE, PER_PAGE, historic_failure, moved, paginated
from filiera.platform.refusals import Invalid, Missing, Moved, Refused

P = ParamSpec("P")
Answer = dict[str, Any]
View = Callable[..., HttpResponse]

MOST_LOADED = 10_000
"""`loadAll` gives everything up to here; a longer list is read page by page."""

_CHUNK = 500


def historic(**handlers: Callable[Concatenate[HttpRequest, P], Answer]) -> View:
    """Serve one path: a handler per method, refusals and missing rights in the older shape."""

    @login_not_required  # a script gets 401 in JSON, not the sign-in page
    def view(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        handler = handlers.get((request.method or "").lower())
        if handler is None:
            return historic_failure(code="METHOD_NOT_ALLOWED", message=_("Metodo non ammesso."), status=405)
        if getattr(request, "principal", None) is None:
            return historic_failure(code="UNAUTHENTICATED", message=_("Serve l’accesso."), status=401)
        try:
            answer = handler(request, *args, **kwargs)
        except Moved as refusal:
            return moved(request, refusal)
        except Refused as refusal:
            return historic_failure(
                code=refusal.code, message=str(refusal), status=refusal.status, details=refusal.details
            )
        return HttpResponse(orjson.dumps(answer, default=str), content_type="application/json")

    return wraps(next(iter(handlers.values())))(view)


# Leads


def list_leads(request: HttpRequest) -> Answer:
    """GET /api/leads?loadAll=true&stato=&fonte=&tag=&q=&page=&per_page="""
    demand(request, VIEW)
    asked = request.GET
    wanted = _lead_filter(asked)
    if asked.get("loadAll", "").lower() in ("true", "1"):
        return {"records": _all_records(wanted), "fromCache": False}
    page, per_page = _page(asked)
    if wanted is None:
        rows, total = [], 0
    else:
        rows = queries.lead_page_at(wanted, offset=(page - 1) * per_page, limit=per_page)
        total = queries.count_leads(wanted)
    shown = paginated(request, [], total=total, page=page, per_page=per_page)
    return {
        "records": [shapes.historic_lead(row) for row in rows],
        "fromCache": False,
        "pagination": shown["pagination"],
    }


def list_duplicates(request: HttpRequest) -> Answer:
    """GET /api/leads/duplicates?loadAll=true&strictNames="""
    demand(request, VIEW)
    by_name = request.GET.get("strictNames", "true").lower() not in ("false", "0")
    clusters, done = duplicates.clusters(by_name=by_name)
    if request.GET.get("loadAll", "").lower() not in ("true", "1"):
        page, per_page = _page(request.GET)
        clusters = clusters[(page - 1) * per_page : page * per_page]
    if sum(map(len, clusters)) > MOST_LOADED:
        raise Invalid(
            _("Sono più di 10.000: chiedili a pagine."), details={"loadAll": [_("Usa page e per_page.")]}
        )
    answer: Answer = {"clusters": shapes.in_clusters(clusters, shapes.historic_lead)}
    return answer | {"searchedAt": done.finished_at} if done else answer


def _all_records(wanted: LeadFilter | None) -> list[Answer]:
    if wanted is None:
        return []
    if queries.count_leads(wanted, most=MOST_LOADED) > MOST_LOADED:
        raise Invalid(
            _("Sono più di 10.000: chiedili a pagine."), details={"loadAll": [_("Usa page e per_page.")]}
        )
    records: list[Answer] = []
    page = queries.lead_page(wanted, limit=_CHUNK)
    records += map(shapes.historic_lead, page.rows)
    while page.next is not None:
        page = queries.lead_page(wanted, limit=_CHUNK, after=page.next)
        records += map(shapes.historic_lead, page.rows)
    return records


def _lead_filter(asked: Mapping[str, str]) -> LeadFilter | None:
    """Return the filter that is asked for, or None when nobody can match: an unknown source, or a tag."""
    states: tuple[str, ...] = ()
    if word := asked.get("stato", "").strip():
        state = shapes.state_of(word)
        if state is None:
            raise Invalid(
                _("Stato sconosciuto."), details={"stato": [", ".join(shapes.STATE_LABELS.values())]}
            )
        states = (state,)
    sources: tuple[UUID, ...] = ()
    if word := storable(asked.get("fonte", "")).strip():
        source_id = _source_id(word)
        if source_id is None:
            return None
        sources = (source_id,)
    tag_ids: tuple[UUID, ...] = ()
    if word := storable(asked.get("tag", "")).strip():
        tag_ids = tuple(sorted(tags.named(word)))
        if not tag_ids:
            return None
    text = storable(asked.get("q", ""))[:200]
    return LeadFilter(states=states, marketing_source_ids=sources, text=text, tag_ids=tag_ids)


def read_lead(request: HttpRequest, lead_id: str) -> Answer:
    """GET /api/leads/{id}"""
    demand(request, VIEW)
    return {"success": True, "data": shapes.historic_record(queries.lead_record(_id(lead_id)))}


_KEYS = {
    "Nome": "first_name",
    "Cognome": "last_name",
    "Email": "email",
    "Telefono": "phone",
    "Città": "city",
    "CAP": "cap",
    "Stato": "status",
    "Fonte": "marketing_source_id",
    "Note": "notes",
}
_ENGLISH = {**{name: name for name in _KEYS.values()}, "company_name": "company_name", "age": "age"}


def edit_lead(request: HttpRequest, lead_id: str) -> Answer:
    """PATCH /api/leads/{id}: the Italian keys or their English names."""
    principal = demand(request, EDIT)
    changes: Answer = {}
    wrong: dict[str, list[str]] = {}
    for key, value in _body(request).items():
        name = _KEYS.get(key) or _ENGLISH.get(key)
        if name is None:
            wrong[key] = [_("Non si cambia qui.")]
        elif name == "status":
            changes[name] = shapes.state_of(str(value or ""))
            if changes[name] is None:
                wrong[key] = [", ".join(shapes.STATE_LABELS.values())]
        elif name == "marketing_source_id":
            changes[name] = _source_id(_first(value)) if value else None
            if value and changes[name] is None:
                wrong[key] = [_("Provenienza sconosciuta")]
        elif name == "age":
            changes[name] = value
            if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
                wrong[key] = [_("L’età va da 0 a 120.")]
        elif value is not None and not isinstance(value, str):
            wrong[key] = [_("Serve un testo.")]
        else:
            changes[name] = value
    if wrong:
        raise Invalid(_("Alcuni campi non vanno bene."), details=wrong)
    api.change_lead(principal, _id(lead_id), changes)
    return {"success": True, "data": shapes.historic_record(queries.lead_record(_id(lead_id)))}


def delete_lead(request: HttpRequest, lead_id: str) -> Answer:
    """DELETE /api/leads/{id}: into the bin."""
    principal = demand(request, EDIT)
    commands.delete_leads(contact_ids=[_id(lead_id)], now=timezone.now(), user_id=principal.user.id)
    return {"success": True, "data": {"id": str(lead_id)}}


def merge_leads(request: HttpRequest) -> Answer:
    """POST /api/leads/merge: `{"leadIds": [...]}`, two to fifty; the oldest lives on."""
    principal = demand(request, EDIT)
    ids = _body(request).get("leadIds")
    if not isinstance(ids, list):
        raise Invalid(_("Alcuni campi non vanno bene."), details={"leadIds": [_("Serve un elenco.")]})
    record = merging.merge(
        contact_ids=[_id(one) for one in ids], now=timezone.now(), user_id=principal.user.id
    )
    return {"success": True, "data": merging.told(record)}


def read_timeline(request: HttpRequest, lead_id: str) -> Answer:
    """GET /api/leads/{id}/timeline"""
    demand(request, VIEW)
    return {"success": True, "data": api.lead_thread(_id(lead_id), 50)}


# Activities


def list_activities(request: HttpRequest) -> Answer:
    """GET /api/activities?leadId=&from=&to="""
    demand(request, VIEW)
    asked = request.GET
    wanted = ActivityFilter(
        contact_id=_id(asked["leadId"]) if asked.get("leadId") else None,
        starts_at=_moment(asked.get("from", ""), "from"),
        ends_at=_moment(asked.get("to", ""), "to"),
    )
    return {"success": True, "data": [shapes.historic_activity(one) for one in queries.activities(wanted)]}


def create_activity(request: HttpRequest) -> Answer:
    """POST /api/activities: {"tipo", "nota", "leadId", "data"?, "syncGoogleCalendar"?} (PIP-21).

    A `data` of the future plans the activity; one of the past is when it was done.
    """
    principal = demand(request, ACTIVITIES)
    given = _body(request)
    kind = shapes.type_of(str(given.get("tipo") or ""))
    if kind is None:
        known = _("Scegli tra: %(types)s.") % {"types": ", ".join(shapes.TYPE_LABELS.values())}
        raise Invalid(_("Tipo di attività sconosciuto."), details={"tipo": [known]})
    if not given.get("leadId"):
        raise Invalid(_("Alcuni campi non vanno bene."), details={"leadId": [_("Campo obbligatorio")]})
    note = given.get("nota")
    moment = _moment(given.get("data") or "", "data")
    made = api.record(
        principal,
        contact_id=_id(given["leadId"]),
        type=kind,
        note=storable(note)[:20_000] if isinstance(note, str) else "",
        sync_google_calendar=given.get("syncGoogleCalendar") is True,
        **_when(moment),
    )
    return {
        "success": True,
        "data": shapes.historic_activity(made) | {"leadState": shapes.STATE_LABELS[made.contact.status]},
    }


def edit_activity(request: HttpRequest, activity_id: str) -> Answer:
    """PATCH /api/activities/{id}: `tipo`, `nota`, `data`."""
    demand(request, ACTIVITIES)
    given = _body(request)
    changes: Answer = {}
    if "tipo" in given:
        changes["type"] = shapes.type_of(str(given["tipo"] or "")) or str(given["tipo"])
    if isinstance(given.get("nota"), str):
        changes["note"] = storable(given["nota"])[:20_000]
    if "data" in given:
        changes["scheduled_at"] = _moment(given["data"] or "", "data")
    changed = commands.edit_activity(activity_id=_id(activity_id), changes=changes, now=timezone.now())
    return {
        "success": True,
        "data": shapes.historic_activity(changed)
        | {"leadState": shapes.STATE_LABELS[changed.contact.status]},
    }


def delete_activity(request: HttpRequest, activity_id: str) -> Answer:
    """DELETE /api/activities/{id}"""
    demand(request, ACTIVITIES)
    commands.cancel_activity(activity_id=_id(activity_id), now=timezone.now())
    return {"success": True, "data": {"id": str(activity_id)}}


def _when(moment: datetime | None) -> Answer:
    if moment is None:
        return {}
    if moment > timezone.now():
        return {"status": Activity.Status.PLANNED, "scheduled_at": moment}
    return {"occurred_at": moment, "scheduled_at": moment}


# What comes from outside


def _body(request: HttpRequest) -> Answer:
    try:
        given = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise Invalid(_("Il messaggio non è JSON.")) from error
    if not isinstance(given, dict):
        raise Invalid(_("Il messaggio deve essere un oggetto."))
    return given


def _id(value: Any) -> UUID:
    """Return an id; what is none cannot be there, and is missing like any other (404)."""
    try:
        return UUID(str(value))
    except ValueError as error:
        raise Missing(_("Questo lead non c’è, o non è più qui.")) from error


def _moment(value: Any, field: str) -> datetime | None:
    """Return a moment, or local midnight of a day, in the brand's zone unless written with one."""
    if value in (None, ""):
        return None
    try:
        moment = parse_datetime(str(value))
        day = parse_date(str(value)) if moment is None else None
    except ValueError:
        moment = day = None
    if moment is None and day is not None:
        moment = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the zone follows
    if moment is None:
        raise Invalid(
            _("Alcuni campi non vanno bene."),
            details={field: [_("Scrivi data e ora così: 2026-01-30T10:00.")]},
        )
    try:
        return aware(moment)
    except OverflowError as error:
        raise Invalid(
            _("Alcuni campi non vanno bene."), details={field: [_("Data fuori dal calendario.")]}
        ) from error


def _page(asked: Mapping[str, str]) -> tuple[int, int]:
    numbers: list[int] = []
    for name, fallback, most in (("page", 1, api.MOST_PAGES), ("per_page", PER_PAGE, MOST_PER_PAGE)):
        text = asked.get(name, "")
        if text and not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
            raise Invalid(
                _("Alcuni campi non vanno bene."),
                details={name: [_("Un numero da 1 a %(most)s.") % {"most": most}]},
            )
        numbers.append(int(text) if text else fallback)
    return numbers[0], numbers[1]


def _first(value: Any) -> str:
    """Return the text of a Fonte, which is sent as a text or as a list of one."""
    chosen = value[0] if isinstance(value, list) and value else value
    return storable(chosen) if isinstance(chosen, str) else ""


def _source_id(word: str) -> UUID | None:
    """Return the marketing source that an id or a name means, or None."""
    try:
        rows = MarketingSource.objects.filter(id=UUID(word))
    except ValueError:
        rows = MarketingSource.objects.filter(name=word)
    return rows.values_list("id", flat=True).first()
