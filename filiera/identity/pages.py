"""Signing in and out."""

from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from filiera.identity import commands, google, passkeys, sessions
from filiera.identity.models import User
from filiera.platform.refusals import Refused


@login_not_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Show the door and open it. Who is already inside goes on to where they wanted to go."""
    onward = page_asked_for(request)
    if request.method == "GET":
        if getattr(request, "principal", None):
            return HttpResponseRedirect(onward)
        return door(request, {"next": onward})
    email = request.POST.get("email", "").replace("\x00", "")
    try:
        user = commands.sign_in(
            email=email,
            password=request.POST.get("password", ""),
            ip_address=sessions.address_of(request),
            now=timezone.now(),
        )
    except commands.SecondFactorAsked as asked:
        return door(request, {"next": onward, "step": asked.step}, page="identity/code.html")
    except commands.WrongCredentials as refusal:
        context = {
            "next": onward,
            "email": email,
            "headline": _("E-mail o password non corrispondono."),
            "refusal": str(refusal),
        }
        return door(request, context, refusal.status)
    except Refused as refusal:
        return door(request, {"next": onward, "email": email, "refusal": str(refusal)}, refusal.status)
    return inside(request, user, onward)


@login_not_required
@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def sign_in_with_code(request: HttpRequest) -> HttpResponse:
    """Take the code of the second factor, after the password."""
    if request.method == "GET":
        return redirect("login")
    onward, step = page_asked_for(request), request.POST.get("step", "")
    try:
        user = commands.second_step(
            step=step,
            code=request.POST.get("code", "").replace("\x00", "")[:20],
            ip_address=sessions.address_of(request),
            now=timezone.now(),
        )
    except commands.WrongCode as refusal:
        context = {
            "next": onward,
            "step": step,
            "headline": _("Il codice non è giusto, o è già stato usato."),
            "refusal": str(refusal),
        }
        return door(request, context, refusal.status, page="identity/code.html")
    except Refused as refusal:
        return door(request, {"next": onward, "refusal": str(refusal)}, refusal.status)
    return inside(request, user, onward)


@login_not_required
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    answer = redirect("login")
    sessions.leave(request, answer, now=timezone.now())
    return answer


@login_not_required
@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """Remember the language of who is not signed in yet, in a cookie."""
    language = request.POST.get("language", "")
    answer = redirect("login")
    if language in dict(settings.LANGUAGES):
        answer.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            language,
            max_age=365 * 24 * 3600,
            samesite="Lax",
            httponly=True,
        )
    return answer


def inside(request: HttpRequest, user: User, onward: str) -> HttpResponse:
    """Begin the session. Who works in no brand yet finds their own account instead of an empty workspace."""
    answer = HttpResponseRedirect(onward)
    opened = sessions.enter(request, answer, user, now=timezone.now())
    if opened.session.working_brand_id is None:
        answer["Location"] = reverse("account")
    return answer


def door(
    request: HttpRequest, context: dict[str, str], status: int = 200, *, page: str = "identity/sign_in.html"
) -> HttpResponse:
    """Return the page of the door, or the one after it, with what it has to say."""
    with_google = (
        {"google_address": _google_address(context.get("next", ""))} if google.is_configured() else {}
    )
    with_passkey = {
        "offers_passkeys": _offers_passkeys(context.get("step", "")),
        "base_url": settings.BASE_URL,
    }
    answer = render(request, page, with_google | with_passkey | context, status=status)
    answer["Cache-Control"] = "no-store"
    return answer


def _offers_passkeys(step: str) -> bool:
    """Say whether a passkey may answer here: anybody's at the door, after the password of who has one."""
    if not passkeys.are_possible():
        return False
    try:
        return not step or bool(passkeys.of(commands.at_second_step(step)))
    except commands.WrongCredentials:
        return False


def _google_address(onward: str) -> str:
    """Return where the way to Google begins: under our own name, to which Google sends the browser back."""
    wanted = f"?{urlencode({'next': onward})}" if onward else ""
    return f"{settings.BASE_URL}{reverse('api-v1:google')}{wanted}"


def page_asked_for(request: HttpRequest) -> str:
    """Return the page asked for, when it is one of ours; otherwise the first page."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    ours = wanted.startswith("/") and url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    if ours:
        return wanted
    return "/oggi"
