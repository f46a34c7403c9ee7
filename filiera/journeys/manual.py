"""A lead that a person types in: the whole path at once, answered with its result (CAP-79 … CAP-86)."""

import time
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _

from filiera.capture import commands as capture
from filiera.capture.models import MarketingSource
from filiera.contacts import phones
from filiera.identity.models import User
from filiera.journeys import lead_in
from filiera.pipeline.api import storable
from filiera.pipeline.commands import Lead
from filiera.platform.refusals import Invalid


@dataclass(frozen=True, slots=True)
class Created:
    """The new lead, and the milliseconds its steps took."""

    lead: Lead
    lookup_ms: int
    create_ms: int


def create_lead(*, name: str, phone: str, provenance: str, actor: User, now: datetime) -> Lead:
    """Take in a lead typed by `actor`. Raises Invalid, which names each field at fault and what to do about it."""
    return create_and_time(name=name, phone=phone, provenance=provenance, actor=actor, now=now).lead


def create_and_time(*, name: str, phone: str, provenance: str, actor: User, now: datetime) -> Created:
    """Do as `create_lead` and tell how long the lookup of the origin and the creation took."""
    started = time.perf_counter()
    name, phone, provenance = storable(name), storable(phone), storable(provenance)
    source = _marketing_source(provenance)
    _refuse_what_is_missing(name=name, phone=phone, provenance=provenance, is_known=source is not None)
    found = time.perf_counter()
    submission = capture.record_manual(
        fields={
            "Nome": name.strip(),
            "Telefono": phone.strip(),
            "Provenienza": source.name if source else "",
        },
        actor=actor,
        now=now,
    )
    [lead] = lead_in.take_in_leads([submission], now=now)
    return Created(lead, round((found - started) * 1000), round((time.perf_counter() - found) * 1000))


def _marketing_source(provenance: str) -> MarketingSource | None:
    """Return the brand's active marketing source of this name or alias; the text is only ever a bound parameter."""
    wanted = provenance.strip()
    return (
        MarketingSource.objects.filter(Q(name=wanted) | Q(aliases__contains=[wanted]), is_active=True)
        .order_by("name")
        .first()
    )


def _refuse_what_is_missing(*, name: str, phone: str, provenance: str, is_known: bool) -> None:
    details = {
        field: [_("Campo obbligatorio")]
        for field, given in (("Nome", name), ("Telefono", phone), ("Provenienza", provenance))
        if not given.strip()
    }
    if "Telefono" not in details and (problem := phones.explain(phones.normalise(phone))):
        details["Telefono"] = [problem]
    if "Provenienza" not in details and not is_known:
        details["Provenienza"] = [_("Provenienza sconosciuta")]
    if details:
        raise Invalid(_("Alcuni campi non vanno bene."), details=details)
