"""What the house does for itself every night, in UTC: a backup, and the tidying of its own records."""

import logging
from datetime import UTC, datetime, timedelta

from django.conf import settings

from filiera.platform import backup, logs
from filiera.platform import home as homes
from filiera.platform.jobs import app, task
from filiera.platform.models import JobRun

log = logging.getLogger("filiera.platform")

KEEP_HEARTBEATS = timedelta(days=1)
KEEP_RUNS = timedelta(days=30)


@app.periodic(cron="15 3 * * *")
@task(name="platform.back_up", queueing_lock="platform.back_up")
def back_up(timestamp: int) -> None:
    """Write the nightly backup into the home. A failure is an error in the log and in the system log."""
    home = settings.FILIERA_HOME
    key = homes.backup_key(home)
    if key.is_new:
        log.warning("the key of the backups was made now: copy it from the home to a place of its own")
    try:
        backup.make_and_record(home, homes.subfolder(home, "backups"), key=key.value)
    except backup.BackupTrouble:
        log.exception("the nightly backup failed")
        raise


@app.periodic(cron="45 3 * * *")
@task(name="platform.tidy", queueing_lock="platform.tidy")
def tidy(timestamp: int) -> None:
    """Delete system logs after 30 days, signs of life after a day, and other runs after 30 days."""
    now = datetime.now(UTC)
    logs.delete_old_system_logs(now)
    JobRun.objects.filter(name__startswith="worker ", finished_at__lt=now - KEEP_HEARTBEATS).delete()
    JobRun.objects.filter(started_at__lt=now - KEEP_RUNS).exclude(name__startswith="worker ").delete()
