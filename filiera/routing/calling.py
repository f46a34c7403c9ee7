"""What a brand says about its calls: on request only, its numbers, where its calls begin."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from filiera.contacts import phones
from filiera.identity.models import Brand
from filiera.platform import brand_scope
from filiera.platform.refusals import Invalid, Missing
from filiera.routing.models import Connection, OutboundNumber

_LONGEST_NOTE: Final = 2_000


@transaction.atomic
def set_rules(*, is_request_only: bool) -> None:
    """Keep whether the brand calls on request only (GD-14)."""
    brand = Brand.objects.select_for_update(no_key=True).get(id=brand_scope.current())
    said = brand.settings.get("calls") or {}
    brand.settings["calls"] = said | {"request_only": is_request_only}
    brand.save(update_fields=["settings"])


@transaction.atomic
def keep_number(
    *, typed: str, label: str, is_in_roc: bool, roc_date: date | None, default_country: str = "IT"
) -> OutboundNumber:
    """Keep a number of ours; the same number again is changed. Raises Invalid."""
    phone = phones.normalise(typed.replace("\x00", ""), default_country)
    if not phone.is_valid:
        raise Invalid(_("Il numero non si può chiamare."), details={"numero": [phones.explain(phone)]})
    if is_in_roc and roc_date is None:
        raise Invalid(_("Da quando è iscritto al ROC?"), details={"data_roc": [_("Serve la data.")]})
    number, _is_new = OutboundNumber.objects.update_or_create(
        number_e164=phone.e164,
        defaults={
            "label": label.replace("\x00", "").strip()[:100],
            "is_in_roc": is_in_roc,
            "roc_date": roc_date if is_in_roc else None,
        },
    )
    return number


def remove_number(number_id: UUID) -> None:
    """Take a number of ours away. Raises Missing."""
    gone, _rows = OutboundNumber.objects.filter(id=number_id).delete()
    if not gone:
        raise Missing(_("Questo numero non c’è."))


@transaction.atomic
def state_origin(*, note: str, user_id: UUID, now: datetime) -> Connection:
    """Keep how it was seen that the provider originates Italian numbers in Italy (GD-13). Raises Invalid, Missing."""
    plain = note.replace("\x00", "").strip()[:_LONGEST_NOTE]
    if not plain:
        raise Invalid(_("Scrivi che cosa ha dichiarato il fornitore, e dove sta scritto."))
    connection = Connection.objects.select_for_update(no_key=True).first()
    if connection is None:
        raise Missing(_("Nessun centralino è collegato"))
    connection.origin_note, connection.origin_checked_at, connection.origin_checked_by_id = (
        plain,
        now,
        user_id,
    )
    connection.save(update_fields=["origin_note", "origin_checked_at", "origin_checked_by"])
    return connection


def moment(typed: str, *, now: datetime) -> datetime:
    """Return a moment typed in the brand's zone; a year ahead, so that it is refused, for what is none."""
    try:
        at = parse_datetime(typed) if typed else None
    except ValueError:
        at = None
    if at is None:
        return now.replace(year=now.year + 1, day=1)
    zone = ZoneInfo(Brand.objects.values_list("timezone", flat=True).get(id=brand_scope.current()))
    return at if at.tzinfo else at.replace(tzinfo=zone)
