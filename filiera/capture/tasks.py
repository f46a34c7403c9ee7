"""Jobs of the intake."""

import socket
from os import getpid

from filiera.capture import lookups
from filiera.platform.jobs import app, task


@task(name="capture.look_up")
def look_up() -> None:
    """Fetch what senders tell about the ids that wait. Enqueued by capture_accept with the submissions themselves."""
    lookups.run(worker=f"lookup {socket.gethostname()}:{getpid()}")


@app.periodic(cron="* * * * *")
@task(name="capture.look_up_again", queueing_lock="capture.look_up_again")
def look_up_again(timestamp: int) -> None:
    """Find the lookups whose retry is due."""
    look_up()
