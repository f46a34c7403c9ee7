"""One's own account: opening it, its address, its password, the second factor, the devices."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from filiera.identity import (
    accounts,
    commands,
    google_accounts,
    leaving,
    passkeys,
    queries,
    second_factor,
    sessions,
)
from filiera.identity.models import Session, User
from filiera.platform.refusals import Refused

_SYSTEMS = ("Windows", "Android", "iPhone", "iPad", "Mac OS", "Linux")
_BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}


@dataclass(frozen=True, slots=True)
class Device:
    """A session as a person recognises it."""

    session: Session
    name: str
    is_current: bool


@login_not_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    """Open an account that nobody gave a role yet."""
    if request.method == "GET":
        return shown(request, "identity/register.html", {})
    given = {name: text_of(request, name, longest) for name, longest in _REGISTRATION.items()}
    try:
        accounts.register(
            **given,
            password=request.POST.get("password", ""),
            language=request.LANGUAGE_CODE or "it",
            now=timezone.now(),
        )
    except Refused as refusal:
        context = {"given": given, "faults": refusal.details, "refusal": str(refusal)}
        return shown(request, "identity/register.html", context, refusal.status)
    return _told(
        request,
        _("Ti abbiamo scritto"),
        _("Apri il link che trovi nella tua posta: vale 24 ore."),
        ("login", _("Torna all’ingresso")),
    )


_REGISTRATION = {"email": 255, "first_name": 100, "last_name": 100}


@login_not_required
@require_http_methods(["GET", "POST"])
def verify(request: HttpRequest) -> HttpResponse:
    """Prove an address. The letter's link asks first: programs that look at links must not use it up."""
    if request.method == "GET":
        return shown(request, "identity/verify.html", {"token": request.GET.get("token", "")})
    try:
        accounts.verify_email(token=request.POST.get("token", ""), now=timezone.now())
    except Refused as refusal:
        return _told(
            request,
            _("Il link non vale più"),
            str(refusal),
            ("login", _("Torna all’ingresso")),
            refusal.status,
        )
    return _told(request, _("Indirizzo confermato"), _("Ora puoi entrare."), ("login", _("Entra")))


@login_not_required
@require_http_methods(["GET", "POST"])
def forgotten(request: HttpRequest) -> HttpResponse:
    """Have a letter sent; the answer is the same for every address."""
    if request.method == "GET":
        return shown(request, "identity/forgotten.html", {})
    accounts.ask_for_reset(email=text_of(request, "email", 255))
    return _told(
        request,
        _("Guarda la posta"),
        _("Se con quell’indirizzo c’è un account, tra poco arriva un link per scegliere una nuova password."),
        ("login", _("Torna all’ingresso")),
    )


@login_not_required
@sensitive_post_parameters("password", "token")
@require_http_methods(["GET", "POST"])
def reset(request: HttpRequest) -> HttpResponse:
    """Replace the password with a letter's token."""
    token = (request.POST if request.method == "POST" else request.GET).get("token", "")
    context: dict[str, Any] = {"token": token}
    if request.method == "GET" and accounts.may_reset(token=token, now=timezone.now()):
        return shown(request, "identity/reset.html", context)
    try:
        accounts.reset_password(token=token, password=request.POST.get("password", ""), now=timezone.now())
    except accounts.UselessToken as refusal:
        return _told(
            request,
            _("Il link non vale più"),
            str(refusal),
            ("forgotten", _("Chiedine uno nuovo")),
            refusal.status,
        )
    except Refused as refusal:
        context |= {"faults": refusal.details, "refusal": str(refusal)}
        return shown(request, "identity/reset.html", context, refusal.status)
    return _told(request, _("Password cambiata"), _("Ora entra con quella nuova."), ("login", _("Entra")))


@require_GET
def account(request: HttpRequest) -> HttpResponse:
    """Show the devices that are signed in, and the second factor."""
    return _account(request)


@require_POST
def end_session(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Sign one device out."""
    sessions.end(session_id, user=user_of(request), now=timezone.now(), reason="ended by the person")
    messages.success(request, _("Il dispositivo è uscito."))
    return redirect("account")


@require_POST
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    """Sign every other device out."""
    session: Session = request.auth_session  # type: ignore[attr-defined]
    sessions.end_all(user=user_of(request), but=session.pk, now=timezone.now(), reason="ended by the person")
    messages.success(request, _("Tutti gli altri dispositivi sono usciti."))
    return redirect("account")


@require_http_methods(["GET", "POST"])
def set_up_second_factor(request: HttpRequest) -> HttpResponse:
    """Show the secret as a picture, and turn the second factor on with a first code."""
    user, now = user_of(request), timezone.now()
    refusal = None
    if request.method == "POST":
        try:
            with commands.counting_codes(user, ip_address=sessions.address_of(request), now=now):
                codes = second_factor.enable(user, code=text_of(request, "code", 20), now=now)
            return shown(request, "identity/recovery_codes.html", {"codes": codes})
        except Refused as refused:
            refusal = refused
    try:
        setup = second_factor.set_up(user)
    except second_factor.AlreadyOn:
        return redirect("account")
    context = {
        "secret": setup.secret,
        "svg": mark_safe(setup.svg),  # drawn by our library from our own address
        "is_required": getattr(request, "lacks_second_factor", False),
        "passkeys_are_possible": passkeys.are_possible(),
        "refusal": str(refusal) if refusal else "",
    }
    return shown(request, "identity/second_factor.html", context, refusal.status if refusal else 200)


@require_POST
def renew_recovery_codes(request: HttpRequest) -> HttpResponse:
    """Show new recovery codes, or turn the second factor off; both for a code."""
    user, now, code = user_of(request), timezone.now(), text_of(request, "code", 20)
    try:
        with commands.counting_codes(user, ip_address=sessions.address_of(request), now=now):
            if request.POST.get("what") == "off":
                second_factor.disable(user, code=code, is_required=is_required_of(user), now=now)
                messages.success(request, _("La verifica in due passaggi è spenta."))
                return redirect("account")
            codes = second_factor.renew_recovery_codes(user, code=code, now=now)
    except Refused as refusal:
        return _account(request, refusal)
    return shown(request, "identity/recovery_codes.html", {"codes": codes})


@sensitive_post_parameters("password")
@require_POST
def close(request: HttpRequest) -> HttpResponse:
    """Close the account: out at once, and erased in thirty days."""
    user, now = user_of(request), timezone.now()
    try:
        with commands.counting_codes(user, ip_address=sessions.address_of(request), now=now):
            leaving.leave(user=user, password=request.POST.get("password", ""), now=now)
    except Refused as refusal:
        return _account(request, close_refusal=refusal)
    day = date_format(timezone.localtime(leaving.ends_at(user)), "j F Y")
    answer = _told(
        request,
        _("Il tuo account è chiuso"),
        _(
            "Il %(day)s cancelliamo i tuoi dati personali. Fino ad allora chi amministra il tuo marchio può riaprirlo:"
            " te lo abbiamo scritto anche per e-mail."
        )
        % {"day": day},
        ("login", _("Torna all’ingresso")),
    )
    sessions.leave(request, answer, now=now)
    return answer


def _account(
    request: HttpRequest, refusal: Refused | None = None, close_refusal: Refused | None = None
) -> HttpResponse:
    user = user_of(request)
    own: Session = request.auth_session  # type: ignore[attr-defined]
    context = {
        "principal": getattr(request, "principal", None),
        "devices": [
            Device(session, _device_name(session), session.pk == own.pk)
            for session in sessions.devices_of(user, now=timezone.now())
        ],
        "second_factor_is_on": second_factor.is_on(user),
        "makes_codes": second_factor.makes_codes(user),
        "passkeys": passkeys.of(user),
        "passkeys_are_possible": passkeys.are_possible(),
        "second_factor_is_required": is_required_of(user),
        "codes_left": second_factor.recovery_codes_left(user),
        "refusal": str(refusal) if refusal else "",
        "close_refusal": sentence_of(close_refusal),
        "is_with_google": google_accounts.is_linked(user),
    }
    status = next((one.status for one in (refusal, close_refusal) if one), 200)
    return shown(request, "identity/account.html", context, status)


def sentence_of(refusal: Refused | None) -> str:
    """Return why not, as near to the field as the refusal knows it."""
    if refusal is None:
        return ""
    return (
        next((sentences[0] for sentences in refusal.details.values()), str(refusal))
        if refusal.details
        else str(refusal)
    )


def this_device(request: HttpRequest) -> str:
    """Return what the person calls the device they are at."""
    return _device_name(request.auth_session)  # type: ignore[attr-defined]


def _device_name(session: Session) -> str:
    """Return what a person calls a device, from what its browser says of itself."""
    if session.kind == Session.Kind.API:
        return _("Un programma")
    said = session.user_agent
    browser = next((name for mark, name in _BROWSERS.items() if mark in said), "")
    system = next((name for name in _SYSTEMS if name in said), "")
    return " · ".join(part for part in (browser, system) if part) or _("Un browser")


def is_required_of(user: User) -> bool:
    return second_factor.is_required_of(role for own in queries.roles_of(user.id).values() for role in own)


def user_of(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def text_of(request: HttpRequest, name: str, longest: int) -> str:
    return request.POST.get(name, "").replace("\x00", "").encode("utf-8", "ignore").decode()[:longest]


def _told(
    request: HttpRequest, headline: str, sentence: str, onward: tuple[str, str], status: int = 200
) -> HttpResponse:
    context = {"headline": headline, "sentence": sentence, "onward": onward[0], "onward_label": onward[1]}
    return shown(request, "identity/told.html", context, status)


def shown(request: HttpRequest, page: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    answer = render(request, page, context, status=status)
    answer["Cache-Control"] = "no-store"
    return answer
