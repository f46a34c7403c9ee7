"""Sessions: one for each device that signed in, and the one truth behind cookie and bearer token alike (decision 015).

A browser carries its access token in the cookie `auth-token`, renewed while it is used; a program renews its own with
a refresh token, which is good once. Ending a session ends both at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import connection, models, transaction
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import rotate_token
from django.utils.translation import gettext as _

from filiera.identity import audit, queries, second_factor, tokens
from filiera.identity.models import Brand, Session, User
from filiera.identity.permissions import Principal
from filiera.platform.ids import new_id
from filiera.platform.refusals import Missing, Refused

COOKIE = "auth-token"
SEEN_EVERY = timedelta(minutes=1)
KEEP_ENDED_FOR = timedelta(days=30)

M = TypeVar("M", bound=models.Model)


class SessionOver(Refused):
    """The refresh token is not, or no longer, one that renews."""

    code = "INVALID_TOKEN"
    status = 401


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a program gets: both in clear, for the only time. A browser's refresh token is empty."""

    session: Session
    access: str
    refresh: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who a token of a living session stands for. `principal` is None for a person without a role anywhere."""

    session: Session
    user: User
    principal: Principal | None
    is_due: bool  # the browser's cookie should be renewed
    lacks_second_factor: bool = False  # the roles ask for one, and there is none: `principal` is None


def open_session(
    *,
    user: User,
    kind: str,
    ip_address: str | None = None,
    user_agent: str = "",
    brand_id: UUID | None = None,
    now: datetime,
) -> Tokens:
    """Begin a session of a person who proved who they are, in their first brand unless one is given."""
    if brand_id is None:
        principal = queries.principal_of(user)
        brand_id = principal.brand_id if principal else None
    is_browser = kind == Session.Kind.BROWSER
    session_id = new_id()
    access = _access_token(user.id, session_id, brand_id, is_browser, now)
    refresh = "" if is_browser else _refresh_token(user.id, session_id, now)
    session = Session.objects.create(
        id=session_id,
        user=user,
        kind=kind,
        working_brand_id=brand_id,
        access_token_hash=tokens.digest(access),
        refresh_token_hash=tokens.digest(refresh) if refresh else None,
        expires_at=now + (tokens.SESSION_FOR if is_browser else tokens.ACCESS_FOR),
        refresh_expires_at=now + tokens.SESSION_FOR,
        ip_address=ip_address,
        user_agent=user_agent.replace("\x00", "")[:1000],
        created_at=now,
        last_seen_at=now,
    )
    User.objects.filter(pk=user.pk).update(last_login=now)
    audit.signed_in(user)
    return Tokens(session, access, refresh)


def refresh(token: str, *, now: datetime) -> Tokens:
    """Renew a program's session. Raises SessionOver; a refresh token used before ends the session (IDN-29)."""
    over = SessionOver(_("La sessione è finita: entra di nuovo."))
    try:
        claims = tokens.read(token, kind=tokens.REFRESH, now=now)
    except tokens.BadToken as error:
        raise over from error
    with transaction.atomic():
        session = (
            _living(now)
            .select_related("user")
            .select_for_update(of=("self",))
            .filter(pk=claims.session_id, user_id=claims.user_id, kind=Session.Kind.API)
            .first()
        )
        if session is None or not session.user.is_active:
            raise over
        if session.refresh_token_hash == tokens.digest(token):
            return _renewed(session, now)
        _end(Session.objects.filter(pk=session.pk), "refresh reuse", now)
    raise over


def look_up(token: str, *, wanted: UUID | None = None, now: datetime) -> SignedIn | None:
    """Return who an access token stands for, or None when it is not of a living session.

    Session, person, roles and brands are one statement. Once a minute the use of the session is noted, which also
    moves a browser's end. `wanted` is the brand asked for; one without a role there changes nothing.
    """
    try:
        claims = tokens.read(token, kind=tokens.ACCESS, now=now)
    except tokens.BadToken:
        return None
    with connection.cursor() as cursor:
        cursor.execute(_LOOK_UP, [claims.session_id, claims.user_id, now])
        rows = cursor.fetchall()
    if not rows:
        return None
    session, user = _from_row(Session, rows[0], 0), _from_row(User, rows[0], _USER_AT)
    session.user = user
    brands: dict[UUID, Brand] = {}
    roles: dict[UUID, list[str]] = {}
    for row in rows:
        if row[_BRAND_AT] is not None:
            brand = _from_row(Brand, row, _BRAND_AT)
            brands.setdefault(brand.id, brand)
            roles.setdefault(brand.id, []).append(row[_ROLE_AT])
    if claims.brand_id is not None and claims.brand_id not in brands:
        return None  # made for a brand in which the person works no more, or never did
    principal = queries.principal_in(
        user, brands=tuple(brands.values()), roles=roles, wanted=(wanted, session.working_brand_id)
    )
    lacks = not rows[0][-1] and second_factor.is_required_of(role for own in roles.values() for role in own)
    is_due = now - session.last_seen_at >= SEEN_EVERY
    if is_due:
        _note_use(session, now)
    return SignedIn(
        session,
        user,
        principal=None if lacks else principal,
        is_due=is_due and session.kind == Session.Kind.BROWSER,
        lacks_second_factor=lacks,
    )


def work_in(session: Session, brand: Brand) -> None:
    """Let the session go on in another of the person's brands."""
    session.working_brand = brand
    Session.objects.filter(pk=session.pk).update(working_brand=brand)


def devices_of(user: User, *, now: datetime) -> list[Session]:
    """Return the living sessions of a person, the last used first."""
    return list(_living(now).filter(user=user).order_by("-last_seen_at", "-created_at"))


def count_in(user: User, brand: Brand, *, now: datetime) -> int:
    """Return how many living sessions of a person work in a brand."""
    return _living(now).filter(user=user, working_brand=brand).count()


def end(session_id: UUID, *, user: User, now: datetime, reason: str = "signed out") -> None:
    """End one session of a person. Raises Missing when it is not theirs or is over."""
    if not _end(_living(now).filter(pk=session_id, user=user), reason, now):
        raise Missing(_("Questa sessione non c’è, o è già finita."))


def end_all(
    *, user: User, now: datetime, reason: str, but: UUID | None = None, in_brand: UUID | None = None
) -> int:
    """End every session of a person, `but` one perhaps, or only those at work in a brand; return how many ended."""
    wanted = _living(now).filter(user=user)
    if in_brand is not None:
        wanted = wanted.filter(models.Q(working_brand=in_brand) | models.Q(working_brand=None))
    return _end(wanted.exclude(pk=but) if but else wanted, reason, now)


def forget_old(now: datetime) -> int:
    """Delete sessions that ended 30 days before `now`; return how many."""
    deleted, _by_model = Session.objects.filter(
        models.Q(revoked_at__lt=now - KEEP_ENDED_FOR) | models.Q(refresh_expires_at__lt=now - KEEP_ENDED_FOR)
    ).delete()
    return deleted


# The browser


def enter(request: HttpRequest, response: HttpResponse, user: User, *, now: datetime) -> Tokens:
    """Begin a browser's session and put its cookie on the response."""
    opened = open_session(
        user=user,
        kind=Session.Kind.BROWSER,
        ip_address=address_of(request),
        user_agent=request.headers.get("User-Agent", ""),
        now=now,
    )
    rotate_token(request)
    set_cookie(response, opened.access)
    return opened


def leave(request: HttpRequest, response: HttpResponse, *, now: datetime) -> None:
    """End the session of the request, if it has one, and take the cookie back."""
    session: Session | None = getattr(request, "auth_session", None)
    if session is not None:
        _end(Session.objects.filter(pk=session.pk), "signed out", now)
    response.delete_cookie(COOKIE, samesite="Lax")
    rotate_token(request)


def renew_cookie(response: HttpResponse, signed_in: SignedIn, *, now: datetime) -> None:
    """Put a token with a later end into the cookie."""
    session = signed_in.session
    brand_id = signed_in.principal.brand_id if signed_in.principal else session.working_brand_id
    set_cookie(response, _access_token(signed_in.user.id, session.id, brand_id, True, now))


def set_cookie(response: HttpResponse, token: str) -> None:
    """Give the browser its token: scripts cannot read it, other sites cannot send it with a form (IDN-19)."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(tokens.SESSION_FOR.total_seconds()),
        path="/",
        secure=settings.SECURE_COOKIES,
        httponly=True,
        samesite="Lax",
    )


def address_of(request: HttpRequest) -> str | None:
    """Return the address a request came from."""
    return request.META.get("REMOTE_ADDR") or None


# Inside


def _access_token(
    user_id: UUID, session_id: UUID, brand_id: UUID | None, is_browser: bool, now: datetime
) -> str:
    return tokens.make(
        kind=tokens.ACCESS,
        user_id=user_id,
        session_id=session_id,
        brand_id=brand_id,
        now=now,
        lives=tokens.SESSION_FOR if is_browser else tokens.ACCESS_FOR,
    )


def _refresh_token(user_id: UUID, session_id: UUID, now: datetime) -> str:
    return tokens.make(
        kind=tokens.REFRESH,
        user_id=user_id,
        session_id=session_id,
        brand_id=None,
        now=now,
        lives=tokens.SESSION_FOR,
    )


def _renewed(session: Session, now: datetime) -> Tokens:
    access = _access_token(session.user_id, session.id, session.working_brand_id, False, now)
    renewing = _refresh_token(session.user_id, session.id, now)
    session.access_token_hash, session.refresh_token_hash = tokens.digest(access), tokens.digest(renewing)
    session.expires_at = now + tokens.ACCESS_FOR
    session.refresh_expires_at = now + tokens.SESSION_FOR
    session.last_seen_at = now
    session.save(
        update_fields=[
            *("access_token_hash", "refresh_token_hash", "expires_at", "refresh_expires_at", "last_seen_at")
        ]
    )
    return Tokens(session, access, renewing)


def _living(now: datetime) -> models.QuerySet[Session]:
    return Session.objects.filter(revoked_at=None, refresh_expires_at__gt=now)


def _end(wanted: models.QuerySet[Session], reason: str, now: datetime) -> int:
    people = set(wanted.filter(revoked_at=None).values_list("user_id", flat=True))
    ended = wanted.filter(revoked_at=None).update(revoked_at=now, end_reason=reason)
    for user_id in people if ended else ():
        audit.signed_out(user_id, reason=reason, sessions=ended)
    return ended


def _note_use(session: Session, now: datetime) -> None:
    noted: dict[str, datetime] = {"last_seen_at": now}
    if session.kind == Session.Kind.BROWSER:
        noted |= {
            "expires_at": now + tokens.SESSION_FOR,
            "refresh_expires_at": now + tokens.SESSION_FOR,
        }
    # Whoever of several requests comes first writes; the others find nothing to do.
    Session.objects.filter(pk=session.pk, last_seen_at=session.last_seen_at).update(**noted)


def _columns(alias: str, model: type[models.Model]) -> str:
    return ", ".join(f'{alias}."{field.column}"' for field in model._meta.concrete_fields)


_USER_AT = len(Session._meta.concrete_fields)
_ROLE_AT = _USER_AT + len(User._meta.concrete_fields)
_BRAND_AT = _ROLE_AT + 1
_LOOK_UP = f"""
select {_columns("s", Session)}, {_columns("u", User)}, r.role, {_columns("b", Brand)},
       exists (select from mfa_authenticator a
               where a.user_id = u.id
               and (a.type = 'webauthn' or a.type = 'totp' and not a.data ? 'pending')) as has_second_factor
from identity_session s
join identity_user u on u.id = s.user_id and u.is_active
left join lateral identity_roles_of(u.id) r on true
left join identity_brand b on b.id = r.brand_id and b.is_active
where s.id = %s and s.user_id = %s and s.revoked_at is null and s.refresh_expires_at > %s
order by b.created_at, b.id, r.role
"""


def _from_row(model: type[M], row: tuple[Any, ...], start: int) -> M:
    """Return the model whose columns stand in a row from `start` on, as the ORM would make it."""
    fields: Iterable[Any] = model._meta.concrete_fields
    values = [
        field.from_db_value(value, None, connection) if hasattr(field, "from_db_value") else value
        for field, value in zip(fields, row[start:], strict=False)
    ]
    return model.from_db("default", [field.attname for field in fields], values)
