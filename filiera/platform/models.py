"""Tables without a business word, and the base of every table that has a brand."""

from typing import Any

from django.db import models

from filiera.platform import brand_scope
from filiera.platform.ids import new_id


class BrandForeignKey(models.ForeignKey[Any, Any]):
    """Point to a row of the same brand.

    The constraint is (brand_id, x_id), made by `BrandIsolation`: a plain one would let a row of another brand through,
    because the server checks references without row security.
    """

    def __init__(self, to: Any, on_delete: Any = models.PROTECT, **kwargs: Any) -> None:
        kwargs["db_constraint"] = False
        kwargs.setdefault("related_name", "+")
        kwargs.setdefault("db_index", False)
        super().__init__(to, on_delete, **kwargs)


class BrandRow(models.Model):
    """A row that belongs to one brand; the brand of the open scope unless given."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    brand_id = models.UUIDField(default=brand_scope.current, editable=False)

    class Meta:
        abstract = True


class Event(BrandRow):
    """Something that happened, named noun.past, written in the transaction that made it happen."""

    kind = models.CharField(max_length=60)
    subject_id = models.UUIDField()
    at = models.DateTimeField()
    data = models.JSONField(default=dict)
    handled_at = models.DateTimeField(null=True)
    last_error = models.TextField(default="")

    class Meta:
        indexes = [
            models.Index(fields=["brand_id", "at"], name="event_by_time"),
            models.Index(fields=["brand_id", "subject_id"], name="event_by_subject"),
            models.Index(
                fields=["brand_id", "at"], name="event_waiting", condition=models.Q(handled_at__isnull=True)
            ),
        ]


class Received(BrandRow):
    """A provider's message, kept raw before anything is read from it; unique by provider and external id."""

    provider = models.CharField(max_length=40)
    external_id = models.CharField(max_length=255)
    headers = models.JSONField(default=dict)
    body = models.BinaryField()
    received_at = models.DateTimeField()
    handled_at = models.DateTimeField(null=True)
    last_error = models.TextField(default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "provider", "external_id"], name="received_once"),
        ]
        indexes = [
            models.Index(
                fields=["brand_id", "received_at"],
                name="received_waiting",
                condition=models.Q(handled_at__isnull=True),
            )
        ]


class EndpointHealth(models.Model):
    """The circuit breaker of one endpoint outside (connect CNN-06). No brand: an account may serve several."""

    class State(models.TextChoices):
        CLOSED = "closed"
        OPEN = "open"
        HALF_OPEN = "half_open"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    circuit = models.CharField(max_length=200, unique=True)
    state = models.CharField(max_length=10, choices=State, default=State.CLOSED)
    failure_count = models.IntegerField(default=0)
    success_count = models.IntegerField(default=0)
    last_failure_at = models.DateTimeField(null=True)
    last_success_at = models.DateTimeField(null=True)
    open_until = models.DateTimeField(null=True)
    probe_until = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(auto_now=True)


class RequestBudget(models.Model):
    """The requests made to one provider account in the last minute, shared by all processes (ROU-69)."""

    account = models.CharField(primary_key=True, max_length=200)
    granted_at = models.JSONField(default=list)
    blocked_until = models.DateTimeField(null=True)


class SystemLog(models.Model):
    """Errors and above, copied from the log stream for the system page (PLT-10)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    level = models.CharField(max_length=10)
    module = models.CharField(max_length=100)
    message = models.TextField()
    stack_trace = models.TextField(default="")
    context = models.JSONField(default=dict)
    user_id = models.UUIDField(null=True)
    ip_address = models.GenericIPAddressField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["level", "created_at"], name="idx_system_logs_level"),
            models.Index(fields=["module", "created_at"], name="idx_system_logs_module"),
            models.Index(fields=["created_at"], name="idx_system_logs_created"),
        ]


class JobRun(models.Model):
    """One run of a periodic job or one heartbeat of a process, by name."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=100)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    status = models.CharField(max_length=20)
    detail = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["name", "-started_at"], name="job_run_latest")]


class SiteSetting(BrandRow):
    """A setting that differs per brand. Secrets live in the vault; a setting only refers to them (PLT-26)."""

    setting_key = models.CharField(max_length=100)
    setting_value = models.JSONField()
    description = models.TextField(default="")
    updated_by = models.UUIDField(null=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand_id", "setting_key"], name="setting_once")]
