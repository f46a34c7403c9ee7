"""Jobs of identity."""

from smtplib import SMTPException
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from filiera.identity import emails, sessions
from filiera.identity.models import Brand
from filiera.platform.jobs import app, task


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
