"""A program that signs in over the API, and the words it uses."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

PASSWORD = "una-parola-lunga"


class Program:
    """A client without cookies that speaks JSON and sends its access token."""

    def __init__(self) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.access = self.refresh = ""

    def __call__(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> Any:
        """Return the answer; `token` instead of its own, "" for none."""
        sent = self.access if token is None else token
        headers = {"Authorization": f"Bearer {sent}"} if sent else {}
        data = {} if body is None else {"data": body, "content_type": "application/json"}
        answer = getattr(self.client, method)(path, headers=headers, **data)
        self.client.cookies.clear()
        return answer

    def sign_in(self, email: str, password: str = PASSWORD, **more: str) -> Any:
        answer = self("post", "/api/v1/auth/login", {"email": email, "password": password, **more}, token="")
        if answer.status_code == 200:
            given = answer.json()["data"]
            self.access, self.refresh = given["access_token"], given["refresh_token"]
        return answer

    def works(self, token: str | None = None) -> bool:
        """Say whether a token opens the leads of its brand."""
        answer = self("get", "/api/v1/leads", token=token)
        assert answer.status_code in (200, 401), answer.content
        return answer.status_code == 200


@pytest.fixture
def program(people: Any) -> Program:
    """Nobody yet."""
    return Program()


@pytest.fixture
def beas_program(program: Program) -> Program:
    """Bea's, signed in."""
    assert program.sign_in("bea@vegliasi.example").status_code == 200
    return program


class Clock:
    """The moment everybody acts at."""

    def __init__(self) -> None:
        self.now = timezone.now()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timezone, "now", lambda: clock.now)
    return clock
