"""The page of a simulator: what it is doing now, what it received, and its knobs.

Plain HTML; the living part is fetched again every second.
"""

from __future__ import annotations

import gettext
import json
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from filiera.simulators.http import Answer, Request
from filiera.simulators.knobs import BadKnobs, Json, Knobs

if TYPE_CHECKING:
    from filiera.simulators.base import Delivery, LogEntry, Simulator, Warned

HERE = Path(__file__).parent
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-src 'self'; base-uri 'none'"
)
ROWS_SHOWN = 40

Words = gettext.NullTranslations


def language_of(request: Request) -> str:
    """Return "en" when the browser asks for English first, otherwise "it"."""
    return "en" if request.header("accept-language").lower().startswith("en") else "it"


def words_for(request: Request) -> Words:
    return _english() if language_of(request) == "en" else Words()


@cache
def _english() -> Words:
    return gettext.translation("django", HERE / "locale", languages=["en"], fallback=True)


def asset(name: str) -> Answer:
    kinds = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
    return Answer(200, (HERE / "static" / name).read_bytes(), kinds[name.rpartition(".")[2]])


def whole(simulator: Simulator, request: Request) -> str:
    words = words_for(request)
    links = {
        "log": words.gettext("Registro"),
        "knobs": words.gettext("Manopole"),
        "counters": words.gettext("Conteggi"),
    }
    nav = " ".join(f'<a href="/_sim/{path}">{escape(label)} JSON</a>' for path, label in links.items())
    main = f"""{simulator.forms(words)}
<div id="live">{live(simulator, request)}</div>
{_knobs(simulator, words)}"""
    script = '<script src="/_sim/simulators.js" defer></script>\n'
    return _framed(simulator, request, main, script=script, nav=f"<nav>{nav}</nav>")


def standing(simulator: Simulator, request: Request, main: str) -> str:
    """Return a page that people of the provider's would see; `main` is HTML already."""
    return _framed(simulator, request, main)


def _framed(simulator: Simulator, request: Request, main: str, *, script: str = "", nav: str = "") -> str:
    says = words_for(request).gettext(
        "Simulatore: parla come il fornitore vero, ma non esce da questa macchina."
    )
    return f"""<!doctype html>
<html lang="{language_of(request)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(simulator.title)}</title>
<link rel="stylesheet" href="/_sim/simulators.css">
{script}</head>
<body>
<header><h1>{escape(simulator.title)}</h1><p>{escape(says)}</p>{nav}</header>
<main>
{main}
</main>
</body>
</html>"""


def live(simulator: Simulator, request: Request) -> str:
    """Return the part that a page in the browser fetches again every second."""
    words = words_for(request)
    parts = [_state(simulator, words), simulator.panels(words)]
    if simulator.warnings:
        parts.append(_warnings(simulator.warnings, words))
    if simulator.deliveries:
        parts.append(_deliveries(simulator.deliveries, words))
    parts.append(_log(simulator.log, words))
    return "".join(parts)


def panel(heading: str, body: str) -> str:
    return f"<section><h2>{escape(heading)}</h2>{body}</section>"


def table(heads: list[str], rows: list[list[str]], empty: str) -> str:
    """Return a table; the cells are HTML already, the heads are not."""
    if not rows:
        return f'<p class="empty">{escape(empty)}</p>'
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def clock(at: str) -> str:
    """Return an instant of the log as the time of day on this machine."""
    moment = datetime.fromisoformat(at)
    return f'<time datetime="{at}">{moment.astimezone():%H:%M:%S}.{moment.microsecond // 1000:03d}</time>'


def button(action: str, label: str, **values: str) -> str:
    """Return a form of one button that posts `values` to `action`."""
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in values.items()
    )
    return f'<form method="post" action="{escape(action)}">{hidden}<button>{escape(label)}</button></form>'


def ask(heading: str, action: str, rows: list[str], submit: str) -> str:
    """Return a panel with a form that posts `rows` to `action`."""
    fields = "".join(rows)
    return panel(
        heading,
        f'<form class="ask" method="post" action="{action}">{fields}<button>{escape(submit)}</button></form>',
    )


def row(label: str, control: str, explains: str = "") -> str:
    """Return one line of a form; `control` is HTML already."""
    return f"<label><span>{escape(label)}</span>{control}<small>{escape(explains)}</small></label>"


def field(name: str, value: str) -> str:
    return f'<input name="{name}" value="{escape(value)}">'


def tick(name: str, *, on: bool = False) -> str:
    return f'<input type="checkbox" name="{name}" value="1"{" checked" if on else ""}>'


def choice(name: str, options: Iterable[str], chosen: str = "") -> str:
    inner = "".join(
        f"<option{' selected' if option == chosen else ''}>{escape(option)}</option>" for option in options
    )
    return f'<select name="{name}">{inner}</select>'


def tag(text: str, kind: Literal["ok", "warn", "bad", "live", "mute"]) -> str:
    return f'<span class="tag {kind}">{escape(text)}</span>'


def status_tag(status: int | None) -> str:
    if status is None:
        return tag("…", "mute")
    return tag(str(status), "ok" if status < 300 else "warn" if status < 500 else "bad")


def _state(simulator: Simulator, words: Words) -> str:
    says = []
    if simulator.knobs.down:
        says.append(tag(words.gettext("spento: non risponde"), "bad"))
    if simulator.violations:
        says.append(tag(words.gettext("regole violate: %d") % len(simulator.violations), "bad"))
    counted = sorted(simulator.counters.items())
    figures = "".join(f"<li><b>{count}</b> {escape(what)}</li>" for what, count in counted)
    return f'<p class="says">{" ".join(says)}</p><ul class="figures">{figures}</ul>'


def _shown(value: Any) -> str:
    if value is None or value == "":
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
    return f"<pre>{escape(text[:4000])}</pre>"


def _log(log: Any, words: Words) -> str:
    latest: list[LogEntry] = list(log)[: -ROWS_SHOWN - 1 : -1]
    rows = [
        [
            clock(entry.at),
            f"<code>{escape(entry.method)} {escape(entry.path)}</code>",
            status_tag(entry.status),
            _shown(entry.body),
        ]
        for entry in latest
    ]
    heads = [
        words.gettext("Quando"),
        words.gettext("Richiesta"),
        words.gettext("Risposta"),
        words.gettext("Corpo"),
    ]
    return panel(words.gettext("Ricevute"), table(heads, rows, words.gettext("Ancora nessuna richiesta.")))


def _deliveries(deliveries: Any, words: Words) -> str:
    latest: list[Delivery] = list(deliveries)[: -ROWS_SHOWN - 1 : -1]
    rows = [
        [
            clock(sent.at),
            f"{escape(sent.kind)}<br><code>{escape(sent.url)}</code>",
            status_tag(sent.status) if not sent.error else tag(sent.error, "bad"),
            _shown(sent.body),
        ]
        for sent in latest
    ]
    heads = [
        words.gettext("Quando"),
        words.gettext("Avviso"),
        words.gettext("Risposta"),
        words.gettext("Corpo"),
    ]
    return panel(words.gettext("Spedite"), table(heads, rows, ""))


def _warnings(warnings: Any, words: Words) -> str:
    latest: list[Warned] = list(warnings)[: -ROWS_SHOWN - 1 : -1]
    rows = [
        [
            clock(warned.at),
            f"<code>{escape(warned.method)} {escape(warned.path)}</code>",
            escape(warned.message),
        ]
        for warned in latest
    ]
    heads = [words.gettext("Quando"), words.gettext("Richiesta"), words.gettext("Osservazione")]
    return panel(words.gettext("Da guardare"), table(heads, rows, ""))


def _knobs(simulator: Simulator, words: Words) -> str:
    rows = [
        row(name, _control(name, getattr(simulator.knobs, name), hint), words.gettext(get_args(hint)[1].text))
        for name, hint in simulator.knobs.hints().items()
    ]
    knobs = ask(words.gettext("Manopole"), "/_sim/knobs", rows, words.gettext("Applica"))
    return knobs + button("/_sim/reset", words.gettext("Riporta tutto all'inizio"))


def _control(name: str, value: Any, hint: Any) -> str:
    kind = get_args(hint)[0]
    if kind is bool:
        return tick(name, on=value)
    if get_origin(kind) is Literal:
        return choice(name, get_args(kind), value)
    if isinstance(value, list | dict):
        text = json.dumps(value, ensure_ascii=False)
        return f'<textarea name="{name}" rows="2">{escape(text)}</textarea>'
    return field(name, str(value))


def knobs_from_form(knobs: Knobs, form: dict[str, str]) -> Json:
    """Return the knobs' values that a posted form of `_knobs` means. Raises BadKnobs."""
    values: Json = {}
    problems = {}
    for name, hint in knobs.hints().items():
        kind, text = get_args(hint)[0], form.get(name)
        try:
            if kind is bool:
                values[name] = text is not None
            elif text is None:
                continue
            elif kind in {int, float}:
                values[name] = kind(text.replace(",", "."))
            elif isinstance(getattr(knobs, name), list | dict):
                values[name] = json.loads(text)
            else:
                values[name] = text
        except ValueError:
            problems[name] = "cannot be read"
    if problems:
        raise BadKnobs(problems)
    return values
