"""Fresh statistics for tables that grow from nothing within minutes.

A session keeps the plans of its foreign key checks. Those it made while a table was empty may read all rows of a
brand for each check, and autovacuum notices after a minute at the earliest: meanwhile a burst of first leads would be
taken in ever more slowly. New statistics make every session plan again.
"""

from django.db import connection

FIRST_LOOK, LAST_LOOK = 250, 64_000
"""So many leads of this process are looked at first, then twice as many each time, up to the last."""


class Growth:
    """Counts what a process has taken in, and refreshes statistics when it has doubled."""

    def __init__(self) -> None:
        self.taken = 0
        self.next_look = FIRST_LOOK

    def add(self, leads: int) -> None:
        """Count leads that were taken in. Called outside a batch's transaction."""
        self.taken += leads
        if self.taken < self.next_look or self.next_look > LAST_LOOK:
            return
        while self.next_look <= self.taken:
            self.next_look *= 2
        with connection.cursor() as cursor:
            cursor.execute("select routing_refresh_statistics(%s)", [LAST_LOOK])
