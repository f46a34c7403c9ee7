"""The page of keys: those of providers, in the vault, and those that open our own API."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from filiera.identity import api_keys, permissions, vault
from filiera.identity.keys_api import MANAGE
from filiera.identity.models import ApiKey, VaultKey
from filiera.identity.permissions import Principal, demand_in_person
from filiera.platform.refusals import Refused

LIVES = {"30": 30, "90": 90, "365": 365}


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission with what it lets a key do, in words."""

    code: str
    text: str
    on: bool = False


@dataclass(frozen=True, slots=True)
class AccessRow:
    """A key for our API in the list, with its condition in a word."""

    key: ApiKey
    tone: str
    glyph: str
    word: str
    may: str

    @property
    def is_live(self) -> bool:
        return self.tone == "ok"


class StoreForm(forms.Form):
    """A provider's key. What is typed is never shown again, not even after a mistake."""

    service = forms.CharField(max_length=50, widget=forms.TextInput(attrs={"autocapitalize": "none"}))
    label = forms.CharField(required=False, max_length=100)
    key = forms.CharField(
        max_length=vault.LONGEST_SECRET, widget=forms.PasswordInput(attrs={"autocomplete": "off"})
    )


class ReplaceForm(forms.Form):
    """Another secret in a key's place."""

    key = forms.CharField(
        max_length=vault.LONGEST_SECRET, widget=forms.PasswordInput(attrs={"autocomplete": "off"})
    )


class AccessForm(forms.Form):
    """A key for our API: its name, what it may, and until when."""

    name = forms.CharField(max_length=100)
    life = forms.ChoiceField(
        choices=[
            ("30", gettext_lazy("30 giorni")),
            ("90", gettext_lazy("90 giorni")),
            ("365", gettext_lazy("un anno")),
            ("", gettext_lazy("senza scadenza")),
        ],
        required=False,
        initial="90",
    )


@require_GET
def keys(request: HttpRequest) -> HttpResponse:
    """List both kinds, masked."""
    principal = demand_in_person(request, MANAGE)
    return _page(request, principal, {})


@never_cache
@sensitive_post_parameters("key")
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Take a provider's key into the vault."""
    principal = demand_in_person(request, MANAGE)
    form = StoreForm(_posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            service, secret = vault.read(
                service=form.cleaned_data["service"], secret=form.cleaned_data["key"]
            )
        except Refused as refusal:
            _tell(form, refusal)
        else:
            vault.store(service=service, secret=secret, label=form.cleaned_data["label"], user=principal.user)
            messages.success(request, _("La chiave di %(service)s è in cassaforte.") % {"service": service})
            return redirect("api-keys")
    context = {"page": "api-keys", "page_title": _("Aggiungi una chiave"), "form": form}
    return render(request, "identity/key_new.html", context, status=400 if form.errors else 200)


@never_cache
@sensitive_post_parameters("key")
@require_http_methods(["GET", "POST"])
def replace(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """Put another secret in a key's place."""
    demand_in_person(request, MANAGE)
    key = vault.key_for(key_id)
    form = ReplaceForm(_posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            _service, secret = vault.read(service=key.service, secret=form.cleaned_data["key"])
        except Refused as refusal:
            _tell(form, refusal)
        else:
            vault.replace(key_id=key.id, secret=secret, now=timezone.now())
            messages.success(request, _("Chiave cambiata. Vale da subito, ovunque."))
            return redirect("api-keys")
    context = {
        "page": "api-keys",
        "page_title": _("Cambia la chiave"),
        "form": form,
        "key": key,
        "masked": vault.masked(key),
    }
    return render(request, "identity/key_replace.html", context, status=400 if form.errors else 200)


@require_POST
def switch(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """Disable a provider's key at once, or let it be used again."""
    demand_in_person(request, MANAGE)
    on = request.POST.get("on") == "on"
    key = vault.switch(key_id=key_id, is_active=on)
    text = _("%(service)s: la chiave si usa di nuovo.") if on else _("%(service)s: la chiave è disattivata.")
    messages.success(request, text % {"service": key.service})
    return redirect("api-keys")


@never_cache
@require_http_methods(["GET", "POST"])
def new_access(request: HttpRequest) -> HttpResponse:
    """Make a key for our API. It is in the answer to this very request and nowhere else."""
    principal = demand_in_person(request, MANAGE)
    form = AccessForm(_posted(request))
    chosen = request.POST.getlist("permission")
    if request.method == "POST" and form.is_valid():
        now = timezone.now()
        try:
            _key, clear = api_keys.create(
                name=form.cleaned_data["name"],
                wanted=chosen,
                principal=principal,
                expires_at=_end_of(form.cleaned_data["life"], now),
                now=now,
            )
        except Refused as refusal:
            _tell(form, refusal)
        else:
            return _page(request, principal, {"new_key": clear})
    context = {
        "page": "api-keys",
        "page_title": _("Crea una chiave per la nostra API"),
        "form": form,
        "grants": _grants(principal, chosen),
        "permission_errors": form.errors.get("permissions", []),
    }
    return render(request, "identity/access_key_new.html", context, status=400 if form.errors else 200)


@require_POST
def revoke(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """End a key for our API."""
    demand_in_person(request, MANAGE)
    key = api_keys.revoke(key_id=key_id, now=timezone.now())
    messages.success(
        request, _("«%(name)s» è revocata: da adesso chi la usa riceve 401.") % {"name": key.name}
    )
    return redirect("api-keys")


def _page(request: HttpRequest, principal: Principal, extra: dict[str, Any]) -> HttpResponse:
    now = timezone.now()
    words = _words()
    context = {
        "page": "api-keys",
        "page_title": _("Chiavi"),
        "keys": [
            {"key": key, "masked": vault.masked(key)}
            for key in VaultKey.objects.order_by("-is_active", "service", "-created_at")
        ],
        "access_keys": [_access_row(key, words, now) for key in ApiKey.objects.order_by("-created_at")],
        "now": now,
        **extra,
    }
    return render(request, "identity/keys.html", context)


def _access_row(key: ApiKey, words: dict[str, str], now: datetime) -> AccessRow:
    may = ", ".join(words.get(code, code) for code in key.permissions)
    if key.revoked_at:
        return AccessRow(key, "", "circle-x", _("Revocata"), may)
    if key.expires_at and key.expires_at <= now:
        return AccessRow(key, "warn", "alert-triangle", _("Scaduta"), may)
    return AccessRow(key, "ok", "circle-check", _("Attiva"), may)


def _words() -> dict[str, str]:
    """Return what each permission lets a key do, in words, in the order in which they are offered."""
    return {
        "view_contacts": _("leggere lead e contatti"),
        "create_lead": _("creare lead"),
        "edit_contacts": _("modificare contatti"),
        "manage_deals": _("muovere trattative"),
        "manage_activities": _("scrivere attività"),
        "view_routing": _("leggere chiamate e cifre"),
        "manage_routing": _("gestire agenti e chiamate"),
        "manage_intake": _("gestire fonti e ingressi"),
        "view_analytics": _("leggere le analisi"),
    }


def _grants(principal: Principal, chosen: list[str]) -> list[Grant]:
    """Return what a key made by this person could be allowed."""
    return [
        Grant(code, text, code in chosen)
        for code, text in _words().items()
        if code in permissions.NAMED and principal.may(code)
    ]


def _posted(request: HttpRequest) -> Any:
    return request.POST if request.method == "POST" else None


def _tell(form: forms.Form, refusal: Refused) -> None:
    """Show a refusal at the fields it names, else above the form."""
    for name, sentences in refusal.details.items():
        if name in form.fields:
            form.add_error(name, sentences)
        else:
            form.errors[name] = form.error_class(sentences)
    if not refusal.details:
        form.add_error(None, str(refusal))


def _end_of(life: str, now: datetime) -> datetime | None:
    """Return the end of the last day of a life in days, in the brand's zone; None without one."""
    if life not in LIVES:
        return None
    last_day = timezone.localdate(now) + timedelta(days=LIVES[life])
    return timezone.make_aware(datetime.combine(last_day, time(23, 59, 59)))
