"""`filiera up` with a supervisor that restarts at once: a hundred kills in minutes instead of an hour."""

import sys

from filiera import cli
from filiera.platform import supervisor

supervisor.FIRST_DELAY_S = supervisor.LONGEST_DELAY_S = 0.2

if __name__ == "__main__":
    sys.exit(cli.main(["up"]))
