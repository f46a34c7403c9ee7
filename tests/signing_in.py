"""How tests sign in: Django's test client begins one of our sessions where it would begin one of Django's."""

from typing import Any

from django.test import Client
from django.utils import timezone

from filiera.identity import sessions
from filiera.identity.models import Session


def teach_the_client() -> None:
    """Let `client.force_login(person)` leave our cookie on the client."""
    Client._login = _begin_session  # type: ignore[attr-defined]


def _begin_session(client: Client, user: Any, backend: str | None = None) -> None:
    opened = sessions.open_session(user=user, kind=Session.Kind.BROWSER, now=timezone.now())
    client.cookies[sessions.COOKIE] = opened.access
