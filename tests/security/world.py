"""One row of every table that has a brand, made from the models themselves, each text with the brand's mark."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.utils import timezone

from filiera.capture.models import MarketingSource, Source, Submission
from filiera.contacts.models import Contact, ContactPhone
from filiera.identity import sessions
from filiera.identity.models import Brand, Session, User, UserRole
from filiera.pipeline.models import Activity, DealClosing, LeadEvent, Stage
from filiera.platform import brand_scope
from filiera.platform.models import BrandForeignKey, BrandRow, Event, SystemLog
from filiera.routing.models import Agent, Connection, Decision, Process, RoutingState

YESTERDAY = timedelta(days=1)


@dataclass
class World:
    """A brand with a row of everything, the person who owns it, and the rows by model."""

    brand: Brand
    owner: User
    mark: str
    number: str
    rows: dict[type[models.Model], Any] = field(default_factory=dict)
    job_id: int = 0

    def id_of(self, model: type[models.Model]) -> str:
        return str(self.rows[model].pk)


def brand_models() -> list[type[BrandRow]]:
    """Return every model whose rows belong to a brand, those that are pointed at first."""
    waiting = [model for model in apps.get_models() if issubclass(model, BrandRow)]
    ordered: list[type[BrandRow]] = []
    while waiting:
        ready = next(model for model in waiting if _needs(model) <= {*ordered, model})
        ordered.append(ready)
        waiting.remove(ready)
    return ordered


def _needs(model: type[models.Model]) -> set[Any]:
    return {one.related_model for one in model._meta.fields if isinstance(one, BrandForeignKey)}


def fill(world: World) -> None:
    """Write the rows of a world. Texts that need no certain value are its mark, so that one shows wherever it leaks."""
    with brand_scope.use(world.brand.id):
        for model in brand_models():
            world.rows[model] = model.objects.order_by("pk").first() or _row(world, model)
        Stage.objects.filter(pk=world.rows[Stage].pk).update(name=f"Fase {world.mark}")
        for place, status in enumerate(("dead", "rejected", "duplicate")):
            _row(world, Submission, status=status, queue_state="done", request_id=f"{world.mark}{place}")
        RoutingState.objects.create(
            brand_id=world.brand.id, last_agent=world.rows[Agent], updated_at=timezone.now()
        )
    opened = sessions.open_session(user=world.owner, kind=Session.Kind.API, now=timezone.now())
    world.rows[Session] = opened.session
    world.rows[Authenticator] = Authenticator.objects.create(
        user=world.owner, type=Authenticator.Type.WEBAUTHN, data={"name": world.mark, "credential": {}}
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into procrastinate_jobs (queue_name, task_name, lock, status, args)"
            " values ('default', %s, %s, 'failed', %s) returning id",
            [f"compito.{world.mark}", world.mark, json.dumps({"brand_id": str(world.brand.id)})],
        )
        world.job_id = cursor.fetchone()[0]
    SystemLog.objects.create(
        level="ERROR",
        module=world.mark,
        message=f"Guasto {world.mark}",
        context={"brand_id": str(world.brand.id)},
        created_at=timezone.now() - YESTERDAY,
    )


def _row(world: World, model: type[BrandRow], **given: Any) -> Any:
    values = {}
    for one in model._meta.concrete_fields:
        if isinstance(one, BrandForeignKey) and one.related_model is not model:
            values[one.name] = world.rows[one.related_model]
        elif not one.primary_key and not one.null and one.name != "brand_id":
            value = _value(one, world)
            if value is not None:
                values[one.name] = value
    return model.objects.create(**{**values, **_particulars(world).get(model, {}), **given})


def _value(one: Any, world: World) -> Any:
    """Return a value for a column, or None where its default is right."""
    if one.many_to_one:
        return world.owner
    if one.choices or (one.has_default() and one.default not in ("", list, dict)):
        return one.get_default() if one.has_default() else one.choices[0][0]
    if isinstance(one, models.EmailField):
        return f"{world.mark}@posta.example"
    if isinstance(one, models.URLField):
        return f"https://{world.mark}.example"
    if isinstance(one, models.CharField | models.TextField):
        longest = one.max_length or 200
        return f"{world.mark} {one.name}"[:longest] if longest >= len(world.mark) else None
    if isinstance(one, models.DateTimeField):
        return timezone.now() - YESTERDAY
    if isinstance(one, models.UUIDField):
        return world.brand.id
    for kind, value in (
        (models.DateField, timezone.now().date() - YESTERDAY),
        (models.DecimalField, Decimal(1)),
        (models.BooleanField, True),
        (models.IntegerField, 1),
        (models.BinaryField, world.mark.encode()),
        (models.JSONField, None if one.has_default() else {"mark": world.mark}),
        (models.GenericIPAddressField, "203.0.113.9"),
    ):
        if isinstance(one, kind):
            return value
    assert isinstance(one, ArrayField), f"no value for {one}: say one here"
    return None


def _particulars(world: World) -> dict[Any, dict[str, Any]]:
    """What certain rows must say to be seen where rows like them are shown."""
    mark, at = world.mark, timezone.now() - YESTERDAY
    number = world.number
    return {
        MarketingSource: {"name": f"Origine {mark}", "aliases": [mark], "color": ""},
        Source: {
            "name": f"fonte-{mark}",
            "kind": "webhook",
            "api_key_hash": mark,
            "mapping": {mark: "notes"},
        },
        Submission: {
            "body": json.dumps({"nome": mark, "email": f"{mark}@posta.example"}).encode(),
            "content_type": "application/json",
            "headers": {"x-mark": mark},
            "response": {"mark": mark},
            "status": "processed",
            "queue_state": "done",
            "leased_by": "",
        },
        Contact: {
            "first_name": mark,
            "last_name": "Comune",
            "name_key": f"{mark} comune",
            "surname_key": f"comune {mark}",
            "email": f"{mark}@posta.example",
            "email_norm": f"{mark}@posta.example",
            "cap": "30035",
            "assigned_user": world.owner,
            "external_ids": {"ghl": mark},
        },
        ContactPhone: {
            "phone_raw": number,
            "phone_norm": number[3:],
            "country_code": "IT",
            "phone_e164": number,
            "is_match_key": True,
            "is_primary": True,
        },
        LeadEvent: {"excluded_reason": "", "payload": {"mark": mark}},
        Activity: {
            "type": "chiamata",
            "status": "planned",
            "scheduled_at": at,
            "direction": "",
            "outcome": "",
            "user": world.owner,
        },
        Event: {"kind": "lead.created", "data": {"mark": mark}},
        DealClosing: {"reopened_at": at},
        Decision: {"rule": "round_robin", "candidates": [], "state_before": {}, "state_after": {}},
        Agent: {"name": f"Agente {mark}", "provider_agent_id": mark, "skills": [mark]},
        Connection: {"webhook_token_hash": "0" * 64},
        Process: {
            "number": f"lead_{mark}",
            "lead": {"id": mark, "name": mark, "phone": number},
            "number_e164": number,
            "state": "done",
            "success": True,
        },
    }


@contextmanager
def undone() -> Iterator[None]:
    """Take back whatever is written inside."""
    from django.db import transaction

    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def tables_with_a_brand() -> list[str]:
    """Return the tables with a column `brand_id`, from the database's own catalogue."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select c.table_name from information_schema.columns c join information_schema.tables t"
            " using (table_schema, table_name) where c.table_schema = 'public' and t.table_type = 'BASE TABLE'"
            " and c.column_name = 'brand_id' order by 1"
        )
        return [name for (name,) in cursor.fetchall()]


def digest(world: World) -> tuple[Any, ...]:
    """Return a fingerprint of all rows of a brand."""
    columns = ", ".join(
        f"(select md5(string_agg(t::text, '|' order by t::text)) from {table} t)"
        for table in tables_with_a_brand()
    )
    with brand_scope.use(world.brand.id), connection.cursor() as cursor:
        cursor.execute(f"select {columns}")
        rows = cursor.fetchone()
        cursor.execute("select status, attempts from procrastinate_jobs where id = %s", [world.job_id])
        return (*rows, cursor.fetchone())


def role_of(user: User, brand: Brand, role: str) -> User:
    """Give a person a role in a brand."""
    with brand_scope.use(brand.id):
        UserRole.objects.create(user=user, role=role)
    return user
