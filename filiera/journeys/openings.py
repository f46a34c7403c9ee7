"""Opening a brand: what must be there before its first lead comes."""

import hashlib
import secrets
from dataclasses import dataclass

from django.utils.text import slugify
from django.utils.translation import gettext as _

from filiera.identity import vault
from filiera.identity.models import Brand, Role, User, UserRole, VaultKey
from filiera.pipeline import commands as pipeline
from filiera.platform import brand_scope, circuit
from filiera.platform.refusals import Invalid, Refused
from filiera.routing.models import Connection

CLOUDTALK = "cloudtalk"
CLOUDTALK_URL = "https://my.cloudtalk.io/api"
CLOUDTALK_ANALYTICS_URL = "https://analytics-api.cloudtalk.io/api"


class BrandTaken(Refused):
    code = "SLUG_TAKEN"


@dataclass(frozen=True, slots=True)
class Connected:
    """A telephony connection and the token for its events, which is shown this once."""

    connection: Connection
    token: str


def open_brand(*, name: str, slug: str = "", accent: str = "", tagline: str = "") -> Brand:
    """Create a brand with its stages and rules. Raises Invalid without a usable name, BrandTaken for a known one."""
    slug = slugify(slug or name)
    if not slug:
        raise Invalid(_("Il marchio ha bisogno di un nome."), details={"name": [_("Campo obbligatorio")]})
    brand, is_new = Brand.objects.get_or_create(
        slug=slug,
        defaults={"name": name.strip(), "accent": accent or Brand.Accent.LAGUNA, "tagline": tagline},
    )
    if not is_new:
        raise BrandTaken(_("C’è già un marchio con questo nome breve: %(slug)s.") % {"slug": slug})
    with brand_scope.use(brand.id):
        pipeline.set_up_brand()
    return brand


def give_role(*, brand: Brand, email: str, name: str, role: str = Role.ADMIN, password: str = "") -> User:
    """Give a person a role in a brand, creating the account when the e-mail is new; `password` is set when given."""
    email = email.strip().lower()
    user = User.objects.filter(email=email).first() or User(email=email, name=name.strip() or email)
    if password:
        user.set_password(password)
    elif user._state.adding:
        user.set_unusable_password()
    user.save()
    with brand_scope.use(brand.id):
        UserRole.objects.get_or_create(user=user, role=role, brand_id=brand.id)
    return user


def connect_cloudtalk(
    *,
    brand: Brand,
    key_id: str,
    key_secret: str,
    base_url: str = CLOUDTALK_URL,
    analytics_url: str = CLOUDTALK_ANALYTICS_URL,
    token: str = "",
) -> Connected:
    """Connect a brand to its CloudTalk account, or replace the keys of the connection it has.

    The keys go to the vault; of the token only a hash is kept. One account has one budget of requests and one circuit
    breaker, however many brands use it.
    """
    account = f"{CLOUDTALK}:{key_id}"
    token = token or secrets.token_urlsafe(32)
    with brand_scope.use(brand.id):
        VaultKey.objects.filter(service=CLOUDTALK).update(is_active=False)
        key = vault.store(service=CLOUDTALK, secret=f"{key_id}:{key_secret}", label="CloudTalk")
        connection, _is_new = Connection.objects.update_or_create(
            brand_id=brand.id,
            provider=CLOUDTALK,
            defaults={
                "account": account,
                "base_url": base_url,
                "analytics_url": analytics_url,
                "vault_key": key,
                "circuit": circuit.ensure(account),
                "webhook_token_hash": hashlib.sha256(token.encode()).hexdigest(),
                "is_enabled": True,
                "disabled_reason": "",
            },
        )
    return Connected(connection, token)
