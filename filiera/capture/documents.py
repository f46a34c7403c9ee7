"""What stands in a request body, as a plain dictionary, whatever its encoding.

JSON, url-encoded forms with PHP brackets (`fields[email][value]`) and multipart forms. Nothing here knows a lead.
"""

import json
import re
from email.parser import BytesParser
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import orjson

Document = dict[str, Any]

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

_MOST_FIELDS = 20_000
_DEEPEST = 12
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


class Unreadable(ValueError):
    """The body is no JSON object and no form."""


@lru_cache(maxsize=256)
def media_type(content_type: str) -> str:
    """Return a Content-Type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def is_form(content_type: str) -> bool:
    """Tell whether a body of this type comes from a form and not from a program."""
    return media_type(content_type) in (FORM, MULTIPART)


def parse(body: bytes, content_type: str = "application/json") -> Document:
    """Return the document in a body. Raises Unreadable."""
    kind = media_type(content_type)
    if kind == MULTIPART:
        return multipart(body, content_type)
    if kind == FORM and not body.lstrip().startswith(b"{"):  # curl -d sends JSON under the form type
        return form(body)
    return json_object(body)


def json_object(body: bytes) -> Document:
    """Return a JSON object. Lone surrogates become U+FFFD. Raises Unreadable."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = _tolerant_json(body)
    if not isinstance(document, dict):
        raise Unreadable("the body is not a JSON object")
    return document


def form(body: bytes) -> Document:
    """Return a url-encoded form as a tree: `a[b]=1` is {"a": {"b": "1"}}, `a[]=1&a[]=2` is {"a": ["1", "2"]}."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError as trouble:
        raise Unreadable("the form has too many fields") from trouble
    return tree(pairs)


def multipart(body: bytes, content_type: str) -> Document:
    """Return the fields of a multipart form as a tree; of a file, only its name. Raises Unreadable."""
    header = b"Content-Type: " + content_type.encode("latin-1", "replace").replace(b"\r", b"").replace(
        b"\n", b""
    )
    try:
        message = BytesParser().parsebytes(header + b"\r\n\r\n" + body)
        parts: Any = message.get_payload() if message.is_multipart() else []
        pairs = []
        for part in parts[:_MOST_FIELDS]:
            name = part.get_param("name", header="content-disposition")
            if not isinstance(name, str):
                continue
            file_name = part.get_filename()
            content = part.get_payload(decode=True) or b""
            value = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
            pairs.append((name, value if file_name is None else str(file_name)))
    except (ValueError, LookupError, TypeError, AttributeError) as trouble:
        raise Unreadable("the multipart form is broken") from trouble
    if not pairs:
        raise Unreadable("the multipart form has no field")
    return tree(pairs)


def tree(pairs: list[tuple[str, str]]) -> Document:
    """Return flat form pairs as the tree their brackets describe. A repeated plain name keeps its last value."""
    root: Document = {}
    for name, value in pairs:
        head, bracket, _rest = name.partition("[")
        steps = _BRACKETS.findall(name[len(head) :]) if bracket and head else []
        path = [head, *steps] if steps else [name]
        if len(path) > _DEEPEST:
            path = [name]
        _plant(root, path, value)
    return {key: _as_list(value) for key, value in root.items()}


def _plant(branch: Document, path: list[str], value: str) -> None:
    for step in path[:-1]:
        key = step or str(len(branch))
        below = branch.get(key)
        if not isinstance(below, dict):
            below = branch[key] = {}
        branch = below
    branch[path[-1] or str(len(branch))] = value


def _as_list(value: Any) -> Any:
    """Return {"0": a, "1": b} as [a, b], at every depth."""
    if not isinstance(value, dict):
        return value
    below = {key: _as_list(item) for key, item in value.items()}
    if below and all(key == str(place) for place, key in enumerate(below)):
        return list(below.values())
    return below


def _tolerant_json(body: bytes) -> Any:
    """Return JSON that the strict parser refuses but a sender meant: a byte order mark, a lone surrogate."""
    try:
        document = json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
        # Deep nesting passes orjson only up to a limit; the round trip keeps what later has to be stored.
        return orjson.loads(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as trouble:
        raise Unreadable("the body is not JSON") from trouble


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def find(document: Any, path: str) -> Any:
    """Return what stands at a dotted path, or None. A key that contains dots itself (`"1.3"`) is found as well."""
    if isinstance(document, dict):
        if path in document:
            return document[path]
        parts = path.split(".")
        for length in range(len(parts) - 1, 0, -1):
            head = ".".join(parts[:length])
            if head in document:
                return find(document[head], ".".join(parts[length:]))
        return None
    if isinstance(document, list):
        head, _dot, rest = path.partition(".")
        if head.isascii() and head.isdigit() and len(head) < 7 and int(head) < len(document):
            return find(document[int(head)], rest) if rest else document[int(head)]
    return None
