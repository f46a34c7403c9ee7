"""Who appears in the demo. All of it is invented: names, numbers, addresses."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class DemoAgent:
    name: str
    provider_agent_id: str
    extension: int

    def email(self, slug: str) -> str:
        """Return the address with which the agent signs in."""
        return f"{self.name.split()[0].lower()}@{slug}.example"


@dataclass(frozen=True, slots=True)
class DemoBrand:
    name: str
    slug: str
    accent: str
    tagline: str
    domain: str
    agents: tuple[DemoAgent, ...]
    services: tuple[str, ...] = ("FAMILY", "PRO", "PREMIUM")
    packages: tuple[str, ...] = ("BASE", "AVANZATO")


BRANDS = (
    DemoBrand(
        name="Vegliasì",
        slug="vegliasi",
        accent="laguna",
        tagline="Teleassistenza",
        domain="vegliasi.example",
        agents=(
            DemoAgent("Teodora Vanzi", "493933", 1001),
            DemoAgent("Oreste Belluno", "493934", 1002),
            DemoAgent("Fiamma Corradi", "493935", 1003),
        ),
    ),
    DemoBrand(
        name="Quadranorma",
        slug="quadranorma",
        accent="glicine",
        tagline="Impianti elettrici",
        domain="quadranorma.example",
        agents=(
            DemoAgent("Ruggero Salmaso", "493941", 2001),
            DemoAgent("Nives Tagliapietra", "493942", 2002),
            DemoAgent("Egidio Furlan", "493943", 2003),
        ),
    ),
)

OWNER = ("Ada Fontanive", "ada@filiera.example")
"""Administers both brands, so that the brand switcher has something to switch."""

MARKETING_SOURCES = ("Sito", "Google Ads", "Meta", "TikTok", "Passaparola")


@dataclass(frozen=True, slots=True)
class DemoSource:
    """A door of a brand. `proof` is what a sender shows: nothing, a key, a token in the address, a signature."""

    suffix: str
    kind: str
    auth_mode: str
    marketing_source: str
    label: str
    required: tuple[str, ...] = ()
    form: dict[str, Any] | None = None

    def name(self, slug: str) -> str:
        """Return the name in the address; GoHighLevel's are fixed by contract (CAP-76)."""
        if self.suffix == "ghl":
            return "ghl" if slug == BRANDS[0].slug else f"ghl-{slug}"
        return f"{self.suffix}-{slug}"


SOURCES = (
    DemoSource("landing", "landing", "public", "Sito", "Modulo del sito", ("first_name", "email")),
    DemoSource("webhook", "webhook", "api_key", "Sito", "Programma proprio"),
    DemoSource("ghl", "ghl", "api_key", "Meta", "GoHighLevel", ("phone",)),
    DemoSource("ghl-workflow", "ghl", "path_token", "Meta", "GoHighLevel, flusso"),
    DemoSource("ghl-marketplace", "ghl", "signature", "Meta", "GoHighLevel, app"),
    DemoSource("meta", "meta", "signature", "Meta", "Meta Lead Ads"),
    DemoSource("google-ads", "google_ads", "body_key", "Google Ads", "Google Ads, modulo"),
    DemoSource("tiktok", "tiktok", "signature", "TikTok", "TikTok Lead"),
    DemoSource("typeform", "typeform", "signature", "Sito", "Typeform"),
    DemoSource("tally", "tally", "signature", "Sito", "Tally"),
    DemoSource("cf7", "contact_form_7", "path_token", "Sito", "Contact Form 7"),
    DemoSource("elementor", "elementor", "path_token", "Sito", "Elementor"),
    DemoSource("gravity", "gravity_forms", "path_token", "Sito", "Gravity Forms"),
)
