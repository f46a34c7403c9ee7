"""Lead events, the deals they open, the stages of a deal, and what people do about it."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from filiera.capture.models import MarketingSource, Submission
from filiera.contacts.models import Contact, LeadState, TagAssignment
from filiera.identity.models import User
from filiera.platform.models import BrandForeignKey, BrandRow


class Stage(BrandRow):
    """A step of a brand's pipeline. Probability and age limit are frozen with the version (PIP-34)."""

    name = models.CharField(max_length=100)
    order_index = models.IntegerField()
    lead_state = models.CharField(max_length=15, choices=LeadState, null=True, blank=True)
    probability = models.DecimalField(max_digits=5, decimal_places=2, null=True, blank=True)
    age_limit_days = models.IntegerField(null=True, blank=True)
    color = models.CharField(max_length=20, default="", blank=True)
    is_active = models.BooleanField(default=True)
    version = models.IntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand_id", "name"], name="stage_name_once")]
        indexes = [models.Index(fields=["brand_id", "order_index"], name="stage_in_order")]

    def __str__(self) -> str:
        return self.name


class StageVersion(BrandRow):
    """What a stage said from one moment on. Never changed: figures of the past are read with it (kpis.md 8)."""

    stage = BrandForeignKey(Stage, on_delete=models.CASCADE, related_name="versions")
    version = models.IntegerField()
    lead_state = models.CharField(max_length=15, choices=LeadState, null=True)
    probability = models.DecimalField(max_digits=5, decimal_places=2, null=True)
    age_limit_days = models.IntegerField(null=True)
    valid_from = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "stage", "version"], name="stage_version_once")
        ]


class Deal(BrandRow):
    """What may be sold to a person. At most one is open per contact (PIP-03)."""

    class Status(models.TextChoices):
        OPEN = "open", _("Aperta")
        WON = "won", _("Vinta")
        LOST = "lost", _("Persa")

    contact = BrandForeignKey(Contact, related_name="deals")
    status = models.CharField(max_length=4, choices=Status, default=Status.OPEN)
    current_stage = BrandForeignKey(Stage, null=True, blank=True)
    title = models.CharField(max_length=255, default="", blank=True)
    amount = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)
    currency = models.CharField(max_length=3, default="EUR")
    expected_close_date = models.DateField(null=True, blank=True)
    owner_user = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    lost_reason = models.TextField(default="", blank=True)
    is_void = models.BooleanField(default=False)
    waiting_until = models.DateField(null=True, blank=True)
    stage_entered_at = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    version = models.IntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand_id", "contact"], name="deal_one_open", condition=models.Q(status="open")
            ),
            models.CheckConstraint(
                condition=models.Q(status="open", closed_at__isnull=True)
                | (~models.Q(status="open") & models.Q(closed_at__isnull=False)),
                name="deal_closed_has_moment",
            ),
        ]
        indexes = [
            models.Index(fields=["brand_id", "contact", "-opened_at"], name="deal_by_contact"),
            models.Index(
                fields=["brand_id", "current_stage", "-stage_entered_at", "-id"],
                name="deal_on_board",
                condition=models.Q(status="open"),
                include=["amount"],
            ),
            models.Index(
                fields=["brand_id", "status", "-closed_at", "-id"],
                name="deal_closed_latest",
                condition=~models.Q(status="open"),
                include=["amount", "is_void"],
            ),
        ]


class DealClosing(BrandRow):
    """A deal was closed, on that day. A reopening reverses it on its own day and rewrites nothing (kpis.md 7)."""

    deal = BrandForeignKey(Deal, on_delete=models.CASCADE, related_name="closings")
    status = models.CharField(max_length=4, choices=Deal.Status)
    is_void = models.BooleanField(default=False)
    amount = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    lost_reason = models.TextField(default="")
    owner_user = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )
    closed_at = models.DateTimeField()
    closed_by_user = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )
    closed_by = models.CharField(max_length=20)
    reopened_at = models.DateTimeField(null=True)
    reopened_by_user = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand_id", "deal"],
                name="closing_one_standing",
                condition=models.Q(reopened_at__isnull=True),
            ),
        ]
        indexes = [models.Index(fields=["brand_id", "-closed_at"], name="closing_latest")]


class StageHistory(BrandRow):
    """One stay of a deal in a stage. Always says who or what put it there, and why (PIP-04 … PIP-08)."""

    class Reason(models.TextChoices):
        CREATED = "created", _("aperta")
        MANUAL = "manual", _("spostata a mano")
        RULE = "rule", _("regola")
        AI = "ai_classification", _("classificazione")
        IMPORT = "import", _("importazione")
        MERGE = "merge", _("unione")

    deal = BrandForeignKey(Deal, on_delete=models.CASCADE, related_name="history")
    stage = BrandForeignKey(Stage)
    entered_at = models.DateTimeField()
    exited_at = models.DateTimeField(null=True, blank=True)
    changed_by_user = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    # "user" for a person, otherwise what acted: intake, rule, ai, import, merge (PIP-07).
    changed_by = models.CharField(max_length=20)
    change_reason = models.CharField(max_length=20, choices=Reason)
    stage_version = models.IntegerField(default=1)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand_id", "deal"],
                name="history_one_open",
                condition=models.Q(exited_at__isnull=True),
            ),
            models.CheckConstraint(
                condition=models.Q(exited_at__isnull=True) | models.Q(exited_at__gte=models.F("entered_at")),
                name="history_ends_after_start",
            ),
            models.CheckConstraint(condition=~models.Q(changed_by=""), name="history_names_an_actor"),
        ]
        indexes = [
            models.Index(fields=["brand_id", "-entered_at"], name="history_entered"),
            models.Index(fields=["brand_id", "deal", "entered_at"], name="history_deal"),
        ]


class LeadEvent(BrandRow):
    """One arrival of a lead, in its deal (CON-03). A submission may carry several (CAP-97)."""

    contact = BrandForeignKey(Contact, related_name="lead_events")
    deal = BrandForeignKey(Deal, null=True, related_name="lead_events")
    submission = BrandForeignKey(Submission, null=True)
    source = models.TextField()
    # Of the sender, or the submission and the place in it: what makes a delivery count once (CAP-93).
    external_id = models.CharField(max_length=255)
    marketing_source = BrandForeignKey(MarketingSource, null=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    requested_service = models.TextField(default="")
    requested_package = models.TextField(default="")
    wants_contract = models.BooleanField(default=False)
    wants_brochure = models.BooleanField(default=False)
    message = models.TextField(default="")
    payload = models.JSONField(default=dict)
    is_test = models.BooleanField(default=False)
    ai_priority = models.CharField(max_length=10, null=True)
    ai_model_version = models.TextField(default="")
    ai_prompt_version = models.TextField(default="")
    archived = models.BooleanField(default=False)
    excluded_reason = models.CharField(max_length=20, default="")
    excluded_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )
    excluded_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "source", "external_id"], name="lead_event_once"),
        ]
        indexes = [
            models.Index(fields=["brand_id", "contact", "-received_at"], name="lead_event_by_contact"),
            models.Index(fields=["brand_id", "submission"], name="lead_event_by_submission"),
            models.Index(fields=["brand_id", "-received_at", "-id"], name="lead_event_latest"),
        ]


class Activity(BrandRow):
    """What was done, or is to be done, about a person. A task is a planned activity."""

    class Type(models.TextChoices):
        CHIAMATA = "chiamata", _("Chiamata")
        VISITA = "visita", _("Visita")
        PREVENTIVO = "preventivo", _("Preventivo")
        ORDINE = "ordine", _("Ordine")
        RIFIUTO = "rifiuto", _("Rifiuto")
        EMAIL = "email", _("E-mail")
        NOTA = "nota", _("Nota")

    class Status(models.TextChoices):
        PLANNED = "planned", _("Da fare")
        DONE = "done", _("Fatta")
        CANCELLED = "cancelled", _("Annullata")

    class Origin(models.TextChoices):
        HUMAN = "human"
        AUTOMATIC = "automatic"

    contact = BrandForeignKey(Contact, related_name="activities")
    deal = BrandForeignKey(Deal, null=True, related_name="activities")
    type = models.CharField(max_length=10, choices=Type)
    status = models.CharField(max_length=9, choices=Status, default=Status.DONE)
    title = models.CharField(max_length=255, default="")
    note = models.TextField(default="", blank=True)
    scheduled_at = models.DateTimeField(null=True, blank=True)
    duration_minutes = models.IntegerField(null=True, blank=True)
    user = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    # Whose lead it was at that moment: later changes of owner do not move the figures (PIP-35).
    owner_user = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    occurred_at = models.DateTimeField(null=True, blank=True)
    direction = models.CharField(max_length=8, default="", blank=True)
    origin = models.CharField(max_length=9, choices=Origin, default=Origin.HUMAN)
    outcome = models.CharField(max_length=40, default="", blank=True)
    talking_seconds = models.IntegerField(null=True, blank=True)
    # What made it, when a rule did: one piece of follow-up work per cause.
    cause = models.CharField(max_length=100, null=True, blank=True)
    sync_google_calendar = models.BooleanField(default=False)
    google_calendar_event_id = models.CharField(max_length=255, default="", blank=True)
    google_etag = models.CharField(max_length=255, default="", blank=True)
    google_updated_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand_id", "cause"], name="activity_once_per_cause")]
        indexes = [
            models.Index(fields=["brand_id", "contact", "-created_at"], name="activity_by_contact"),
            models.Index(fields=["brand_id", "deal"], name="activity_by_deal"),
            models.Index(
                fields=["brand_id", "scheduled_at"],
                name="activity_planned",
                condition=models.Q(status="planned"),
            ),
            models.Index(
                fields=["brand_id", "contact", "scheduled_at", "id"],
                name="activity_next",
                condition=models.Q(status="planned"),
            ),
        ]


class StateRule(BrandRow):
    """Which lead state an activity of a type leads to; editable per brand (PIP-16)."""

    activity_type = models.CharField(max_length=10, choices=Activity.Type)
    lead_state = models.CharField(max_length=15, choices=LeadState)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand_id", "activity_type"], name="state_rule_once")]


class DealTag(TagAssignment):
    """A tag of a deal."""

    deal = BrandForeignKey(Deal, on_delete=models.CASCADE)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand_id", "deal", "tag"], name="deal_tag_once")]
        indexes = [models.Index(fields=["brand_id", "tag", "deal"], name="deal_by_tag")]


class LeadEventTag(TagAssignment):
    """A tag of one arrival of a lead."""

    lead_event = BrandForeignKey(LeadEvent, on_delete=models.CASCADE)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "lead_event", "tag"], name="lead_event_tag_once")
        ]
        indexes = [models.Index(fields=["brand_id", "tag", "lead_event"], name="lead_event_by_tag")]
