"""What a form promises is kept: the confirmation, the brochure, the contract (CAP-89)."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.translation import gettext as _

from filiera.contacts import consents
from filiera.identity import emails
from filiera.identity.models import Brand
from filiera.pipeline.commands import Lead, PlannedTask
from filiera.platform import brand_scope


def confirm(leads: list[Lead], *, now: datetime) -> None:
    """Queue a confirmation for each new lead with an address."""
    new = _new(leads)
    if not new:
        return
    brand = Brand.objects.get(id=brand_scope.current())
    words = _Words.of(brand)
    emails.queue([_confirmation(lead, brand, words) for lead in new if lead.incoming.email], now=now)


def contracts(leads: list[Lead], *, now: datetime) -> list[PlannedTask]:
    """Return a task for each new lead that wants the contract, for whoever the person had before this lead."""
    title, note = _("Mandare il contratto"), _("Lo ha chiesto nel modulo.")
    return [
        PlannedTask(
            contact_id=lead.contact.id,
            deal_id=lead.deal.id,
            type="email",
            title=title,
            note=note,
            user_id=lead.contact.assigned_user_id,
            scheduled_at=now,
            cause=f"contract:{lead.event.id}",
        )
        for lead in _new(leads)
        if lead.incoming.wants_contract
    ]


def frozen(leads: list[Lead], *, now: datetime) -> list[PlannedTask]:
    """Return a task for each new lead of a person whose processing is restricted: nothing happens by itself (GD-29)."""
    title = _("Guardare la richiesta")
    note = _("Il trattamento dei suoi dati è limitato: non parte niente da solo, decide una persona.")
    return [
        PlannedTask(
            contact_id=lead.contact.id,
            deal_id=lead.deal.id,
            type="nota",
            title=title,
            note=note,
            user_id=lead.contact.assigned_user_id,
            scheduled_at=now,
            cause=f"restricted:{lead.event.id}",
        )
        for lead in leads
        if lead.is_new_event and not lead.incoming.is_test and lead.contact.restricted_at is not None
    ]


def _new(leads: list[Lead]) -> list[Lead]:
    return [
        lead
        for lead in leads
        if lead.is_new_event and not lead.incoming.is_test and lead.contact.restricted_at is None
    ]


@dataclass(frozen=True, slots=True)
class _Words:
    """The sentences of a confirmation, translated once for a batch."""

    subject: str
    hello: str
    hello_nobody: str
    received: str
    brochure: str
    contract: str
    permissions: str

    @classmethod
    def of(cls, brand: Brand) -> "_Words":
        address = brand.settings.get("brochure_url", "")
        return cls(
            subject=_("%(brand)s: richiesta ricevuta") % {"brand": brand.name},
            hello=_("Ciao %(name)s,"),
            hello_nobody=_("Buongiorno,"),
            received=_("abbiamo ricevuto la tua richiesta e ti ricontattiamo al più presto."),
            brochure=_("La brochure che hai chiesto è qui: %(url)s") % {"url": address}
            if address
            else _("La brochure che hai chiesto te la mandiamo a parte."),
            contract=_("Ti prepariamo anche il contratto, come hai chiesto."),
            permissions=_("I tuoi permessi, e come revocarli: %(url)s"),
        )


def _confirmation(lead: Lead, brand: Brand, words: _Words) -> emails.Letter:
    name = lead.incoming.first_name or lead.contact.full_name
    paragraphs = [words.hello % {"name": name} if name else words.hello_nobody, words.received]
    if lead.incoming.wants_brochure:
        paragraphs.append(words.brochure)
    if lead.incoming.wants_contract:
        paragraphs.append(words.contract)
    return emails.Letter(
        kind="lead_confirmation",
        subject_id=lead.event.id,
        to_address=lead.incoming.email.strip(),
        to_name=lead.contact.full_name,
        subject=words.subject,
        body_text="\n\n".join([*paragraphs, brand.name, words.permissions % {"url": _permissions_of(lead)}]),
    )


def _permissions_of(lead: Lead) -> str:
    """Return the address where a person takes back what they permitted, without an account (GD-06)."""
    return f"{settings.BASE_URL}/permessi/{consents.token_of(lead.contact)}"
