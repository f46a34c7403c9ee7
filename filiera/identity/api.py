"""Signing in and one's own account, over HTTP (identity.md 3)."""

from contextlib import AbstractContextManager
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from ninja import Field, Router, Schema, Status
from ninja.utils import check_csrf
from pydantic import AfterValidator

from filiera.identity import (
    accounts,
    commands,
    leaving,
    pages_google,
    queries,
    second_factor,
    sessions,
    tokens,
)
from filiera.identity.models import Session, User
from filiera.platform.api import historic_failure, ok
from filiera.platform.refusals import Forbidden, Refused

router = Router(tags=["identity"])


def signed_in(request: HttpRequest) -> Any:
    """Let a person with a living session through, also one without a role in any brand; others hear 401.

    What changes something must bring the CSRF token when a cookie signed in. Raises Forbidden without it.
    """
    user = request.user if request.user.is_authenticated else None
    if user and check_csrf(request):
        raise Forbidden(_("Manca il gettone CSRF: mandalo nell’intestazione X-CSRFToken."))
    return user


def _storable(text: str) -> str:
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("not a text")
    return text


Text = Annotated[str, AfterValidator(_storable)]
Secret = Annotated[Text, Field(min_length=1, max_length=4096)]


Email = Annotated[Text, Field(max_length=255)]


class Credentials(Schema):
    email: Email
    password: Secret
    totp: Annotated[Text, Field(max_length=20)] = ""


class RefreshToken(Schema):
    refresh_token: Annotated[Text, Field(max_length=4096)]


@router.post("/auth/login", auth=None)
def login(request: HttpRequest, given: Credentials) -> Any:
    """Return an access token for 15 minutes and a refresh token for 7 days."""
    now = timezone.now()
    user = commands.sign_in(
        email=given.email,
        password=given.password,
        code=given.totp,
        ip_address=sessions.address_of(request),
        now=now,
    )
    opened = sessions.open_session(
        user=user,
        kind=Session.Kind.API,
        ip_address=sessions.address_of(request),
        user_agent=request.headers.get("User-Agent", ""),
        now=now,
    )
    return _without_store(request, _tokens(opened))


@router.post("/auth/refresh", auth=None)
def refresh(request: HttpRequest, given: RefreshToken) -> Any:
    """Return new tokens for a refresh token; one that was used before ends its session."""
    return _without_store(request, _tokens(sessions.refresh(given.refresh_token, now=timezone.now())))


@router.post("/auth/logout", auth=signed_in, response={204: None})
def logout(request: HttpRequest) -> HttpResponse:
    """End the session: its access token opens nothing from here on."""
    answer = HttpResponse(status=204)
    sessions.leave(request, answer, now=timezone.now())
    return answer


@router.get("/auth/google", auth=None, response={302: None})
def google(request: HttpRequest) -> HttpResponse:
    """Send a browser to Google; it comes back to /api/auth/callback/google and is signed in there."""
    return pages_google.begin(request)


class Registration(Schema):
    email: Email
    password: Secret
    first_name: Annotated[Text, Field(max_length=100)] = ""
    last_name: Annotated[Text, Field(max_length=100)] = ""


class OnlyEmail(Schema):
    email: Email


class OnlyToken(Schema):
    token: Annotated[Text, Field(max_length=255)]


class NewPassword(OnlyToken):
    password: Secret


class OnlyCode(Schema):
    code: Annotated[Text, Field(max_length=20)]


@router.post("/auth/register", auth=None, response={201: dict[str, Any]})
def register(request: HttpRequest, given: Registration) -> Any:
    """Open an account; it signs in once its address is proven, and may do nothing before somebody gives it a role."""
    user = accounts.register(**given.dict(), language=request.LANGUAGE_CODE or "it", now=timezone.now())
    return Status(201, ok(request, {"id": str(user.id), "email": user.email, "name": user.name}))


@router.post("/auth/verify-email", auth=None)
def verify_email(request: HttpRequest, given: OnlyToken) -> Any:
    """Prove the address with the token that was sent to it."""
    user = accounts.verify_email(token=given.token, now=timezone.now())
    return ok(request, {"email": user.email, "email_verified": True})


@router.post("/auth/forgot-password", auth=None, response={202: dict[str, Any]})
def forgot_password(request: HttpRequest, given: OnlyEmail) -> Any:
    """Have a letter sent, if the address has an account; the answer is the same for all."""
    accounts.ask_for_reset(email=given.email)
    return Status(202, ok(request, {}))


@router.post("/auth/reset-password", auth=None)
def reset_password(request: HttpRequest, given: NewPassword) -> Any:
    """Replace the password with the token of the letter; every session of the person ends."""
    accounts.reset_password(token=given.token, password=given.password, now=timezone.now())
    return ok(request, {})


@router.post("/auth/mfa/setup", auth=signed_in)
def set_up_second_factor(request: HttpRequest) -> Any:
    """Begin with the second factor: its secret, for an app that makes codes."""
    setup = second_factor.set_up(_user(request))
    return _without_store(request, {"secret": setup.secret, "otpauth_url": setup.url, "qr_svg": setup.svg})


@router.post("/auth/mfa/enable", auth=signed_in)
def enable_second_factor(request: HttpRequest, given: OnlyCode) -> Any:
    """Turn the second factor on with a first code; the recovery codes are told in this answer only."""
    with _counting_codes(request):
        codes = second_factor.enable(_user(request), code=given.code, now=timezone.now())
    return _without_store(request, {"mfa_enabled": True, "backup_codes": codes})


@router.post("/auth/mfa/disable", auth=signed_in)
def disable_second_factor(request: HttpRequest, given: OnlyCode) -> Any:
    """Turn the codes of the app off, where no role asks for them or a passkey remains."""
    user = _user(request)
    roles = [role for own in queries.roles_of(user.id).values() for role in own]
    with _counting_codes(request):
        second_factor.disable(
            user, code=given.code, is_required=second_factor.is_required_of(roles), now=timezone.now()
        )
    return ok(request, {"mfa_enabled": second_factor.is_on(user)})


@router.post("/auth/mfa/backup-codes", auth=signed_in)
def renew_backup_codes(request: HttpRequest, given: OnlyCode) -> Any:
    """Return new recovery codes, in this answer only; the old ones are void."""
    with _counting_codes(request):
        codes = second_factor.renew_recovery_codes(_user(request), code=given.code, now=timezone.now())
    return _without_store(request, {"backup_codes": codes})


# The person who asks


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError("no such time zone") from error
    return name


Street = Annotated[Text, Field(max_length=255)]


class Address(Schema):
    street: Street = ""
    city: Annotated[Text, Field(max_length=100)] = ""
    zip: Annotated[Text, Field(max_length=20)] = ""
    province: Annotated[Text, Field(max_length=100)] = ""
    country: Annotated[Text, Field(max_length=2)] = ""


class ProfileChanges(Schema):
    first_name: Annotated[Text, Field(max_length=100)] = ""
    last_name: Annotated[Text, Field(max_length=100)] = ""
    phone: Annotated[Text, Field(max_length=20)] = ""
    company_name: Annotated[Text, Field(max_length=255)] = ""
    vat_number: Annotated[Text, Field(max_length=20)] = ""
    fiscal_code: Annotated[Text, Field(max_length=16)] = ""
    pec_email: Annotated[Text, Field(max_length=255)] = ""
    sdi_code: Annotated[Text, Field(max_length=7)] = ""
    billing_address: Address = Address()
    shipping_address: Address = Address()
    language: Literal["it_IT", "en_US"] = "it_IT"
    timezone: Annotated[Text, Field(max_length=50), AfterValidator(_zone)] = "Europe/Rome"


class Me(Schema):
    name: Annotated[Text, Field(min_length=1, max_length=255)] | None = None
    profile: ProfileChanges | None = None


class Leaving(Schema):
    password: Secret


@router.get("/users/me", auth=signed_in)
def read_me(request: HttpRequest) -> Any:
    """Return the person who asks, their brands and what they may do in the present one."""
    return ok(request, _me(request))


@router.patch("/users/me", auth=signed_in)
def change_me(request: HttpRequest, given: Me) -> Any:
    """Change the fields that are sent."""
    changes = given.profile.dict(exclude_unset=True) if given.profile else {}
    accounts.change_profile(user=_user(request), name=given.name, changes=changes)
    return ok(request, _me(request))


@router.delete("/users/me", auth=signed_in)
def delete_me(request: HttpRequest, given: Leaving) -> Any:
    """Close the account at once; after 30 days its data is erased, until then an administrator can reopen it."""
    user = _user(request)
    with _counting_codes(request):
        leaving.leave(user=user, password=given.password, now=timezone.now())
    return ok(request, {"id": str(user.id), "erased_at": leaving.ends_at(user)})


@router.get("/users/me/sessions", auth=signed_in)
def list_sessions(request: HttpRequest) -> Any:
    """Return the devices that are signed in, the last used first."""
    own = _session(request)
    return ok(
        request,
        [
            {
                "id": str(session.id),
                "kind": session.kind,
                "ip_address": session.ip_address,
                "user_agent": session.user_agent,
                "created_at": session.created_at,
                "last_seen_at": session.last_seen_at,
                "expires_at": session.refresh_expires_at,
                "is_current": session.pk == own.pk,
            }
            for session in sessions.devices_of(_user(request), now=timezone.now())
        ],
    )


@router.delete("/users/me/sessions/{uuid:session_id}", auth=signed_in, response={204: None})
def end_session(request: HttpRequest, session_id: UUID) -> Any:
    """Sign one device out."""
    sessions.end(session_id, user=_user(request), now=timezone.now(), reason="ended by the person")
    return Status(204, None)


@router.delete("/users/me/sessions", auth=signed_in)
def end_other_sessions(request: HttpRequest) -> Any:
    """Sign every other device out."""
    ended = sessions.end_all(
        user=_user(request), but=_session(request).pk, now=timezone.now(), reason="ended by the person"
    )
    return ok(request, {"ended": ended})


# The browser's door, older than the envelope


@csrf_exempt  # nobody is signed in yet; another site cannot send JSON without asking first, and is told no
@sensitive_post_parameters()
def browser_login(request: HttpRequest) -> HttpResponse:
    """Answer POST /api/auth/login: the cookie of a browser's session (IDN-18)."""
    if request.method != "POST":
        return historic_failure(code="METHOD_NOT_ALLOWED", message=_("Metodo non ammesso."), status=405)
    origin = request.headers.get("Origin", "")
    if origin and origin not in {f"{request.scheme}://{request.get_host()}", *settings.CSRF_TRUSTED_ORIGINS}:
        return historic_failure(code="FORBIDDEN", message=_("Da un’altra pagina non si entra."), status=403)
    try:
        given = Credentials.model_validate(orjson.loads(request.body))
    except ValueError:
        return historic_failure(
            code="VALIDATION_ERROR", message=_("Servono e-mail e password, in JSON."), status=400
        )
    now = timezone.now()
    try:
        user = commands.sign_in(
            email=given.email,
            password=given.password,
            code=given.totp,
            ip_address=sessions.address_of(request),
            now=now,
        )
    except commands.WrongCredentials as refusal:
        return historic_failure(code=refusal.code, message=_("Credenziali non valide"), status=refusal.status)
    except Refused as refusal:
        return historic_failure(code=refusal.code, message=str(refusal), status=refusal.status)
    body = {"user": {"id": str(user.id), "email": user.email, "name": user.name}}
    answer = HttpResponse(orjson.dumps({"success": True, "data": body}), content_type="application/json")
    answer["Cache-Control"] = "no-store"
    sessions.enter(request, answer, user, now=now)
    return answer


# Inside


def _tokens(opened: sessions.Tokens) -> dict[str, Any]:
    return {
        "access_token": opened.access,
        "refresh_token": opened.refresh,
        "expires_in": int(tokens.ACCESS_FOR.total_seconds()),
    }


def _without_store(request: HttpRequest, data: Any) -> HttpResponse:
    answer = HttpResponse(orjson.dumps(ok(request, data)), content_type="application/json")
    answer["Cache-Control"] = "no-store"
    return answer


def _me(request: HttpRequest) -> dict[str, Any]:
    return accounts.told_of(_user(request), getattr(request, "principal", None))


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _counting_codes(request: HttpRequest) -> AbstractContextManager[None]:
    return commands.counting_codes(
        _user(request), ip_address=sessions.address_of(request), now=timezone.now()
    )


def _session(request: HttpRequest) -> Session:
    session: Session = request.auth_session  # type: ignore[attr-defined]
    return session
