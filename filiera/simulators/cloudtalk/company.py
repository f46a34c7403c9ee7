"""What every request of a company meets: its key pair, the sliding minute, the envelopes, the error shapes."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from filiera.simulators.base import Problems
from filiera.simulators.cloudtalk.accounts import Account
from filiera.simulators.cloudtalk.exchange import Exchange
from filiera.simulators.http import Answer, Request, json_answer
from filiera.simulators.knobs import Json

MESSAGES = {
    401: "Unauthorized.",
    403: "Agent is not online.",
    404: "Not found.",
    406: "Invalid input data.",
    409: "Agent is already calling.",
    429: "Too many requests.",
    500: "Something went wrong.",
}


def envelope(data: Any = None, status: int = 200) -> Answer:
    body: Json = {"status": status}
    return json_answer({"responseData": body if data is None else body | {"data": data}}, status)


def invalid(errors: dict[str, list[str]]) -> Answer:
    return json_answer({"responseData": {"status": 406, "message": MESSAGES[406], "data": errors}}, 406)


def paged(request: Request, rows: list[Any]) -> Answer:
    """Answer one page of a list; `page` starts at 1, `limit` is 1 to 1000."""
    try:
        number, limit = int(request.query.get("page", 1)), int(request.query.get("limit", 30))
    except ValueError:
        return invalid({"page": ["Expected a number."]})
    if number < 1 or not 1 <= limit <= 1000:
        return invalid({"limit": ["Expected 1 to 1000."]})
    chosen = rows[(number - 1) * limit : number * limit]
    return json_answer(
        {
            "responseData": {
                "itemsCount": len(rows),
                "pageCount": -(-len(rows) // limit),
                "pageNumber": number,
                "limit": limit,
                "data": chosen,
            }
        }
    )


def item_answer(result: Json) -> Answer:
    """Wrap the result of one action as an answer of its own."""
    return json_answer({"responseData": result}, result["status"])


class Company(Exchange):
    def account_of(self, request: Request) -> Account | None:
        """Return the account whose key pair the request carries, None when there is none."""
        scheme, _, encoded = request.header("authorization").partition(" ")
        try:
            key_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        account = self.accounts.get(key_id) if scheme.lower() == "basic" else None
        return account if account and account.key_secret == secret else None

    def gate(self, request: Request, name: str) -> Answer | None:
        account = self.account_of(request)
        if account is None:
            return self.error(401)
        if request.method == "GET" and "application/json" not in request.header("accept"):
            self.warn(request, "a read without Accept: application/json may be answered 404 or 406")
        if not account.admit(self.knobs.rate_limit_per_min):
            return self.error(429)
        return None

    def finish(self, request: Request, name: str, answer: Answer) -> None:
        account = self.account_of(request)
        if account is None:
            return
        limit = self.knobs.rate_limit_per_min
        answer.headers["X-CloudTalkAPI-Limit"] = str(limit)
        answer.headers["X-CloudTalkAPI-Remaining"] = str(max(0, limit - len(account.granted)))
        answer.headers["X-CloudTalkAPI-ResetTime"] = str(account.reset_time())

    def error(self, status: int, *, message: str | None = None, code: int | None = None) -> Answer:
        text = message or MESSAGES.get(status, "Error.")
        return json_answer({"responseData": {"status": status, "message": text}}, status)

    def unknown_route(self, request: Request) -> Answer:
        return json_answer({"name": "Not Found", "message": "Not Found", "url": request.target}, 404)

    def mine(self, request: Request) -> Account:
        account = self.account_of(request)
        assert account is not None  # `gate` let it in
        return account

    def body_of(self, request: Request) -> Json | None:
        """Return the posted object, None when it is not one."""
        try:
            body = request.json()
        except ValueError:
            return None
        if not request.header("content-type").startswith("application/json"):
            self.warn(request, "a write without Content-Type: application/json")
        return body if isinstance(body, dict) else None

    def remark(self, request: Request, problems: Problems) -> None:
        for unknown in problems.unknown:
            self.warn(request, unknown)
