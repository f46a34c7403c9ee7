"""Q-34 for what exists: what came in as code goes out as text, in pages and in tables for spreadsheets."""

import csv
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.security.routes import ask, pages, values_of
from tests.security.world import World, fill

FORMULA = "=1+cmd|'/C calc'!A0"


@pytest.mark.parametrize("mark", ["<b>x</b>", '"><img x=y>'])
def test_stored_html_is_shown_as_text(vegliasi: Any, people: Any, stopped_clock: None, mark: str) -> None:
    world = World(vegliasi, people.ada, mark, "+393510004127")
    fill(world)
    client, shown = Client(), 0
    client.force_login(people.ada)
    for route in pages():
        if route.method == "GET":
            answer = ask(client, route, {**values_of(world), "q": mark if route.address == "/cerca" else ""})
            if answer.headers.get("Content-Type", "").startswith("text/html"):
                text = answer.content.decode()
                assert mark not in text, route
                shown += mark.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;") in text
                policy = answer.headers["Content-Security-Policy"]
                assert "unsafe-inline" not in policy, route
                assert "unsafe-eval" not in policy, route
    assert shown > 5


def test_no_cell_of_an_export_starts_a_formula(vegliasi: Any, people: Any, stopped_clock: None) -> None:
    fill(World(vegliasi, people.ada, FORMULA, "+393510004127"))
    client, today = Client(), timezone.now().date()
    client.force_login(people.ada)
    days = {"from": str(today - timedelta(days=2)), "to": str(today)}
    answer = client.get("/api/v1/routing/export", {**days, "format": "csv"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    cells = [cell for row in csv.reader(answer.content.decode().splitlines()) for cell in row]
    assert f"'{FORMULA}" in cells
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
