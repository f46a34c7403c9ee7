"""The senders of leads that Filiera understands, one file each. This table is the only place that lists them."""

from filiera.capture.adapters.base import Adapter
from filiera.capture.adapters.contact_form_7 import CONTACT_FORM_7
from filiera.capture.adapters.elementor import ELEMENTOR
from filiera.capture.adapters.generic import LANDING, WEBHOOK
from filiera.capture.adapters.gohighlevel import GOHIGHLEVEL
from filiera.capture.adapters.google_ads import GOOGLE_ADS
from filiera.capture.adapters.gravity_forms import GRAVITY_FORMS
from filiera.capture.adapters.meta import META
from filiera.capture.adapters.reading import CANONICAL, LeadFields, Problem, Unmappable, usable_mapping
from filiera.capture.adapters.tally import TALLY
from filiera.capture.adapters.tiktok import TIKTOK
from filiera.capture.adapters.typeform import TYPEFORM

ADAPTERS: dict[str, Adapter] = {
    adapter.name: adapter
    for adapter in (
        LANDING,
        WEBHOOK,
        GOHIGHLEVEL,
        META,
        GOOGLE_ADS,
        TIKTOK,
        TYPEFORM,
        TALLY,
        CONTACT_FORM_7,
        ELEMENTOR,
        GRAVITY_FORMS,
    )
}

__all__ = ["ADAPTERS", "CANONICAL", "Adapter", "LeadFields", "Problem", "Unmappable", "usable_mapping"]
