"""Keys for our own API: shown once, kept as a hash, bound to one brand, and never worth more than who made them.

A key acts for its creator: it may do what is written on it and its creator still may in that brand. One whose creator
was disabled, or lost the brand, opens nothing. It is looked up on every request, so a revoked one ends at once.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext as _

from filiera.identity import permissions, queries
from filiera.identity.models import ApiKey, Brand, User
from filiera.identity.permissions import Principal
from filiera.platform import brand_scope
from filiera.platform.refusals import Invalid, Missing

SCOPE_OF = "/api/v1/"
USED_EVERY = timedelta(minutes=1)
LONGEST_LIFE = timedelta(days=3 * 366)
_OURS = re.compile(r"fil_[A-Za-z0-9_-]{43}")


def create(
    *,
    name: str,
    wanted: Iterable[str],
    principal: Principal,
    expires_at: datetime | None,
    now: datetime,
) -> tuple[ApiKey, str]:
    """Make a key in the principal's brand and return it with its clear text, for the only time.

    Raises Invalid for a name, an end or permissions that cannot be, among them all that the principal lacks.
    """
    name, asked = name.strip(), sorted(set(wanted))
    details: dict[str, list[str]] = {}
    if not name or len(name) > 100 or not name.isprintable():
        details["name"] = [_("Dai un nome alla chiave: dirà a cosa serve.")]
    if not asked:
        details["permissions"] = [_("Scegli almeno una cosa che la chiave può fare.")]
    elif not set(asked) <= permissions.NAMED or not all(map(principal.may, asked)):
        details["permissions"] = [_("Una chiave non può fare più di te.")]
    if expires_at is not None and not now < expires_at <= now + LONGEST_LIFE:
        details["expires_at"] = [_("La scadenza deve essere nel futuro, entro tre anni.")]
    if details:
        raise Invalid(_("Alcuni campi non vanno bene."), details=details)
    clear = f"fil_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        name=name,
        key_hash=digest(clear),
        last4=clear[-4:],
        permissions=asked,
        user=principal.user,
        created_at=now,
        expires_at=expires_at,
    )
    return key, clear


def revoke(*, key_id: UUID, now: datetime) -> ApiKey:
    """End a key, for the next request already. Raises Missing, for another brand's key as for none."""
    key = ApiKey.objects.select_for_update(of=("self",)).filter(id=key_id).first()
    if key is None:
        raise Missing(_("Questa chiave non c’è."))
    if key.revoked_at is None:
        key.revoked_at = now
        key.save(update_fields=["revoked_at"])
    return key


def presented(request: HttpRequest) -> str | None:
    """Return what a request to our API shows as its key, None when it shows none: then other schemes are asked."""
    if not request.path.startswith(SCOPE_OF):
        return None
    if (shown := request.headers.get("X-API-Key")) is not None:
        return shown.strip()
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    is_key = scheme.lower() == "bearer" and token.strip().startswith("fil_")
    return token.strip() if is_key else None


def look_up(clear: str, *, now: datetime) -> Principal | None:
    """Return who a key acts for and what it may, None for one that opens nothing. Its use is noted once a minute."""
    if not _OURS.fullmatch(clear):
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "select id, brand_id, user_id, permissions::text, last_used_at from identity_find_api_key(%s)",
            [digest(clear)],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    key_id, brand_id, user_id, scopes, last_used_at = row
    user = User.objects.filter(id=user_id, is_active=True).first()
    brand = Brand.objects.filter(id=brand_id, is_active=True).first()
    if user is None or brand is None:
        return None
    roles = frozenset(queries.roles_of(user.id).get(brand.id, ()))
    if not roles:
        return None
    if last_used_at is None or last_used_at <= now - USED_EVERY:
        _note_use(key_id, brand_id, now)
    creator = Principal(
        user=user,
        brand=brand,
        brands=(brand,),
        roles=roles,
        permissions=permissions.of_roles(roles, brand.role_grants),
    )
    return Principal(
        user=user,
        brand=brand,
        brands=(brand,),
        roles=roles,
        permissions=frozenset(filter(creator.may, orjson.loads(scopes))),
        api_key_id=key_id,
    )


def digest(clear: str) -> str:
    """Return what is kept of a key. It is random and long: a slow hash would protect it no better."""
    return hashlib.sha256(clear.encode()).hexdigest()


def _note_use(key_id: UUID, brand_id: UUID, now: datetime) -> None:
    due = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - USED_EVERY)
    with brand_scope.use(brand_id):
        ApiKey.objects.filter(due, id=key_id).update(last_used_at=now)
