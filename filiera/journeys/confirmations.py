"""What a form promises is kept: the confirmation, the brochure, the contract (CAP-89)."""

from datetime import datetime

from django.utils.translation import gettext as _

from filiera.identity import emails
from filiera.identity.models import Brand
from filiera.pipeline import commands as pipeline
from filiera.pipeline.commands import Lead, PlannedTask
from filiera.platform import brand_scope


def promise(leads: list[Lead], *, now: datetime) -> None:
    """Queue a confirmation for each new lead with an address, and a task for each that wants the contract."""
    new = [lead for lead in leads if lead.is_new_event and not lead.incoming.is_test]
    if not new:
        return
    brand = Brand.objects.get(id=brand_scope.current())
    emails.queue([_confirmation(lead, brand) for lead in new if lead.incoming.email], now=now)
    pipeline.plan_tasks(
        [
            PlannedTask(
                contact_id=lead.contact.id,
                deal_id=lead.deal.id,
                type="email",
                title=_("Mandare il contratto"),
                note=_("Lo ha chiesto nel modulo."),
                user_id=lead.contact.assigned_user_id,
                scheduled_at=now,
                cause=f"contract:{lead.event.id}",
            )
            for lead in new
            if lead.incoming.wants_contract
        ],
        now=now,
    )


def _confirmation(lead: Lead, brand: Brand) -> emails.Letter:
    name = lead.incoming.first_name or lead.contact.full_name
    lines = [
        _("Ciao %(name)s,") % {"name": name} if name else _("Buongiorno,"),
        "",
        _("abbiamo ricevuto la tua richiesta e ti ricontattiamo al più presto."),
    ]
    brochure = brand.settings.get("brochure_url", "")
    if lead.incoming.wants_brochure and brochure:
        lines += ["", _("La brochure che hai chiesto è qui: %(url)s") % {"url": brochure}]
    elif lead.incoming.wants_brochure:
        lines += ["", _("La brochure che hai chiesto te la mandiamo a parte.")]
    if lead.incoming.wants_contract:
        lines += ["", _("Ti prepariamo anche il contratto, come hai chiesto.")]
    return emails.Letter(
        kind="lead_confirmation",
        subject_id=lead.event.id,
        to_address=lead.incoming.email.strip(),
        to_name=lead.contact.full_name,
        subject=_("%(brand)s: richiesta ricevuta") % {"brand": brand.name},
        body_text="\n".join([*lines, "", brand.name]),
    )
