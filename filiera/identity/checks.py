"""What the doctor asks about the vault, outgoing mail and the record of changes."""

from collections.abc import Iterator

from django.conf import settings

from filiera.identity import audit, vault
from filiera.platform import catalogue
from filiera.platform.console import gettext as _
from filiera.platform.doctor import Finding, Patient, check


@check
def vault_opens(patient: Patient) -> Iterator[Finding]:
    """Open one secret of each brand: a home restored without its key shows here, not at the first call."""
    keys = patient.connection.execute(
        "select distinct on (brand_id) brand_id, id, nonce, ciphertext, key_version from identity_vaultkey"
        " where is_active order by brand_id, created_at desc"
    ).fetchall()
    locked = 0
    for brand_id, key_id, nonce, ciphertext, version in keys:
        try:
            vault.decrypt(version, nonce, ciphertext, context=vault.context_of(brand_id, key_id))
        except vault.VaultLocked:
            locked += 1
    if locked:
        yield Finding(
            _("Le chiavi dei fornitori di %(brands)s marchi non si aprono") % {"brands": locked},
            is_fine=False,
            remedy=_("FILIERA_SECRET_KEY (o ENCRYPTION_MASTER_KEY) non è quella con cui sono state salvate."),
        )
    else:
        yield Finding(_("Le chiavi dei fornitori si aprono (%(keys)s provate)") % {"keys": len(keys)})


@check
def mail_leaves(patient: Patient) -> Iterator[Finding]:
    """Name messages that wait without a server, or that no server took."""
    row = patient.connection.execute(
        "select count(*) filter (where status = 'queued' and due_at < %s - interval '10 minutes'),"
        " count(*) filter (where status = 'failed') from identity_outgoingemail",
        [patient.now],
    ).fetchone()
    waiting, failed = row or (0, 0)
    yield Finding(
        _("Posta in uscita: %(waiting)s in attesa, %(failed)s non partite")
        % {"waiting": waiting, "failed": failed},
        is_fine=not (waiting or failed),
        remedy=_("Controlla FILIERA_SMTP_HOST e le credenziali.")
        if settings.EMAIL_HOST
        else _("Nessun server di posta: imposta FILIERA_SMTP_HOST."),
        is_warning=True,
    )


@check
def record_is_whole(patient: Patient) -> Iterator[Finding]:
    """Say what the last look at the chains of seals found, and that every table people change is recorded."""
    row = patient.connection.execute(
        "select started_at, status, detail from platform_jobrun where name = %s order by started_at desc limit 1",
        [audit.VERIFICATION],
    ).fetchone()
    if row is None:
        yield Finding(
            _("Il registro delle modifiche non è ancora stato verificato"),
            is_fine=False,
            is_warning=True,
            remedy=_("Lo fa ogni notte il lavoratore: avvialo."),
        )
    else:
        at, status, chains = row
        is_late = patient.now - at > audit.VERIFIED_EVERY
        yield Finding(
            _("Registro delle modifiche verificato il %(moment)s (%(entries)s voci)")
            % {
                "moment": at.isoformat(" ", "minutes"),
                "entries": sum(chain["standing"] for chain in chains.values()),
            }
            if status == "done"
            else _("Il registro delle modifiche non è più quello scritto: %(where)s")
            % {
                "where": ", ".join(
                    f"{name} {chain['broken_at']} ({chain['trouble']})"
                    for name, chain in chains.items()
                    if chain["trouble"]
                )
            },
            is_fine=status == "done" and not is_late,
            is_warning=status == "done",
            remedy=_("Lo fa ogni notte il lavoratore: avvialo.")
            if status == "done"
            else _("Qualcuno ha scritto nel database da fuori: confrontalo con le copie."),
        )
    if unrecorded := catalogue.unaudited(patient.connection):
        yield Finding(
            _("Tabelle le cui modifiche non lasciano traccia: %(tables)s")
            % {"tables": ", ".join(unrecorded)},
            is_fine=False,
            remedy=_("Riesegui filiera migrate: un trigger manca o è spento."),
        )
