"""Jobs of identity."""

from datetime import timedelta
from smtplib import SMTPException
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from filiera.identity import accounts, audit, emails, google_accounts, leaving, passkeys, sessions, walls
from filiera.identity.models import Brand, LoginAttempt
from filiera.platform.jobs import app, task

LOGIN_ATTEMPTS_TERM = timedelta(days=365)


@task(name="identity.send_emails")
def send_emails(*, brand_id: str) -> None:
    """Send what is due. Without a configured server nothing leaves and the messages stay queued."""
    if not settings.EMAIL_HOST:
        return
    while letters := emails.claim(UUID(brand_id), now=timezone.now()):
        for letter in letters:
            try:
                emails.send(letter)
            except (OSError, SMTPException) as trouble:
                emails.not_sent(letter, error=str(trouble), now=timezone.now())
            else:
                emails.sent(letter, now=timezone.now())


@task(name="identity.write_reset_letter")
def write_reset_letter(*, email: str) -> None:
    """Write to who forgot their password, if there is such a person."""
    accounts.write_reset_letter(email=email, now=timezone.now())


@app.periodic(cron="* * * * *")
@task(name="identity.sweep_emails", queueing_lock="identity.sweep_emails")
def sweep_emails(timestamp: int) -> None:
    """Enqueue the sending of every brand once a minute: what failed before is due again some time."""
    for brand_id in Brand.objects.filter(is_active=True).values_list("id", flat=True):
        emails.defer_sending(brand_id)


@app.periodic(cron="41 3 * * *")
@task(name="identity.forget_old_sessions", queueing_lock="identity.forget_old_sessions")
def forget_old_sessions(timestamp: int) -> None:
    """Delete the sessions that ended a month ago."""
    sessions.forget_old(timezone.now())


@app.periodic(cron="35 3 * * *")
@task(name="identity.erase_accounts", queueing_lock="identity.erase_accounts")
def erase_accounts(timestamp: int) -> None:
    """Make anonymous who asked to leave thirty days ago."""
    leaving.erase_due(timezone.now())


@app.periodic(cron="* * * * *")
@task(name="identity.seal_audit", queueing_lock="identity.seal_audit")
def seal_audit(timestamp: int) -> None:
    """Add what was recorded since the last minute to the chains."""
    audit.seal()


@app.periodic(cron="25 3 * * *")
@task(name="identity.verify_audit", queueing_lock="identity.verify_audit")
def verify_audit(timestamp: int) -> None:
    """Look whether the record is as it was written; what is broken stands on the system page."""
    audit.seal()
    audit.verify(timezone.now())


@app.periodic(cron="5 4 * * *")
@task(name="identity.forget_audit", queueing_lock="identity.forget_audit")
def forget_audit(timestamp: int) -> None:
    """Delete entries and login attempts whose term is over (GD-33)."""
    now = timezone.now()
    audit.forget(now)
    LoginAttempt.objects.filter(attempted_at__lt=now - LOGIN_ATTEMPTS_TERM).delete()


@app.periodic(cron="20 * * * *")
@task(name="identity.tidy_walls", queueing_lock="identity.tidy_walls")
def tidy_walls(timestamp: int) -> None:
    """Delete the limits of addresses that have not come back, and what waits for browsers that did not."""
    walls.tidy(timezone.now())
    google_accounts.tidy(timezone.now())
    passkeys.tidy(timezone.now())
