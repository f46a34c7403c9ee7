"""What people keep of their lists, and what they did to many leads at once."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from filiera.contacts.models import Contact
from filiera.identity.models import Role, User
from filiera.platform.models import BrandForeignKey, BrandRow


class SavedView(BrandRow):
    """A list with a name: the query of its address. `role` says whose it is when it is a team's (UI-20).

    People with the role `opens_for` see it when they open the leads without asking for anything.
    """

    class Audience(models.TextChoices):
        PRIVATE = "private", _("solo io")
        TEAM = "team", _("il mio team")
        BRAND = "brand", _("tutto il marchio")

    name = models.CharField(max_length=60)
    query = models.TextField(default="", blank=True)
    audience = models.CharField(max_length=7, choices=Audience, default=Audience.PRIVATE)
    role = models.CharField(max_length=20, choices=Role, default="", blank=True)
    opens_for = models.CharField(max_length=20, choices=Role, default="", db_default="", blank=True)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["brand_id", "created_at"], name="saved_view_in_order")]

    def __str__(self) -> str:
        return self.name


class ListChoice(BrandRow):
    """How one person wants the list of leads: columns in their order, density, the views they pinned (UI-21)."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    columns = models.JSONField(default=list)
    is_dense = models.BooleanField(default=False)
    pinned = models.JSONField(default=list)
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand_id", "user"], name="list_choice_once")]


class BulkRun(BrandRow):
    """One deed on many leads: previewed, carried out in the background, and taken back within ten minutes."""

    class State(models.TextChoices):
        WAITING = "waiting", _("in attesa")
        RUNNING = "running", _("in corso")
        DONE = "done", _("finita")
        CANCELLED = "cancelled", _("fermata")
        UNDOING = "undoing", _("in annullamento")
        UNDONE = "undone", _("annullata")

    UNDER_WAY = (State.WAITING, State.RUNNING, State.UNDOING)

    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False)
    action = models.CharField(max_length=30)
    options = models.JSONField(default=dict)
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    total = models.IntegerField()
    handled = models.IntegerField(default=0)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["brand_id", "-created_at"], name="bulk_run_latest")]

    @property
    def is_under_way(self) -> bool:
        return self.state in self.UNDER_WAY


class BulkRow(BrandRow):
    """One lead of a deed: what it was before, what it became, or why it was left alone."""

    class Outcome(models.TextChoices):
        WAITING = "waiting"
        DONE = "done"
        SKIPPED = "skipped"
        FAILED = "failed"
        UNDONE = "undone"
        KEPT = "kept"  # changed by somebody after the deed: taking it back leaves it

    run = BrandForeignKey(BulkRun, on_delete=models.CASCADE, related_name="rows")
    contact = BrandForeignKey(Contact, on_delete=models.CASCADE)
    position = models.IntegerField()
    outcome = models.CharField(max_length=7, choices=Outcome, default=Outcome.WAITING)
    why = models.CharField(max_length=200, default="", blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["brand_id", "run", "outcome", "position"], name="bulk_row_in_order"),
            models.Index(fields=["brand_id", "contact"], name="bulk_row_of_contact"),
        ]
