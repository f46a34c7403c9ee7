"""Brands, the people who work in them, their roles, and the secrets of a brand."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils.translation import gettext_lazy as _

from filiera.platform.ids import new_id
from filiera.platform.models import BrandRow


class Brand(models.Model):
    """A company of the installation. Everything else belongs to exactly one."""

    class Accent(models.TextChoices):
        LAGUNA = "laguna", _("Laguna")
        COBALTO = "cobalto", _("Cobalto")
        GLICINE = "glicine", _("Glicine")
        PRUGNA = "prugna", _("Prugna")
        TERRA = "terra", _("Terra")
        OLIVA = "oliva", _("Oliva")
        BOSCO = "bosco", _("Bosco")
        ARDESIA = "ardesia", _("Ardesia")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=255)
    slug = models.SlugField(max_length=100, unique=True)
    tagline = models.CharField(max_length=100, default="", blank=True)
    accent = models.CharField(max_length=10, choices=Accent, default=Accent.LAGUNA)
    settings = models.JSONField(default=dict, blank=True)
    timezone = models.CharField(max_length=50, default="Europe/Rome")
    default_country = models.CharField(max_length=2, default="IT")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    @property
    def role_grants(self) -> dict[str, list[str]]:
        """Return what this brand grants beyond the matrix, by role; who granted it and when stands beside it."""
        return {
            role: list(granted) for role, granted in self.settings.get("role_grants", {}).items() if granted
        }


class Role(models.TextChoices):
    SUPER_ADMIN = "super_admin", _("Amministratore di tutto")
    ADMIN = "admin", _("Amministratore")
    SALES = "sales", _("Vendite")
    SUPPORT = "support", _("Assistenza")
    EDITOR = "editor", _("Redazione")
    CUSTOMER = "customer", _("Cliente")
    GUEST = "guest", _("Ospite")


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create an account; its e-mail is kept in lower case, so that one address is one person."""
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser):
    """A person who signs in. What they may do in a brand is in UserRole."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.EmailField(max_length=255, unique=True)
    name = models.CharField(max_length=255)
    language = models.CharField(max_length=5, default="it")
    theme = models.CharField(max_length=5, default="auto")
    shortcuts_on = models.BooleanField(default=True)
    is_active = models.BooleanField(default=True)
    external_auth_id = models.CharField(max_length=255, null=True, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    # When the person asked to be deleted: they are out at once, their data goes after the days of grace (IDN-35).
    deleted_at = models.DateTimeField(null=True)
    # When that happened: from here on the row stands for nobody.
    erased_at = models.DateTimeField(null=True)

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def initials(self) -> str:
        """Return one or two capital letters for the avatar."""
        words = self.name.split()
        return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper()


class UserProfile(models.Model):
    """What an invoice, a parcel or a calendar needs of a person. The language is the user's own (IDN-09)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="profile")
    first_name = models.CharField(max_length=100, default="", blank=True)
    last_name = models.CharField(max_length=100, default="", blank=True)
    phone = models.CharField(max_length=20, default="", blank=True)
    company_name = models.CharField(max_length=255, default="", blank=True)
    vat_number = models.CharField(max_length=20, default="", blank=True)
    fiscal_code = models.CharField(max_length=16, default="", blank=True)
    pec_email = models.CharField(max_length=255, default="", blank=True)
    sdi_code = models.CharField(max_length=7, default="", blank=True)
    billing_address = models.JSONField(default=dict, blank=True)
    shipping_address = models.JSONField(default=dict, blank=True)
    timezone = models.CharField(max_length=50, default="Europe/Rome")


class Session(models.Model):
    """A device that signed in, until it signs out. Asked on every request: the truth behind every token (IDN-15).

    Tokens are kept as hashes. `expires_at` is the end of the last access token, `refresh_expires_at` of the session.
    """

    class Kind(models.TextChoices):
        BROWSER = "browser"
        API = "api"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind)
    working_brand = models.ForeignKey(
        Brand, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )
    access_token_hash = models.CharField(max_length=64, unique=True)
    refresh_token_hash = models.CharField(max_length=64, unique=True, null=True)
    expires_at = models.DateTimeField()
    refresh_expires_at = models.DateTimeField()
    ip_address = models.GenericIPAddressField(null=True)
    user_agent = models.TextField(default="", blank=True)
    created_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=30, default="", blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["user", "-created_at"], name="session_by_user"),
            models.Index(fields=["last_seen_at"], name="session_by_use"),
        ]


class AuthToken(models.Model):
    """A secret that went out by e-mail, kept as a hash, good for one use until its end (IDN-25)."""

    class Purpose(models.TextChoices):
        VERIFY = "verify"
        RESET = "reset"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    purpose = models.CharField(max_length=10, choices=Purpose)
    token_hash = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["user", "purpose"], name="auth_token_by_user")]


class GoogleStep(models.Model):
    """A browser that was sent to Google and has not come back: good once, for ten minutes, in that browser (IDN-21)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    state_hash = models.CharField(max_length=64, unique=True)
    browser_hash = models.CharField(max_length=64)
    nonce = models.CharField(max_length=64)
    verifier = models.CharField(max_length=128)
    onward = models.CharField(max_length=500)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="google_step_by_age")]


class PasskeyStep(models.Model):
    """A challenge that waits for the answer of a passkey: good once, for five minutes. Of nobody yet at the door."""

    class Purpose(models.TextChoices):
        ADD = "add"
        USE = "use"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    challenge_hash = models.CharField(max_length=64, unique=True)
    purpose = models.CharField(max_length=10, choices=Purpose)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["user"], name="passkey_step_by_user"),
            models.Index(fields=["created_at"], name="passkey_step_by_age"),
        ]


class UserRole(BrandRow):
    """A role of a user in a brand. Read before any brand is known, by the function `identity_roles_of`."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    role = models.CharField(max_length=20, choices=Role)
    # Nobody where an operator or the opening of the brand gave it.
    granted_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand_id", "user", "role"], name="user_role_once")]
        indexes = [models.Index(fields=["user"], name="user_role_by_user")]


class Invitation(BrandRow):
    """A link that went to an e-mail: who opens it within a week works in the brand with these roles.

    The account is made, or found, when it is accepted: until then nobody learns whether the e-mail has one.
    """

    email = models.EmailField(max_length=255)
    roles = models.JSONField(default=list)
    token_hash = models.CharField(max_length=64)
    invited_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "token_hash"], name="invitation_by_token"),
            # Another invitation of the same e-mail takes the place of the one that waits.
            models.UniqueConstraint(
                fields=["brand_id", "email"],
                name="invitation_waiting_once",
                condition=models.Q(accepted_at__isnull=True),
            ),
        ]


class ClosedAccess(BrandRow):
    """Who may not come in for now, with the roles they get back when they may again."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    roles = models.JSONField(default=list)
    closed_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )
    closed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand_id", "user"], name="access_closed_once")]


class Notification(BrandRow):
    """Something one person should know, in their language, written where it happened (IDN-31).

    `cause` is what made it: one person is told of it once, also when the work that tells runs twice. `subject_id` is
    the contact that it names, if it names one: it goes when that person is erased.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    type = models.CharField(max_length=50)
    cause = models.CharField(max_length=120)
    subject_id = models.UUIDField(null=True)
    title = models.CharField(max_length=255)
    message = models.TextField(default="", blank=True)
    action_url = models.CharField(max_length=500, default="", blank=True)
    by_email = models.BooleanField(default=False)
    emailed_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)
    # Put off: read until then, and told again at that moment.
    snoozed_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "user", "cause"], name="notification_once")
        ]
        indexes = [
            models.Index(fields=["brand_id", "user", "-created_at", "-id"], name="notification_by_user"),
            models.Index(
                fields=["brand_id", "user", "-created_at", "-id"],
                name="notification_unread",
                condition=models.Q(read_at__isnull=True),
            ),
            models.Index(
                fields=["brand_id", "subject_id"],
                name="notification_by_subject",
                condition=models.Q(subject_id__isnull=False),
            ),
            models.Index(
                fields=["brand_id", "created_at"],
                name="notification_to_mail",
                condition=models.Q(by_email=True, emailed_at__isnull=True),
            ),
            models.Index(
                fields=["brand_id", "snoozed_until"],
                name="notification_put_off",
                condition=models.Q(snoozed_until__isnull=False),
            ),
        ]

    @property
    def is_read(self) -> bool:
        return self.read_at is not None


class NotificationChoice(BrandRow):
    """Where a person wants a kind of notification in a brand; without a row in the workspace and not by e-mail.

    Who wants it by e-mail only finds it in the list too, as read: the letter names nobody.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    type = models.CharField(max_length=50)
    in_workspace = models.BooleanField(default=True)
    by_email = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brand_id", "user", "type"], name="notification_choice_once")
        ]


class LoginAttempt(models.Model):
    """A try to sign in, kept twelve months; the recent failures close the door for a while (IDN-26, IDN-27)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.CharField(max_length=255)
    ip_address = models.GenericIPAddressField(null=True)
    success = models.BooleanField()
    failure_reason = models.CharField(max_length=100, default="", blank=True)
    attempted_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["email", "-attempted_at"], name="login_by_email"),
            models.Index(fields=["ip_address", "-attempted_at"], name="login_by_address"),
        ]


class AuditEntry(models.Model):
    """Who did what: a line written by the database itself, sealed by a job (docs/decisions/014-audit-log.md).

    No BrandRow: it is read only, and what happens outside every brand (a brand is opened, a stranger tries a password)
    has none.
    """

    class Action(models.TextChoices):
        CREATE = "CREATE", _("Creazione")
        UPDATE = "UPDATE", _("Modifica")
        DELETE = "DELETE", _("Eliminazione")
        LOGIN = "LOGIN", _("Accesso")
        LOGOUT = "LOGOUT", _("Uscita")
        LOGIN_FAILED = "LOGIN_FAILED", _("Accesso non riuscito")
        EXPORT = "EXPORT", _("Esportazione")
        LOOK = "LOOK", _("Sguardo su tutti i marchi")
        MASK = "MASK", _("Oscuramento")
        RETENTION = "RETENTION", _("Fine conservazione")
        ERASE = "ERASE", _("Cancellazione dei dati")
        EMAIL_VERIFIED = "EMAIL_VERIFIED", _("Indirizzo confermato")
        PASSWORD_RESET = "PASSWORD_RESET", _("Password cambiata")
        MFA_ENABLED = "MFA_ENABLED", _("Verifica in due passaggi attivata")
        MFA_DISABLED = "MFA_DISABLED", _("Verifica in due passaggi spenta")
        RECOVERY_CODES_RENEWED = "RECOVERY_CODES_RENEWED", _("Codici di recupero nuovi")
        RECOVERY_CODE_USED = "RECOVERY_CODE_USED", _("Codice di recupero usato")
        PASSKEY_ADDED = "PASSKEY_ADDED", _("Passkey aggiunta")
        PASSKEY_REMOVED = "PASSKEY_REMOVED", _("Passkey tolta")
        GOOGLE_LINKED = "GOOGLE_LINKED", _("Account Google collegato")
        ACCOUNT_REOPENED = "ACCOUNT_REOPENED", _("Account riaperto")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    brand_id = models.UUIDField(null=True)
    actor_user_id = models.UUIDField(null=True)
    actor_kind = models.CharField(max_length=20)
    actor_name = models.CharField(max_length=200, default="")
    # What the server knows by itself, whatever it was told: the role that ran the statement.
    db_role = models.CharField(max_length=63)
    action = models.CharField(max_length=100)
    entity_type = models.CharField(max_length=50)
    entity_id = models.UUIDField(null=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    ip_address = models.GenericIPAddressField(null=True)
    user_agent = models.TextField(default="")
    request_id = models.CharField(max_length=255, default="")
    created_at = models.DateTimeField()
    # Sign-in and sign-out are kept for less long, and so are a chain of their own.
    chain = models.CharField(max_length=10, default="changes", db_default="changes")
    salt = models.BinaryField(null=True)
    origin_salt = models.BinaryField(null=True)
    before_digest = models.BinaryField(null=True)
    after_digest = models.BinaryField(null=True)
    origin_digest = models.BinaryField(null=True)
    seal_number = models.BigIntegerField(null=True)
    seal = models.BinaryField(null=True)
    masked_at = models.DateTimeField(null=True)
    masked_by = models.UUIDField(null=True)

    class Meta:
        db_table = "audit_log"
        indexes = [
            models.Index(
                fields=["brand_id", "actor_user_id", "-created_at", "-id"], name="idx_audit_logs_user"
            ),
            models.Index(
                fields=["brand_id", "entity_type", "entity_id", "-created_at", "-id"],
                name="idx_audit_logs_entity",
            ),
            models.Index(fields=["brand_id", "-created_at", "-id"], name="idx_audit_logs_created"),
            models.Index(
                fields=["chain", "created_at", "id"],
                name="audit_unsealed",
                condition=models.Q(seal__isnull=True),
            ),
            models.Index(fields=["chain", "seal_number"], name="audit_sealed"),
        ]


class AuditChain(models.Model):
    """Where a chain of seals ends, and where retention cut its beginning off."""

    chain = models.CharField(max_length=10, primary_key=True)
    sealed_number = models.BigIntegerField()
    seal = models.BinaryField()
    cut_number = models.BigIntegerField()
    cut_seal = models.BinaryField()

    class Meta:
        db_table = "audit_chain"


class VaultKey(BrandRow):
    """A secret of a brand, encrypted; the clear text is never stored nor shown again (CNN-26, CNN-28)."""

    service = models.CharField(max_length=50)
    label = models.CharField(max_length=100, default="", blank=True)
    ciphertext = models.BinaryField()
    nonce = models.BinaryField(max_length=12)
    key_version = models.IntegerField(default=1)
    prefix = models.CharField(max_length=8, default="")
    last4 = models.CharField(max_length=4, default="")
    permissions = models.JSONField(default=list)
    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    replaced_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["brand_id", "service"], name="vault_by_service")]


class VaultVersion(models.Model):
    """A master key that secrets are encrypted with since `made_at`. Without a row it is version 1.

    The key itself is in the environment or the home (`master_keys`); here is only what tells it from another.
    """

    version = models.PositiveSmallIntegerField(primary_key=True)
    fingerprint = models.CharField(max_length=16)
    made_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)


class ApiKey(BrandRow):
    """A key for our own API, kept as a hash. It may do what is written here and its creator still may."""

    name = models.CharField(max_length=100)
    key_hash = models.CharField(max_length=64)
    last4 = models.CharField(max_length=4)
    permissions = models.JSONField(default=list)
    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand_id", "key_hash"], name="api_key_once")]
        indexes = [models.Index(fields=["key_hash"], name="api_key_by_hash")]


class OutgoingEmail(BrandRow):
    """A message to be sent, in the language of its reader. Sent by a task, outside any transaction."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        SENT = "sent"
        FAILED = "failed"

    kind = models.CharField(max_length=60)
    subject_id = models.UUIDField()
    to_address = models.EmailField(max_length=255)
    to_name = models.CharField(max_length=255, default="")
    subject = models.CharField(max_length=255)
    body_text = models.TextField()
    body_html = models.TextField(default="")
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    attempts = models.IntegerField(default=0)
    due_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    last_error = models.TextField(default="")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            # One message of a kind for one thing: at-least-once work does not write to people twice.
            models.UniqueConstraint(fields=["brand_id", "kind", "subject_id"], name="email_once"),
        ]
        indexes = [
            models.Index(
                fields=["brand_id", "due_at"], name="email_due", condition=models.Q(status="queued")
            ),
        ]
