"""Tell the open pages of a brand that a topic changed. They read again what they show; no data travels."""

from django.db import connection

from filiera.platform import brand_scope

TOPICS = ("leads", "calls", "agents", "inbound", "board")


def announce(*topics: str) -> None:
    """Tell the pages of the open brand scope once it commits. One statement; repeats in a transaction count once.

    Raises ValueError for a topic no page listens to.
    """
    if unknown := set(topics) - set(TOPICS):
        raise ValueError(f"no page listens to {', '.join(sorted(unknown))}")
    brand_id = brand_scope.current()
    with connection.cursor() as cursor:
        cursor.execute(
            "select pg_notify('filiera_live', payload) from unnest(%s::text[]) payload",
            [[f"{brand_id}:{topic}" for topic in topics]],
        )
