"""Signatures of incoming requests, over the raw bytes and compared in constant time."""

import base64
import binascii
import hashlib
import hmac

import orjson


def hmac_hex(body: bytes, secret: bytes) -> str:
    """Return the HMAC-SHA256 of a body in lower-case hex."""
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def hmac_base64(body: bytes, secret: bytes) -> str:
    """Return the HMAC-SHA256 of a body in base64."""
    return base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()


def same(given: str, expected: str) -> bool:
    """Compare two signatures in constant time; anything that is not ASCII is wrong."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def escaped(body: bytes) -> bytes:
    """Return a body with its non-ASCII characters written as \\uXXXX, as some senders sign it."""
    text = body.decode("utf-8", "replace")
    return "".join(
        char if char < "\x80" else "".join(f"\\u{unit:04x}" for unit in _utf16(char)) for char in text
    ).encode()


def compact(body: bytes) -> bytes:
    """Return a JSON body without spaces between its parts, as some senders sign it; b"" when it is not JSON."""
    try:
        return orjson.dumps(orjson.loads(body))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return b""


def decoded(signature: str) -> bytes:
    """Return the bytes of a base64 signature, b"" when it is none."""
    try:
        return base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _utf16(char: str) -> list[int]:
    raw = char.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(raw[place : place + 2], "big") for place in range(0, len(raw), 2)]
