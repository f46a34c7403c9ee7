"""Put the demo's brands, people, agents and sources in the database, or find them there.

Runs as a process of its own, because Django needs the database that the caller has just started:
`python -m filiera.demo.seed BASE_URL PORTS CONFIG` prints the facts of demo.json and writes what the simulators need.
Passwords and keys are derived from the installation's secret key, so that a second start tells the same ones.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "filiera.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.utils import timezone  # noqa: E402

from filiera.capture import commands as capture  # noqa: E402
from filiera.capture import rules  # noqa: E402
from filiera.capture.models import MarketingSource, Source  # noqa: E402
from filiera.demo import GOOGLE_CLIENT  # noqa: E402
from filiera.demo.cast import BRANDS, MARKETING_SOURCES, OWNER, SOURCES, DemoBrand, DemoSource  # noqa: E402
from filiera.identity import people, queries, second_factor  # noqa: E402
from filiera.identity.models import Brand, Role, User, UserRole  # noqa: E402
from filiera.journeys import openings  # noqa: E402
from filiera.platform import actor, brand_scope  # noqa: E402
from filiera.platform import home as homes  # noqa: E402
from filiera.routing.models import Agent  # noqa: E402
from filiera.simulators.google import ACCOUNTS  # noqa: E402

META_TOKEN = "meta-sim-page-token"
GOOGLE_DOMAIN = "studioverdi.example"
"""A company whose people come in with Google and without an invitation."""


def main(arguments: list[str]) -> None:
    """Seed, or with --marketplace-key store the key that the simulated marketplace signs with."""
    if arguments[0] == "--marketplace-key":
        trust_marketplace(arguments[1])
        return
    actor.process_is(actor.Actor(actor.COMMAND, "filiera demo"))
    base_url, ports, config_path = arguments[0], json.loads(arguments[1]), Path(arguments[2])
    simulators = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    facts: dict[str, Any] = {
        "base_url": base_url,
        "users": [],
        "brands": [],
        "agents": [],
        "simulators": {
            name: {"base_url": url, "log_url": f"{url}/_sim/log", "knobs_url": f"{url}/_sim/knobs"}
            for name, url in simulators.items()
            if name != "smtp"
        },
    }
    owner = _user(*OWNER)
    accounts = []
    for cast in BRANDS:
        brand = Brand.objects.filter(slug=cast.slug).first() or openings.open_brand(
            name=cast.name, slug=cast.slug, accent=cast.accent, tagline=cast.tagline
        )
        with brand_scope.use(brand.id):
            _role(owner, Role.ADMIN)
            facts["users"].append(_signs_in(owner, Role.ADMIN, brand))
            if cast is BRANDS[0]:
                _let_in_with_google(owner)
            sources = [_source(door, cast, base_url, owner) for door in SOURCES]
            accounts.append(_telephony(cast, brand, base_url, simulators["cloudtalk"], facts))
        facts["brands"].append(
            {
                "slug": brand.slug,
                "name": brand.name,
                "landing_url": f"{base_url}/l/landing-{brand.slug}",
                "sources": sources,
            }
        )
    homes.write_private(config_path, json.dumps(_simulators(accounts, facts)).encode())
    json.dump(facts, sys.stdout)


def trust_marketplace(public_key: str) -> None:
    """Let the marketplace sources accept what is signed with `public_key` (PEM)."""
    for brand in Brand.objects.filter(slug__in=[cast.slug for cast in BRANDS]):
        with brand_scope.use(brand.id):
            for source in Source.objects.filter(name__startswith="ghl-marketplace-"):
                capture.change_source(
                    source_id=source.id, signing_secret=public_key, actor=_owner(), now=timezone.now()
                )


def _owner() -> User:
    return User.objects.get(email=OWNER[1])


def _simulators(accounts: list[dict[str, Any]], facts: dict[str, Any]) -> dict[str, Any]:
    """Return how the simulators are set up: whom they know, and where their senders send to."""
    sources = [source for brand in facts["brands"] for source in brand["sources"]]
    client_id, client_secret = GOOGLE_CLIENT
    return {
        "cloudtalk": {"accounts": accounts},
        "meta": {
            "knobs": {
                "app_secret": _key("meta"),
                "access_token": META_TOKEN,
                "webhook_url": next(source["url"] for source in sources if source["kind"] == "meta"),
            }
        },
        "gohighlevel": {
            "knobs": {
                "targets": [
                    {"name": source["name"], "url": source["url"], "headers": source["request_headers"]}
                    for source in sources
                    if source["kind"] == "ghl"
                ]
            }
        },
        "google": {
            "knobs": {
                "client_id": client_id,
                "client_secret": client_secret,
                "accounts": _google_accounts([user["email"] for user in facts["users"]]),
            }
        },
    }


def _google_accounts(emails: list[str]) -> list[dict[str, Any]]:
    """Return whom one may be at the simulated Google: who works here, who is let in by company, and who is not."""
    names = dict(User.objects.filter(email__in=emails).values_list("email", "name"))
    return [
        *({"email": email, "name": names[email]} for email in dict.fromkeys(emails)),
        {"email": f"elettra@{GOOGLE_DOMAIN}", "name": "Elettra Quaglieri", "hd": GOOGLE_DOMAIN},
        *ACCOUNTS,
    ]


def _let_in_with_google(owner: User) -> None:
    """Let the accounts of one company in, as an administrator would."""
    if people.DOMAINS in Brand.objects.get(pk=brand_scope.current()).settings:
        return
    principal = queries.principal_of(owner, wanted=brand_scope.current())
    assert principal
    people.let_in_domains(principal=principal, domains=[GOOGLE_DOMAIN], role=Role.SUPPORT, now=timezone.now())


def _user(name: str, email: str) -> User:
    user = User.objects.filter(email=email).first() or User(email=email, name=name)
    if not user.check_password(_password(email)):
        user.set_password(_password(email))
    user.save()
    return user


def _role(user: User, role: str) -> None:
    UserRole.objects.get_or_create(user=user, role=role, brand_id=brand_scope.current())


def _signs_in(user: User, role: str, brand: Brand) -> dict[str, str]:
    told = {"email": user.email, "password": _password(user.email), "role": role, "brand": brand.slug}
    if second_factor.is_required_of([role]):
        told["totp_secret"] = _totp_secret(user)
    return told


def _totp_secret(user: User) -> str:
    """Return the secret of a person's second factor, turned on at the first start."""
    secret = base64.b32encode(bytes.fromhex(_key(f"second factor:{user.email}"))).decode()
    if not second_factor.is_on(user):
        second_factor.turn_on(user, secret=secret)
    return secret


def _source(door: DemoSource, cast: DemoBrand, base_url: str, owner: User) -> dict[str, Any]:
    """Make one door, and return how a sender uses it."""
    for order, name in enumerate(MARKETING_SOURCES):
        MarketingSource.objects.get_or_create(name=name, defaults={"color": str(order)})
    name = door.name(cast.slug)
    key = _key(f"source:{name}" if door.kind != "meta" else "meta")
    if not Source.objects.filter(name=name).exists():
        capture.create_source(
            name=name,
            label=door.label,
            kind=door.kind,
            auth_mode=door.auth_mode,
            signing_secret=key if door.auth_mode == "signature" else "",
            access_token=META_TOKEN if door.kind == "meta" else "",
            rate_limit_per_min=6000,
            required_fields=list(door.required),
            allowed_origins=[base_url],
            marketing_source_id=MarketingSource.objects.get(name=door.marketing_source).id,
            auto_call=True,
            form={"services": list(cast.services), "packages": list(cast.packages), "domain": cast.domain},
            actor=owner,
            now=timezone.now(),
        )
    if door.auth_mode != "public":
        # Not the key that was made at random: one that every start can tell again.
        Source.objects.filter(name=name).update(api_key_hash=rules.key_hash(key), api_key_last4=key[-4:])
    path = f"/webhook-ingest/{name}"
    if door.suffix == "ghl":
        path = "/api/ghl-webhooks/new-contact" if name == "ghl" else f"/api/ghl-webhooks/{name}/new-contact"
    if door.kind == "landing":
        path = "/api/lead"
    if door.auth_mode == "path_token":
        path = f"{path}/{key}"
    headers = {"api_key": {"X-API-Key": key}, "public": {"X-Source": name, "Origin": base_url}}
    return {
        "name": name,
        "kind": door.kind,
        "url": base_url + path,
        "api_key": "" if door.auth_mode == "public" else key,
        "request_headers": headers.get(door.auth_mode, {}),
    }


def _telephony(
    cast: DemoBrand, brand: Brand, base_url: str, cloudtalk: str, facts: dict[str, Any]
) -> dict[str, Any]:
    """Connect the brand to the simulated exchange and give it its agents; return the exchange's side of it."""
    key_id, secret, token = (
        f"demo-{cast.slug}",
        _key(f"cloudtalk:{cast.slug}"),
        _key(f"cloudtalk-events:{cast.slug}"),
    )
    connection = openings.connect_cloudtalk(
        brand=brand,
        key_id=key_id,
        key_secret=secret,
        base_url=f"{cloudtalk}/api",
        analytics_url=f"{cloudtalk}/analytics/api",
        token=token,
    ).connection
    for order, agent in enumerate(cast.agents):
        user = _user(agent.name, agent.email(cast.slug))
        _role(user, Role.SALES)
        facts["users"].append(_signs_in(user, Role.SALES, brand))
        Agent.objects.get_or_create(
            brand_id=brand.id,
            provider="cloudtalk",
            provider_agent_id=agent.provider_agent_id,
            defaults={"name": agent.name, "extension": agent.extension, "user": user, "sort_order": order},
        )
        facts["agents"].append(
            {"brand": brand.slug, "name": agent.name, "provider_agent_id": agent.provider_agent_id}
        )
    return {
        "name": cast.name,
        "key_id": key_id,
        "key_secret": secret,
        "webhook_url": f"{base_url}/api/v1/webhooks/cloudtalk/{connection.id}",
        "webhook_token": token,
        "agents": [
            {
                "id": agent.provider_agent_id,
                "firstname": agent.name.split()[0],
                "lastname": agent.name.split()[-1],
                "email": agent.email(cast.slug),
                "extension": agent.extension,
            }
            for agent in cast.agents
        ],
    }


def _password(email: str) -> str:
    return f"demo-{_key(f'password:{email}')[:10].lower()}"


def _key(of: str) -> str:
    return hmac.new(settings.SECRET_KEY.encode(), f"demo:{of}".encode(), hashlib.sha256).hexdigest()[:40]


if __name__ == "__main__":
    main(sys.argv[1:])
