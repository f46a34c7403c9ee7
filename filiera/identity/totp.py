"""The codes of an authenticator app: RFC 6238 with SHA-1, six digits, a step of thirty seconds. Needs nothing else."""

import base64
import hashlib
import hmac
import secrets
import time

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20


def new_secret() -> str:
    """Return a secret as authenticator apps take it: 160 bits in base 32."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def step_at(seconds: float) -> int:
    """Return the number of the step that a moment (seconds since 1970) lies in."""
    return int(seconds) // STEP_S


def code_at(secret: str, step: int) -> str:
    """Return the code of one step. Raises ValueError for what is no base 32."""
    digest = hmac.new(base64.b32decode(secret, casefold=True), step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def code_now(secret: str) -> str:
    """Return the code that an app shows now."""
    return code_at(secret, step_at(time.time()))
