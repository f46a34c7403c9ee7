"""When the database is away: which failures say so (Q-21)."""

import asyncpg
import django.db
import psycopg
import psycopg_pool

RETRY_AFTER_S = 5
# What passes by itself or by an operator's hand, and is no fault of a statement: connection lost, too many
# connections, disk or memory full, a lock that somebody keeps, a server that stops or starts. PostgreSQL's error
# codes, appendix A.
_AWAY_CLASSES = ("08", "53", "55P03", "57P")

# What asyncpg raises when its connection is of no more use. The last says that it was lost in the middle of an answer.
CONNECTION_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def database_is_away(error: BaseException | None) -> bool:
    """Return whether `error` means that the database cannot be used now, rather than that we asked it wrongly."""
    if isinstance(error, psycopg_pool.PoolTimeout | django.db.InterfaceError):
        return True
    if not isinstance(error, django.db.OperationalError | psycopg.OperationalError):
        return False
    source = error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error
    state = getattr(source, "sqlstate", None)
    return state is None or state.startswith(_AWAY_CLASSES)
