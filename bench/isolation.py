"""Q-11: what row security costs the list and the search, against the same statements with an explicit filter."""

import random
import re
import statistics
import time

import psycopg

from bench.big import big_house
from bench.figures import Figure, NotVerified
from bench.house import Machine, say
from bench.pages import addresses_of

PAGES = {"list": "list", "search": "search by part of a number"}
ADDRESSES = 8
MOST_STATEMENTS = 40
_TABLE = re.compile(
    r'\b(FROM|JOIN) "?(\w+)"?'
    r"(?:\s+(?!(?:AND|CROSS|FOR|GROUP|INNER|JOIN|LEFT|LIMIT|ON|ORDER|UNION|USING|WHERE)\b)(\w+))?",
    re.IGNORECASE,
)


def q11(machine: Machine, seconds: float) -> list[Figure]:
    """Time the statements of list and search alternately as the runtime role and as the owner, who sees all brands.

    For the owner every table of a brand is read through `where brand_id = …`, which the planner makes one with the
    rest of the statement. Both must return the same rows.
    """
    house = big_house(machine)
    addresses = addresses_of(house)
    pages = {name: [addresses[kind]() for _ in range(ADDRESSES)] for name, kind in PAGES.items()}
    read = house.run("-m", "bench.explain", house.json(house.facts | {"pages": pages}))
    brand_id = house.facts["brand_id"]
    figures = []
    with psycopg.connect(house.urls.app) as app, psycopg.connect(house.urls.owner) as owner:
        branded = {
            row[0]
            for row in owner.execute(
                "select table_name from information_schema.columns where column_name = 'brand_id'"
            )
        }
        app.execute("select set_config('app.brand_id', %s, false)", [brand_id])
        for name, statements in read.items():
            chosen = _of_brand(statements, branded)[:MOST_STATEMENTS]
            isolated_ms, explicit_ms, rows = _race(app, owner, chosen, branded, brand_id, seconds)
            say(f"Q-11 {name}: {isolated_ms:.2f} ms under row security, {explicit_ms:.2f} ms with a filter")
            figures.append(
                Figure(
                    "Q-11",
                    f"{name}: {len(chosen)} statements under row security, to an explicit filter as owner",
                    isolated_ms,
                    "ms",
                    "≤ 1.10",
                    f"{rows} rows, the same from both",
                    explicit_ms,
                )
            )
    return figures


def _race(
    app: "psycopg.Connection",
    owner: "psycopg.Connection",
    statements: list[str],
    branded: set[str],
    brand_id: str,
    seconds: float,
) -> tuple[float, float, int]:
    """Return the summed median milliseconds of the statements as app and as owner, and how many rows they gave.

    The two take turns, in random order, so that what else the machine does falls on both alike.
    """
    explicit = [with_explicit_filter(statement, branded, brand_id) for statement in statements]
    times: dict[tuple[int, str], list[float]] = {}
    rows, chance = 0, random.Random(11)
    for place, statement in enumerate(statements):
        seen, meant = app.execute(statement).fetchall(), owner.execute(explicit[place]).fetchall()  # type: ignore[call-overload]
        if seen != meant:
            raise NotVerified(f"row security and an explicit filter give other rows: {statement[:200]}")
        rows += len(seen)
    ends_at = time.monotonic() + seconds
    turns = 0
    while time.monotonic() < ends_at or turns < 10:
        turns += 1
        for place in range(len(statements)):
            sides = [("app", app, statements[place]), ("owner", owner, explicit[place])]
            chance.shuffle(sides)
            for side, connection, statement in sides:
                started = time.perf_counter()
                connection.execute(statement).fetchall()  # type: ignore[call-overload]
                times.setdefault((place, side), []).append((time.perf_counter() - started) * 1000)
    isolated, filtered = (
        sum(statistics.median(times[place, side]) for place in range(len(statements)))
        for side in ("app", "owner")
    )
    return isolated, filtered, rows


def with_explicit_filter(statement: str, branded: set[str], brand_id: str) -> str:
    """Return `statement` with every table of a brand replaced by its rows of one brand, under the same name."""

    def filtered(found: re.Match[str]) -> str:
        word, table, alias = found.groups()
        if table not in branded:
            return found[0]
        name = alias or f'"{table}"'
        return f"""{word} (select * from "{table}" where brand_id = '{brand_id}') {name}"""

    return _TABLE.sub(filtered, statement)


def _of_brand(statements: list[str], branded: set[str]) -> list[str]:
    """Return the distinct statements that read a brand's tables, in order."""
    kept = [s for s in statements if any(match[1] in branded for match in _TABLE.findall(s))]
    return list(dict.fromkeys(kept))
