"""Where leads come from, and every request that came, raw."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from filiera.platform.models import BrandForeignKey, BrandRow


class MarketingSource(BrandRow):
    """The commercial origin of a lead (Provenienza, Fonte): what marketing money is spent on."""

    name = models.CharField(max_length=100)
    aliases = ArrayField(models.TextField(), default=list, blank=True)
    color = models.CharField(max_length=20, default="", blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand_id", "name"], name="marketing_source_once")]

    def __str__(self) -> str:
        return self.name


class Source(BrandRow):
    """A door through which leads come in (webhook_sources of the ledger). Its name is unique in the installation."""

    class AuthMode(models.TextChoices):
        API_KEY = "api_key", _("Chiave nell’intestazione")
        PATH_TOKEN = "path_token", _("Gettone nell’indirizzo")
        BODY_KEY = "body_key", _("Chiave nel messaggio")
        SIGNATURE = "signature", _("Firma")
        PUBLIC = "public", _("Modulo pubblico")

    name = models.CharField(max_length=100, unique=True)
    label = models.CharField(max_length=100, default="", blank=True)
    kind = models.CharField(max_length=40)
    auth_mode = models.CharField(max_length=12, choices=AuthMode, default=AuthMode.API_KEY)
    api_key_hash = models.CharField(max_length=64, null=True, blank=True)
    api_key_last4 = models.CharField(max_length=4, default="", blank=True)
    # Encrypted as the vault does: a signature cannot be verified from a hash.
    signing_secret = models.BinaryField(null=True, blank=True)
    rate_limit_per_min = models.IntegerField(default=60)
    mapping = models.JSONField(default=dict, blank=True)
    # Rows of the form's selects until the catalogue exists (CAP-05), texts and look of a landing page.
    form = models.JSONField(default=dict, blank=True)
    required_fields = ArrayField(models.TextField(), default=list, blank=True)
    allowed_origins = ArrayField(models.TextField(), default=list, blank=True)
    marketing_source = BrandForeignKey(MarketingSource, null=True, blank=True)
    auto_call = models.BooleanField(default=False)
    # A list that was bought (GD-07): supplier, bought_on, proof, checked_by, checked_at, is_proven. {} is no such list.
    bought_list = models.JSONField(default=dict, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class RateLimitBucket(BrandRow):
    """The token bucket of a source (CAP-68 … CAP-71)."""

    source = BrandForeignKey(Source, on_delete=models.CASCADE)
    tokens = models.IntegerField()
    max_tokens = models.IntegerField()
    refill_rate = models.IntegerField()
    last_refill_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand_id", "source"], name="bucket_once")]


class Submission(BrandRow):
    """A request as it came: idempotency record, inbound log and queue message in one row (CAP-96)."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("In coda")
        PROCESSED = "processed", _("Preso in carico")
        DUPLICATE = "duplicate", _("Già arrivato")
        REJECTED = "rejected", _("Non leggibile")
        DEAD = "dead", _("Da recuperare")
        DISCARDED = "discarded", _("Scartato")

    class Queue(models.TextChoices):
        READY = "ready"
        LEASED = "leased"
        DONE = "done"
        DEAD = "dead"

    source = BrandForeignKey(Source)
    request_id = models.CharField(max_length=255)
    lead_id = models.CharField(max_length=80)
    method = models.CharField(max_length=10)
    path = models.TextField()
    headers = models.JSONField(default=dict)
    content_type = models.CharField(max_length=255, default="")
    body = models.BinaryField()
    body_hash = models.CharField(max_length=64)
    # Names the lead where the sender gives no id for good: a second one within the adapter's window is a duplicate.
    dedupe_key = models.CharField(max_length=80, default="")
    # The body holds ids only (Meta): what the provider tells about them is fetched first, and kept beside it.
    needs_lookup = models.BooleanField(default=False)
    retrieved = models.JSONField(null=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    http_status = models.IntegerField(default=200)
    response = models.JSONField(null=True)
    error_code = models.CharField(max_length=60, default="")
    ip_address = models.GenericIPAddressField(null=True)
    user_agent = models.TextField(default="")
    received_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True)
    replayed_from = BrandForeignKey("self", null=True)

    queue_state = models.CharField(max_length=6, choices=Queue, default=Queue.READY)
    attempts = models.IntegerField(default=0)
    max_retries = models.IntegerField(default=3)
    visible_at = models.DateTimeField()
    leased_by = models.TextField(default="")
    leased_until = models.DateTimeField(null=True)
    last_error = models.TextField(default="")
    dead_reason = models.TextField(default="")
    dead_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "source", "request_id"], name="submission_once"),
        ]
        indexes = [
            models.Index(fields=["brand_id", "-received_at", "-id"], name="submission_log"),
            models.Index(
                fields=["brand_id", "status", "-received_at"],
                name="submission_troubled",
                condition=~models.Q(status__in=["queued", "processed"]),
            ),
            models.Index(
                fields=["brand_id", "source", "dedupe_key", "received_at"],
                name="submission_dedupe",
                condition=~models.Q(dedupe_key=""),
            ),
            # The queue is read across brands, by one function: the only index that does not start with the brand.
            models.Index(
                fields=["queue_state", "needs_lookup", "visible_at", "id"],
                name="submission_queue",
                condition=models.Q(queue_state__in=["ready", "leased"]),
            ),
        ]
