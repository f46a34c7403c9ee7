"""Take the pictures of README.md from the running demo: `make screenshots`.

Starts the demo on a temporary home, lets invented people ask for things through its real doors, works a few of their
deals as an agent would, and photographs five pages with Chromium at 1440 × 900, in Italian and in the light theme.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from filiera.platform import database  # noqa: E402
from tests import chromium  # noqa: E402
from tests.demo.conftest import Demo, eventually  # noqa: E402

PICTURES = ROOT / "docs" / "screenshots"
SIZE: Any = {"width": 1440, "height": 900}

# name, phone, service, package, and how far the deal has come since: stage and amount
EARLIER = [
    ("Nives Pellegrin", "351 000 1186", "PREMIUM", "AVANZATO", "caldo", "2380.00"),
    ("Fulvia Rinaldi", "351 000 3345", "PRO", "BASE", "in_contatto", "960.00"),
    ("Duilio Ferrante", "351 000 6613", "PRO", "BASE", "attesa_ordine", "960.00"),
    ("Ottavio Scarpa", "351 000 2231", "FAMILY", "BASE", "in_contatto", "480.00"),
    ("Ines Zanella", "351 000 7702", "PREMIUM", "BASE", "caldo", "1840.00"),
    ("Tullio Marcon", "351 000 5518", "FAMILY", "AVANZATO", "in_contatto", "690.00"),
    ("Amelia Gobbo", "351 000 8821", "PRO", "AVANZATO", "attesa_ordine", "1140.00"),
    ("Renzo Visentin", "351 000 4460", "FAMILY", "BASE", "in_contatto", "480.00"),
]
CUSTOMER_SILENT = ("Cesira Monti", "351 000 9052", "FAMILY", "BASE")
WRONG_NUMBER = ("Egidio Bortolin", "348 0001", "FAMILY", "AVANZATO")
RINGING = [
    ("Adele Brunetti", "351 000 4127", "FAMILY", "BASE"),
    ("Corrado Mezzasalma", "352 000 7740", "PRO", "AVANZATO"),
    ("Ilario Tonon", "351 000 3908", "PREMIUM", "BASE"),
]
WAITING = ("Wanda Pavan", "351 000 6274", "PRO", "BASE")


def main() -> None:
    """Take all pictures anew."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        demo = Demo(Path(folder) / "dati")
        try:
            demo.start()
            browser = playwright.chromium.launch(executable_path=chromium.path(), args=chromium.ARGUMENTS)
            take(demo, browser)
            browser.close()
        finally:
            demo.stop()
            database.destroy(demo.home)


def take(demo: Demo, browser: Browser) -> None:
    """Let the day happen, and photograph it."""
    demo.set_exchange(
        time_scale=60, stay_online=True, pickup_probability=1.0, customer_pickup_probability=1.0
    )
    for name, phone, service, package, _stage, _amount in EARLIER:
        ask(demo, name, phone, service, package)
    demo.set_exchange(next_calls=[{"agent_picks_up": True, "customer_picks_up": False}])
    ask(demo, *CUSTOMER_SILENT)
    ask_through_others(demo)
    with demo.signed_in("vegliasi") as client:
        work(client)
    nobody_talks(demo)

    ada = sign_in(demo, browser, "ada@filiera.example")
    teodora = sign_in(demo, browser, "teodora@vegliasi.example")
    demo.set_exchange(time_scale=1.0, next_calls=[{"pickup_after_s": 19}] * len(RINGING))
    ask(demo, *RINGING[0])
    picture_of(ada, demo, "/agents", "agents")
    for person in RINGING[1:]:
        ask(demo, *person)
    send(demo, "landing-vegliasi", form(*WAITING))
    teodora.wait_for_selector(".fi-ring.is-mine")
    teodora.wait_for_selector("#today-side :text('Nessun agente era disponibile')")
    picture_of(teodora, demo, "/oggi", "today")
    picture_of(teodora, demo, "/board", "board")
    teodora.goto(demo.base_url + "/leads")
    teodora.click("a:has-text('Nives Pellegrin')")
    teodora.wait_for_url("**/leads/*-*")
    picture(teodora, "lead-record")
    ada.goto(demo.base_url + "/inbound")
    ada.click("tr:has-text('Né telefono né e-mail') a.fi-name")
    ada.wait_for_url("**id=*")
    picture(ada, "inbound-log")


def ask_through_others(demo: Demo) -> None:
    """Send what other programs send: two people, a repetition, a number nobody can call, a form nobody mapped."""
    contact = {"full_name": "Bruna Zorzi", "phone": "+39 351 000 5521", "email": "bruna.zorzi@posta.example"}
    workflow = {"contact_id": "cOnTaCt0000000000043", **contact}
    send(demo, "ghl-workflow-vegliasi", workflow)
    send(demo, "ghl-workflow-vegliasi", workflow)
    answers = {
        "FULL_NAME": "Alba Però",
        "PHONE_NUMBER": "+39 351 000 0133",
        "EMAIL": "alba.pero@posta.example",
    }
    columns = [{"column_id": column, "string_value": value} for column, value in answers.items()]
    door = demo.source("google-ads-vegliasi")
    send(
        demo,
        "google-ads-vegliasi",
        {"lead_id": "lead-0001", "google_key": door["api_key"], "user_column_data": columns},
    )
    eventually(lambda: demo.calls_to("+393510000133") and demo.calls_to("+393510005521"))
    send(demo, "landing-vegliasi", form(*WRONG_NUMBER))
    numbered = {
        "id": "3233",
        "form_id": "1",
        "1.3": "Federica",
        "2": "federica@posta.example",
        "3": "351 000 0145",
    }
    send(demo, "gravity-vegliasi", numbered)


def form(name: str, phone: str, service: str, package: str) -> dict[str, Any]:
    """Return what the public form sends."""
    first, _space, last = name.partition(" ")
    return {
        "nome": first,
        "cognome": last,
        "email": f"{first}.{last}@posta.example".lower(),
        "telefono": phone,
        "servizio": service,
        "pacchetto": package,
        "vuoleBrochure": service == "PREMIUM",
    }


def send(demo: Demo, source: str, body: dict[str, Any]) -> httpx.Response:
    """Send a request through a door of the demo."""
    door = demo.source(source)
    return httpx.post(door["url"], json=body, headers=door["request_headers"])


def ask(demo: Demo, name: str, phone: str, service: str, package: str) -> None:
    """Send the public form, and wait until a phone has been asked to ring."""
    send(demo, "landing-vegliasi", form(name, phone, service, package)).raise_for_status()
    demo.agent_called_for("+39" + phone.replace(" ", ""))


def nobody_talks(demo: Demo) -> None:
    """Wait until every call has ended."""
    calls = demo.facts["simulators"]["cloudtalk"]["base_url"] + "/_sim/calls"
    eventually(lambda: all(call.get("ended_at") for call in httpx.get(calls).json()))
    time.sleep(2)  # what the exchange tells of it has arrived too


def work(ada: httpx.Client) -> None:
    """Give the deals of those who asked earlier their amount, and move them to where they have come."""
    token = {"X-CSRFToken": ada.cookies["csrftoken"]}
    stages = {stage["lead_state"]: stage["id"] for stage in ada.get("/api/v1/pipeline/stages").json()["data"]}
    deals = {
        deal["contact"]["full_name"]: deal for deal in ada.get("/api/v1/deals?per_page=100").json()["data"]
    }
    for name, _phone, _service, _package, state, amount in EARLIER:
        deal = deals[name]
        changes = {"amount": amount, "version": deal["version"]}
        changed = ada.patch(f"/api/v1/deals/{deal['id']}", json=changes, headers=token).raise_for_status()
        deal = changed.json()["data"]
        if deal["stage"]["id"] != stages[state]:
            move = {"stage_id": stages[state], "version": deal["version"]}
            ada.post(f"/api/v1/deals/{deal['id']}/move", json=move, headers=token).raise_for_status()


def sign_in(demo: Demo, browser: Browser, email: str) -> Page:
    """Return a page of a person's own browser."""
    user = next(user for user in demo.facts["users"] if user["email"] == email)
    context = browser.new_context(
        viewport=SIZE, locale="it-IT", timezone_id="Europe/Rome", color_scheme="light"
    )
    context.add_cookies([{"name": "auth-token", "value": demo.cookie_of(user), "url": demo.base_url}])
    page = context.new_page()
    page.goto(demo.base_url + "/oggi")
    return page


def picture_of(page: Page, demo: Demo, path: str, name: str) -> None:
    """Open a page and photograph it."""
    page.goto(demo.base_url + path)
    picture(page, name)


def picture(page: Page, name: str) -> None:
    """Photograph what is on the screen."""
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(400)  # what moves into place has arrived
    page.screenshot(path=PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
