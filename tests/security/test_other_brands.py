"""Q-31: another brand's rows look like rows that never were, at every address and with every id.

The addresses come from the URL resolver and the API's document, the names of ids from what each view reads: a new one
that nobody has said the meaning of fails here.
"""

from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from filiera.identity.models import Session
from tests.security.routes import (
    IDS,
    PLAIN,
    Route,
    ask,
    id_of,
    model_label,
    operations,
    pages,
    random_id,
    takes_id,
    told,
    values_of,
    watching_names,
)
from tests.security.world import World, digest, role_of, undone

OPEN_TO_ALL = (
    *("login", "refresh", "register", "verify-email", "forgot-password", "reset-password", "google"),
)
# Open to who is not signed in: the door itself, landing pages, providers (who prove themselves), the API's document.
PUBLIC = {
    "/login",
    "/logout",
    "/login/language",
    "/login/code",
    "/login/passkey",
    "/login/passkey/options",
    "/account/register",
    "/account/verify",
    "/account/forgotten",
    "/account/reset",
    "/api/auth/login",
    "/api/auth/callback/google",
    *(f"{base}/auth/{name}" for base in ("/api", "/api/v1") for name in OPEN_TO_ALL),
    "/l/<str:source_name>",
    "/permessi/<str:token>",
    "/invito/<str:token>",
    "/l/<str:source_name>/ricevuta",
    "/api/v1/openapi.json",
}


@pytest.fixture
def carl(own: World) -> Client:
    return _client(own.owner)


def _client(user: Any) -> Client:
    client = Client(raise_request_exception=False)
    if user is not None:
        client.force_login(user)
    return client


def _slots(route: Route, names_read: set[str]) -> Iterator[tuple[str, Any]]:
    """Yield the names and meanings of the ids that a route takes."""
    body = (route.body or {}).get("properties", {})
    documented = {name for name, schema in {**route.query, **body}.items() if takes_id(schema)}
    for name in sorted({*route.names, *documented, *names_read, *_in_json(route)}):
        assert name in IDS or name in PLAIN or name not in {*route.names, *documented}, (
            f"{route}: say in IDS what {name} means"
        )
        for model in IDS.get(name, ()):
            yield name, model


def _in_json(route: Route) -> set[str]:
    return {"leadId", "Fonte"} if route.is_api and not route.address.startswith("/api/v1/") else set()


def _asked(client: Client, route: Route, values: dict[str, str], watched: World | None) -> tuple[Any, bool]:
    """Return the answer and whether rows of `watched` changed; what was written and signed out is taken back."""
    before = digest(watched) if watched and route.method != "GET" else ()
    cookies = SimpleCookie(client.cookies.output(header="", sep=";"))
    with undone():
        answer = ask(client, route, values)
        changed = bool(before) and watched is not None and digest(watched) != before
    client.cookies = cookies
    return answer, changed


@pytest.mark.parametrize("routes", [pages, operations], ids=["pages", "api"])
def test_an_id_of_another_brand_is_an_id_of_nobody(
    carl: Client, own: World, foreign: World, routes: Any
) -> None:
    """The same status, words and headers; nothing of the other brand is said, nothing of it changes."""
    mine, wrong, slots = values_of(own), [], 0
    for route in routes():
        with watching_names() as read:
            control, _changed = _asked(carl, route, mine, None)
        if control.status_code >= 500:
            wrong.append(f"{route}: {control.status_code} with own ids")
        for name, model in _slots(route, read) if control.status_code != 405 else ():
            slots += 1
            there, nowhere = id_of(foreign, model), random_id(model)
            met, changed = _asked(carl, route, {**mine, name: there}, foreign)
            missing, _changed = _asked(carl, route, {**mine, name: nowhere}, None)
            seen, unseen = told(met), told(missing)
            what = f"{route} with {name} of {model_label(model)}"
            if seen != unseen:
                wrong.append(f"{what}: {_difference(seen, unseen)}")
            if met.status_code >= 500 or missing.status_code >= 500:
                wrong.append(f"{what}: {met.status_code}")
            if changed:
                wrong.append(f"{what}: something changed")
            if foreign.mark in f"{met.content!r} {met.headers}":
                wrong.append(f"{what}: tells")
    assert not wrong, "\n".join(wrong)
    assert slots > 30


def _difference(one: tuple[Any, ...], other: tuple[Any, ...]) -> str:
    if one[:3] != other[:3]:
        return f"{one[:3]} is not {other[:3]}"
    lines = zip(one[3].splitlines(), other[3].splitlines(), strict=False)
    return next((f"{a.strip()!r} is not {b.strip()!r}" for a, b in lines if a != b), "another length")


def test_what_carl_sees_does_not_depend_on_another_brand(
    request: pytest.FixtureRequest, carl: Client, own: World
) -> None:
    """Lists, counts, searches, figures, boards and exports are the same before and after Vegliasì has its rows."""
    wanted = [route for route in (*pages(), *operations()) if route.method == "GET"]
    questions = [values_of(own), {**values_of(own), "q": "vgqmark", "view": "dead", "format": "csv"}]
    # Undone, because taking a file away is a line of the record, which some of them show.
    before = [told(_asked(carl, route, values, None)[0]) for route in wanted for values in questions]
    foreign = request.getfixturevalue("foreign")
    asked = [(route, values) for route in wanted for values in questions]
    wrong = []
    for (route, values), seen in zip(asked, before, strict=True):
        answer, _changed = _asked(carl, route, values, None)
        if told(answer) != seen:
            wrong.append(f"{route}: {_difference(told(answer), seen)}")
        if values["q"] == "" and foreign.mark in f"{answer.content!r} {answer.headers}":
            wrong.append(f"{route}: tells")
    assert not wrong, "\n".join(wrong)


def test_the_name_of_another_brand_opens_nothing(carl: Client, own: World, foreign: World) -> None:
    """X-Brand-ID counts for the brands in which one has a role; a program that asks for another one is told so."""
    for address in (
        "/leads",
        "/board",
        "/sources",
        "/inbound?view=all",
        "/api/v1/leads",
        "/api/v1/routing/export",
    ):
        plain = told(carl.get(address))
        assert own.mark in plain[3] or "export" in address
        known, random, rubbish = (
            told(carl.get(address, headers={"X-Brand-ID": asked}))
            for asked in (str(foreign.brand.pk), str(uuid4()), "\x00 drop table")
        )
        assert known == random == rubbish
        assert known[0] == 404 if address.startswith("/api/") else known == plain


def test_nothing_opens_to_who_is_not_signed_in(own: World, foreign: World) -> None:
    """Pages lead to the door, programs hear 401; the few public addresses are the ones named above."""
    guest, wrong = _client(None), []
    for route in (*pages(), *operations()):
        if route.address in PUBLIC:
            continue
        answer = ask(guest, route, values_of(foreign))
        where = answer.headers.get("Location", "")
        wanted = 401 if route.is_api else 302
        if answer.status_code not in ({wanted, 405} if route.is_api else {wanted}):
            wrong.append(f"{route}: {answer.status_code}")
        elif wanted == 302 and not where.startswith("/login?next="):
            wrong.append(f"{route}: goes to {where}")
        if foreign.mark in f"{answer.content!r}":
            wrong.append(f"{route}: tells")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("role", ["customer", "sales"])
def test_what_one_may_not_do_looks_missing(foreign: World, own: World, people: Any, role: str) -> None:
    """UI-46: without the permission a row that is there and a row that is not are the same, and nothing happens."""
    person = role_of(people.carl, foreign.brand, role) if role == "customer" else people.bea
    client, values, wrong, refused = _client(person), values_of(foreign), [], 0
    Session.objects.filter(user=person).update(working_brand=foreign.brand)
    for route in (*pages(), *operations()):
        if not route.names or route.address in PUBLIC or {"session_id", "notification_id"} & {*route.names}:
            continue
        name = route.names[0]
        met, changed = _asked(client, route, values, foreign)
        if met.status_code not in (403, 404):
            if role == "customer" and met.status_code not in (401, 405):
                wrong.append(f"{route}: {met.status_code}")
            continue
        refused += 1
        nobody = {**values, name: random_id(IDS[name][0])} if name in IDS else values
        missing, _changed = _asked(client, route, nobody, None)
        if told(met) != told(missing):
            wrong.append(f"{route}: {_difference(told(met), told(missing))}")
        if changed or (met.status_code == 403) != route.is_api:
            wrong.append(f"{route}: {met.status_code}, changed {changed}")
    assert not wrong, "\n".join(wrong)
    assert refused > 10
