"""Tell the open pages of a brand that a topic changed. They read again what they show; no data travels.

Only what is true while somebody looks, and stored nowhere, is told itself: `pass_on`.
"""

from django.db import connection

from filiera.platform import brand_scope

TOPICS = ("leads", "calls", "agents", "inbound", "board", "notifications", "imports", "looking")
CHANNEL = "filiera_live"


def announce(*topics: str) -> None:
    """Tell the pages of the open brand scope once it commits. One statement; repeats in a transaction count once.

    Raises ValueError for a topic no page listens to.
    """
    payloads = [payload(topic) for topic in topics]
    with connection.cursor() as cursor:
        cursor.execute("select pg_notify(%s, payload) from unnest(%s::text[]) payload", [CHANNEL, payloads])


def pass_on(topic: str, line: str) -> None:
    """Send a line without breaks to the pages of the open brand scope, once it commits.

    Raises ValueError for a topic no page listens to.
    """
    with connection.cursor() as cursor:
        cursor.execute("select pg_notify(%s, %s)", [CHANNEL, f"{payload(topic)}:{line}"])


def payload(topic: str) -> str:
    """Return what is sent on CHANNEL for a topic of the open brand scope, for a statement that tells it by itself.

    Raises ValueError for a topic no page listens to.
    """
    if topic not in TOPICS:
        raise ValueError(f"no page listens to {topic}")
    return f"{brand_scope.current()}:{topic}"
