"""The keys of providers and those for our own API, over HTTP (connect.md 3): a clear key is told once or never."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Field, Router, Schema, Status
from pydantic import ValidationError

from filiera.identity import api_keys, vault
from filiera.identity.models import ApiKey, VaultKey
from filiera.identity.permissions import demand_in_person
from filiera.platform.api import Moment, historic_failure, ok
from filiera.platform.refusals import Invalid, Refused

router = Router(tags=["keys"])

MANAGE = "system_settings"
MOST_PERMISSIONS = 50

Answer = dict[str, Any]


class NewKey(Schema):
    service: str = Field(max_length=50)
    key: str = Field(max_length=vault.LONGEST_SECRET)
    label: str = Field("", max_length=100)
    permissions: list[str] = Field(default_factory=list, max_length=MOST_PERMISSIONS)


class KeyChanges(Schema):
    key: str | None = Field(None, max_length=vault.LONGEST_SECRET)
    isActive: bool | None = None


class NewAccessKey(Schema):
    name: str = Field(max_length=100)
    permissions: list[str] = Field(max_length=MOST_PERMISSIONS)
    expires_at: Moment | None = None


@router.get("/api-keys")
def list_keys(request: HttpRequest) -> Answer:
    """Return the brand's keys of providers, masked."""
    return ok(request, _list(request))


@router.post("/api-keys", response={201: dict[str, Any]})
def create_key(request: HttpRequest, given: NewKey) -> Status[Answer]:
    """Encrypt and keep a provider's key."""
    return Status(201, ok(request, _create(request, given)))


@router.patch("/api-keys/{key_id}")
def change_key(request: HttpRequest, key_id: UUID, given: KeyChanges) -> Answer:
    """Put another secret in a key's place, disable it, or let it be used again; at once in every process."""
    return ok(request, _change(request, key_id, given))


@router.delete("/api-keys/{key_id}")
def disable_key(request: HttpRequest, key_id: UUID) -> Answer:
    """Disable a key. It stays in the list: what used it should be seen to be without."""
    return ok(request, _change(request, key_id, KeyChanges(key=None, isActive=False)))


@router.get("/access-keys")
def list_access_keys(request: HttpRequest) -> Answer:
    """Return the keys for this API, without what opens it."""
    demand_in_person(request, MANAGE)
    return ok(request, [shown_access_key(key) for key in ApiKey.objects.order_by("-created_at")])


@router.post("/access-keys", response={201: dict[str, Any]})
def create_access_key(request: HttpRequest, given: NewAccessKey) -> Status[Answer]:
    """Make a key for this API. `key` is in this answer only."""
    principal = demand_in_person(request, MANAGE)
    made, clear = api_keys.create(
        name=given.name,
        wanted=given.permissions,
        principal=principal,
        expires_at=_with_zone(given.expires_at),
        now=timezone.now(),
    )
    return Status(201, ok(request, shown_access_key(made) | {"key": clear}))


@router.delete("/access-keys/{key_id}")
def revoke_access_key(request: HttpRequest, key_id: UUID) -> Answer:
    """End a key for this API: its next request hears 401."""
    demand_in_person(request, MANAGE)
    return ok(request, shown_access_key(api_keys.revoke(key_id=key_id, now=timezone.now())))


def shown(key: VaultKey) -> Answer:
    """Return a provider's key as it is shown, with the names of the older path."""
    return {
        "id": str(key.id),
        "service": key.service,
        "label": key.label,
        "key": vault.masked(key),
        "permissions": key.permissions,
        "isActive": key.is_active,
        "created_at": key.created_at,
        "replaced_at": key.replaced_at,
        "last_used_at": key.last_used_at,
    }


def shown_access_key(key: ApiKey) -> Answer:
    """Return a key for our API as it is shown."""
    return {
        "id": str(key.id),
        "name": key.name,
        "key": f"fil_••••{key.last4}",
        "permissions": key.permissions,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }


def _list(request: HttpRequest) -> list[Answer]:
    demand_in_person(request, MANAGE)
    return [shown(key) for key in VaultKey.objects.order_by("service", "-created_at")]


def _create(request: HttpRequest, given: NewKey) -> Answer:
    principal = demand_in_person(request, MANAGE)
    service, secret = vault.read(service=given.service, secret=given.key)
    if not all(one.isprintable() and len(one) <= 100 for one in (given.label, *given.permissions)):
        raise Invalid(_("Alcuni campi non vanno bene."), details={"permissions": [_("Scrivi solo testo.")]})
    key = vault.store(
        service=service,
        secret=secret,
        label=given.label.strip(),
        permissions=given.permissions,
        user=principal.user,
    )
    return shown(key)


def _change(request: HttpRequest, key_id: UUID, given: KeyChanges) -> Answer:
    demand_in_person(request, MANAGE)
    key = vault.key_for(key_id)
    if given.key is not None:
        _service, secret = vault.read(service=key.service, secret=given.key)
        key = vault.replace(key_id=key_id, secret=secret, now=timezone.now())
    if given.isActive is not None:
        key = vault.switch(key_id=key_id, is_active=given.isActive)
    return shown(key)


def _with_zone(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is not None:
        return moment
    try:
        return timezone.make_aware(moment)
    except OverflowError as error:
        raise Invalid(_("Questa data non esiste.")) from error


# ── the path from before there were versions ──


def _historic(**handlers: Callable[..., Answer | list[Answer]]) -> Callable[..., HttpResponse]:
    @login_not_required  # a script gets 401 in JSON, not the sign-in page
    def view(request: HttpRequest, **names: UUID) -> HttpResponse:
        handler = handlers.get((request.method or "").lower())
        if handler is None:
            return historic_failure(code="METHOD_NOT_ALLOWED", message=_("Metodo non ammesso."), status=405)
        if getattr(request, "principal", None) is None:
            return historic_failure(code="UNAUTHENTICATED", message=_("Serve l’accesso."), status=401)
        try:
            answer = {"success": True, "data": handler(request, **names)}
        except Refused as refusal:
            return historic_failure(
                code=refusal.code, message=str(refusal), status=refusal.status, details=refusal.details
            )
        return HttpResponse(orjson.dumps(answer, default=str), content_type="application/json")

    return view


def _parsed(request: HttpRequest, schema: type[Schema]) -> Any:
    try:
        return schema.model_validate(orjson.loads(request.body))
    except orjson.JSONDecodeError as error:
        raise Invalid(_("Il messaggio non è JSON.")) from error
    except ValidationError as error:
        details: dict[str, list[str]] = {}
        for fault in error.errors():
            details.setdefault(".".join(map(str, fault["loc"])) or "body", []).append(fault["msg"])
        raise Invalid(_("Alcuni campi non vanno bene."), details=details) from error


def _historic_create(request: HttpRequest) -> Answer:
    demand_in_person(request, MANAGE)
    return _create(request, _parsed(request, NewKey))


def _historic_change(request: HttpRequest, key_id: UUID) -> Answer:
    demand_in_person(request, MANAGE)
    return _change(request, key_id, _parsed(request, KeyChanges))


historic_keys = _historic(get=_list, post=_historic_create)
historic_key = _historic(
    patch=_historic_change, delete=partial(_change, given=KeyChanges(key=None, isActive=False))
)
