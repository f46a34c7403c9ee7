"""How tests sign in: Django's test client begins one of our sessions where it would begin one of Django's."""

from datetime import datetime
from typing import Any

from django.test import Client
from django.utils import timezone

from filiera.identity import second_factor, sessions, totp
from filiera.identity.models import Session

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
"""What the telephones of all people in the tests hold who must have a second factor."""


def give_second_factor(user: Any) -> list[str]:
    """Let a person have the second factor that an administrator needs; return their recovery codes."""
    return second_factor.turn_on(user, secret=SECRET)


def code(at: datetime) -> str:
    """Return the code that these telephones show."""
    return totp.code_at(SECRET, totp.step_at(at.timestamp()))


def teach_the_client() -> None:
    """Let `client.force_login(person)` leave our cookie on the client."""
    Client._login = _begin_session  # type: ignore[attr-defined]


def _begin_session(client: Client, user: Any, backend: str | None = None) -> None:
    opened = sessions.open_session(user=user, kind=Session.Kind.BROWSER, now=timezone.now())
    client.cookies[sessions.COOKIE] = opened.access
