"""Passkeys, as a browser meets them: signing in with one, and adding, naming and removing one's own.

The browser's own dialog needs a challenge first. `frontend/src/js/passkeys.js` asks for it with the form it is about to
send, lets the browser answer, and sends the form with the answer in it.
"""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from filiera.identity import commands, pages, pages_account, passkeys, sessions
from filiera.identity.pages_account import is_required_of, sentence_of, shown, text_of, user_of
from filiera.platform.refusals import Invalid, Refused


@login_not_required
@require_POST
def options_to_use(request: HttpRequest) -> JsonResponse:
    """Answer with a challenge: for whoever comes, or for who said their password a moment ago."""
    step = request.POST.get("step", "")
    try:
        user = commands.at_second_step(step) if step else None
        options = passkeys.options_to_use(user, now=timezone.now())
    except Refused as refusal:
        return _told({"refusal": str(refusal)}, refusal.status)
    return _told({"options": options})


@login_not_required
@sensitive_post_parameters("credential")
@require_POST
def sign_in(request: HttpRequest) -> HttpResponse:
    """Open the door to a passkey, in place of the password or of the code after it."""
    onward, step = pages.page_asked_for(request), request.POST.get("step", "")
    try:
        user = commands.with_passkey(
            answer=_answer(request),
            step=step,
            ip_address=sessions.address_of(request),
            now=timezone.now(),
        )
    except passkeys.NotRecognised as refusal:
        page = "identity/code.html" if step else "identity/sign_in.html"
        context = {"next": onward, "step": step, "refusal": str(refusal), "by_other": "yes"}
        return pages.door(request, context, refusal.status, page=page)
    except Refused as refusal:
        return pages.door(
            request, {"next": onward, "refusal": str(refusal), "by_other": "yes"}, refusal.status
        )
    return pages.inside(request, user, onward)


@sensitive_post_parameters("password")
@require_POST
def options_to_add(request: HttpRequest) -> JsonResponse:
    """Answer with the challenge for a new passkey, to who says their password once more."""
    user, now = user_of(request), timezone.now()
    try:
        with commands.counting_codes(user, ip_address=sessions.address_of(request), now=now):
            commands.demand_password(user, request.POST.get("password", ""))
        options = passkeys.options_to_add(user, now=now)
    except Refused as refusal:
        return _told({"refusal": sentence_of(refusal)}, refusal.status)
    return _told({"options": options})


@sensitive_post_parameters("credential", "password")
@require_http_methods(["GET", "POST"])
def add(request: HttpRequest) -> HttpResponse:
    """Show how to add a passkey, and keep the one that the browser made."""
    if request.method == "GET":
        return _new(request)
    name = text_of(request, "name", passkeys.LONGEST_NAME)
    try:
        codes = passkeys.add(user_of(request), name=name, answer=_answer(request), now=timezone.now())
    except Refused as refusal:
        return _new(request, {"name": name, "refusal": sentence_of(refusal)}, refusal.status)
    if codes:
        return shown(request, "identity/recovery_codes.html", {"codes": codes})
    messages.success(request, _("La passkey «%(name)s» ora ti fa entrare.") % {"name": name})
    return redirect("account")


@require_http_methods(["GET", "POST"])
def rename(request: HttpRequest, passkey_id: int) -> HttpResponse:
    """Show one passkey, and call it by another name."""
    user = user_of(request)
    if request.method == "GET":
        return _one(request, passkey_id)
    try:
        passkeys.rename(user, passkey_id, name=text_of(request, "name", passkeys.LONGEST_NAME))
    except Invalid as refusal:
        return _one(request, passkey_id, {"name_refusal": sentence_of(refusal)}, refusal.status)
    messages.success(request, _("Nome salvato."))
    return redirect("account")


@sensitive_post_parameters("password")
@require_POST
def remove(request: HttpRequest, passkey_id: int) -> HttpResponse:
    """Take a passkey away, with the password."""
    user, now = user_of(request), timezone.now()
    passkeys.one_of(user, passkey_id)
    try:
        with commands.counting_codes(user, ip_address=sessions.address_of(request), now=now):
            commands.demand_password(user, request.POST.get("password", ""))
        passkeys.remove(user, passkey_id, is_required=is_required_of(user))
    except Refused as refusal:
        return _one(request, passkey_id, {"refusal": sentence_of(refusal)}, refusal.status)
    messages.success(request, _("La passkey è tolta. Cancellala anche dal dispositivo che la teneva."))
    return redirect("account")


def _new(request: HttpRequest, context: dict[str, Any] | None = None, status: int = 200) -> HttpResponse:
    told = {
        "is_required": getattr(request, "lacks_second_factor", False),
        "is_possible": passkeys.are_possible(),
        "base_url": settings.BASE_URL,
        "name": pages_account.this_device(request),
    }
    return shown(request, "identity/passkey_new.html", told | (context or {}), status)


def _one(
    request: HttpRequest, passkey_id: int, context: dict[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    told: dict[str, Any] = {"passkey": passkeys.one_of(user_of(request), passkey_id)}
    return shown(request, "identity/passkey.html", told | (context or {}), status)


def _answer(request: HttpRequest) -> str:
    return request.POST.get("credential", "")[: passkeys.LONGEST_ANSWER]


def _told(told: dict[str, Any], status: int = 200) -> JsonResponse:
    answer = JsonResponse(told, status=status)
    answer["Cache-Control"] = "no-store"
    return answer
