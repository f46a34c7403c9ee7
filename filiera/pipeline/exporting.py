"""Leads as a file: those of a list, set by set, so that a million passes through without lying anywhere whole."""

import re
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from filiera.contacts import exporting
from filiera.contacts.models import Contact
from filiera.identity import audit
from filiera.identity.models import AuditEntry
from filiera.identity.permissions import Principal
from filiera.pipeline import queries
from filiera.pipeline.queries import LeadFilter
from filiera.pipeline.shapes import STATE_LABELS
from filiera.platform import brand_scope

SET: Final = 1_000


def titles() -> dict[str, str]:
    """Return the columns, name → title; the import knows these titles again."""
    return {
        "id": _("Identificativo"),
        "first_name": _("Nome"),
        "last_name": _("Cognome"),
        "phone": _("Telefono"),
        "email": _("E-mail"),
        "company_name": _("Azienda"),
        "city": _("Città"),
        "cap": _("CAP"),
        "status": _("Stato"),
        "source": _("Fonte"),
        "owner": _("Titolare"),
        "last_lead_at": _("Data"),
        "lead_count": _("Richieste"),
        "service": _("Servizio"),
        "package": _("Pacchetto"),
        "amount": _("Valore"),
        "next_type": _("Prossima attività"),
        "next_at": _("Prossima attività, quando"),
        "notes": _("Annotazioni"),
    }


def download(principal: Principal, wanted: LeadFilter, kind: str, *, asked: str) -> StreamingHttpResponse:
    """Return the leads of a list as csv or jsonl, and record who took them; `asked` says which, as they asked."""
    now = timezone.now()
    audit.record(
        AuditEntry.Action.EXPORT,
        entity_type="contacts",
        detail={"format": kind, "leads": queries.count_leads(wanted), "asked": asked[:500]},
    )
    stem = re.sub(r"\W+", "-", principal.brand.slug, flags=re.ASCII)
    name = f"{stem}-lead-{timezone.localtime(now):%Y%m%d-%H%M}.{kind}"
    rows = _rows(principal.brand_id, wanted)
    return StreamingHttpResponse(
        exporting.WRITERS[kind](rows, titles()),
        content_type=exporting.CONTENT_TYPES[kind],
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


def _rows(brand_id: UUID, wanted: LeadFilter) -> Iterator[dict[str, Any]]:
    """Yield leads, latest arrival first. The answer is written when the request's transaction is over."""
    after = None
    while True:
        with brand_scope.use(brand_id):
            listed, after = queries.listed_page(wanted, limit=SET, after=after)
            more = {
                one.pk: one
                for one in Contact.objects.filter(pk__in=[one.contact_id for one in listed])
                .select_related("marketing_source")
                .only("cap", "notes", "marketing_source__name")
            }
        for one in listed:
            person = more.get(one.contact_id)
            yield {
                "id": one.contact_id,
                "first_name": one.first_name,
                "last_name": one.last_name,
                "phone": one.phone_e164 or one.phone_raw,
                "email": one.email,
                "company_name": one.company_name,
                "city": one.city,
                "cap": person.cap if person else "",
                "status": STATE_LABELS[one.status],
                "source": person.marketing_source.name if person and person.marketing_source else "",
                "owner": one.owner,
                "last_lead_at": one.last_lead_at.isoformat(" ", "seconds"),
                "lead_count": one.lead_count,
                "service": one.service,
                "package": one.package,
                "amount": one.amount,
                "next_type": one.next_type,
                "next_at": one.next_at.isoformat(" ", "seconds") if one.next_at else None,
                "notes": person.notes if person else "",
            }
        if after is None:
            return
