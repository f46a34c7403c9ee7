"""Settings of the installation, read from the environment once; each fails at start with what to do.

What differs per brand is a row, not a setting.
"""

import hashlib
import hmac
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from filiera.platform import database, home


def env_int(name: str, default: int) -> int:
    """Return a whole number from the environment. Raises ImproperlyConfigured with the name and what was found."""
    text = os.environ.get(name, "")
    try:
        return int(text) if text else default
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {text!r}.") from error


def env_flag(name: str, default: bool = False) -> bool:
    """Return a yes or no from the environment: 1, true, yes, on or 0, false, no, off."""
    text = os.environ.get(name, "").lower()
    if text in {"", "1", "true", "yes", "on", "0", "false", "no", "off"}:
        return default if not text else text in {"1", "true", "yes", "on"}
    raise ImproperlyConfigured(f"{name} must be 1 or 0, not {text!r}.")


def env_list(name: str, default: str = "") -> list[str]:
    """Return the comma-separated parts of a variable."""
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def jwt_secret(otherwise: str) -> str:
    """Return JWT_SECRET, else one derived from the installation's key. Raises ImproperlyConfigured for a short one."""
    given = os.environ.get("JWT_SECRET", "")
    if given and len(given.encode()) < 32:
        raise ImproperlyConfigured("JWT_SECRET must have at least 32 bytes.")
    return given or hmac.new(otherwise.encode(), b"filiera tokens", hashlib.sha256).hexdigest()


FILIERA_HOME: Path = home.folder()
FILIERA_PORT = env_int("FILIERA_PORT", 8000)
SECRET_KEY: str = home.secret_key(FILIERA_HOME)
DEBUG = env_flag("FILIERA_DEBUG")
VERSION = "0.1.0"

# Where people reach us: links in e-mails are built on it.
BASE_URL = os.environ.get("FILIERA_BASE_URL", f"http://localhost:{FILIERA_PORT}").rstrip("/")
ALLOWED_HOSTS = env_list(
    "FILIERA_ALLOWED_HOSTS", f"localhost,127.0.0.1,[::1],{urlsplit(BASE_URL).hostname or ''}"
)
CSRF_TRUSTED_ORIGINS = [BASE_URL]
# Who carries it may read /metrics from anywhere; without one, only this machine and its network may.
METRICS_TOKEN = os.environ.get("FILIERA_METRICS_TOKEN", "")
# Forwarded headers are believed from these peers only.
TRUSTED_PROXIES = env_list("FILIERA_TRUSTED_PROXIES")


def database_from_url(url: str) -> dict[str, Any]:
    """Return Django's settings for a postgresql:// URL; a socket folder comes as ?host=."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(f"A database URL starts with postgresql://, not {parts.scheme}://.")
    query = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", "") or parts.hostname or "",
        "PORT": str(parts.port or query.pop("port", "") or ""),
        "CONN_MAX_AGE": 0,
        "OPTIONS": {**query},
    }


# The runtime role sees one brand at a time; migrations run as the schema's owner.
DATABASE_ROLE = os.environ.get("FILIERA_DATABASE_ROLE", "app")
DATABASE_URLS = database.dsns(FILIERA_HOME)
DATABASES = {"default": database_from_url(getattr(DATABASE_URLS, DATABASE_ROLE))}
if DATABASE_ROLE == "app":
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 1,
        "max_size": env_int("FILIERA_DATABASE_POOL", 10),
        "timeout": 5,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "procrastinate.contrib.django",
    "filiera.platform",
    "filiera.identity",
    "filiera.capture",
    "filiera.contacts",
    "filiera.pipeline",
    "filiera.routing",
    "filiera.journeys",
    "filiera.workspace",
]
PROCRASTINATE_ON_APP_READY = "filiera.platform.jobs.on_app_ready"

MIDDLEWARE = [
    "filiera.platform.middleware.RequestContext",
    "filiera.platform.middleware.SecurityHeaders",
    "filiera.platform.health.Doors",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "filiera.identity.middleware.PrincipalAndBrand",
    "django.contrib.messages.middleware.MessageMiddleware",
    "filiera.workspace.errors.RefusalPages",
]
ROOT_URLCONF = "filiera.urls"
WSGI_APPLICATION = "filiera.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "filiera.workspace.shell.context",
            ],
            "builtins": [
                "django.templatetags.i18n",
                "django.templatetags.static",
                "filiera.platform.templatetags.formats",
                "filiera.workspace.templatetags.ui",
            ],
        },
    }
]

AUTH_USER_MODEL = "identity.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.BCryptSHA256PasswordHasher"]  # cost 12 (IDN-38)
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# allauth keeps who verified which address, second factors and Google accounts; our own pages and API stand before it
# (decisions 019, 020).
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
MFA_TOTP_ISSUER = "Filiera"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
# Signing in with Google: both of its client, or nobody is offered it. The issuer is another one for its simulator only.
GOOGLE_OAUTH_CLIENT_ID = os.environ.get("GOOGLE_OAUTH_CLIENT_ID", "")
GOOGLE_OAUTH_CLIENT_SECRET = os.environ.get("GOOGLE_OAUTH_CLIENT_SECRET", "")
GOOGLE_ISSUER = os.environ.get("FILIERA_GOOGLE_ISSUER", "https://accounts.google.com").rstrip("/")
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "today"
LOGOUT_REDIRECT_URL = "login"
SECURE_COOKIES = BASE_URL.startswith("https://")
# Of the cookies of messages and forms; the one that signs in is made in identity/sessions.py with the same three.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
# Signs the tokens of sessions; the earlier ones are still believed, until the last token they signed has ended.
JWT_SECRET = jwt_secret(SECRET_KEY)
JWT_EARLIER_SECRETS = env_list("JWT_EARLIER_SECRETS")
CSRF_FAILURE_VIEW = "filiera.workspace.errors.forged"
X_FRAME_OPTIONS = "SAMEORIGIN"

LANGUAGE_CODE = "it"
LANGUAGE_COOKIE_NAME = "filiera_language"
LANGUAGES = [("it", "Italiano"), ("en", "English")]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
# The product serves what bootstrap.py collected, compressed and with hashed names; tests and tools the sources.
STATIC_COLLECTED = env_flag("FILIERA_STATIC_COLLECTED")
STATIC_ROOT = Path(__file__).parent / "static" if STATIC_COLLECTED else None
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_COLLECTED
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not STATIC_COLLECTED
WHITENOISE_AUTOREFRESH = False
WHITENOISE_MAX_AGE = 3600
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

# Outgoing mail. Without a server nothing leaves: messages stay queued and the system page says so.
EMAIL_HOST = os.environ.get("FILIERA_SMTP_HOST", "")
EMAIL_PORT = env_int("FILIERA_SMTP_PORT", 587)
EMAIL_HOST_USER = os.environ.get("FILIERA_SMTP_USER", "")
EMAIL_HOST_PASSWORD = os.environ.get("FILIERA_SMTP_PASSWORD", "")
EMAIL_USE_TLS = env_flag("FILIERA_SMTP_TLS", EMAIL_PORT == 587)
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = os.environ.get("FILIERA_MAIL_FROM", "Filiera <filiera@localhost>")

# The lead queue (CAP-41, CAP-42, CAP-46, CAP-48; architecture decision 12).
QUEUE_BATCH_SIZE = env_int("FILIERA_QUEUE_BATCH_SIZE", 500)
QUEUE_BATCH_WAIT_S = env_int("FILIERA_QUEUE_BATCH_WAIT_S", 0)
QUEUE_SWEEP_S = env_int("FILIERA_QUEUE_SWEEP_S", 30)
QUEUE_LEASE_S = env_int("FILIERA_QUEUE_LEASE_S", 60)
QUEUE_RETRY_DELAY_S = env_int("FILIERA_QUEUE_RETRY_DELAY_S", 60)
QUEUE_MAX_RETRIES = env_int("FILIERA_QUEUE_MAX_RETRIES", 3)

# Routing (ROU-21, ROU-49, ROU-67): our own part of a synchronous answer, the ring of an agent, the delayed re-tries.
ROUTING_ANSWER_LIMIT_MS = env_int("FILIERA_ROUTING_ANSWER_LIMIT_MS", 2000)
ROUTING_RING_S = env_int("FILIERA_ROUTING_RING_S", 20)
ROUTING_RING_MARGIN_S = env_int("FILIERA_ROUTING_RING_MARGIN_S", 5)
ROUTING_RETRY_DELAYS_S = [60, 300, 900]
# No call leaves while this is set, whatever the connections say (ROU-42).
ROUTING_DRY_RUN = env_flag("FILIERA_DRY_RUN")
META_GRAPH_URL = os.environ.get("FILIERA_META_GRAPH_URL", "https://graph.facebook.com/v25.0")
# How often an account may use the API, and an address try to sign in, in any minute; 0 is no limit.
API_LIMIT_PER_MIN = env_int("FILIERA_API_LIMIT_PER_MIN", 600)
SIGN_IN_LIMIT_PER_MIN = env_int("FILIERA_SIGN_IN_LIMIT_PER_MIN", 60)
ALLOW_PRIVATE_PROVIDERS = env_flag("FILIERA_ALLOW_PRIVATE_PROVIDERS")

LOGGING_CONFIG = "filiera.platform.logs.configure"
LOGGING: dict[str, Any] = {"version": 1}  # Django calls nothing for an empty one
