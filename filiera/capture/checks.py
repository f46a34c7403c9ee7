"""What the doctor asks about the lead queue."""

from collections.abc import Iterator

from filiera.platform.console import gettext as _
from filiera.platform.doctor import Finding, Patient, check

LONGEST_WAIT_S = 120


@check
def leads_move(patient: Patient) -> Iterator[Finding]:
    """Name leads that wait too long and leads that nobody could read."""
    row = patient.connection.execute(
        """
        select count(*) filter (where queue_state in ('ready', 'leased')),
               (select count(*) from capture_submission where status = 'dead'),
               coalesce(extract(epoch from %s - min(visible_at) filter (where queue_state = 'ready')), 0)
        from capture_submission where queue_state in ('ready', 'leased')
        """,
        [patient.now],
    ).fetchone()
    waiting, dead, longest_s = row or (0, 0, 0)
    yield Finding(
        _("Contatti in coda: %(waiting)s, il più vecchio da %(seconds).0f s")
        % {"waiting": waiting, "seconds": max(longest_s, 0)},
        is_fine=longest_s <= LONGEST_WAIT_S,
        remedy=_("Il worker non sta al passo o è fermo: avvia filiera worker."),
    )
    yield Finding(
        _("Contatti da recuperare: %(dead)s") % {"dead": dead},
        is_fine=not dead,
        remedy=_("Aprili in Ricezione, Da recuperare: ognuno dice perché e si può rimettere in coda."),
        is_warning=True,
    )
