"""Who may be rung, who was chosen and why, and every call that was asked for."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from filiera.capture.models import Submission
from filiera.contacts.models import Contact
from filiera.identity.models import User, VaultKey
from filiera.pipeline.models import LeadEvent
from filiera.platform.models import BrandForeignKey, BrandRow, EndpointHealth


class Connection(BrandRow):
    """A brand's account at a telephony provider. Its keys are in the vault."""

    provider = models.CharField(max_length=50, default="cloudtalk")
    account = models.CharField(max_length=200)
    base_url = models.URLField(max_length=500)
    # Where the detail of a finished call is read; without it a call that nobody talked in counts as not picked up.
    analytics_url = models.URLField(max_length=500, default="", blank=True)
    vault_key = BrandForeignKey(VaultKey, null=True, blank=True)
    webhook_token_hash = models.CharField(max_length=64, default="", blank=True)
    circuit = models.ForeignKey(
        EndpointHealth, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    requests_per_minute = models.IntegerField(default=50)
    is_enabled = models.BooleanField(default=True)
    disabled_reason = models.TextField(default="", blank=True)
    is_dry_run = models.BooleanField(default=False)
    agents_polled_at = models.DateTimeField(null=True, blank=True)
    last_ok_at = models.DateTimeField(null=True, blank=True)
    # That this provider originates Italian numbers inside Italy (GD-13): who looked, when, and what they saw.
    origin_checked_at = models.DateTimeField(null=True, blank=True)
    origin_checked_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    origin_note = models.TextField(default="", db_default="", blank=True)
    # One process at a time places the brand's calls; this is its lease.
    placing_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand_id", "provider"], name="connection_once")]


class Agent(BrandRow):
    """A person who is rung. Order of the sequence: sort_order, then provider_agent_id (ROU-47)."""

    class Status(models.TextChoices):
        ONLINE = "online", _("Disponibile")
        BUSY = "busy", _("Al telefono")
        OFFLINE = "offline", _("Non disponibile")

    provider = models.CharField(max_length=50, default="cloudtalk")
    provider_agent_id = models.CharField(max_length=64)
    name = models.CharField(max_length=255)
    extension = models.IntegerField(null=True, blank=True)
    user = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    is_enabled = models.BooleanField(default=True)
    on_leave_until = models.DateField(null=True, blank=True)  # the last day away
    sort_order = models.IntegerField(default=0)
    weight = models.IntegerField(default=1)
    skills = ArrayField(models.TextField(), default=list, blank=True)
    schedule = models.JSONField(null=True, blank=True)
    max_concurrent_calls = models.IntegerField(default=1)
    last_status = models.CharField(max_length=7, choices=Status, default=Status.OFFLINE)
    provider_status = models.CharField(max_length=40, default="", blank=True)
    status_outbound = models.BooleanField(default=True)
    is_daily_limit_ok = models.BooleanField(default=True)
    last_status_at = models.DateTimeField(null=True, blank=True)
    last_available_at = models.DateTimeField(
        null=True, blank=True
    )  # the moment they last stopped being online
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "provider", "provider_agent_id"], name="agent_once"),
            models.CheckConstraint(condition=models.Q(weight__range=(1, 1000)), name="agent_weight_sane"),
            models.CheckConstraint(
                condition=models.Q(max_concurrent_calls__gte=1), name="agent_takes_a_call"
            ),
        ]
        indexes = [
            models.Index(fields=["brand_id", "sort_order", "provider_agent_id"], name="agent_sequence")
        ]

    def __str__(self) -> str:
        return self.name


class RoutingState(models.Model):
    """The state of a brand's distribution, one row, read and advanced under its lock (ROU-06)."""

    brand_id = models.UUIDField(primary_key=True)
    policy = models.CharField(max_length=20, default="round_robin")
    rule_version = models.IntegerField(default=1)
    rule_since = models.DateTimeField(null=True, blank=True)
    rule_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    last_agent = BrandForeignKey(Agent, null=True, blank=True)
    last_sort_order = models.IntegerField(null=True, blank=True)
    credits = models.JSONField(default=dict)
    last_assigned_at = models.DateTimeField(null=True, blank=True)
    total_assigned = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField()
    reset_at = models.DateTimeField(null=True, blank=True)
    reset_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    # What a reset threw away, so that it can be taken back for ten minutes.
    before_reset = models.JSONField(null=True, blank=True)


class Process(BrandRow):
    """The way of one lead to a phone (routing_processes). Waiting ones are the call queue."""

    class State(models.TextChoices):
        WAITING = "waiting", _("In attesa")
        CALLING = "calling", _("In chiamata")
        DONE = "done", _("Conclusa")

    class Basis(models.TextChoices):
        REQUEST = "request", _("risponde a una richiesta")
        PURCHASE = "purchase", _("riguarda un acquisto")
        PROMOTION = "promotion", _("promozione permessa")

    number = models.CharField(max_length=50)
    contact = BrandForeignKey(Contact)
    lead_event = BrandForeignKey(LeadEvent, null=True)
    submission = BrandForeignKey(Submission, null=True)
    type = models.CharField(max_length=30, default="LEAD_PROCESS")
    # On what the call rests (GD-04); what the gate said when somebody asked for it again.
    basis = models.CharField(max_length=9, choices=Basis, default="request", db_default="request")
    state = models.CharField(max_length=7, choices=State, default=State.WAITING)
    # When somebody has to look at it again; while it is being placed, when the lease of whoever does it lapses.
    due_at = models.DateTimeField(null=True)
    # A round is up to three tries; a delayed re-try (60 s, 5 min, 15 min) or a person starts the next one.
    round = models.IntegerField(default=0)
    delays_used = models.IntegerField(default=0)
    attempts = models.IntegerField(default=0)
    success = models.BooleanField(null=True)
    final_status = models.CharField(max_length=60, default="")
    processing_time_ms = models.IntegerField(null=True)
    number_e164 = models.CharField(max_length=17, default="")
    lead = models.JSONField(default=dict)
    steps = models.JSONField(default=dict)
    agent = BrandForeignKey(Agent, null=True)
    error_code = models.CharField(max_length=60, default="")
    error_message = models.TextField(default="")
    day_of_week = models.SmallIntegerField()
    hour_of_day = models.SmallIntegerField()
    received_at = models.DateTimeField()
    created_at = models.DateTimeField()
    # The first outcome (a call accepted, or why not), and the last one.
    answered_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "number"], name="process_number_once"),
            models.UniqueConstraint(fields=["brand_id", "lead_event"], name="process_once_per_lead"),
        ]
        indexes = [
            models.Index(
                fields=["brand_id", "due_at"], name="process_due", condition=~models.Q(state="done")
            ),
            models.Index(fields=["brand_id", "-created_at", "-id"], name="process_latest"),
            models.Index(fields=["brand_id", "contact", "-created_at"], name="process_by_contact"),
        ]


class Decision(BrandRow):
    """One choice of an agent, with everything it was made from: replaying the rows gives the same agents (ROU-71)."""

    # Order of the decisions of a brand, for the replay.
    sequence = models.BigIntegerField()
    process = BrandForeignKey(Process, null=True)
    contact = BrandForeignKey(Contact)
    lead_event = BrandForeignKey(LeadEvent, null=True)
    rule = models.CharField(max_length=20)
    rule_version = models.IntegerField()
    candidates = models.JSONField()
    state_before = models.JSONField()
    state_after = models.JSONField()
    agent = BrandForeignKey(Agent, null=True)
    reason = models.CharField(max_length=60)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand_id", "sequence"], name="decision_sequence")]
        indexes = [
            models.Index(fields=["brand_id", "contact", "-created_at"], name="decision_by_contact"),
            models.Index(fields=["brand_id", "agent", "created_at"], name="decision_by_agent"),
        ]


class CallAttempt(BrandRow):
    """A call that was asked for. Stored before the request leaves; at most one of a process is live (ROU-71)."""

    class State(models.TextChoices):
        REQUESTED = "requested", _("richiesta")
        ACCEPTED = "accepted", _("accettata")
        REFUSED = "refused", _("rifiutata")
        UNKNOWN = "unknown", _("da verificare")
        RINGING = "ringing", _("squilla")
        ANSWERED = "answered", _("risposta")
        MISSED = "missed", _("senza risposta")
        FAILED = "failed", _("non riuscita")

    # With no `ended_at`, these have a phone ringing or in somebody's hand, or may have.
    LIVE = (State.REQUESTED, State.ACCEPTED, State.UNKNOWN, State.RINGING, State.ANSWERED)

    process = BrandForeignKey(Process)
    decision = BrandForeignKey(Decision, null=True)
    agent = BrandForeignKey(Agent)
    number_e164 = models.CharField(max_length=17)
    # The round of the process it belongs to: a later round may ring the same agent again.
    round = models.IntegerField(default=0)
    requested_at = models.DateTimeField()
    http_status = models.IntegerField(null=True)
    state = models.CharField(max_length=9, choices=State, default=State.REQUESTED)
    error_code = models.CharField(max_length=60, default="")
    error_message = models.TextField(default="")
    # When to ask the provider what became of it, unless its events say so before.
    check_at = models.DateTimeField(null=True)
    call_uuid = models.CharField(max_length=64, null=True)
    call_id = models.CharField(max_length=64, null=True)
    agent_answered_at = models.DateTimeField(null=True)
    talking_seconds = models.IntegerField(null=True)
    recording_url = models.URLField(max_length=500, default="")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand_id", "process"],
                name="attempt_one_live",
                condition=models.Q(
                    state__in=["requested", "accepted", "unknown", "ringing", "answered"],
                    ended_at__isnull=True,
                ),
            ),
            models.UniqueConstraint(fields=["brand_id", "call_uuid"], name="attempt_call_uuid_once"),
            models.UniqueConstraint(fields=["brand_id", "call_id"], name="attempt_call_id_once"),
        ]
        indexes = [
            models.Index(fields=["brand_id", "number_e164", "-requested_at"], name="attempt_by_number"),
            models.Index(fields=["brand_id", "process", "requested_at"], name="attempt_by_process"),
            models.Index(fields=["brand_id", "agent", "-requested_at"], name="attempt_by_agent"),
            models.Index(
                fields=["brand_id", "check_at"],
                name="attempt_to_check",
                condition=models.Q(check_at__isnull=False),
            ),
            models.Index(
                fields=["brand_id", "agent"],
                name="attempt_live",
                condition=models.Q(
                    state__in=["requested", "accepted", "unknown", "ringing", "answered"],
                    ended_at__isnull=True,
                ),
            ),
        ]


class ProviderContact(BrandRow):
    """Which contact of the provider has a number: it has no search by phone (ROU-69)."""

    provider = models.CharField(max_length=50, default="cloudtalk")
    number_e164 = models.CharField(max_length=17)
    provider_contact_id = models.CharField(max_length=64)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand_id", "provider", "number_e164"], name="provider_contact_once"
            )
        ]


class DailyMetrics(BrandRow):
    """The day's figures of routing.md 4.5; can be rebuilt from the processes."""

    date = models.DateField()
    content = models.JSONField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand_id", "date"], name="daily_metrics_once")]


class Alert(BrandRow):
    """A condition of routing.md 4.6 that holds, told once until it clears."""

    condition = models.CharField(max_length=60)
    detail = models.JSONField(default=dict)
    opened_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand_id", "condition"],
                name="alert_once",
                condition=models.Q(cleared_at__isnull=True),
            )
        ]


class RegisterCheck(BrandRow):
    """A check of numbers against the public opposition register, as its result file says (GD-10). Only added to."""

    checked_at = models.DateTimeField()
    file_hash = models.CharField(max_length=64)
    numbers = models.IntegerField()
    listed = models.IntegerField()
    imported_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "file_hash"], name="register_file_once"),
        ]
        indexes = [models.Index(fields=["brand_id", "-checked_at"], name="register_check_latest")]


class RegisterResult(BrandRow):
    """What a check said about a number, which is kept as the keyed hash of the suppressions. Only added to.

    `listed_since` is a moment by which it was listed: as the file says, else the first of the checks in a row that
    found it there.
    """

    check_of = BrandForeignKey(RegisterCheck)
    number_hash = models.CharField(max_length=64)
    is_listed = models.BooleanField()
    listed_since = models.DateTimeField(null=True)
    checked_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand_id", "check_of", "number_hash"], name="register_result_once"
            ),
        ]
        indexes = [
            models.Index(fields=["brand_id", "number_hash", "-checked_at"], name="register_latest"),
        ]


class OutboundNumber(BrandRow):
    """A number of ours that people see when we ring, and whether it stands in AGCOM's ROC register (GD-12)."""

    number_e164 = models.CharField(max_length=17)
    label = models.CharField(max_length=100, default="", blank=True)
    is_in_roc = models.BooleanField(default=False)
    roc_date = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "number_e164"], name="outbound_number_once"),
            models.CheckConstraint(
                condition=models.Q(is_in_roc=False) | models.Q(roc_date__isnull=False),
                name="outbound_roc_has_date",
            ),
        ]
