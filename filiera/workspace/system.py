"""How the house is, for who looks after it: what works, what waits, what failed, as facts with their sentence."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import django
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from filiera.capture import queries as capture
from filiera.identity import audit
from filiera.identity.models import OutgoingEmail
from filiera.platform import formats, limiter
from filiera.platform.health import WORKER_SILENCE
from filiera.platform.models import Event, JobRun, SystemLog
from filiera.routing import queries as routing
from filiera.routing.models import Connection

QUEUE_IS_OLD = timedelta(seconds=60)
EVENT_IS_LATE = timedelta(minutes=1)
BACKUP_IS_OLD = timedelta(hours=26)
"""A backup a day, and two hours for the one that runs."""

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Fact:
    """One part of the house. `level` is ok, warn or bad; `href` leads to where it can be put right."""

    name: str
    level: str
    text: str
    detail: str = ""
    href: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event whose step has not been taken: a lead that may stand still."""

    id: UUID
    kind: str
    at: datetime
    error: str


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job that gave up."""

    id: int
    name: str
    at: datetime | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Picture:
    """The house at one moment."""

    facts: Sequence[Fact]
    waiting: Sequence[Waiting]
    waiting_count: int
    failed: Sequence[FailedJob]
    failed_count: int
    errors: Sequence[SystemLog]
    versions: Sequence[tuple[str, str]] = field(default_factory=list)

    @property
    def troubled(self) -> list[Fact]:
        """Return what asks for somebody, the worst first."""
        return sorted(
            (fact for fact in self.facts if fact.level != "ok"), key=lambda fact: fact.level != "bad"
        )


def picture(*, brand_id: UUID, now: datetime) -> Picture:
    """Return the state of everything; a part that cannot be asked is itself a fact."""
    waiting = Event.objects.filter(handled_at__isnull=True, at__lt=now - EVENT_IS_LATE)
    failed, failed_count = _failed_jobs(brand_id)
    asked: list[tuple[str, Callable[[], Fact]]] = [
        (_("Database"), _database),
        (_("Lavoratore"), lambda: _worker(now)),
        (_("Coda dei lead"), lambda: _queue(now)),
        (_("Centralino"), lambda: _telephony(now)),
        (_("Posta in uscita"), _mail),
        (_("Passi da fare"), lambda: _steps(waiting.count())),
        (_("Lavori"), lambda: _jobs(failed_count)),
        (_("Copie"), lambda: _backup(now)),
        (_("Registro"), lambda: _record(now)),
    ]
    return Picture(
        facts=[_ask(name, read) for name, read in asked] + _alerts(),
        waiting=[
            Waiting(event.id, event.kind, event.at, event.last_error)
            for event in waiting.order_by("at")[:SHOWN]
        ],
        waiting_count=waiting.count(),
        failed=failed,
        failed_count=failed_count,
        errors=_errors(brand_id),
        versions=_versions(),
    )


def _ask(name: str, read: Callable[[], Fact]) -> Fact:
    try:
        with transaction.atomic():
            return read()
    except DatabaseError:
        return Fact(name, "bad", _("Non si riesce a leggere."))


def _database() -> Fact:
    with connection.cursor() as cursor:
        cursor.execute(
            "select pg_database_size(current_database()), (select count(*) from pg_stat_activity"
            " where datname = current_database()), current_setting('max_connections')::int"
        )
        size, used, most = cursor.fetchone()
    detail = _("%(size)s MB, %(used)s collegamenti su %(most)s") % {
        "size": formats.number(size / 1_000_000),
        "used": used,
        "most": most,
    }
    level = "warn" if used > most * 0.8 else "ok"
    return Fact(_("Database"), level, _("Risponde"), detail)


def _worker(now: datetime) -> Fact:
    name = _("Lavoratore")
    last = (
        JobRun.objects.filter(name__startswith="worker ", finished_at__isnull=False)
        .order_by("-finished_at")
        .first()
    )
    if last is None or last.finished_at is None:
        return Fact(
            name, "bad", _("Non è mai partito"), _("I lead arrivano e restano in coda: avvia il lavoratore.")
        )
    ago = formats.ago(last.finished_at, now)
    if now - last.finished_at > WORKER_SILENCE:
        text = _("Non dà segni di vita: l’ultimo %(ago)s") % {"ago": ago}
        return Fact(name, "bad", text, _("I lead arrivano e restano in coda: riavvia il lavoratore."))
    return Fact(name, "ok", _("Al lavoro"), _("ultimo segno %(ago)s") % {"ago": ago})


def _queue(now: datetime) -> Fact:
    figures = capture.queue_figures(now=now)
    name = _("Coda dei lead")
    detail = _("%(inflight)s in lavorazione, %(delayed)s rimandati, %(minute)s nell’ultimo minuto") % {
        "inflight": formats.number(figures.inflight),
        "delayed": formats.number(figures.delayed),
        "minute": formats.number(figures.processed_last_minute),
    }
    if figures.dead:
        text = ngettext(
            "Una richiesta aspetta una persona", "%(n)s richieste aspettano una persona", figures.dead
        ) % {"n": formats.number(figures.dead)}
        return Fact(name, "warn", text, detail, f"{reverse('inbound')}?view=dead", _("Guarda"))
    age = figures.oldest_age_seconds or 0
    if age > QUEUE_IS_OLD.total_seconds():
        text = _("Il più vecchio aspetta da %(age)s") % {"age": formats.span(age)}
        return Fact(name, "bad", text, detail, reverse("inbound"), _("Guarda"))
    if figures.depth:
        return Fact(name, "ok", _("%(n)s in attesa") % {"n": formats.number(figures.depth)}, detail)
    return Fact(name, "ok", _("Vuota"), detail)


def _telephony(now: datetime) -> Fact:
    name, href = _("Centralino"), reverse("agents")
    account = Connection.objects.select_related("circuit").first()
    if account is None:
        return Fact(name, "warn", _("Non collegato"), _("I lead arrivano, ma nessun telefono squilla."))
    used = limiter.used(account.account, now=now)
    detail = _("%(used)s richieste su %(limit)s nell’ultimo minuto") % {
        "used": used,
        "limit": account.requests_per_minute,
    }
    if not account.is_enabled:
        return Fact(name, "bad", _("Scollegato"), account.disabled_reason or detail, href, _("Agenti"))
    if account.circuit is not None and account.circuit.state == "open":
        last = account.last_ok_at
        since = formats.ago(last, now) if last else _("mai")
        text = _("Non risponde: ultima risposta %(ago)s") % {"ago": since}
        return Fact(name, "bad", text, _("Nessun lead va perso: riproviamo da soli."), href, _("Agenti"))
    if account.is_dry_run or settings.ROUTING_DRY_RUN:
        return Fact(name, "warn", _("In prova: nessuna chiamata parte"), detail, href, _("Agenti"))
    return Fact(name, "ok", _("Risponde"), detail)


def _mail() -> Fact:
    name = _("Posta in uscita")
    queued = OutgoingEmail.objects.filter(status=OutgoingEmail.Status.QUEUED).count()
    failed = OutgoingEmail.objects.filter(status=OutgoingEmail.Status.FAILED).count()
    detail = _("%(queued)s da spedire, %(failed)s non riuscite") % {"queued": queued, "failed": failed}
    if not settings.EMAIL_HOST:
        return Fact(
            name,
            "warn",
            _("Nessun server di posta"),
            _("I messaggi restano in coda. %(detail)s.") % {"detail": detail},
        )
    return Fact(name, "warn" if failed else "ok", _("Qualcuna non parte") if failed else _("Parte"), detail)


def _steps(count: int) -> Fact:
    name = _("Passi da fare")
    if not count:
        return Fact(name, "ok", _("Nessuno in ritardo"))
    text = ngettext("Uno è in ritardo", "%(n)s sono in ritardo", count) % {"n": formats.number(count)}
    return Fact(
        name, "bad", text, _("Un lead potrebbe essere fermo: guarda qui sotto."), "#waiting", _("Guarda")
    )


def _jobs(count: int) -> Fact:
    name = _("Lavori")
    if not count:
        return Fact(name, "ok", _("Nessuno fallito"))
    text = ngettext("Uno ha rinunciato", "%(n)s hanno rinunciato", count) % {"n": formats.number(count)}
    return Fact(name, "warn", text, "", "#failed", _("Guarda"))


def _backup(now: datetime) -> Fact:
    name = _("Copie")
    last = JobRun.objects.filter(name="backup").order_by("-started_at").first()
    if last is None:
        return Fact(
            name, "warn", _("Ancora nessuna"), _("La prima parte da sola stanotte, o con filiera backup.")
        )
    at = last.finished_at or last.started_at
    if last.status != "done":
        why = str(last.detail.get("error", "")) if isinstance(last.detail, dict) else ""
        return Fact(name, "bad", _("L’ultima non è riuscita, %(ago)s") % {"ago": formats.ago(at, now)}, why)
    level = "warn" if now - at > BACKUP_IS_OLD else "ok"
    detail = ""
    if isinstance(last.detail, dict) and last.detail.get("bytes"):
        detail = _("%(size)s MB, cifrata") % {
            "size": formats.number(int(last.detail["bytes"]) / 1_000_000, 1)
        }
    return Fact(name, level, _("L’ultima %(ago)s") % {"ago": formats.ago(at, now)}, detail)


def _record(now: datetime) -> Fact:
    name, link = _("Registro"), (reverse("audit"), _("Guarda"))
    last = JobRun.objects.filter(name=audit.VERIFICATION).order_by("-started_at").first()
    if last is None:
        return Fact(name, "ok", _("Si scrive da solo"), _("La prima verifica parte stanotte."), *link)
    ago = formats.ago(last.started_at, now)
    if last.status != "done":
        text = _("Non è più quello scritto: verificato %(ago)s") % {"ago": ago}
        detail = _("Qualcuno ha cambiato il database da fuori: confrontalo con le copie.")
        return Fact(name, "bad", text, detail, *link)
    level = "warn" if now - last.started_at > audit.VERIFIED_EVERY else "ok"
    detail = _("%(n)s voci, nessuna cambiata") % {
        "n": formats.number(sum(chain["standing"] for chain in last.detail.values()))
    }
    return Fact(name, level, _("Verificato %(ago)s") % {"ago": ago}, detail, *link)


def _alerts() -> list[Fact]:
    return [Fact(_("Avviso"), "warn", routing.alert_sentence(alert)) for alert in routing.alerts_open()]


def _failed_jobs(brand_id: UUID) -> tuple[list[FailedJob], int]:
    """Return the jobs of this brand, or of none, that gave up; the latest first."""
    own = "status = 'failed' and coalesce(args->>'brand_id', %s) = %s"
    values: list[Any] = [str(brand_id), str(brand_id)]
    with connection.cursor() as cursor:
        cursor.execute(f"select count(*) from procrastinate_jobs where {own}", values)
        (count,) = cursor.fetchone()
        cursor.execute(
            f"""
            select j.id, j.task_name, (
                select max(e.at) from procrastinate_events e where e.job_id = j.id
            ), j.attempts from procrastinate_jobs j where {own} order by j.id desc limit {SHOWN}
            """,
            values,
        )
        return [FailedJob(*row) for row in cursor.fetchall()], count


def is_failed_job(job_id: int, brand_id: UUID) -> bool:
    """Say whether this is a job that gave up, of this brand or of none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select exists (select 1 from procrastinate_jobs where id = %s and status = 'failed'"
            " and coalesce(args->>'brand_id', %s) = %s)",
            [job_id, str(brand_id), str(brand_id)],
        )
        return bool(cursor.fetchone()[0])


def _errors(brand_id: UUID) -> list[SystemLog]:
    """Return the latest faults in the log of this brand, or of no brand."""
    latest = SystemLog.objects.order_by("-created_at")[: SHOWN * 5]
    return [entry for entry in latest if entry.context.get("brand_id") in (None, "", str(brand_id))][:SHOWN]


def _versions() -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute("show server_version")
        (server,) = cursor.fetchone()
    return [
        ("Filiera", settings.VERSION),
        ("PostgreSQL", str(server)),
        ("Python", ".".join(map(str, sys.version_info[:3]))),
        ("Django", django.get_version()),
    ]
