"""What the doctor asks about the telephony connections."""

from collections.abc import Iterator

from filiera.platform.console import gettext as _
from filiera.platform.doctor import Finding, Patient, check


@check
def telephones_answer(patient: Patient) -> Iterator[Finding]:
    """Say for each brand whether its provider answered last time and may be asked now."""
    connections = patient.connection.execute(
        """
        select b.slug, c.is_enabled, c.disabled_reason, h.state, c.last_ok_at
        from identity_brand b
        left join routing_connection c on c.brand_id = b.id
        left join platform_endpointhealth h on h.id = c.circuit_id
        where b.is_active order by b.slug
        """
    ).fetchall()
    if not connections:
        yield Finding(
            _("Nessun marchio ancora"), is_fine=False, remedy='filiera brand "…" --owner …', is_warning=True
        )
    for brand, is_enabled, reason, circuit, last_ok_at in connections:
        if is_enabled is None:
            yield Finding(
                _("%(brand)s: nessun telefono collegato") % {"brand": brand},
                is_fine=False,
                remedy=f"filiera telephony {brand}",
                is_warning=True,
            )
        elif not is_enabled:
            yield Finding(
                _("%(brand)s: telefono spento. %(reason)s") % {"brand": brand, "reason": reason},
                is_fine=False,
                remedy=_("Correggi la connessione nella pagina Sistema."),
            )
        elif circuit == "open":
            yield Finding(
                _("%(brand)s: il fornitore telefonico non risponde") % {"brand": brand},
                is_fine=False,
                remedy=_("Si riprova da soli ogni minuto; se dura, guarda lo stato del fornitore."),
            )
        else:
            when = last_ok_at.isoformat(" ", "seconds") if last_ok_at else _("mai")
            yield Finding(
                _("%(brand)s: telefono collegato, ultima risposta: %(when)s") % {"brand": brand, "when": when}
            )
