"""People, and how to reach them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from filiera.capture.models import MarketingSource, Submission
from filiera.identity.models import User
from filiera.platform.models import BrandForeignKey, BrandRow


class LeadState(models.TextChoices):
    """The six states of a lead, in the words of the pipeline (PIP-14)."""

    NUOVO = "nuovo", _("Nuovo")
    IN_CONTATTO = "in_contatto", _("In Contatto")
    CALDO = "caldo", _("Caldo")
    ATTESA_ORDINE = "attesa_ordine", _("Attesa Ordine")
    CHIUSO_VINTO = "chiuso_vinto", _("Chiuso / Vinto")
    PERSO = "perso", _("Perso")


class Contact(BrandRow):
    """A person of one brand. The flat lead of the API is a contact with its current deal and last lead event."""

    first_name = models.CharField(max_length=100, default="", blank=True)
    last_name = models.CharField(max_length=100, default="", blank=True)
    # "first last" and "last first", folded and lower case: prefix search by starts_with, which is leakproof.
    name_key = models.CharField(max_length=201, default="", blank=True)
    surname_key = models.CharField(max_length=201, default="", blank=True)
    email = models.CharField(max_length=255, null=True, blank=True)
    email_norm = models.CharField(max_length=255, null=True, blank=True)
    city = models.CharField(max_length=100, default="", blank=True)
    cap = models.CharField(max_length=10, default="", blank=True)
    company_name = models.CharField(max_length=255, default="", blank=True)
    age = models.SmallIntegerField(null=True, blank=True)
    status = models.CharField(max_length=15, choices=LeadState, default=LeadState.NUOVO)
    notes = models.TextField(default="", blank=True)
    marketing_source = BrandForeignKey(MarketingSource, null=True, blank=True)
    assigned_user = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    external_ids = models.JSONField(default=dict, blank=True)
    merged_into = BrandForeignKey("self", null=True, blank=True)
    last_lead_at = models.DateTimeField()
    lead_count = models.IntegerField(default=0)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)
    # Their data are kept and nothing is done with them by itself, until somebody lifts it (GDPR art. 18).
    restricted_at = models.DateTimeField(null=True, blank=True)
    restricted_reason = models.TextField(default="", db_default="", blank=True)
    restricted_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )

    # Pattern operators: starts_with uses an index of the C order only, whatever the database's own order is.
    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(age__range=(0, 120)), name="contact_age_is_human"),
        ]
        indexes = [
            models.Index(
                fields=["brand_id", "email_norm"],
                name="contact_by_email",
                opclasses=["uuid_ops", "varchar_pattern_ops"],
            ),
            *(
                models.Index(
                    fields=["brand_id", *leading, "-last_lead_at", "-id"],
                    name=name,
                    condition=models.Q(deleted_at=None),
                )
                for name, leading in {
                    "contact_latest": [],
                    "contact_by_state": ["status"],
                    # With the state: a list of one source or owner asks for the six states one by one.
                    "contact_by_source": ["marketing_source", "status"],
                    "contact_by_owner": ["assigned_user", "status"],
                }.items()
            ),
            models.Index(
                fields=["brand_id", "-last_lead_at", "-id"],
                name="contact_returning",
                condition=models.Q(deleted_at=None, lead_count__gt=1),
                include=["status"],
            ),
            models.Index(
                fields=["brand_id", "id"],
                name="contact_restricted",
                condition=models.Q(restricted_at__isnull=False),
            ),
            models.Index(
                fields=["brand_id", "merged_into"],
                name="contact_merged_into",
                condition=models.Q(merged_into__isnull=False),
            ),
            models.Index(
                fields=["brand_id", "company_name"],
                name="contact_by_company",
                condition=models.Q(deleted_at=None) & ~models.Q(company_name=""),
            ),
            models.Index(
                fields=["brand_id", "name_key"],
                name="contact_by_name",
                opclasses=["uuid_ops", "varchar_pattern_ops"],
            ),
            models.Index(
                fields=["brand_id", "surname_key"],
                name="contact_by_surname",
                opclasses=["uuid_ops", "varchar_pattern_ops"],
            ),
        ]

    # What intake found out, on the rows that `commands.resolve` returns: known before this batch, and the
    # number to dial ("" when there is none that can be dialled).
    was_known: bool = True
    dial_e164: str = ""
    # Opposed or erased once: nothing but a form of their own may lead to a call.
    is_suppressed: bool = False

    def __str__(self) -> str:
        return self.full_name

    @property
    def full_name(self) -> str:
        """Return the name as people say it, or the best that stands for it."""
        return f"{self.first_name} {self.last_name}".strip() or self.company_name or self.email or ""


class ContactPhone(BrandRow):
    """A number of a person, as typed and as understood. Intake recognises people by the row with `is_match_key`."""

    contact = BrandForeignKey(Contact, on_delete=models.CASCADE, related_name="phones")
    phone_raw = models.TextField()
    phone_norm = models.CharField(max_length=20)
    country_code = models.CharField(max_length=2, null=True, blank=True)
    assumed_country = models.BooleanField(default=False)
    phone_e164 = models.CharField(max_length=17, default="", blank=True)
    is_valid = models.BooleanField(default=True)
    is_match_key = models.BooleanField(default=False)
    is_primary = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand_id", "contact", "country_code", "phone_norm"],
                name="phone_once_per_contact",
                nulls_distinct=False,
            ),
            models.UniqueConstraint(
                fields=["brand_id", "phone_norm", "country_code"],
                name="phone_match_key",
                condition=models.Q(is_match_key=True, is_active=True),
                nulls_distinct=False,
            ),
            models.UniqueConstraint(
                fields=["brand_id", "contact"], name="phone_one_primary", condition=models.Q(is_primary=True)
            ),
        ]
        indexes = [
            models.Index(
                fields=["brand_id", "phone_e164"],
                name="phone_by_e164",
                opclasses=["uuid_ops", "varchar_pattern_ops"],
            )
        ]


class DuplicateSuggestion(BrandRow):
    """Two people who may be one, the lower id first, with what speaks for it; dismissed when people said they are two.

    `reason` says who noticed: intake when phone and e-mail say two people (CON-35), or a search. `rule` holds the bits
    of the rule's reasons (CON-20) and `cluster` the place of their cluster in the last search, the largest first;
    `points`, `band` and `reasons` are the score's.
    """

    class Band(models.TextChoices):
        LINK = "link", _("Quasi certi")
        REVIEW = "review", _("Da guardare")
        NONE = "", _("Solo la regola")

    contact = BrandForeignKey(Contact, on_delete=models.CASCADE)
    other = BrandForeignKey(Contact, on_delete=models.CASCADE)
    reason = models.CharField(max_length=40)
    rule = models.SmallIntegerField(default=0, db_default=0)
    similarity = models.SmallIntegerField(default=0, db_default=0)  # of the names, in percent
    cluster = models.IntegerField(null=True, blank=True)
    points = models.FloatField(default=0, db_default=0)
    band = models.CharField(max_length=6, choices=Band, default="", db_default="", blank=True)
    reasons = models.JSONField(default=list, db_default=[], blank=True)
    scan = BrandForeignKey("DuplicateScan", null=True, blank=True)
    created_at = models.DateTimeField()
    dismissed_at = models.DateTimeField(null=True, blank=True)
    dismissed_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "contact", "other"], name="suggestion_once")
        ]
        indexes = [
            models.Index(fields=["brand_id", "other"], name="suggestion_by_other"),
            models.Index(
                fields=["brand_id", "band", "-points", "id"],
                name="suggestion_by_points",
                condition=models.Q(dismissed_at=None),
            ),
            models.Index(
                fields=["brand_id", "cluster"],
                name="suggestion_by_cluster",
                condition=models.Q(dismissed_at=None, cluster__isnull=False),
            ),
        ]


class DuplicateScan(BrandRow):
    """A search for duplicates among all people of a brand: how far it is, and what it found."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("In attesa")
        RUNNING = "running", _("In corso")
        DONE = "done", _("Finita")
        CANCELLED = "cancelled", _("Fermata")
        FAILED = "failed", _("Interrotta")

    status = models.CharField(max_length=9, choices=Status, default=Status.WAITING)
    share = models.FloatField(default=0)  # of the work, 0 to 1
    counts = models.JSONField(default=dict)
    crowds = models.JSONField(default=dict)  # how many people a cluster over 50 has, by its place
    started_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()
    heard_at = models.DateTimeField()  # the last sign of life
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand_id"],
                name="scan_one_at_a_time",
                condition=models.Q(status__in=["waiting", "running"]),
            )
        ]
        indexes = [models.Index(fields=["brand_id", "-created_at"], name="scan_latest")]


class Consent(BrandRow):
    """A permission that was given, refused or withdrawn, with its proof. Rows are only ever added (GD-01, GD-02).

    What holds now is derived (`consents.permissions_of`). The database seals each row with `record_hash` and lets the
    runtime role change none.
    """

    class Purpose(models.TextChoices):
        MARKETING = "marketing", _("Promozioni")
        PROFILING = "profiling", _("Profilazione")
        THIRD_PARTY = "third_party", _("Cessione a terzi")
        NEWSLETTER = "newsletter", _("Newsletter")
        # These two allow nothing: the notice was read; one box for several purposes is no valid consent.
        NOTICE = "notice", _("Informativa")
        BUNDLED = "bundled", _("Consenso unico per più scopi, non valido")

    class Channel(models.TextChoices):
        CALL = "call", _("telefono")
        EMAIL = "email", _("e-mail")
        SMS = "sms", _("SMS")
        WHATSAPP = "whatsapp", _("WhatsApp")
        POST = "post", _("posta")
        NONE = "", _("nessun canale")

    contact = BrandForeignKey(Contact)
    submission = BrandForeignKey(Submission, null=True)
    purpose = models.CharField(max_length=12, choices=Purpose)
    channel = models.CharField(max_length=8, choices=Channel, default="", blank=True)
    given = models.BooleanField()
    # Whether the person did it themselves: only that ends an opposition (GD-28).
    by_person = models.BooleanField()
    text = models.TextField()
    text_version = models.CharField(max_length=100)
    language = models.CharField(max_length=5, default="", blank=True)
    form_url = models.TextField(default="", blank=True)
    ip_address = models.GenericIPAddressField(null=True)
    user_agent = models.TextField(default="", blank=True)
    collected_by = models.CharField(max_length=255)
    double_opt_in_at = models.DateTimeField(null=True)
    record_hash = models.CharField(max_length=64, default="")
    at = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand_id", "contact", "submission", "purpose", "channel", "text_version"],
                name="consent_once_per_form",
            ),
        ]
        indexes = [
            models.Index(fields=["brand_id", "contact", "purpose", "channel", "-at"], name="consent_latest"),
        ]


class Suppression(BrandRow):
    """A number or address that must not be used for promotion, kept as a keyed hash (GD-28).

    It outlives the person's rows. What ends it is not an edit but a later consent that the person gave themselves.
    """

    class Kind(models.TextChoices):
        PHONE = "phone", _("telefono")
        EMAIL = "email", _("e-mail")

    class Reason(models.TextChoices):
        OPPOSED = "opposed", _("si è opposta")
        WITHDRAWN = "withdrawn", _("ha revocato")
        ERASED = "erased", _("è stata cancellata")

    ANY = "any"

    kind = models.CharField(max_length=5, choices=Kind)
    hash = models.CharField(max_length=64)
    channel = models.CharField(max_length=8, default=ANY)
    reason = models.CharField(max_length=9, choices=Reason)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand_id", "kind", "hash", "channel", "created_at"], name="suppression_once"
            ),
        ]


class Erasure(BrandRow):
    """A person who was erased: when, by whom, and what became of each place (GD-26). Names nobody."""

    contact = BrandForeignKey(Contact)
    at = models.DateTimeField()
    requested_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    manifest = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["brand_id", "contact", "-at"], name="erasure_by_contact")]


class Merge(BrandRow):
    """People who became one: who lives on, who did it, and what it takes to undo it (CON-43).

    `manifest` holds rows as they were, so it is emptied when its term is over, when it was undone, or when one of them
    is erased. `kept` says what an undo left as somebody had edited it since, without values.
    """

    survivor = BrandForeignKey(Contact)
    merged_ids = ArrayField(models.UUIDField(), default=list)
    at = models.DateTimeField()
    by_user = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    manifest = models.JSONField(default=dict)
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    kept = models.JSONField(default=list)

    class Meta:
        indexes = [
            models.Index(fields=["brand_id", "survivor", "-at"], name="merge_by_survivor"),
            models.Index(fields=["brand_id", "-at", "-id"], name="merge_latest"),
        ]


class Tag(BrandRow):
    """A label of a brand, in a tree: who looks for a tag finds what has one below it, too (CON-26)."""

    class Color(models.TextChoices):
        LAGUNA = "laguna", _("laguna")
        COBALTO = "cobalto", _("cobalto")
        GLICINE = "glicine", _("glicine")
        PRUGNA = "prugna", _("prugna")
        TERRA = "terra", _("terra")
        OLIVA = "oliva", _("oliva")
        BOSCO = "bosco", _("bosco")
        ARDESIA = "ardesia", _("ardesia")

    name = models.CharField(max_length=100)
    slug = models.CharField(max_length=100)
    color = models.CharField(max_length=10, choices=Color, default=Color.ARDESIA)
    parent = BrandForeignKey("self", null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brand_id", "parent", "slug"], name="tag_once_per_parent", nulls_distinct=False
            ),
        ]

    def __str__(self) -> str:
        return self.name


class TagAssignment(BrandRow):
    """That something carries a tag; one such table for each kind of thing, in the room of the thing (PLT-44)."""

    tag = BrandForeignKey(Tag, on_delete=models.CASCADE)
    assigned_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()

    class Meta:
        abstract = True


class ContactTag(TagAssignment):
    """A tag of a person."""

    contact = BrandForeignKey(Contact, on_delete=models.CASCADE)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "contact", "tag"], name="contact_tag_once"),
        ]
        indexes = [models.Index(fields=["brand_id", "tag", "contact"], name="contact_by_tag")]


class RetentionPolicy(BrandRow):
    """How long a brand keeps a class of data, when not as long as by default, with the reason (GD-31)."""

    class DataClass(models.TextChoices):
        REQUESTS = "requests", _("Richieste come sono arrivate")
        PROVIDER_MESSAGES = "provider_messages", _("Messaggi dei fornitori")
        EMAILS = "emails", _("E-mail mandate")
        ENQUIRIES = "enquiries", _("Contatti senza vendita")
        MARKETING = "marketing", _("Permessi per promozioni")
        PROFILING = "profiling", _("Permessi per profilazione")

    data_class = models.CharField(max_length=20, choices=DataClass)
    months = models.IntegerField()
    reason = models.TextField()
    owner = models.CharField(max_length=255)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "data_class"], name="retention_once"),
            models.CheckConstraint(condition=models.Q(months__range=(1, 240)), name="retention_is_sane"),
            models.CheckConstraint(condition=~models.Q(reason=""), name="retention_has_a_reason"),
        ]


class ImportRun(BrandRow):
    """A file of people that somebody brings in: what it says about them, how far it has come, and what it did.

    `cursor` counts the rows of the file that this pass is done with; it moves in the transaction that wrote them.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", _("Da preparare")
        CHECKING = "checking", _("In prova")
        CHECKED = "checked", _("Provata")
        RUNNING = "running", _("In corso")
        DONE = "done", _("Finita")
        STOPPED = "stopped", _("Fermata")
        UNDOING = "undoing", _("In annullamento")
        UNDONE = "undone", _("Annullata")

    status = models.CharField(max_length=8, choices=Status, default=Status.DRAFT)
    file_name = models.CharField(max_length=255)
    file_kind = models.CharField(max_length=4)
    file_size = models.BigIntegerField()
    file_hash = models.CharField(max_length=64)
    options = models.JSONField(default=dict)
    headers = models.JSONField(default=list)
    # Names a set of titles: the next file with the same ones is read in the same way.
    headers_key = models.CharField(max_length=64, default="", db_default="")
    mapping = models.JSONField(default=dict)
    rules = models.JSONField(default=dict)
    origin = models.JSONField(default=dict)
    cursor = models.IntegerField(default=0)
    rows_total = models.IntegerField(null=True)
    counts = models.JSONField(default=dict)
    undo_counts = models.JSONField(default=dict)
    trouble = models.TextField(default="", db_default="")
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    undone_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()
    # The last sign of life of the job that works on it.
    moved_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    undone_at = models.DateTimeField(null=True)

    AT_WORK = (Status.CHECKING, Status.RUNNING, Status.UNDOING)

    class Meta:
        indexes = [
            models.Index(fields=["brand_id", "-created_at"], name="import_latest"),
            models.Index(fields=["brand_id", "headers_key", "-created_at"], name="import_by_headers"),
        ]


class ImportPiece(BrandRow):
    """A part of a file that waits to be brought in, whole lines as they came. Gone when the import has ended."""

    run = BrandForeignKey(ImportRun, on_delete=models.CASCADE)
    number = models.IntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "run", "number"], name="import_piece_once")
        ]


class ImportFault(BrandRow):
    """What is wrong with a row of a file. `is_grave` ones keep the row out; `cells` is the row as it came."""

    run = BrandForeignKey(ImportRun, on_delete=models.CASCADE)
    row_number = models.IntegerField()
    field = models.CharField(max_length=30, default="", blank=True)
    code = models.CharField(max_length=30)
    told = models.JSONField(default=dict)
    cells = models.JSONField(null=True)
    is_grave = models.BooleanField(default=True)

    class Meta:
        indexes = [models.Index(fields=["brand_id", "run", "row_number", "id"], name="import_fault_by_row")]


class ImportedContact(BrandRow):
    """What an import did to a person: made them, or changed these fields from `before` to `after`. Kept 30 days."""

    class Undo(models.TextChoices):
        NOT = "", _("non annullato")
        DONE = "done", _("annullato")
        EDITED = "edited", _("modificato dopo")
        IN_USE = "in_use", _("ci si è già lavorato")
        GONE = "gone", _("cancellato o unito a un altro")

    run = BrandForeignKey(ImportRun, on_delete=models.CASCADE)
    contact = BrandForeignKey(Contact, on_delete=models.CASCADE)
    row_number = models.IntegerField()
    was_created = models.BooleanField()
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    # The numbers that it added, as [country, digits].
    numbers = models.JSONField(default=list)
    at = models.DateTimeField()
    undo = models.CharField(max_length=6, choices=Undo, default="", db_default="", blank=True)
    # Fields that were changed since and stay as they are.
    kept = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "run", "contact"], name="imported_once"),
        ]
        indexes = [
            models.Index(fields=["brand_id", "contact", "-at"], name="imported_by_contact"),
            models.Index(fields=["brand_id", "run", "undo", "row_number"], name="imported_by_undo"),
        ]
