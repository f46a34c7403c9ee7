"""A lead door as one writes it on a quiet afternoon: Django, ninja, get-or-create, one transaction per lead.

Durable and idempotent like ours, in the same database, on the same server program (granian, WSGI, 2 processes, 4
threads each, connections kept). `BENCH_DATABASE_URL` says where; `python -m bench.baselines.plain` makes its tables.
"""

import os
from urllib.parse import parse_qsl, unquote, urlsplit

import django
from django.conf import settings

_url = urlsplit(os.environ["BENCH_DATABASE_URL"])

settings.configure(
    SECRET_KEY="bench",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[],
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(_url.path.lstrip("/")),
            "USER": unquote(_url.username or ""),
            "PASSWORD": unquote(_url.password or ""),
            "HOST": dict(parse_qsl(_url.query)).get("host") or _url.hostname or "",
            "PORT": str(_url.port or ""),
            "CONN_MAX_AGE": None,
        }
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.urls import path  # noqa: E402
from ninja import NinjaAPI, Schema  # noqa: E402


class PlainContact(models.Model):
    email = models.EmailField(unique=True)
    first_name = models.CharField(max_length=100)
    last_name = models.CharField(max_length=100)
    phone = models.CharField(max_length=30, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "bench"


class PlainLead(models.Model):
    request_id = models.CharField(max_length=255, unique=True)
    contact = models.ForeignKey(PlainContact, on_delete=models.PROTECT)
    payload = models.JSONField()
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "bench"


class LeadIn(Schema):
    nome: str
    cognome: str
    email: str
    telefono: str
    servizio: str
    pacchetto: str


api = NinjaAPI(docs_url=None)


@api.post("/lead")
def take(request: HttpRequest, lead: LeadIn) -> dict[str, object]:
    """Store the lead and its person, once each."""
    with transaction.atomic():
        contact, _new = PlainContact.objects.get_or_create(
            email=lead.email.lower(),
            defaults={"first_name": lead.nome, "last_name": lead.cognome, "phone": lead.telefono},
        )
        stored, _new = PlainLead.objects.get_or_create(
            request_id=request.headers["X-Request-ID"],
            defaults={"contact": contact, "payload": lead.dict()},
        )
    return {"success": True, "leadId": stored.pk}


@api.get("/ready")
def ready(request: HttpRequest) -> str:
    """Answer, so that the load starts when the server has."""
    return "ready"


urlpatterns = [path("api/", api.urls)]
application = get_wsgi_application()


def make_tables() -> None:
    """Create the two tables in the database."""
    with connection.schema_editor() as editor:
        editor.create_model(PlainContact)
        editor.create_model(PlainLead)


if __name__ == "__main__":
    make_tables()
