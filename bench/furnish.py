"""Put into a house what a figure needs: a brand, its people, agents, telephony and a source per kind.

`python -m bench.furnish '{"agents": 10, "cloudtalk": "http://127.0.0.1:9"}'` prints what it made.
"""

import hashlib
import sys
from typing import Any

import django

django.setup()

import orjson  # noqa: E402
from django.contrib.auth.hashers import make_password  # noqa: E402
from django.utils import timezone  # noqa: E402

from bench.furnish_keys import CLOUDTALK_KEY, KEY, WEBHOOK_TOKEN  # noqa: E402
from filiera.capture import rules  # noqa: E402
from filiera.capture.models import MarketingSource, Source  # noqa: E402
from filiera.identity import second_factor, sessions, vault  # noqa: E402
from filiera.identity.models import Brand, Role, Session, User, UserRole  # noqa: E402
from filiera.pipeline import commands as pipeline  # noqa: E402
from filiera.platform import brand_scope, circuit  # noqa: E402
from filiera.routing.models import Agent, Connection  # noqa: E402

NO_LIMIT = 100_000_000
SECOND_FACTOR = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def main(options: dict[str, Any]) -> dict[str, Any]:
    """Furnish one brand.

    `agents` is how many; `concurrent` their calls at once; `online` whether they are available; `auto_call` whether
    leads are called; `cloudtalk` the provider's address and `requests_per_minute` its budget; `brand` the slug;
    `password` the one of every agent.
    """
    slug = options.get("brand", "banco")
    password_hash = make_password(options["password"]) if "password" in options else ""
    brand = Brand.objects.create(name=slug.title(), slug=slug)
    owner = User.objects.create_user(f"ada@{slug}.example", name="Ada Fontanive")
    second_factor.turn_on(owner, secret=SECOND_FACTOR)
    with brand_scope.use(brand.id):
        pipeline.set_up_brand()
        UserRole.objects.create(user=owner, role=Role.ADMIN)
        marketing = [MarketingSource.objects.create(name=name) for name in ("Sito", "Meta", "Passaparola")]
        source = _source(f"{slug}-programma", marketing[0], auto_call=options.get("auto_call", False))
        calling = _source(f"{slug}-chiamate", marketing[1], auto_call=True)
        marketplace = _source(f"{slug}-marketplace", marketing[1], kind="gohighlevel", auth_mode="signature")
        connection = _telephony(options) if "cloudtalk" in options else None
        agents = [_agent(number, slug, options) for number in range(options.get("agents", 6))]
    if password_hash:
        User.objects.filter(id__in=[agent.user_id for agent in agents]).update(password=password_hash)
    return {
        "brand_id": str(brand.id),
        "source": source.name,
        "calling_source": calling.name,
        "marketplace_source": marketplace.name,
        "marketing_source_ids": [str(made.id) for made in marketing],
        "key": KEY,
        "user_id": str(owner.id),
        "email": owner.email,
        "password_hash": password_hash,
        "agent_emails": [agent.user.email for agent in agents if agent.user],
        "agent_user_ids": [str(agent.user_id) for agent in agents],
        "provider_agent_ids": [agent.provider_agent_id for agent in agents],
        "session": _session(owner, brand),
        "connection_id": str(connection.id) if connection else None,
    }


def _source(name: str, marketing: MarketingSource, **fields: Any) -> Source:
    return Source.objects.create(
        name=name,
        api_key_hash=rules.key_hash(KEY),
        api_key_last4=rules.last4(KEY),
        rate_limit_per_min=NO_LIMIT,
        marketing_source=marketing,
        **{"kind": "webhook", **fields},
    )


def _agent(number: int, slug: str, options: dict[str, Any]) -> Agent:
    name = f"Agente {number:03d}"
    user = User.objects.create_user(f"agente{number:03d}@{slug}.example", name=name)
    UserRole.objects.create(user=user, role=Role.SALES)
    return Agent.objects.create(
        provider_agent_id=str(700_000 + number),
        name=name,
        user=user,
        sort_order=number,
        extension=2000 + number,
        max_concurrent_calls=options.get("concurrent", 1),
        last_status=Agent.Status.ONLINE if options.get("online", True) else Agent.Status.OFFLINE,
        provider_status="online",
        last_status_at=timezone.now(),
    )


def _telephony(options: dict[str, Any]) -> Connection:
    key_id, secret = CLOUDTALK_KEY
    return Connection.objects.create(
        account=f"cloudtalk:{key_id}",
        base_url=options["cloudtalk"],
        analytics_url=options.get("analytics", ""),
        vault_key=vault.store(service="cloudtalk", secret=f"{key_id}:{secret}", label="CloudTalk"),
        circuit=circuit.ensure(f"cloudtalk:{key_id}"),
        requests_per_minute=options.get("requests_per_minute", 50),
        webhook_token_hash=hashlib.sha256(WEBHOOK_TOKEN.encode()).hexdigest(),
    )


def _session(user: User, brand: Brand) -> str:
    """Sign a person in without a password to type, and return the cookie's token."""
    return sessions.open_session(
        user=user, kind=Session.Kind.BROWSER, brand_id=brand.id, now=timezone.now()
    ).access


if __name__ == "__main__":
    sys.stdout.write(orjson.dumps(main(orjson.loads(sys.argv[1]))).decode())
