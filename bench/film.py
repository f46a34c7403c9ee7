"""UI-44: an hour beside a million contacts in a real browser, filmed: how long after each act one sees its result.

Frames lie in `bench/output/film/<act>/<milliseconds>.png`.
"""

import base64
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from bench.big import big_house
from bench.figures import Figure, verify
from bench.house import ROOT, Machine, say
from tests import chromium

FILM = ROOT / "bench" / "output" / "film"
TAKES = 3
PATIENCE_MS = 20_000
PAINTED = "() => performance.timeOrigin + (performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN)"


def film(machine: Machine, seconds: float) -> list[Figure]:
    """Do each act a few times with the mouse or the keyboard; its time is the shortest take, from hand to paint.

    The camera runs in a last take of its own: it costs more than what it looks at.
    """
    house = big_house(machine)
    house.start_web()
    house.start("worker", "-m", "filiera.cli", "worker")
    shutil.rmtree(FILM, ignore_errors=True)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium.path(), args=chromium.ARGUMENTS)
            context = browser.new_context(
                viewport={"width": 1440, "height": 900},
                locale="it-IT",
                base_url=f"http://localhost:{house.port}",
            )
            context.add_cookies(
                [
                    {
                        "name": "auth-token",
                        "value": house.facts["session"],
                        "url": f"http://localhost:{house.port}",
                    }
                ]
            )
            page = context.new_page()
            page.goto("/oggi")
            takes = [{name: act(page, None) for name, act in ACTS.items()} for _ in range(TAKES + 1)][1:]
            for name, act in ACTS.items():
                act(page, FILM / name)
            browser.close()
    finally:
        house.stop()
    times_ms = {name: min(take[name] for take in takes) for name in ACTS}
    say(f"film: { {name: round(ms) for name, ms in times_ms.items()} }")
    verified = verify(len({frame.parent for frame in FILM.glob("*/*.png")}), len(ACTS), "acts on film")
    slowest = max(times_ms, key=lambda name: times_ms[name])
    return [
        Figure(
            "UI-44",
            f"{len(ACTS)} acts at {house.count('select count(*) from contacts_contact'):,} contacts,"
            f" from hand to paint; the slowest: {slowest}",
            times_ms[slowest],
            "ms",
            "≤ 300",
            verified,
        )
    ]


Act = Callable[[Page, Path | None], float]


def _nothing(page: Page) -> None:
    """What most acts need before the camera runs."""


def _to_page(
    start: str,
    act: Callable[[Page], Any],
    *,
    shows: str,
    before: Callable[[Page], Any] = _nothing,
) -> Act:
    """An act that opens a page: its time ends with the first paint of the new one."""

    def do(page: Page, film_in: Path | None) -> float:
        page.goto(start)
        before(page)
        with _frames_of(page, film_in) if film_in else nullcontext():
            began = time.time()
            act(page)
            page.wait_for_selector(shows, timeout=PATIENCE_MS)
            while not (painted := float(page.evaluate(PAINTED))) > began * 1000:
                page.wait_for_timeout(5)
        return painted - began * 1000

    return do


def _in_page(
    start: str,
    act: Callable[[Page], Any],
    *,
    shows: str,
    before: Callable[[Page], Any] = _nothing,
) -> Act:
    """An act that changes the page: its time ends when what it shows is visible."""

    def do(page: Page, film_in: Path | None) -> float:
        page.goto(start)
        before(page)
        with _frames_of(page, film_in) if film_in else nullcontext():
            began = time.time()
            act(page)
            page.wait_for_selector(shows, timeout=PATIENCE_MS)
            seen = time.time()
        return (seen - began) * 1000

    return do


@contextmanager
def _frames_of(page: Page, folder: Path) -> Iterator[None]:
    """Keep what the screen shows from now on."""
    folder.mkdir(parents=True, exist_ok=True)
    camera = page.context.new_cdp_session(page)
    began = time.time()

    def keep(frame: dict[str, Any]) -> None:
        at_ms = max(0, round((frame["metadata"]["timestamp"] - began) * 1000))
        (folder / f"{at_ms:05d}.png").write_bytes(base64.b64decode(frame["data"]))
        camera.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

    camera.on("Page.screencastFrame", keep)
    camera.send("Page.startScreencast", {"format": "png", "everyNthFrame": 1})
    yield
    page.wait_for_timeout(300)
    camera.send("Page.stopScreencast")
    page.wait_for_timeout(100)
    camera.detach()


def _all_matching(page: Page) -> None:
    page.locator("[data-select-all]").check()
    page.locator("[data-select-matching]").click()


def _palette(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.wait_for_selector("#palette[open]")


def _archive(page: Page) -> None:
    page.locator(".fi-bulk button[value=archivia]").click()


def _preview(page: Page) -> None:
    _all_matching(page)
    _archive(page)
    page.wait_for_selector(SURE)


SURE = "main form[action$='/avvia'] [type=submit], main form .fi-actions [type=submit]"
ACTS: dict[str, Act] = {
    "list": _to_page(
        "/oggi", lambda page: page.click("nav a[href='/leads'] >> visible=true"), shows="#lead-rows"
    ),
    "filter": _to_page(
        "/leads", lambda page: page.locator("#lead-views a").nth(2).click(), shows="#lead-rows"
    ),
    "record": _to_page(
        "/leads",
        lambda page: page.locator("#lead-rows a[href^='/leads/']").first.click(),
        shows="main h1",
    ),
    "board": _to_page(
        "/oggi", lambda page: page.click("nav a[href='/board'] >> visible=true"), shows="main h1"
    ),
    "search a number": _in_page(
        "/leads",
        lambda page: page.keyboard.insert_text("325 011"),
        before=_palette,
        shows="#palette-list [id^=pal-p]:has-text('325 011')",
    ),
    "search a name": _in_page(
        "/leads",
        lambda page: page.keyboard.insert_text("rosi mario"),
        before=_palette,
        shows="#palette-list [id^=pal-p]:has-text('Mario')",
    ),
    "select all that match": _in_page("/leads?stato=perso", _all_matching, shows="[data-bulk-count]"),
    "preview of a bulk edit": _to_page("/leads?stato=perso", _archive, before=_all_matching, shows=SURE),
    "bulk edit": _to_page(
        "/leads?stato=perso", lambda page: page.click(SURE), before=_preview, shows="main h1"
    ),
}
