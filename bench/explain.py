"""The plan of every statement that a page runs, as the runtime role under row security.

`python -m bench.explain '{"folder": …, "user_id": …, "brand_id": …, "pages": {name: [address, …]}}'` writes one file
per page and prints the statements that read, by page.
"""

import re
import sys
from pathlib import Path
from typing import Any

import django

django.setup()

import orjson  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from filiera.identity import sessions  # noqa: E402
from filiera.platform import brand_scope  # noqa: E402


def main(options: dict[str, Any]) -> dict[str, list[str]]:
    """Ask for each page, explain what it read, and return the statements."""
    client = Client(headers={"host": "localhost"})
    client.cookies[sessions.COOKIE] = options["session"]
    read: dict[str, list[str]] = {}
    for name, addresses in options["pages"].items():
        lines: list[str] = []
        read[name] = []
        for address in addresses:
            with CaptureQueriesContext(connection) as captured:
                client.get(address)
            statements = [query["sql"] for query in captured if _reads(query["sql"])]
            read[name] += statements
            lines += [
                f"== {address}",
                *(_plan(statement, options["brand_id"]) for statement in statements),
                "",
            ]
        if folder := options.get("folder"):
            path = Path(folder) / f"{re.sub('[^a-z]+', '-', name)}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines))
    return read


def _reads(statement: str) -> bool:
    return statement.lstrip("( \n\t").upper().startswith(("SELECT", "WITH")) and "set_config" not in statement


def _plan(statement: str, brand_id: str) -> str:
    with brand_scope.use(brand_id), connection.cursor() as cursor:
        cursor.execute(f"explain (analyze, buffers) {statement.replace('%', '%%')}", [])
        return "\n".join([f"-- {statement}", *(row[0] for row in cursor.fetchall())])


if __name__ == "__main__":
    sys.stdout.write(orjson.dumps(main(orjson.loads(sys.argv[1]))).decode())
