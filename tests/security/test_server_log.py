"""The log that the real server writes while people use it in a browser tells no secret, as the logs of the others."""

import json

import httpx
from playwright.sync_api import Browser

from tests.browser import House
from tests.identity.test_people_browser import invitation
from tests.workspace.seed import PASSWORD, SECRET

__all__ = ["invitation"]

BEA = "bea@vegliasi.example"
CHOSEN, TYPED = "tre-gatti-molto-viola", "sbagliata-ma-segreta"


def test_the_log_of_the_server_tells_no_secret(browser: Browser, house: House, invitation: str) -> None:
    """What the suite did before is in it too: the log is read from its first line."""
    guest = house.visit(browser)
    page = guest.goto("/login")
    page.fill("#email", BEA)
    page.fill("#pw", TYPED)
    page.click("button.btn-primary")
    page.get_by_role("alert").wait_for()
    guest.goto("/account/reset?token=gettone-di-una-lettera")
    guest.goto(invitation)
    page.fill("#name", "Gaia Montagna")
    page.fill("#pw", CHOSEN)
    page.click("button.btn-primary")
    page.wait_for_url("**/oggi")
    cookie = next(one["value"] for one in page.context.cookies() if one["name"] == "auth-token")
    page.context.close()
    with httpx.Client(base_url=house.base) as program:
        given = program.post("/api/v1/auth/login", json={"email": BEA, "password": PASSWORD}).json()["data"]
        access, refresh = given["access_token"], given["refresh_token"]
        program.get("/api/v1/leads", headers={"Authorization": f"Bearer {access}"}).raise_for_status()
        program.get("/api/v1/leads", headers={"X-API-Key": "fil_" + "Chiave0123" * 4})
        program.get("/leads", params={"access_token": access})

    lines = house.log.read_text().splitlines()
    asked = [json.loads(line)["message"] for line in lines if line.startswith("{")]
    assert any("/invito/" in message for message in asked), "the log is the one of these requests"
    secrets = {
        "password": PASSWORD,
        "typed": TYPED,
        "chosen": CHOSEN,
        "cookie": cookie,
        "access": access,
        "refresh": refresh,
        "key": "Chiave0123" * 4,
        "letter": "gettone-di-una-lettera",
        "invitation": invitation.rpartition("/")[2],
        "second factor": SECRET,
        **{f"cookie of {email}": value for email, value in house.cookies.items()},
    }
    told = [f"{name}: {line[:200]}" for line in lines for name, secret in secrets.items() if secret in line]
    assert not told, "\n".join(told[:20])
