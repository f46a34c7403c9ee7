"""Every page in English: what is left in Italian is a sentence that nobody translates, or one translated too early."""

import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser

import pytest
from django.db.models import CharField, JSONField, TextField
from django.test import Client

from filiera.identity.models import Role
from filiera.platform import brand_scope, translations
from tests.security.conftest import own, stopped_clock
from tests.security.routes import ask, pages, values_of
from tests.security.world import World, brand_models, role_of

__all__ = ["own", "stopped_clock"]

SAID = ("aria-label", "title", "placeholder", "alt", "aria-description", "data-fault", "data-confirm")
# What no person reads as a sentence: code, and examples of what programs send.
SILENT = ("script", "style", "svg", "pre", "code", "textarea")
# Names that stay Italian in English, as the product and its documents call them.
NAMES = {"filiera", "oggi", "italiano", "codice", "garante"}


class Reader(HTMLParser):
    """Gathers what a person sees or hears of a page, but for what is marked as another language."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self._silent += tag in SILENT
        self.said += [value for name in SAID if (value := told.get(name))]

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in SILENT

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.said.append(data)


def words(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]{3,}", text.lower()))


@cache
def italian() -> frozenset[str]:
    """Return the words of the Italian sentences that no English sentence has."""
    italian, english = set(), set()
    for room in translations.rooms():
        if (catalog := room / translations.CATALOG).exists():
            for message in translations.read(catalog):
                for one in [message.id] if isinstance(message.id, str) else message.id:
                    italian |= words(re.sub(r"%\(\w+\)\w", "", one))
                for one in [message.string] if isinstance(message.string, str) else message.string:
                    english |= words(one)
    return frozenset(italian - english - NAMES)


def texts_of(world: World) -> Iterator[str]:
    """Yield what the rows of a brand hold: people wrote it, in their own language."""
    with brand_scope.use(world.brand.id):
        for model in brand_models():
            fields = [
                one.attname
                for one in model._meta.concrete_fields
                if isinstance(one, CharField | TextField | JSONField)
            ]
            for row in model.objects.values_list(*fields):
                yield " ".join(str(value) for value in row)


@pytest.mark.parametrize("is_signed_in", [True, False], ids=["inside", "guest"])
def test_no_page_says_an_italian_word_in_english(own: World, is_signed_in: bool) -> None:
    client = Client(headers={"Accept-Language": "en"})
    client.cookies["filiera_language"] = "en"
    if is_signed_in:
        role_of(own.owner, own.brand, Role.SUPER_ADMIN)
        own.owner.language = "en"
        own.owner.save(update_fields=["language"])
        client.force_login(own.owner)
    data = words(" ".join(["Guasto", *texts_of(own), own.brand.name, own.brand.tagline, own.owner.name]))
    found, seen = [], 0
    for route in pages():
        if route.method != "GET" or route.is_api:
            continue
        answer = ask(client, route, values_of(own))
        if answer.streaming or not answer.get("Content-Type", "").startswith("text/html"):
            continue
        seen += 1
        reader = Reader()
        reader.feed(answer.content.decode())
        for said in reader.said:
            if left := (words(said) & italian()) - data:
                found.append(f"{route.address}: {' '.join(said.split())[:100]!r} ({', '.join(sorted(left))})")
    assert seen > 5
    assert not found, "\n".join(sorted(set(found)))
