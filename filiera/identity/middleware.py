"""Who asks, for which brand: set once, before any view, for the whole transaction of the request."""

from collections.abc import Callable
from contextlib import nullcontext
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from filiera.identity import api_keys, google, sessions, walls
from filiera.identity.models import User
from filiera.identity.permissions import Principal
from filiera.platform import actor, api, brand_scope, logs

Next = Callable[[HttpRequest], HttpResponse]
# What there is for who has yet to set up the second factor that their role asks for: setting it up, and leaving.
WITHOUT_SECOND_FACTOR = (
    *("/account/second-factor", "/account/passkeys", "/logout", "/api/v1/auth/", "/api/auth/"),
)


class PrincipalAndBrand:
    """Verify the token of the request, name the principal and open the brand scope; nobody means no brand and no rows.

    Programs send `Authorization: Bearer` under /api/, or a key under /api/v1/, where it is the only thing that counts;
    browsers send the cookie, with the CSRF token on what changes something. A key has a principal and no user: it never
    acts on its creator's own account. An answer of 500 and above rolls everything back. The brand
    is always set, also to none: inside an outer transaction (a test's) the setting of an earlier request would still
    be there. Only where a view waits for another house is no transaction open around it.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        now = timezone.now()
        key = api_keys.presented(request)
        bearer = _bearer(request) if key is None else ""
        token = request.COOKIES.get(sessions.COOKIE, "") if bearer is None else bearer
        found = sessions.look_up(token, wanted=_asked_brand(request), now=now) if token else None
        principal = found.principal if found else None
        request.user = found.user if found else AnonymousUser()
        if key is not None:
            principal = api_keys.look_up(key, now=now)
        request.principal = principal  # type: ignore[attr-defined]
        request.auth_session = found.session if found else None  # type: ignore[attr-defined]
        request.lacks_second_factor = bool(found and found.lacks_second_factor)  # type: ignore[attr-defined]
        if bearer is not None:  # another site cannot send it, so no form can be forged with it
            request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
        person = found.user if found else principal.user if principal else None
        language = person.language if person else _guest_language(request)
        brand = principal.brand if principal else None
        logs.note(user_id=str(person.id) if person else None, brand_id=str(brand.id) if brand else None)
        with translation.override(language):
            refusal = walls.refuse(
                request, principal=principal, shows_credentials=bool(key or bearer), now=now
            ) or _refuse_other_brand(request, principal)
        if refusal is not None:
            return refusal
        waits_for_others = request.path in google.ADDRESSES
        with (
            translation.override(language),
            timezone.override(brand.timezone if brand else settings.TIME_ZONE),
            actor.acting(_actor(request, person, principal)),
            nullcontext() if waits_for_others else brand_scope.use(brand.id if brand else None),
        ):
            request.LANGUAGE_CODE = language
            response = self.get_response(request)
            if hasattr(response, "render") and not getattr(response, "is_rendered", True):
                response = response.render()
            if response.status_code >= 500 and not waits_for_others:
                transaction.set_rollback(True)
            response.setdefault("Content-Language", language)
        if found and found.is_due and sessions.COOKIE not in response.cookies:
            sessions.renew_cookie(response, found, now=now)
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: object, kwargs: object
    ) -> HttpResponse | None:
        """Lead who is not signed in to the door, and who must have a second factor to where they get one (IDN-43).

        Open to both is what a view says is open (login_not_required). In the API each operation asks for itself.
        """
        is_api = request.path.startswith("/api/")
        if getattr(request, "lacks_second_factor", False) and not request.path.startswith(
            WITHOUT_SECOND_FACTOR
        ):
            if is_api:
                return api.failure(
                    request,
                    code="MFA_SETUP_REQUIRED",
                    message=_("Il tuo ruolo chiede la verifica in due passaggi: prima attivala."),
                    status=403,
                )
            if getattr(view, "login_required", True):
                return redirect("second-factor")
        if request.user.is_authenticated or not getattr(view, "login_required", True):
            return None
        return redirect_to_login(request.get_full_path(), reverse("login"))


def _bearer(request: HttpRequest) -> str | None:
    """Return the bearer token of a program's request, empty for a header that holds none; None without a header."""
    header = request.headers.get("Authorization")
    if header is None or not request.path.startswith("/api/"):
        return None
    scheme, _space, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _asked_brand(request: HttpRequest) -> UUID | None:
    """Return the brand that the header of an API client asks for."""
    try:
        return UUID(request.headers.get("X-Brand-ID", ""))
    except ValueError:
        return None


def _refuse_other_brand(request: HttpRequest, principal: Principal | None) -> HttpResponse | None:
    """Refuse a program that asks for a brand where it may not work: what it sends belongs into no other."""
    is_asked = request.path.startswith("/api/") and bool(request.headers.get("X-Brand-ID"))
    if not is_asked or principal is None or _asked_brand(request) == principal.brand.id:
        return None
    return api.failure(
        request, code="NOT_FOUND", message=_("Questo marchio non c’è, o non è fra i tuoi."), status=404
    )


def _actor(request: HttpRequest, person: User | None, principal: Principal | None) -> actor.Actor:
    """Return who acts, as the record of changes names them; with a key, the key and the person who made it."""
    key_id = principal.api_key_id if principal else None
    return actor.Actor(
        kind=actor.PERSON if person and not key_id else actor.PROGRAM,
        name=f"api-key:{key_id}" if key_id else person.name if person else "",
        user_id=person.id if person else None,
        request_id=str(getattr(request, "request_id", "")),
        ip_address=request.META.get("REMOTE_ADDR", ""),
        user_agent=request.headers.get("User-Agent", ""),
    )


def _guest_language(request: HttpRequest) -> str:
    chosen = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "")
    return chosen if chosen in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
